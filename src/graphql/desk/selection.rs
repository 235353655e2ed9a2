//! Which tickets or items a mutation is about: ids as clients send them, each refused at its own place.

use async_graphql::{ID, InputObject, OneofObject};

use super::{
    reasons::Reason,
    refusal::{
        Fields, Subject, malformed, mixed_events, not_in_hold, unknown_item, unknown_ticket,
        unknown_ticket_type,
    },
};
use crate::{
    graphql::global_id::GlobalId,
    ids::{EventId, OrderItemId, TicketId},
    sales::{Malformed, Want, command::TICKETS_PER_ORDER_MAX},
};

/// Tickets by their ids, or any of a type.
#[derive(OneofObject)]
pub enum TicketSelection {
    /// These tickets, all of one event, each once.
    Ids(Vec<ID>),
    /// So many of a type, whichever they are.
    AnyOf(AnyOfInput),
}

/// Any tickets of a type.
#[derive(InputObject)]
pub struct AnyOfInput {
    /// The ticket type.
    pub ticket_type_id: ID,
    /// How many.
    pub quantity: i32,
}

impl TicketSelection {
    pub fn read(&self) -> Result<(EventId, Want, Fields), Vec<Reason>> {
        match self {
            Self::Ids(ids) => read_tickets(ids),
            Self::AnyOf(any) => read_any_of(any),
        }
    }
}

fn read_any_of(any: &AnyOfInput) -> Result<(EventId, Want, Fields), Vec<Reason>> {
    let id = GlobalId::decode(&any.ticket_type_id).and_then(GlobalId::ticket_type);
    let Some((event_id, ticket_type_id)) = id else {
        return Err(vec![unknown_ticket_type()]);
    };
    let want = Want::AnyOf {
        ticket_type_id,
        // None can be had of a negative quantity, as of zero.
        quantity: usize::try_from(any.quantity).unwrap_or(0),
    };
    Ok((event_id, want, Fields::new(Subject::AnyOf)))
}

fn read_tickets(ids: &[ID]) -> Result<(EventId, Want, Fields), Vec<Reason>> {
    let subject = Subject::Tickets;
    let tickets = read_ids(ids, subject, unknown_ticket, GlobalId::ticket)?;
    let Some(&(event_id, _)) = tickets.first() else {
        return Err(vec![malformed(Malformed::Nothing, &Fields::new(subject))]);
    };
    if let Some(index) = tickets.iter().position(|(event, _)| *event != event_id) {
        return Err(vec![mixed_events(subject.field_at(index))]);
    }
    let tickets: Vec<TicketId> = tickets.into_iter().map(|(_, id)| id).collect();
    let want = Want::Tickets(tickets.clone());
    Ok((event_id, want, Fields::of_tickets(subject, tickets)))
}

/// Some tickets of a hold of this event.
pub fn read_held(ids: &[ID], hold_event: EventId) -> Result<Vec<TicketId>, Vec<Reason>> {
    let subject = Subject::TicketsOfHold;
    let tickets = read_ids(ids, subject, unknown_ticket, GlobalId::ticket)?;
    of_event(tickets, hold_event, subject, not_in_hold)
}

/// Some items of an order of this event.
pub fn read_items(ids: &[ID], order_event: EventId) -> Result<Vec<OrderItemId>, Vec<Reason>> {
    let subject = Subject::ItemsOfOrder;
    let items = read_ids(ids, subject, unknown_item, GlobalId::order_item)?;
    of_event(items, order_event, subject, unknown_item)
}

/// The ids, if each is of the kind that `kind` reads.
fn read_ids<T>(
    ids: &[ID],
    subject: Subject,
    unknown: impl Fn(Option<String>) -> Reason,
    kind: impl Fn(GlobalId) -> Option<T>,
) -> Result<Vec<T>, Vec<Reason>> {
    // Checked before the ids are read: a megabyte of them would be work for nothing.
    if ids.len() > TICKETS_PER_ORDER_MAX {
        return Err(vec![malformed(Malformed::TooMany, &Fields::new(subject))]);
    }
    let (mut known, mut refused) = (Vec::with_capacity(ids.len()), Vec::new());
    for (index, id) in ids.iter().enumerate() {
        match GlobalId::decode(id).and_then(&kind) {
            Some(id) => known.push(id),
            None => refused.push(unknown(Some(subject.field_at(index)))),
        }
    }
    if refused.is_empty() {
        Ok(known)
    } else {
        Err(refused)
    }
}

fn of_event<T>(
    ids: Vec<(EventId, T)>,
    event_id: EventId,
    subject: Subject,
    foreign: impl Fn(Option<String>) -> Reason,
) -> Result<Vec<T>, Vec<Reason>> {
    let refused: Vec<Reason> = ids
        .iter()
        .enumerate()
        .filter(|(_, (event, _))| *event != event_id)
        .map(|(index, _)| foreign(Some(subject.field_at(index))))
        .collect();
    if refused.is_empty() {
        Ok(ids.into_iter().map(|(_, id)| id).collect())
    } else {
        Err(refused)
    }
}
