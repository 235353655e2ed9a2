//! Documents and variables, whatever is in them: each is answered, and none takes long.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Server,
    client::{PURCHASE_TICKET, PURCHASE_TICKETS},
    seed,
};

/// The tools' introspection query with everything that they can ask for, laid out as theirs is: the types of fields and
/// arguments nine lists and non-nulls deep.
fn introspection() -> String {
    let of_type = (0..9).fold("kind name".to_owned(), |inner, _| {
        format!("kind name ofType {{ {inner} }}")
    });
    format!(
        "query IntrospectionQuery {{
            __schema {{
                description
                queryType {{ name kind }} mutationType {{ name kind }} subscriptionType {{ name kind }}
                types {{ ...FullType }}
                directives {{
                    name description isRepeatable locations
                    args(includeDeprecated: true) {{ ...InputValue }}
                }}
            }}
        }}
        fragment FullType on __Type {{
            kind name description specifiedByURL isOneOf
            fields(includeDeprecated: true) {{
                name description
                args(includeDeprecated: true) {{ ...InputValue }}
                type {{ ...TypeRef }}
                isDeprecated deprecationReason
            }}
            inputFields(includeDeprecated: true) {{ ...InputValue }}
            interfaces {{ ...TypeRef }}
            enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
            possibleTypes {{ ...TypeRef }}
        }}
        fragment InputValue on __InputValue {{
            name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason
        }}
        fragment TypeRef on __Type {{ {of_type} }}"
    )
}

async fn ask(client: &Client, document: impl AsRef<str>) -> crate::harness::client::Answer {
    client.send(document.as_ref(), json!({})).await
}

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

/// A document with `n` of something, for each limit.
const LIMITS: [(&str, usize, fn(usize) -> String); 9] = [
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

/// Each fragment spreads the next one twice.
fn doubling(fragments: usize) -> String {
    let chain: String = (0..fragments)
        .map(|i| format!("fragment F{i} on Query{{...F{n} ...F{n}}}", n = i + 1))
        .collect();
    format!("{{...F0}}{chain}fragment F{fragments} on Query{{__typename}}")
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
                many(20, |i| format!("a{i}:SCHEMA ")).replace("SCHEMA", schema)
            )
        }),
        (
            "pages of pages",
            "{events(first:100){nodes{tickets(first:100){nodes{id}}}}}".to_owned(),
        ),
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
            let answer = crate::harness::client::Answer::read(request.send().await.unwrap())
                .await
                .unwrap();
            let is_too_long = answer.status == StatusCode::PAYLOAD_TOO_LARGE;
            assert!(
                is_too_long || answer.fault() == Some(code),
                "{depth} {open}: {answer:?}"
            );
        }
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
        crate::harness::client::Answer::read(request.send().await.unwrap())
            .await
            .unwrap()
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
async fn nothing_of_the_schema_can_be_guessed_when_introspection_is_off() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--introspection")
        .arg("off")
        .start()
        .await;
    let client = server.client().customer("ada");
    let input = |input: Value| json!({ "input": input });
    let mut said = std::collections::BTreeSet::new();
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
        prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 1..6),
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
        let variables = json!({ "n": 1, "s": input, "input": input });
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
