//! Forgetting: the log of events that are long over, by whoever has the right to write to `ticket_changes_forgotten`. That is
//! the operator's choice and nothing a server does by itself.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement, TransactionTrait};

use crate::{
    fault::{Fault, Step},
    ids::EventId,
};

/// Rows of one transaction: some milliseconds.
const ROWS_MAX: i64 = 500;

/// Forgets the log of every event that began before this instant. How many rows it was. What has no version yet is kept,
/// and so is the last version, from which numbering goes on.
///
/// # Errors
/// When the database fails. What was forgotten before that is forgotten.
pub async fn forget(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, Fault> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT id FROM events WHERE starts_at < $1
             AND EXISTS (SELECT 1 FROM ticket_changes WHERE event_id = events.id)",
        [before.into()],
    );
    let events = EventRow::find_by_statement(statement).all(db).await;
    let mut rows = 0;
    for event in events.step("looking for logs to forget")? {
        loop {
            match forget_some(db, event.id)
                .await
                .step("forgetting an event's log")?
            {
                0 => break,
                len => rows += len,
            }
        }
    }
    Ok(rows)
}

/// Says up to which version the log may be forgotten, and deletes what that is.
async fn forget_some(db: &DatabaseConnection, event_id: EventId) -> Result<u64, sea_orm::DbErr> {
    let backend = db.get_database_backend();
    let tx = db.begin().await?;
    // Without a WHERE, SQLite would read the ON of the conflict clause as a join's.
    let mark = Statement::from_sql_and_values(
        backend,
        "INSERT INTO ticket_changes_forgotten (event_id, version)
         SELECT event_id, MAX(version) FROM (
             SELECT event_id, version FROM ticket_changes WHERE event_id = $1 ORDER BY version LIMIT $2
         ) AS first WHERE true GROUP BY event_id
         ON CONFLICT (event_id) DO UPDATE SET version = excluded.version
         WHERE ticket_changes_forgotten.version < excluded.version",
        [event_id.0.into(), ROWS_MAX.into()],
    );
    tx.execute_raw(mark).await?;
    let delete = Statement::from_sql_and_values(
        backend,
        "DELETE FROM ticket_changes WHERE event_id = $1
             AND version <= (SELECT version FROM ticket_changes_forgotten WHERE event_id = $2)",
        [event_id.0.into(), event_id.0.into()],
    );
    let deleted = tx.execute_raw(delete).await?.rows_affected();
    tx.commit().await?;
    Ok(deleted)
}

#[derive(FromQueryResult)]
struct EventRow {
    id: EventId,
}
