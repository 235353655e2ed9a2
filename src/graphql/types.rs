//! What the schema says of its types, read once from its own text: which values fit, and what a field leads to.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, OperationType, Type, TypeDefinition,
            TypeKind, TypeSystemDefinition,
        },
    },
};

pub struct Types {
    by_name: HashMap<String, Kind>,
    query: Name,
    mutation: Option<Name>,
    subscription: Option<Name>,
    pub means: Means,
}

pub enum Kind {
    Int,
    Float,
    String,
    Boolean,
    Id,
    /// A scalar of ours: its values are read when a field is executed.
    Custom,
    /// Its values, in the schema's order.
    Enum(Vec<String>),
    Input(Input),
    /// An object, or an interface; a union has no fields.
    Output(HashMap<String, Field>),
}

pub struct Input {
    pub is_one_of: bool,
    pub fields: HashMap<String, Argument>,
}

/// An argument of a field, or a field of an input object.
pub struct Argument {
    pub of_type: Type,
    pub has_default: bool,
}

pub struct Field {
    pub of_type: Type,
    pub arguments: HashMap<String, Argument>,
}

/// How long introspection's lists are, on average and rounded up.
pub struct Means {
    pub types: u64,
    pub fields: u64,
    pub arguments: u64,
    pub input_fields: u64,
    pub enum_values: u64,
}

impl Types {
    /// Reads the schema definition language.
    pub fn read(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the engine reads what it has written");
        let mut types = Self {
            by_name: own_scalars(),
            query: Name::new("Query"),
            mutation: None,
            subscription: None,
            means: Means::of(&document.definitions),
        };
        for definition in document.definitions {
            match definition {
                TypeSystemDefinition::Schema(schema) => {
                    if let Some(query) = schema.node.query {
                        types.query = query.node;
                    }
                    types.mutation = schema.node.mutation.map(|name| name.node);
                    types.subscription = schema.node.subscription.map(|name| name.node);
                }
                TypeSystemDefinition::Type(of_schema) => {
                    let of_schema = of_schema.node;
                    types
                        .by_name
                        .insert(of_schema.name.node.to_string(), kind(of_schema));
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        types
    }

    pub fn named(&self, name: &str) -> Option<&Kind> {
        self.by_name.get(name)
    }

    pub fn is_input(&self, name: &str) -> bool {
        !matches!(self.named(name), None | Some(Kind::Output(_)))
    }

    /// The type that an operation selects from.
    pub fn root(&self, operation: OperationType) -> Option<&Name> {
        match operation {
            OperationType::Query => Some(&self.query),
            OperationType::Mutation => self.mutation.as_ref(),
            OperationType::Subscription => self.subscription.as_ref(),
        }
    }

    /// A field of an object or an interface; `None` also for introspection's, which have no types of their own here.
    pub fn field(&self, of_type: &str, name: &str) -> Option<&Field> {
        match self.named(of_type)? {
            Kind::Output(fields) => fields.get(name),
            Kind::Int
            | Kind::Float
            | Kind::String
            | Kind::Boolean
            | Kind::Id
            | Kind::Custom
            | Kind::Enum(_)
            | Kind::Input(_) => None,
        }
    }
}

fn own_scalars() -> HashMap<String, Kind> {
    [
        ("Int", Kind::Int),
        ("Float", Kind::Float),
        ("String", Kind::String),
        ("Boolean", Kind::Boolean),
        ("ID", Kind::Id),
    ]
    .into_iter()
    .map(|(name, kind)| (name.to_owned(), kind))
    .collect()
}

fn kind(of_schema: TypeDefinition) -> Kind {
    let is_one_of = of_schema
        .directives
        .iter()
        .any(|directive| directive.node.name.node == "oneOf");
    match of_schema.kind {
        TypeKind::Scalar => Kind::Custom,
        TypeKind::Enum(of_enum) => Kind::Enum(
            of_enum
                .values
                .into_iter()
                .map(|value| value.node.value.node.to_string())
                .collect(),
        ),
        TypeKind::InputObject(input) => Kind::Input(Input {
            is_one_of,
            fields: input
                .fields
                .into_iter()
                .map(|field| argument(field.node))
                .collect(),
        }),
        TypeKind::Object(object) => Kind::Output(fields(object.fields)),
        TypeKind::Interface(interface) => Kind::Output(fields(interface.fields)),
        TypeKind::Union(_) => Kind::Output(HashMap::new()),
    }
}

fn fields(definitions: Vec<Positioned<FieldDefinition>>) -> HashMap<String, Field> {
    definitions
        .into_iter()
        .map(|definition| {
            let definition = definition.node;
            let field = Field {
                of_type: definition.ty.node,
                arguments: definition
                    .arguments
                    .into_iter()
                    .map(|of_field| argument(of_field.node))
                    .collect(),
            };
            (definition.name.node.to_string(), field)
        })
        .collect()
}

fn argument(definition: InputValueDefinition) -> (String, Argument) {
    let argument = Argument {
        of_type: definition.ty.node,
        has_default: definition.default_value.is_some(),
    };
    (definition.name.node.to_string(), argument)
}

/// The type without its lists.
pub fn name_of(of_type: &Type) -> &Name {
    match &of_type.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => name_of(item),
    }
}

impl Means {
    fn of(definitions: &[TypeSystemDefinition]) -> Self {
        let [
            mut types,
            mut fields,
            mut arguments,
            mut input_fields,
            mut enum_values,
        ] = [0_usize; 5];
        for definition in definitions {
            let TypeSystemDefinition::Type(of_schema) = definition else {
                continue;
            };
            types += 1;
            match &of_schema.node.kind {
                TypeKind::Object(async_graphql::parser::types::ObjectType {
                    fields: its, ..
                })
                | TypeKind::Interface(async_graphql::parser::types::InterfaceType {
                    fields: its,
                    ..
                }) => {
                    fields += its.len();
                    arguments += its
                        .iter()
                        .map(|field| field.node.arguments.len())
                        .sum::<usize>();
                }
                TypeKind::InputObject(input) => input_fields += input.fields.len(),
                TypeKind::Enum(of_enum) => enum_values += of_enum.values.len(),
                TypeKind::Scalar | TypeKind::Union(_) => {}
            }
        }
        let mean = |number: usize, of: usize| number.div_ceil(of.max(1)).max(1) as u64;
        Self {
            types: types as u64,
            fields: mean(fields, types),
            arguments: mean(arguments, fields),
            input_fields: mean(input_fields, types),
            enum_values: mean(enum_values, types),
        }
    }
}
