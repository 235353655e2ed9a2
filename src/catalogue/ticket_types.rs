//! Reading ticket types and how many of their tickets are left.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    Statement, Value,
};

use super::{
    events::visible_ids,
    phrases::{effective_status, effective_status_at},
};
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
        dialect::{is_one_of, uuid_list},
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
    let backend = store.backend();
    let (events, ids) = (
        keys.iter().map(|(event, _)| event.0),
        keys.iter().map(|(_, id)| id.0),
    );
    let mut rows = Entity::find()
        .filter(is_one_of(backend, (Entity, Column::EventId), events))
        .filter(is_one_of(backend, (Entity, Column::Id), ids))
        .filter(Column::EventId.in_subquery(visible_ids(caller)))
        .all(store.reader())
        .await
        .step("reading ticket types by id")?;
    // The statement takes events and ids apart; an id under another event's name is not found.
    rows.retain(|row| keys.contains(&(row.event_id, row.id)));
    Ok(rows)
}

/// How many tickets of each ticket type there are; a ticket type without tickets is not in the answer. It is for ticket
/// types that the caller was already shown.
pub async fn availability(
    store: &Store,
    keys: &[(EventId, TicketTypeId)],
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    count(store.reader(), keys).await
}

/// The same on a connection of the caller's, as inside a transaction.
pub(super) async fn count(
    db: &impl ConnectionTrait,
    keys: &[(EventId, TicketTypeId)],
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let status = effective_status(db.get_database_backend());
    count_by(db, keys, &status, None).await
}

/// The same on a connection of the caller's, as it is at this time: for the audit, which asks the clock once.
pub async fn availability_at(
    db: &impl ConnectionTrait,
    keys: &[(EventId, TicketTypeId)],
    now: DateTime<Utc>,
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    count_by(db, keys, &effective_status_at("$3"), Some(now)).await
}

async fn count_by(
    db: &impl ConnectionTrait,
    keys: &[(EventId, TicketTypeId)],
    status: &str,
    now: Option<DateTime<Utc>>,
) -> Result<HashMap<(EventId, TicketTypeId), Availability>, Fault> {
    let backend = db.get_database_backend();
    let mut values = vec![
        uuid_list(backend, keys.iter().map(|(event, _)| event.0)),
        uuid_list(backend, keys.iter().map(|(_, id)| id.0)),
    ];
    values.extend(now.map(Value::from));
    let (events, types, shown) = match backend {
        DbBackend::Postgres => ("= ANY($1)", "= ANY($2)", "TRUE"),
        _ => (
            "IN (SELECT unhex(value) FROM json_each($1))",
            "IN (SELECT unhex(value) FROM json_each($2))",
            IS_SHOWN_SQLITE,
        ),
    };
    let counts = Count::find_by_statement(Statement::from_sql_and_values(
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
                WHERE event_id {events} AND ticket_type_id {types} AND {shown}
            ) AS shown
            GROUP BY event_id, ticket_type_id"
        ),
        values,
    ))
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
