//! What the engine's validation leaves out: arguments that are written with variables in them, the types that variables
//! are declared with, and whatever stands at `__typename`.

use std::convert::Infallible;

use async_graphql::{
    Pos, Positioned, ServerError, Value,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, Type,
    },
};

use super::{
    errors::refusal_at,
    values::{problems_of_argument, shortened, variable},
};
use crate::graphql::{
    fault::Code,
    types::{Types, name_of},
};

/// So many are told.
const ERRORS_MAX: usize = 10;

/// The types that variables are declared with. Before the engine's validation, which takes them for granted where a
/// variable has a default.
///
/// # Errors
/// `GRAPHQL_VALIDATION_FAILED` when a type is none, or no input.
pub fn check_declarations(types: &Types, document: &ExecutableDocument) -> Result<(), ServerError> {
    for (_, operation) in document.operations.iter() {
        for definition in &operation.node.variable_definitions {
            let of_type = &definition.node.var_type.node;
            if !types.is_input(name_of(of_type)) {
                return Err(refusal_at(
                    Code::GraphqlValidationFailed,
                    format!(
                        "the variable ${} is declared of a type that is no input: {}",
                        shortened(&definition.node.name.node),
                        shortened(name_of(of_type)),
                    ),
                    definition.pos,
                ));
            }
        }
    }
    Ok(())
}

/// Arguments with variables in them, of a document that is valid otherwise.
pub fn errors(types: &Types, document: &ExecutableDocument) -> Vec<ServerError> {
    let mut arguments = Arguments {
        types,
        errors: Vec::new(),
    };
    for (_, operation) in document.operations.iter() {
        arguments.operation(&operation.node);
    }
    for fragment in document.fragments.values() {
        let on = &fragment.node.type_condition.node.on.node;
        arguments.selection_set(Some(on), &fragment.node.selection_set.node);
    }
    arguments.errors.truncate(ERRORS_MAX);
    arguments.errors
}

struct Arguments<'a> {
    types: &'a Types,
    errors: Vec<ServerError>,
}

impl<'a> Arguments<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) {
        let root = self.types.root(operation.ty).map(|root| root.as_str());
        self.selection_set(root, &operation.selection_set.node);
    }

    fn selection_set(&mut self, of_type: Option<&str>, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if field.node.name.node == "__typename" => {
                    self.type_name(&field.node, field.pos);
                }
                Selection::Field(field) => self.field(of_type, &field.node, field.pos),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let on = on.map(|condition| condition.node.on.node.as_str());
                    self.selection_set(on.or(of_type), &inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, of_type: Option<&str>, field: &'a Field, pos: Pos) {
        let name = field.name.node.as_str();
        // Introspection's fields have no arguments that need this.
        let of_schema = of_type.and_then(|of_type| self.types.field(of_type, name));
        for (argument, value) in &field.arguments {
            let declared = of_schema.and_then(|field| field.arguments.get(argument.node.as_str()));
            let Some(declared) = declared else {
                continue;
            };
            let mut has_variables = false;
            let Ok(written) = value.node.clone().into_const_with(|name| {
                has_variables = true;
                Ok::<_, Infallible>(variable(&name))
            });
            if has_variables {
                self.argument(name, &argument.node, &declared.of_type, &written, pos);
            }
        }
        let of_type = of_schema.map(|of_schema| name_of(&of_schema.of_type).as_str());
        self.selection_set(of_type, &field.selection_set.node);
    }

    fn type_name(&mut self, field: &Field, pos: Pos) {
        let is_known = |directive: &Positioned<Directive>| {
            let arguments = &directive.node.arguments;
            ["skip", "include"].contains(&directive.node.name.node.as_str())
                && matches!(&arguments[..], [(name, _)] if name.node == "if")
        };
        let is_bare = field.arguments.is_empty() && field.selection_set.node.items.is_empty();
        if !is_bare || !field.directives.iter().all(is_known) {
            self.errors.push(refusal_at(
                Code::GraphqlValidationFailed,
                "__typename has no arguments and no fields, and of directives @skip(if:) and @include(if:)".to_owned(),
                pos,
            ));
        }
    }

    fn argument(&mut self, field: &str, name: &str, of_type: &Type, written: &Value, pos: Pos) {
        for message in problems_of_argument(self.types, field, name, of_type, written) {
            self.errors
                .push(refusal_at(Code::BadUserInput, message, pos));
        }
    }
}
