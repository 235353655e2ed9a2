//! The schema as tools see it: generated, committed, and described to the last enum value.

use serde_json::{Value, json};

use crate::harness::{Database, Server};

/// Everything that can have a description. Directives are left out: all of them are GraphQL's own.
const INTROSPECTION: &str = "{ __schema { types {
    name description specifiedByURL
    fields(includeDeprecated: true) { name description args(includeDeprecated: true) { name description } }
    inputFields(includeDeprecated: true) { name description }
    enumValues(includeDeprecated: true) { name description }
} } }";

/// GraphQL's own scalars, which every client knows.
const OWN_SCALARS: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

#[test]
fn the_committed_schema_is_the_servers() {
    let committed = include_str!("../../schema.graphql");
    let printed = Server::command(&["schema"]).print();
    if let Some((line, (committed, printed))) = committed
        .lines()
        .zip(printed.lines())
        .enumerate()
        .find(|(_, (committed, printed))| committed != printed)
    {
        panic!(
            "schema.graphql is out of date from line {}: it has {committed:?}, the server {printed:?}.\n\
             Write it anew: cargo run -- schema > schema.graphql",
            line + 1
        );
    }
    assert_eq!(
        committed.len(),
        printed.len(),
        "schema.graphql is out of date. Write it anew: cargo run -- schema > schema.graphql"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_schema_has_a_description() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let data = server.client().data(INTROSPECTION, json!({})).await;

    let mut described = 0;
    let mut bare = Vec::new();
    let mut look = |path: String, object: &Value| match object["description"].as_str() {
        Some(text) if !text.trim().is_empty() => described += 1,
        _ => bare.push(path),
    };
    for of_schema in list(&data["__schema"]["types"]) {
        let type_name = name(of_schema);
        if type_name.starts_with("__") || OWN_SCALARS.contains(&type_name) {
            continue;
        }
        look(type_name.to_owned(), of_schema);
        for member in ["fields", "inputFields", "enumValues"] {
            for object in list(&of_schema[member]) {
                let path = format!("{type_name}.{}", name(object));
                look(path.clone(), object);
                for argument in list(&object["args"]) {
                    look(format!("{path}({}:)", name(argument)), argument);
                }
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new(), "without a description");
    assert!(described > 300, "only {described} things were looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scalar_of_ours_says_what_specifies_it() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let document = "{ __schema { types { name kind specifiedByURL } } }";
    let data = server.client().data(document, json!({})).await;
    let scalars: Vec<_> = list(&data["__schema"]["types"])
        .iter()
        .filter(|of_schema| {
            of_schema["kind"] == "SCALAR" && !OWN_SCALARS.contains(&name(of_schema))
        })
        .collect();
    assert!(scalars.len() >= 2, "DateTime and Decimal");
    for scalar in scalars {
        assert!(
            scalar["specifiedByURL"]
                .as_str()
                .is_some_and(|url| url.starts_with("https://")),
            "{scalar}"
        );
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name(object: &Value) -> &str {
    object["name"].as_str().expect("everything has a name")
}
