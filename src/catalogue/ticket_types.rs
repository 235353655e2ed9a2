//! Reading ticket types and how many of their tickets are left.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    Statement,
};

use super::{events::visible_ids, phrases::effective_status};
use crate::{
    auth::Caller,
    entity::{
        ticket_import::IS_SHOWN_SQLITE,
        ticket_type::{self, Column, Entity},
    },
    fault::{Fault, Step},
    ids::{EventId, TicketTypeId},
    store::{
        Store,
        bulk::{Kind, is_one_of_pairs, rows_source},
        dialect::{clock, is_one_of},
    },
};

/// How many tickets of a ticket type there are, by what they are now. A hold that is over counts as available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    pub available: i64,
    pub held: i64,
    pub sold: i64,
    pub blocked: i64,
}

impl Availability {
    pub fn total(&self) -> i64 {
        self.available + self.held + self.sold + self.blocked
    }
}

/// The ticket types of the events that the caller may see, each event's in its own order.
pub async fn ticket_types_of_events(
    store: &Store,
    caller: &Caller,
    event_ids: &[EventId],
) -> Result<Vec<ticket_type::Model>, Fault> {
    Entity::find()
        .filter(is_one_of(
            store.backend(),
            (Entity, Column::EventId),
            event_ids.iter().map(|id| id.0),
        ))
        .filter(Column::EventId.in_subquery(visible_ids(caller)))
        .order_by_asc(Column::Position)
        .order_by_asc(Column::Id)
        .all(store.reader())
        .await
        .step("reading the ticket types of events")
}

/// The ticket types with these ids that the caller may see, in no order.
pub async fn ticket_types_by_ids(
    store: &Store,
    caller: &Caller,
    keys: &[(EventId, TicketTypeId)],
) -> Result<Vec<ticket_type::Model>, Fault> {
    let pairs = keys.iter().map(|(event, id)| (event.0, id.0));
    Entity::find()
        .filter(is_one_of_pairs(
            store.backend(),
            ("ticket_types.event_id", "ticket_types.id"),
            pairs,
        ))
        .filter(Column::EventId.in_subquery(visible_ids(caller)))
        .all(store.reader())
        .await
        .step("reading ticket types by id")
}

/// How many tickets of each ticket type there are; a ticket type without tickets may not be in the answer. It is for ticket
/// types that the caller was already shown. No key may be named twice.
pub async fn availability(
    store: &Store,
    keys: &[(EventId, TicketTypeId)],
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let wanted = Wanted::types(store.backend(), keys);
    read(store.reader(), wanted, None).await
}

/// The same for all ticket types of these events, each named once: for whoever reads the types at the same time, and tells
/// of none that the caller may not see.
pub async fn availability_of_events(
    store: &Store,
    event_ids: &[EventId],
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let wanted = Wanted::types_of_events(store.backend(), event_ids);
    read(store.reader(), wanted, None).await
}

/// The same on a connection of the caller's, as it is at this time: for the audit, which asks the clock once.
pub async fn availability_at(
    db: &impl ConnectionTrait,
    keys: &[(EventId, TicketTypeId)],
    now: DateTime<Utc>,
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let wanted = Wanted::types(db.get_database_backend(), keys);
    read(db, wanted, Some(now)).await
}

/// A statement of the types that are wanted, as `event_id` and `ticket_type_id`, and its values.
struct Wanted {
    source: String,
    values: Vec<sea_orm::Value>,
}

impl Wanted {
    fn types(backend: DbBackend, keys: &[(EventId, TicketTypeId)]) -> Self {
        let rows = keys
            .iter()
            .map(|(event, ticket_type)| vec![event.0.into(), ticket_type.0.into()])
            .collect();
        let (source, values) = rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows);
        Self { source, values }
    }

    fn types_of_events(backend: DbBackend, event_ids: &[EventId]) -> Self {
        let rows = event_ids.iter().map(|id| vec![id.0.into()]).collect();
        let (events, values) = rows_source(backend, &[Kind::Uuid], rows);
        let source = format!(
            "SELECT ticket_types.event_id, ticket_types.id
            FROM ticket_types JOIN (WITH events (id) AS ({events}) SELECT id FROM events) AS of
                ON ticket_types.event_id = of.id"
        );
        Self { source, values }
    }
}

/// What is kept of each type, and the holds that are over and not tidied yet. In one statement, and so in one snapshot: a
/// delta that is folded meanwhile is neither missed nor added twice. What it costs does not depend on how many tickets
/// there are.
async fn read(
    db: &impl ConnectionTrait,
    Wanted { source, mut values }: Wanted,
    now: Option<DateTime<Utc>>,
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let backend = db.get_database_backend();
    let now = match now {
        None => clock(backend).to_owned(),
        Some(now) => {
            values.push(now.into());
            match backend {
                DbBackend::Postgres => format!("${}", values.len()),
                _ => format!("?{}", values.len()),
            }
        }
    };
    let parts = [
        kept("ticket_counts", backend),
        kept("ticket_count_deltas", backend),
        over(backend, &now),
    ]
    .join(" UNION ALL ");
    let statement = Statement::from_sql_and_values(
        backend,
        format!(
            "WITH wanted (event_id, ticket_type_id) AS ({source})
            SELECT event_id, ticket_type_id,
                CAST(SUM(available) AS BIGINT) AS available, CAST(SUM(held) AS BIGINT) AS held,
                CAST(SUM(sold) AS BIGINT) AS sold, CAST(SUM(blocked) AS BIGINT) AS blocked
            FROM ({parts}) AS parts
            GROUP BY event_id, ticket_type_id"
        ),
        values,
    );
    counts(db, statement).await
}

/// What a table keeps of the wanted types. On PostgreSQL one look into its index for each: the planner does not turn it
/// into a walk through all of the table.
fn kept(table: &str, backend: DbBackend) -> String {
    let columns = "wanted.event_id, wanted.ticket_type_id, available, held, sold, blocked";
    let of_type = format!(
        "{table}.event_id = wanted.event_id AND {table}.ticket_type_id = wanted.ticket_type_id"
    );
    match backend {
        DbBackend::Postgres => format!(
            "SELECT {columns} FROM wanted CROSS JOIN LATERAL (
                SELECT CAST(SUM(available) AS BIGINT) AS available, CAST(SUM(held) AS BIGINT) AS held,
                    CAST(SUM(sold) AS BIGINT) AS sold, CAST(SUM(blocked) AS BIGINT) AS blocked
                FROM {table} WHERE {of_type}
            ) AS kept"
        ),
        _ => format!("SELECT {columns} FROM wanted CROSS JOIN {table} WHERE {of_type}"),
    }
}

/// Holds that are over are kept as held, and are available.
fn over(backend: DbBackend, now: &str) -> String {
    let shown = match backend {
        DbBackend::Postgres => "TRUE",
        _ => IS_SHOWN_SQLITE,
    };
    // The status is a literal, so that the index of held tickets serves it.
    format!(
        "SELECT event_id, ticket_type_id, len AS available, -len AS held, 0 AS sold, 0 AS blocked FROM (
            SELECT wanted.event_id, wanted.ticket_type_id, (
                SELECT COUNT(*) FROM tickets
                WHERE tickets.event_id = wanted.event_id AND tickets.ticket_type_id = wanted.ticket_type_id
                    AND tickets.status = 'HELD' AND tickets.held_until <= {now} AND {shown}
            ) AS len FROM wanted
        ) AS over"
    )
}

/// How many tickets a type has, by its rows: for whoever adds to them or removes some, on a connection of their own.
pub(super) async fn count(
    db: &impl ConnectionTrait,
    (event_id, ticket_type_id): (EventId, TicketTypeId),
) -> Result<Availability, Fault> {
    let backend = db.get_database_backend();
    let status = effective_status(backend);
    let shown = match backend {
        DbBackend::Postgres => "TRUE",
        _ => IS_SHOWN_SQLITE,
    };
    let statement = Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT event_id, ticket_type_id,
                COUNT(*) FILTER (WHERE status = 'AVAILABLE') AS available,
                COUNT(*) FILTER (WHERE status = 'HELD') AS held,
                COUNT(*) FILTER (WHERE status = 'SOLD') AS sold,
                COUNT(*) FILTER (WHERE status = 'BLOCKED') AS blocked
            FROM (
                SELECT event_id, ticket_type_id, {status} AS status
                FROM tickets
                WHERE event_id = $1 AND ticket_type_id = $2 AND {shown}
            ) AS shown
            GROUP BY event_id, ticket_type_id"
        ),
        [event_id.0.into(), ticket_type_id.0.into()],
    );
    let counts = counts(db, statement).await?;
    Ok(counts
        .get(&(event_id, ticket_type_id))
        .copied()
        .unwrap_or_default())
}

async fn counts(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let counts = Count::find_by_statement(statement)
        .all(db)
        .await
        .step("counting tickets")?;
    Ok(counts.into_iter().map(Count::into_entry).collect())
}

#[derive(FromQueryResult)]
struct Count {
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    available: i64,
    held: i64,
    sold: i64,
    blocked: i64,
}

impl Count {
    fn into_entry(self) -> ((EventId, TicketTypeId), Availability) {
        (
            (self.event_id, self.ticket_type_id),
            Availability {
                available: self.available,
                held: self.held,
                sold: self.sold,
                blocked: self.blocked,
            },
        )
    }
}
