//! Which other sites' pages may read answers.
//!
//! Never with credentials: Rowlock has no cookies, and a token is sent by the page itself.

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::Response,
};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{protection::protect, rates};
use crate::config::AllowedOrigin;

/// How long a browser may remember a preflight; it takes two hours at most.
const REMEMBERED: Duration = Duration::from_secs(2 * 60 * 60);

/// The answers' headers, and the preflight's; `None` where no other site is allowed.
pub fn layer(allowed: &[AllowedOrigin]) -> Option<CorsLayer> {
    if allowed.is_empty() {
        return None;
    }
    let origins = if allowed.contains(&AllowedOrigin::Any) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(allowed.iter().filter_map(header))
    };
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            // Clients add headers of their own, for tracing and the like; none of them means a right here.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([
                HeaderName::from_static("x-request-id"),
                RETRY_AFTER,
                rates::RATELIMIT_POLICY,
                rates::RATELIMIT,
            ])
            .max_age(REMEMBERED),
    )
}

fn header(allowed: &AllowedOrigin) -> Option<HeaderValue> {
    match allowed {
        AllowedOrigin::Any => None,
        AllowedOrigin::Exact(origin) => HeaderValue::from_str(origin).ok(),
    }
}

/// A preflight's answer has no content, and says so.
pub async fn say_no_content(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if is_preflight && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NO_CONTENT;
        // It has not been where every other answer is told it.
        protect(response.headers_mut());
    }
    response
}
