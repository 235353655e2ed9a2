//! The shape that an answer has by its document: which keys, in which order (GraphQL, October 2021, section 6.3.2,
//! CollectFields).
//!
//! An object's concrete type need not be known: the keys that are there come in the order in which the selection names
//! them first, whatever the condition under which it does.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value, Variables,
    indexmap::IndexMap,
    parser::types::{
        Directive, FragmentDefinition, FragmentSpread, OperationDefinition, Selection,
        SelectionSet, Type,
    },
};

use crate::graphql::types::{Types, name_of};

/// Selections that are looked at. The engine executes no document of more, since each costs at least one.
const SELECTIONS_MAX: usize = 20_000;

/// How deep fields and fragments nest. The engine executes nothing deeper.
const DEPTH_MAX: usize = 64;

/// What is selected of an object, merged: each key once.
#[derive(Default)]
pub struct Shape {
    pub(super) fields: IndexMap<Name, Field>,
    /// Whether what the whole operation selects may depend on `@skip` or `@include`; said of the whole alone.
    is_conditional: bool,
}

/// A key of an object.
pub struct Field {
    /// The type on which it was selected first, and its name there.
    parent: Name,
    name: Name,
    /// Empty for a leaf.
    pub selection: Shape,
}

impl Field {
    /// None for introspection's own.
    pub fn r#type<'t>(&self, types: &'t Types) -> Option<&'t Type> {
        Some(&types.field(&self.parent, &self.name)?.of_type)
    }
}

impl Shape {
    /// Of an operation, with the fragments of its document. Empty if the engine would not execute it.
    pub fn of(
        fragments: &Fragments,
        operation: &OperationDefinition,
        variables: &Variables,
        types: &Types,
    ) -> Self {
        let mut collector = Collector {
            fragments,
            operation,
            variables,
            types,
            selections_left: SELECTIONS_MAX,
            is_conditional: false,
        };
        let Some(root) = types.root(operation.ty) else {
            return Self::default();
        };
        let mut shape = Self::default();
        let selection = &operation.selection_set.node;
        match collector.collect(selection, root, &mut shape, &mut Vec::new(), 0) {
            Ok(()) => {
                shape.is_conditional = collector.is_conditional;
                shape
            }
            Err(Unbounded) => Self::default(),
        }
    }

    /// Whether it may be another with other variables.
    pub fn is_conditional(&self) -> bool {
        self.is_conditional
    }

    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.get(key)
    }

    /// Brings the keys of each object into the order of the selection.
    pub fn arrange(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.arrange(item)),
            Value::Object(object) => {
                if !self.is_arranged(object) {
                    let place = |key: &Name| self.fields.get_index_of(key).unwrap_or(usize::MAX);
                    object.sort_by(|a, _, b, _| place(a).cmp(&place(b)));
                }
                let mut fields = self.fields.iter();
                for (key, value) in object {
                    if let Some((_, field)) = fields.find(|(name, _)| *name == key)
                        && !field.selection.fields.is_empty()
                    {
                        field.selection.arrange(value);
                    }
                }
            }
            // Leaves.
            Value::Null
            | Value::Number(_)
            | Value::String(_)
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::Enum(_) => {}
        }
    }

    /// Whether the object's keys are some of the selection's, in its order. Most are: only fields that wait for
    /// something come late.
    fn is_arranged(&self, object: &IndexMap<Name, Value>) -> bool {
        let mut names = self.fields.keys();
        object.keys().all(|key| names.any(|name| name == key))
    }
}

/// A document's fragments by their names.
pub type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// The document is larger than any that is executed.
struct Unbounded;

struct Collector<'a> {
    fragments: &'a Fragments,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    types: &'a Types,
    selections_left: usize,
    is_conditional: bool,
}

impl<'a> Collector<'a> {
    /// Adds what a selection set selects of an object of type `parent`. `spread` are the fragments that it has by now:
    /// a second time they add nothing.
    fn collect(
        &mut self,
        set: &'a SelectionSet,
        parent: &Name,
        into: &mut Shape,
        spread: &mut Vec<&'a Name>,
        depth: usize,
    ) -> Result<(), Unbounded> {
        if depth > DEPTH_MAX {
            return Err(Unbounded);
        }
        for selection in &set.items {
            self.selections_left = self.selections_left.checked_sub(1).ok_or(Unbounded)?;
            if self.is_skipped(selection.node.directives()) {
                continue;
            }
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let key = field.response_key().node.clone();
                    let shape = into.fields.entry(key).or_insert_with(|| Field {
                        parent: parent.clone(),
                        name: field.name.node.clone(),
                        selection: Shape::default(),
                    });
                    let set = &field.selection_set.node;
                    if !set.items.is_empty() {
                        let of = self.types.field(parent, &field.name.node);
                        let of = of.map(|of| name_of(&of.of_type));
                        // Introspection's own types are no condition of any fragment's.
                        let of = of.unwrap_or(parent);
                        self.collect(set, of, &mut shape.selection, &mut Vec::new(), depth + 1)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    let parent = condition.map_or(parent, |condition| &condition.node.on.node);
                    let set = &fragment.node.selection_set.node;
                    self.collect(set, parent, into, spread, depth + 1)?;
                }
                Selection::FragmentSpread(fragment) => {
                    self.collect_spread(fragment, into, spread, depth)?;
                }
            }
        }
        Ok(())
    }

    fn collect_spread(
        &mut self,
        fragment: &'a Positioned<FragmentSpread>,
        into: &mut Shape,
        spread: &mut Vec<&'a Name>,
        depth: usize,
    ) -> Result<(), Unbounded> {
        let name = &fragment.node.fragment_name.node;
        let Some(fragment) = self.fragments.get(name) else {
            return Ok(());
        };
        if spread.contains(&name) {
            return Ok(());
        }
        spread.push(name);
        let fragment = &fragment.node;
        let parent = &fragment.type_condition.node.on.node;
        let set = &fragment.selection_set.node;
        self.collect(set, parent, into, spread, depth + 1)
    }

    fn is_skipped(&mut self, directives: &[Positioned<Directive>]) -> bool {
        self.is_conditional |= !directives.is_empty();
        directives.iter().any(|directive| {
            let skips_if = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = directive.node.get_argument("if");
            let condition = condition.and_then(|condition| {
                let value = condition.node.clone();
                value
                    .into_const_with(|name| self.variable(&name).ok_or(()))
                    .ok()
            });
            condition == Some(Value::Boolean(skips_if))
        })
    }

    fn variable(&self, name: &Name) -> Option<Value> {
        let given = self.variables.get(name).cloned();
        given.or_else(|| {
            let mut defined = self.operation.variable_definitions.iter();
            let defined = defined.find(|defined| defined.node.name.node == *name)?;
            Some(defined.node.default_value.as_ref()?.node.clone())
        })
    }
}
