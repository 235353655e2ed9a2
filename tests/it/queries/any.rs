//! Any document with any variables.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::{doubling, introspection};
use crate::harness::{Database, Server, client::PURCHASE_TICKETS};

/// Documents from what documents are made of, and from good ones with something taken out, repeated or put in.
fn any_document() -> impl Strategy<Value = String> {
    let good = vec![introspection(), PURCHASE_TICKETS.to_owned(), doubling(5),
        "query Q($n: Int = 3, $s: [ID!]! = [\"a\"]) { events(first: $n) @include(if: true) { ...P } nodes(ids: $s) { id ... on Event { name } } }
         fragment P on EventConnection { nodes { id ticketTypes { price { amount } } } pageInfo { endCursor } }".to_owned()];
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "!",
        "$",
        "$n",
        "=",
        ":",
        "...",
        "@",
        "@skip(if: $n)",
        "|",
        "&",
        "query",
        "mutation",
        "subscription",
        "fragment",
        "on",
        "Query",
        "Event",
        "events",
        "first",
        "nodes",
        "id",
        "__typename",
        "__schema",
        "null",
        "true",
        "1",
        "-0",
        "1e999",
        "99999999999999999999",
        "\"",
        "\"\"\"",
        "\"a\"",
        "\\u0000",
        "\\",
        "#",
        "\n",
        "\u{0}",
        "\u{feff}",
        "é",
        "🎫",
        " ",
        ",",
        "{ a }",
        "(a: [1, {b: $c}])",
        "[[[[",
        "...F",
        "[Nothing] = [1]",
        "Float",
    ]);
    let random = prop::collection::vec(piece.clone(), 0..40).prop_map(|pieces| pieces.join(" "));
    let changed = (
        prop::sample::select(good),
        prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 0..6),
    )
        .prop_map(|(mut text, changes)| {
            for (index, cut, piece) in changes {
                let bounds: Vec<usize> = text
                    .char_indices()
                    .map(|(at, _)| at)
                    .chain([text.len()])
                    .collect();
                let begin = index.index(bounds.len());
                let end = bounds[(begin + cut).min(bounds.len() - 1)];
                text.replace_range(bounds[begin]..end, piece);
            }
            text
        });
    prop_oneof![random, changed, ".{0,60}"]
}

/// Anything that JSON can hold, with the names of the schema in it.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "tickets",
        "ids",
        "anyOf",
        "ticketTypeId",
        "quantity",
        "idempotencyKey",
        "",
        "é",
    ]);
    leaf.prop_recursive(6, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|fields| {
                let fields = fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(fields.collect())
            }),
        ]
    })
}

/// As many as `PROPTEST_CASES` says; the usual number if it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn any_document_with_any_variables_is_answered_with_well_formed_json() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let client = server.client().customer("ada");
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let mut valid = 0;
    for case in 0..2 * runner.config().cases {
        let document = any_document().new_tree(&mut runner).unwrap().current();
        let input = any_value().new_tree(&mut runner).unwrap().current();
        let document = if case % 4 == 0 {
            PURCHASE_TICKETS.to_owned()
        } else {
            document
        };
        let variables = json!({ "n": 1, "s": ["a"], "input": input });
        // Whatever is no JSON, or takes too long, fails in the client.
        let answer = client.send(&document, variables.clone()).await;
        let what = || format!("{document:?} {variables}: {answer:?}");
        assert!(!answer.status.is_server_error(), "{}", what());
        for error in &answer.errors {
            let code = error["extensions"]["code"].as_str();
            assert!(code.is_some_and(|code| code != "INTERNAL"), "{}", what());
            assert!(error["message"].is_string(), "{}", what());
        }
        assert!(answer.errors.len() <= 10, "{}", what());
        valid += usize::from(answer.data != Value::Null);
    }
    assert!(valid > 0, "some of them are good");
}
