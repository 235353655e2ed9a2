//! What the catalogue says in several statements.

use sea_orm::{Condition, DatabaseTransaction, DbBackend, sea_query::Expr};

use crate::{
    entity::{ticket::Status, ticket_import},
    fault::{Fault, Step},
    store::{Store, dialect::clock},
};

/// The status that a ticket has for everybody who looks now: a hold that is over is no hold.
pub(super) fn effective_status(backend: DbBackend) -> String {
    let now = clock(backend);
    format!("CASE WHEN status = 'HELD' AND held_until <= {now} THEN 'AVAILABLE' ELSE status END")
}

/// Whether a ticket has this status for everybody who looks now. With plain literals, so that the indexes of available and of
/// held tickets serve it, which no expression of the status would be served by.
pub(super) fn has_status(backend: DbBackend, status: Status) -> Expr {
    let now = clock(backend);
    Expr::cust(match status {
        Status::Available => {
            format!("(status = 'AVAILABLE' OR (status = 'HELD' AND held_until <= {now}))")
        }
        Status::Held => format!("(status = 'HELD' AND held_until > {now})"),
        Status::Sold => "status = 'SOLD'".to_owned(),
        Status::Blocked => "status = 'BLOCKED'".to_owned(),
    })
}

/// Leaves out the tickets of additions that are not finished. PostgreSQL adds in one transaction and has none.
pub(super) fn is_shown(backend: DbBackend) -> Condition {
    match backend {
        DbBackend::Postgres => Condition::all(),
        _ => Condition::all().add(Expr::cust(ticket_import::IS_SHOWN_SQLITE)),
    }
}

/// Begins a transaction that writes, see [`Store::begin_writing`].
pub(super) async fn begin(store: &Store) -> Result<DatabaseTransaction, Fault> {
    store
        .begin_writing()
        .await
        .step("beginning a transaction of the catalogue")
}
