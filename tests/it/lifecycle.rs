//! A server's beginning and end, and what an operator is told when there is no beginning.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;

use crate::harness::{
    Client, Database, Outcome, Server, eventually, rows, seed, server::JWT_SECRET,
};

/// A server that nobody keeps waiting ends in far less; `--shutdown-ms` is 15 seconds.
const END_MAX: Duration = Duration::from_secs(10);

/// The headers of a request may take ten seconds, the end fifteen.
const HALF_REQUEST_END_MAX: Duration = Duration::from_secs(14);

/// Purchases in flight.
const AT_ONCE: usize = 60;

/// Sends every buyer to a seat of their own, and does `interrupt` once so many are sold. What each was told, in the
/// order of the seats.
async fn burst(
    client: &Client,
    event: &seed::Event,
    sold_before: usize,
    interrupt: impl Fn(),
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(event.tickets.len());
    let mut sold = 0;
    let mut purchases = stream::iter(event.tickets.iter().enumerate())
        .map(|(n, ticket)| async move {
            let buyer = client.customer(&format!("buyer {n}"));
            (n, buyer.purchase_ticket(&ticket.id, "mine").await)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((n, outcome)) = purchases.next().await {
        sold += usize::from(outcome.is_sold());
        outcomes.push((n, outcome));
        if sold == sold_before {
            interrupt();
            sold += 1;
        }
    }
    outcomes.sort_by_key(|(n, _)| *n);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn faults_len(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Fault(_)))
        .count()
}

on_both_databases! {
    async fn sigterm_in_a_burst_answers_every_sale_and_loses_none(database: Database) {
        let mut server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 600).await;
        let begin = std::sync::Mutex::new(None);

        let mut outcomes = burst(&server.client(), &event, 100, || {
            server.terminate();
            *begin.lock().unwrap() = Some(Instant::now());
        }).await;
        let status = server.wait_exit(END_MAX).await;
        let took = begin.lock().unwrap().expect("it was terminated").elapsed();

        assert!(status.success(), "{status}");
        assert!(took < END_MAX, "{took:?}");
        assert!(faults_len(&outcomes) > 0, "it ended in the middle: some came too late");
        assert!(rows::orders(&outcomes).len() >= 100);
        // Who was not answered bought nothing, and who was has what they were told.
        rows::assert_conserved(&database, &outcomes).await;

        let restarted = Server::start(&database).await;
        for (n, ticket) in event.tickets.iter().enumerate() {
            if !outcomes[n].is_sold() {
                outcomes[n] = restarted.client().customer(&format!("buyer {n}")).purchase_ticket(&ticket.id, "mine").await;
            }
        }
        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn who_repeats_after_a_crash_has_bought_once(database: Database) {
        let mut crashing = Server::start(&database).await;
        let event = seed::seats(&crashing.client(), 600).await;

        let told = burst(&crashing.client(), &event, 100, || crashing.kill()).await;
        crashing.wait_exit(END_MAX).await;
        assert!(faults_len(&told) > 0, "it crashed in the middle: some were not answered");

        let next = Server::start(&database).await;
        let outcomes = burst(&next.client(), &event, usize::MAX, || {}).await;
        for (before, now) in told.iter().zip(&outcomes) {
            assert!(now.is_sold(), "{now:?}");
            if before.is_sold() {
                assert_eq!(before, now, "an answered sale outlives the crash");
            }
        }
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_server_without_work_ends_at_once_and_answers_nobody_any_more(database: Database) {
        let mut server = Server::start(&database).await;
        let url = server.url().to_owned();
        assert_eq!(reqwest::get(format!("{url}/livez")).await.unwrap().status(), StatusCode::OK);
        server.terminate();
        let status = server.wait_exit(END_MAX).await;
        assert!(status.success(), "{status}");
        assert!(reqwest::get(format!("{url}/livez")).await.is_err());
    }
}

/// Two processes of a crash: the second takes over while the first one's sessions may still be there.
#[tokio::test(flavor = "multi_thread")]
async fn buyers_of_a_crashed_server_repeat_at_another_one() {
    let database = Database::postgres().await;
    let crashing = Server::start(&database).await;
    let other = Server::start(&database).await;
    let event = seed::seats(&crashing.client(), 600).await;

    let told = burst(&crashing.client(), &event, 100, || crashing.kill()).await;
    let outcomes = burst(&other.client(), &event, usize::MAX, || {}).await;

    assert!(
        faults_len(&told) > 0,
        "it crashed in the middle: some were not answered"
    );
    for (before, now) in told.iter().zip(&outcomes) {
        assert!(now.is_sold(), "{now:?}");
        if before.is_sold() {
            assert_eq!(before, now, "an answered sale outlives the crash");
        }
    }
    rows::assert_conserved(&database, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_one_sqlite_file_is_refused() {
    let database = Database::sqlite().await;
    let mut first = Server::start(&database).await;
    let said = Server::builder(&database).refusal();
    assert!(
        said.contains("another process is writing to") && said.contains("rowlock.db"),
        "{said}"
    );
    assert!(
        said.contains("PostgreSQL"),
        "it says what serves several: {said}"
    );

    // The first is none the worse for it, and leaves the file to the next.
    seed::seats(&first.client(), 1).await;
    first.terminate();
    first.wait_exit(END_MAX).await;
    Server::start(&database).await;
}

#[test]
fn without_a_database_a_server_says_how_to_name_one() {
    let said = Server::command(&["serve"])
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .refusal();
    assert!(
        said.contains("ROWLOCK_DATABASE_URL") && said.contains("postgres://"),
        "{said}"
    );
    let said = Server::command(&["migrate", "up"]).refusal();
    assert!(said.contains("ROWLOCK_DATABASE_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_a_server_says_how_to_set_one() {
    let database = Database::sqlite().await;
    let serve = || {
        Server::command(&["serve", "--listen", "127.0.0.1:0"])
            .env("ROWLOCK_DATABASE_URL", &database.url())
    };
    let said = serve().refusal();
    assert!(
        said.contains("ROWLOCK_JWT_SECRET") && said.contains("32 random bytes"),
        "{said}"
    );
    let said = serve()
        .env("ROWLOCK_JWT_SECRET", "31 bytes are one byte too few..")
        .refusal();
    assert!(
        said.contains("31 bytes") && said.contains("at least 32"),
        "{said}"
    );
    assert!(
        !said.contains("one byte too few"),
        "a key is never shown: {said}"
    );
    let said = serve()
        .env("ROWLOCK_JWT_SECRET_FILE", "/nowhere/key")
        .refusal();
    assert!(said.contains("/nowhere/key"), "{said}");
    let said = Server::command(&["token", "--role", "customer", "--subject", "ada"]).refusal();
    assert!(said.contains("ROWLOCK_JWT_SECRET"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_read_from_a_file_without_its_line_break() {
    let database = Database::sqlite().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{JWT_SECRET}\n")).unwrap();
    let server = Server::command(&["serve", "--listen", "127.0.0.1:0"])
        .env("ROWLOCK_DATABASE_URL", &database.url())
        .env("ROWLOCK_JWT_SECRET_FILE", file.path().to_str().unwrap())
        .start()
        .await;
    seed::seats(&server.client(), 1).await;
}

#[test]
fn what_is_no_database_is_refused_with_a_sentence() {
    for (url, word) in [
        ("mysql://localhost/rowlock", "postgres:// or sqlite:"),
        ("sqlite::memory:", "in memory"),
        (
            "sqlite:/nowhere/at/all/rowlock.db",
            "/nowhere/at/all/rowlock.db",
        ),
        (
            "postgres://rowlock:hidden@127.0.0.1:1/rowlock",
            "cannot be reached",
        ),
    ] {
        let said = Server::command(&["serve", "--listen", "127.0.0.1:0", "--database-url", url])
            .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
            .refusal();
        assert!(said.contains(word), "{url}: {said}");
        assert!(
            !said.contains("hidden"),
            "a password is never shown: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_refused_by_name() {
    let database = Database::postgres().await;
    let first = Server::start(&database).await;
    let taken = first.url().strip_prefix("http://").unwrap();
    let said = Server::command(&["serve", "--listen", taken])
        .env("ROWLOCK_DATABASE_URL", &database.url())
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .refusal();
    assert!(said.contains(taken) && said.contains("--listen"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_its_variable() {
    let database = Database::sqlite().await;
    let key_of_flag = "the flag's key, of 32 bytes or more";
    let server = Server::command(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &database.url(),
    ])
    .arg("--jwt-secret")
    .arg(key_of_flag)
    .env("ROWLOCK_LISTEN", "192.0.2.1:1")
    .env(
        "ROWLOCK_DATABASE_URL",
        "postgres://nobody@192.0.2.1/nothing",
    )
    .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
    .start()
    .await;
    let token = |key: &str| {
        let arguments = [
            "token",
            "--role",
            "customer",
            "--subject",
            "ada",
            "--jwt-secret",
            key,
        ];
        Server::command(&arguments).print().trim().to_owned()
    };
    let fault_of = async |key: &str| {
        let client = server.client().with_token(&token(key));
        let answer = client
            .send("{ me { subject } }", serde_json::json!({}))
            .await;
        answer.fault().map(str::to_owned)
    };
    assert_eq!(fault_of(key_of_flag).await, None);
    assert_eq!(fault_of(JWT_SECRET).await.as_deref(), Some("INVALID_TOKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn port_0_picks_a_free_port_and_prints_it() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    assert_ne!(servers[0].url(), servers[1].url());
    for server in &servers {
        assert!(!server.url().ends_with(":0"), "{}", server.url());
        assert_eq!(server.output(), format!("listening on {}\n", server.url()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_is_json_in_every_line_and_names_no_customer() {
    let database = Database::sqlite().await;
    let mut server = Server::builder(&database)
        .env("ROWLOCK_LOG", "debug")
        .arg("--log-format")
        .arg("json")
        .start()
        .await;
    let event = seed::seats(&server.client(), 1).await;
    let ada = server.client().customer("ada-of-the-log");
    let order = ada
        .purchase_ticket(&event.tickets[0].id, "key-of-the-log")
        .await
        .sold();
    server.terminate();
    server.wait_exit(END_MAX).await;
    eventually("the last line", END_MAX, async || {
        server
            .log()
            .iter()
            .any(|line| line.contains("everything accepted was answered"))
            .then_some(())
    })
    .await;
    for line in server.log() {
        let parsed: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            parsed["timestamp"].is_string() && parsed["level"].is_string(),
            "{line}"
        );
        for secret in [
            "ada-of-the-log",
            "key-of-the-log",
            order.items[0].admission_code.as_deref().unwrap(),
            JWT_SECRET,
            "eyJ",
        ] {
            assert!(!line.contains(secret), "{secret:?} in {line}");
        }
    }
}

#[test]
fn the_help_names_every_option_with_its_variable() {
    let help = Server::command(&["serve", "--help"]).print();
    for (option, variable) in [
        ("--listen", "ROWLOCK_LISTEN"),
        ("--database-url", "ROWLOCK_DATABASE_URL"),
        ("--jwt-secret", "ROWLOCK_JWT_SECRET"),
        ("--jwt-secret-file", "ROWLOCK_JWT_SECRET_FILE"),
        ("--log-format", "ROWLOCK_LOG_FORMAT"),
    ] {
        assert!(
            help.contains(option) && help.contains(&format!("[env: {variable}")),
            "{option}"
        );
    }
    let options = help
        .lines()
        .filter(|line| line.trim_start().starts_with("--"))
        .count();
    let variables = help.matches("[env: ROWLOCK_").count();
    assert_eq!(options, variables, "every option has a variable:\n{help}");
}

/// A client that begins a request and never ends it keeps neither its connection nor the server's end.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_does_not_keep_the_server_from_ending() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let database = Database::sqlite().await;
    let mut server = Server::start(&database).await;
    let address = server.url().strip_prefix("http://").unwrap();
    let mut half = tokio::net::TcpStream::connect(address).await.unwrap();
    half.write_all(b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-")
        .await
        .unwrap();
    // The server has accepted it when it has answered a later one.
    server
        .client()
        .send("{ __typename }", serde_json::json!({}))
        .await;

    server.terminate();
    let status = server.wait_exit(HALF_REQUEST_END_MAX).await;
    assert!(status.success(), "{status}");
    let mut rest = Vec::new();
    // Closed with or without a word.
    let _ = half.read_to_end(&mut rest).await;
}
