//! Folding: what transactions have appended to the counts of tickets is moved into the counts themselves.
//!
//! A reader adds both, in one snapshot, so that it does not matter when this happens: it keeps what a reader has to add
//! short. It locks nothing that a sale wants, and one process at a time does it; the others have nothing to wait for.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use tokio::time::Instant;

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

/// So many deltas of a type, on the average, are worth folding each time. With fewer a fold writes to nearly as many counts as
/// it takes deltas away, which readers hardly notice.
const DELTAS_OF_TYPE_MIN: i64 = 8;

/// How long deltas wait when they were fewer.
const WAIT: Duration = Duration::from_secs(2);

/// When there was last little to fold.
#[derive(Default)]
pub struct Folding {
    idle_since: Option<Instant>,
}

impl Folding {
    /// Folds what is worth it. Whether there may be more.
    pub async fn advance(&mut self, db: &DatabaseConnection) -> Result<bool, Failure> {
        if self.idle_since.is_some_and(|since| since.elapsed() < WAIT) {
            return Ok(false);
        }
        let folded = fold(db).await?;
        self.idle_since = (!folded.is_full && !folded.is_worth_it()).then(Instant::now);
        Ok(folded.is_full)
    }
}

/// What a fold did.
#[derive(Default)]
struct Folded {
    deltas: i64,
    types: i64,
    /// As much as one may, so that there is more as a rule.
    is_full: bool,
}

impl Folded {
    fn of(deltas: i64, types: i64, deltas_max: i64) -> Self {
        let is_full = deltas >= deltas_max;
        Self {
            deltas,
            types,
            is_full,
        }
    }

    fn is_worth_it(&self) -> bool {
        self.deltas >= DELTAS_OF_TYPE_MIN * self.types
    }
}

async fn fold(db: &DatabaseConnection) -> Result<Folded, Failure> {
    let backend = db.get_database_backend();
    // Nearly always the answer when nothing is sold, and for that no transaction need begin.
    let any = db.query_one_raw(sql::any_delta(backend));
    let step = "looking for deltas to fold";
    if bounded(backend, DATABASE_WAIT_MAX, step, any)
        .await?
        .is_none()
    {
        return Ok(Folded::default());
    }
    let tx = Transaction::begin(db).await?;
    let folded = fold_in(&tx).await;
    tx.end(folded).await
}

async fn fold_in(tx: &Transaction) -> Result<(Folded, Keep), Failure> {
    let step = "folding the counts of tickets";
    if tx.backend() != DbBackend::Postgres {
        let types = tx
            .execute(step, sql::fold_sqlite(DELTAS_MAX_SQLITE))
            .await?;
        let statement = sql::delete_folded_sqlite(DELTAS_MAX_SQLITE);
        let deltas = tx.execute(step, statement).await?;
        let folded = Folded::of(len(deltas), len(types), DELTAS_MAX_SQLITE);
        return Ok((folded, Keep::Changes));
    }
    // To the transaction's end and no longer: a process that is stopped must not keep others from folding.
    let gates: Vec<sql::GateRow> = tx.rows(step, sql::try_gates(&[folding()])).await?;
    if gates.iter().any(|gate| !gate.is_open) {
        return Ok((Folded::default(), Keep::Nothing));
    }
    let rows: Vec<sql::FoldedRow> = tx.rows(step, sql::fold(DELTAS_MAX)).await?;
    let folded = rows
        .first()
        .map(|row| Folded::of(row.deltas, row.types, DELTAS_MAX));
    Ok((folded.unwrap_or_default(), Keep::Changes))
}

fn len(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
