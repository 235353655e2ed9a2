//! Where a failed field leaves null: there if it may be null, otherwise in the nearest object or list around it that may
//! (GraphQL, October 2021, section 6.4.4, Handling Field Errors).
//!
//! The engine only leaves the field's key out. What failed is known by the errors' paths.

use async_graphql::{
    PathSegment, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{BaseType, Type},
};

use super::Shape;
use crate::graphql::types::Types;

/// The value is null where none may be: what is around it cannot be there either.
struct Impossible;

/// Nulls in the data of an answer whatever must be null after these errors.
pub fn propagate(data: &mut Value, errors: &[ServerError], shape: &Shape, types: &Types) {
    for error in errors {
        mark(data, &error.path, shape);
    }
    for error in errors {
        // The data themselves may be null.
        let _ = settle(data, &error.path, None, shape, types);
    }
}

/// Gives each failed field the key that the engine left out, and the objects that it took for null, since no field of
/// them was left.
fn mark(value: &mut Value, path: &[PathSegment], shape: &Shape) {
    match (value, path) {
        (value @ Value::Null, [PathSegment::Field(key), ..]) if shape.field(key).is_some() => {
            *value = Value::Object(IndexMap::new());
            mark(value, path, shape);
        }
        (Value::Object(object), [PathSegment::Field(key), rest @ ..]) => {
            let Some(field) = shape.field(key) else {
                return;
            };
            if !object.contains_key(key.as_str()) {
                object.insert(async_graphql::Name::new(key), Value::Null);
            }
            if let Some(value) = object.get_mut(key.as_str()) {
                mark(value, rest, &field.selection);
            }
        }
        (Value::List(items), [PathSegment::Index(index), rest @ ..]) => {
            if let Some(item) = items.get_mut(*index) {
                mark(item, rest, shape);
            }
        }
        _ => {}
    }
}

/// Nulls the value at the end of the path, and on the way back whatever cannot be there without it. `of` is what the
/// schema says of this value; none says that it may be null.
fn settle(
    value: &mut Value,
    path: &[PathSegment],
    of: Option<&Type>,
    shape: &Shape,
    types: &Types,
) -> Result<(), Impossible> {
    let settled = match (&mut *value, path) {
        (_, []) => Err(Impossible),
        (Value::Object(object), [PathSegment::Field(key), rest @ ..]) => {
            match (shape.field(key), object.get_mut(key.as_str())) {
                (Some(field), Some(value)) => {
                    settle(value, rest, field.r#type(types), &field.selection, types)
                }
                _ => Ok(()),
            }
        }
        (Value::List(items), [PathSegment::Index(index), rest @ ..]) => {
            let of_item = of.and_then(|of| match &of.base {
                BaseType::List(item) => Some(&**item),
                BaseType::Named(_) => None,
            });
            match items.get_mut(*index) {
                Some(item) => settle(item, rest, of_item, shape, types),
                None => Ok(()),
            }
        }
        // Null already, for another error's sake or because the engine had nothing else.
        (Value::Null, _) => Err(Impossible),
        _ => Ok(()),
    };
    if settled.is_ok() {
        return Ok(());
    }
    *value = Value::Null;
    if of.is_none_or(|of| of.nullable) {
        Ok(())
    } else {
        Err(Impossible)
    }
}
