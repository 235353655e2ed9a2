//! Whether the process lives, and whether it can sell.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};

use super::{App, answer::Refusal};
use crate::{graphql::fault::Code, migrate};

/// A database that takes longer is not one to send buyers to.
const READY_WAIT_MAX: Duration = Duration::from_secs(2);

/// The process answers. Restart it when it does not.
pub async fn live() -> &'static str {
    "ok\n"
}

/// The database is reachable and migrated, and the desk is open. Send no buyers while it is not.
pub async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    if !app.domain.sales.is_open() {
        return Err(not_ready("the desk is closed"));
    }
    match tokio::time::timeout(
        READY_WAIT_MAX,
        migrate::is_current(app.domain.store.reader()),
    )
    .await
    {
        Ok(Ok(true)) => Ok("ready\n"),
        Ok(Ok(false)) => Err(not_ready(
            "the database's schema is not up to date: run rowlock migrate up",
        )),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database cannot be read");
            Err(not_ready("the database cannot be read"))
        }
        Err(_) => Err(not_ready("the database does not answer")),
    }
}

fn not_ready(why: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, why)
}
