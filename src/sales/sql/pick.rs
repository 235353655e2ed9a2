//! Any tickets of a type: what is free and unlocked, and what may become free.

use sea_orm::{DbBackend, FromQueryResult, Statement, Value, sea_query::ArrayType};

use super::lock::SKIP_LOCKED;
use crate::{
    entity::ticket_import::IS_SHOWN_SQLITE,
    ids::{EventId, TicketId, TicketTypeId},
    store::dialect::clock,
};

/// How careful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A ticket's status says whether it is free.
    Status,
    /// The database has just refused a second owner, so some status lies: ask the order items too.
    Owners,
}

impl Trust {
    /// The condition that a ticket has no owner, where its status is not enough.
    fn unowned(self) -> &'static str {
        match self {
            Self::Status => "TRUE",
            Self::Owners => {
                "NOT EXISTS (SELECT 1 FROM order_items WHERE order_items.event_id = tickets.event_id \
                 AND order_items.ticket_id = tickets.id AND order_items.status = 'ACTIVE')"
            }
        }
    }
}

/// Named one by one: a statement that is prepared must not change when a later release adds a column.
pub(super) const TICKET_COLUMNS: &str = "event_id, id, ticket_type_id, status, hold_id, held_until, section, row_label, seat_label, \
     row_index, seat_index, is_accessible, import_id, block_reason";

/// How many tickets of a type are wanted without naming them.
#[derive(Clone, Copy, Debug)]
pub struct AnyOf {
    pub event_id: EventId,
    pub ticket_type_id: TicketTypeId,
    pub quantity: usize,
    /// The search begins after this ticket.
    pub after: TicketId,
}

/// Free tickets of each type, locked, as many as are wanted and can be had without waiting; none of `except`. A type must
/// not be named twice: a transaction does not skip its own locks.
pub fn pick_tickets(free: Free, wanted: &[AnyOf], except: &[TicketId], trust: Trust) -> Statement {
    let (condition, order) = free.postgres();
    let unowned = trust.unowned();
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!(
            "SELECT picked.*
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[]) AS wanted (event_id, ticket_type_id, quantity, after)
             CROSS JOIN LATERAL (
                 SELECT {TICKET_COLUMNS} FROM tickets
                 WHERE tickets.event_id = wanted.event_id AND tickets.ticket_type_id = wanted.ticket_type_id
                     AND {condition} AND {unowned} AND id <> ALL ($5::uuid[])
                 ORDER BY {order} LIMIT wanted.quantity
                 {SKIP_LOCKED}
             ) AS picked"
        ),
        any_of_arrays(wanted).into_iter().chain([
            uuid_array(wanted.iter().map(|any| any.after.0)),
            uuid_array(except.iter().map(|id| id.0)),
        ]),
    )
}

/// As [`pick_tickets`], for one type: SQLite knows no `LATERAL`, and a statement there costs no round trip.
pub fn pick_tickets_sqlite(
    free: Free,
    wanted: AnyOf,
    except: &[TicketId],
    trust: Trust,
) -> Statement {
    let (condition, order) = free.sqlite();
    let unowned = trust.unowned();
    Statement::from_sql_and_values(
        DbBackend::Sqlite,
        format!(
            "SELECT {TICKET_COLUMNS} FROM tickets
             WHERE event_id = ?1 AND ticket_type_id = ?2 AND {condition} AND {unowned} AND {IS_SHOWN_SQLITE}
                 AND id NOT IN (SELECT unhex(value) FROM json_each(?4))
             ORDER BY {order} LIMIT ?5"
        ),
        [
            wanted.event_id.into(),
            wanted.ticket_type_id.into(),
            wanted.after.0.into(),
            json_ids(except).into(),
            count(wanted.quantity).into(),
        ],
    )
}

/// In which way a ticket is free. Two statements: no index serves "available, or held until a time past" at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// After the one where the search begins.
    Available,
    /// Up to it.
    AvailableBefore,
    /// Its hold has ended.
    Expired,
}

impl Free {
    /// Condition and order. The statement's time is good enough to find candidates, and unlike `clock_timestamp()` can be
    /// looked up in an index; the decision asks the clock itself.
    fn postgres(self) -> (&'static str, &'static str) {
        match self {
            Self::Available => ("status = 'AVAILABLE' AND id > wanted.after", "id"),
            Self::AvailableBefore => ("status = 'AVAILABLE' AND id <= wanted.after", "id"),
            Self::Expired => (
                "status = 'HELD' AND held_until <= statement_timestamp()",
                "held_until",
            ),
        }
    }

    fn sqlite(self) -> (String, &'static str) {
        let now = clock(DbBackend::Sqlite);
        match self {
            Self::Available => ("status = 'AVAILABLE' AND id > ?3".to_owned(), "id"),
            Self::AvailableBefore => ("status = 'AVAILABLE' AND id <= ?3".to_owned(), "id"),
            Self::Expired => (
                format!("status = 'HELD' AND held_until <= {now}"),
                "held_until",
            ),
        }
    }
}

fn count(quantity: usize) -> i64 {
    i64::try_from(quantity).unwrap_or(i64::MAX)
}

fn json_ids(ids: &[TicketId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| id.0.simple().to_string()).collect();
    serde_json::json!(ids).to_string()
}

/// For each type, up to as many tickets as are wanted that are free as the last commit left them but are none of `ours`:
/// somebody else has them locked, a buyer or the sweeper, and they may come back.
pub fn find_contested(wanted: &[AnyOf], ours: &[TicketId], trust: Trust) -> Statement {
    let unowned = trust.unowned();
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!("SELECT wanted.event_id, wanted.ticket_type_id, contested.id
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS wanted (event_id, ticket_type_id, quantity)
         CROSS JOIN LATERAL (
             (SELECT id FROM tickets
              WHERE tickets.event_id = wanted.event_id AND tickets.ticket_type_id = wanted.ticket_type_id
                  AND status = 'AVAILABLE' AND {unowned} AND id <> ALL ($4::uuid[])
              ORDER BY id LIMIT wanted.quantity)
             UNION ALL
             (SELECT id FROM tickets
              WHERE tickets.event_id = wanted.event_id AND tickets.ticket_type_id = wanted.ticket_type_id
                  AND status = 'HELD' AND held_until <= statement_timestamp() AND {unowned}
                  AND id <> ALL ($4::uuid[])
              ORDER BY held_until LIMIT wanted.quantity)
         ) AS contested"),
        any_of_arrays(wanted).into_iter().chain([uuid_array(ours.iter().map(|id| id.0))]),
    )
}

#[derive(FromQueryResult)]
pub struct ContestedRow {
    pub event_id: EventId,
    pub ticket_type_id: TicketTypeId,
    pub id: TicketId,
}

fn any_of_arrays(wanted: &[AnyOf]) -> [Value; 3] {
    [
        uuid_array(wanted.iter().map(|any| any.event_id.0)),
        uuid_array(wanted.iter().map(|any| any.ticket_type_id.0)),
        bigint_array(wanted.iter().map(|any| count(any.quantity))),
    ]
}

pub(super) fn bigint_array(numbers: impl Iterator<Item = i64>) -> Value {
    Value::Array(
        ArrayType::BigInt,
        Some(Box::new(numbers.map(Value::from).collect())),
    )
}

pub(super) fn uuid_array(ids: impl Iterator<Item = uuid::Uuid>) -> Value {
    Value::Array(
        ArrayType::Uuid,
        Some(Box::new(ids.map(Value::from).collect())),
    )
}
