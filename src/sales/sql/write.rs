//! The statements that write. Each names its rows by their keys, and the caller counts them.

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement};

use crate::{
    counts::Deltas,
    entity::{customer, hold, idempotency_key, order, order_item},
    ids::{EventId, HoldId, OrderId, TicketId},
    sales::decide::CancelledItem,
    store::bulk::{self, Kind},
};

/// Marks tickets sold.
pub fn mark_sold(backend: DbBackend, tickets: &[(EventId, TicketId)]) -> Statement {
    mark(backend, tickets, "SOLD")
}

/// Lets tickets be bought again.
pub fn mark_available(backend: DbBackend, tickets: &[(EventId, TicketId)]) -> Statement {
    mark(backend, tickets, "AVAILABLE")
}

fn mark(backend: DbBackend, tickets: &[(EventId, TicketId)], status: &'static str) -> Statement {
    let pairs = tickets.iter().map(|(event, id)| (event.0, id.0));
    let (source, values) = pairs_source(backend, pairs);
    Statement::from_sql_and_values(
        backend,
        format!(
            "UPDATE tickets SET status = '{status}', hold_id = NULL, held_until = NULL
             WHERE (event_id, id) IN ({source})"
        ),
        values,
    )
}

/// Gives each ticket to a hold, until then.
pub fn mark_held(
    backend: DbBackend,
    tickets: &[(EventId, TicketId, HoldId, DateTime<Utc>)],
) -> Statement {
    let rows = tickets
        .iter()
        .map(|(event, id, hold, until)| {
            vec![event.0.into(), id.0.into(), hold.0.into(), (*until).into()]
        })
        .collect();
    let kinds = [Kind::Uuid, Kind::Uuid, Kind::Uuid, Kind::Time];
    let (source, values) = bulk::rows_source(backend, &kinds, rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH changed (event_id, id, hold_id, held_until) AS ({source})
             UPDATE tickets SET status = 'HELD', hold_id = changed.hold_id, held_until = changed.held_until
             FROM changed WHERE tickets.event_id = changed.event_id AND tickets.id = changed.id"
        ),
        values,
    )
}

/// Ends items. Their tickets' rows are marked apart.
pub fn cancel_items(backend: DbBackend, items: &[CancelledItem]) -> Statement {
    let rows = items
        .iter()
        .map(|item| {
            vec![
                item.event_id.0.into(),
                item.order_id.0.into(),
                item.id.0.into(),
                item.at.into(),
                item.by.0.into(),
                item.reason.clone().into(),
            ]
        })
        .collect();
    let kinds = [
        Kind::Uuid,
        Kind::Uuid,
        Kind::Uuid,
        Kind::Time,
        Kind::Uuid,
        Kind::TextOrNull,
    ];
    let (source, values) = bulk::rows_source(backend, &kinds, rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH changed (event_id, order_id, id, cancelled_at, cancelled_by, cancel_reason) AS ({source})
             UPDATE order_items SET status = 'CANCELLED', cancelled_at = changed.cancelled_at,
                 cancelled_by = changed.cancelled_by, cancel_reason = changed.cancel_reason
             FROM changed WHERE order_items.event_id = changed.event_id AND order_items.order_id = changed.order_id
                 AND order_items.id = changed.id"
        ),
        values,
    )
}

/// Ends orders of which no item is left.
pub fn cancel_orders(backend: DbBackend, orders: &[(EventId, OrderId)]) -> Statement {
    let pairs = orders.iter().map(|(event, id)| (event.0, id.0));
    let (source, values) = pairs_source(backend, pairs);
    Statement::from_sql_and_values(
        backend,
        format!("UPDATE orders SET status = 'CANCELLED' WHERE (event_id, id) IN ({source})"),
        values,
    )
}

pub fn insert_holds(backend: DbBackend, holds: &[hold::Model]) -> Statement {
    bulk::insert(
        backend,
        "holds",
        &[
            ("event_id", Kind::Uuid),
            ("id", Kind::Uuid),
            ("customer_id", Kind::Uuid),
            ("status", Kind::Text),
            ("held_until", Kind::Time),
            ("extendable_until", Kind::Time),
            ("tickets_len", Kind::Integer),
            ("created_at", Kind::Time),
        ],
        holds
            .iter()
            .map(|hold| {
                vec![
                    hold.event_id.into(),
                    hold.id.into(),
                    hold.customer_id.into(),
                    hold.status.into(),
                    hold.held_until.into(),
                    hold.extendable_until.into(),
                    hold.tickets_len.into(),
                    hold.created_at.into(),
                ]
            })
            .collect(),
    )
}

/// Writes what has changed of holds that have not become orders.
pub fn change_holds(backend: DbBackend, holds: &[&hold::Model]) -> Statement {
    let rows = holds
        .iter()
        .map(|hold| {
            vec![
                hold.event_id.0.into(),
                hold.id.0.into(),
                hold.status.into(),
                hold.held_until.into(),
                hold.tickets_len.into(),
            ]
        })
        .collect();
    let kinds = [
        Kind::Uuid,
        Kind::Uuid,
        Kind::Text,
        Kind::Time,
        Kind::Integer,
    ];
    let (source, values) = bulk::rows_source(backend, &kinds, rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH changed (event_id, id, status, held_until, tickets_len) AS ({source})
             UPDATE holds SET status = changed.status, held_until = changed.held_until,
                 tickets_len = changed.tickets_len
             FROM changed WHERE holds.event_id = changed.event_id AND holds.id = changed.id"
        ),
        values,
    )
}

/// Marks holds purchased, each with the order it became, and with its end: the same batch may have extended it.
pub fn purchase_holds(
    backend: DbBackend,
    holds: &[(EventId, HoldId, DateTime<Utc>, OrderId)],
) -> Statement {
    let rows = holds
        .iter()
        .map(|(event, id, until, order)| {
            vec![event.0.into(), id.0.into(), (*until).into(), order.0.into()]
        })
        .collect();
    let kinds = [Kind::Uuid, Kind::Uuid, Kind::Time, Kind::Uuid];
    let (source, values) = bulk::rows_source(backend, &kinds, rows);
    Statement::from_sql_and_values(
        backend,
        format!(
            "WITH changed (event_id, id, held_until, order_id) AS ({source})
             UPDATE holds SET status = 'PURCHASED', held_until = changed.held_until, order_id = changed.order_id
             FROM changed WHERE holds.event_id = changed.event_id AND holds.id = changed.id"
        ),
        values,
    )
}

fn pairs_source(
    backend: DbBackend,
    pairs: impl Iterator<Item = (uuid::Uuid, uuid::Uuid)>,
) -> (String, Vec<sea_orm::Value>) {
    let rows = pairs.map(|(a, b)| vec![a.into(), b.into()]).collect();
    bulk::rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows)
}

pub fn insert_orders(backend: DbBackend, orders: &[&order::Model]) -> Statement {
    bulk::insert(
        backend,
        "orders",
        &[
            ("event_id", Kind::Uuid),
            ("id", Kind::Uuid),
            ("customer_id", Kind::Uuid),
            ("placed_by", Kind::Uuid),
            ("status", Kind::Text),
            ("total_minor", Kind::BigInt),
            ("currency", Kind::Text),
            ("placed_at", Kind::Time),
        ],
        orders
            .iter()
            .map(|order| {
                vec![
                    order.event_id.into(),
                    order.id.into(),
                    order.customer_id.into(),
                    order.placed_by.into(),
                    order.status.into(),
                    order.total_minor.into(),
                    order.currency.clone().into(),
                    order.placed_at.into(),
                ]
            })
            .collect(),
    )
}

pub fn insert_order_items(backend: DbBackend, items: &[&order_item::Model]) -> Statement {
    bulk::insert(
        backend,
        "order_items",
        &[
            ("event_id", Kind::Uuid),
            ("id", Kind::Uuid),
            ("order_id", Kind::Uuid),
            ("ticket_id", Kind::Uuid),
            ("status", Kind::Text),
            ("unit_price_minor", Kind::BigInt),
            ("currency", Kind::Text),
            ("ticket_type_name", Kind::Text),
            ("seat_label", Kind::TextOrNull),
            ("admission_code", Kind::Text),
        ],
        items
            .iter()
            .map(|item| {
                vec![
                    item.event_id.into(),
                    item.id.into(),
                    item.order_id.into(),
                    item.ticket_id.into(),
                    item.status.into(),
                    item.unit_price_minor.into(),
                    item.currency.clone().into(),
                    item.ticket_type_name.clone().into(),
                    item.seat_label.clone().into(),
                    item.admission_code.clone().into(),
                ]
            })
            .collect(),
    )
}

pub fn insert_keys(backend: DbBackend, keys: &[idempotency_key::Model]) -> Statement {
    bulk::insert(
        backend,
        "idempotency_keys",
        &[
            ("event_id", Kind::Uuid),
            ("customer_id", Kind::Uuid),
            ("key", Kind::Text),
            ("kind", Kind::Text),
            ("fingerprint", Kind::Bytes),
            ("result_id", Kind::Uuid),
            ("created_at", Kind::Time),
        ],
        keys.iter()
            .map(|key| {
                vec![
                    key.event_id.into(),
                    key.customer_id.into(),
                    key.key.clone().into(),
                    key.kind.clone().into(),
                    key.fingerprint.clone().into(),
                    key.result_id.into(),
                    key.created_at.into(),
                ]
            })
            .collect(),
    )
}

/// Appends what a batch changes in the counts of tickets, a row for each type.
pub fn append_deltas(backend: DbBackend, deltas: &Deltas) -> Statement {
    deltas.append(backend)
}

/// Gives each account that has no id yet the id beside it. A statement of its own, outside the sale: a unique index makes
/// an insert wait for whoever inserts the same row, and that must not happen while a sale holds its locks.
pub fn insert_customers(
    backend: DbBackend,
    customers: impl Iterator<Item = customer::Model>,
) -> Statement {
    let mut statement = bulk::insert(
        backend,
        "customers",
        &[
            ("id", Kind::Uuid),
            ("issuer", Kind::Text),
            ("subject", Kind::Text),
            ("created_at", Kind::Time),
        ],
        customers
            .map(|customer| {
                vec![
                    customer.id.into(),
                    customer.issuer.into(),
                    customer.subject.into(),
                    customer.created_at.into(),
                ]
            })
            .collect(),
    );
    // Without a WHERE, SQLite would read the ON of the conflict clause as a join's.
    statement
        .sql
        .push_str(" WHERE true ON CONFLICT (issuer, subject) DO NOTHING");
    statement
}
