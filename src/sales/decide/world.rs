//! The world as the commands of a batch leave it, one after the other: the facts, and what was changed since.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    Bound, Decision, Done, EventFacts, Facts, HeldTickets, KeyFacts, PlacedOrder, Refusal, Request,
    Verdict, facts::Unlocked,
};
use crate::{
    entity::{hold, idempotency_key, order, ticket},
    ids::{CustomerId, EventId, HoldId, OrderId, OrderItemId, TicketId},
};

/// What is to be written for a batch: the last state of everything that was changed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub tickets: HashMap<(EventId, TicketId), TicketState>,
    /// Of those tickets, whom of staff it was that changed them, where it was not the customer.
    pub staff: HashMap<(EventId, TicketId), CustomerId>,
    /// New orders with their items.
    pub placed: Vec<PlacedOrder>,
    pub cancelled_items: Vec<CancelledItem>,
    /// Orders of which nothing is left.
    pub cancelled_orders: Vec<(EventId, OrderId)>,
    pub new_holds: Vec<hold::Model>,
    pub changed_holds: Vec<hold::Model>,
    pub keys: Vec<idempotency_key::Model>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        // Whatever a command does, it binds its key.
        self.keys.is_empty()
    }
}

/// What a ticket becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    Available,
    Held {
        hold_id: HoldId,
        until: DateTime<Utc>,
    },
    Sold,
}

/// An item that ceases to be anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelledItem {
    pub event_id: EventId,
    pub order_id: OrderId,
    pub id: OrderItemId,
    pub ticket_id: TicketId,
    pub at: DateTime<Utc>,
    pub by: CustomerId,
    pub reason: Option<String>,
}

/// What a ticket is for somebody who wants it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Sold,
    Blocked,
    /// A hold is alive while the time is before its end, to the microsecond.
    Held {
        hold_id: HoldId,
        until: DateTime<Utc>,
    },
    Undecided,
    Unknown,
}

pub(super) struct World<'f> {
    pub facts: &'f Facts,
    changes: Changes,
    /// The holds of `changes`, and whose they are.
    holds: HashMap<(EventId, HoldId), hold::Model>,
    orders: HashMap<(EventId, OrderId), PlacedOrder>,
    keys: HashMap<(EventId, CustomerId, String), KeyFacts>,
    /// What customers own more, or less, than the facts say.
    owned: HashMap<(EventId, CustomerId), i64>,
}

impl<'f> World<'f> {
    pub fn new(facts: &'f Facts) -> Self {
        Self {
            facts,
            changes: Changes::default(),
            holds: HashMap::new(),
            orders: HashMap::new(),
            keys: HashMap::new(),
            owned: HashMap::new(),
        }
    }

    pub fn into_changes(mut self) -> Changes {
        for (key, hold) in self.holds {
            if self.facts.holds.contains_key(&key) {
                self.changes.changed_holds.push(hold);
            } else {
                self.changes.new_holds.push(hold);
            }
        }
        self.changes
    }

    pub fn key(&self, request: &Request<'_>) -> Option<&KeyFacts> {
        let key = key_of(request);
        self.keys.get(&key).or_else(|| self.facts.keys.get(&key))
    }

    pub fn state(&self, key: (EventId, TicketId)) -> State {
        if let Some(changed) = self.changes.tickets.get(&key) {
            return match *changed {
                TicketState::Available => State::Free,
                TicketState::Sold => State::Sold,
                TicketState::Held { hold_id, until } => self.held(hold_id, until),
            };
        }
        let Some(ticket) = self.facts.locked.get(&key) else {
            return match self.facts.unlocked.get(&key) {
                Some(Unlocked::Sold) => State::Sold,
                Some(Unlocked::Blocked) => State::Blocked,
                Some(&Unlocked::Held { hold_id, until }) if self.facts.now < until => {
                    State::Held { hold_id, until }
                }
                // A hold that has ended since it was read: the row must be locked to be had.
                Some(Unlocked::Held { .. } | Unlocked::Undecided) => State::Undecided,
                None => State::Unknown,
            };
        };
        match (ticket.status, ticket.held) {
            (ticket::Status::Available, _) => State::Free,
            (ticket::Status::Sold, _) => State::Sold,
            (ticket::Status::Blocked, _) => State::Blocked,
            (ticket::Status::Held, Some((hold_id, until))) => self.held(hold_id, until),
            // The table's own check excludes it.
            (ticket::Status::Held, None) => State::Free,
        }
    }

    fn held(&self, hold_id: HoldId, until: DateTime<Utc>) -> State {
        if self.facts.now < until {
            State::Held { hold_id, until }
        } else {
            State::Free
        }
    }

    pub fn hold(&self, event_id: EventId, hold_id: HoldId) -> Option<&hold::Model> {
        let key = (event_id, hold_id);
        self.holds
            .get(&key)
            .or_else(|| self.facts.holds.get(&key).map(|facts| &facts.hold))
    }

    /// Whose hold it is, as far as that is known.
    pub fn holder(&self, event_id: EventId, hold_id: HoldId) -> Option<CustomerId> {
        self.hold(event_id, hold_id).map(|hold| hold.customer_id)
    }

    pub fn order(&self, event_id: EventId, order_id: OrderId) -> Option<&PlacedOrder> {
        let key = (event_id, order_id);
        self.orders
            .get(&key)
            .or_else(|| self.facts.orders.get(&key))
    }

    /// Refuses what would give a customer more than the event allows one: `quantity` more tickets, owned or held, beside
    /// what they have; what they have in the hold `except` is among the `quantity`.
    pub fn within_allowance(
        &self,
        event: &EventFacts,
        customer: (EventId, CustomerId),
        quantity: usize,
        except: Option<HoldId>,
    ) -> Result<(), Refusal> {
        let Some(max) = event.tickets_per_customer_max else {
            return Ok(());
        };
        let left = max.saturating_sub(self.owned(customer) + self.held_len(customer, except));
        if quantity > left {
            return Err(Refusal::CustomerLimit { max, left });
        }
        Ok(())
    }

    /// As [`Self::within_allowance`], for what one customer may hold.
    pub fn may_hold(
        &self,
        event: &EventFacts,
        customer: (EventId, CustomerId),
        quantity: usize,
    ) -> Result<(), Refusal> {
        let max = event.held_per_customer_max;
        let left = max.saturating_sub(self.held_len(customer, None));
        if quantity > left {
            return Err(Refusal::TooManyHeld { max, left });
        }
        Ok(())
    }

    fn owned(&self, customer: (EventId, CustomerId)) -> usize {
        let read = self
            .facts
            .allowances
            .get(&customer)
            .and_then(|allowance| allowance.owned)
            .unwrap_or(0);
        let change = self.owned.get(&customer).copied().unwrap_or(0);
        usize::try_from(
            i64::try_from(read)
                .unwrap_or(i64::MAX)
                .saturating_add(change),
        )
        .unwrap_or(0)
    }

    /// Tickets that the customer holds now.
    fn held_len(&self, customer: (EventId, CustomerId), except: Option<HoldId>) -> usize {
        let (event_id, customer_id) = customer;
        let read = self.facts.allowances.get(&customer);
        let unchanged = read
            .iter()
            .flat_map(|allowance| allowance.holds.iter().flatten())
            .filter(|hold| !self.holds.contains_key(&(event_id, hold.id)))
            .map(|hold| (hold.id, hold.held_until, hold.tickets_len));
        let changed = self
            .holds
            .values()
            .filter(|hold| hold.event_id == event_id && hold.customer_id == customer_id)
            .filter(|hold| hold.status == hold::Status::Active)
            .map(|hold| (hold.id, hold.held_until, len(hold)));
        unchanged
            .chain(changed)
            .filter(|(id, until, _)| Some(*id) != except && self.facts.now < *until)
            .map(|(_, _, len)| len)
            .sum()
    }

    /// Lets a command have what it was given: from here on the others find it so.
    pub fn take(&mut self, request: &Request<'_>, verdict: Verdict) -> Decision {
        let (bound, done) = match verdict {
            Verdict::Placed(placed, hold) => {
                let order_id = placed.order.id;
                self.place(request, &placed, hold);
                (Bound::Order(order_id), Done::Order(placed))
            }
            Verdict::Held(held, released) => {
                let hold_id = held.hold.id;
                self.hold_tickets(request, &held, &released);
                (Bound::Hold(hold_id), Done::Hold(held))
            }
            Verdict::Cancelled(placed, items) => {
                let order_id = placed.order.id;
                self.cancel(request, &placed, items);
                (Bound::Order(order_id), Done::Order(placed))
            }
        };
        self.bind(request, bound);
        Decision::Done(done)
    }

    fn place(&mut self, request: &Request<'_>, placed: &PlacedOrder, hold: Option<hold::Model>) {
        let event_id = placed.order.event_id;
        for item in &placed.items {
            self.set(request, item.ticket_id, TicketState::Sold);
        }
        let len = i64::try_from(placed.items.len()).unwrap_or(i64::MAX);
        *self
            .owned
            .entry((event_id, request.customer_id))
            .or_default() += len;
        if let Some(hold) = hold {
            self.holds.insert((event_id, hold.id), hold);
        }
        self.changes.placed.push(placed.clone());
    }

    fn hold_tickets(&mut self, request: &Request<'_>, held: &HeldTickets, released: &[TicketId]) {
        let hold = &held.hold;
        let state = TicketState::Held {
            hold_id: hold.id,
            until: hold.held_until,
        };
        for id in &held.tickets {
            self.set(request, *id, state);
        }
        for id in released {
            self.set(request, *id, TicketState::Available);
        }
        self.holds.insert((hold.event_id, hold.id), hold.clone());
    }

    fn cancel(&mut self, request: &Request<'_>, placed: &PlacedOrder, items: Vec<CancelledItem>) {
        let (event_id, order_id) = (placed.order.event_id, placed.order.id);
        let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
        *self
            .owned
            .entry((event_id, placed.order.customer_id))
            .or_default() -= len;
        for item in &items {
            // A ticket that a hand at the console has given another status keeps it.
            if self.state((event_id, item.ticket_id)) == State::Sold {
                self.set(request, item.ticket_id, TicketState::Available);
            }
        }
        // Who cancels what is cancelled changes nothing: an order ends once.
        if !items.is_empty() && placed.order.status == order::Status::Cancelled {
            self.changes.cancelled_orders.push((event_id, order_id));
        }
        self.changes.cancelled_items.extend(items);
        self.orders.insert((event_id, order_id), placed.clone());
    }

    fn set(&mut self, request: &Request<'_>, ticket_id: TicketId, state: TicketState) {
        let key = (request.command.event_id, ticket_id);
        self.changes.tickets.insert(key, state);
        match request.staff() {
            Some(id) => self.changes.staff.insert(key, id),
            None => self.changes.staff.remove(&key),
        };
    }

    fn bind(&mut self, request: &Request<'_>, bound: Bound) {
        let command = request.command;
        let fingerprint = command.fingerprint();
        self.changes.keys.push(idempotency_key::Model {
            event_id: command.event_id,
            customer_id: request.customer_id,
            key: command.key.as_str().to_owned(),
            kind: command.kind().as_str().to_owned(),
            fingerprint: fingerprint.to_vec(),
            result_id: match bound {
                Bound::Order(id) => id.0,
                Bound::Hold(id) => id.0,
            },
            created_at: self.facts.now,
        });
        let facts = KeyFacts {
            fingerprint,
            bound: Some(bound),
        };
        self.keys.insert(key_of(request), facts);
    }
}

/// How many tickets a hold has.
pub(super) fn len(hold: &hold::Model) -> usize {
    usize::try_from(hold.tickets_len).unwrap_or(0)
}

fn key_of(request: &Request<'_>) -> (EventId, CustomerId, String) {
    let command = request.command;
    (
        command.event_id,
        request.customer_id,
        command.key.as_str().to_owned(),
    )
}
