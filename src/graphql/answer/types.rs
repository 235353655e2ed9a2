//! The schema's types, as far as an answer's nulls depend on them.

use std::collections::HashMap;

use async_graphql::{
    Name,
    parser::{
        parse_schema,
        types::{OperationType, Type, TypeKind, TypeSystemDefinition},
    },
};

/// The type of every field of every object and interface. Introspection's own are not among them: nothing there fails.
pub struct Types {
    fields: HashMap<Name, HashMap<Name, Type>>,
}

impl Types {
    /// Of a schema in its definition language.
    pub fn of(sdl: &str) -> Self {
        let schema =
            parse_schema(sdl).expect("the engine prints its schema in the schema's language");
        let types = schema.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                TypeKind::Scalar
                | TypeKind::Union(_)
                | TypeKind::Enum(_)
                | TypeKind::InputObject(_) => return None,
            };
            let fields = fields
                .into_iter()
                .map(|field| (field.node.name.node, field.node.ty.node));
            Some((definition.node.name.node, fields.collect()))
        });
        Self {
            fields: types.collect(),
        }
    }

    /// The type of an object's field, if it is one of the schema's own.
    pub fn field(&self, object: &str, field: &str) -> Option<&Type> {
        self.fields.get(object)?.get(field)
    }

    /// The object that an operation selects from. The server's own names, see [`super::super::schema`].
    pub fn root(operation: OperationType) -> Name {
        Name::new(match operation {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        })
    }
}
