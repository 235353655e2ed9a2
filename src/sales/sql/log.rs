//! The change log: appending to it, and giving its rows their versions.

use std::collections::BTreeMap;

use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::{
    changes::{self, Change},
    ids::EventId,
    store::bulk::{self, Kind},
};

/// Appends what a transaction changes, a row for each event. Its tickets are locked: of a later change of one of them the row
/// gets a greater id.
pub fn append_changes(backend: DbBackend, sets: &BTreeMap<EventId, Vec<Change>>) -> Statement {
    let rows: Vec<_> = sets
        .iter()
        .map(|(event_id, set)| vec![event_id.0.into(), changes::write(set).into()])
        .collect();
    if backend == DbBackend::Postgres {
        let columns = [("event_id", Kind::Uuid), ("changes", Kind::Text)];
        return bulk::insert(backend, "ticket_changes_unnumbered", &columns, rows);
    }
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Text], rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH appended (event_id, changes) AS ({source})
             INSERT INTO ticket_changes (event_id, version, changes)
             SELECT event_id, 1 + COALESCE(
                 (SELECT MAX(log.version) FROM ticket_changes AS log WHERE log.event_id = appended.event_id),
                 (SELECT forgotten.version FROM ticket_changes_forgotten AS forgotten
                     WHERE forgotten.event_id = appended.event_id),
                 0), changes FROM appended"
        ),
        values,
    )
}

/// Gives `len` rows without a version their events' next ones, unless another process is at it: of each event those that were
/// appended first. PostgreSQL's alone, where whoever deletes what was appended numbers it by that (`number_changes()`).
///
/// It is one statement, which the database takes to its end also when the process that sent it is stopped: nobody waits for
/// who is at it.
///
/// It may number whatever it sees. Who sees a ticket's change sees the one before, whose transaction had the ticket's lock
/// first; that one has the lesser id, and so is numbered before it or was already. Whatever is committed later, with
/// whichever id, changes other tickets, or comes after. A statement that began before another one's commit and got its turn
/// after it passes over what is numbered by then, and numbers the rest behind it.
///
/// Rows are deleted where they were found, by their `ctid`: by their key they are joined in whichever way suits what the
/// database takes the table for, which is empty when it was analysed before the on-sale, and with many events that took
/// seconds.
pub fn number_changes(gate: i64, len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "WITH gate AS MATERIALIZED (
             SELECT pg_try_advisory_xact_lock($1) AS is_open
         ), first AS MATERIALIZED (
             SELECT ctid AS place FROM ticket_changes_unnumbered
             WHERE (SELECT is_open FROM gate) ORDER BY event_id, id LIMIT $2
         ), numbered AS (
             DELETE FROM ticket_changes_unnumbered AS appended USING first WHERE appended.ctid = first.place
             RETURNING appended.event_id
         )
         SELECT event_id, COUNT(*) AS len FROM numbered GROUP BY event_id",
        [gate.into(), len.into()],
    )
}

/// An event of which so many rows were numbered.
#[derive(FromQueryResult)]
pub struct NumberedRow {
    pub event_id: EventId,
    pub len: i64,
}
