//! How large a document may be, and how much an answer may cost.

use serde_json::{Value, json};

use super::{ask, doubling};
use crate::harness::{Database, Server};

/// A limit, and documents that have just that much of what it limits.
type Limit = (&'static str, usize, fn(usize) -> String);

/// Every limit of `--query-…`, lower than usual.
const LIMITS: [Limit; 9] = [
    ("tokens", 100, |n| {
        format!("{{ nodes(ids: [{}]) {{ id }} }}", "\"a\" ".repeat(n - 12))
    }),
    ("depth", 5, |n| {
        format!(
            "{} {{ __typename }} {}",
            "{ ...".repeat(n - 1),
            "}".repeat(n - 1)
        )
    }),
    ("value-depth", 4, |n| {
        format!(
            "{{ nodes(ids: {}{}) {{ id }} }}",
            "[".repeat(n),
            "]".repeat(n)
        )
    }),
    ("definitions", 3, |n| {
        let spreads: String = (1..n).map(|i| format!("...F{i} ")).collect();
        let fragments: String = (1..n)
            .map(|i| format!("fragment F{i} on Query {{ __typename }} "))
            .collect();
        format!("{{ {spreads} }} {fragments}")
    }),
    ("aliases", 3, |n| {
        format!(
            "{{ {} }}",
            (0..n)
                .map(|i| format!("a{i}: __typename "))
                .collect::<String>()
        )
    }),
    ("directives", 3, |n| {
        format!("{{ {} }}", "__typename @include(if: true) ".repeat(n))
    }),
    ("root-fields", 4, |n| {
        format!("{{ {} }}", "__typename ".repeat(n))
    }),
    ("selections", 20, |n| {
        // The fragment is counted where it stands, and where it is spread.
        let fields = "__typename ".repeat((n - 2) / 2);
        let more = if n % 2 == 1 { "__typename" } else { "" };
        format!("{{ me {{ ...F {more} }} }} fragment F on Viewer {{ {fields} }}")
    }),
    ("cost", 83, |n| {
        let more = "__typename ".repeat(n - 81);
        format!("{{ events(first: 40) {{ nodes {{ id }} }} {more} }}")
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_is_kept_to_the_last_one() {
    let database = Database::sqlite().await;
    let server = LIMITS
        .iter()
        .fold(Server::builder(&database), |builder, (name, max, _)| {
            builder
                .arg(&format!("--query-{name}"))
                .arg(&max.to_string())
        })
        .start()
        .await;
    let client = server.client();
    for (name, max, document) in LIMITS {
        let code = if name == "cost" {
            "QUERY_TOO_COSTLY"
        } else {
            "QUERY_TOO_LARGE"
        };
        let within = ask(&client, document(max)).await;
        assert_ne!(within.fault(), Some(code), "{name}: {within:?}");
        let beyond = ask(&client, document(max + 1)).await;
        assert_eq!(beyond.fault(), Some(code), "{name}: {beyond:?}");
        assert_eq!(beyond.data, Value::Null, "{name}");
        let message = beyond.errors[0]["message"].as_str().unwrap();
        for part in [
            &format!("--query-{name}"),
            &max.to_string(),
            &(max + 1).to_string(),
        ] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

/// What would hurt if it were let through.
fn nasty() -> Vec<(&'static str, String)> {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let many = |n: usize, one: fn(usize) -> String| (0..n).map(one).collect::<String>();
    vec![
        ("fragments that double, 1 KB", doubling(25)),
        ("fragments that double, 190 times", doubling(190)),
        ("fragments that double, 5,000 times", doubling(5_000)),
        (
            "10,000 aliases",
            format!("{{{}}}", many(10_000, |i| format!("a{i}:__typename "))),
        ),
        (
            "2,000 aliases",
            format!("{{{}}}", many(2_000, |i| format!("a{i}:__typename "))),
        ),
        (
            "10,000 directives",
            format!("{{__typename {}}}", "@include(if:true)".repeat(10_000)),
        ),
        (
            "1,900 directives",
            format!("{{__typename {}}}", "@a ".repeat(1_900)),
        ),
        ("100,000 tokens", format!("{{{}}}", "a ".repeat(100_000))),
        (
            "100,000 values",
            format!("{{nodes(ids:[{}]){{id}}}}", "1-".repeat(100_000)),
        ),
        (
            "60,000 values",
            format!("{{nodes(ids:[{}]){{id}}}}", "true".repeat(60_000)),
        ),
        (
            "1,000 selections deep",
            format!("{}__typename{}", "{a".repeat(1_000), "}".repeat(1_000)),
        ),
        ("100,000 selections deep, and no end", "{a".repeat(100_000)),
        (
            "1,000 lists deep",
            format!("{{nodes(ids:{}){{id}}}}", deep("[", "]", 1_000)),
        ),
        (
            "100,000 lists deep, and no end",
            format!("{{nodes(ids:{}", "[".repeat(100_000)),
        ),
        (
            "1,000 objects deep",
            format!(
                "{{event(by:{}{}){{id}}}}",
                "{a:".repeat(1_000),
                "}".repeat(1_000)
            ),
        ),
        (
            "1,000 lists deep in a default",
            format!("query($a:[ID]={}){{__typename}}", deep("[", "]", 1_000)),
        ),
        (
            "1,000 list types deep",
            format!(
                "query($a:{}ID{}){{__typename}}",
                "[".repeat(1_000),
                "]".repeat(1_000)
            ),
        ),
        (
            "1,000 lists deep in a directive",
            format!("{{__typename @a(b:{})}}", deep("[", "]", 1_000)),
        ),
        ("a fragment's variables in many operations", {
            let operations = many(190, |i| format!("query q{i}{{...F}} "));
            let ids = many(500, |i| format!("$v{i} "));
            format!("{operations} fragment F on Query{{nodes(ids:[{ids}]){{id}}}}")
        }),
        ("a fragment's arguments in many places", {
            let spreads = "...on Node{...F}".repeat(500);
            let arguments = many(500, |i| format!("a{i}:1 "));
            format!(
                "{{node(id:1){{{spreads}}}}} fragment F on Node{{id({arguments}) id({arguments})}}"
            )
        }),
        ("a directive's values in many places", {
            let spreads = "...on Node{...F}".repeat(500);
            format!(
                "{{node(id:1){{{spreads}}}}} fragment F on Node{{id @a(b:[{}])}}",
                "1 ".repeat(1_000)
            )
        }),
        ("inline fragments within each other", {
            let (open, close) = ("...on Node{".repeat(25), "}".repeat(25));
            let fields = "id ".repeat(4_500);
            format!("{{node(id:1){{{open}{fields}{close}}}}}")
        }),
        (
            "a name of 257 characters",
            format!("{{{}}}", "a".repeat(257)),
        ),
        (
            "100 root fields",
            format!("{{{}}}", "__typename ".repeat(100)),
        ),
        (
            "fields of the types of fields",
            "{__schema{types{fields{type{fields{type{fields{name}}}}}}}}".to_owned(),
        ),
        ("introspection over and over", {
            let schema = "__schema{types{fields{args{name}type{fields{args{name}}}}}}";
            format!(
                "{{{}}}",
                many(50, |i| format!("a{i}:SCHEMA ")).replace("SCHEMA", schema)
            )
        }),
        (
            "pages of pages",
            "{events(first:100){nodes{tickets(first:100){nodes{id}}}}}".to_owned(),
        ),
        ("ticket types of the events of ticket types", {
            let (open, close) = ("{ticketTypes{event".repeat(4), "}}".repeat(4));
            format!("{{events(first:1){{nodes{open}{{id}}{close}}}}}")
        }),
        (
            "audits",
            "{a:inventoryAudit(eventId:1){__typename}b:inventoryAudit(eventId:1){__typename}}"
                .to_owned(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_hurt_is_refused_with_its_code() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let client = server.client();
    for (what, document) in nasty() {
        let answer = ask(&client, document).await;
        assert!(
            matches!(answer.fault(), Some("QUERY_TOO_LARGE" | "QUERY_TOO_COSTLY")),
            "{what}: {answer:?}"
        );
        assert!(!answer.status.is_server_error(), "{what}: {answer:?}");
        assert_eq!(
            (&answer.data, answer.errors.len()),
            (&Value::Null, 1),
            "{what}: {answer:?}"
        );
    }
    // It is all there still.
    assert_eq!(
        ask(&client, "{ __typename }").await.data,
        json!({ "__typename": "Query" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_that_contain_themselves_are_no_document() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    for document in [
        "{ ...A } fragment A on Query { ...A }",
        "{ __typename } fragment A on Query { ...B } fragment B on Query { ... { ...A } }",
        "{ me { ...A } } fragment A on Viewer { subject orders { nodes { ...B } } } fragment B on Order { ...C }
         fragment C on Order { ...B }",
    ] {
        let answer = ask(&server.client(), document).await;
        assert_eq!(answer.fault(), Some("GRAPHQL_VALIDATION_FAILED"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_costs_is_told() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let client = server.client();
    let document = "query($n: Int = 30) { events(first: $n) { nodes { id } } }";
    for (variables, cost) in [
        (json!({}), 61),
        (json!({ "n": 5 }), 11),
        (json!({ "n": null }), 41),
    ] {
        let answer = client.send(document, variables).await;
        assert_eq!(
            answer.extensions["cost"],
            json!({ "requested": cost, "max": 10_000 }),
            "{answer:?}"
        );
    }
    let pages =
        "query($n: Int) { events(first: $n) { nodes { tickets(first: $n) { nodes { id } } } } }";
    let answer = client.send(pages, json!({ "n": 60 })).await;
    assert_eq!(answer.errors, Vec::<Value>::new());
    let answer = client.send(pages, json!({ "n": 80 })).await;
    assert_eq!(answer.fault(), Some("QUERY_TOO_COSTLY"));
    let cost = &answer.errors[0]["extensions"]["cost"];
    assert_eq!(
        *cost,
        json!({ "requested": 1 + 80 * (1 + 1 + 80 * 2), "max": 10_000 })
    );
}
