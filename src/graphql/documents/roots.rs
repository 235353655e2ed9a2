//! The fields at an operation's root, each key once (GraphQL, October 2021, section 6.3.2, CollectFields).
//!
//! The engine executes a root field as often as it is selected, and puts the answers together. For what is read that costs
//! time alone; what a mutation does would be done twice.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use async_graphql::{
    Name, Pos, Positioned, ServerError,
    parser::types::{Field, OperationDefinition, OperationType, Selection, SelectionSet},
};

use super::{errors::refusal_at, values::shortened};
use crate::graphql::{answer::Fragments, fault::Code};

/// Merges what is selected under one key, also through fragments, where any key is selected more than once; an operation
/// without such a key stays as it is written.
///
/// # Errors
/// `GRAPHQL_VALIDATION_FAILED` where one key stands for different things, which the engine's validation does not see through
/// fragments; where a mutation's key is selected several times and a directive decides over one of them; and where a
/// subscription has more than one field.
pub fn merge(
    fragments: &Fragments,
    operation: &mut OperationDefinition,
) -> Result<(), ServerError> {
    let mut roots = Roots {
        fragments,
        is_mutation: operation.ty == OperationType::Mutation,
        keys: HashMap::new(),
        merged: Vec::new(),
        spread: HashSet::new(),
        is_any_merged: false,
    };
    roots.collect(&operation.selection_set.node)?;
    let is_subscription = operation.ty == OperationType::Subscription;
    if is_subscription {
        roots.check_single(operation.selection_set.pos)?;
    }
    // The engine does not look for a subscription's field in fragments.
    if roots.is_any_merged || is_subscription {
        operation.selection_set.node.items = roots.merged;
    }
    Ok(())
}

struct Roots<'a> {
    fragments: &'a Fragments,
    is_mutation: bool,
    /// The first selection of each key.
    keys: HashMap<&'a Name, Root<'a>>,
    /// What is executed: fields, and the fragments that a directive decides over.
    merged: Vec<Positioned<Selection>>,
    /// Fragments that are in their places: a second time they add nothing.
    spread: HashSet<&'a Name>,
    is_any_merged: bool,
}

struct Root<'a> {
    field: &'a Field,
    /// Whether a directive decides over any of its selections.
    is_conditional: bool,
    /// The one in [`Roots::merged`] that is executed in any case.
    index: Option<usize>,
}

impl<'a> Roots<'a> {
    /// What is executed in any case. As deep as the document, which is bounded before.
    fn collect(&mut self, set: &'a SelectionSet) -> Result<(), ServerError> {
        for selection in &set.items {
            if !selection.node.directives().is_empty() {
                self.conditional(selection)?;
                self.merged.push(selection.clone());
                continue;
            }
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, selection)?,
                Selection::InlineFragment(inline) => {
                    self.collect(&inline.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.fragments.get(name) else {
                        continue;
                    };
                    if self.spread.insert(name) {
                        self.collect(&fragment.node.selection_set.node)?;
                    } else {
                        self.is_any_merged = true;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'a Field,
        selection: &'a Positioned<Selection>,
    ) -> Result<(), ServerError> {
        let next = self.merged.len();
        let root = self.see(field, selection.pos, false)?;
        let index = *root.index.get_or_insert(next);
        match self.merged.get_mut(index).map(|first| &mut first.node) {
            Some(Selection::Field(first)) => {
                let more = field.selection_set.node.items.iter().cloned();
                first.node.selection_set.node.items.extend(more);
                self.is_any_merged = true;
            }
            _ => self.merged.push(selection.clone()),
        }
        Ok(())
    }

    /// The keys of what a directive decides over, which stays as it is written. As long as the document with its fragments
    /// in their places, which is bounded before.
    fn conditional(&mut self, selection: &'a Positioned<Selection>) -> Result<(), ServerError> {
        let set = match &selection.node {
            Selection::Field(field) => {
                self.see(&field.node, selection.pos, true)?;
                return Ok(());
            }
            Selection::InlineFragment(inline) => &inline.node.selection_set.node,
            Selection::FragmentSpread(spread) => {
                match self.fragments.get(&spread.node.fragment_name.node) {
                    Some(fragment) => &fragment.node.selection_set.node,
                    None => return Ok(()),
                }
            }
        };
        set.items
            .iter()
            .try_for_each(|selection| self.conditional(selection))
    }

    /// A subscription has one stream of events (GraphQL, September 2025, section 5.2.4.1, "Single Root Field").
    fn check_single(&self, pos: Pos) -> Result<(), ServerError> {
        let mut keys = self.keys.values();
        let is_single = matches!(
            (keys.next(), keys.next()),
            (Some(root), None) if !root.is_conditional && !root.field.name.node.starts_with("__")
        );
        if is_single {
            return Ok(());
        }
        Err(refusal_at(
            Code::GraphqlValidationFailed,
            "a subscription selects one field at its root, without @skip or @include, and none of introspection".to_owned(),
            pos,
        ))
    }

    fn see(
        &mut self,
        field: &'a Field,
        pos: Pos,
        is_conditional: bool,
    ) -> Result<&mut Root<'a>, ServerError> {
        let key = &field.response_key().node;
        let root = match self.keys.entry(key) {
            Entry::Vacant(entry) => {
                return Ok(entry.insert(Root {
                    field,
                    is_conditional,
                    index: None,
                }));
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if !is_same(root.field, field) {
            return Err(refusal(
                key,
                "stands for different fields or different arguments at the root: use an alias",
                pos,
            ));
        }
        root.is_conditional |= is_conditional;
        if self.is_mutation && root.is_conditional && field.name.node != "__typename" {
            return Err(refusal(
                key,
                "is selected several times at the mutation's root, once of them under @skip or @include: the server \
                 executes a mutation's field once, and takes no directive at any of its selections or around them then",
                pos,
            ));
        }
        Ok(root)
    }
}

/// What a key stands for, apart from its selection.
fn is_same(one: &Field, other: &Field) -> bool {
    one.name == other.name
        && one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node) == Some(value))
}

fn refusal(key: &Name, what: &str, pos: Pos) -> ServerError {
    let message = format!("the key {} {what}", shortened(key));
    refusal_at(Code::GraphqlValidationFailed, message, pos)
}

#[cfg(test)]
mod tests;
