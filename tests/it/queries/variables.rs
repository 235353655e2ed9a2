//! Variables, the literals beside them, and the operation that is meant.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::ask;
use crate::harness::{
    Database, Server,
    client::{Answer, PURCHASE_TICKETS},
};

#[tokio::test(flavor = "multi_thread")]
async fn variables_as_deep_as_json_goes_are_answered() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let http = reqwest::Client::new();
    for (depth, code) in [
        (100, "BAD_USER_INPUT"),
        (1_000, "BAD_REQUEST"),
        (100_000, "BAD_REQUEST"),
    ] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let middle = if open == "[" { "" } else { "1" };
            let value = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            let body = format!(
                "{{\"query\":\"query($a:EventBy!){{event(by:$a){{id}}}}\",\"variables\":{{\"a\":{value}}}}}"
            );
            let request = http
                .post(format!("{}/graphql", server.url()))
                .header("content-type", "application/json")
                .body(body);
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            let is_too_long = answer.status == StatusCode::PAYLOAD_TOO_LARGE;
            assert!(
                is_too_long || answer.fault() == Some(code),
                "{depth} {open}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_that_do_not_fit_are_named_before_anything_is_executed() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let ada = server.client().customer("ada");
    for (input, said) in [
        (
            json!({ "tickets": { "ids": ["a", "b", true] }, "idempotencyKey": "k" }),
            "$input.tickets.ids[2] must be of type ID",
        ),
        (
            json!({ "tickets": { "ids": ["a", null] }, "idempotencyKey": "k" }),
            "$input.tickets.ids[1] must not be null",
        ),
        (
            json!({ "tickets": { "ids": ["a"], "anyOf": null }, "idempotencyKey": "k" }),
            "$input.tickets must have exactly one field",
        ),
        (
            json!({ "tickets": {}, "idempotencyKey": "k" }),
            "$input.tickets must have exactly one field",
        ),
        (
            json!({ "tickets": { "ids": ["a"] } }),
            "$input of type PurchaseTicketsInput lacks idempotencyKey",
        ),
        (
            json!({ "tickets": { "ids": ["a"] }, "idempotencyKey": "k", "x": 1 }),
            "$input has a field \"x\"",
        ),
        (
            json!({ "tickets": { "ids": ["a"] }, "idempotencyKey": 1 }),
            "$input.idempotencyKey must be of type String",
        ),
        (
            json!({ "tickets": { "anyOf": { "ticketTypeId": "a", "quantity": 3_000_000_000_u64 } }, "idempotencyKey": "k" }),
            "$input.tickets.anyOf.quantity must be an Int",
        ),
        (json!([]), "$input must be of type PurchaseTicketsInput"),
        (Value::Null, "$input must not be null"),
    ] {
        let answer = ada.send(PURCHASE_TICKETS, json!({ "input": input })).await;
        assert_eq!(
            answer.fault(),
            Some("BAD_USER_INPUT"),
            "{input}: {answer:?}"
        );
        let message = answer.errors[0]["message"].as_str().unwrap();
        assert!(message.starts_with(said), "{input}: {message}");
        assert_eq!(answer.data, Value::Null);
        assert!(
            answer.errors[0]["path"].is_null(),
            "nothing was executed: {answer:?}"
        );
    }
    let answer = ada.send(PURCHASE_TICKETS, json!({})).await;
    assert_eq!(
        answer.errors[0]["message"],
        "$input is missing, and is of type PurchaseTicketsInput!"
    );
    // A scalar of ours is read by its field.
    let dates = "query($from: DateTime) { events(filter: { startsFrom: $from }) { nodes { id } } }";
    let by_variable = ada.send(dates, json!({ "from": "yesterday" })).await;
    let by_literal = ask(
        &ada,
        dates
            .replace("($from: DateTime)", "")
            .replace("$from", "\"yesterday\""),
    )
    .await;
    for answer in [by_variable, by_literal] {
        assert_eq!(answer.fault(), Some("BAD_USER_INPUT"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn literals_beside_variables_are_checked_too() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let ada = server.client().customer("ada");
    for (input, said) in [
        ("{ tickets: { ids: $ids }, key: 1 }", "has a field \"key\""),
        ("{ tickets: { ids: $ids } }", "lacks idempotencyKey"),
        (
            "{ tickets: { ids: $ids }, idempotencyKey: 1 }",
            "idempotencyKey must be of type String",
        ),
        (
            "{ tickets: { ids: $ids, anyOf: null }, idempotencyKey: \"k\" }",
            "tickets must have exactly one field",
        ),
    ] {
        let document =
            format!("mutation($ids: [ID!]) {{ purchaseTickets(input: {input}) {{ __typename }} }}");
        let answer = ada.send(&document, json!({ "ids": ["a"] })).await;
        assert_eq!(
            answer.fault(),
            Some("BAD_USER_INPUT"),
            "{input}: {answer:?}"
        );
        let message = answer.errors[0]["message"].as_str().unwrap();
        assert!(message.contains(said), "{input}: {message}");
    }
    for declared in [
        "Nothing",
        "[Nothing!]! = [1]",
        "Event",
        "[Query] = []",
        "__Type",
    ] {
        let document = format!("query($a: {declared}) {{ __typename }}");
        let answer = ask(&ada, &document).await;
        assert_eq!(
            answer.fault(),
            Some("GRAPHQL_VALIDATION_FAILED"),
            "{declared}: {answer:?}"
        );
    }
    for declared in [
        "Float = 1",
        "[Float!]! = [1.5]",
        "Boolean = true",
        "Decimal = 1",
    ] {
        let document = format!("query($a: {declared}) {{ __typename }}");
        let answer = ask(&ada, &document).await;
        assert!(!answer.status.is_server_error(), "{declared}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_meant_by_its_name() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let http = reqwest::Client::new();
    let send = async |query: &str, name: Value| {
        let request = http
            .post(format!("{}/graphql", server.url()))
            .json(&json!({ "query": query, "operationName": name }));
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    let two = "query A { a: __typename } query B { b: __typename }";
    assert_eq!(send(two, json!("A")).await.data, json!({ "a": "Query" }));
    assert_eq!(send(two, json!("B")).await.data, json!({ "b": "Query" }));
    assert_eq!(
        send("query A { a: __typename }", Value::Null).await.data,
        json!({ "a": "Query" })
    );
    for (query, name) in [
        (two, Value::Null),
        (two, json!("C")),
        ("{ __typename }", json!("A")),
        ("query A { __typename }", json!("a")),
    ] {
        let answer = send(query, name.clone()).await;
        assert_eq!(
            answer.fault(),
            Some("BAD_USER_INPUT"),
            "{query} {name}: {answer:?}"
        );
        assert_eq!(answer.data, Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_number_may_be_written_with_an_empty_fraction() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let document = "query($n: Int) { events(first: $n) { nodes { id } } }";
    let client = server.client();
    assert_eq!(
        client.data(document, json!({ "n": 2.0 })).await,
        json!({ "events": { "nodes": [] } })
    );
    let answer = client.send(document, json!({ "n": 2.5 })).await;
    assert_eq!(answer.fault(), Some("BAD_USER_INPUT"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variables_default_decides_over_skip_and_include() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let client = server.client();
    let document = "query($no: Boolean! = true, $yes: Boolean! = true, $n: Int = 1) {
        a: events(first: $n) @skip(if: $no) { nodes { id } }
        b: events(first: $n) @include(if: $yes) { nodes { id } }
    }";
    let events = json!({ "nodes": [] });
    let data = client.data(document, json!({})).await;
    assert_eq!((&data["a"], &data["b"]), (&Value::Null, &events), "{data}");
    let given = json!({ "no": false, "yes": false });
    let data = client.data(document, given).await;
    assert_eq!((&data["a"], &data["b"]), (&events, &Value::Null), "{data}");
}
