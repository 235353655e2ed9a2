//! The statements of a sale, both databases' side by side where they differ.
//!
//! Each has one shape whatever the batch's length: arrays on PostgreSQL, one JSON text on SQLite. SQLite has no row locks;
//! its write transaction is begun `IMMEDIATE`, which keeps every other writer out.

pub mod staff;
pub mod write;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Select, Statement, Value,
    sea_query::{ArrayType, Expr},
};

use crate::{
    entity::{
        event, hold, idempotency_key, order, order_item, ticket, ticket_import::IS_SHOWN_SQLITE,
    },
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId, TicketTypeId},
    store::{
        bulk::{self, Kind, is_one_of_pairs},
        dialect::clock,
    },
};

/// One row for each gate: whether this transaction has it now.
pub fn try_gates(gates: &[i64]) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT gate, pg_try_advisory_xact_lock(gate) AS is_open FROM unnest($1::bigint[]) AS gate",
        [bigint_array(gates.iter().copied())],
    )
}

#[derive(FromQueryResult)]
pub struct GateRow {
    pub gate: i64,
    pub is_open: bool,
}

/// Waits for an advisory lock, held to the transaction's end.
pub fn wait_for_advisory_lock(key: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [key.into()],
    )
}

/// How long statements of this transaction may wait for a lock, and take in all, in milliseconds.
pub fn set_timeouts(lock_timeout_ms: u128, statement_timeout_ms: u128) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)",
        [
            lock_timeout_ms.to_string().into(),
            statement_timeout_ms.to_string().into(),
        ],
    )
}

/// Those of these tickets that can be locked without waiting and are free, locked, in the order of their ids.
///
/// Any other is left alone: locking it would write to its row, and in a burst most buyers want a ticket that is sold; and
/// who wants a ticket that somebody holds must not be in the holder's way.
pub fn lock_free_tickets(
    backend: DbBackend,
    wanted: &[(EventId, TicketId)],
) -> Select<ticket::Entity> {
    skip_locked(named(backend, wanted).filter(is_free(backend)))
}

/// By the statement's time, which can be compared without asking the clock for every row. A hold that ends after it is
/// found out by the plain read that follows, and waits for its lock.
fn is_free(backend: DbBackend) -> Expr {
    let now = match backend {
        DbBackend::Postgres => "statement_timestamp()",
        _ => clock(backend),
    };
    Expr::cust(format!(
        "(status = 'AVAILABLE' OR (status = 'HELD' AND held_until <= {now}))"
    ))
}

/// Those of these tickets that can be locked without waiting, locked, whatever their status: they are the holder's or the
/// owner's who asks.
pub fn lock_claimed_tickets(
    backend: DbBackend,
    claimed: &[(EventId, TicketId)],
) -> Select<ticket::Entity> {
    skip_locked(named(backend, claimed))
}

/// These tickets, locked in the order of their ids however long that takes: `SELECT … FOR UPDATE`. Unless they are claimed
/// by their holder or owner, only those that are free, or were when the wait began.
pub fn lock_tickets(
    backend: DbBackend,
    wanted: &[(EventId, TicketId)],
    is_claimed: bool,
) -> Select<ticket::Entity> {
    let query = named(backend, wanted).lock_exclusive();
    if is_claimed {
        query
    } else {
        query.filter(is_free(backend))
    }
}

/// The tickets of these ids as they were last committed.
pub fn read_tickets(backend: DbBackend, wanted: &[(EventId, TicketId)]) -> Select<ticket::Entity> {
    named(backend, wanted)
}

#[cfg(not(without_lock))]
fn skip_locked(query: Select<ticket::Entity>) -> Select<ticket::Entity> {
    use sea_orm::sea_query::{LockBehavior, LockType};
    query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
}

/// The build that proves the tests: without the lock they must see an oversell.
#[cfg(without_lock)]
fn skip_locked(query: Select<ticket::Entity>) -> Select<ticket::Entity> {
    query
}

fn named(backend: DbBackend, wanted: &[(EventId, TicketId)]) -> Select<ticket::Entity> {
    let pairs = wanted.iter().map(|(event, ticket)| (event.0, ticket.0));
    let query = ticket::Entity::find()
        .filter(is_one_of_pairs(backend, ("event_id", "id"), pairs))
        .order_by_asc(ticket::Column::EventId)
        .order_by_asc(ticket::Column::Id);
    match backend {
        DbBackend::Sqlite => query.filter(Expr::cust(IS_SHOWN_SQLITE)),
        _ => query,
    }
}

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
const TICKET_COLUMNS: &str = "event_id, id, ticket_type_id, status, hold_id, held_until, section, row_label, seat_label, \
     row_index, seat_index, is_accessible, import_id, block_reason";

/// How many tickets of a type are wanted without naming them.
#[derive(Clone, Copy, Debug)]
pub struct AnyOf {
    pub event_id: EventId,
    pub ticket_type_id: TicketTypeId,
    pub quantity: usize,
}

/// Free tickets of each type, locked, as many as are wanted and can be had without waiting; none of `except`. A type must
/// not be named twice: a transaction does not skip its own locks.
pub fn pick_tickets(free: Free, wanted: &[AnyOf], except: &[TicketId], trust: Trust) -> Statement {
    let (condition, order) = free.postgres();
    let unowned = trust.unowned();
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!(
            "SELECT picked.* FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS wanted (event_id, ticket_type_id, quantity)
             CROSS JOIN LATERAL (
                 SELECT {TICKET_COLUMNS} FROM tickets
                 WHERE tickets.event_id = wanted.event_id AND tickets.ticket_type_id = wanted.ticket_type_id
                     AND {condition} AND {unowned} AND id <> ALL ($4::uuid[])
                 ORDER BY {order} LIMIT wanted.quantity
                 {PICK_LOCK}
             ) AS picked"
        ),
        any_of_arrays(wanted).into_iter().chain([uuid_array(except.iter().map(|id| id.0))]),
    )
}

#[cfg(not(without_lock))]
const PICK_LOCK: &str = "FOR UPDATE SKIP LOCKED";
#[cfg(without_lock)]
const PICK_LOCK: &str = "";

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
             WHERE event_id = ? AND ticket_type_id = ? AND {condition} AND {unowned} AND {IS_SHOWN_SQLITE}
                 AND id NOT IN (SELECT unhex(value) FROM json_each(?))
             ORDER BY {order} LIMIT ?"
        ),
        [
            wanted.event_id.into(),
            wanted.ticket_type_id.into(),
            json_ids(except).into(),
            count(wanted.quantity).into(),
        ],
    )
}

/// In which way a ticket is free. Two statements: no index serves "available, or held until a time past" at once.
#[derive(Clone, Copy, Debug)]
pub enum Free {
    Available,
    /// Its hold has ended.
    Expired,
}

impl Free {
    /// Condition and order. The statement's time is good enough to find candidates, and unlike `clock_timestamp()` can be
    /// looked up in an index; the decision asks the clock itself.
    fn postgres(self) -> (&'static str, &'static str) {
        match self {
            Self::Available => ("status = 'AVAILABLE'", "id"),
            Self::Expired => (
                "status = 'HELD' AND held_until <= statement_timestamp()",
                "held_until",
            ),
        }
    }

    fn sqlite(self) -> (String, &'static str) {
        let now = clock(DbBackend::Sqlite);
        match self {
            Self::Available => ("status = 'AVAILABLE'".to_owned(), "id"),
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

fn bigint_array(numbers: impl Iterator<Item = i64>) -> Value {
    Value::Array(
        ArrayType::BigInt,
        Some(Box::new(numbers.map(Value::from).collect())),
    )
}

fn uuid_array(ids: impl Iterator<Item = uuid::Uuid>) -> Value {
    Value::Array(
        ArrayType::Uuid,
        Some(Box::new(ids.map(Value::from).collect())),
    )
}

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

/// The idempotency keys of these that are bound.
pub fn read_keys(
    backend: DbBackend,
    keys: &[(EventId, CustomerId, String)],
) -> Select<idempotency_key::Entity> {
    let rows = keys
        .iter()
        .map(|(event, customer, key)| vec![event.0.into(), customer.0.into(), key.clone().into()])
        .collect();
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid, Kind::Text], rows);
    idempotency_key::Entity::find().filter(Expr::cust_with_values(
        format!("(event_id, customer_id, key) IN ({source})"),
        values,
    ))
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

/// Holds by their ids.
pub fn read_holds(backend: DbBackend, ids: &[(EventId, HoldId)]) -> Select<hold::Entity> {
    let pairs = ids.iter().map(|(event, hold)| (event.0, hold.0));
    hold::Entity::find().filter(is_one_of_pairs(backend, ("event_id", "id"), pairs))
}

/// The tickets whose rows name one of these holds, in the order of their ids.
pub fn read_held_tickets(
    backend: DbBackend,
    holds: &[(EventId, HoldId)],
) -> Select<ticket::Entity> {
    let pairs = holds.iter().map(|(event, hold)| (event.0, hold.0));
    ticket::Entity::find()
        .filter(is_one_of_pairs(backend, ("event_id", "hold_id"), pairs))
        // A literal: a plan that is kept cannot use a partial index for a parameter.
        .filter(Expr::cust("status = 'HELD'"))
        .order_by_asc(ticket::Column::Id)
}

/// How many tickets each of these customers owns of the event; no row for none.
pub fn count_owned(backend: DbBackend, customers: &[(EventId, CustomerId)]) -> Statement {
    let (source, values) = customers_source(backend, customers);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, customer_id) AS ({source})
             SELECT wanted.event_id, wanted.customer_id, count(*) AS owned_len
             FROM wanted
             JOIN orders ON orders.event_id = wanted.event_id AND orders.customer_id = wanted.customer_id
                 AND orders.status = 'CONFIRMED'
             JOIN order_items ON order_items.event_id = orders.event_id AND order_items.order_id = orders.id
                 AND order_items.status = 'ACTIVE'
             GROUP BY wanted.event_id, wanted.customer_id"
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
) -> Select<hold::Entity> {
    let pairs = customers
        .iter()
        .map(|(event, customer)| (event.0, customer.0));
    hold::Entity::find()
        .filter(is_one_of_pairs(backend, ("event_id", "customer_id"), pairs))
        .filter(Expr::cust("status = 'ACTIVE'"))
        .filter(hold::Column::HeldUntil.gt(now))
}

fn customers_source(
    backend: DbBackend,
    customers: &[(EventId, CustomerId)],
) -> (String, Vec<Value>) {
    let rows = customers
        .iter()
        .map(|(event, customer)| vec![event.0.into(), customer.0.into()])
        .collect();
    bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows)
}
