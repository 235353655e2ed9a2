//! What Prometheus reads, at an address of its own; and the log of what is slow.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::harness::{Database, Server, eventually, rows, seed};

/// Prometheus's own judgement of names and help texts.
fn promtool(text: &str) -> String {
    let mut checking = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not installed: Debian's package is prometheus, and scripts/test fetches it");
    checking
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = checking.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// Each series with its value.
fn series(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name, value.parse().unwrap())
        })
        .collect()
}

async fn metrics_of(server: &Server) -> String {
    let output = server.output();
    let url = output
        .lines()
        .find_map(|line| line.strip_prefix("metrics at "));
    let answer = reqwest::get(url.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    answer.text().await.unwrap()
}

on_both_databases! {
    async fn what_is_sold_and_refused_is_counted_as_prometheus_wants_it(database: Database) {
        let server = Server::builder(&database).arg("--metrics-listen").arg("127.0.0.1:0").start().await;
        let event = seed::seats(&server.client(), 4).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        ada.purchase_tickets(&ids[..2], "two").await.sold();
        ada.purchase_tickets(&ids[..2], "two").await.sold();
        ada.purchase_ticket(ids[2], "one").await.sold();
        assert!(bob.purchase_ticket(ids[0], "late").await.is_refused("ALREADY_SOLD"));
        bob.hold_tickets(&ids[3..], "h").await.held();
        server.client().data("{ __typename }", json!({})).await;

        let text = metrics_of(&server).await;
        assert_eq!(promtool(&text), "");
        let series = series(&text);
        let count = |name: &str| series.get(name).copied();
        assert_eq!(count("rowlock_tickets_sold_total"), Some(3.0));
        for (mutation, outcome, len) in [
            ("purchaseTickets", "DONE", 1.0),
            ("purchaseTickets", "REPEATED", 1.0),
            ("purchaseTicket", "DONE", 1.0),
            ("purchaseTicket", "ALREADY_SOLD", 1.0),
            ("holdTickets", "DONE", 1.0),
        ] {
            let name = format!("rowlock_commands_total{{mutation=\"{mutation}\",outcome=\"{outcome}\"}}");
            assert_eq!(count(&name), Some(len), "{name}\n{text}");
        }
        assert_eq!(count("rowlock_command_duration_seconds_count"), Some(5.0));
        assert_eq!(count("rowlock_batch_commands_sum"), Some(5.0));
        assert_eq!(count("rowlock_queue_commands"), Some(0.0));
        assert_eq!(count("rowlock_lock_waits"), Some(0.0));
        assert!(count("rowlock_reading_connections").unwrap() > 0.0);
        let ok = "rowlock_http_request_duration_seconds_count{status=\"200\"}";
        assert!(count(ok).unwrap() >= 6.0);
        for name in ["ada", "bob", &event.id] {
            assert!(!text.contains(name), "{text}");
        }

        // Not where buyers ask.
        let elsewhere = reqwest::get(format!("{}/metrics", server.url())).await.unwrap();
        assert_eq!(elsewhere.status(), 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_slow_is_logged_with_where_its_time_went() {
    let database = Database::postgres().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_SLOW_SALE_MS", "400")
        .start()
        .await;
    let event = seed::seats(&server.client(), 2).await;
    let rows = database.look().await;
    let ada = server.client().customer("ada");
    ada.purchase_ticket(&event.tickets[1].id, "quick")
        .await
        .sold();
    let slow_lines = || -> Vec<String> {
        let lines = server.log().into_iter();
        lines
            .filter(|line| line.contains("a buyer's write took"))
            .collect()
    };
    assert_eq!(slow_lines(), Vec::<String>::new());

    let locked = rows::lock_seat(&rows, "1").await;
    let buying = async {
        let bob = server.client().customer("bob");
        bob.purchase_ticket(&event.tickets[0].id, "slow").await
    };
    let letting_go = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        locked.rollback().await.unwrap();
    };
    let (bought, ()) = tokio::join!(buying, letting_go);
    bought.sold();
    let line = eventually("the line", Duration::from_secs(5), async || {
        slow_lines().into_iter().next()
    })
    .await;
    for part in [
        "purchaseTicket",
        "also for a ticket that somebody had locked",
        "committing",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("bob"), "{line}");
    rows.close().await.unwrap();
}
