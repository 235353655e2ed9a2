//! Whether the process lives, and whether it can sell.

use std::time::Duration;

use axum::{extract::State, http::StatusCode, response::IntoResponse};

use super::App;
use crate::migrate;

/// A database that takes longer is not one to send buyers to.
const READY_WAIT_MAX: Duration = Duration::from_secs(2);

/// The process answers. Restart it when it does not.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The database is reachable and migrated, and the desk is open. Send no buyers while it is not.
pub async fn ready(State(app): State<App>) -> impl IntoResponse {
    if !app.domain.sales.is_open() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the desk is closed\n");
    }
    match tokio::time::timeout(
        READY_WAIT_MAX,
        migrate::is_current(app.domain.store.reader()),
    )
    .await
    {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n"),
        Ok(Ok(false)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database's schema is not up to date: run rowlock migrate up\n",
        ),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database cannot be read");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database cannot be read\n",
            )
        }
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        ),
    }
}
