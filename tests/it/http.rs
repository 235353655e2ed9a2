//! GraphQL over HTTP, and everything else that comes to the port.

mod any;
mod browsers;
mod documents;
mod freshness;
mod playground;
mod protection;
mod raw;
mod smuggling;
mod status;

use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::{
    Database, Outcome, Server,
    client::{Answer, PURCHASE_TICKET, tokens},
    database::admin,
    eventually, rows, seed,
};

const JSON: &str = "application/json";
const JSON_UTF8: &str = "application/json; charset=utf-8";

/// What must never be in an answer: the words of SQL, of Rust and of the libraries in between.
const INNARDS: [&str; 17] = [
    "select ",
    "insert",
    "update ",
    "delete ",
    "relation",
    "no such table",
    "constraint",
    "sqlstate",
    "sqlx",
    "sea_orm",
    "sea-orm",
    "dberr",
    "panicked",
    ".rs",
    "order_items",
    "events_",
    "postgres",
];

/// One request to a server, on its own.
struct Sender {
    http: reqwest::Client,
    url: String,
}

impl Sender {
    fn to(server: &Server) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: server.url().to_owned(),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .request(Method::POST, "/graphql")
            .header(CONTENT_TYPE, content_type)
            .body(body);
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.request(Method::GET, path)
            .send()
            .await
            .unwrap()
            .status()
    }
}

/// The answer of a request that was not executed: of GraphQL's shape, with a code and the request's id.
fn assert_refused(what: &str, answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!(
        (answer.status, answer.fault()),
        (status, Some(code)),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.data, Value::Null, "{what}");
    assert_eq!(answer.headers[CONTENT_TYPE], JSON_UTF8, "{what}");
    assert!(
        answer.errors[0]["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{what}"
    );
    assert_eq!(
        answer.errors[0]["extensions"]["requestId"],
        answer.request_id(),
        "{what}"
    );
    assert_no_innards(answer);
}

fn assert_no_innards(answer: &Answer) {
    let text = Value::from(answer.errors.clone())
        .to_string()
        .to_lowercase();
    for word in INNARDS {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_is_read() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    let query = json!({ "query": "{ __typename }" }).to_string();
    for content_type in [
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "",
    ] {
        let answer = sender.post(content_type, query.clone()).await;
        assert_refused(
            content_type,
            &answer,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
        );
    }
    for content_type in [JSON, "application/json; charset=utf-8", "Application/JSON"] {
        let answer = sender.post(content_type, query.clone()).await;
        assert_eq!(
            answer.data,
            json!({ "__typename": "Query" }),
            "{content_type}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_buy_without_asking_the_browser_first() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let sender = Sender::to(&server);
    let token = tokens()
        .issue(
            rowlock::auth::Role::Customer,
            "ada",
            Duration::from_secs(60),
        )
        .unwrap();
    let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });
    let body = json!({ "query": PURCHASE_TICKET, "variables": { "input": input } });
    // What a form or a script of any page may send is not read …
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let request = sender
            .request(Method::POST, "/graphql")
            .header(CONTENT_TYPE, content_type)
            .bearer_auth(&token)
            .body(body.to_string());
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    // … and what is read is asked for first, in vain.
    let preflight = sender
        .request(Method::OPTIONS, "/graphql")
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "POST");
    let answer = preflight.send().await.unwrap();
    assert!(
        !answer.headers().contains_key("access-control-allow-origin"),
        "{answer:?}"
    );
    rows::assert_conserved(&database, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--body-len")
        .arg("1000")
        .start()
        .await;
    let sender = Sender::to(&server);
    let of_len = |len: usize| {
        let query = json!({ "query": "{ __typename }" }).to_string();
        format!("{query}{}", " ".repeat(len - query.len()))
    };
    assert_eq!(sender.post(JSON, of_len(1_000)).await.fault(), None);
    let answer = sender.post(JSON, of_len(1_001)).await;
    assert_refused(
        "a known length",
        &answer,
        StatusCode::PAYLOAD_TOO_LARGE,
        "PAYLOAD_TOO_LARGE",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_graphql_request_is_a_bad_request() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    for body in [
        "",
        "{",
        "null",
        "\"{ __typename }\"",
        "{ __typename }",
        "{}",
        r#"{"query": 1}"#,
        r#"{"query": "{ __typename }", "variables": 1}"#,
        r#"{"query": "{ __typename }", "operationName": {}}"#,
        "\u{0}",
    ] {
        assert_refused(
            body,
            &sender.post(JSON, body).await,
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
        );
    }
    let not_utf8 = b"{\"query\": \"{ __typename }\xff\"}".to_vec();
    assert_refused(
        "not UTF-8",
        &sender.post(JSON, not_utf8).await,
        StatusCode::BAD_REQUEST,
        "BAD_REQUEST",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_does_not_fit_the_schema_is_refused_with_a_code() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    for (query, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ events }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "query($a: Int!) { __typename }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("subscription { a }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let body = json!({ "query": query }).to_string();
        let answer = sender.post(JSON, body.clone()).await;
        // To a client that knows only JSON, a well-formed request is answered with 200.
        assert_refused(query, &answer, StatusCode::OK, code);

        let request = sender
            .request(Method::POST, "/graphql")
            .header(CONTENT_TYPE, JSON)
            .header("accept", "application/graphql-response+json")
            .body(body);
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(
            answer.headers[CONTENT_TYPE], "application/graphql-response+json; charset=utf-8",
            "{query}"
        );
        assert_eq!(answer.fault(), Some(code), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_answered_in_the_same_shape() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    let send = async |method: Method, path: &str| {
        let request = sender.request(method, path);
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    for path in ["/nothing", "/graphql/", "/graphql/x", "/..%2f", "/livez/x"] {
        let answer = send(Method::GET, path).await;
        assert_refused(path, &answer, StatusCode::NOT_FOUND, "NOT_FOUND");
    }
    for (method, path) in [
        (Method::PUT, "/graphql"),
        (Method::DELETE, "/graphql"),
        (Method::POST, "/"),
        (Method::POST, "/livez"),
    ] {
        let what = format!("{method} {path}");
        let answer = send(method, path).await;
        assert_refused(
            &what,
            &answer,
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
        );
        assert!(
            answer.headers.contains_key("allow"),
            "{what} says what is allowed (RFC 9110)"
        );
    }
}

on_both_databases! {
    async fn a_get_executes_no_mutation(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let sender = Sender::to(&server);
        let token = tokens().issue(rowlock::auth::Role::Customer, "ada", Duration::from_secs(60)).unwrap();
        let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });
        let named = format!("query A {{ __typename }} {}", PURCHASE_TICKET.replacen("mutation", "mutation B", 1));
        for (query, name) in [(PURCHASE_TICKET, ""), (&named, "B")] {
            let request = sender.request(Method::GET, "/graphql").bearer_auth(&token).query(&[
                ("query", query), ("operationName", name), ("variables", &json!({ "input": input }).to_string()),
            ]);
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            assert_refused(query, &answer, StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED");
            assert_eq!(answer.headers["allow"], "POST");
        }
        // Which one is meant, nobody says: nothing is executed.
        let request = sender.request(Method::GET, "/graphql").bearer_auth(&token).query(&[("query", &named)]);
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        assert_eq!((answer.fault(), &answer.data), (Some("BAD_USER_INPUT"), &Value::Null));
        // The query beside the mutation is one.
        let request = sender.request(Method::GET, "/graphql").bearer_auth(&token)
            .query(&[("query", named.as_str()), ("operationName", "A")]);
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        assert_eq!(answer.data, json!({ "__typename": "Query" }), "{answer:?}");
        rows::assert_conserved(&database, &[]).await;
    }

    /// The database is broken under the server's feet: what it says stays in the log.
    async fn a_fault_of_the_database_is_told_without_its_words(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let ada = server.client().customer("ada");
        let hand = database.connect().await;

        hand.execute_unprepared("ALTER TABLE order_items RENAME TO order_items_lost").await.unwrap();
        let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });
        let purchase = ada.send(PURCHASE_TICKET, json!({ "input": input })).await;
        assert_eq!(purchase.fault(), Some("INTERNAL"), "{purchase:?}");
        assert_no_innards(&purchase);
        hand.execute_unprepared("ALTER TABLE order_items_lost RENAME TO order_items").await.unwrap();

        hand.execute_unprepared("ALTER TABLE ticket_types RENAME TO ticket_types_lost").await.unwrap();
        let document = "query($id: ID!) { me { subject } event(by: { id: $id }) { ticketTypes { id } } }";
        let query = ada.send(document, json!({ "id": event.id })).await;
        assert_eq!((query.status, query.fault()), (StatusCode::OK, Some("INTERNAL")), "{query:?}");
        assert_eq!(query.data, json!({ "me": { "subject": "ada" }, "event": null }), "what did not fail is there");
        assert_no_innards(&query);
        hand.execute_unprepared("ALTER TABLE ticket_types_lost RENAME TO ticket_types").await.unwrap();

        // The operator finds the words under the request's id.
        let id = query.request_id().to_owned();
        eventually("the fault's log line", Duration::from_secs(5), async || {
            server.log().iter().any(|line| line.contains(&id) && line.contains("ticket_types")).then_some(())
        }).await;
        ada.purchase_ticket(&event.tickets[0].id, "k").await.sold();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_its_clients_id_where_that_is_a_reasonable_one() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    let send = async |id: Option<&str>| {
        let mut request = sender
            .request(Method::POST, "/graphql")
            .json(&json!({ "query": "{ nothing }" }));
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    for id in ["0190f3a2-7c1e.trace_7", "x", &"x".repeat(64)] {
        let answer = send(Some(id)).await;
        assert_eq!(answer.request_id(), id);
        assert_eq!(answer.errors[0]["extensions"]["requestId"], id);
    }
    for id in [
        None,
        Some(""),
        Some("a b"),
        Some("a\"b"),
        Some(&*"x".repeat(65)),
    ] {
        let answer = send(id).await;
        assert_ne!(Some(answer.request_id()), id);
        assert_eq!(
            answer.request_id().len(),
            36,
            "a UUID: {}",
            answer.request_id()
        );
        assert_eq!(
            answer.errors[0]["extensions"]["requestId"],
            answer.request_id()
        );
    }
    assert_ne!(send(None).await.request_id(), send(None).await.request_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_migrated_is_refused_with_the_command_that_does_it() {
    for database in [Database::empty_postgres().await, Database::empty_sqlite()] {
        let said = Server::builder(&database).refusal();
        assert!(said.contains("rowlock migrate up"), "{said}");
    }
}

on_both_databases! {
    async fn a_server_is_not_ready_while_a_step_of_the_schema_is_missing(database: Database) {
        let server = Server::start(&database).await;
        let sender = Sender::to(&server);
        assert_eq!(sender.status("/livez").await, StatusCode::OK);
        assert_eq!(sender.status("/readyz").await, StatusCode::OK);
        let hand = database.connect().await;
        Migrator::down(&hand, Some(1)).await.unwrap();
        let answer = sender.request(Method::GET, "/readyz").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.text().await.unwrap().contains("rowlock migrate up"));
        assert_eq!(sender.status("/livez").await, StatusCode::OK);
        Migrator::up(&hand, None).await.unwrap();
        assert_eq!(sender.status("/readyz").await, StatusCode::OK);
    }
}

/// PostgreSQL alone: an SQLite file that is open does not go away.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_not_ready_while_its_database_is_away_and_sells_again_when_it_is_back() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let ada = server.client().customer("ada");
    let sender = Sender::to(&server);
    let mut outcomes = vec![ada.purchase_ticket(&event.tickets[0].id, "before").await];
    let Database::Postgres { name } = &database else {
        unreachable!("it was made on PostgreSQL");
    };
    let admin = admin().await;
    let end_sessions =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");

    for statement in [
        &format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"),
        &end_sessions,
    ] {
        admin.execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(
        sender.status("/readyz").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(sender.status("/livez").await, StatusCode::OK);
    let input = json!({ "ticketId": event.tickets[1].id, "idempotencyKey": "meanwhile" });
    let answer = ada.send(PURCHASE_TICKET, json!({ "input": input })).await;
    assert_eq!(answer.fault(), Some("UNAVAILABLE"), "{answer:?}");
    assert!(
        answer.errors[0]["extensions"]["retryAfter"].is_number(),
        "{answer:?}"
    );
    assert_no_innards(&answer);
    let query = ada.send("{ events { nodes { id } } }", json!({})).await;
    assert_eq!(query.fault(), Some("UNAVAILABLE"), "{query:?}");
    assert_no_innards(&query);

    admin
        .execute_unprepared(&format!(
            "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"
        ))
        .await
        .unwrap();
    eventually("readiness", Duration::from_secs(20), async || {
        (sender.status("/readyz").await == StatusCode::OK).then_some(())
    })
    .await;
    outcomes.push(
        eventually("a sale", Duration::from_secs(20), async || {
            let outcome = ada.purchase_ticket(&event.tickets[1].id, "meanwhile").await;
            outcome.is_sold().then_some(outcome)
        })
        .await,
    );
    assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
    rows::assert_conserved(&database, &outcomes).await;
}

/// An answer that nobody takes is not kept for as long as the client's machine says that it is there.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_cut_off() {
    // Longer than the bound, and than a busy machine takes for it.
    const CUT_OFF_WITHIN: Duration = Duration::from_secs(60);
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let query = "{ __schema { types { name description fields { name description args { name description } } } } }";
    let body = json!({ "query": query }).to_string();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = server.url().trim_start_matches("http://");
    let client = tokio::net::TcpStream::connect(address).await.unwrap();
    // More answers than all that is between the two can hold; the requests fit into it.
    client.writable().await.unwrap();
    let requests = request.repeat(200);
    assert_eq!(
        client.try_write(requests.as_bytes()).unwrap(),
        requests.len()
    );
    eventually("the end of the connection", CUT_OFF_WITHIN, async || {
        let written = client.try_write(b"P");
        written
            .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
            .then_some(())
    })
    .await;
}
