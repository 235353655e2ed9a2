//! What the rules need to know besides the tickets' rows.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, Select,
    Statement, Value,
};

use crate::{
    entity::{event, hold, order, order_item},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId, TicketTypeId},
    sales::{command::TICKETS_PER_ORDER_MAX, decide::HeldTickets},
    store::{
        bulk::{self, Kind, is_one_of_pairs},
        dialect::clock,
    },
};

/// The time, and each event that exists. Read after the last lock: `clock_timestamp()` is the time of the statement, where
/// `now()` would be the time at which the transaction began, before it waited.
pub fn read_events(backend: DbBackend, ids: &[EventId]) -> Statement {
    let rows = ids.iter().map(|id| vec![id.0.into()]).collect();
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid], rows);
    let now = clock(backend);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (id) AS ({source})
             SELECT {now} AS now, events.id, events.status, events.currency, events.sales_open_at,
                 events.sales_close_at, events.tickets_per_order_max, events.tickets_per_customer_max,
                 events.held_per_customer_max, events.hold_secs, events.hold_secs_max, events.cancellable_until
             FROM wanted LEFT JOIN events ON events.id = wanted.id"
        ),
        values,
    )
}

#[derive(FromQueryResult)]
pub struct EventRow {
    pub now: DateTime<Utc>,
    /// None of these for an id that no event has.
    pub id: Option<EventId>,
    pub status: Option<event::Status>,
    pub currency: Option<String>,
    pub sales_open_at: Option<DateTime<Utc>>,
    pub sales_close_at: Option<DateTime<Utc>>,
    pub tickets_per_order_max: Option<i32>,
    pub tickets_per_customer_max: Option<i32>,
    pub held_per_customer_max: Option<i32>,
    pub hold_secs: Option<i32>,
    pub hold_secs_max: Option<i32>,
    pub cancellable_until: Option<DateTime<Utc>>,
}

/// Name and price of each ticket type.
pub fn read_ticket_types(
    backend: DbBackend,
    ids: &[(EventId, TicketTypeId)],
) -> Select<crate::entity::ticket_type::Entity> {
    let pairs = ids
        .iter()
        .map(|(event, ticket_type)| (event.0, ticket_type.0));
    crate::entity::ticket_type::Entity::find().filter(is_one_of_pairs(
        backend,
        ("event_id", "id"),
        pairs,
    ))
}

/// Rows of a table by an index of it: for each of `rows`, up to `limit` whose `keys` equal it and that meet `condition`.
///
/// On PostgreSQL one look into the index for each, whatever the planner knows of the table: at the beginning of an on-sale
/// it knows of an empty one, would read it from end to end, and keep that plan while the table grows. `LIMIT` binds it to
/// the order of the text.
fn look_up(
    backend: DbBackend,
    (table, columns): (&str, &str),
    keys: &[(&str, Kind)],
    rows: Vec<Vec<Value>>,
    (condition, limit): (&str, usize),
) -> Statement {
    let kinds: Vec<Kind> = keys.iter().map(|(_, kind)| *kind).collect();
    let (source, values) = bulk::rows_source(backend, &kinds, rows);
    let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    let sql = match backend {
        DbBackend::Postgres => {
            let wanted: Vec<String> = names.iter().map(|name| format!("wanted_{name}")).collect();
            let equal: Vec<String> = names
                .iter()
                .map(|name| format!("{name} = wanted_{name}"))
                .collect();
            format!(
                "WITH wanted ({}) AS ({source})
                 SELECT found.* FROM wanted CROSS JOIN LATERAL (
                     SELECT {columns} FROM {table} WHERE {} AND {condition} LIMIT {limit}
                 ) AS found",
                wanted.join(", "),
                equal.join(" AND ")
            )
        }
        _ => format!(
            "SELECT {columns} FROM {table} WHERE ({}) IN ({source}) AND {condition}",
            names.join(", ")
        ),
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// The idempotency keys of these that are bound.
pub fn read_keys(backend: DbBackend, keys: &[(EventId, CustomerId, String)]) -> Statement {
    let rows = keys
        .iter()
        .map(|(event, customer, key)| vec![event.0.into(), customer.0.into(), key.clone().into()])
        .collect();
    look_up(
        backend,
        (
            "idempotency_keys",
            "event_id, customer_id, key, kind, fingerprint, result_id, created_at",
        ),
        &[
            ("event_id", Kind::Uuid),
            ("customer_id", Kind::Uuid),
            ("key", Kind::Text),
        ],
        rows,
        ("TRUE", 1),
    )
}

/// Which of these tickets have an owner by the order items, whatever their own status says.
pub fn find_owned(
    backend: DbBackend,
    tickets: &[(EventId, TicketId)],
) -> Select<order_item::Entity> {
    let pairs = tickets.iter().map(|(event, ticket)| (event.0, ticket.0));
    order_item::Entity::find()
        .filter(order_item::Column::Status.eq(order_item::Status::Active))
        .filter(is_one_of_pairs(backend, ("event_id", "ticket_id"), pairs))
}

/// Orders by their ids.
pub fn read_orders(backend: DbBackend, ids: &[(EventId, OrderId)]) -> Select<order::Entity> {
    let pairs = ids.iter().map(|(event, order)| (event.0, order.0));
    order::Entity::find().filter(is_one_of_pairs(backend, ("event_id", "id"), pairs))
}

/// The items of orders, in the order in which they were minted.
pub fn read_order_items(
    backend: DbBackend,
    orders: &[(EventId, OrderId)],
) -> Select<order_item::Entity> {
    let pairs = orders.iter().map(|(event, order)| (event.0, order.0));
    order_item::Entity::find()
        .filter(is_one_of_pairs(backend, ("event_id", "order_id"), pairs))
        .order_by_asc(order_item::Column::Id)
}

const HOLD_COLUMNS: &str = "event_id, id, customer_id, status, held_until, extendable_until, tickets_len, order_id, \
     created_at";

/// Holds by their ids.
pub fn read_holds(backend: DbBackend, ids: &[(EventId, HoldId)]) -> Statement {
    look_up(
        backend,
        ("holds", HOLD_COLUMNS),
        &[("event_id", Kind::Uuid), ("id", Kind::Uuid)],
        pairs(ids.iter().map(|(event, hold)| (event.0, hold.0))),
        ("TRUE", 1),
    )
}

/// Holds as they stand now: the time, and each hold once for each ticket that names it, or once without one. In a single
/// statement, so that a ticket that is given back meanwhile is not missed.
pub fn read_standing_holds(backend: DbBackend, ids: &[(EventId, HoldId)]) -> Statement {
    let rows = ids
        .iter()
        .map(|(event, hold)| vec![event.0.into(), hold.0.into()])
        .collect();
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows);
    let now = clock(backend);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, id) AS ({source})
             SELECT {now} AS as_of, holds.event_id, holds.id, holds.customer_id, holds.status, holds.held_until,
                 holds.extendable_until, holds.tickets_len, holds.order_id, holds.created_at, tickets.id AS ticket_id
             FROM wanted
             JOIN holds ON holds.event_id = wanted.event_id AND holds.id = wanted.id
             LEFT JOIN tickets ON tickets.event_id = holds.event_id AND tickets.hold_id = holds.id
                 AND tickets.status = 'HELD'
             ORDER BY holds.id, tickets.id"
        ),
        values,
    )
}

#[derive(FromQueryResult)]
pub struct StandingRow {
    pub as_of: DateTime<Utc>,
    pub event_id: EventId,
    pub id: HoldId,
    pub customer_id: CustomerId,
    pub status: hold::Status,
    pub held_until: DateTime<Utc>,
    pub extendable_until: DateTime<Utc>,
    pub tickets_len: i32,
    pub order_id: Option<OrderId>,
    pub created_at: DateTime<Utc>,
    pub ticket_id: Option<TicketId>,
}

impl From<StandingRow> for HeldTickets {
    fn from(row: StandingRow) -> Self {
        Self {
            hold: hold::Model {
                event_id: row.event_id,
                id: row.id,
                customer_id: row.customer_id,
                status: row.status,
                held_until: row.held_until,
                extendable_until: row.extendable_until,
                tickets_len: row.tickets_len,
                order_id: row.order_id,
                created_at: row.created_at,
            },
            tickets: row.ticket_id.into_iter().collect(),
            as_of: row.as_of,
        }
    }
}

/// The tickets whose rows name one of these holds.
pub fn read_held_tickets(backend: DbBackend, holds: &[(EventId, HoldId)]) -> Statement {
    look_up(
        backend,
        ("tickets", "event_id, id, hold_id"),
        &[("event_id", Kind::Uuid), ("hold_id", Kind::Uuid)],
        pairs(holds.iter().map(|(event, hold)| (event.0, hold.0))),
        // A literal: a plan that is kept cannot use a partial index for a parameter.
        ("status = 'HELD'", TICKETS_PER_ORDER_MAX),
    )
}

#[derive(FromQueryResult)]
pub struct HeldRow {
    pub event_id: EventId,
    pub id: TicketId,
    pub hold_id: HoldId,
}

/// How many tickets each of these customers owns of the event. Counted for one after the other, as in [`look_up`].
pub fn count_owned(backend: DbBackend, customers: &[(EventId, CustomerId)]) -> Statement {
    let rows = pairs(
        customers
            .iter()
            .map(|(event, customer)| (event.0, customer.0)),
    );
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, customer_id) AS ({source})
             SELECT wanted.event_id, wanted.customer_id, (
                 SELECT count(*) FROM orders
                 JOIN order_items ON order_items.event_id = orders.event_id AND order_items.order_id = orders.id
                     AND order_items.status = 'ACTIVE'
                 WHERE orders.event_id = wanted.event_id AND orders.customer_id = wanted.customer_id
                     AND orders.status = 'CONFIRMED'
             ) AS owned_len
             FROM wanted"
        ),
        values,
    )
}

#[derive(FromQueryResult)]
pub struct OwnedRow {
    pub event_id: EventId,
    pub customer_id: CustomerId,
    pub owned_len: i64,
}

/// The holds of these customers that are alive at `now`, which must not be later than the time by which they are judged.
pub fn read_live_holds(
    backend: DbBackend,
    customers: &[(EventId, CustomerId)],
    now: DateTime<Utc>,
) -> Statement {
    let condition = match backend {
        DbBackend::Postgres => "status = 'ACTIVE' AND held_until > $3",
        _ => "status = 'ACTIVE' AND held_until > ?",
    };
    let mut statement = look_up(
        backend,
        ("holds", HOLD_COLUMNS),
        &[("event_id", Kind::Uuid), ("customer_id", Kind::Uuid)],
        pairs(
            customers
                .iter()
                .map(|(event, customer)| (event.0, customer.0)),
        ),
        (condition, HOLDS_PER_CUSTOMER_MAX),
    );
    if let Some(values) = &mut statement.values {
        values.0.push(now.into());
    }
    statement
}

/// A hold has a ticket at least, and no event allows more than a thousand held tickets.
const HOLDS_PER_CUSTOMER_MAX: usize = 1_000;

fn pairs(ids: impl Iterator<Item = (uuid::Uuid, uuid::Uuid)>) -> Vec<Vec<Value>> {
    ids.map(|(first, second)| vec![first.into(), second.into()])
        .collect()
}
