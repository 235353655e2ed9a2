//! The web server: routes, limits and what HTTP says about them. The only place that knows axum.
//!
//! Knows nothing about tickets. Whatever goes wrong here is answered as GraphQL answers: JSON with `errors`, a code and
//! the request's id.

mod accept;
mod answer;
mod around;
mod client;
mod connections;
mod cors;
mod graphql;
mod health;
mod hosts;
mod identity;
mod listeners;
mod metrics;
mod origin;
mod params;
mod persisted;
mod playground;
mod protection;
mod rates;
mod ready;
mod request_id;
mod socket;
mod stream;
mod worded;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get},
};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{answer::Refusal, around::Around, connections::Connections, hosts::Hosts};
pub use self::{client::Clients, listeners::Listeners, persisted::Persisted, rates::Rates};
use crate::{
    auth::Tokens,
    config::HttpConfig,
    graphql::{Domain, Engine, fault::Code},
};

/// What is left to do at the very end has at least this long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Everything a request may need.
pub struct App {
    pub engine: Arc<Engine>,
    pub domain: Domain,
    pub tokens: Arc<Tokens>,
    pub persisted: Arc<Persisted>,
    pub listeners: Listeners,
    pub clients: Clients,
    pub rates: Rates,
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
    metrics_listener: Option<TcpListener>,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<End> {
    let Domain { store, sales, .. } = app.domain.clone();
    let grace = Duration::from_millis(app.config.shutdown_ms);
    let connections_max = app.config.connections.get();
    let listeners = app.listeners.clone();
    let hosts = Hosts::new(&app.config.front.hosts, listener.local_addr()?.ip());
    let metrics = metrics::serve(metrics_listener, &app);
    let finishing = CancellationToken::new();
    let routes = routes(app, hosts, finishing.clone());
    let mut server = Connections::new(routes, connections_max).ending_by(finishing, grace);

    let is_asked = tokio::select! {
        failed = server.accept(&listener) => return Err(failed),
        failed = metrics => return Err(failed),
        () = shutdown => true,
        () = sales.ended() => false,
    };
    server.accept_last(listener);
    tracing::info!("ending: no new requests, those under way are answered");
    let begin = Instant::now();
    let grace = if is_asked { grace } else { LAST_ANSWERS };
    listeners.close();
    // Requests that are being read may still become sales, so that the desk closes after them.
    let served = async {
        server.finish().await;
        // One of the last requests may have been for a socket.
        listeners.ended().await;
    };
    let is_served = timeout_at(begin + grace, served).await.is_ok();
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

fn routes(app: App, hosts: Hosts, finishing: CancellationToken) -> Router {
    let around = Around {
        time_max: Duration::from_millis(app.config.request_timeout_ms),
        hosts,
        metrics: Arc::clone(&app.domain.metrics),
        finishing,
        transport_security: protection::transport_security(app.config.front.hsts_secs),
    };
    let cors = cors::layer(&app.config.cors_origins);
    let routes: Router = Router::new()
        .merge(playground::routes())
        .route("/graphql", any(graphql::handle))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(around), around::answer))
        .with_state(Arc::new(app));
    match cors {
        Some(cors) => routes.layer(cors).layer(from_fn(cors::say_no_content)),
        None => routes,
    }
}

async fn unknown_route() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        Code::NotFound,
        "there is nothing here; GraphQL is at POST /graphql",
    )
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        "this path does not know that method; GraphQL is at POST /graphql",
    )
}
