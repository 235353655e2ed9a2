use async_graphql::{
    Value,
    parser::{
        parse_query,
        types::{ExecutableDocument, Selection, SelectionSet},
    },
};
use proptest::prelude::*;

use super::*;

fn of(text: &str) -> (u64, u64, u64) {
    let tokens = count(text).unwrap();
    (tokens.number, tokens.depth, tokens.value_depth)
}

#[test]
fn tokens_are_names_values_and_punctuation() {
    assert_eq!(of("{ a, b }"), (4, 1, 0));
    assert_eq!(
        of("\u{feff}query Q($a: [Int!]! = [1, -2.5e+3]) { ...F @skip(if: $a) }"),
        (29, 1, 1)
    );
    assert_eq!(of("# { { {\n{ a }"), (3, 1, 0));
    assert_eq!(of("1.5 1...2 1e5 1ee -"), (8, 0, 0));
}

#[test]
fn values_without_anything_between_them_count_each() {
    let number = |value: &str| of(&format!("({}", value.repeat(1_000))).0;
    for value in ["1 ", "-1", "true", "null", "[]", "{}", "\"\" ", "$a"] {
        assert!(number(value) >= 1_000, "{value}: {}", number(value));
    }
    assert!(parse_query("{ a(b: [truefalsenull1-1]) }").is_ok());
}

#[test]
fn brackets_in_strings_and_comments_open_nothing() {
    assert_eq!(
        of(r#"{ a(b: "{[(\"{[(", c: """ {[( \""" {[( """) }"#),
        (11, 1, 0)
    );
    assert_eq!(of("{ a # {\r{ b } }"), (6, 2, 0));
}

#[test]
fn a_selection_and_a_value_nest_apart() {
    assert_eq!(of("{ a(b: {c: [[{d: 1}]]}) { e } }").1, 2);
    assert_eq!(of("{ a(b: {c: [[{d: 1}]]}) { e } }").2, 4);
    let deep = "[".repeat(1_000);
    assert_eq!(of(&format!("query($a: {deep}")).2, 1_000);
    assert_eq!(of(&format!("{{ a(b: {deep}")).2, 1_000);
    assert_eq!(of(&"{".repeat(1_000)).1, 1_000);
}

#[test]
fn a_string_that_does_not_end_is_no_document() {
    for (text, at) in [
        ("{ a(b: \"", 7),
        ("\"a\nb\"", 0),
        ("\"\"\" \\\"\"\"", 0),
        ("\"\"\"\"\"", 0),
        ("\"\\", 0),
        ("\"\\\"", 0),
    ] {
        assert_eq!(count(text), Err(Unterminated(at)), "{text:?}");
    }
}

/// What a text may be made of, so that something of it parses.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "a",
        "b:",
        "query",
        "fragment F on",
        "...",
        "...F",
        "on T",
        "$a",
        "$a:",
        "@c",
        "=",
        "!",
        ":",
        "1",
        "-1.5e3",
        "true",
        "null",
        "E",
        "\"",
        "\"\"\"",
        "\\",
        "\"{\"",
        "\"\"\"[\"\"\"",
        "#",
        "\n",
        ",",
        " ",
        "\u{feff}",
        "é",
        "{ a }",
        "(a: [1])",
        "[[",
        "]]",
        "{{",
        "}}",
    ])
}

/// How deep a parsed document is, looked at another way.
fn depths(document: &ExecutableDocument) -> (u64, u64) {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node);
    let defaults = operations
        .clone()
        .flat_map(|operation| &operation.variable_definitions);
    let defaults = defaults.map(|definition| {
        let of_default = definition.node.default_value.as_ref();
        let brackets = definition
            .node
            .var_type
            .node
            .to_string()
            .matches('[')
            .count() as u64;
        brackets.max(of_default.map_or(0, |value| levels(&value.node)))
    });
    let defaults = defaults.max().unwrap_or_default();
    let sets = operations
        .map(|operation| &operation.selection_set.node)
        .chain(
            document
                .fragments
                .values()
                .map(|fragment| &fragment.node.selection_set.node),
        );
    let (depth, values) = sets
        .map(depths_of)
        .fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    (depth, values.max(defaults))
}

fn depths_of(set: &SelectionSet) -> (u64, u64) {
    if set.items.is_empty() {
        return (0, 0);
    }
    let inner = set.items.iter().map(|selection| {
        let directives = selection.node.directives().iter();
        let mut written: Vec<_> = directives.flat_map(|it| &it.node.arguments).collect();
        let (depth, values) = match &selection.node {
            Selection::Field(field) => {
                written.extend(&field.node.arguments);
                depths_of(&field.node.selection_set.node)
            }
            Selection::InlineFragment(inline) => depths_of(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => (0, 0),
        };
        let written = written.iter().map(|(_, value)| {
            let value = value
                .node
                .clone()
                .into_const_with(|_| Ok::<_, ()>(Value::Null));
            levels(&value.unwrap())
        });
        (depth, values.max(written.max().unwrap_or_default()))
    });
    let (depth, values) = inner.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    (depth + 1, values)
}

fn levels(value: &Value) -> u64 {
    match value {
        Value::List(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(levels).max().unwrap_or_default(),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The parser never gets deeper than what was counted.
    #[test]
    fn nothing_that_parses_is_deeper_than_counted(pieces in prop::collection::vec(piece(), 0..12)) {
        for text in [
            format!("{{ a {} }}", pieces.concat()),
            format!("{{ a(b: [{}]) }}", pieces.concat()),
            format!("query($a: I = [{}]) {{ a }}", pieces.join(" ")),
        ] {
            // The parser takes `""""` for two strings, where GraphQL sees one that does not end: that is refused.
            if let (Ok(counted), Ok(document)) = (count(&text), parse_query(&text)) {
                let (depth, value_depth) = depths(&document);
                prop_assert!(counted.depth >= depth, "{text}: {counted:?} {depth}");
                prop_assert!(counted.value_depth >= value_depth, "{text}: {counted:?} {value_depth}");
            }
        }
    }

    #[test]
    fn any_text_is_counted(text in ".{0,200}") {
        if let Ok(tokens) = count(&text) {
            prop_assert!(tokens.number <= text.len() as u64);
        }
    }
}
