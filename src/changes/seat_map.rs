//! Every ticket of an event with its status, as they are at a version of its log.

use std::collections::HashMap;

use sea_orm::{ActiveEnum, DbBackend, FromQueryResult, Statement};

use super::read;
use crate::{
    entity::{ticket::Status, ticket_import::IS_SHOWN_SQLITE},
    fault::{Fault, Step},
    ids::{EventId, TicketId},
    store::Store,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatMap {
    pub version: i64,
    /// In the order of their ids.
    pub tickets: Vec<(TicketId, Status)>,
}

/// Reads it in one statement, and so as of one moment. What was committed by then and has no version yet is taken back: it
/// comes after the version, and whoever follows the log is told.
///
/// # Errors
/// When the database fails.
pub async fn seat_map(store: &Store, event_id: EventId) -> Result<SeatMap, Fault> {
    let rows = Part::find_by_statement(statement(store.backend(), event_id));
    let rows = rows.all(store.reader()).await.step("reading a seat map")?;
    let (mut version, mut tickets) = (0, Vec::new());
    let mut later: HashMap<TicketId, Status> = HashMap::new();
    for row in rows {
        match (row.id, row.number) {
            (Some(id), _) => tickets.push((id, Status::try_from_value(&row.text).step(STATUS)?)),
            (None, Some(number)) if row.text.is_empty() => version = number,
            // In the order in which they were appended: the first change says what was before.
            (None, _) => {
                for change in read(&row.text).step("understanding a set of changes")? {
                    later.entry(change.ticket_id).or_insert(change.from);
                }
            }
        }
    }
    for (id, status) in &mut tickets {
        if let Some(before) = later.get(id) {
            *status = *before;
        }
    }
    tickets.sort_unstable_by_key(|(id, _)| *id);
    Ok(SeatMap { version, tickets })
}

const STATUS: &str = "understanding a ticket's status";

/// A ticket with its status; or a set without a version; or, without text, the last version.
#[derive(FromQueryResult)]
struct Part {
    id: Option<TicketId>,
    text: String,
    number: Option<i64>,
}

fn statement(backend: DbBackend, event_id: EventId) -> Statement {
    let shown = match backend {
        DbBackend::Postgres => "TRUE",
        _ => IS_SHOWN_SQLITE,
    };
    Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT id, text, number FROM (
                 SELECT 0 AS part, id, status AS text, CAST(NULL AS BIGINT) AS number FROM tickets
                 WHERE event_id = $1 AND {shown}
                 UNION ALL
                 SELECT 1, NULL, changes, id FROM ticket_changes_unnumbered WHERE event_id = $1
                 UNION ALL
                 SELECT 2, NULL, '', COALESCE(
                     (SELECT MAX(version) FROM ticket_changes WHERE event_id = $1),
                     (SELECT version FROM ticket_changes_forgotten WHERE event_id = $1), 0)
             ) AS parts ORDER BY part, number"
        ),
        [event_id.0.into()],
    )
}
