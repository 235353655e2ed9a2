//! A lane to the database: sessions that cannot hang, thrown away after any doubt.
//!
//! Every wait for the database is bounded here too, in this process: a network that swallows packets would otherwise hold
//! the desk for as long as TCP keeps trying. After such a wait, or a lost connection, the lane's connection is closed,
//! never pooled: what they were doing is unknown.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr};

use tokio::time::Instant;

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
pub const AHEAD_MAX: Duration = Duration::from_secs(1);

/// How old a plan of PostgreSQL's may be. It is kept until its tables were analysed, in a minute at the soonest, and may be from when
/// one of them was all but empty: a plan that reads it whole costs nothing then, and more with each row that an on-sale adds.
const PLAN_AGE_MAX: Duration = Duration::from_secs(1);

/// A connection to sell on, opened when first needed and again after a failure.
pub struct Lane {
    store: Arc<Store>,
    open: Option<DatabaseConnection>,
    /// When its oldest plan may have been made.
    planned: Instant,
    /// A transaction for the next batch, and since when it is there. It has seen and locked nothing.
    ahead: Option<(Transaction, Instant)>,
}

impl Lane {
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            open: None,
            planned: Instant::now(),
            ahead: None,
        }
    }

    pub fn backend(&self) -> DbBackend {
        self.store.backend()
    }

    /// The next batch's transaction: that which was begun ahead, or a new one.
    pub async fn begin(&mut self) -> Result<Transaction, Failure> {
        match self.ahead.take() {
            Some((tx, since)) if since.elapsed() < AHEAD_MAX => return Ok(tx),
            Some((tx, _)) => self.roll_back(tx).await,
            None => {}
        }
        let db = self.connection().await?;
        Transaction::begin(&db).await
    }

    /// Begins the next batch's transaction before there is a batch. SQLite's would be the lock that others wait for.
    pub async fn begin_ahead(&mut self) {
        if self.store.backend() != DbBackend::Postgres {
            return;
        }
        match self.begin().await {
            Ok(tx) => self.ahead = Some((tx, Instant::now())),
            // Whoever begins next hears it again.
            Err(failure) => self.lose(&failure),
        }
    }

    /// Ends a transaction that was begun ahead and that nothing is left for.
    pub async fn roll_back_ahead(&mut self) {
        if let Some((tx, _)) = self.ahead.take() {
            self.roll_back(tx).await;
        }
    }

    async fn roll_back(&mut self, tx: Transaction) {
        if let Err(failure) = tx.roll_back().await {
            self.lose(&failure);
        }
    }

    /// Nobody depended on it.
    fn lose(&mut self, failure: &Failure) {
        tracing::debug!(error = %failure.fault.source, "a transaction begun ahead was lost");
        self.discard();
    }

    pub async fn connection(&mut self) -> Result<DatabaseConnection, Fault> {
        if let Some(open) = self.open.clone() {
            self.plan_anew(&open).await?;
            return Ok(open);
        }
        let opened = self
            .store
            .connect_sales()
            .await
            .map_err(|error| match error {
                StoreError::Connecting(source) => source,
                other => DbErr::Conn(RuntimeErr::Internal(other.to_string())),
            });
        let opened = opened.step("connecting to the database")?;
        self.planned = Instant::now();
        Ok(self.open.insert(opened).clone())
    }

    /// Has the database forget plans that have become old: planning once in a while costs less than it may find.
    async fn plan_anew(&mut self, open: &DatabaseConnection) -> Result<(), Fault> {
        let backend = self.store.backend();
        if backend != DbBackend::Postgres || self.planned.elapsed() < PLAN_AGE_MAX {
            return Ok(());
        }
        let forgotten = open.execute_unprepared("DISCARD PLANS");
        let step = "having the database plan anew";
        bounded(backend, DATABASE_WAIT_MAX, step, forgotten).await?;
        self.planned = Instant::now();
        Ok(())
    }

    /// Closes the lane's connection; the next use opens another. SQLite's one writer is a file in this process: there is
    /// nothing to lose touch with.
    pub fn discard(&mut self) {
        self.ahead = None;
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
