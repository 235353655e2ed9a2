//! `rowlock rush`: what it counts, what its audit finds, and what it says when there is nothing to rehearse with.

mod chromium;
mod page;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rowlock::ids::EventId;
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Database, Server, eventually, seed, server::JWT_SECRET};

/// A rehearsal ends by itself well before that, whatever happens to its servers.
const END_MAX: Duration = Duration::from_secs(120);

const SOLD_MAX: Duration = Duration::from_secs(30);

/// How a rehearsal ended.
struct Ran {
    code: i32,
    /// Of standard output; null when there was none.
    result: Value,
    said: String,
}

impl Ran {
    fn number(&self, path: &str) -> u64 {
        let found = self.result.pointer(path).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number {path} in {}", self.result))
    }

    /// Clean to its end, and nothing asked for is missing from the counts.
    fn assert_clean(&self) {
        assert_eq!(self.code, 0, "{} {}", self.said, self.result);
        assert_eq!(self.result["exitCode"], 0);
        assert_eq!(self.result["audit"]["isClean"], true);
        assert_eq!(self.result["problems"], json!([]));
        self.assert_conserved();
    }

    fn assert_conserved(&self) {
        let parts = ["/sold", "/refused", "/faults", "/abandoned"];
        let sum: u64 = parts.iter().map(|part| self.number(part)).sum();
        assert_eq!(sum, self.number("/asked"), "{}", self.result);
        let of_curve: u64 = self.result["curve"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["asked"].as_u64().unwrap())
            .sum();
        assert_eq!(of_curve, self.number("/asked"), "{}", self.result);
        assert_eq!(self.number("/latencyMs/count"), self.number("/asked"));
    }
}

/// Rehearses with the servers' key. The arguments are words.
async fn rush(urls: &[&str], arguments: &str) -> Ran {
    run(urls, arguments, JWT_SECRET).await
}

async fn run(urls: &[&str], arguments: &str, key: &str) -> Ran {
    let mut builder = Server::command(&["rush", "--json"]).env("ROWLOCK_JWT_SECRET", key);
    for url in urls {
        builder = builder.arg("--url").arg(url);
    }
    for word in arguments.split_whitespace() {
        builder = builder.arg(word);
    }
    let ended = tokio::task::spawn_blocking(|| builder.output());
    let output = tokio::time::timeout(END_MAX, ended).await;
    let output = output.expect("a rehearsal ends").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        result: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        said,
    }
}

async fn orders_len(rows: &DatabaseConnection) -> u64 {
    rowlock::entity::order::Entity::find()
        .count(rows)
        .await
        .unwrap()
}

on_both_databases! {
    /// Seats of their own, several at a time; the tables are asked too.
    async fn a_hall_is_sold_through_and_every_seat_was_told_of_once(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 30).await;
        let ran = rush(
            &[server.url()],
            &format!(
                "--event {} --buyers 4 --tickets-per-purchase 2 --refresh 0.3 --database-url {}",
                event.id,
                database.url()
            ),
        )
        .await;
        ran.assert_clean();
        assert_eq!((ran.number("/sold"), ran.number("/ticketsSold")), (15, 30));
        assert_eq!(ran.number("/audit/ordersFound"), 15);
        assert_eq!(
            ran.result["audit"]["database"],
            json!({ "orders": 15, "items": 30, "ticketsSold": 30, "ticketsWithTwoOwners": 0 })
        );
        assert_eq!(ran.number("/requests/purchase/count"), 15);
        assert_eq!(orders_len(&database.look().await).await, 15);
    }

    /// As many of each event as of the others; one that is named twice has no more tickets for it.
    async fn several_events_are_sold_side_by_side(database: Database) {
        let server = Server::start(&database).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(seed::seats(&server.client(), 8).await.id);
        }
        let named = format!("--event {} --event {} --event {} --event {}", ids[0], ids[1], ids[2], ids[0]);
        let arguments = format!(
            "{named} --buyers 4 --purchases 18 --refresh 0.2 --database-url {}",
            database.url()
        );
        let ran = rush(&[server.url()], &arguments).await;
        ran.assert_clean();
        assert_eq!((ran.number("/sold"), ran.number("/events")), (18, 3));
        assert_eq!(ran.number("/audit/database/ticketsSold"), 18);
        let rows = database.look().await;
        let mut sold: BTreeMap<EventId, u32> = BTreeMap::new();
        for order in rowlock::entity::order::Entity::find().all(&rows).await.unwrap() {
            *sold.entry(order.event_id).or_default() += 1;
        }
        rows.close().await.unwrap();
        assert_eq!(sold.into_values().collect::<Vec<_>>(), [6, 6, 6]);
        let arguments = format!("{named} --pattern hot --seats 5 --buyers 4 --purchases 50");
        let rest = rush(&[server.url()], &arguments).await;
        rest.assert_clean();
        assert_eq!(rest.number("/sold"), 5);
    }

    async fn any_places_of_a_type_are_sold_to_the_last(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 25).await;
        let arguments = format!("--event {} --pattern any --ticket-type regular --buyers 8 --purchases 30", event.id);
        let ran = rush(&[server.url()], &arguments).await;
        ran.assert_clean();
        assert_eq!(ran.number("/sold"), 25);
        assert_eq!(ran.result["refusedByCode"], json!({ "NOT_ENOUGH_LEFT": 5 }));
        assert_eq!(ran.number("/audit/ticketsFound"), 25);
    }

    async fn hot_seats_are_sold_once_each_however_many_want_them(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 10).await;
        let arguments = format!("--event {} --pattern hot --seats 3 --buyers 16 --purchases 90", event.id);
        let ran = rush(&[server.url()], &arguments).await;
        ran.assert_clean();
        assert_eq!((ran.number("/sold"), ran.number("/asked")), (3, 90));
        assert_eq!(ran.number("/refused"), 87);
        assert_eq!(orders_len(&database.look().await).await, 3);
    }

    /// Half of the holds are abandoned, and half of those given back: what is given back is sold after all.
    async fn what_was_held_is_sold_or_abandoned_and_every_order_is_told_of(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 20).await;
        let arguments = format!(
            "--event {} --pattern hold --abandon 0.5 --buyers 2 --database-url {}",
            event.id,
            database.url()
        );
        let ran = rush(&[server.url()], &arguments).await;
        ran.assert_clean();
        let (sold, abandoned) = (ran.number("/sold"), ran.number("/abandoned"));
        assert!(abandoned > 0 && sold < 20 && sold + abandoned >= 20, "{}", ran.result);
        assert_eq!(ran.number("/requests/hold/count"), sold + abandoned);
        assert_eq!(ran.number("/requests/purchaseHold/count"), sold);
        assert_eq!(orders_len(&database.look().await).await, sold);
    }

    /// A proxy's 502 in place of the answer: the sale happened, and its buyer was not told.
    async fn lost_answers_are_asked_for_again_under_their_keys(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 12).await;
        let proxy = Proxy::start(&server, Behaviour::LosesAnswers).await;
        let ran = rush(&[&proxy.url], &format!("--event {} --buyers 4", event.id)).await;
        ran.assert_clean();
        assert_eq!((ran.number("/sold"), ran.number("/faultsByCode/HTTP_502")), (6, 6));
        assert_eq!(ran.number("/audit/settled/sold"), 6);
        assert_eq!(ran.number("/audit/ordersFound"), 12);
        assert_eq!(orders_len(&database.look().await).await, 12, "repeating bought nothing more");
    }

    async fn a_server_that_keeps_an_order_back_is_found_out(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        let proxy = Proxy::start(&server, Behaviour::DropsOneOrder).await;
        let arguments = format!("--event {} --buyers 2 --database-url {}", event.id, database.url());
        let ran = rush(&[&proxy.url], &arguments).await;
        assert_eq!(ran.code, 1, "{} {}", ran.said, ran.result);
        ran.assert_conserved();
        assert_eq!((ran.number("/sold"), ran.number("/audit/ordersFound")), (7, 8));
        assert_eq!(
            ran.result["audit"]["differences"]["byKind"],
            json!({ "orderUntold": 1, "rowsDiffer": 1 })
        );
    }

    async fn a_server_that_tells_of_an_order_that_is_none_is_found_out(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        let proxy = Proxy::start(&server, Behaviour::TellsOneOrderMore).await;
        let arguments = format!("--event {} --pattern hot --seats 4 --buyers 2 --purchases 40", event.id);
        let ran = rush(&[&proxy.url], &arguments).await;
        assert_eq!(ran.code, 1, "{} {}", ran.said, ran.result);
        assert_eq!((ran.number("/sold"), ran.number("/audit/ordersFound")), (5, 4));
        let differences = &ran.result["audit"]["differences"]["byKind"];
        // Somebody else has the seat that the forged order is for.
        assert_eq!(differences, &json!({ "orderMissing": 1, "ticketSoldTwice": 1 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_seats_at_two_servers_of_one_database_are_sold_once_each() {
    let database = Database::postgres().await;
    let (first, second) = (
        Server::start(&database).await,
        Server::start(&database).await,
    );
    let event = seed::seats(&first.client(), 5).await;
    let arguments = format!("--event {} --pattern hot --seats 5 --buyers 20", event.id);
    let ran = rush(&[first.url(), second.url()], &arguments).await;
    ran.assert_clean();
    assert_eq!((ran.number("/sold"), ran.number("/asked")), (5, 500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_of_two_servers_is_killed_the_other_sells_on_and_nothing_is_lost() {
    let database = Database::postgres().await;
    let (first, second) = (
        Server::start(&database).await,
        Server::start(&database).await,
    );
    let event = seed::places(&first.client(), 3_000).await;
    let urls = [first.url(), second.url()];
    let arguments = format!(
        "--event {} --pattern any --buyers 16 --purchases 2000",
        event.id
    );
    let (ran, ()) = tokio::join!(rush(&urls, &arguments), async {
        until_sold(&database, 100).await;
        first.kill();
    });
    ran.assert_clean();
    let sold = ran.number("/sold") + ran.number("/audit/settled/sold");
    assert_eq!(orders_len(&database.look().await).await, sold);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_said_to_be_gone_and_what_is_known_is_reported() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::places(&server.client(), 2_000).await;
    let arguments = format!(
        "--event {} --pattern any --buyers 4 --duration 60s",
        event.id
    );
    let urls = [server.url()];
    let (ran, ()) = tokio::join!(rush(&urls, &arguments), async {
        until_sold(&database, 20).await;
        server.kill();
    });
    assert_eq!(ran.code, 2, "{} {}", ran.said, ran.result);
    assert!(ran.said.contains("taken a connection"), "{}", ran.said);
    assert!(ran.number("/sold") >= 16, "{}", ran.result);
    assert_eq!(ran.result["audit"]["isComplete"], false);
    ran.assert_conserved();
}

/// At least so many orders are in the database.
async fn until_sold(database: &Database, len: u64) {
    let rows = database.look().await;
    eventually("a number of sales", SOLD_MAX, async || {
        (orders_len(&rows).await >= len).then_some(())
    })
    .await;
    rows.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_not_exceeded_and_one_that_cannot_be_reached_is_said_so() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::places(&server.client(), 1_000).await;
    let of_event = format!("--event {} --pattern any --buyers 2", event.id);
    let kept = rush(
        &[server.url()],
        &format!("{of_event} --rate 20 --purchases 10"),
    )
    .await;
    // Whether it is reached is the machine's affair.
    assert_eq!(kept.result["audit"]["isClean"], true, "{}", kept.result);
    assert!(
        kept.result["rate"]["reached"].as_f64().unwrap() < 21.0,
        "{}",
        kept.result
    );
    let too_fast = rush(
        &[server.url()],
        &format!("{of_event} --rate 500000 --purchases 300"),
    )
    .await;
    assert_eq!(too_fast.code, 2, "{}", too_fast.result);
    assert!(
        too_fast.said.contains("was not reached"),
        "{}",
        too_fast.said
    );
    assert_eq!(too_fast.number("/sold"), 300);
    assert_eq!(too_fast.result["audit"]["isClean"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rehearsed_is_refused_in_a_sentence_and_nothing_is_bought() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let refused = async |urls: &[&str], arguments: &str, reason: &str| {
        let ran = rush(urls, arguments).await;
        assert_eq!(ran.code, 2, "{arguments}: {} {}", ran.said, ran.result);
        assert!(ran.said.contains(reason), "{arguments}: {}", ran.said);
        assert_eq!(ran.said.lines().count(), 1, "{}", ran.said);
        assert_eq!(ran.result, Value::Null);
    };
    let here = [server.url()];
    refused(&here, "", "no event is on sale").await;
    let event = seed::seats(&server.client(), 2).await;
    let draft = seed::create_event(&server.client().organizer("the hall")).await;
    refused(&here, "--event no-such-event", "there is no event").await;
    refused(&here, &format!("--event {draft}"), "there is no event").await;
    refused(&here, "--event x", "there is no event").await;
    let twice = format!("--event {} --event no-such-event", event.id);
    refused(&here, &twice, "there is no event").await;
    refused(&here, &format!("{twice} --pattern any"), "of one event").await;
    let orders_of_two = format!("{twice} --tickets-per-purchase 2");
    refused(&here, &orders_of_two, "of one event").await;
    refused(&here, "--ticket-type Balcony", "it has: Regular").await;
    refused(&here, "--tickets-per-purchase 11", "at most 10").await;
    refused(&here, "--pattern hot --seats 3", "not enough for 3").await;
    refused(&here, "--tickets-per-purchase 3", "not enough for 3").await;
    // Nobody listens at a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    refused(&[&gone], "", "takes connections").await;
    refused(&[server.url(), &gone], "", "takes connections").await;
    for url in ["http://192.0.2.1:8080", "http://[2001:db8::1]"] {
        refused(&[url], "", "--i-own-this-server").await;
    }
    for url in [
        "https://127.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "http://127.0.0.1/shop",
    ] {
        refused(&[url], "", "cannot be driven").await;
    }
    let garbage = Proxy::start(&server, Behaviour::SpeaksGarbage).await;
    refused(&[&garbage.url], "", "speaks no GraphQL").await;
    let other_key = run(&here, "", "another key, which is 32 bytes long").await;
    assert_eq!(other_key.code, 2);
    assert!(other_key.said.contains("tokens"), "{}", other_key.said);
    assert_eq!(orders_len(&database.look().await).await, 0);

    rush(&here, &format!("--event {}", event.id))
        .await
        .assert_clean();
    refused(&here, &format!("--event {}", event.id), "no tickets").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_in_words() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    seed::seats(&server.client(), 6).await;
    let builder = Server::command(&["rush", "--buyers", "2", "--url", server.url()])
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET);
    let said = tokio::task::spawn_blocking(|| builder.print())
        .await
        .unwrap();
    assert!(said.contains("6 orders, 6 tickets"), "{said}");
    assert!(
        said.contains("clean: everything that buyers were told is so"),
        "{said}"
    );
}

/// What stands between the buyers and the server.
struct Proxy {
    url: String,
    /// Ends with it.
    _task: JoinSet<()>,
}

/// How it misbehaves. What is no purchase it always passes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    /// The first answer under every second key is lost on its way.
    LosesAnswers,
    /// One buyer who was sold a ticket is told that it is sold already.
    DropsOneOrder,
    /// One buyer who was refused is told of an order.
    TellsOneOrderMore,
    SpeaksGarbage,
    /// Once, as soon as there is something to push.
    Pushes(watch::Pushing),
}

#[derive(Clone)]
struct Between {
    behaviour: Behaviour,
    server: String,
    http: reqwest::Client,
    has_lied: Arc<AtomicBool>,
    keys: Arc<Mutex<HashSet<String>>>,
}

impl Proxy {
    async fn start(server: &Server, behaviour: Behaviour) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let between = Between {
            behaviour,
            server: format!("{}/graphql", server.url()),
            http: reqwest::Client::new(),
            has_lied: Arc::default(),
            keys: Arc::default(),
        };
        let routes = Router::new().fallback(pass).with_state(between);
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, _task: task }
    }
}

async fn pass(State(between): State<Between>, headers: HeaderMap, body: Bytes) -> Response {
    if between.behaviour == Behaviour::SpeaksGarbage {
        return "<html>welcome</html>".into_response();
    }
    let mut request = between
        .http
        .post(&between.server)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.clone());
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        request = request.header(header::AUTHORIZATION, token);
    }
    if let Some(accept) = headers.get(header::ACCEPT) {
        let response = request.header(header::ACCEPT, accept).send().await.unwrap();
        return watch::pass(between, response);
    }
    let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let key = asked["variables"]["i"]["idempotencyKey"].as_str();
    match key {
        Some(key) if !between.tells(key, &mut answer) => StatusCode::BAD_GATEWAY.into_response(),
        Some(_) | None => axum::Json(answer).into_response(),
    }
}

impl Between {
    /// Whether the answer gets through, and as what.
    fn tells(&self, key: &str, answer: &mut Value) -> bool {
        let payload = &mut answer["data"]["answer"];
        let is_sold = payload["order"].is_object();
        let lies = || !self.has_lied.swap(true, Ordering::SeqCst);
        match self.behaviour {
            Behaviour::LosesAnswers => {
                let mut keys = self.keys.lock().unwrap();
                return !keys.insert(key.to_owned()) || keys.len().is_multiple_of(2);
            }
            Behaviour::DropsOneOrder if is_sold && lies() => {
                *payload = json!({ "order": null, "userErrors": [{ "code": "ALREADY_SOLD" }] });
            }
            Behaviour::TellsOneOrderMore if !is_sold && lies() => {
                let order = json!({ "id": "TheEmperorsNewOrder", "items": [{ "id": "Nothing" }] });
                *payload = json!({ "order": order, "userErrors": [] });
            }
            Behaviour::DropsOneOrder
            | Behaviour::TellsOneOrderMore
            | Behaviour::SpeaksGarbage
            | Behaviour::Pushes(_) => {}
        }
        true
    }
}
