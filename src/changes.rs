//! The change log: what changes of an event's tickets, in an order in which it can be read again.
//!
//! Whoever changes tickets appends in the same transaction, a [`ChangeSet`] for each event, see `sales/journal.rs`. Each set
//! has a version, one more than the set before it, and of one ticket's changes the later has the greater version. So whoever
//! knows an event's tickets as they were at one version, and reads all that came after it, knows them as they are.
//!
//! It is append-only, and tells of orders and holds, never of people. It knows nothing of why a status may change: that is
//! `sales`, its only writer. Adding and removing tickets changes no status and is not in it: a ticket is born available.

pub mod forget;
pub mod history;
mod kept;
pub mod maps;
pub mod seat_map;
pub mod watch;

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sea_orm::{ActiveEnum, DbErr, FromQueryResult};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    entity::ticket::Status,
    fault::{Fault, Step},
    ids::{CustomerId, HoldId, OrderId, TicketId},
};

/// What is committed at once of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    pub version: i64,
    /// By the database's clock, just before the commit.
    pub at: DateTime<Utc>,
    /// No ticket is in it twice.
    pub changes: Vec<Change>,
}

/// A ticket's change of status; from held to held it is another hold's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub ticket_id: TicketId,
    pub from: Status,
    pub to: Status,
    pub cause: Cause,
    pub whose: Whose,
    /// Whom of staff it was, in the customer's name or their own; a person or a machine, by an id like a customer's.
    pub staff: Option<CustomerId>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Order(OrderId),
    Hold(HoldId),
    Nobody,
}

/// Why a ticket's status changed. The names are stable; a later release may have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was so when the log began.
    Found,
    Purchase,
    Hold,
    Release,
    /// The hold was over.
    Expiry,
    OrderCancellation,
    EventCancellation,
    Block,
    Unblock,
}

/// Who changes a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whose order or hold it is.
    Customer,
    /// Staff, also in a customer's name.
    Organizer,
    /// The server, unasked.
    System,
}

impl Change {
    pub fn actor(&self) -> Actor {
        match self.cause {
            Cause::EventCancellation | Cause::Block | Cause::Unblock => Actor::Organizer,
            Cause::Found | Cause::Expiry => Actor::System,
            Cause::Purchase | Cause::Hold | Cause::Release | Cause::OrderCancellation => {
                match self.staff {
                    Some(_) => Actor::Organizer,
                    None => Actor::Customer,
                }
            }
        }
    }
}

impl Cause {
    const ALL: [Self; 9] = [
        Self::Found,
        Self::Purchase,
        Self::Hold,
        Self::Release,
        Self::Expiry,
        Self::OrderCancellation,
        Self::EventCancellation,
        Self::Block,
        Self::Unblock,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::Purchase => "PURCHASE",
            Self::Hold => "HOLD",
            Self::Release => "RELEASE",
            Self::Expiry => "EXPIRY",
            Self::OrderCancellation => "ORDER_CANCELLATION",
            Self::EventCancellation => "EVENT_CANCELLATION",
            Self::Block => "BLOCK",
            Self::Unblock => "UNBLOCK",
        }
    }
}

/// The changes of a set as the log has them: a JSON list of `[ticket, from, to, cause, order, hold]`, and who of staff it was,
/// where it was staff.
pub fn write(changes: &[Change]) -> String {
    let mut text = String::with_capacity(changes.len() * 110 + 2);
    text.push('[');
    for (n, change) in changes.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        let id = |id: Option<Uuid>| match id {
            Some(id) => format!("\"{}\"", id.simple()),
            None => "null".to_owned(),
        };
        let (order, hold) = match change.whose {
            Whose::Order(order) => (Some(order.0), None),
            Whose::Hold(hold) => (None, Some(hold.0)),
            Whose::Nobody => (None, None),
        };
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "[\"{}\",\"{}\",\"{}\",\"{}\",{},{}",
            change.ticket_id.0.simple(),
            change.from.to_value(),
            change.to.to_value(),
            change.cause.as_str(),
            id(order),
            id(hold)
        );
        if let Some(CustomerId(staff)) = change.staff {
            let _ = write!(text, ",\"{}\"", staff.simple());
        }
        text.push(']');
    }
    text.push(']');
    text
}

/// # Errors
/// When it is not what [`write()`] writes, as when only a later release knows a cause.
fn read(text: &str) -> Result<Vec<Change>, DbErr> {
    let all: Vec<Fields> =
        serde_json::from_str(text).map_err(|error| DbErr::Type(error.to_string()))?;
    all.into_iter()
        .map(|fields| {
            let cause = fields.cause;
            let known = Cause::ALL.into_iter().find(|known| known.as_str() == cause);
            Ok(Change {
                ticket_id: TicketId(fields.ticket),
                from: Status::try_from_value(&fields.from)?,
                to: Status::try_from_value(&fields.to)?,
                cause: known.ok_or_else(|| DbErr::Type(format!("an unknown cause: {cause}")))?,
                whose: match (fields.order, fields.hold) {
                    (Some(order), _) => Whose::Order(OrderId(order)),
                    (None, Some(hold)) => Whose::Hold(HoldId(hold)),
                    (None, None) => Whose::Nobody,
                },
                staff: fields.staff.map(CustomerId),
            })
        })
        .collect()
}

/// A change as the log has it: their list, in this order.
#[derive(Deserialize)]
struct Fields {
    ticket: Uuid,
    from: String,
    to: String,
    cause: String,
    order: Option<Uuid>,
    hold: Option<Uuid>,
    #[serde(default)]
    staff: Option<Uuid>,
}

/// A set as the database has it.
#[derive(FromQueryResult)]
struct Row {
    version: i64,
    at: DateTime<Utc>,
    changes: String,
}

impl Row {
    fn into_set(self) -> Result<ChangeSet, Fault> {
        Ok(ChangeSet {
            version: self.version,
            at: self.at,
            changes: read(&self.changes).step("understanding a set of changes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let whose = [
            Whose::Nobody,
            Whose::Order(OrderId::mint()),
            Whose::Hold(HoldId::mint()),
        ];
        let statuses = [
            Status::Available,
            Status::Held,
            Status::Sold,
            Status::Blocked,
        ];
        let mut changes = Vec::new();
        for (n, cause) in Cause::ALL.into_iter().enumerate() {
            changes.push(Change {
                ticket_id: TicketId::mint(),
                from: statuses[n % 4],
                to: statuses[(n + 1) % 4],
                cause,
                whose: whose[n % 3],
                staff: (n % 2 == 0).then(CustomerId::mint),
            });
        }
        assert_eq!(read(&write(&changes)).unwrap(), changes);
        assert_eq!(read(&write(&[])).unwrap(), []);
        for text in ["", "{}", &write(&changes).replace("PURCHASE", "RAFFLE")] {
            read(text).unwrap_err();
        }
    }
}
