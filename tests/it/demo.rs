//! `rowlock demo`: what a newcomer is told works as it is printed.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Client, Database, Server, client::codes, seed, server::JWT_SECRET};

const END_MAX: Duration = Duration::from_secs(10);

/// A demo that runs, and what it has printed.
pub struct Demo {
    pub server: Server,
    said: String,
}

impl Demo {
    /// In `directory`, on the SQLite file that the demo makes there.
    pub async fn start(directory: &Path, arguments: &[&str]) -> Self {
        let builder = Server::command(&["demo", "--listen", "127.0.0.1:0"]).current_dir(directory);
        let builder = arguments
            .iter()
            .fold(builder, |builder, argument| builder.arg(argument));
        let server = builder.start().await;
        let said = server.output();
        Self { server, said }
    }

    /// The command that buys a seat, exactly as printed.
    pub fn curl(&self) -> &str {
        let begin = self
            .said
            .find("curl ")
            .unwrap_or_else(|| panic!("no curl in {}", self.said));
        let command = &self.said[begin..];
        // It goes on as long as its lines end in a backslash.
        let end = command
            .match_indices('\n')
            .find(|(at, _)| !command[..*at].ends_with('\\'))
            .map_or(command.len(), |(at, _)| at);
        &command[..end]
    }

    /// Runs the printed command in a shell and gives what it printed.
    pub fn run_curl(&self) -> Value {
        let output = Command::new("sh")
            .args(["-c", self.curl()])
            .stdin(Stdio::null())
            .output()
            .expect("a shell and curl are installed");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// A client with the token that is printed under this heading.
    pub fn caller(&self, heading: &str) -> Client {
        let mut lines = self
            .said
            .lines()
            .skip_while(|line| !line.contains(heading))
            .skip(1);
        let token = lines
            .find(|line| !line.is_empty())
            .unwrap_or_else(|| panic!("no {heading} in {}", self.said));
        self.server.client().with_token(token)
    }

    async fn end(mut self) {
        self.server.terminate();
        let status = self.server.wait_exit(END_MAX).await;
        assert!(status.success(), "{status}");
    }
}

/// The order that the printed command bought.
fn bought(answer: &Value) -> &Value {
    let payload = &answer["data"]["purchaseTicket"];
    assert_eq!(payload["userErrors"], json!([]), "{answer}");
    assert_eq!(
        payload["order"]["items"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );
    &payload["order"]
}

fn new_directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("rowlock-demo-")
        .tempdir()
        .unwrap()
}

async fn availability(client: &Client) -> Value {
    let document = "{ events { nodes { slug isOnSale ticketTypes { name availability { total available sold } } } } }";
    client.data(document, json!({})).await["events"]["nodes"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_buys_a_seat_and_repeating_it_buys_no_other_on_sqlite() {
    let directory = new_directory();
    let demo = Demo::start(directory.path(), &[]).await;
    assert!(directory.path().join("rowlock-demo.db").exists());
    assert!(
        demo.said.contains("rowlock-demo.db"),
        "the file's path is printed: {}",
        demo.said
    );
    buys_and_starts_over(demo, &directory, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_buys_a_seat_and_repeating_it_buys_no_other_on_postgres() {
    let directory = new_directory();
    let database = Database::empty_postgres().await;
    let arguments = ["--database-url", &database.url()];
    let demo = Demo::start(directory.path(), &arguments).await;
    assert!(demo.said.contains("PostgreSQL"), "{}", demo.said);
    buys_and_starts_over(demo, &directory, &arguments).await;
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "no SQLite file is made"
    );
}

async fn buys_and_starts_over(demo: Demo, directory: &TempDir, arguments: &[&str]) {
    assert!(
        demo.said.contains(&format!("{}/", demo.server.url())),
        "the playground's URL is printed: {}",
        demo.said
    );
    let first = demo.run_curl();
    let order = bought(&first).clone();
    assert_eq!(
        bought(&demo.run_curl()),
        &order,
        "the same again gives the same order"
    );
    let orders = "{ me { orders { nodes { id } } } }";
    let mine = demo
        .caller("A customer's token")
        .data(orders, json!({}))
        .await;
    assert_eq!(
        mine["me"]["orders"]["nodes"],
        json!([{ "id": order["id"] }])
    );
    demo.end().await;

    // What was bought stays, and the next command buys the next seat.
    let again = Demo::start(directory.path(), arguments).await;
    let next = again.run_curl();
    assert_ne!(bought(&next)["id"], order["id"]);
    let mine = again
        .caller("A customer's token")
        .data(orders, json!({}))
        .await;
    assert_eq!(
        mine["me"]["orders"]["nodes"].as_array().map(Vec::len),
        Some(2)
    );
    again.end().await;

    let mut fresh_arguments = arguments.to_vec();
    fresh_arguments.push("--fresh");
    let fresh = Demo::start(directory.path(), &fresh_arguments).await;
    let mine = fresh
        .caller("A customer's token")
        .data(orders, json!({}))
        .await;
    assert_eq!(
        mine["me"]["orders"]["nodes"],
        json!([]),
        "--fresh forgets what was sold"
    );
    let answer = fresh.run_curl();
    assert_eq!(
        bought(&answer)["items"][0]["seatLabel"],
        order["items"][0]["seatLabel"],
        "the first seat again"
    );
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_events_are_what_a_newcomer_wants_to_try() {
    let directory = new_directory();
    let demo = Demo::start(directory.path(), &[]).await;
    let client = demo.server.client();
    let events = availability(&client).await;
    let find = |slug: &str| {
        events
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["slug"] == slug)
            .unwrap_or_else(|| panic!("no {slug} in {events}"))
    };
    let total = |event: &Value, of: &str| -> i64 {
        event["ticketTypes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind["availability"][of].as_i64().unwrap())
            .sum()
    };
    let hall = find("new-years-gala");
    assert!(hall["isOnSale"] == true && total(hall, "available") > 100);
    let festival = find("harbour-festival");
    assert!(festival["isOnSale"] == true && total(festival, "available") > 1_000);
    let sold_out = find("cellar-session");
    assert_eq!(
        (total(sold_out, "available"), total(sold_out, "sold")),
        (0, total(sold_out, "total"))
    );
    assert_eq!(find("winter-premiere")["isOnSale"], false);

    let customer = demo.caller("A customer's token");
    let document = "query($slug: String!) { event(by: { slug: $slug }) { ticketTypes { id } } }";
    for (slug, code) in [
        ("cellar-session", "NOT_ENOUGH_LEFT"),
        ("winter-premiere", "NOT_ON_SALE_YET"),
    ] {
        let data = client.data(document, json!({ "slug": slug })).await;
        let ticket_type = data["event"]["ticketTypes"][0]["id"].as_str().unwrap();
        let refused = customer.purchase_any(ticket_type, 1, slug).await;
        assert!(refused.is_refused(code), "{refused:?}");
    }
    let organizer = demo.caller("An organizer's token");
    let payload = organizer
        .ask("createEvent", "event { id }", seed::event_input())
        .await;
    assert_eq!(codes(&payload), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_touches_nobody_elses_events() {
    let database = Database::postgres().await;
    let owner = Server::start(&database).await;
    let event = seed::seats(&owner.client(), 1).await;
    let directory = new_directory();
    for fresh in [None, Some("--fresh")] {
        let url = database.url();
        let mut arguments = vec!["demo", "--listen", "127.0.0.1:0", "--database-url", &url];
        arguments.extend(fresh);
        let said = Server::command(&arguments)
            .current_dir(directory.path())
            .refusal();
        assert!(said.contains("not the demo's"), "{said}");
    }
    owner
        .client()
        .customer("ada")
        .purchase_ticket(&event.tickets[0].id, "mine")
        .await
        .sold();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_whose_address_is_taken_touches_no_database() {
    let directory = new_directory();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = Server::command(&["demo", "--listen", &address])
        .current_dir(directory.path())
        .refusal();
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_signs_with_the_key_it_is_given() {
    let directory = new_directory();
    let demo = Demo::start(directory.path(), &["--jwt-secret", JWT_SECRET]).await;
    let data = demo
        .server
        .client()
        .customer("ada")
        .data("{ me { subject } }", json!({}))
        .await;
    assert_eq!(data["me"]["subject"], "ada");
}
