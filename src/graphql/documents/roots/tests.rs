use async_graphql::parser::{parse_query, types::ExecutableDocument};

use super::*;

/// The response keys that are executed, and what is selected of each; a fragment that stays is `...`.
fn keys(set: &SelectionSet) -> String {
    let keys: Vec<String> = set
        .items
        .iter()
        .map(|selection| match &selection.node {
            Selection::Field(field) if field.node.selection_set.node.items.is_empty() => {
                field.node.response_key().node.to_string()
            }
            Selection::Field(field) => {
                let inner = keys(&field.node.selection_set.node);
                format!("{}{{{inner}}}", field.node.response_key().node)
            }
            Selection::InlineFragment(_) | Selection::FragmentSpread(_) => "...".to_owned(),
        })
        .collect();
    keys.join(" ")
}

fn merged(text: &str) -> Result<String, String> {
    let ExecutableDocument {
        operations,
        fragments,
    } = parse_query(text).unwrap();
    let mut operation = operations.iter().next().unwrap().1.node.clone();
    merge(&fragments, &mut operation).map_err(|error| error.message)?;
    Ok(keys(&operation.selection_set.node))
}

#[test]
fn a_root_field_is_executed_once_for_each_key() {
    for (selections, expected) in [
        ("a { x } a { y }", "a{x y}"),
        ("a(n: 1, m: 2) { x } a(m: 2, n: 1) { y }", "a{x y}"),
        ("a { x } b { y } a { z }", "a{x z} b{y}"),
        ("k: a { x } a { y } k: a { z }", "k{x z} a{y}"),
        ("a: b { x } b: a { y } a: b { z }", "a{x z} b{y}"),
        ("a { x } ... on Mutation { a { y } }", "a{x y}"),
        ("... { a { x } } ... { ... { a { y } } }", "a{x y}"),
        ("a { x } ...F", "a{x f g}"),
        ("...F ...F", "a{f g}"),
        (
            "... { ...F } ... on Mutation { ... { ...F } a { x } }",
            "a{f g x}",
        ),
        ("__typename a { x } __typename a { y }", "__typename a{x y}"),
        ("a { x x } b: a { x }", "a{x x} b{x}"),
        ("...F b { x }", "a{f g} b{x}"),
        // Nothing is there twice.
        ("...G b { x }", "... b{x}"),
        (
            "a @skip(if: true) { x } b { y } ... @include(if: $v) { c }",
            "a{x} b{y} ...",
        ),
        (
            "__typename @skip(if: $v) __typename",
            "__typename __typename",
        ),
    ] {
        let fragments =
            "fragment F on Mutation { ...G a { g } } fragment G on Mutation { a { f } }";
        for kind in ["query", "mutation"] {
            let text = format!("{kind}($v: Boolean) {{ {selections} }} {fragments}");
            assert_eq!(merged(&text).as_deref(), Ok(expected), "{text}");
        }
    }
}

#[test]
fn a_directive_decides_over_no_selection_that_a_mutation_would_merge() {
    for (selections, of_a_query) in [
        ("a { x } a @skip(if: $v) { y }", "a{x} a{y}"),
        ("a @skip(if: false) { x } a { y }", "a{x} a{y}"),
        (
            "a @skip(if: $v) { x } a @include(if: $v) { y }",
            "a{x} a{y}",
        ),
        ("a { x } ... @include(if: $v) { a { y } }", "a{x} ..."),
        ("... @include(if: $v) { a { x } ... { a { y } } }", "..."),
        ("a { x } ...F @include(if: $v)", "a{x} ..."),
        ("...F @include(if: $v) ...F", "... ..."),
        (
            "... { ...F @include(if: $v) } a { x } a { y }",
            "... a{x y}",
        ),
        ("... @include(if: $v) { ...F ...F }", "..."),
    ] {
        let rest =
            format!("($v: Boolean!) {{ {selections} }} fragment F on Mutation {{ a {{ f }} }}");
        let refused = merged(&format!("mutation{rest}")).unwrap_err();
        assert!(
            refused.starts_with("the key a is selected several times"),
            "{rest}: {refused}"
        );
        // What is read may be read twice.
        let query = merged(&format!("query{rest}")).unwrap();
        assert_eq!(query, of_a_query, "{rest}");
    }
}

#[test]
fn a_key_stands_for_one_thing_also_through_fragments() {
    for selections in [
        "a(n: 1) { x } ... on Mutation { a(n: 2) { x } }",
        "a { x } ... on Mutation { a(n: 2) { x } }",
        "a(n: $v) { x } ... on Mutation { a(n: 1) { x } }",
        "a { x } ... on Mutation { a: b { x } }",
        "a { x } ... @include(if: $v) { a: b { x } }",
    ] {
        for kind in ["query", "mutation"] {
            let refused = merged(&format!("{kind}($v: Boolean!) {{ {selections} }}")).unwrap_err();
            assert!(
                refused.starts_with("the key a stands for different"),
                "{refused}"
            );
        }
    }
}
