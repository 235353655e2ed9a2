//! A schema in which everything fails that can, against what the specification says of it.

use async_graphql::{
    EmptyMutation, EmptySubscription, Error, Interface, Object, Request, Result, Schema, Value,
    Variables, parser::types::ExecutableDocument,
};
use serde_json::json;

use super::{Answer, Shape};
use crate::graphql::types::Types;

struct Query;

#[derive(Clone)]
struct Thing;

struct Other;

#[derive(Interface)]
#[graphql(field(name = "late", ty = "i32"))]
enum Named {
    Thing(Thing),
    Other(Other),
}

fn fault() -> Error {
    Error::new("it failed")
}

/// Ready later than fields that wait for less.
async fn wait(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

#[Object]
impl Query {
    async fn thing(&self) -> Thing {
        wait(3).await;
        Thing
    }

    async fn maybe(&self) -> Option<Thing> {
        Some(Thing)
    }

    async fn things(&self) -> Vec<Thing> {
        wait(2).await;
        vec![Thing, Thing]
    }

    async fn some_things(&self) -> Option<Vec<Option<Thing>>> {
        Some(vec![Some(Thing), None])
    }

    async fn failing_items(&self) -> Vec<Option<Result<Thing>>> {
        vec![Some(Ok(Thing)), Some(Err(fault()))]
    }

    async fn named(&self, is_thing: bool) -> Named {
        if is_thing {
            Named::Thing(Thing)
        } else {
            Named::Other(Other)
        }
    }

    async fn bad(&self) -> Result<i32> {
        Err(fault())
    }

    async fn soft(&self) -> Option<Result<i32>> {
        Some(Err(fault()))
    }

    async fn one(&self) -> i32 {
        1
    }
}

#[Object]
impl Thing {
    async fn late(&self) -> i32 {
        wait(5).await;
        1
    }

    async fn soon(&self) -> i32 {
        2
    }

    async fn soft(&self) -> Option<Result<i32>> {
        wait(1).await;
        Some(Err(fault()))
    }

    /// As it must not be written, see `tests/it/boundaries.rs`.
    async fn harmful(&self) -> Result<Option<i32>> {
        Err(fault())
    }

    async fn bad(&self) -> Result<i32> {
        wait(1).await;
        Err(fault())
    }

    async fn child(&self) -> Thing {
        Thing
    }

    async fn maybe(&self) -> Option<Thing> {
        wait(2).await;
        Some(Thing)
    }

    async fn children(&self) -> Vec<Thing> {
        vec![Thing, Thing]
    }
}

#[Object]
impl Other {
    async fn late(&self) -> i32 {
        wait(4).await;
        1
    }

    async fn own(&self) -> i32 {
        3
    }
}

fn shape(document: &ExecutableDocument, variables: &Variables, types: &Types) -> Shape {
    let (_, operation) = document.operations.iter().next().unwrap();
    Shape::of(&document.fragments, &operation.node, variables, types)
}

async fn answer(document: &str, variables: serde_json::Value) -> Answer {
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let types = Types::read(&schema.sdl());
    let mut request = Request::new(document);
    let variables = Variables::from_json(variables);
    let shape = shape(request.parsed_query().unwrap(), &variables, &types);
    let response = schema.execute(request.variables(variables)).await;
    Answer::of_engine(response, &shape, &types, None)
}

/// The data's text, in which the order of the keys is seen.
async fn data(document: &str) -> String {
    let answer = answer(document, json!({})).await;
    assert!(
        answer.is_executed,
        "{document}: {:?}",
        answer.response.errors
    );
    answer.response.data.to_string().replace(' ', "")
}

#[tokio::test]
async fn keys_come_in_the_order_of_the_selection() {
    for (document, expected) in [
        (
            "{ thing { late soon } one }",
            "{thing:{late:1,soon:2},one:1}",
        ),
        (
            "{ one things { late x: soon __typename } }",
            r#"{one:1,things:[{late:1,x:2,__typename:"Thing"},{late:1,x:2,__typename:"Thing"}]}"#,
        ),
        (
            "{ thing { ...F soon } } fragment F on Thing { late }",
            "{thing:{late:1,soon:2}}",
        ),
        (
            "{ thing { late } maybe { soon } thing { soon } }",
            "{thing:{late:1,soon:2},maybe:{soon:2}}",
        ),
        (
            "{ thing { late @skip(if: true) soon late } }",
            "{thing:{soon:2,late:1}}",
        ),
        (
            "query($no: Boolean = false) { thing { ... @include(if: $no) { late } soon late } }",
            "{thing:{soon:2,late:1}}",
        ),
        (
            "{ named(isThing: false) { late ... on Thing { soon } ... on Other { own } } }",
            "{named:{late:1,own:3}}",
        ),
        (
            "{ named(isThing: true) { ... on Other { own } late ... on Thing { soon } } }",
            "{named:{late:1,soon:2}}",
        ),
        (
            "{ thing { maybe { late soon } child { late soon } soon } }",
            "{thing:{maybe:{late:1,soon:2},child:{late:1,soon:2},soon:2}}",
        ),
    ] {
        assert_eq!(data(document).await, expected, "{document}");
    }
}

#[tokio::test]
async fn a_failed_field_is_null_where_it_may_be_and_otherwise_what_is_around_it() {
    for (document, expected) in [
        ("{ one soft }", "{one:1,soft:null}"),
        ("{ soft }", "{soft:null}"),
        ("{ one bad }", "null"),
        ("{ bad }", "null"),
        ("{ thing { soon bad } one }", "null"),
        ("{ maybe { soon bad } one }", "{maybe:null,one:1}"),
        ("{ maybe { bad } one }", "{maybe:null,one:1}"),
        ("{ maybe { soft } one }", "{maybe:{soft:null},one:1}"),
        (
            "{ maybe { soft late } one }",
            "{maybe:{soft:null,late:1},one:1}",
        ),
        (
            "{ maybe { harmful soon } one }",
            "{maybe:{harmful:null,soon:2},one:1}",
        ),
        ("{ maybe { harmful } one }", "{maybe:{harmful:null},one:1}"),
        ("{ maybe { harmful bad } one }", "{maybe:null,one:1}"),
        ("{ maybe { bad harmful } one }", "{maybe:null,one:1}"),
        ("{ maybe { child { bad } soon } one }", "{maybe:null,one:1}"),
        (
            "{ maybe { maybe { child { bad soon } } soon } }",
            "{maybe:{maybe:null,soon:2}}",
        ),
        (
            "{ maybe { children { bad } soon } one }",
            "{maybe:null,one:1}",
        ),
        (
            "{ things { maybe { b: bad } soon } }",
            "{things:[{maybe:null,soon:2},{maybe:null,soon:2}]}",
        ),
        ("{ things { bad } one }", "null"),
        (
            "{ someThings { bad } one }",
            "{someThings:[null,null],one:1}",
        ),
        (
            "{ someThings { child { late bad } } }",
            "{someThings:[null,null]}",
        ),
        (
            "{ failingItems { soon } one }",
            "{failingItems:[{soon:2},null],one:1}",
        ),
        (
            "{ maybe { ...F soon } } fragment F on Thing { ... on Thing { bad } }",
            "{maybe:null}",
        ),
    ] {
        assert_eq!(data(document).await, expected, "{document}");
    }
}

#[tokio::test]
async fn an_errors_path_leads_to_the_field_that_failed() {
    let answer = answer("{ someThings { child { b: bad } } }", json!({})).await;
    let path = serde_json::to_value(&answer.response.errors[0].path).unwrap();
    assert_eq!(path, json!(["someThings", 0, "child", "b"]));
}

#[tokio::test]
async fn an_object_without_fields_is_an_object() {
    assert_eq!(data("{ one @skip(if: true) }").await, "{}");
}

#[tokio::test]
async fn what_was_not_executed_has_no_data() {
    for document in [
        "{ nothing }",
        "{ thing }",
        "query A { one } query B { one }",
    ] {
        let answer = answer(document, json!({})).await;
        assert!(!answer.is_executed, "{document}");
        assert_eq!(answer.response.data, Value::Null, "{document}");
        assert!(!answer.response.errors.is_empty(), "{document}");
    }
}

#[tokio::test]
async fn a_hundred_errors_are_told_as_ten() {
    let fields: String = (0..100).map(|n| format!("f{n}: soft ")).collect();
    let answer = answer(&format!("{{ {fields} }}"), json!({})).await;
    assert_eq!(answer.response.errors.len(), 10);
    let data = answer.response.data.into_json().unwrap();
    assert_eq!(data.as_object().unwrap().len(), 100);
}

#[test]
fn a_document_that_would_be_endless_has_no_shape() {
    let types = Types::read("type Query { q: Query }");
    let doubling: String = (0..60)
        .map(|n| {
            format!(
                "fragment F{n} on Query {{ a: q {{ ...F{0} }} b: q {{ ...F{0} }} }} ",
                n + 1
            )
        })
        .collect();
    for document in [
        format!("{{ ...F0 }} {doubling} fragment F60 on Query {{ q }}"),
        "{ ...F } fragment F on Query { q { ...F } }".to_owned(),
    ] {
        let document = async_graphql::parser::parse_query(document).unwrap();
        let shape = shape(&document, &Variables::default(), &types);
        assert!(shape.fields.is_empty());
    }
}
