//! Whatever comes as a body or a URL is answered, in GraphQL's shape and as the caller's fault.

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use super::raw::{encoded, request, send};
use crate::harness::{Database, Server};

/// Requests of each kind; each is a connection of its own.
const CASES: u32 = 200;

/// Something like JSON, with the members that are known.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
        Just(r#""{ __typename }""#.to_owned()),
        Just(r#"{"id": "\u0000", "n": [[{}]]}"#.to_owned()),
        Just(r#"{"persistedQuery": {"version": 1, "sha256Hash": "00"}}"#.to_owned()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let name = prop_oneof![
        Just("query"),
        Just("variables"),
        Just("operationName"),
        Just("extensions"),
        Just("documentId"),
        Just("x"),
    ];
    let object = vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value}"))
            .collect();
        format!("{{{}}}", members.join(", ")).into_bytes()
    });
    prop_oneof![object, vec(any::<u8>(), 0..200)]
}

#[test]
fn any_body_and_any_url_is_answered_in_graphqls_shape() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, server) = runtime.block_on(async {
        let database = Database::sqlite().await;
        let server = Server::start(&database).await;
        (database, server)
    });
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let is_answered = |bytes: Vec<u8>| {
        let answer = runtime.block_on(send(server.url(), &bytes));
        answer.json();
        prop_assert!((200..500).contains(&answer.status), "{:?}", answer);
        Ok(())
    };
    TestRunner::new(config.clone())
        .run(&body(), |body| {
            is_answered(request(
                "POST /graphql",
                &["content-type: application/json"],
                &body,
            ))
        })
        .unwrap();
    let parameters = vec(
        (
            prop_oneof![
                Just("query"),
                Just("variables"),
                Just("extensions"),
                Just("a")
            ],
            any::<String>(),
        ),
        0..4,
    );
    TestRunner::new(config.clone())
        .run(&parameters, |parameters| {
            let query: Vec<String> = parameters
                .iter()
                .map(|(name, value)| format!("{name}={}", encoded(value)))
                .collect();
            let line = format!("GET /graphql?{}", query.join("&"));
            is_answered(request(&line, &["accept: application/json"], b""))
        })
        .unwrap();
    TestRunner::new(config)
        .run(&"[!-~]{0,60}", |query| {
            is_answered(request(
                &format!("GET /graphql?{query}"),
                &["accept: application/json"],
                b"",
            ))
        })
        .unwrap();
    drop((server, database));
}
