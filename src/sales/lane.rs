//! A lane to the database: sessions that cannot hang, thrown away after any doubt.
//!
//! Every wait for the database is bounded here too, in this process: a network that swallows packets would otherwise hold
//! the desk for as long as TCP keeps trying. After such a wait, or a lost connection, the lane's connections are closed,
//! never pooled: what they were doing is unknown.

use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr};

use crate::{
    fault::{Fault, Step},
    store::{Store, StoreError},
};

/// The longest wait for one answer of the database. Longer than the session's own `statement_timeout`, so that a database
/// that is merely slow says so itself.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Connections of the desk, opened when first needed and again after a failure.
pub struct Lane {
    store: Arc<Store>,
    connections_max: u32,
    open: Option<DatabaseConnection>,
}

impl Lane {
    /// The desk's lane: two connections, so that the next batch begins while sqlx still pings the last one's.
    pub fn of_desk(store: Arc<Store>) -> Self {
        Self {
            store,
            connections_max: 2,
            open: None,
        }
    }

    /// A lane to wait on, or to work on beside the desk: one connection.
    pub fn of_waiting(store: Arc<Store>) -> Self {
        Self {
            store,
            connections_max: 1,
            open: None,
        }
    }

    pub async fn connection(&mut self) -> Result<DatabaseConnection, Fault> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        let opened = self
            .store
            .connect_sales(self.connections_max)
            .await
            .map_err(|error| match error {
                StoreError::Connecting(source) => source,
                other => DbErr::Conn(RuntimeErr::Internal(other.to_string())),
            });
        let opened = opened.step("connecting to the database")?;
        Ok(self.open.insert(opened).clone())
    }

    /// Closes the lane's connections; the next use opens new ones. SQLite's one writer is a file in this process: there is
    /// nothing to lose touch with.
    pub fn discard(&mut self) {
        if let Some(open) = self.open.take()
            && self.store.backend() == DbBackend::Postgres
        {
            // Calling `close` marks the pool closed, so that a connection that comes back is ended; waiting for that to
            // happen is what must not be done here.
            drop(open.get_postgres_connection_pool().close());
        }
    }
}

/// One step of a transaction, with a bound on its wait.
pub async fn bounded<T>(
    backend: DbBackend,
    wait_max: Duration,
    step: &'static str,
    call: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Fault> {
    if backend != DbBackend::Postgres {
        return call.await.step(step);
    }
    match tokio::time::timeout(wait_max, call).await {
        Ok(answer) => answer.step(step),
        Err(_) => Err(DbErr::Conn(RuntimeErr::Internal(format!(
            "no answer within {wait_max:?}"
        ))))
        .step(step),
    }
}
