//! What the engine's validation leaves out because it looks at a document with one request's variables: arguments that
//! are written with variables in them, and types that a variable is declared with.

use async_graphql::{
    Pos, ServerError, Value,
    parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};

use super::{
    refusal_at,
    types::{Types, name_of},
    values::{problems_of_argument, shortened, variable},
};
use crate::graphql::fault::Code;

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
        let root = self.types.root(operation.ty);
        self.selection_set(root, &operation.selection_set.node);
    }

    fn selection_set(&mut self, of_type: Option<&str>, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let (pos, field) = (field.pos, &field.node);
                    let name = field.name.node.as_str();
                    // Introspection has no arguments that need this.
                    let Some(of_schema) =
                        of_type.and_then(|of_type| self.types.field(of_type, name))
                    else {
                        continue;
                    };
                    for (argument, value) in &field.arguments {
                        let Some(declared) = of_schema.arguments.get(argument.node.as_str()) else {
                            continue;
                        };
                        let mut has_variables = false;
                        let written = value.node.clone().into_const_with(|name| {
                            has_variables = true;
                            Ok::<Value, std::convert::Infallible>(variable(&name))
                        });
                        let Ok(written) = written;
                        if has_variables {
                            self.argument(name, &argument.node, &declared.of_type, &written, pos);
                        }
                    }
                    self.selection_set(Some(&of_schema.of_type), &field.selection_set.node);
                }
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let on = on.map(|condition| condition.node.on.node.as_str());
                    self.selection_set(on.or(of_type), &inline.node.selection_set.node);
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn argument(
        &mut self,
        field: &str,
        name: &str,
        of_type: &async_graphql::parser::types::Type,
        written: &Value,
        pos: Pos,
    ) {
        for message in problems_of_argument(self.types, field, name, of_type, written) {
            self.errors
                .push(refusal_at(Code::GraphqlValidationFailed, message, pos));
        }
    }
}
