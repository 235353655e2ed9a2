//! An id for every request: in its span, in its errors, and in the header of its answer.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Response},
    middleware::Next,
};
use std::time::Duration;
use tracing::Span;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id of a client's is replaced, as is one that could not stand in a log line.
const ID_LEN_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Keeps a client's own id where it is a reasonable one, and makes one otherwise.
pub async fn assign(mut request: Request, next: Next) -> axum::response::Response {
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_reasonable(id))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let value = HeaderValue::from_str(&id).expect("a reasonable id and a UUID are header values");
    request.headers_mut().insert(HEADER, value.clone());
    let mut response = CURRENT.scope(id, next.run(request)).await;
    response.headers_mut().insert(HEADER, value);
    response
}

fn is_reasonable(id: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The span of a request. Never its query: that holds what customers typed.
pub fn span(request: &Request) -> Span {
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    tracing::info_span!("request", request.id = id, http.method = %request.method(), http.path = request.uri().path())
}

pub fn log_answer<B>(response: &Response<B>, latency: Duration, _: &Span) {
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
