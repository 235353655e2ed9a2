//! The web server: routes, limits and what HTTP says about them. The only place that knows axum.
//!
//! Knows nothing about tickets. Whatever goes wrong here is answered as GraphQL answers: JSON with `errors`, a code and
//! the request's id.

mod answer;
mod connections;
mod graphql;
mod health;
mod request_id;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use self::connections::Connections;
use crate::{
    auth::Tokens,
    config::HttpConfig,
    graphql::{Domain, Engine, fault::Code},
};

/// What is left to do at the very end has at least this long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Everything a request may need.
#[derive(Clone)]
pub struct App {
    pub engine: Arc<Engine>,
    pub domain: Domain,
    pub tokens: Arc<Tokens>,
    pub config: HttpConfig,
}

/// Why the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to, and everything accepted was answered.
    Asked,
    /// It was asked to, and some requests took longer than they had.
    AskedButLate,
    /// The desk broke down.
    DeskBroken,
}

/// Serves until `shutdown`, then answers what is queued and returns.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<End> {
    let Domain { store, sales } = app.domain.clone();
    let grace = Duration::from_millis(app.config.shutdown_ms);
    let connections_max = app.config.connections.get();
    let mut server = Connections::new(routes(app), connections_max);

    let is_asked = tokio::select! {
        failed = server.accept(&listener) => return Err(failed),
        () = shutdown => true,
        () = sales.ended() => false,
    };
    drop(listener);
    tracing::info!("ending: no new requests, those under way are answered");
    let begin = Instant::now();
    let grace = if is_asked { grace } else { LAST_ANSWERS };
    // Requests that are being read may still become sales, so that the desk closes after them.
    let is_served = timeout_at(begin + grace, server.finish()).await.is_ok();
    sales.close();
    if !is_asked {
        return Ok(End::DeskBroken);
    }
    let drained = async { tokio::join!(sales.ended(), store.drain()) };
    let drained_by = (begin + grace).max(Instant::now() + LAST_ANSWERS);
    let is_drained = timeout_at(drained_by, drained).await.is_ok();
    Ok(if is_served && is_drained {
        End::Asked
    } else {
        End::AskedButLate
    })
}

fn routes(app: App) -> Router {
    let timeout = Duration::from_millis(app.config.request_timeout_ms);
    Router::new()
        .route("/", get(playground))
        .route("/graphql", post(graphql::post))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(app.config.body_len))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state(timeout, give_up_late))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(request_id::span)
                .on_request(())
                .on_response(request_id::log_answer)
                // Faults are logged where they are answered.
                .on_failure(()),
        )
        .layer(from_fn(request_id::assign))
        .with_state(app)
}

async fn playground() -> Html<String> {
    Html(
        async_graphql::http::GraphiQLSource::build()
            .endpoint("/graphql")
            .title("Rowlock")
            .finish(),
    )
}

async fn unknown_route() -> Response {
    answer::refusal(
        axum::http::StatusCode::NOT_FOUND,
        Code::BadRequest,
        "there is nothing here; GraphQL is at POST /graphql",
    )
}

async fn wrong_method() -> Response {
    answer::refusal(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        Code::BadRequest,
        "this path does not know that method; GraphQL is at POST /graphql",
    )
}

/// Bounds every request, from its first byte to its answer. A purchase under way goes on: only the wait for it ends.
async fn give_up_late(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => answer::refusal(
            axum::http::StatusCode::GATEWAY_TIMEOUT,
            Code::Timeout,
            "the request took too long; repeat a write with the same idempotency key",
        ),
    }
}

fn answer_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("of an unknown kind");
    tracing::error!("a request panicked: {text}");
    answer::internal().into_response()
}
