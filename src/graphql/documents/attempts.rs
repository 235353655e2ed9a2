//! How often an operation tries to get a ticket: once for each field that may, whatever it is called in the answer.

use async_graphql::{
    Positioned,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection},
};

/// The mutations that end with tickets that nobody else can have. Whoever gives some back has them.
const ATTEMPTS: [&str; 5] = [
    "extendHold",
    "holdTickets",
    "purchaseHold",
    "purchaseTicket",
    "purchaseTickets",
];

/// As it is written: what stands in a fragment counts wherever that is spread, and what `@skip` leaves out counts too. As long
/// as the document with its fragments in their places, which is bounded before.
pub fn count(document: &ExecutableDocument, operation: &OperationDefinition) -> u64 {
    match operation.ty {
        OperationType::Query | OperationType::Subscription => 0,
        OperationType::Mutation => within(document, &operation.selection_set.node.items),
    }
}

fn within(document: &ExecutableDocument, selections: &[Positioned<Selection>]) -> u64 {
    let counts = selections.iter().map(|selection| match &selection.node {
        Selection::Field(field) => u64::from(ATTEMPTS.contains(&field.node.name.node.as_str())),
        Selection::InlineFragment(inline) => {
            within(document, &inline.node.selection_set.node.items)
        }
        Selection::FragmentSpread(spread) => {
            let name = &spread.node.fragment_name.node;
            document.fragments.get(name).map_or(0, |fragment| {
                within(document, &fragment.node.selection_set.node.items)
            })
        }
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn attempts(text: &str) -> u64 {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        count(&document, &operation.node)
    }

    /// Every mutation that can answer with a hold or a purchase is one, by the schema.
    #[test]
    fn what_reserves_or_sells_is_an_attempt() {
        let sdl = crate::graphql::sdl();
        let (_, mutations) = sdl.split_once("type Mutation {").unwrap();
        let (mutations, _) = mutations.split_once("\n}").unwrap();
        let names = mutations.lines().filter_map(|line| {
            let (name, _) = line.trim_start().split_once('(')?;
            name.bytes()
                .all(|byte| byte.is_ascii_alphabetic())
                .then_some(name)
        });
        let mut reserve: Vec<&str> = names
            .filter(|name| {
                name.starts_with("purchase")
                    || name.starts_with("hold")
                    || name.starts_with("extend")
            })
            .collect();
        reserve.sort_unstable();
        assert_eq!(reserve, ATTEMPTS);
    }

    #[test]
    fn a_hundred_aliases_are_a_hundred_attempts() {
        let aliases: String = (0..100)
            .map(|n| format!("a{n}: purchaseTicket {{ order {{ id }} }} "))
            .collect();
        assert_eq!(attempts(&format!("mutation {{ {aliases} }}")), 100);
    }

    #[test]
    fn fragments_hide_no_attempt() {
        let document = "mutation {
            ...Two
            ... @skip(if: true) { b: holdTickets { __typename } cancelOrder { __typename } }
            ...Two
        }
        fragment Two on Mutation { c: purchaseHold { __typename } ...One }
        fragment One on Mutation { d: extendHold { __typename } }";
        assert_eq!(attempts(document), 5);
    }

    #[test]
    fn who_reads_attempts_nothing() {
        assert_eq!(attempts("{ purchaseTicket: events { nodes { id } } }"), 0);
        assert_eq!(
            attempts("mutation { purchaseTicket: releaseHold { __typename } }"),
            0
        );
    }
}
