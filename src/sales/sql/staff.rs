//! The statements of what the house does to tickets: tidying, cancelling an event, withholding tickets from sale.
//!
//! A cancellation walks tables by their primary keys. Its writes name the status that they leave alone rather than the one
//! that they change: a partial index of the latter would otherwise look better than the key, which is in the walk's order.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Select, Statement, Value,
};
use uuid::Uuid;

use crate::{
    auth::Grant,
    entity::{event, ticket, ticket_import::IS_SHOWN_SQLITE},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId, TicketTypeId},
    organizers::allowed_ids,
    store::dialect::{clock, uuid_list},
};

/// The event, if it is of an organizer for whom somebody may do what they are about to.
pub fn own_event(grant: &Grant, id: EventId) -> Select<event::Entity> {
    event::Entity::find_by_id(id).filter(event::Column::OrganizerId.in_subquery(allowed_ids(grant)))
}

/// Lets at most `len` tickets be bought again whose hold has ended, and appends that to the counts and to the log as
/// [`changes::write()`](crate::changes::write) does: in one statement, so that a process that is stopped keeps no ticket. Those
/// that somebody has locked are being decided upon. How many they
/// were is the answer. PostgreSQL's alone.
pub fn sweep(len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "WITH ended AS MATERIALIZED (
             SELECT event_id, id, hold_id FROM tickets WHERE status = 'HELD' AND held_until <= statement_timestamp()
             ORDER BY held_until LIMIT $1 FOR UPDATE SKIP LOCKED
         ), tidied AS (
             UPDATE tickets SET status = 'AVAILABLE', hold_id = NULL, held_until = NULL
             FROM ended WHERE tickets.event_id = ended.event_id AND tickets.id = ended.id
             RETURNING tickets.event_id, tickets.id, tickets.ticket_type_id, ended.hold_id
         ), appended AS (
             INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
             SELECT event_id, ticket_type_id, gen_random_uuid(), COUNT(*), -COUNT(*), 0, 0
             FROM tidied GROUP BY event_id, ticket_type_id
         ), logged AS (
             INSERT INTO ticket_changes_unnumbered (event_id, changes)
             SELECT event_id, json_agg(json_build_array(
                 replace(id::text, '-', ''), 'HELD', 'AVAILABLE', 'EXPIRY', NULL, replace(hold_id::text, '-', '')
             ))::text
             FROM tidied GROUP BY event_id
         )
         SELECT COUNT(*) AS len FROM tidied",
        [len.into()],
    )
}

#[derive(FromQueryResult)]
pub struct LenRow {
    pub len: i64,
}

/// At most `len` tickets whose hold has ended. A ticket that is hidden keeps its status: it is counted by it when it is
/// shown again.
pub fn ended_sqlite(len: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Sqlite,
        format!(
            "SELECT event_id, id, ticket_type_id, hold_id FROM tickets
             WHERE status = 'HELD' AND held_until <= {} AND {IS_SHOWN_SQLITE}
             ORDER BY held_until LIMIT $1",
            clock(DbBackend::Sqlite)
        ),
        [len.into()],
    )
}

#[derive(FromQueryResult)]
pub struct EndedRow {
    pub event_id: EventId,
    pub id: TicketId,
    pub ticket_type_id: TicketTypeId,
    pub hold_id: HoldId,
}

/// The time, so that it can be written.
pub fn read_clock(backend: DbBackend) -> Statement {
    Statement::from_string(backend, format!("SELECT {} AS now", clock(backend)))
}

#[derive(FromQueryResult)]
pub struct ClockRow {
    pub now: DateTime<Utc>,
}

/// Cancels an event. It is what every later sale of the event is refused by.
pub fn cancel_event(
    backend: DbBackend,
    id: EventId,
    by: CustomerId,
    reason: &str,
    now: DateTime<Utc>,
) -> Statement {
    Statement::from_sql_and_values(
        backend,
        "UPDATE events SET status = 'CANCELLED', cancelled_at = $1, updated_at = $2, cancelled_by = $3,
             cancel_reason = $4, version = version + 1
         WHERE id = $5",
        [
            now.into(),
            now.into(),
            by.0.into(),
            reason.into(),
            id.0.into(),
        ],
    )
}

/// Events whose cancellation is not carried out yet.
pub fn events_being_cancelled(backend: DbBackend, len: i64) -> Statement {
    Statement::from_sql_and_values(
        backend,
        "SELECT id FROM events WHERE status = 'CANCELLED' AND cancellation_done_at IS NULL ORDER BY id LIMIT $1",
        [len.into()],
    )
}

#[derive(FromQueryResult)]
pub struct EventIdRow {
    pub id: EventId,
}

/// The time, and how an event was cancelled; no row once that has been carried out.
pub fn read_cancellation(backend: DbBackend, id: EventId) -> Statement {
    Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT {} AS now, cancelled_by, cancel_reason FROM events
             WHERE id = $1 AND status = 'CANCELLED' AND cancellation_done_at IS NULL",
            clock(backend)
        ),
        [id.0.into()],
    )
}

#[derive(FromQueryResult)]
pub struct CancellationRow {
    pub now: DateTime<Utc>,
    pub cancelled_by: Option<CustomerId>,
    pub cancel_reason: Option<String>,
}

/// Writes that a cancellation was carried out.
pub fn finish_cancellation(backend: DbBackend, id: EventId, now: DateTime<Utc>) -> Statement {
    Statement::from_sql_and_values(
        backend,
        "UPDATE events SET cancellation_done_at = $1
         WHERE id = $2 AND status = 'CANCELLED' AND cancellation_done_at IS NULL",
        [now.into(), id.0.into()],
    )
}

/// A table that a cancellation walks, row by row in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Tickets,
    Orders,
    Holds,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Tickets => "tickets",
            Self::Orders => "orders",
            Self::Holds => "holds",
        }
    }
}

/// Rows of an event whose id is greater than `after` and not greater than `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub event_id: EventId,
    pub after: Uuid,
    pub to: Uuid,
}

impl Span {
    fn values(self) -> [Value; 3] {
        [self.event_id.0.into(), self.after.into(), self.to.into()]
    }
}

/// The ids of the next rows.
pub fn read_next(
    backend: DbBackend,
    table: Table,
    event_id: EventId,
    after: Uuid,
    len: i64,
) -> Statement {
    let table = table.name();
    Statement::from_sql_and_values(
        backend,
        format!("SELECT id FROM {table} WHERE event_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        [event_id.0.into(), after.into(), len.into()],
    )
}

#[derive(FromQueryResult)]
pub struct IdRow {
    pub id: Uuid,
}

/// Locks all rows of a span, whatever their status, in the order of their ids. PostgreSQL's alone.
pub fn lock_span(table: Table, span: Span) -> Statement {
    let table = table.name();
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!(
            "SELECT id FROM {table} WHERE event_id = $1 AND id > $2 AND id <= $3 ORDER BY id FOR UPDATE"
        ),
        span.values(),
    )
}

/// Ends what is owned of a span of tickets.
pub fn cancel_items(backend: DbBackend, span: Span, how: &CancellationRow) -> Statement {
    let how = [
        how.now.into(),
        how.cancelled_by.map(|by| by.0).into(),
        how.cancel_reason.clone().into(),
    ];
    Statement::from_sql_and_values(
        backend,
        "UPDATE order_items SET status = 'CANCELLED', cancelled_at = $1, cancelled_by = $2, cancel_reason = $3
         WHERE event_id = $4 AND ticket_id > $5 AND ticket_id <= $6 AND status = 'ACTIVE'",
        how.into_iter().chain(span.values()),
    )
}

/// The tickets that [`end_span`] will let go, and whose they are: to be read before their items are cancelled.
pub fn tickets_to_end(backend: DbBackend, span: Span) -> Statement {
    let shown = shown(backend, Table::Tickets);
    Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT id, ticket_type_id, status, hold_id, (
                 SELECT order_id FROM order_items AS item
                 WHERE item.event_id = tickets.event_id AND item.ticket_id = tickets.id AND item.status = 'ACTIVE' LIMIT 1
             ) AS order_id, (SELECT cancelled_by FROM events WHERE id = tickets.event_id) AS staff_id
             FROM tickets
             WHERE event_id = $1 AND id > $2 AND id <= $3 AND NOT ({TICKETS_LEFT_ALONE}) AND {shown}"
        ),
        span.values(),
    )
}

#[derive(FromQueryResult)]
pub struct EndingRow {
    pub id: TicketId,
    pub ticket_type_id: TicketTypeId,
    pub status: ticket::Status,
    pub hold_id: Option<HoldId>,
    pub order_id: Option<OrderId>,
    /// Who has cancelled the event.
    pub staff_id: Option<CustomerId>,
}

const TICKETS_LEFT_ALONE: &str = "status IN ('AVAILABLE', 'BLOCKED')";

/// A ticket that is hidden keeps its status, as for [`ended_sqlite`]; nobody can buy it.
fn shown(backend: DbBackend, table: Table) -> &'static str {
    match (backend, table) {
        (DbBackend::Sqlite, Table::Tickets) => IS_SHOWN_SQLITE,
        _ => "TRUE",
    }
}

/// Ends what a cancelled event leaves of a span: tickets are nobody's, orders cancelled, holds released. Blocked tickets
/// stay withheld.
pub fn end_span(backend: DbBackend, table: Table, span: Span) -> Statement {
    let (change, is_left_alone) = match table {
        Table::Tickets => (
            "status = 'AVAILABLE', hold_id = NULL, held_until = NULL",
            TICKETS_LEFT_ALONE,
        ),
        Table::Orders => ("status = 'CANCELLED'", "status = 'CANCELLED'"),
        Table::Holds => (
            "status = 'RELEASED', tickets_len = 0",
            "status IN ('RELEASED', 'PURCHASED')",
        ),
    };
    let shown = shown(backend, table);
    let table = table.name();
    Statement::from_sql_and_values(
        backend,
        format!(
            "UPDATE {table} SET {change}
             WHERE event_id = $1 AND id > $2 AND id <= $3 AND NOT ({is_left_alone}) AND {shown}"
        ),
        span.values(),
    )
}

/// Withholds tickets from sale.
pub fn block(
    backend: DbBackend,
    event_id: EventId,
    tickets: &[TicketId],
    reason: &str,
) -> Statement {
    let ids = is_one_of(backend, "$3");
    Statement::from_sql_and_values(
        backend,
        format!(
            "UPDATE tickets SET status = 'BLOCKED', hold_id = NULL, held_until = NULL, block_reason = $1
             WHERE event_id = $2 AND {ids}"
        ),
        [reason.into(), event_id.0.into(), list(backend, tickets)],
    )
}

/// Lets those of the tickets be bought again that were withheld.
pub fn unblock(backend: DbBackend, event_id: EventId, tickets: &[TicketId]) -> Statement {
    let ids = is_one_of(backend, "$2");
    Statement::from_sql_and_values(
        backend,
        format!(
            "UPDATE tickets SET status = 'AVAILABLE', block_reason = NULL
             WHERE event_id = $1 AND {ids} AND status = 'BLOCKED'"
        ),
        [event_id.0.into(), list(backend, tickets)],
    )
}

fn is_one_of(backend: DbBackend, parameter: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("id = ANY({parameter})"),
        _ => format!("id IN (SELECT unhex(value) FROM json_each({parameter}))"),
    }
}

fn list(backend: DbBackend, tickets: &[TicketId]) -> Value {
    uuid_list(backend, tickets.iter().map(|id| id.0))
}
