//! What Prometheus reads, at an address of its own: how a sale goes is not for everybody to see.

use std::{future::pending, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use super::{App, connections::Connections, listeners::Listeners};
use crate::{
    metrics::{MEDIA_TYPE, Metrics},
    sales::Sales,
    store::Store,
};

/// Whoever reads them is one program, or two.
const CONNECTIONS_MAX: usize = 16;

/// Serves `/metrics`, if it has an address, until that is broken.
pub fn serve(
    listener: Option<TcpListener>,
    app: &App,
) -> impl Future<Output = std::io::Error> + use<> {
    let metrics = Arc::clone(&app.domain.metrics);
    pull(
        &metrics,
        &app.domain.sales,
        &app.domain.store,
        &app.listeners,
    );
    let routes = Router::new()
        .route("/metrics", get(answer))
        .with_state(metrics);
    async move {
        match listener {
            Some(listener) => {
                Connections::new(routes, CONNECTIONS_MAX)
                    .accept(&listener)
                    .await
            }
            None => pending().await,
        }
    }
}

async fn answer(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")];
    (headers, metrics.text())
}

/// What is known where it is kept, and is asked for when somebody reads.
fn pull(metrics: &Metrics, sales: &Arc<Sales>, store: &Arc<Store>, listeners: &Listeners) {
    let desk = Arc::clone(sales);
    metrics.pull(
        "rowlock_queue_commands",
        "Commands that wait for the next batch.",
        move || desk.queued() as f64,
    );
    let desk = Arc::clone(sales);
    metrics.pull(
        "rowlock_lock_waits",
        "Commands that wait for what somebody else has locked.",
        move || desk.waiting_for_locks() as f64,
    );
    let pool = Arc::clone(store);
    metrics.pull(
        "rowlock_reading_connections",
        "Connections to the database for reading and for the catalogue.",
        move || f64::from(pool.reading_connections().open),
    );
    let pool = Arc::clone(store);
    metrics.pull(
        "rowlock_reading_connections_idle",
        "Those of them that nobody uses.",
        move || f64::from(pool.reading_connections().idle),
    );
    let listeners = listeners.clone();
    metrics.pull(
        "rowlock_listeners",
        "Open sockets and streams, over which subscriptions are told.",
        move || listeners.count() as f64,
    );
}
