//! Folding deltas into the counts of tickets. Deltas of a ticket type that is gone are dropped.

use sea_orm::{DbBackend, FromQueryResult, Statement};

/// A row if there is a delta.
pub fn any_delta(backend: DbBackend) -> Statement {
    Statement::from_string(backend, "SELECT 1 AS one FROM ticket_count_deltas LIMIT 1")
}

/// Takes the first `len` deltas away and adds their sums to the counts. A row that another transaction has taken meanwhile is
/// passed over, not added twice. They are taken as one range of the key: matched one by one, they took seconds with a plan
/// from when the table was empty. PostgreSQL's alone.
pub fn fold(len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!(
            "WITH last AS MATERIALIZED (
                 SELECT * FROM (
                     SELECT event_id, ticket_type_id, id FROM ticket_count_deltas
                     ORDER BY event_id, ticket_type_id, id LIMIT $1
                 ) AS first ORDER BY event_id DESC, ticket_type_id DESC, id DESC LIMIT 1
             ), taken AS (
                 DELETE FROM ticket_count_deltas AS deltas USING last
                 WHERE (deltas.event_id, deltas.ticket_type_id, deltas.id) <= (last.event_id, last.ticket_type_id, last.id)
                 RETURNING deltas.*
             ), folded AS (
                 INSERT INTO ticket_counts (event_id, ticket_type_id, available, held, sold, blocked)
                 {SUMS} FROM taken WHERE {TYPE_IS_THERE} GROUP BY event_id, ticket_type_id
                 {ADD}
             )
             SELECT COUNT(*) AS len FROM taken"
        ),
        [len.into()],
    )
}

#[derive(FromQueryResult)]
pub struct FoldedRow {
    pub len: i64,
}

/// Adds the sums of the first deltas to the counts; [`delete_folded_sqlite`] then takes the same ones away. SQLite changes
/// one table in a statement, and has one writer.
pub fn fold_sqlite(len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Sqlite,
        format!(
            "INSERT INTO ticket_counts (event_id, ticket_type_id, available, held, sold, blocked)
             {SUMS} FROM (
                 SELECT * FROM ticket_count_deltas ORDER BY event_id, ticket_type_id, id LIMIT $1
             ) AS taken WHERE {TYPE_IS_THERE} GROUP BY event_id, ticket_type_id
             {ADD}"
        ),
        [len.into()],
    )
}

pub fn delete_folded_sqlite(len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "DELETE FROM ticket_count_deltas WHERE (event_id, ticket_type_id, id) IN (
             SELECT event_id, ticket_type_id, id FROM ticket_count_deltas
             ORDER BY event_id, ticket_type_id, id LIMIT $1)",
        [len.into()],
    )
}

const SUMS: &str = "SELECT event_id, ticket_type_id, CAST(SUM(available) AS BIGINT), CAST(SUM(held) AS BIGINT), \
     CAST(SUM(sold) AS BIGINT), CAST(SUM(blocked) AS BIGINT)";

const TYPE_IS_THERE: &str = "EXISTS (SELECT 1 FROM ticket_types \
     WHERE ticket_types.event_id = taken.event_id AND ticket_types.id = taken.ticket_type_id)";

const ADD: &str = "ON CONFLICT (event_id, ticket_type_id) DO UPDATE SET \
     available = ticket_counts.available + excluded.available, held = ticket_counts.held + excluded.held, \
     sold = ticket_counts.sold + excluded.sold, blocked = ticket_counts.blocked + excluded.blocked";
