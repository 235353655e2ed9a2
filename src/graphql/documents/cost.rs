//! What an answer may cost: one for each field, those of a page's items once for each item that is asked for.
//!
//! A field with `first` or `last` is a page, as the schema says; what else costs more than its fields stands in
//! [`WEIGHTS`]. Weighed once for a document as far as it goes, and with the variables for a request.

use async_graphql::{
    Name, Positioned, Value,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

use super::{
    size::INTROSPECTION_FIELDS,
    values::{variable, variable_name},
};
use crate::graphql::{
    audit::AUDIT_COST,
    desk::GROUPS_DEFAULT,
    page::{PAGE_LEN_DEFAULT, PAGE_LEN_MAX},
    types::{self, Types, name_of},
};

/// So many of introspection's fields cost one: no database is asked for them.
const INTROSPECTED_PER_COST: u64 = 20;

/// What costs more than its fields, or them more than once, by type and field.
const WEIGHTS: [(&str, &str, Weight); 4] = [
    ("Query", "inventoryAudit", Weight::More(AUDIT_COST)),
    ("Query", "nodes", Weight::Each(&["ids"])),
    (
        "Mutation",
        "blockTickets",
        Weight::Each(&["input", "ticketIds"]),
    ),
    (
        "Mutation",
        "unblockTickets",
        Weight::Each(&["input", "ticketIds"]),
    ),
];

#[derive(Clone, Copy)]
enum Weight {
    /// Beside its fields.
    More(u64),
    /// Its fields once for each item of the list that is given there.
    Each(&'static [&'static str]),
}

/// What an operation costs, as far as its variables are not needed for it.
#[derive(Default)]
pub struct Cost {
    fixed: u64,
    repeated: Vec<Repeated>,
}

/// A selection that is repeated as often as the request says.
struct Repeated {
    times: Times,
    item: Cost,
}

enum Times {
    Page {
        first: Value,
        last: Value,
        default: i32,
    },
    Each {
        list: Value,
        path: &'static [&'static str],
    },
}

impl Cost {
    pub fn of(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let weigh = Weigh { types, document };
        weigh.selection_set(
            types.root(operation.ty).map(Name::as_str),
            &operation.selection_set.node,
        )
    }

    /// With the values of the variables.
    pub fn with<'a>(&'a self, value_of: &impl Fn(&str) -> Option<&'a Value>) -> u64 {
        self.repeated.iter().fold(self.fixed, |sum, repeated| {
            let item = repeated.item.with(value_of).max(1);
            sum.saturating_add(repeated.times.with(value_of).saturating_mul(item))
        })
    }

    fn add(&mut self, other: Self) {
        self.fixed = self.fixed.saturating_add(other.fixed);
        self.repeated.extend(other.repeated);
    }
}

impl Times {
    fn with<'a>(&'a self, value_of: &impl Fn(&str) -> Option<&'a Value>) -> u64 {
        let known = |value: &'a Value| match variable_name(value) {
            Some(name) => value_of(name).unwrap_or(&Value::Null),
            None => value,
        };
        match self {
            Self::Page {
                first,
                last,
                default,
            } => {
                let number = |value: &'a Value| match known(value) {
                    Value::Number(number) => number.as_i64(),
                    _ => None,
                };
                let asked = number(first).or(number(last)).unwrap_or((*default).into());
                // A length out of range is refused later, by its own error.
                asked.clamp(1, PAGE_LEN_MAX.into()).unsigned_abs()
            }
            Self::Each { list, path } => {
                let list = path
                    .iter()
                    .try_fold(known(list), |value, step| match value {
                        Value::Object(fields) => fields.get(*step).map(known),
                        _ => None,
                    });
                match list {
                    Some(Value::List(items)) => items.len().max(1) as u64,
                    _ => 1,
                }
            }
        }
    }
}

struct Weigh<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
}

impl<'a> Weigh<'a> {
    /// As deep and as long as the document with its fragments in their places, which is bounded before.
    fn selection_set(&self, of_type: Option<&str>, set: &'a SelectionSet) -> Cost {
        let mut cost = Cost::default();
        for selection in &set.items {
            cost.add(match &selection.node {
                Selection::Field(field) => self.field(of_type, &field.node),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let on = on.map(|condition| condition.node.on.node.as_str());
                    self.selection_set(on.or(of_type), &inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => {
                            let on = &fragment.node.type_condition.node.on.node;
                            self.selection_set(Some(on), &fragment.node.selection_set.node)
                        }
                        None => Cost::default(),
                    }
                }
            });
        }
        cost
    }

    fn field(&self, of_type: Option<&str>, field: &'a Field) -> Cost {
        let (name, set) = (field.name.node.as_str(), &field.selection_set.node);
        if INTROSPECTION_FIELDS.contains(&name) {
            let fixed = 1 + self.introspected(set) / INTROSPECTED_PER_COST;
            return Cost {
                fixed,
                repeated: Vec::new(),
            };
        }
        let of_schema = of_type.and_then(|of_type| self.types.field(of_type, name));
        let item = self.selection_set(
            of_schema.map(|of_schema| name_of(&of_schema.of_type).as_str()),
            set,
        );
        let weight = WEIGHTS
            .iter()
            .find(|(on, weighed, _)| Some(*on) == of_type && *weighed == name);
        let times = match weight {
            Some((_, _, Weight::More(more))) => {
                let mut cost = item;
                cost.fixed = cost.fixed.saturating_add(1 + more);
                return cost;
            }
            Some((_, _, Weight::Each([argument, path @ ..]))) => Some(Times::Each {
                list: given(field, argument),
                path,
            }),
            Some((_, _, Weight::Each([]))) => None,
            None => of_schema.and_then(|of_schema| page(of_schema, field)),
        };
        match times {
            Some(times) => Cost {
                fixed: 1,
                repeated: vec![Repeated { times, item }],
            },
            None => {
                let mut cost = item;
                cost.fixed = cost.fixed.saturating_add(1);
                cost
            }
        }
    }

    /// Fields of the answer, by how long introspection's lists are on average.
    fn introspected(&self, set: &'a SelectionSet) -> u64 {
        let means = &self.types.means;
        set.items.iter().fold(0_u64, |sum, selection| {
            sum.saturating_add(match &selection.node {
                Selection::Field(field) => {
                    let times = match field.node.name.node.as_str() {
                        "types" => means.types,
                        "fields" => means.fields,
                        "args" => means.arguments,
                        "inputFields" => means.input_fields,
                        "enumValues" => means.enum_values,
                        _ => 1,
                    };
                    let inner = self.introspected(&field.node.selection_set.node);
                    inner.saturating_add(1).saturating_mul(times)
                }
                Selection::InlineFragment(inline) => {
                    self.introspected(&inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    fragment.map_or(0, |fragment| {
                        self.introspected(&fragment.node.selection_set.node)
                    })
                }
            })
        })
    }
}

fn page(of_schema: &types::Field, field: &Field) -> Option<Times> {
    let has = |argument: &str| of_schema.arguments.contains_key(argument);
    let default = match (has("first"), has("last")) {
        (false, false) => return None,
        (true, false) => GROUPS_DEFAULT,
        (true | false, true) => PAGE_LEN_DEFAULT,
    };
    Some(Times::Page {
        first: given(field, "first"),
        last: given(field, "last"),
        default,
    })
}

/// An argument as it is written; null when it is not.
fn given(field: &Field, argument: &str) -> Value {
    let Some(Positioned { node, .. }) = field.get_argument(argument) else {
        return Value::Null;
    };
    let Ok(value) = node
        .clone()
        .into_const_with(|name| Ok::<_, std::convert::Infallible>(variable(&name)));
    value
}

#[cfg(test)]
mod tests;
