use async_graphql::{Variables, parser::parse_query};
use serde_json::json;

use super::*;
use crate::{
    config::Switch,
    graphql::{documents::judge::EndAfterValidation, schema::Schema, sdl},
};

fn cost(types: &Types, text: &str, variables: serde_json::Value) -> u64 {
    let document = parse_query(text).unwrap();
    let variables = Variables::from_json(variables);
    let (_, operation) = document.operations.iter().next().unwrap();
    Cost::of(types, &document, &operation.node).with(&|name| variables.get(name))
}

#[test]
fn a_page_costs_its_items() {
    let types = Types::read(&sdl());
    let of = |text: &str| cost(&types, text, json!({}));
    assert_eq!(of("{ __typename }"), 1);
    assert_eq!(of("{ a: __typename b: __typename }"), 2);
    assert_eq!(of("{ events { nodes { id name } } }"), 1 + 20 * 3);
    assert_eq!(of("{ events(first: 7) { nodes { id } } }"), 1 + 7 * 2);
    assert_eq!(
        of("{ events(last: 7) { edges { node { id } } } }"),
        1 + 7 * 3
    );
    assert_eq!(of("{ events(first: 0) { __typename } }"), 1 + 1);
    assert_eq!(of("{ events(first: 1000000) { __typename } }"), 1 + 100);
    assert_eq!(
        of("{ events(first: 10) { nodes { tickets(first: 10) { nodes { id } } } } }"),
        1 + 10 * (1 + 1 + 10 * 2)
    );
}

#[test]
fn fragments_cost_wherever_they_are_spread() {
    let types = Types::read(&sdl());
    let text = "{ a: events(first: 10) { ...Page } b: events(first: 5) { ... on EventConnection { ...Page } } }
        fragment Page on EventConnection { nodes { id } }";
    assert_eq!(cost(&types, text, json!({})), 1 + 10 * 2 + 1 + 5 * 2);
}

#[test]
fn variables_count_as_what_they_are() {
    let types = Types::read(&sdl());
    let text = "query($n: Int) { events(first: $n) { nodes { id } } }";
    for (variables, len) in [
        (json!({ "n": 7 }), 7),
        (json!({}), 20),
        (json!({ "n": null }), 20),
        (json!({ "n": i64::MAX }), 100),
        (json!({ "n": -1 }), 1),
    ] {
        assert_eq!(
            cost(&types, text, variables.clone()),
            1 + len * 2,
            "{variables}"
        );
    }
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    assert_eq!(
        cost(&types, nodes, json!({ "ids": ["a", "b", "c"] })),
        1 + 3
    );
    let block =
        "mutation($input: BlockTicketsInput!) { blockTickets(input: $input) { tickets { id } } }";
    let input = json!({ "ticketIds": ["a", "b"] });
    assert_eq!(cost(&types, block, json!({ "input": input })), 1 + 2 * 2);
    let ids =
        "mutation($ids: [ID!]!) { blockTickets(input: { ticketIds: $ids }) { tickets { id } } }";
    assert_eq!(cost(&types, ids, json!({ "ids": ["a", "b"] })), 1 + 2 * 2);
}

#[test]
fn what_has_a_weight_is_in_the_schema() {
    let schema = Schema::judging(Switch::On, EndAfterValidation, false);
    let types = Types::read(&schema.sdl());
    for (of_type, field, weight) in WEIGHTS {
        let field = types.field(of_type, field).expect("the field is there");
        if let Weight::Each([argument, ..]) = weight {
            assert!(field.arguments.contains_key(*argument), "{argument}");
        }
    }
}
