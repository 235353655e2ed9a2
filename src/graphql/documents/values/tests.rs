use async_graphql::parser::parse_query;
use serde_json::json;

use super::*;

const SDL: &str = "
    type Query { a(input: In, ids: [ID!]): Int }
    scalar When
    enum Color { RED GREEN }
    input In { id: ID! n: Int f: Float s: String = \"\" b: Boolean! = true c: Color when: When one: One
        list: [Int!] deep: [[Int]] in: In }
    input One @oneOf { a: Int b: String }
    schema { query: Query }
";

fn problems(declared: &str, variables: serde_json::Value) -> Vec<String> {
    let types = Types::read(SDL);
    let document = parse_query(format!("query({declared}) {{ a }}")).unwrap();
    let (_, operation) = document.operations.iter().next().unwrap();
    problems_of_variables(&types, &operation.node, &Variables::from_json(variables))
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}

fn assert_fits(declared: &str, variables: serde_json::Value) {
    assert_eq!(
        problems(declared, variables.clone()),
        [""; 0],
        "{declared} {variables}"
    );
}

#[track_caller]
fn assert_problem(declared: &str, variables: serde_json::Value, said: &str) {
    let problems = problems(declared, variables.clone());
    assert!(
        matches!(&problems[..], [problem] if problem.starts_with(said)),
        "{declared} {variables}: {problems:?}"
    );
}

#[test]
fn each_scalar_takes_its_own_values() {
    for (declared, good, bad) in [
        (
            "$v: Int",
            vec![json!(0), json!(-0), json!(i32::MAX), json!(i32::MIN)],
            vec![
                json!(i64::from(i32::MAX) + 1),
                json!(i64::from(i32::MIN) - 1),
                json!(u64::MAX),
                json!(1.5),
                json!(1e300),
                json!("1"),
                json!(true),
                json!([1, 2]),
                json!({}),
            ],
        ),
        (
            "$v: Float",
            vec![json!(0), json!(-0.0), json!(1.5), json!(u64::MAX)],
            vec![json!("1.5"), json!(false)],
        ),
        (
            "$v: String",
            vec![json!(""), json!("\u{0}")],
            vec![json!(1), json!(true), json!(["a", "b"])],
        ),
        (
            "$v: Boolean",
            vec![json!(true)],
            vec![json!("true"), json!(1)],
        ),
        (
            "$v: ID",
            vec![json!("a"), json!(7), json!(i64::MIN)],
            vec![json!(1.5), json!(true), json!(u64::MAX)],
        ),
        (
            "$v: Color",
            vec![json!("RED")],
            vec![json!("red"), json!("BLUE"), json!(0)],
        ),
        (
            "$v: When",
            vec![json!("now"), json!(1), json!({ "any": [] })],
            vec![],
        ),
    ] {
        assert_fits(declared, json!({}));
        assert_fits(declared, json!({ "v": null }));
        for value in good {
            assert_fits(declared, json!({ "v": value }));
        }
        for value in bad {
            assert_problem(declared, json!({ "v": value }), "$v must be");
        }
    }
}

#[test]
fn who_names_no_value_of_an_enum_hears_which_there_are() {
    for (bad, is) in [(json!("BLUE"), "another name"), (json!(0), "a number")] {
        assert_problem(
            "$v: Color",
            json!({ "v": bad }),
            &format!("$v must be one of RED, GREEN of the enum Color, and is {is}"),
        );
    }
}

#[test]
fn what_is_not_null_must_be_there() {
    assert_problem("$v: Int!", json!({}), "$v is missing, and is of type Int!");
    assert_problem("$v: Int!", json!({ "v": null }), "$v must not be null");
    assert_fits("$v: Int! = 1", json!({}));
    assert_problem("$v: Int! = 1", json!({ "v": null }), "$v must not be null");
    assert_fits(
        "$v: Int",
        json!({ "another": { "that": ["nobody", "declared"] } }),
    );
}

#[test]
fn lists_are_checked_item_by_item_and_one_value_is_a_list_of_it() {
    assert_fits("$v: [Int!]!", json!({ "v": [] }));
    assert_fits("$v: [Int!]!", json!({ "v": 1 }));
    assert_fits("$v: [[Int]]", json!({ "v": [[1, null], null, []] }));
    assert_problem(
        "$v: [Int!]!",
        json!({ "v": [1, null] }),
        "$v[1] must not be null",
    );
    assert_problem(
        "$v: [[Int]]",
        json!({ "v": [[1], ["a"]] }),
        "$v[1][0] must be an Int",
    );
}

#[test]
fn input_objects_have_all_they_need_and_nothing_else() {
    assert_fits("$v: In!", json!({ "v": { "id": "a" } }));
    assert_fits(
        "$v: In!",
        json!({ "v": { "id": 1, "one": { "a": 1 }, "in": { "id": "b", "c": "RED" } } }),
    );
    assert_problem("$v: In!", json!({ "v": {} }), "$v of type In lacks id");
    assert_problem(
        "$v: In!",
        json!({ "v": 5 }),
        "$v must be of type In, and is a number",
    );
    assert_problem(
        "$v: In!",
        json!({ "v": { "id": "a", "b": null } }),
        "$v.b must not be null",
    );
    assert_problem(
        "$v: In!",
        json!({ "v": { "id": "a", "x": 1 } }),
        "$v has a field \"x\" that In has not",
    );
    assert_problem(
        "$v: In!",
        json!({ "v": { "id": "a", "in": { "id": "b", "list": [1, 2, "c"] } } }),
        "$v.in.list[2] must be an Int",
    );
    let long = "x".repeat(100_000);
    assert!(problems("$v: In!", json!({ "v": { "id": "a", long: 1 } }))[0].len() < 100);
}

#[test]
fn one_of_takes_exactly_one() {
    for bad in [
        json!({}),
        json!({ "a": 1, "b": "c" }),
        json!({ "a": null }),
        json!({ "a": 1, "b": null }),
    ] {
        assert_problem(
            "$v: One",
            json!({ "v": bad }),
            "$v must have exactly one field of One",
        );
    }
    assert_problem(
        "$v: One",
        json!({ "v": { "a": "b" } }),
        "$v.a must be an Int",
    );
}

#[test]
fn problems_are_bounded() {
    let problems = problems(
        "$v: [Int!], $w: [Int!]",
        json!({ "v": vec![json!("a"); 100], "w": vec![json!("a"); 100] }),
    );
    assert_eq!(problems.len(), PROBLEMS_MAX);
}

#[test]
fn a_number_with_an_empty_fraction_is_a_whole_one() {
    for (given, read) in [
        (json!(1.0), json!(1)),
        (json!(-7.0), json!(-7)),
        (json!(-0.0), json!(0)),
        (json!(3e9), json!(3_000_000_000_i64)),
        (
            json!({ "a": [1.0, { "b": 2.0 }] }),
            json!({ "a": [1, { "b": 2 }] }),
        ),
        (json!(1.5), json!(1.5)),
        (json!(1e300), json!(1e300)),
        (json!("1.0"), json!("1.0")),
    ] {
        let mut value = Value::from_json(given).unwrap();
        read_whole_numbers(&mut value);
        assert_eq!(value, Value::from_json(read).unwrap());
    }
}
