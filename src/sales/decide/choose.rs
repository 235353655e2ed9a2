//! Which tickets a want gets.

use super::{
    Refusal, Request, Unserved,
    world::{State, World},
};
use crate::ids::{EventId, TicketId, TicketTypeId};

/// All of the named tickets, or why not. One refused ticket refuses all, whatever is undecided beside it.
pub(super) fn named(
    world: &World<'_>,
    request: &Request<'_>,
    ids: &[TicketId],
) -> Result<Vec<TicketId>, Unserved> {
    let event_id = request.command.event_id;
    let mut refusals = Vec::new();
    let mut undecided = None;
    for &id in ids {
        match world.state((event_id, id)) {
            State::Free => {}
            State::Undecided => undecided = undecided.or(Some(id)),
            State::Sold => refusals.push(Refusal::AlreadySold(id)),
            State::Blocked => refusals.push(Refusal::Blocked(id)),
            State::Unknown => refusals.push(Refusal::UnknownTicket(id)),
            State::Held { hold_id, until } => {
                let holder = world.holder(event_id, hold_id);
                refusals.push(if holder == Some(request.customer_id) {
                    Refusal::HeldByYou {
                        ticket: id,
                        hold_id,
                    }
                } else {
                    Refusal::Held { ticket: id, until }
                });
            }
        }
    }
    if !refusals.is_empty() {
        Err(Unserved::Refused(refusals))
    } else if undecided.is_some() {
        Err(Unserved::Undecided(undecided))
    } else {
        Ok(ids.to_vec())
    }
}

/// Any `quantity` free tickets of a type, or why not.
pub(super) fn any(
    world: &World<'_>,
    ticket_type: (EventId, TicketTypeId),
    quantity: usize,
) -> Result<Vec<TicketId>, Unserved> {
    let facts = world.facts;
    if !facts.ticket_types.contains_key(&ticket_type) {
        return Err(Unserved::Refused(vec![Refusal::UnknownTicketType]));
    }
    let (event_id, ticket_type_id) = ticket_type;
    let is_free = |id: &TicketId| matches!(world.state((event_id, *id)), State::Free);
    let picks = facts.picks.get(&ticket_type);
    let mut chosen: Vec<TicketId> = picks
        .iter()
        .flat_map(|picks| picks.tickets.iter().copied())
        .filter(is_free)
        .take(quantity)
        .collect();
    if chosen.len() < quantity {
        // What others of this batch named was not picked, but is left all the same until they are served.
        let mut named: Vec<TicketId> = facts
            .locked
            .iter()
            .filter(|((event, _), ticket)| {
                *event == event_id && ticket.ticket_type_id == ticket_type_id
            })
            .map(|((_, id), _)| *id)
            .filter(|id| !chosen.contains(id) && is_free(id))
            .collect();
        named.sort_unstable();
        chosen.extend(named.into_iter().take(quantity - chosen.len()));
    }
    if chosen.len() == quantity {
        chosen.sort_unstable();
        return Ok(chosen);
    }
    let contested = picks.map_or(0, |picks| picks.contested.len());
    Err(if chosen.len() + contested < quantity {
        Unserved::Refused(vec![Refusal::NotEnoughLeft { left: chosen.len() }])
    } else {
        Unserved::Undecided(None)
    })
}
