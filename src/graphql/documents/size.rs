//! How large a parsed document is once its fragments are in their places, without putting them there: each fragment is
//! measured once.

use std::{collections::HashMap, convert::Infallible};

use async_graphql::{
    Name, Positioned, ServerError, Value,
    parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet},
};

use super::{errors::refusal, values::variable};
use crate::{config::QueryConfig, graphql::fault::Code};

/// Lists of introspection within each other, such as the fields of the types of fields: each multiplies the answer. The
/// usual tools need one.
const INTROSPECTED_LISTS_MAX: u64 = 2;

/// Fields and values that the engine's validation compares with each other, as multiples of what a document may select and
/// hold: inside an inline fragment they are compared again.
const COMPARISONS_MAX: u64 = 4;

/// The fields of introspection's types that lead from one type to many.
const INTROSPECTED_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// The fields that lead into introspection.
pub const INTROSPECTION_FIELDS: [&str; 2] = ["__schema", "__type"];

/// The field by which a router asks for the schema.
const SERVICE_FIELD: &str = "_service";

/// What a document turned out to have, beside being small enough.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub introspects: bool,
    /// With its fragments in their places.
    pub selections: u64,
}

/// Refuses a document that is too large in any way.
///
/// # Errors
/// `QUERY_TOO_LARGE`, or `GRAPHQL_VALIDATION_FAILED` for a fragment that contains itself.
pub fn check(document: &ExecutableDocument, limits: &QueryConfig) -> Result<Size, ServerError> {
    let written = Written::of(document);
    too_many(
        "definitions",
        written.definitions,
        limits.query_definitions,
        "definitions",
    )?;
    too_many("aliases", written.aliases, limits.query_aliases, "aliases")?;
    too_many(
        "directives",
        written.directives,
        limits.query_directives,
        "directives",
    )?;

    let mut measure = Measure {
        document,
        depth_max: limits.query_depth,
        fragments: HashMap::new(),
        compared: 0,
    };
    let (mut selections, mut values): (u64, u64) = (0, 0);
    let mut operations: Vec<_> = document.operations.iter().map(|(_, it)| it).collect();
    operations.sort_unstable_by_key(|operation| operation.pos);
    for operation in operations {
        let expanded = measure.selection_set(&operation.node.selection_set.node, 1)?;
        too_many(
            "fields at its root",
            expanded.roots,
            limits.query_root_fields,
            "root-fields",
        )?;
        selections = selections.saturating_add(expanded.selections);
        values = values.saturating_add(expanded.values);
        values = values.saturating_add(values_of_directives(&operation.node.directives));
    }
    // Those that nothing spreads are validated too. In the order of the text, so that the same is said every time.
    let mut names: Vec<_> = document.fragments.iter().collect();
    names.sort_unstable_by_key(|(_, fragment)| fragment.pos);
    for (name, _) in names {
        let expanded = measure.fragment(name, 1)?;
        selections = selections.saturating_add(expanded.selections);
        values = values.saturating_add(expanded.values);
    }
    too_many(
        "selections with its fragments in their places",
        selections,
        limits.query_selections,
        "selections",
    )?;
    too_many(
        "values with its fragments in their places",
        values,
        limits.query_tokens,
        "tokens",
    )?;
    let compared_max = limits
        .query_selections
        .saturating_add(limits.query_tokens)
        .saturating_mul(COMPARISONS_MAX);
    if measure.compared > compared_max {
        return Err(refusal(
            Code::QueryTooLarge,
            "the document has too much in inline fragments within each other".to_owned(),
        ));
    }
    Ok(Size {
        introspects: written.introspects,
        selections,
    })
}

/// # Errors
/// `QUERY_TOO_LARGE` when there are more than allowed.
pub fn too_many(what: &str, number: u64, max: u64, option: &str) -> Result<(), ServerError> {
    if number <= max {
        return Ok(());
    }
    Err(refusal(
        Code::QueryTooLarge,
        format!("the document has {number} {what}, and the most is {max} (--query-{option})"),
    ))
}

/// What stands in the text, fragments counted once.
#[derive(Default)]
struct Written {
    definitions: u64,
    aliases: u64,
    directives: u64,
    introspects: bool,
}

impl Written {
    fn of(document: &ExecutableDocument) -> Self {
        let mut written = Self::default();
        for (_, operation) in document.operations.iter() {
            written.definitions += 1;
            written.directives(&operation.node.directives);
            for variable in &operation.node.variable_definitions {
                written.directives(&variable.node.directives);
            }
            written.selection_set(&operation.node.selection_set.node);
        }
        for fragment in document.fragments.values() {
            written.definitions += 1;
            written.directives(&fragment.node.directives);
            written.selection_set(&fragment.node.selection_set.node);
        }
        written
    }

    /// As deep as the text was counted to be, which is bounded before it is parsed.
    fn selection_set(&mut self, set: &SelectionSet) {
        for selection in &set.items {
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => {
                    self.aliases += u64::from(field.node.alias.is_some());
                    let name = &*field.node.name.node;
                    self.introspects |=
                        INTROSPECTION_FIELDS.contains(&name) || name == SERVICE_FIELD;
                    self.selection_set(&field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        self.directives += directives.len() as u64;
    }
}

/// What a selection comes to with its fragments in their places.
#[derive(Clone, Copy, Default)]
struct Expanded {
    selections: u64,
    /// Levels of selections, this one included.
    depth: u64,
    /// Arguments, and what is in them, also of directives.
    values: u64,
    /// Fields of this level.
    roots: u64,
    /// Arguments of this level, with what is in them.
    root_values: u64,
    /// Introspection's lists within each other.
    lists: u64,
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    depth_max: u64,
    /// `None` while it is being measured.
    fragments: HashMap<&'a str, Option<Expanded>>,
    /// Fields and values that stand beside each other, summed over all selection sets that are written.
    compared: u64,
}

impl<'a> Measure<'a> {
    /// `level` bounds the recursion; a fragment that was measured before has a depth of its own.
    fn selection_set(
        &mut self,
        set: &'a SelectionSet,
        level: u64,
    ) -> Result<Expanded, ServerError> {
        self.check_depth(level)?;
        let mut whole = Expanded {
            depth: 1,
            ..Expanded::default()
        };
        for selection in &set.items {
            let inner = match &selection.node {
                Selection::Field(field) => self.field(&field.node, level)?,
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.node.selection_set.node, level + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, level + 1)?
                }
            };
            whole.selections = whole
                .selections
                .saturating_add(1)
                .saturating_add(inner.selections);
            whole.values = whole
                .values
                .saturating_add(inner.values)
                .saturating_add(values_of_directives(selection.node.directives()));
            whole.depth = whole.depth.max(1 + inner.depth);
            whole.roots = whole.roots.saturating_add(inner.roots);
            whole.root_values = whole.root_values.saturating_add(inner.root_values);
            whole.lists = whole.lists.max(inner.lists);
        }
        self.compared = self
            .compared
            .saturating_add(whole.roots)
            .saturating_add(whole.root_values);
        Ok(whole)
    }

    fn field(&mut self, field: &'a Field, level: u64) -> Result<Expanded, ServerError> {
        let set = &field.selection_set.node;
        let mut inner = if set.items.is_empty() {
            Expanded::default()
        } else {
            self.selection_set(set, level + 1)?
        };
        inner.roots = 1;
        let arguments = field.arguments.iter();
        inner.root_values = arguments
            .map(|(_, value)| written_len(value.node.clone().into_const_with(as_variable)))
            .sum();
        inner.values = inner.values.saturating_add(inner.root_values);
        let name = field.name.node.as_str();
        if INTROSPECTED_LISTS.contains(&name) {
            inner.lists += 1;
        } else if INTROSPECTION_FIELDS.contains(&name) {
            if inner.lists > INTROSPECTED_LISTS_MAX {
                return Err(refusal(
                    Code::QueryTooLarge,
                    format!(
                        "the document asks for lists of the schema {} within each other, and the most is \
                         {INTROSPECTED_LISTS_MAX}",
                        inner.lists
                    ),
                ));
            }
            inner.lists = 0;
        }
        Ok(inner)
    }

    fn fragment(&mut self, name: &'a str, level: u64) -> Result<Expanded, ServerError> {
        let expanded = match self.fragments.get(name) {
            Some(Some(expanded)) => *expanded,
            Some(None) => {
                return Err(refusal(
                    Code::GraphqlValidationFailed,
                    format!("the fragment {name:.40} contains itself"),
                ));
            }
            None => {
                // One that does not exist is the validation's to name.
                let Some(fragment) = self.document.fragments.get(name) else {
                    return Ok(Expanded::default());
                };
                self.fragments.insert(name, None);
                let expanded = self.selection_set(&fragment.node.selection_set.node, level)?;
                self.fragments.insert(name, Some(expanded));
                expanded
            }
        };
        self.check_depth((level - 1).saturating_add(expanded.depth))?;
        Ok(expanded)
    }

    fn check_depth(&self, depth: u64) -> Result<(), ServerError> {
        if depth <= self.depth_max {
            return Ok(());
        }
        Err(refusal(
            Code::QueryTooLarge,
            format!(
                "the document has selections {depth} levels deep or more, and the most is {} (--query-depth)",
                self.depth_max
            ),
        ))
    }
}

fn values_of_directives(directives: &[Positioned<Directive>]) -> u64 {
    let arguments = directives
        .iter()
        .flat_map(|directive| &directive.node.arguments);
    arguments
        .map(|(_, value)| written_len(value.node.clone().into_const_with(as_variable)))
        .sum()
}

fn as_variable(name: Name) -> Result<Value, Infallible> {
    Ok(variable(&name))
}

fn written_len(Ok(value): Result<Value, Infallible>) -> u64 {
    len(&value)
}

/// The value, and the values in it; as deep as they were counted to be.
fn len(value: &Value) -> u64 {
    1 + match value {
        Value::List(items) => items.iter().map(len).sum::<u64>(),
        Value::Object(fields) => fields.values().map(len).sum(),
        Value::Null
        | Value::Number(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Binary(_)
        | Value::Enum(_) => 0,
    }
}
