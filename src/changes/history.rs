//! What has become of one ticket, one change after the other.
//!
//! An event's log is searched for it from end to end: the log has no index by ticket, which every sale would have to write.
//! That is milliseconds for a hall, and for organizers alone.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Statement};

use super::{Change, ChangeSet, Row};
use crate::{
    auth::Account,
    entity::customer,
    fault::{Fault, Step},
    ids::{CustomerId, EventId, TicketId},
    store::Store,
};

/// Changes of one ticket that are told: the last ones.
pub const HISTORY_LEN_MAX: i64 = 200;

/// A ticket's change, and where it stands in its event's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub version: i64,
    pub at: chrono::DateTime<chrono::Utc>,
    pub change: Change,
    /// Who of staff it was.
    pub staff: Option<Account>,
}

/// A ticket's last changes, the oldest of them first.
///
/// # Errors
/// When the database fails.
pub async fn history(
    store: &Store,
    event_id: EventId,
    ticket_id: TicketId,
) -> Result<Vec<Entry>, Fault> {
    let has = match store.backend() {
        DbBackend::Postgres => "strpos(changes, $2) > 0",
        _ => "instr(changes, $2) > 0",
    };
    let statement = Statement::from_sql_and_values(
        store.backend(),
        format!(
            "SELECT version, at, changes FROM ticket_changes
             WHERE event_id = $1 AND {has} ORDER BY version DESC LIMIT $3"
        ),
        [
            event_id.0.into(),
            // As the beginning of a change, so that nobody else's id is found.
            format!("[\"{}\"", ticket_id.0.simple()).into(),
            HISTORY_LEN_MAX.into(),
        ],
    );
    let rows = Row::find_by_statement(statement).all(store.reader());
    let rows = rows.await.step("reading a ticket's history")?;
    let mut entries = Vec::new();
    for row in rows.into_iter().rev() {
        let ChangeSet {
            version,
            at,
            changes,
        } = row.into_set()?;
        let of_ticket = changes
            .into_iter()
            .filter(|change| change.ticket_id == ticket_id);
        entries.extend(of_ticket.map(|change| Entry {
            version,
            at,
            change,
            staff: None,
        }));
    }
    let staff = accounts(store, &entries).await?;
    for entry in &mut entries {
        let id = entry.change.staff;
        entry.staff = id.and_then(|id| staff.get(&id).cloned());
    }
    Ok(entries)
}

/// Whose names stand under the changes.
async fn accounts(store: &Store, entries: &[Entry]) -> Result<HashMap<CustomerId, Account>, Fault> {
    let ids: BTreeSet<CustomerId> = entries.iter().filter_map(|it| it.change.staff).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = customer::Entity::find()
        .filter(customer::Column::Id.is_in(ids))
        .all(store.reader())
        .await
        .step("reading who changed a ticket")?;
    let account = |row: customer::Model| Account {
        issuer: row.issuer,
        subject: row.subject,
    };
    Ok(rows.into_iter().map(|row| (row.id, account(row))).collect())
}
