//! Tidying: tickets whose hold has ended are marked available.
//!
//! No rule depends on it: a sale sees by the database's time that a hold has ended. It keeps the rows readable and the
//! indexes of held tickets short.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult};

use super::{
    commit::{Keep, Transaction},
    failure::Failure,
    journal::Journal,
    lane::{DATABASE_WAIT_MAX, bounded},
    sql::{mark_available, staff as sql},
};
use crate::{
    changes::{Cause, Change, Whose},
    entity::ticket::Status,
    fault::Step,
};

/// Tickets of one statement: few enough that a buyer who wants one of them hardly notices.
const TICKETS_MAX: i64 = 100;

/// Statements of one sweep, after which it is somebody else's turn.
const STATEMENTS_MAX: usize = 20;

const TIDYING: &str = "tidying tickets whose hold has ended";

/// Whether there may be more to tidy.
pub async fn sweep(db: &DatabaseConnection) -> Result<bool, Failure> {
    for _ in 0..STATEMENTS_MAX {
        let len = match db.get_database_backend() {
            DbBackend::Postgres => tidy(db).await?,
            _ => tidy_sqlite(db).await?,
        };
        if len < TICKETS_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn tidy(db: &DatabaseConnection) -> Result<i64, Failure> {
    let backend = db.get_database_backend();
    let tidied = db.query_one_raw(sql::sweep(TICKETS_MAX));
    let row = bounded(backend, DATABASE_WAIT_MAX, TIDYING, tidied).await?;
    let row = row.ok_or_else(|| Failure::bug(TIDYING))?;
    Ok(sql::LenRow::from_query_result(&row, "").step(TIDYING)?.len)
}

async fn tidy_sqlite(db: &DatabaseConnection) -> Result<i64, Failure> {
    let tx = Transaction::begin(db).await?;
    let tidied = tidy_sqlite_in(&tx).await;
    tx.end(tidied).await
}

async fn tidy_sqlite_in(tx: &Transaction) -> Result<(i64, Keep), Failure> {
    let rows: Vec<sql::EndedRow> = tx.rows(TIDYING, sql::ended_sqlite(TICKETS_MAX)).await?;
    if rows.is_empty() {
        return Ok((0, Keep::Nothing));
    }
    let keys: Vec<_> = rows.iter().map(|row| (row.event_id, row.id)).collect();
    tx.execute(TIDYING, mark_available(tx.backend(), &keys))
        .await?;
    let mut journal = Journal::default();
    for row in &rows {
        let change = Change {
            ticket_id: row.id,
            from: Status::Held,
            to: Status::Available,
            cause: Cause::Expiry,
            whose: Whose::Hold(row.hold_id),
            staff: None,
        };
        journal.record(row.event_id, row.ticket_type_id, change);
    }
    tx.append(&journal).await?;
    let len = i64::try_from(rows.len()).unwrap_or(TICKETS_MAX);
    Ok((len, Keep::Changes))
}
