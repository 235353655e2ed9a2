//! What an answer may cost: one for each field, those of a page's items once for each item that is asked for.
//!
//! A field with `first` or `last` is a page, as the schema says; what else costs more than its fields stands in
//! [`WEIGHTS`]. Weighed once for a document as far as it goes, and with the variables for a request.

use std::cell::Cell;

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
    catalogue::HISTORY_COST,
    desk::GROUPS_DEFAULT,
    live::SEAT_MAP_COST,
    page::{PAGE_LEN_DEFAULT, PAGE_LEN_MAX},
    types::{self, Types, name_of},
};

/// So many of introspection's fields cost one: no database is asked for them.
const INTROSPECTED_PER_COST: u64 = 20;

/// What costs more than its fields, or them more than once, by type and field.
const WEIGHTS: [(&str, &str, Weight); 11] = [
    ("Query", "inventoryAudit", Weight::More(AUDIT_COST)),
    ("Query", "nodes", Weight::Each(&["ids"])),
    ("Query", "_entities", Weight::Each(&["representations"])),
    ("Query", "seatMap", Weight::More(SEAT_MAP_COST)),
    ("Event", "ticketTypes", Weight::Whole),
    ("Organizer", "members", Weight::Whole),
    ("Organizer", "apiKeys", Weight::Whole),
    ("Viewer", "memberships", Weight::Whole),
    ("Ticket", "history", Weight::More(HISTORY_COST)),
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
    /// Its fields once for each item of a list that has no pages.
    Whole,
}

/// Items of a list without pages, as most have them.
const WHOLE_LEN: u64 = 10;

/// The same where one of them leads to another: nobody needs that, and each multiplies the answer by what it really has.
const WHOLE_WITHIN_LEN: u64 = 100;

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
        first: Given,
        last: Given,
        default: i32,
    },
    Each(Given),
    Fixed(u64),
}

/// What is needed of an argument: never the argument, which may be long, and which fragments repeat.
enum Given {
    /// A page's length or the length of a list; none when there is neither.
    Known(Option<i64>),
    /// What the request has there, at this place within it.
    Variable(Name, &'static [&'static str]),
}

impl Cost {
    pub fn of(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let weigh = Weigh {
            types,
            document,
            is_within_whole: Cell::new(false),
        };
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
        match self {
            Self::Page {
                first,
                last,
                default,
            } => {
                let asked = first.with(number, value_of);
                let asked = asked.or_else(|| last.with(number, value_of));
                // A length out of range is refused later, by its own error.
                asked
                    .unwrap_or((*default).into())
                    .clamp(1, PAGE_LEN_MAX.into())
                    .unsigned_abs()
            }
            Self::Fixed(times) => *times,
            Self::Each(list) => list.with(list_len, value_of).unwrap_or(1).unsigned_abs(),
        }
    }
}

/// What is read of a value.
type Read = fn(&Value) -> Option<i64>;

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}

fn list_len(value: &Value) -> Option<i64> {
    match value {
        Value::List(items) => i64::try_from(items.len().max(1)).ok(),
        _ => None,
    }
}

impl Given {
    fn of(value: &Value, path: &'static [&'static str], read: Read) -> Self {
        if let Some(name) = variable_name(value) {
            return Self::Variable(Name::new(name), path);
        }
        match (value, path) {
            (Value::Object(fields), [step, path @ ..]) => match fields.get(*step) {
                Some(value) => Self::of(value, path, read),
                None => Self::Known(None),
            },
            (value, []) => Self::Known(read(value)),
            _ => Self::Known(None),
        }
    }

    fn with<'a>(&self, read: Read, value_of: &impl Fn(&str) -> Option<&'a Value>) -> Option<i64> {
        match self {
            Self::Known(known) => *known,
            Self::Variable(name, path) => {
                let within = path
                    .iter()
                    .try_fold(value_of(name)?, |value, step| match value {
                        Value::Object(fields) => fields.get(*step),
                        _ => None,
                    });
                read(within?)
            }
        }
    }
}

struct Weigh<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
    is_within_whole: Cell<bool>,
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
        let weight = WEIGHTS
            .iter()
            .find(|(on, weighed, _)| Some(*on) == of_type && *weighed == name);
        let is_whole = matches!(weight, Some((_, _, Weight::Whole)));
        let is_within = self.is_within_whole.get();
        self.is_within_whole.set(is_within || is_whole);
        let item = self.selection_set(
            of_schema.map(|of_schema| name_of(&of_schema.of_type).as_str()),
            set,
        );
        self.is_within_whole.set(is_within);
        let times = match weight {
            Some((_, _, Weight::Whole)) => Some(Times::Fixed(if is_within {
                WHOLE_WITHIN_LEN
            } else {
                WHOLE_LEN
            })),
            Some((_, _, Weight::More(more))) => {
                let mut cost = item;
                cost.fixed = cost.fixed.saturating_add(1 + more);
                return cost;
            }
            Some((_, _, Weight::Each([argument, path @ ..]))) => {
                Some(Times::Each(given(field, argument, path, list_len)))
            }
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
        first: given(field, "first", &[], number),
        last: given(field, "last", &[], number),
        default,
    })
}

/// An argument as it is written, or what stands within it.
fn given(field: &Field, argument: &str, path: &'static [&'static str], read: Read) -> Given {
    let Some(Positioned { node, .. }) = field.get_argument(argument) else {
        return Given::Known(None);
    };
    let Ok(value) = node
        .clone()
        .into_const_with(|name| Ok::<_, std::convert::Infallible>(variable(&name)));
    Given::of(&value, path, read)
}

#[cfg(test)]
mod tests;
