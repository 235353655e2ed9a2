//! Adding numbered seats.

use std::sync::Arc;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
};

use super::{
    Answer, Refusal,
    bulk::{Bulk, NotBegun, TICKETS_PER_EVENT_MAX},
    refused,
    seats::{self, AddSeatsCode, PlacedSeat, SeatRow},
    to_its_end,
};
use crate::{
    auth::Grant,
    entity::{
        event,
        ticket::{Column, Entity},
        ticket_type::{self, Admission},
    },
    fault::{Fault, Step},
    ids::{EventId, TicketId, TicketTypeId},
    store::{Store, dialect::is_one_of_texts},
};

/// Seats that were added.
#[derive(Clone, Debug)]
pub struct SeatsAdded {
    pub ticket_type: ticket_type::Model,
    pub added_len: usize,
}

/// Adds seats of this ticket type, all of them or none.
pub async fn add_seats(
    store: &Arc<Store>,
    grant: &Grant,
    (event_id, ticket_type_id): (EventId, TicketTypeId),
    rows: Vec<SeatRow>,
) -> Answer<SeatsAdded, AddSeatsCode> {
    use AddSeatsCode as Code;
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let seats_len = match seats::check(&rows) {
            Ok(seats_len) => seats_len,
            Err(refusals) => return Ok(Err(refusals)),
        };
        let (bulk, event) = match Bulk::begin(&store, &grant, event_id).await? {
            Ok(begun) => begun,
            Err(NotBegun::UnknownEvent) => {
                return refused(Refusal::unknown_ticket_type(Code::UnknownTicketType));
            }
            Err(NotBegun::Busy) => return refused(Refusal::busy(Code::Busy)),
        };
        let answer = add(&bulk, &event, ticket_type_id, &rows, seats_len).await;
        bulk.end(answer).await
    })
    .await
}

async fn add(
    bulk: &Bulk<'_>,
    event: &event::Model,
    ticket_type_id: TicketTypeId,
    rows: &[SeatRow],
    seats_len: usize,
) -> Answer<SeatsAdded, AddSeatsCode> {
    use AddSeatsCode as Code;
    let Some(ticket_type) = bulk.ticket_type(ticket_type_id).await? else {
        return refused(Refusal::unknown_ticket_type(Code::UnknownTicketType));
    };
    if event.status == event::Status::Cancelled {
        return refused(Refusal::event_cancelled(Code::EventCancelled));
    }
    if ticket_type.admission != Admission::Seated {
        let text = "the ticket type is general admission: set its capacity instead";
        return refused(Refusal::new(Code::NotSeated, text));
    }
    if seats_len > bulk.room().await? {
        let text = format!("an event has at most {TICKETS_PER_EVENT_MAX} tickets");
        return refused(Refusal::at(Code::TooManyTickets, "rows", text));
    }
    let standing = standing(&bulk.db(), event.id, rows).await?;
    let seats = match seats::place(rows, &standing) {
        Ok(seats) => seats,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let seats: Vec<_> = seats
        .into_iter()
        .map(|seat| (TicketId::mint(), seat))
        .collect();
    bulk.insert_seats(ticket_type_id, &seats).await?;
    Ok(Ok(SeatsAdded {
        ticket_type,
        added_len: seats.len(),
    }))
}

/// The event's seats in the sections of the input, whatever their ticket type.
async fn standing(
    db: &impl ConnectionTrait,
    event_id: EventId,
    rows: &[SeatRow],
) -> Result<Vec<PlacedSeat>, Fault> {
    let mut sections: Vec<&str> = rows.iter().map(|row| row.section.as_str()).collect();
    sections.sort_unstable();
    sections.dedup();
    let seats = Entity::find()
        .select_only()
        .columns([
            Column::Section,
            Column::RowLabel,
            Column::SeatLabel,
            Column::RowIndex,
            Column::SeatIndex,
            Column::IsAccessible,
        ])
        .filter(Column::EventId.eq(event_id))
        .filter(is_one_of_texts(
            db.get_database_backend(),
            (Entity, Column::Section),
            sections,
        ))
        .into_model::<Standing>()
        .all(db)
        .await
        .step("reading the seats of sections")?;
    Ok(seats.into_iter().map(Standing::into_seat).collect())
}

/// A seat's columns are never null: the database holds a place whole or not at all.
#[derive(FromQueryResult)]
struct Standing {
    section: String,
    row_label: String,
    seat_label: String,
    row_index: i32,
    seat_index: i32,
    is_accessible: bool,
}

impl Standing {
    fn into_seat(self) -> PlacedSeat {
        PlacedSeat {
            section: self.section,
            row: self.row_label,
            seat: self.seat_label,
            row_index: self.row_index,
            seat_index: self.seat_index,
            is_accessible: self.is_accessible,
        }
    }
}
