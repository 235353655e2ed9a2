//! Answers that do not come out of a schema: JSON of GraphQL's shape all the same.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::request_id;
use crate::graphql::fault::Code;

/// An answer with one error and no data.
pub fn refusal(status: StatusCode, code: Code, message: &str) -> Response {
    let mut extensions = json!({ "code": code.as_str() });
    if let Some(id) = request_id::current() {
        extensions["requestId"] = json!(id);
    }
    let body = json!({ "errors": [{ "message": message, "extensions": extensions }] });
    (status, Json(body)).into_response()
}

/// Something is broken here, and the log says what.
pub fn internal() -> Response {
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        "something is broken here; the fault is logged under this request's id",
    )
}
