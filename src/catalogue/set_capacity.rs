//! Setting how many general-admission tickets a ticket type has.

use std::{iter::repeat_with, sync::Arc};

use super::{
    Answer, Refusal,
    bulk::{Bulk, NotBegun, TICKETS_PER_EVENT_MAX},
    bulk_sql as sql, refused, ticket_types, to_its_end,
};
use crate::{
    auth::Grant,
    entity::{
        event,
        ticket_type::{self, Admission},
    },
    ids::{EventId, TicketId, TicketTypeId},
    store::Store,
};

/// Why a capacity is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetCapacityCode {
    UnknownTicketType,
    EventCancelled,
    NotGeneral,
    InvalidCapacity,
    TooManyTickets,
    BelowSold,
    Busy,
}

/// Sets the number of the ticket type's tickets. It names the total, so that a repeat changes nothing; tickets that are
/// sold, held or blocked are never removed.
pub async fn set_capacity(
    store: &Arc<Store>,
    grant: &Grant,
    (event_id, ticket_type_id): (EventId, TicketTypeId),
    capacity: i64,
) -> Answer<ticket_type::Model, SetCapacityCode> {
    use SetCapacityCode as Code;
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        if capacity < 0 {
            let text = "a capacity is 0 or more";
            return refused(Refusal::at(Code::InvalidCapacity, "capacity", text));
        }
        let (mut bulk, event) = match Bulk::begin(&store, &grant, event_id).await? {
            Ok(begun) => begun,
            Err(NotBegun::UnknownEvent) => {
                return refused(Refusal::unknown_ticket_type(Code::UnknownTicketType));
            }
            Err(NotBegun::Busy) => return refused(Refusal::busy(Code::Busy)),
        };
        let answer = set(&mut bulk, &event, ticket_type_id, capacity).await;
        bulk.end(answer).await
    })
    .await
}

async fn set(
    bulk: &mut Bulk<'_>,
    event: &event::Model,
    ticket_type_id: TicketTypeId,
    capacity: i64,
) -> Answer<ticket_type::Model, SetCapacityCode> {
    use SetCapacityCode as Code;
    let Some(ticket_type) = bulk.ticket_type(ticket_type_id).await? else {
        return refused(Refusal::unknown_ticket_type(Code::UnknownTicketType));
    };
    if event.status == event::Status::Cancelled {
        return refused(Refusal::event_cancelled(Code::EventCancelled));
    }
    if ticket_type.admission != Admission::General {
        let text = "the ticket type has numbered seats: add or remove them instead";
        return refused(Refusal::new(Code::NotGeneral, text));
    }
    let count = ticket_types::count(&bulk.db(), (event.id, ticket_type_id)).await?;
    // The event is held against every other write that adds or removes: the total stays while this one runs.
    let more = capacity - count.total();
    if more > 0 {
        let room = bulk.room().await?;
        match usize::try_from(more) {
            Ok(more) if more <= room => {
                let ids: Vec<_> = repeat_with(TicketId::mint).take(more).collect();
                bulk.insert_places(ticket_type_id, &ids).await?;
            }
            Ok(_) | Err(_) => {
                let text = format!("an event has at most {TICKETS_PER_EVENT_MAX} tickets");
                return refused(Refusal::at(Code::TooManyTickets, "capacity", text));
            }
        }
    } else if more < 0 {
        let fewer = -more;
        if fewer > count.available {
            return refused(below_sold(count.total() - count.available));
        }
        let free = sql::free_of_type(&bulk.db(), event.id, ticket_type_id, fewer).await?;
        let is_all = |len: usize| i64::try_from(len).is_ok_and(|len| len == fewer);
        // Tickets that a buyer is at, or that were sold once, are counted as available but cannot go.
        if !is_all(free.len()) || !is_all(bulk.remove(&free).await?) {
            let text = "tickets to be removed are being bought, or were sold before: try again, or remove fewer";
            return refused(Refusal::at(Code::Busy, "capacity", text));
        }
    }
    Ok(Ok(ticket_type))
}

fn below_sold(len: i64) -> Refusal<SetCapacityCode> {
    let text = format!("{len} tickets are sold, held or blocked");
    Refusal::at(SetCapacityCode::BelowSold, "capacity", text)
}
