//! An event's tickets as their rows have them, and up to which version of its log that is.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use uuid::Uuid;

use crate::rush::watch::Status;

/// In one statement, and so as of one moment. A part is a ticket; or the log's last version; or how many of its changes have
/// none yet.
const SEATS: &str = "
    SELECT id, status AS text, CAST(NULL AS BIGINT) AS number FROM tickets
    WHERE event_id = (SELECT id FROM events WHERE slug = $1 AND status <> 'DRAFT')
    UNION ALL
    SELECT NULL, 'version', COALESCE(
        (SELECT MAX(version) FROM ticket_changes WHERE event_id = events.id),
        (SELECT version FROM ticket_changes_forgotten WHERE event_id = events.id), 0)
    FROM events WHERE slug = $1 AND status <> 'DRAFT'
    UNION ALL
    SELECT NULL, 'unnumbered', COUNT(*) FROM ticket_changes_unnumbered
    WHERE event_id = (SELECT id FROM events WHERE slug = $1 AND status <> 'DRAFT')";

#[derive(FromQueryResult)]
struct Part {
    id: Option<Uuid>,
    text: String,
    number: Option<i64>,
}

/// An event's tickets.
pub struct SeatRows {
    pub version: i64,
    /// Changes that are in the rows and not in the version.
    pub unnumbered: i64,
    statuses: HashMap<Uuid, Status>,
}

impl SeatRows {
    /// By the id that a server gave. None without a row.
    pub fn status_of(&self, id: &str) -> Option<Status> {
        // It ends with the row's own.
        let bytes = BASE64URL_NOPAD.decode(id.as_bytes()).ok()?;
        let own = bytes.last_chunk::<16>()?;
        self.statuses.get(&Uuid::from_bytes(*own)).copied()
    }
}

/// The rows of the event with this slug.
///
/// # Errors
/// When they cannot be read.
pub async fn seat_rows(db: &DatabaseConnection, slug: &str) -> Result<SeatRows, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), SEATS, [slug.into()]);
    let (mut version, mut unnumbered, mut statuses) = (0, 0, HashMap::new());
    for part in Part::find_by_statement(statement).all(db).await? {
        match (part.id, part.number) {
            (Some(id), _) => {
                let status = Status::of_name(&part.text)
                    .ok_or_else(|| DbErr::Type(format!("no status: {}", part.text)))?;
                statuses.insert(id, status);
            }
            (None, Some(number)) if part.text == "version" => version = number,
            (None, number) => unnumbered = number.unwrap_or_default(),
        }
    }
    Ok(SeatRows {
        version,
        unnumbered,
        statuses,
    })
}
