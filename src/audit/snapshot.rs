//! One snapshot of the database, and the time at which it is judged.
//!
//! On PostgreSQL a transaction that cannot write and sees what was committed before its first statement; on SQLite a read
//! transaction, which neither waits for the writer nor makes it wait.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    FromQueryResult, IsolationLevel, Statement, TransactionOptions, TransactionTrait, Value,
};

use super::{AuditError, Which};
use crate::{
    entity::event,
    fault::Step,
    ids::EventId,
    migrate,
    store::{DatabaseUrl, Store, dialect::clock},
};

pub struct Snapshot {
    db: DatabaseConnection,
    tx: DatabaseTransaction,
    deadline: Instant,
    events: Vec<EventRow>,
    only: Option<EventId>,
    now: DateTime<Utc>,
}

#[derive(Clone, Debug, FromQueryResult)]
pub struct EventRow {
    pub id: EventId,
    pub slug: String,
    pub name: String,
    pub status: event::Status,
    pub cancellation_done_at: Option<DateTime<Utc>>,
}

impl Snapshot {
    pub async fn begin(
        url: &DatabaseUrl,
        which: &Which,
        time_max: Duration,
    ) -> Result<Self, AuditError> {
        let deadline = Instant::now() + time_max;
        let db = Store::connect_auditor(url, deadline).await?;
        if !migrate::is_current(&db)
            .await
            .step("reading the schema's steps")?
        {
            return Err(AuditError::NotMigrated);
        }
        let is_postgres = db.get_database_backend() == DbBackend::Postgres;
        let tx = db
            .begin_with_options(TransactionOptions {
                isolation_level: is_postgres.then_some(IsolationLevel::RepeatableRead),
                access_mode: is_postgres.then_some(AccessMode::ReadOnly),
                sqlite_transaction_mode: None,
            })
            .await
            .step("beginning the snapshot")?;
        let mut snapshot = Self {
            db,
            tx,
            deadline,
            events: Vec::new(),
            only: None,
            now: DateTime::UNIX_EPOCH,
        };
        // A statement that reads a table fixes what the snapshot sees, and the time is asked after it: by an earlier one
        // a hold could be alive whose tickets were sold, rightly, before the snapshot.
        let (events, only) = snapshot.find(which).await?;
        snapshot.now = snapshot.clock().await?;
        (snapshot.events, snapshot.only) = (events, only);
        Ok(snapshot)
    }

    async fn find(&self, which: &Which) -> Result<(Vec<EventRow>, Option<EventId>), AuditError> {
        const READ: &str = "SELECT id, slug, name, status, cancellation_done_at FROM events";
        let one = async |condition: &str, value: Value| -> Result<Option<EventRow>, AuditError> {
            // Of several drafts with a slug, and the event that everybody sees under it, that one.
            let sql =
                format!("{READ} WHERE {condition} = $1 ORDER BY status = 'DRAFT', id LIMIT 1");
            Ok(self
                .select("reading the event", sql, vec![value])
                .await?
                .pop())
        };
        let (found, name) = match which {
            Which::All => {
                let sql = format!("{READ} ORDER BY starts_at, id");
                let events = self.select("reading the events", sql, vec![]).await?;
                return Ok((events, None));
            }
            Which::One(id) => (one("id", (*id).into()).await?, id.to_string()),
            Which::Named { slug, id } => {
                let mut found = one("slug", slug.as_str().into()).await?;
                if let (None, Some(id)) = (&found, id) {
                    found = one("id", (*id).into()).await?;
                }
                (found, slug.clone())
            }
        };
        let event = found.ok_or(AuditError::UnknownEvent(name))?;
        let only = Some(event.id);
        Ok((vec![event], only))
    }

    async fn clock(&self) -> Result<DateTime<Utc>, AuditError> {
        let sql = format!("SELECT {} AS now", clock(self.backend()));
        let row: Option<Clock> = self.select("asking the time", sql, vec![]).await?.pop();
        Ok(row.expect("a SELECT without a table answers one row").now)
    }

    /// The answer to a statement that says `{now}` for the snapshot's time and `{scope}` for the condition that `x`, the
    /// table that it is about, is of the audited events.
    pub async fn rows<T: FromQueryResult>(
        &self,
        step: &'static str,
        mut sql: String,
    ) -> Result<Vec<T>, AuditError> {
        let mut values: Vec<Value> = Vec::new();
        if sql.contains("{now}") {
            values.push(self.now.into());
            sql = sql.replace("{now}", "$1");
        }
        match self.only {
            None => sql = sql.replace("{scope}", ""),
            Some(id) => {
                values.push(id.into());
                let condition = format!("AND x.event_id = ${}", values.len());
                sql = sql.replace("{scope}", &condition);
            }
        }
        self.select(step, sql, values).await
    }

    async fn select<T: FromQueryResult>(
        &self,
        step: &'static str,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<T>, AuditError> {
        self.bound_next().await?;
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let rows = self.tx.query_all_raw(statement).await.step(step)?;
        let rows: Result<Vec<T>, DbErr> = rows
            .iter()
            .map(|row| T::from_query_result(row, ""))
            .collect();
        Ok(rows.step(step)?)
    }

    /// The next statement has the time that is left. SQLite's connection knows it already.
    pub async fn bound_next(&self) -> Result<(), AuditError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AuditError::TooLong);
        }
        if self.backend() == DbBackend::Postgres {
            // Zero would mean for ever.
            let set = format!("SET LOCAL statement_timeout = {}", left.as_millis().max(1));
            self.tx
                .execute_unprepared(&set)
                .await
                .step("setting the time that is left")?;
        }
        Ok(())
    }

    pub fn connection(&self) -> &DatabaseTransaction {
        &self.tx
    }

    pub fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// The audited events.
    pub fn events(&self) -> &[EventRow] {
        &self.events
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Gives everything back. There is nothing to be done about a connection that cannot even be closed.
    pub async fn end(self) {
        let _ = self.tx.rollback().await;
        let _ = self.db.close().await;
    }
}

#[derive(FromQueryResult)]
struct Clock {
    now: DateTime<Utc>,
}
