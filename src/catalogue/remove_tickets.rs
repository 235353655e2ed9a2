//! Removing tickets that nobody has and nobody ever had.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Answer, Refusal,
    bulk::{Bulk, NotBegun},
    bulk_sql as sql, refused, to_its_end,
};
use crate::{
    auth::Grant,
    entity::event,
    fault::Fault,
    ids::{EventId, TicketId},
    store::Store,
};

/// The rows are locked while they are looked at, and buyers may want them.
pub const TICKETS_PER_REMOVAL_MAX: usize = 1_000;

/// Why tickets are not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveTicketsCode {
    UnknownEvent,
    EventCancelled,
    UnknownTicket,
    NoTickets,
    TooManyTickets,
    SoldOrHeld,
    WasSold,
    Busy,
}

/// Removes tickets of one event, all of them or none. How many they were.
///
/// A ticket that is none here (no id of a ticket of this event) is given as none, and refused by its place.
pub async fn remove_tickets(
    store: &Arc<Store>,
    grant: &Grant,
    event_id: EventId,
    tickets: Vec<Option<TicketId>>,
) -> Answer<usize, RemoveTicketsCode> {
    use RemoveTicketsCode as Code;
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        if tickets.is_empty() {
            let text = "there is no ticket to remove";
            return refused(Refusal::at(Code::NoTickets, "ticketIds", text));
        }
        if tickets.len() > TICKETS_PER_REMOVAL_MAX {
            let text = format!("at most {TICKETS_PER_REMOVAL_MAX} tickets are removed at once");
            return refused(Refusal::at(Code::TooManyTickets, "ticketIds", text));
        }
        let (mut bulk, event) = match Bulk::begin(&store, &grant, event_id).await? {
            Ok(begun) => begun,
            Err(NotBegun::UnknownEvent) => {
                return refused(Refusal::unknown_event(Code::UnknownEvent));
            }
            Err(NotBegun::Busy) => return refused(Refusal::busy(Code::Busy)),
        };
        let answer = remove(&mut bulk, &event, &tickets).await;
        bulk.end(answer).await
    })
    .await
}

async fn remove(
    bulk: &mut Bulk<'_>,
    event: &event::Model,
    tickets: &[Option<TicketId>],
) -> Answer<usize, RemoveTicketsCode> {
    if event.status == event::Status::Cancelled {
        let code = RemoveTicketsCode::EventCancelled;
        return refused(Refusal::event_cancelled(code));
    }
    let wanted: HashSet<TicketId> = tickets.iter().flatten().copied().collect();
    let wanted: Vec<TicketId> = wanted.into_iter().collect();
    let found = match sql::candidates(&bulk.db(), event.id, &wanted).await {
        Ok(found) => found,
        Err(fault) if sql::is_lock_timeout(&fault) => return busy(),
        Err(fault) => return Err(fault),
    };
    let found = found
        .into_iter()
        .map(|ticket| (ticket.id, ticket))
        .collect();
    let refusals = judge(tickets, &found);
    if !refusals.is_empty() {
        return Ok(Err(refusals));
    }
    if bulk.remove(&wanted).await? < wanted.len() {
        return busy();
    }
    Ok(Ok(wanted.len()))
}

fn judge(
    tickets: &[Option<TicketId>],
    found: &HashMap<TicketId, sql::Candidate>,
) -> Vec<Refusal<RemoveTicketsCode>> {
    use RemoveTicketsCode as Code;
    let judged = tickets.iter().enumerate().filter_map(|(n, id)| {
        let (code, text) = match id.and_then(|id| found.get(&id)) {
            None => (Code::UnknownTicket, "there is no such ticket of this event"),
            Some(ticket) if !ticket.is_unsold => (Code::SoldOrHeld, "the ticket is sold or held"),
            Some(ticket) if ticket.was_ordered => (
                Code::WasSold,
                "the ticket was sold before, and its order refers to it",
            ),
            Some(_) => return None,
        };
        Some(Refusal::at(code, format!("ticketIds.{n}"), text))
    });
    judged.collect()
}

fn busy() -> Result<Result<usize, Vec<Refusal<RemoveTicketsCode>>>, Fault> {
    let text = "buyers are at these tickets right now: try again";
    refused(Refusal::at(RemoveTicketsCode::Busy, "ticketIds", text))
}
