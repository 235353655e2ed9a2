//! A root field that is selected more than once under one key.

use serde_json::json;

use super::ask;
use crate::harness::{Database, Server, rows, seed};

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_is_selected_twice_under_one_key_happens_once() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let organizer = server.client().organizer("the hall");
    for (n, selections) in [
        "new: createEvent(input: $input) { event { id } } new: createEvent(input: $input) { userErrors { code } event { name } }",
        "new: createEvent(input: $input) { event { id } } ...F ...F",
        "... { ...F } ... on Mutation { new: createEvent(input: $input) { event { id } } }",
    ]
    .into_iter()
    .enumerate()
    {
        let fragment = "fragment F on Mutation { new: createEvent(input: $input) { userErrors { code } event { name } } }";
        let fragment = if selections.contains("...F") { fragment } else { "" };
        let document = format!("mutation($input: CreateEventInput!) {{ {selections} }} {fragment}");
        let input = seed::event_input();
        let data = organizer.data(&document, json!({ "input": input })).await;
        // A second event would be refused for its slug.
        assert_eq!(data["new"]["userErrors"], json!([]), "{document}");
        assert_eq!(data["new"]["event"]["name"], input["name"], "{document}");
        assert!(data["new"]["event"]["id"].is_string(), "{document}");
        let events = rows::count(&database.connect().await, "SELECT COUNT(*) FROM events").await;
        assert_eq!(events, i64::try_from(n).unwrap() + 1, "{document}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_a_directive_may_double_is_refused() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let organizer = server.client().organizer("the hall");
    let document = "mutation($input: CreateEventInput!, $more: Boolean!) {
        createEvent(input: $input) { event { id } }
        ... @include(if: $more) { createEvent(input: $input) { event { name } } }
    }";
    let variables = json!({ "input": seed::event_input(), "more": true });
    let answer = organizer.send(document, variables).await;
    assert_eq!(
        answer.fault(),
        Some("GRAPHQL_VALIDATION_FAILED"),
        "{answer:?}"
    );
    let message = answer.errors[0]["message"].as_str().unwrap();
    assert!(message.contains("@include"), "{message}");
    let events = rows::count(&database.connect().await, "SELECT COUNT(*) FROM events").await;
    assert_eq!(events, 0);
    // What the engine's validation lets through.
    let document = "{ a: node(id: \"x\") { id } ... on Query { a: node(id: \"y\") { id } } }";
    let answer = ask(&server.client(), document).await;
    assert_eq!(
        answer.fault(),
        Some("GRAPHQL_VALIDATION_FAILED"),
        "{answer:?}"
    );
}
