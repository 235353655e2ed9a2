//! What the schema tells of itself, and what it does not when it is told not to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ask, introspection};
use crate::harness::{Database, Server, client::PURCHASE_TICKET, seed};

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_introspection_is_answered_with_nothing_set() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let answer = ask(&server.client(), introspection()).await;
    assert_eq!(answer.errors, Vec::<Value>::new());
    let types = answer.data["__schema"]["types"].as_array().unwrap();
    assert!(types.len() > 100, "{}", types.len());
    let cost = answer.extensions["cost"]["requested"].as_u64().unwrap();
    assert!((100..5_000).contains(&cost), "{cost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_schema_can_be_guessed_when_introspection_is_off() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--introspection")
        .arg("off")
        .start()
        .await;
    let client = server.client().customer("ada");
    let input = |input: Value| json!({ "input": input });
    let mut said = BTreeSet::new();
    for (document, variables) in [
        ("{ __schema { types { name } } }", json!({})),
        ("{ __type(name: \"Event\") { name } }", json!({})),
        ("{ me { __schema { types { name } } } }", json!({})),
        (
            "{ __typename ...F } fragment F on Query { a: __schema { queryType { name } } }",
            json!({}),
        ),
        ("{ evnts { nodes { id } } }", json!({})),
        ("{ events { nods { id } } }", json!({})),
        ("{ events }", json!({})),
        ("{ events(frist: 1) { nodes { id } } }", json!({})),
        ("{ events(first: \"a\") { nodes { id } } }", json!({})),
        (
            "{ events(filter: { status: NONE }) { nodes { id } } }",
            json!({}),
        ),
        ("{ ... on Evnt { id } }", json!({})),
        ("query($a: Evnt) { __typename }", json!({})),
        ("query($a: Event) { __typename }", json!({})),
        ("query($a: Int) { __typename }", json!({})),
        ("{ __typename @defer }", json!({})),
        ("{ __typename(a: 1) }", json!({})),
        ("{ __typename { a } }", json!({})),
        ("{ __typename @skip(fi: true) }", json!({})),
        ("subscription { a }", json!({})),
        (
            "mutation($k: String!) { purchaseTicket(input: { key: $k }) { __typename } }",
            json!({ "k": "a" }),
        ),
        (PURCHASE_TICKET, json!({})),
        (PURCHASE_TICKET, input(json!({}))),
        (
            PURCHASE_TICKET,
            input(json!({ "ticketId": true, "idempotencyKey": "k" })),
        ),
        (
            PURCHASE_TICKET,
            input(json!({ "ticketId": "a", "idempotencyKey": "k", "more": 1 })),
        ),
    ] {
        let answer = client.send(document, variables).await;
        assert_eq!(
            answer.fault(),
            Some("GRAPHQL_VALIDATION_FAILED"),
            "{document}: {answer:?}"
        );
        let mut error = answer.errors[0].clone();
        error["extensions"]["requestId"].take();
        said.insert(Value::from(vec![error]).to_string());
        assert_eq!(answer.errors.len(), 1);
    }
    assert_eq!(said.len(), 1, "{said:#?}");
    // Neither does a scalar say what it is a part of.
    let answer = ask(
        &client,
        "{ events(filter: { startsFrom: \"yesterday\" }) { nodes { id } } }",
    )
    .await;
    assert_eq!(answer.fault(), Some("BAD_USER_INPUT"));
    let message = answer.errors[0]["message"].as_str().unwrap();
    assert!(
        !message.contains("Filter") && !message.contains("DateTime"),
        "{message}"
    );
    // What fits is answered as ever.
    let event = seed::seats(&server.client(), 1).await;
    let document = "query($id: ID!) { event(by: { id: $id }) { __typename } }";
    assert_eq!(
        client.data(document, json!({ "id": event.id })).await,
        json!({ "event": { "__typename": "Event" } })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_meant_is_said_when_introspection_is_on() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let answer = ask(&server.client(), "{ evnts { nodes { id } } }").await;
    let message = answer.errors[0]["message"].as_str().unwrap();
    assert!(message.contains("events"), "{message}");
    // For a text so long that looking for it would take long, it is not.
    let long = format!(
        "{{ {} }}",
        (0..1_500)
            .map(|i| format!("some_longer_name_{i} "))
            .collect::<String>()
    );
    let answer = ask(&server.client(), long).await;
    assert_eq!(answer.fault(), Some("QUERY_TOO_LARGE"), "{answer:?}");
}
