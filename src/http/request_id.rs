//! An id for every request: in its span, in its errors, and in the header of its answer.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use tracing::Span;
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a client's is replaced, as is one that could not stand in a log line.
const ID_LEN_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

#[derive(Clone)]
pub struct RequestId(Arc<str>);

/// The id of the request that is being answered.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

impl RequestId {
    /// A client's own id where it is a reasonable one, and a new one otherwise.
    pub fn of(headers: &HeaderMap) -> Self {
        let own = headers.get(&HEADER).and_then(|value| value.to_str().ok());
        match own.filter(|id| is_reasonable(id)) {
            Some(id) => Self(id.into()),
            None => Self::mint(),
        }
    }

    pub fn mint() -> Self {
        let mut text = Uuid::encode_buffer();
        let id: &str = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(id.into())
    }

    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("a reasonable id and a UUID are header values")
    }

    /// Makes it the current one of whatever runs in there.
    pub async fn scope<F: Future>(self, answering: F) -> F::Output {
        CURRENT.scope(self, answering).await
    }
}

impl std::ops::Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

fn is_reasonable(id: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The span of a request. Never its query: that holds what customers typed.
pub fn span(id: &RequestId, request: &Request) -> Span {
    let span = tracing::info_span!("request", request.id = &**id, http.method = %request.method(), http.path = request.uri().path());
    crate::traces::continue_in(&span, request.headers());
    span
}

/// The span of an operation of a socket.
pub fn span_of_operation(id: &RequestId) -> Span {
    tracing::info_span!("operation", request.id = &**id)
}

pub fn log_answer(response: &Response, latency: Duration) {
    tracing::debug!(
        http.status = response.status().as_u16(),
        latency_ms = latency.as_secs_f64() * 1e3,
        "answered"
    );
}

#[cfg(test)]
mod tests {
    use super::is_reasonable;

    #[test]
    fn an_id_that_could_forge_a_log_line_is_replaced() {
        assert!(is_reasonable("0190f3a2-7c1e.trace_7"));
        for id in ["", "a b", "a\nb", "ü", &"x".repeat(65)] {
            assert!(!is_reasonable(id), "{id:?}");
        }
    }
}
