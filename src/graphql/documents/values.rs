//! Whether values fit the types of the schema: a request's variables, and what a document writes around its variables.
//!
//! After GraphQL's sections 3.5 to 3.12 (input coercion) and 6.1.2 (CoerceVariableValues). Takes time in proportion to the
//! values, and never repeats one: what a client sent may be long or secret. A scalar of ours is read where it is used, by
//! the field that it is an argument of.

use std::fmt::Write;

use async_graphql::{
    Pos, Value, Variables,
    parser::types::{BaseType, OperationDefinition, Type},
};

use crate::graphql::types::{Argument, Input, Kind, Types};

/// So many problems are told of one request.
const PROBLEMS_MAX: usize = 10;

/// So much of a name that a client has made up is repeated.
const NAME_LEN_MAX: usize = 40;

/// From here on not every whole number is a float: two to the power of 53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Something about a value that does not fit, as a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub pos: Pos,
}

/// Reads numbers with an empty fraction as whole ones, whatever they are for: JSON has one kind of number, and some clients
/// write `1.0` for 1 (section 3.5, Scalars, Input Coercion). Those that no Int and no id can be stay as they are.
pub fn read_whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number
                .as_f64()
                .filter(|number| number.fract() == 0.0 && number.abs() < WHOLE_MAX)
                .and_then(|number| format!("{number:.0}").parse::<i64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        Value::List(items) => items.iter_mut().for_each(read_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(read_whole_numbers),
        Value::Null
        | Value::Number(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Binary(_)
        | Value::Enum(_) => {}
    }
}

/// What is wrong with the variables of a request; nothing when they fit what the operation declares.
pub fn problems_of_variables(
    types: &Types,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for definition in &operation.variable_definitions {
        let pos = definition.pos;
        let definition = &definition.node;
        let (name, of_type) = (&definition.name.node, &definition.var_type.node);
        let mut check = Check::new(types, Source::Variable(name));
        match variables.get(name) {
            Some(value) => check.value(of_type, value),
            None if of_type.nullable || definition.default_value.is_some() => {}
            None => check.problem(format_args!("is missing, and is of type {of_type}")),
        }
        problems.extend(
            check
                .problems
                .into_iter()
                .map(|message| Problem { message, pos }),
        );
        if problems.len() >= PROBLEMS_MAX {
            problems.truncate(PROBLEMS_MAX);
            break;
        }
    }
    problems
}

/// What is wrong with an argument of a field as it is written, whatever its variables (as [`variable`] leaves them) are.
pub fn problems_of_argument(
    types: &Types,
    field: &str,
    name: &str,
    of_type: &Type,
    value: &Value,
) -> Vec<String> {
    let mut check = Check::new(types, Source::Argument { field, name });
    check.value(of_type, value);
    check.problems
}

/// What stands for a variable in a value that is checked before the variables are known: bytes, which neither a document
/// nor JSON can hold.
pub fn variable(name: &str) -> Value {
    Value::Binary(name.to_owned().into())
}

/// The name of the variable that this stands for.
pub fn variable_name(value: &Value) -> Option<&str> {
    match value {
        Value::Binary(name) => std::str::from_utf8(name).ok(),
        Value::Null
        | Value::Number(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Enum(_)
        | Value::List(_)
        | Value::Object(_) => None,
    }
}

/// Where a value was found.
enum Source<'a> {
    /// In JSON, where an enum's value is a string.
    Variable(&'a str),
    /// In the document, where it is not.
    Argument { field: &'a str, name: &'a str },
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

struct Check<'a> {
    types: &'a Types,
    source: Source<'a>,
    path: Vec<Step<'a>>,
    problems: Vec<String>,
}

impl<'a> Check<'a> {
    fn new(types: &'a Types, source: Source<'a>) -> Self {
        Self {
            types,
            source,
            path: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// As deep as the type or as the value, whichever ends first; both are bounded before.
    fn value(&mut self, of_type: &'a Type, value: &'a Value) {
        if variable_name(value).is_some() {
            // Whether its type fits here is the validation's to say.
            return;
        }
        if *value == Value::Null {
            if !of_type.nullable {
                self.problem(format_args!("must not be null, and is of type {of_type}"));
            }
            return;
        }
        match (&of_type.base, value) {
            (BaseType::List(item_type), Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.within(Step::Index(index), |check| check.value(item_type, item));
                    if self.problems.len() >= PROBLEMS_MAX {
                        return;
                    }
                }
            }
            // One value stands for a list of it.
            (BaseType::List(item_type), item) => self.value(item_type, item),
            (BaseType::Named(name), value) => self.named(name, value),
        }
    }

    fn named(&mut self, name: &str, value: &'a Value) {
        let types = self.types;
        let fits = match types.named(name) {
            Some(Kind::Int) => {
                matches!(value, Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()))
            }
            Some(Kind::Float) => {
                matches!(value, Value::Number(number) if number.as_f64().is_some_and(f64::is_finite))
            }
            Some(Kind::String) => matches!(value, Value::String(_)),
            Some(Kind::Boolean) => matches!(value, Value::Boolean(_)),
            Some(Kind::Id) => {
                matches!(value, Value::String(_))
                    || matches!(value, Value::Number(number) if number.is_i64())
            }
            Some(Kind::Custom) => true,
            Some(Kind::Enum(members)) => self
                .enum_name(value)
                .is_some_and(|given| members.iter().any(|member| member == given)),
            Some(Kind::Input(input)) => {
                if let Value::Object(_) = value {
                    return self.object(name, input, value);
                }
                false
            }
            // No input: the document was refused for it.
            Some(Kind::Output(_)) | None => false,
        };
        if !fits {
            let is = kind_of(value);
            match types.named(name) {
                Some(Kind::Int) => self.problem(format_args!(
                    "must be an Int, a whole number of 32 bits, and is {is}"
                )),
                Some(Kind::Enum(members)) => {
                    let is = if self.enum_name(value).is_some() {
                        "another name"
                    } else {
                        is
                    };
                    self.problem(format_args!(
                        "must be one of {} of the enum {name}, and is {is}",
                        members.join(", ")
                    ));
                }
                _ => self.problem(format_args!("must be of type {name}, and is {is}")),
            }
        }
    }

    /// What may be an enum's value here: a string of JSON's, or a name in a document.
    fn enum_name(&self, value: &'a Value) -> Option<&'a str> {
        match (&self.source, value) {
            (Source::Variable(_), Value::String(name)) => Some(name),
            (Source::Argument { .. }, Value::Enum(name)) => Some(name),
            _ => None,
        }
    }

    fn object(&mut self, name: &str, input: &'a Input, value: &'a Value) {
        let Value::Object(given) = value else {
            unreachable!("only objects are brought here");
        };
        for (field, value) in given {
            match input.fields.get(field.as_str()) {
                Some(Argument { of_type, .. }) => {
                    self.within(Step::Field(field), |check| check.value(of_type, value));
                }
                None => self.problem(format_args!(
                    "has a field \"{}\" that {name} has not",
                    shortened(field)
                )),
            }
            if self.problems.len() >= PROBLEMS_MAX {
                return;
            }
        }
        if input.is_one_of {
            if given.len() != 1 || given.values().any(|value| *value == Value::Null) {
                self.problem(format_args!(
                    "must have exactly one field of {name}, and that not null"
                ));
            }
            return;
        }
        let mut missing: Vec<&str> = input
            .fields
            .iter()
            .filter(|(field, argument)| {
                !argument.of_type.nullable
                    && !argument.has_default
                    && !given.contains_key(field.as_str())
            })
            .map(|(field, _)| field.as_str())
            .collect();
        missing.sort_unstable();
        if !missing.is_empty() {
            self.problem(format_args!("of type {name} lacks {}", missing.join(", ")));
        }
    }

    fn within(&mut self, step: Step<'a>, look: impl FnOnce(&mut Self)) {
        self.path.push(step);
        look(self);
        self.path.pop();
    }

    fn problem(&mut self, what: std::fmt::Arguments<'_>) {
        let mut message = match self.source {
            Source::Variable(name) => format!("${}", shortened(name)),
            Source::Argument { field, name } => format!("{field}({name}:)"),
        };
        for step in &self.path {
            match step {
                Step::Field(name) => {
                    message.push('.');
                    message.push_str(shortened(name));
                }
                Step::Index(index) => write!(message, "[{index}]").expect("text can be written to"),
            }
        }
        write!(message, " {what}").expect("text can be written to");
        self.problems.push(message);
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Boolean(_) => "a Boolean",
        Value::Enum(_) => "a name",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
        Value::Binary(_) => "bytes",
    }
}

pub fn shortened(name: &str) -> &str {
    let end = name
        .char_indices()
        .nth(NAME_LEN_MAX)
        .map_or(name.len(), |(at, _)| at);
    &name[..end]
}

#[cfg(test)]
mod tests;
