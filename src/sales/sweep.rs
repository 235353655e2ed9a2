//! Tidying: tickets whose hold has ended are marked available.
//!
//! No rule depends on it: a sale sees by the database's time that a hold has ended. It keeps the rows readable and the
//! indexes of held tickets short.

use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{
    failure::Failure,
    lane::{DATABASE_WAIT_MAX, bounded},
    sql,
};

/// Tickets of one statement: few enough that a buyer who wants one of them hardly notices.
const TICKETS_MAX: u64 = 100;

/// Statements of one sweep, after which it is somebody else's turn.
const STATEMENTS_MAX: usize = 20;

/// Whether there may be more to tidy.
pub async fn sweep(db: &DatabaseConnection) -> Result<bool, Failure> {
    let backend = db.get_database_backend();
    for _ in 0..STATEMENTS_MAX {
        let len = i64::try_from(TICKETS_MAX).expect("a small number fits");
        let statement = sql::staff::sweep(backend, len);
        let step = "tidying tickets whose hold has ended";
        let done = bounded(backend, DATABASE_WAIT_MAX, step, db.execute_raw(statement)).await?;
        if done.rows_affected() < TICKETS_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}
