//! Answers that do not come out of a schema: JSON of GraphQL's shape all the same.

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{accept::MediaType, request_id};
use crate::graphql::fault::Code;

/// Why a request is not answered by the schema.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: Code,
    pub message: String,
    /// What the status asks for beside the body, such as `Allow`.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// When it makes sense to come back.
    pub retry_after_secs: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
            retry_after_secs: None,
        }
    }

    /// The request is not of the shape that the protocol asks for.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// As a list of one error, of GraphQL's shape.
    pub fn errors(&self, request_id: Option<&str>) -> Value {
        let mut errors = errors(self.code, &self.message, request_id);
        if let Some(secs) = self.retry_after_secs {
            errors[0]["extensions"]["retryAfter"] = json!(secs);
        }
        errors
    }

    /// An answer with one error and no data.
    pub fn answer(self, media_type: MediaType) -> Response {
        let errors = self.errors(request_id::current().as_deref());
        let body = json!({ "errors": errors }).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type.header());
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, secs.into());
        }
        response
    }
}

impl IntoResponse for Refusal {
    /// Whoever speaks HTTP reads JSON.
    fn into_response(self) -> Response {
        self.answer(MediaType::Json)
    }
}

/// A body with one error and no data.
pub fn body(code: Code, message: &str, request_id: Option<&str>) -> String {
    json!({ "errors": errors(code, message, request_id) }).to_string()
}

/// A list of one error, of GraphQL's shape.
pub fn errors(code: Code, message: &str, request_id: Option<&str>) -> Value {
    let mut extensions = json!({ "code": code.as_str() });
    if let Some(id) = request_id {
        extensions["requestId"] = json!(id);
    }
    json!([{ "message": message, "extensions": extensions }])
}

/// Something is broken here, and the log says what.
pub fn internal() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::Internal,
        "something is broken here; the fault is logged under this request's id",
    )
}
