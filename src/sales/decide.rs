//! Who gets what: a pure function from what the transaction has locked and read to an outcome for each command, and to
//! the changes that make it so.
//!
//! Knows nothing about databases, clocks, randomness, async or GraphQL: the time comes with the facts, ids and codes come
//! with the requests. Commands are decided in order of arrival, each in the world that the earlier ones have left.

mod choose;
mod facts;
mod holds;
mod orders;
mod world;

use chrono::{DateTime, Utc};

use self::world::World;
pub use self::{
    facts::{
        AllowanceFacts, EventFacts, Facts, HoldFacts, KeyFacts, LiveHold, Picks, TicketFacts,
        TypeFacts, Unlocked,
    },
    world::{CancelledItem, Changes, TicketState},
};
use super::{
    command::{Action, Canceller, Command, Want},
    minted::Minted,
};
use crate::{
    entity::{event, hold, order, order_item},
    ids::{CustomerId, EventId, HoldId, OrderId, OrderItemId, TicketId},
    money::Money,
};

/// A command, who asks here, and the ids of what it may become.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub command: &'a Command,
    /// The id of the account that asks.
    pub customer_id: CustomerId,
    /// The id of the staff who ask in its name.
    pub staff_id: Option<CustomerId>,
}

impl Request<'_> {
    /// Who of staff it is that asks, in a customer's name or as staff.
    fn staff(&self) -> Option<CustomerId> {
        match self.command.action {
            Action::CancelOrder {
                by: Canceller::Staff { .. },
                ..
            } => Some(self.customer_id),
            _ => self.staff_id,
        }
    }

    /// Under whose name it is written down.
    fn by(&self) -> CustomerId {
        self.staff().unwrap_or(self.customer_id)
    }
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Done(Done),
    /// The key did this before: the answer is that order or hold, as it is now.
    Repeated(Bound),
    Refused(Vec<Refusal>),
    /// It depends on tickets that somebody else has locked: on this one, if it is known which.
    Undecided(Option<TicketId>),
}

/// What a command made or changed, as it is afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    Order(PlacedOrder),
    Hold(HeldTickets),
}

/// What an idempotency key is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    Order(OrderId),
    Hold(HoldId),
}

/// An order with its items, as the database has them.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedOrder {
    pub order: order::Model,
    pub items: Vec<order_item::Model>,
}

/// A hold with the tickets that it has, at a time of the database's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldTickets {
    pub hold: hold::Model,
    /// In the order of their ids; none once the hold has ended.
    pub tickets: Vec<TicketId>,
    pub as_of: DateTime<Utc>,
}

/// Why a command was refused. Nobody did anything wrong; nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    KeyReused,
    UnknownEvent,
    EventCancelled,
    NotOnSaleYet {
        opens_at: DateTime<Utc>,
    },
    SaleOver {
        closed_at: DateTime<Utc>,
    },
    TooManyTickets {
        max: usize,
    },
    /// What the customer owns and holds of the event, and this, are more than one customer may have.
    CustomerLimit {
        max: usize,
        left: usize,
    },
    /// What the customer holds, and this, are more than one customer may hold.
    TooManyHeld {
        max: usize,
        left: usize,
    },
    UnknownTicket(TicketId),
    UnknownTicketType,
    AlreadySold(TicketId),
    /// By somebody else.
    Held {
        ticket: TicketId,
        until: DateTime<Utc>,
    },
    /// By the one who asks.
    HeldByYou {
        ticket: TicketId,
        hold_id: HoldId,
    },
    Blocked(TicketId),
    NotEnoughLeft {
        left: usize,
    },
    PriceChanged {
        total: Money,
    },
    UnknownHold,
    /// Somebody else's hold.
    NotYourHold,
    HoldEnded(HoldEnd),
    /// No extension makes the hold last longer.
    HoldAtMaximum {
        until: DateTime<Utc>,
    },
    /// The hold has no such ticket.
    NotInHold(TicketId),
    UnknownOrder,
    /// The order has no such item.
    UnknownItem(OrderItemId),
    /// Customers of this event cannot cancel, or no longer.
    NotCancellable {
        since: Option<DateTime<Utc>>,
    },
}

/// How a hold has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEnd {
    Expired {
        at: DateTime<Utc>,
    },
    Released,
    /// Into this order.
    Purchased(Option<OrderId>),
}

/// Decides every request, in order of arrival. `minted` has for each what it needs if it becomes something.
pub fn decide(
    facts: &Facts,
    requests: &[Request<'_>],
    minted: &[Minted],
) -> (Vec<Decision>, Changes) {
    let mut world = World::new(facts);
    let decisions = requests
        .iter()
        .zip(minted)
        .enumerate()
        .map(|(index, (request, minted))| {
            if let Some(decision) = repeated(&world, request) {
                return decision;
            }
            match serve(&world, index, request, minted) {
                Ok(verdict) => world.take(request, verdict),
                Err(Unserved::Refused(refusals)) => Decision::Refused(refusals),
                Err(Unserved::Undecided(ticket)) => Decision::Undecided(ticket),
            }
        })
        .collect();
    (decisions, world.into_changes())
}

/// What a command becomes, and what it changes: `world.take` makes it so.
enum Verdict {
    /// An order is placed; of a hold, if it was one.
    Placed(PlacedOrder, Option<hold::Model>),
    /// A hold is made, extended or reduced: what it is now, and the tickets that go back.
    Held(HeldTickets, Vec<TicketId>),
    /// Items are cancelled; the order as it is now.
    Cancelled(PlacedOrder, Vec<CancelledItem>),
}

/// Why a command changes nothing.
enum Unserved {
    Refused(Vec<Refusal>),
    Undecided(Option<TicketId>),
}

impl From<Refusal> for Unserved {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

/// The key comes first: a repeat gets its order also when the event is over by now.
fn repeated(world: &World<'_>, request: &Request<'_>) -> Option<Decision> {
    let key = world.key(request)?;
    let is_same = key.fingerprint == request.command.fingerprint();
    Some(match key.bound {
        Some(bound) if is_same => Decision::Repeated(bound),
        Some(_) | None => Decision::Refused(vec![Refusal::KeyReused]),
    })
}

fn serve(
    world: &World<'_>,
    index: usize,
    request: &Request<'_>,
    minted: &Minted,
) -> Result<Verdict, Unserved> {
    let command = request.command;
    if let Some(early) = world.facts.early.get(&index) {
        return Err(early.clone().into());
    }
    match &command.action {
        Action::Purchase {
            want,
            expected_total,
            ..
        } => orders::purchase(world, request, want, *expected_total, minted),
        Action::Hold { want } => holds::hold(world, request, want, minted),
        Action::ExtendHold { hold_id } => holds::extend(world, request, *hold_id),
        Action::ReleaseHold { hold_id, tickets } => {
            holds::release(world, request, *hold_id, tickets.as_deref())
        }
        Action::PurchaseHold {
            hold_id,
            expected_total,
        } => holds::purchase(world, request, *hold_id, *expected_total, minted),
        Action::CancelOrder {
            order_id,
            items,
            by,
            reason,
        } => orders::cancel(
            world,
            request,
            *order_id,
            items.as_deref(),
            *by,
            reason.as_deref(),
        ),
    }
}

/// Why a command will be refused whatever its tickets are, as far as an early look at its event, hold and order tells:
/// then none is locked.
///
/// # Errors
/// The refusal.
pub fn refuse_early(facts: &Facts, request: &Request<'_>) -> Result<(), Refusal> {
    let command = request.command;
    let world = World::new(facts);
    let customer = (command.event_id, request.customer_id);
    match &command.action {
        Action::Purchase { want, .. } => {
            let event = event_on_sale(facts, command.event_id)?;
            within_order(event, want.quantity())?;
            world.within_allowance(event, customer, want.quantity(), None)
        }
        Action::Hold { want } => holds::may_take(&world, request, want).map(|_| ()),
        Action::ExtendHold { hold_id } | Action::PurchaseHold { hold_id, .. } => {
            holds::alive(&world, request, *hold_id)?;
            event_on_sale(facts, command.event_id).map(|_| ())
        }
        Action::ReleaseHold { hold_id, .. } => holds::alive(&world, request, *hold_id).map(|_| ()),
        Action::CancelOrder {
            order_id,
            items,
            by,
            reason: _,
        } => orders::cancellable(&world, request, *order_id, items.as_deref(), *by).map(|_| ()),
    }
}

/// An event that takes place. Of one that is cancelled, the cancellation alone ends holds and orders.
fn published_event(facts: &Facts, event_id: EventId) -> Result<&EventFacts, Refusal> {
    let event = facts.events.get(&event_id).ok_or(Refusal::UnknownEvent)?;
    match event.status {
        // Drafts do not exist for buyers.
        event::Status::Draft => Err(Refusal::UnknownEvent),
        event::Status::Cancelled => Err(Refusal::EventCancelled),
        event::Status::Published => Ok(event),
    }
}

/// An event that sells at this moment.
fn event_on_sale(facts: &Facts, event_id: EventId) -> Result<&EventFacts, Refusal> {
    let event = published_event(facts, event_id)?;
    if facts.now < event.sales_open_at {
        return Err(Refusal::NotOnSaleYet {
            opens_at: event.sales_open_at,
        });
    }
    if facts.now >= event.sales_close_at {
        return Err(Refusal::SaleOver {
            closed_at: event.sales_close_at,
        });
    }
    Ok(event)
}

fn within_order(event: &EventFacts, quantity: usize) -> Result<(), Refusal> {
    if quantity > event.tickets_per_order_max {
        return Err(Refusal::TooManyTickets {
            max: event.tickets_per_order_max,
        });
    }
    Ok(())
}

/// The tickets of a want that is free, or why not.
fn chosen(
    world: &World<'_>,
    request: &Request<'_>,
    want: &Want,
) -> Result<Vec<TicketId>, Unserved> {
    let event_id = request.command.event_id;
    match want {
        Want::Tickets(ids) => choose::named(world, request, ids),
        Want::AnyOf {
            ticket_type_id,
            quantity,
        } => choose::any(world, (event_id, *ticket_type_id), *quantity),
    }
}

#[cfg(test)]
mod tests;
