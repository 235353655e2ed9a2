//! What surrounds every route: the request's id and its span, the bounds of its URL and of its time, whom it is
//! for, what browsers are told of the answer, and an answer also to what panics. One layer for all of it: each of axum's own costs every request a copy of the routes and an allocation.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    answer::{Refusal, internal},
    hosts::Hosts,
    protection::protect,
    request_id::{self, RequestId},
};
use crate::{graphql::fault::Code, metrics::Metrics};

/// The longest path with its query, in bytes. A longer document goes into a body; what is on the way to a server takes no
/// longer line either.
const URI_LEN_MAX: usize = 8 * 1024;

/// What holds for every request.
pub struct Around {
    pub time_max: Duration,
    pub hosts: Hosts,
    pub metrics: Arc<Metrics>,
    /// When it is cancelled, each connection's next answer is its last.
    pub finishing: CancellationToken,
    /// What an answer says of coming back over TLS.
    pub transport_security: Option<(HeaderName, HeaderValue)>,
}

/// Bounds every request, from its first byte to its answer. A purchase under way goes on: only the wait for it ends.
pub async fn answer(State(around): State<Arc<Around>>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let id = RequestId::of(request.headers());
    let span = request_id::span(&id, &request);
    let header = id.header();
    let answering = async {
        let checked = check_len(request.uri())
            .and_then(|()| around.hosts.check(request.uri(), request.headers()));
        if let Err(refusal) = checked {
            return refusal.into_response();
        }
        let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
        let response = match timeout(around.time_max, answering).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => answer_panic(&*panic),
            Err(_) => too_late().into_response(),
        };
        let took = begin.elapsed();
        request_id::log_answer(&response, took);
        around
            .metrics
            .observe_request(response.status().as_str(), took.as_secs_f64());
        response
    };
    let mut response = id.scope(answering.instrument(span)).await;
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, header);
    protect(headers);
    if around.finishing.is_cancelled() && !is_upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some((name, value)) = &around.transport_security {
        headers.insert(name, value.clone());
    }
    response
}

fn check_len(uri: &Uri) -> Result<(), Refusal> {
    let len = uri.path_and_query().map_or(0, |uri| uri.as_str().len());
    if len <= URI_LEN_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::URI_TOO_LONG,
        Code::UriTooLong,
        format!("the URL is longer than {URI_LEN_MAX} bytes; send the request as POST"),
    ))
}

fn too_late() -> Refusal {
    Refusal::new(
        StatusCode::GATEWAY_TIMEOUT,
        Code::Timeout,
        "the request took too long; repeat a write with the same idempotency key",
    )
}

fn answer_panic(panic: &(dyn Any + Send)) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("of an unknown kind");
    tracing::error!("a request panicked: {text}");
    internal().into_response()
}
