//! Top-level errors: their codes, their paths, and what they leave of the answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Database, Server, seed};

/// The most that an answer to a refused request may have.
const REFUSAL_LEN_MAX: usize = 8 * 1024;

/// What of the client's own text may come back.
const ECHO_LEN_MAX: usize = 100;

/// The enum's texts are the first column of the table, in any order.
#[test]
fn every_code_is_documented_and_no_other() {
    let code = include_str!("../../src/graphql/fault.rs");
    let (_, names) = code.split_once("pub fn as_str(self)").unwrap();
    let (names, _) = names.split_once("\n    }").unwrap();
    let of_enum: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(of_enum.len() > 10, "{of_enum:?}");

    let page = include_str!("../../docs/errors.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let documented: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(
        documented, of_enum,
        "docs/errors.md against src/graphql/fault.rs"
    );
    assert_eq!(documented.len(), rows.len(), "a code is documented once");
    for row in rows {
        assert!(
            row.len() == 4 && row.iter().all(|cell| !cell.is_empty()),
            "{row:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_nullable_field_leaves_its_siblings_and_names_its_path() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let nobody = server.client();
    let document = "query($id: ID!, $ids: [ID!]!) {
        mine: me { subject }
        event(by: { id: $id }) { id name }
        broken: node(id: \"no id\") { id }
        several: nodes(ids: $ids) { id }
        bought: order(id: $id) { id }
    }";
    let ids = json!([event.id, "no id", event.ticket_type_id]);
    let answer = nobody
        .send(document, json!({ "id": event.id, "ids": ids }))
        .await;
    assert_eq!(answer.data["mine"], Value::Null);
    assert_eq!(answer.data["event"]["id"], json!(event.id));
    assert_eq!(answer.data["broken"], Value::Null);
    let several = json!([{ "id": event.id }, null, { "id": event.ticket_type_id }]);
    assert_eq!(answer.data["several"], several);
    assert_eq!(answer.data["bought"], Value::Null);
    let mut told: Vec<(String, &str)> = answer
        .errors
        .iter()
        .map(|error| {
            (
                error["path"].to_string(),
                error["extensions"]["code"].as_str().unwrap(),
            )
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (r#"["bought"]"#.to_owned(), "UNAUTHENTICATED"),
            (r#"["broken"]"#.to_owned(), "BAD_USER_INPUT"),
            (r#"["mine"]"#.to_owned(), "UNAUTHENTICATED"),
            (r#"["several",1]"#.to_owned(), "BAD_USER_INPUT"),
        ]
    );
}

/// `Viewer.orders` cannot be null, and an organizer has none: what can be null around it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_where_null_is_not_allowed_nulls_what_is_around_it() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let organizer = server.client().organizer("otto");
    let document = "{ events { nodes { id } } me { subject orders { nodes { id } } role } }";
    let answer = organizer.send(document, json!({})).await;
    assert_eq!(answer.fault(), Some("FORBIDDEN"));
    assert_eq!(answer.errors[0]["path"], json!(["me", "orders"]));
    assert_eq!(
        answer.data,
        json!({ "events": { "nodes": [] }, "me": null })
    );

    // A list that cannot be null, at the root.
    let answer = organizer
        .send(
            "{ events(first: 0) { nodes { id } } me { role } }",
            json!({}),
        )
        .await;
    assert_eq!(answer.fault(), Some("BAD_USER_INPUT"));
    assert_eq!(answer.errors[0]["path"], json!(["events"]));
    assert_eq!(answer.data, Value::Null);
}

on_both_databases! {
    async fn the_answers_keys_are_in_the_order_of_the_document(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let document = "query($id: ID!) { z: event(by: { id: $id }) {
            tickets { nodes { event { slug } id ticketType { price { currency amount } id } status } }
            organizer { name } id ticketTypes { availability { sold total } name } name
        } a: __typename }";
        let request = json!({ "query": document, "variables": { "id": event.id } });
        let response = reqwest::Client::new().post(format!("{}/graphql", server.url())).json(&request).send();
        let text = response.await.unwrap().text().await.unwrap();
        let mut from = 0;
        for key in [
            "z", "tickets", "nodes", "event", "slug", "id", "ticketType", "price", "currency", "amount", "id", "status",
            "organizer", "name", "id", "ticketTypes", "availability", "sold", "total", "name", "name", "a",
        ] {
            let key = format!("\"{key}\":");
            // The second and third ticket repeat the keys of the first.
            let found = text[from..].find(&key).unwrap_or_else(|| panic!("{key} is not behind {from} in {text}"));
            from += found + key.len();
        }
    }
}

/// Whatever is wrong with a document, the answer is short, on one line and coded, and has no data.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_short_and_repeats_little_of_what_was_sent() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    // A name may be so long.
    let long = "Qx".repeat(128);
    let endless = "Qx".repeat(5_000);
    let many: String = (0..50).map(|n| format!("Qx{n} ")).collect();
    for (document, variables, code) in [
        (format!("{{ {long}"), json!({}), "GRAPHQL_PARSE_FAILED"),
        (format!("{{ {endless} }}"), json!({}), "QUERY_TOO_LARGE"),
        (
            format!("{{ events(first: \"{endless}\") {{ nodes {{ id }} }} }}"),
            json!({}),
            "BAD_USER_INPUT",
        ),
        (
            format!("{{ a }} \n\n # {long} \n }}"),
            json!({}),
            "GRAPHQL_PARSE_FAILED",
        ),
        (
            format!("{{ {long} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ {many} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ me {{ {long}: {long} }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ me @{long} {{ role }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ me({long}: 1) {{ role }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ ...{long} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("query {long}($a: {long}) {{ me {{ role }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("query {long}($a: Int) {{ me {{ role }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ {long}: me {{ role }} {long}: events {{ nodes {{ id }} }} }}"),
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            format!("{{ events(filter: {{ status: {long} }}) {{ nodes {{ id }} }} }}"),
            json!({}),
            "BAD_USER_INPUT",
        ),
        (
            format!("{{ events(first: \"{long}\") {{ nodes {{ id }} }} }}"),
            json!({}),
            "BAD_USER_INPUT",
        ),
        (
            "query($f: EventFilter) { events(filter: $f) { nodes { id } } }".to_owned(),
            json!({ "f": { "status": endless, endless.clone(): 1 } }),
            "BAD_USER_INPUT",
        ),
        (
            "query($f: EventFilter) { events(filter: $f) { nodes { id } } }".to_owned(),
            json!({ "f": { "startsFrom": endless } }),
            "BAD_USER_INPUT",
        ),
        (
            "query($f: Int) { events(first: $f) { nodes { id } } }".to_owned(),
            json!({ "f": { "a": [endless, endless] } }),
            "BAD_USER_INPUT",
        ),
    ] {
        let request = json!({ "query": document, "variables": variables });
        let response = reqwest::Client::new()
            .post(format!("{}/graphql", server.url()))
            .json(&request)
            .send();
        let text = response.await.unwrap().text().await.unwrap();
        let begin: String = document.chars().take(60).collect();
        assert!(
            text.len() <= REFUSAL_LEN_MAX,
            "{begin}: {} bytes",
            text.len()
        );
        let body: Value = serde_json::from_str(&text).unwrap();
        let errors = body["errors"].as_array().unwrap();
        assert!((1..=10).contains(&errors.len()), "{begin}: {text}");
        for error in errors {
            let message = error["message"].as_str().unwrap();
            assert!(!message.contains(char::is_control), "{begin}: {message:?}");
            assert!(
                2 * message.matches("Qx").count() <= ECHO_LEN_MAX,
                "{begin}: {message}"
            );
            assert_eq!(error["extensions"]["code"], code, "{begin}: {message}");
            assert!(error["extensions"]["requestId"].is_string(), "{begin}");
        }
    }
}
