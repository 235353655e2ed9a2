//! What the rules need to know besides the tickets' rows.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, Select,
    Statement, Value,
};
use uuid::Uuid;

use super::together::Read;
use crate::{
    entity::{event, hold, order, order_item},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId, TicketTypeId},
    sales::{command::TICKETS_PER_ORDER_MAX, decide::HeldTickets},
    store::{
        bulk::{self, Kind, is_one_of_pairs},
        dialect::clock,
    },
};

/// The time and the catalogue's revision, which is another one after each change of an event or a ticket type. One row.
///
/// Read after the last lock: `clock_timestamp()` is the time of the statement, where `now()` would be the time at which the
/// transaction began, before it waited. For PostgreSQL: SQLite has no revision, and a look into its file costs no round trip.
pub fn read_revision() -> Read {
    let now = clock(DbBackend::Postgres);
    let sql = format!("SELECT {now} AS now, {REVISION} AS revision");
    Read {
        statement: Statement::from_string(DbBackend::Postgres, sql),
        columns: "now, revision",
    }
}

#[derive(FromQueryResult)]
pub struct RevisionRow {
    pub now: DateTime<Utc>,
    /// None where somebody has taken it away.
    pub revision: Option<Uuid>,
}

const REVISION: &str = "(SELECT revision FROM catalogue_revision WHERE is_only)";

/// The time and the revision as in [`read_revision`], and of these events, each with one of its types or without one, what
/// exists. There is a row in any case.
pub fn read_catalogue(backend: DbBackend, wanted: &[(EventId, Option<TicketTypeId>)]) -> Read {
    let rows = wanted.iter().map(|(event, ticket_type)| {
        // No type has the nil id, and the driver's arrays have no nulls.
        let ticket_type = ticket_type.map_or(Uuid::nil(), |id| id.0);
        (event.0, ticket_type)
    });
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], pairs(rows));
    let now = clock(backend);
    let revision = match backend {
        DbBackend::Postgres => REVISION,
        _ => "NULL",
    };
    // One look into each index, whatever the planner knows, as in [`look_up`].
    let one_of = |table: &str, condition: &str| match backend {
        DbBackend::Postgres => {
            format!("LATERAL (SELECT * FROM {table} WHERE {condition} LIMIT 1) AS {table} ON TRUE")
        }
        _ => format!("{table} ON {condition}"),
    };
    let events = one_of("events", "events.id = wanted.event_id");
    let types = one_of(
        "ticket_types",
        "ticket_types.event_id = wanted.event_id AND ticket_types.id = wanted.ticket_type_id",
    );
    let statement = Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, ticket_type_id) AS ({source})
             SELECT catalogue.now, catalogue.revision, events.id, events.status, events.currency, events.sales_open_at,
                 events.sales_close_at, events.tickets_per_order_max, events.tickets_per_customer_max,
                 events.held_per_customer_max, events.hold_secs, events.hold_secs_max, events.cancellable_until,
                 ticket_types.id AS ticket_type_id, ticket_types.name AS ticket_type_name, ticket_types.price_minor
             FROM (SELECT {now} AS now, {revision} AS revision) AS catalogue
             LEFT JOIN wanted ON TRUE
             LEFT JOIN {events} LEFT JOIN {types}"
        ),
        values,
    );
    Read {
        statement,
        columns: "now, revision, id, status, currency, sales_open_at, sales_close_at, tickets_per_order_max, \
                  tickets_per_customer_max, held_per_customer_max, hold_secs, hold_secs_max, cancellable_until, ticket_type_id, \
                  ticket_type_name, price_minor",
    }
}

#[derive(FromQueryResult)]
pub struct CatalogueRow {
    pub now: DateTime<Utc>,
    /// Another one after each change of an event or a ticket type; none where that is not kept.
    pub revision: Option<Uuid>,
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
    /// None of these where no type was wanted, or none has the id.
    pub ticket_type_id: Option<TicketTypeId>,
    pub ticket_type_name: Option<String>,
    pub price_minor: Option<i64>,
}

/// Rows of a table by an index of it: for each of `rows`, up to `limit` whose `keys` equal it and that meet `condition`.
///
/// On PostgreSQL one look into the index for each, whatever the planner knows of the table: at the beginning of an on-sale
/// it knows of an empty one, would read it from end to end, and keep that plan while the table grows. `LIMIT` binds it to
/// the order of the text.
fn look_up(
    backend: DbBackend,
    (table, columns): (&str, &'static str),
    keys: &[(&str, Kind)],
    rows: Vec<Vec<Value>>,
    (condition, limit): (&str, usize),
) -> Read {
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
    Read {
        statement: Statement::from_sql_and_values(backend, sql, values),
        columns,
    }
}

/// The idempotency keys of these that are bound.
pub fn read_keys(backend: DbBackend, keys: &[(EventId, CustomerId, String)]) -> Read {
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

/// Holds as they stand now: the time, and each hold once for each ticket that names it, or once without one, in the order
/// of their ids. In a single statement, so that a ticket that is given back meanwhile is not missed.
pub fn read_holds(backend: DbBackend, ids: &[(EventId, HoldId)]) -> Read {
    let ids = pairs(ids.iter().map(|(event, hold)| (event.0, hold.0)));
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], ids);
    let now = clock(backend);
    let hold = "holds.event_id = wanted.event_id AND holds.id = wanted.id";
    // No status: with one, PostgreSQL may look among all that are held, see the migration's `m0013_tickets_of_hold`.
    let held = "tickets.event_id = wanted.event_id AND tickets.hold_id = wanted.id";
    let tables = match backend {
        // One look into each index, whatever the planner knows, as in [`look_up`].
        DbBackend::Postgres => format!(
            "CROSS JOIN LATERAL (SELECT {HOLD_COLUMNS} FROM holds WHERE {hold} LIMIT 1) AS holds
             LEFT JOIN LATERAL (
                 SELECT id FROM tickets WHERE {held} LIMIT {TICKETS_PER_ORDER_MAX}
             ) AS tickets ON TRUE"
        ),
        _ => format!("JOIN holds ON {hold} LEFT JOIN tickets ON {held}"),
    };
    let statement = Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, id) AS ({source})
             SELECT {now} AS as_of, holds.event_id, holds.id, holds.customer_id, holds.status, holds.held_until,
                 holds.extendable_until, holds.tickets_len, holds.order_id, holds.created_at, tickets.id AS ticket_id
             FROM wanted {tables}
             ORDER BY holds.id, tickets.id"
        ),
        values,
    );
    Read {
        statement,
        columns: "as_of, event_id, id, customer_id, status, held_until, extendable_until, tickets_len, order_id, created_at, \
                  ticket_id",
    }
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

/// How many tickets each of these customers owns of the event. Counted for one after the other, and for each one's orders, as
/// in [`look_up`]: joined, SQLite would begin with all items of the event.
pub fn count_owned(backend: DbBackend, customers: &[(EventId, CustomerId)]) -> Read {
    let rows = pairs(
        customers
            .iter()
            .map(|(event, customer)| (event.0, customer.0)),
    );
    let (source, values) = bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows);
    let statement = Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, customer_id) AS ({source})
             SELECT wanted.event_id, wanted.customer_id, (
                 SELECT CAST(COALESCE(SUM((
                     SELECT count(*) FROM order_items
                     WHERE order_items.event_id = orders.event_id AND order_items.order_id = orders.id
                         AND order_items.status = 'ACTIVE'
                 )), 0) AS BIGINT) FROM orders
                 WHERE orders.event_id = wanted.event_id AND orders.customer_id = wanted.customer_id
                     AND orders.status = 'CONFIRMED'
             ) AS owned_len
             FROM wanted"
        ),
        values,
    );
    Read {
        statement,
        columns: "event_id, customer_id, owned_len",
    }
}

#[derive(FromQueryResult)]
pub struct OwnedRow {
    pub event_id: EventId,
    pub customer_id: CustomerId,
    pub owned_len: i64,
}

/// The holds of these customers that are alive when this is read, which is before the time by which they are judged. That
/// time itself may be an earlier batch's here, long ago: a customer may have had more holds since than are read at once.
pub fn read_live_holds(backend: DbBackend, customers: &[(EventId, CustomerId)]) -> Read {
    let now = match backend {
        // Unlike the clock's own, it can be looked up in an index.
        DbBackend::Postgres => "statement_timestamp()",
        _ => clock(backend),
    };
    look_up(
        backend,
        ("holds", HOLD_COLUMNS),
        &[("event_id", Kind::Uuid), ("customer_id", Kind::Uuid)],
        pairs(
            customers
                .iter()
                .map(|(event, customer)| (event.0, customer.0)),
        ),
        (
            &format!("status = 'ACTIVE' AND held_until > {now}"),
            HOLDS_PER_CUSTOMER_MAX,
        ),
    )
}

/// A hold has a ticket at least, and no event allows more than a thousand held tickets.
const HOLDS_PER_CUSTOMER_MAX: usize = 1_000;

fn pairs(ids: impl Iterator<Item = (Uuid, Uuid)>) -> Vec<Vec<Value>> {
    ids.map(|(first, second)| vec![first.into(), second.into()])
        .collect()
}
