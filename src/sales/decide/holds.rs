//! Holds: taking, extending, giving back and buying them.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    EventFacts, HeldTickets, HoldEnd, Refusal, Request, Unserved, Verdict, chosen, event_on_sale,
    orders, published_event, within_order,
    world::{State, World, len},
};
use crate::{
    entity::hold,
    ids::{HoldId, TicketId},
    sales::{command::Want, minted::Minted},
};

pub(super) fn hold(
    world: &World<'_>,
    request: &Request<'_>,
    want: &Want,
    minted: &Minted,
) -> Result<Verdict, Unserved> {
    let event_id = request.command.event_id;
    let event = may_take(world, request, want)?;
    let tickets = chosen(world, request, want)?;
    let now = world.facts.now;
    let extendable_until = now + secs(event.hold_secs_max);
    let hold = hold::Model {
        event_id,
        id: minted.hold_id,
        customer_id: request.customer_id,
        status: hold::Status::Active,
        held_until: end(event, now, extendable_until),
        extendable_until,
        tickets_len: tickets_len(&tickets),
        order_id: None,
        created_at: now,
    };
    Ok(held(world, hold, tickets, vec![]))
}

/// The event, if the customer may hold so many tickets of it.
pub(super) fn may_take<'f>(
    world: &World<'f>,
    request: &Request<'_>,
    want: &Want,
) -> Result<&'f EventFacts, Refusal> {
    let event_id = request.command.event_id;
    let event = event_on_sale(world.facts, event_id)?;
    // A hold becomes one order.
    within_order(event, want.quantity())?;
    let customer = (event_id, request.customer_id);
    world.may_hold(event, customer, want.quantity())?;
    world.within_allowance(event, customer, want.quantity(), None)?;
    Ok(event)
}

/// A hold lasts its event's time, and no longer than the sale: it could not be bought after that.
fn end(event: &EventFacts, now: DateTime<Utc>, extendable_until: DateTime<Utc>) -> DateTime<Utc> {
    (now + secs(event.hold_secs))
        .min(extendable_until)
        .min(event.sales_close_at)
}

fn secs(secs: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(secs))
}

fn tickets_len(tickets: &[TicketId]) -> i32 {
    i32::try_from(tickets.len()).expect("a hold has no more tickets than an order")
}

fn held(
    world: &World<'_>,
    hold: hold::Model,
    tickets: Vec<TicketId>,
    released: Vec<TicketId>,
) -> Verdict {
    let held = HeldTickets {
        hold,
        tickets,
        as_of: world.facts.now,
    };
    Verdict::Held(held, released)
}

/// The hold, if it is the customer's and alive. Asked before whether the sale is open: who has bought it and lost the answer
/// must find the order after the sale too.
pub(super) fn alive<'w>(
    world: &'w World<'_>,
    request: &Request<'_>,
    hold_id: HoldId,
) -> Result<&'w hold::Model, Refusal> {
    let event_id = request.command.event_id;
    let hold = world.hold(event_id, hold_id).ok_or(Refusal::UnknownHold)?;
    if hold.customer_id != request.customer_id {
        return Err(Refusal::NotYourHold);
    }
    published_event(world.facts, event_id)?;
    match hold.status {
        hold::Status::Released => Err(Refusal::HoldEnded(HoldEnd::Released)),
        hold::Status::Purchased => Err(Refusal::HoldEnded(HoldEnd::Purchased(hold.order_id))),
        hold::Status::Active if world.facts.now < hold.held_until => Ok(hold),
        hold::Status::Active => Err(Refusal::HoldEnded(HoldEnd::Expired {
            at: hold.held_until,
        })),
    }
}

/// The tickets of a hold that is alive, all of them locked here and still naming it.
fn tickets_of(world: &World<'_>, hold: &hold::Model) -> Result<Vec<TicketId>, Unserved> {
    let key = (hold.event_id, hold.id);
    let mut tickets = Vec::new();
    for &id in &world.facts.holds[&key].tickets {
        if world.facts.locked.contains_key(&(hold.event_id, id)) {
            match world.state((hold.event_id, id)) {
                State::Held { hold_id, .. } if hold_id == hold.id => tickets.push(id),
                // Given back earlier in this batch.
                State::Held { .. }
                | State::Free
                | State::Sold
                | State::Blocked
                | State::Undecided
                | State::Unknown => {}
            }
        } else {
            return Err(Unserved::Undecided(Some(id)));
        }
    }
    // Nobody but the cancellation of the whole event takes a ticket out of a hold that is alive.
    if tickets.len() == len(hold) {
        Ok(tickets)
    } else {
        Err(Refusal::HoldEnded(HoldEnd::Released).into())
    }
}

pub(super) fn extend(
    world: &World<'_>,
    request: &Request<'_>,
    hold_id: HoldId,
) -> Result<Verdict, Unserved> {
    let mut hold = alive(world, request, hold_id)?.clone();
    let event = event_on_sale(world.facts, request.command.event_id)?;
    if hold.held_until >= hold.extendable_until.min(event.sales_close_at) {
        return Err(Refusal::HoldAtMaximum {
            until: hold.held_until,
        }
        .into());
    }
    let tickets = tickets_of(world, &hold)?;
    // An event's time may have been shortened since: an extension never ends a hold earlier.
    let until = end(event, world.facts.now, hold.extendable_until);
    hold.held_until = until.max(hold.held_until);
    Ok(held(world, hold, tickets, vec![]))
}

pub(super) fn release(
    world: &World<'_>,
    request: &Request<'_>,
    hold_id: HoldId,
    meant: Option<&[TicketId]>,
) -> Result<Verdict, Unserved> {
    let mut hold = alive(world, request, hold_id)?.clone();
    let tickets = tickets_of(world, &hold)?;
    let foreign: Vec<Refusal> = meant
        .into_iter()
        .flatten()
        .filter(|id| tickets.binary_search(id).is_err())
        .map(|id| Refusal::NotInHold(*id))
        .collect();
    if !foreign.is_empty() {
        return Err(Unserved::Refused(foreign));
    }
    let (released, kept): (Vec<TicketId>, Vec<TicketId>) = tickets
        .into_iter()
        .partition(|id| meant.is_none_or(|meant| meant.binary_search(id).is_ok()));
    hold.tickets_len = tickets_len(&kept);
    if kept.is_empty() {
        hold.status = hold::Status::Released;
    }
    Ok(held(world, hold, kept, released))
}

pub(super) fn purchase(
    world: &World<'_>,
    request: &Request<'_>,
    hold_id: HoldId,
    expected_total: Option<Decimal>,
    minted: &Minted,
) -> Result<Verdict, Unserved> {
    let event_id = request.command.event_id;
    let mut hold = alive(world, request, hold_id)?.clone();
    let event = event_on_sale(world.facts, event_id)?;
    within_order(event, len(&hold))?;
    let customer = (event_id, request.customer_id);
    world.within_allowance(event, customer, len(&hold), Some(hold_id))?;
    let tickets = tickets_of(world, &hold)?;
    let placed = orders::place(world, event, request, &tickets, expected_total, minted)?;
    hold.status = hold::Status::Purchased;
    hold.order_id = Some(placed.order.id);
    Ok(Verdict::Placed(placed, Some(hold)))
}
