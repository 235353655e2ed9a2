//! What an answer looks like after the engine has made it.

use async_graphql::{Response, ServerError};

use super::fault::Code;

/// Codes every error, and tells with it which request it is about.
pub fn complete(response: &mut Response, request_id: Option<&str>) {
    for error in &mut response.errors {
        complete_error(error, request_id);
    }
}

/// The engine's own errors have no code: before execution the document was wrong, during it a value was.
fn complete_error(error: &mut ServerError, request_id: Option<&str>) {
    let is_executing = !error.path.is_empty();
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        let code = if is_executing {
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
