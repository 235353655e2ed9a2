//! A lane to the database: sessions that cannot hang, thrown away after any doubt.
//!
//! Every wait for the database is bounded here too, in this process: a network that swallows packets would otherwise hold
//! the desk for as long as TCP keeps trying. After such a wait, or a lost connection, the lane's connections are closed,
//! never pooled: what they were doing is unknown.

use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr};

use tokio::{task::JoinSet, time::Instant};

use super::{commit::Transaction, failure::Failure};
use crate::{
    fault::{Fault, Step},
    store::{Store, StoreError},
};

/// The longest wait for one answer of the database. Longer than the session's own `statement_timeout`, so that a database
/// that is merely slow says so itself.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(3);

/// A transaction that was begun ahead for longer is not used: the database ends a session that is idle in one for two
/// seconds, and the commit that it waited for may have taken that long.
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// Connections of the desk, opened when first needed and again after a failure.
pub struct Lane {
    store: Arc<Store>,
    connections_max: u32,
    open: Option<DatabaseConnection>,
    /// At most one transaction for the next batch, and since when it is there. It has seen and locked nothing.
    ahead: JoinSet<Result<Transaction, Failure>>,
    ahead_since: Instant,
}

impl Lane {
    /// The desk's lane: two connections, so that the next batch's transaction begins while the last one's is committed.
    pub fn of_desk(store: Arc<Store>) -> Self {
        Self::new(store, 2)
    }

    /// A lane to wait on, or to work on beside the desk: one connection.
    pub fn of_waiting(store: Arc<Store>) -> Self {
        Self::new(store, 1)
    }

    fn new(store: Arc<Store>, connections_max: u32) -> Self {
        Self {
            store,
            connections_max,
            open: None,
            ahead: JoinSet::new(),
            ahead_since: Instant::now(),
        }
    }

    /// The next batch's transaction: that which was begun ahead, or a new one.
    pub async fn begin(&mut self) -> Result<Transaction, Failure> {
        if self.ahead_since.elapsed() > AHEAD_MAX {
            self.roll_back_ahead().await;
        }
        match self.ahead.join_next().await {
            Some(Ok(Ok(ahead))) => return Ok(ahead),
            // The other connection is as good as ever, or says itself what is wrong.
            Some(Ok(Err(failure))) => lost(&failure),
            Some(Err(_)) => lost(&Failure::bug("beginning ahead")),
            None => {}
        }
        let db = self.connection().await?;
        Transaction::begin(&db).await
    }

    /// Begins the next batch's transaction, without waiting for it, on a connection that is there and free: nobody should
    /// wait for one to be opened. SQLite's transaction would be the lock that the last one has.
    pub fn begin_ahead(&mut self) {
        if let Some(db) = self.open.clone()
            && self.store.backend() == DbBackend::Postgres
            && db.get_postgres_connection_pool().num_idle() > 0
            && self.ahead.is_empty()
        {
            self.ahead_since = Instant::now();
            self.ahead
                .spawn(async move { Transaction::begin(&db).await });
        }
    }

    /// Ends a transaction that was begun ahead and that nothing is left for.
    pub async fn roll_back_ahead(&mut self) {
        while let Some(ahead) = self.ahead.join_next().await {
            match ahead {
                Ok(Ok(tx)) => {
                    if let Err(failure) = tx.roll_back().await {
                        lost(&failure);
                        self.discard();
                    }
                }
                Ok(Err(failure)) => lost(&failure),
                Err(_) => lost(&Failure::bug("beginning ahead")),
            }
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
        // Its connection is closed with the others.
        self.ahead = JoinSet::new();
        if let Some(open) = self.open.take()
            && self.store.backend() == DbBackend::Postgres
        {
            // Calling `close` marks the pool closed, so that a connection that comes back is ended; waiting for that to
            // happen is what must not be done here.
            drop(open.get_postgres_connection_pool().close());
        }
    }
}

/// Nobody depended on it.
fn lost(failure: &Failure) {
    tracing::debug!(error = %failure.fault.source, "a transaction begun ahead was lost");
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
