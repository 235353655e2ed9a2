//! Folding: what transactions have appended to the counts of tickets is moved into the counts themselves.
//!
//! A reader adds both, in one snapshot, so that it does not matter when this happens: it keeps what a reader has to add
//! short. It locks nothing that a sale wants, and one process at a time does it; the others have nothing to wait for.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};

use super::{
    commit::{Keep, Transaction, folding},
    failure::Failure,
    lane::{DATABASE_WAIT_MAX, bounded},
    sql,
};

/// Rows of one transaction on PostgreSQL: some milliseconds.
const DELTAS_MAX: i64 = 2_000;

/// The same on SQLite, whose only writer is kept from sales meanwhile.
const DELTAS_MAX_SQLITE: i64 = 500;

/// Whether there may be more to fold.
pub async fn fold(db: &DatabaseConnection) -> Result<bool, Failure> {
    let backend = db.get_database_backend();
    // Nearly always the answer when nothing is sold, and for that no transaction need begin.
    let any = db.query_one_raw(sql::any_delta(backend));
    let step = "looking for deltas to fold";
    if bounded(backend, DATABASE_WAIT_MAX, step, any)
        .await?
        .is_none()
    {
        return Ok(false);
    }
    let tx = Transaction::begin(db).await?;
    let folded = fold_in(&tx).await;
    tx.end(folded).await
}

async fn fold_in(tx: &Transaction) -> Result<(bool, Keep), Failure> {
    let step = "folding the counts of tickets";
    if tx.backend() != DbBackend::Postgres {
        tx.execute(step, sql::fold_sqlite(DELTAS_MAX_SQLITE))
            .await?;
        let statement = sql::delete_folded_sqlite(DELTAS_MAX_SQLITE);
        let len = tx.execute(step, statement).await?;
        return Ok((is_full(len, DELTAS_MAX_SQLITE), Keep::Changes));
    }
    // To the transaction's end and no longer: a process that is stopped must not keep others from folding.
    let gates: Vec<sql::GateRow> = tx.rows(step, sql::try_gates(&[folding()])).await?;
    if gates.iter().any(|gate| !gate.is_open) {
        return Ok((false, Keep::Nothing));
    }
    let rows: Vec<sql::FoldedRow> = tx.rows(step, sql::fold(DELTAS_MAX)).await?;
    let len = rows.first().map_or(0, |row| row.len);
    Ok((len >= DELTAS_MAX, Keep::Changes))
}

fn is_full(len: u64, max: i64) -> bool {
    i64::try_from(len).is_ok_and(|len| len >= max)
}
