//! What an answer looks like after the engine has made it.
//!
//! The engine answers the fields of an object in the order in which they were ready, leaves out those that failed where
//! null is not allowed, and says what is wrong in its own way, with as much of the client's text as there is. Here the
//! answer becomes what the specification says: keys in the order of the selection, nulls where they belong, and errors
//! that are coded, short and few. Knows nothing of transports: each gets the same answer.

mod message;
mod nulls;
mod shape;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use async_graphql::{Response, ServerError, Value, indexmap::IndexMap};
use bytes::Bytes;
use serde::Serialize;

pub use self::shape::{Fragments, Shape};
use super::{fault::Code, kept::Weight, types::Types};

/// Errors of one answer; what a hundred fields of a list say is no more than what the first ones say.
const ERRORS_MAX: usize = 10;

/// Places in the document that one error points at.
const LOCATIONS_MAX: usize = 4;

/// What became of a request.
pub struct Answer {
    response: Response,
    /// False for a request error: nothing was executed, and there is no data, not even null.
    pub is_executed: bool,
    /// Written once, however many ask for it.
    json: OnceLock<Bytes>,
}

impl Answer {
    /// The answer to a request that is not executed.
    pub fn refused(errors: Vec<ServerError>, request_id: Option<&str>) -> Self {
        let mut response = Response::from_errors(errors);
        complete(&mut response, request_id);
        Self::new(response, false)
    }

    fn new(response: Response, is_executed: bool) -> Self {
        Self {
            response,
            is_executed,
            json: OnceLock::new(),
        }
    }

    /// The same as the answer to what was not executed after all.
    pub fn not_executed(mut self) -> Self {
        // What is written has no data then.
        Self::new(std::mem::take(&mut self.response), false)
    }

    /// Its errors as JSON, a list.
    pub fn errors_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.response.errors).expect("names are strings")
    }

    /// Whether it has no errors.
    pub fn is_ok(&self) -> bool {
        self.response.is_ok()
    }

    /// As its text alone, which is a tenth of it: for one that many are told.
    pub fn written(mut self) -> Self {
        self.json();
        self.response.data = Value::Null;
        self
    }

    /// The engine's response, if it was executed, is not written yet, and nobody else has the answer.
    ///
    /// # Errors
    /// The answer as it was.
    pub fn of_one(answer: Arc<Self>) -> Result<Response, Arc<Self>> {
        if !answer.is_executed || answer.json.get().is_some() {
            return Err(answer);
        }
        Arc::try_unwrap(answer).map(|answer| answer.response)
    }

    /// The answer as JSON.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| self.write()).clone()
    }

    fn write(&self) -> Bytes {
        #[derive(Serialize)]
        struct Unexecuted<'a> {
            errors: &'a [ServerError],
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            extensions: &'a BTreeMap<String, Value>,
        }
        let written = if self.is_executed {
            serde_json::to_vec(&self.response)
        } else {
            // The engine's own would have `data`, as null.
            serde_json::to_vec(&Unexecuted {
                errors: &self.response.errors,
                extensions: &self.response.extensions,
            })
        };
        written
            .expect("names are strings, and writing into memory does not fail")
            .into()
    }

    /// The engine's answer to a document of this shape.
    pub fn of_engine(
        mut response: Response,
        shape: &Shape,
        types: &Types,
        request_id: Option<&str>,
    ) -> Self {
        // Whatever fails in a field has a path; what fails before has none, and leaves no data.
        let is_executed = response.is_ok()
            || response.data != Value::Null
            || response.errors.iter().any(|error| !error.path.is_empty());
        if is_executed {
            if response.is_ok() && response.data == Value::Null {
                // The engine's word for an object without fields, as when all of them are skipped.
                response.data = Value::Object(IndexMap::new());
            }
            nulls::propagate(&mut response.data, &response.errors, shape, types);
            shape.arrange(&mut response.data);
        }
        complete(&mut response, request_id);
        Self::new(response, is_executed)
    }
}

impl Weight for Arc<Answer> {
    /// The text, and beside it the same as a tree of values.
    fn weight(&self) -> u64 {
        const TREE_BY_TEXT: u64 = 10;
        self.json().len() as u64 * (1 + TREE_BY_TEXT)
    }
}

/// Codes every error, bounds it, and tells with it which request it is about.
fn complete(response: &mut Response, request_id: Option<&str>) {
    response.errors.truncate(ERRORS_MAX);
    for error in &mut response.errors {
        complete_error(error, request_id);
    }
}

/// The engine's own errors have no code: before execution the document was wrong, during it a value was.
fn complete_error(error: &mut ServerError, request_id: Option<&str>) {
    let is_executing = !error.path.is_empty();
    let is_ours = error
        .extensions
        .as_ref()
        .is_some_and(|extensions| extensions.get("code").is_some());
    error.locations.truncate(LOCATIONS_MAX);
    error.message = message::one_line(&error.message);
    let extensions = error.extensions.get_or_insert_default();
    if !is_ours {
        error.message = message::without_echo(&error.message);
        let code = if is_executing || message::is_about_a_value(&error.message) {
            Code::BadUserInput
        } else {
            Code::GraphqlValidationFailed
        };
        extensions.set("code", code.as_str());
    }
    if let Some(id) = request_id {
        extensions.set("requestId", id);
    }
}

#[cfg(test)]
mod tests;
