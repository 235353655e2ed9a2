//! Holds and orders that commands are about, and what their customers have already.
//!
//! A hold and an order are written behind their customer's gate, and by the cancellation of the whole event, which locks
//! their tickets first. So their tickets are read, locked, and orders read again; a hold's tickets say themselves, once
//! they are locked, whose they are.

use std::collections::{HashMap, HashSet};

use sea_orm::DbBackend;
use uuid::Uuid;

use super::Transaction;
use crate::{
    entity::{hold, order_item},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId},
    sales::{
        command::{Action, Kind},
        decide::{
            AllowanceFacts, Bound, Decision, Done, Facts, HeldTickets, HoldFacts, LiveHold,
            PlacedOrder, Request, Unlocked,
        },
        failure::Failure,
        holds::held_tickets,
        sql::{self, Read},
    },
};

/// What a key of this kind is bound to.
pub(super) fn bound(kind: Kind, result_id: Uuid) -> Bound {
    match kind {
        Kind::PurchaseTicket | Kind::PurchaseTickets | Kind::PurchaseHold | Kind::CancelOrder => {
            Bound::Order(OrderId(result_id))
        }
        Kind::HoldTickets | Kind::ExtendHold | Kind::ReleaseHold => Bound::Hold(HoldId(result_id)),
    }
}

/// The tickets of the holds and orders that requests are about, each once, in the order of their ids: all of an order,
/// also when a part of it is cancelled, so that whoever changes the order has all of it.
pub(super) fn claimed_tickets(facts: &Facts, requests: &[Request<'_>]) -> Vec<(EventId, TicketId)> {
    let mut claimed = Vec::new();
    for request in requests {
        let event_id = request.command.event_id;
        let hold = request.command.hold_id();
        if let Some(hold) = hold.and_then(|id| facts.holds.get(&(event_id, id))) {
            claimed.extend(hold.tickets.iter().map(|id| (event_id, *id)));
        }
        let order = request.command.order_id();
        if let Some(placed) = order.and_then(|id| facts.orders.get(&(event_id, id))) {
            let active = placed
                .items
                .iter()
                .filter(|item| item.status == order_item::Status::Active);
            claimed.extend(active.map(|item| (event_id, item.ticket_id)));
        }
    }
    claimed.sort_unstable();
    claimed.dedup();
    claimed
}

fn orders_of(requests: &[Request<'_>]) -> Vec<(EventId, OrderId)> {
    let orders: HashSet<_> = requests
        .iter()
        .filter_map(|request| Some((request.command.event_id, request.command.order_id()?)))
        .collect();
    orders.into_iter().collect()
}

/// The holds that requests are about, each once.
pub(super) fn holds_of(requests: &[Request<'_>]) -> Vec<(EventId, HoldId)> {
    let holds: HashSet<_> = requests
        .iter()
        .filter_map(|request| Some((request.command.event_id, request.command.hold_id()?)))
        .collect();
    holds.into_iter().collect()
}

pub(super) fn note_holds(facts: &mut Facts, mut rows: Vec<sql::StandingRow>) {
    rows.sort_unstable_by_key(|row| (row.id, row.ticket_id));
    facts
        .holds
        .extend(held_tickets(rows).into_iter().map(hold_facts));
}

fn hold_facts(held: HeldTickets) -> ((EventId, HoldId), HoldFacts) {
    let HeldTickets { hold, tickets, .. } = held;
    ((hold.event_id, hold.id), HoldFacts { hold, tickets })
}

impl Transaction {
    /// The orders that requests are about.
    pub(super) async fn read_orders_of(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        facts
            .orders
            .extend(self.read_orders(&orders_of(requests)).await?);
        Ok(())
    }

    /// The same orders, now that their tickets are locked; and the holds that keep tickets from those who named them, to
    /// tell somebody else's from their own.
    pub(super) async fn read_targets_again(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        self.read_orders_of(facts, requests).await?;
        let unknown: HashSet<(EventId, HoldId)> = facts
            .unlocked
            .iter()
            .filter_map(|((event_id, _), unlocked)| match unlocked {
                Unlocked::Held { hold_id, .. } => Some((*event_id, *hold_id)),
                Unlocked::Sold | Unlocked::Blocked | Unlocked::Undecided => None,
            })
            .filter(|key| !facts.holds.contains_key(key))
            .collect();
        let unknown: Vec<_> = unknown.into_iter().collect();
        let holders = self.read_holds("reading holders", &unknown).await?;
        facts.holds.extend(holders.into_iter().map(hold_facts));
        Ok(())
    }

    /// Holds as they stand now, with the time.
    async fn read_holds(
        &self,
        step: &'static str,
        ids: &[(EventId, HoldId)],
    ) -> Result<Vec<HeldTickets>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = sql::read_holds(self.backend, ids).statement;
        let rows = self.rows(step, statement).await?;
        Ok(held_tickets(rows))
    }

    async fn read_orders(
        &self,
        ids: &[(EventId, OrderId)],
    ) -> Result<HashMap<(EventId, OrderId), PlacedOrder>, Failure> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let orders = self
            .all("reading orders", sql::read_orders(self.backend, ids))
            .await?;
        let items = self
            .all(
                "reading order items",
                sql::read_order_items(self.backend, ids),
            )
            .await?;
        let mut found: HashMap<(EventId, OrderId), PlacedOrder> = orders
            .into_iter()
            .map(|order| {
                let items = Vec::new();
                ((order.event_id, order.id), PlacedOrder { order, items })
            })
            .collect();
        for item in items {
            if let Some(placed) = found.get_mut(&(item.event_id, item.order_id)) {
                placed.items.push(item);
            }
        }
        Ok(found)
    }

    /// What keys had made before this batch, as it is now. Read here, behind the gate: a buyer who repeats after a fault
    /// must not meet another one on the way to the answer.
    pub(super) async fn repeated(
        &self,
        requests: &[Request<'_>],
        decisions: &[Decision],
    ) -> Result<HashMap<Bound, Done>, Failure> {
        let (mut orders, mut holds) = (Vec::new(), Vec::new());
        for (request, decision) in requests.iter().zip(decisions) {
            let event_id = request.command.event_id;
            match decision {
                Decision::Repeated(Bound::Order(id)) => orders.push((event_id, *id)),
                Decision::Repeated(Bound::Hold(id)) => holds.push((event_id, *id)),
                Decision::Done(_) | Decision::Refused(_) | Decision::Undecided(_) => {}
            }
        }
        let orders = self.read_orders(&orders).await?;
        let orders = orders
            .into_iter()
            .map(|((_, id), placed)| (Bound::Order(id), Done::Order(placed)));
        let holds = self.read_holds("reading repeated holds", &holds).await?;
        let holds = holds
            .into_iter()
            .map(|held| (Bound::Hold(held.hold.id), Done::Hold(held)));
        Ok(orders.chain(holds).collect())
    }

    /// What the customers have of events that limit it, as far as it has not been read. Behind their gates nobody gives them
    /// more meanwhile. Once before the locks, to lock nothing for who may have nothing more; once behind them, for a limit
    /// that was set meanwhile.
    pub(super) async fn read_allowances(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        let step = "reading what customers have";
        let needed = allowances_of(facts, requests);
        let [owned, live] = self.read_together(step, needed.reads(self.backend)).await?;
        needed.note(facts, owned.read(step)?, live.read(step)?);
        Ok(())
    }
}

/// Customers of whom something is to be read: how many tickets they own, and which holds they have.
pub(super) struct Allowances {
    limited: Vec<(EventId, CustomerId)>,
    holding: Vec<(EventId, CustomerId)>,
}

/// What is not known yet of those whose allowance matters, as far as their events are known.
pub(super) fn allowances_of(facts: &Facts, requests: &[Request<'_>]) -> Allowances {
    let (mut limited, mut holding) = (HashSet::new(), HashSet::new());
    for request in requests {
        let customer = (request.command.event_id, request.customer_id);
        let is_limited = facts
            .events
            .get(&request.command.event_id)
            .is_some_and(|event| event.tickets_per_customer_max.is_some());
        match &request.command.action {
            Action::Hold { .. } => {
                holding.insert(customer);
            }
            Action::Purchase { .. } | Action::PurchaseHold { .. } if is_limited => {
                holding.insert(customer);
            }
            Action::Purchase { .. }
            | Action::PurchaseHold { .. }
            | Action::ExtendHold { .. }
            | Action::ReleaseHold { .. }
            | Action::CancelOrder { .. } => continue,
        }
        if is_limited {
            limited.insert(customer);
        }
    }
    let known = |customer: &_| facts.allowances.get(customer);
    limited.retain(|customer| known(customer).is_none_or(|it| it.owned.is_none()));
    holding.retain(|customer| known(customer).is_none_or(|it| it.holds.is_none()));
    Allowances {
        limited: limited.into_iter().collect(),
        holding: holding.into_iter().collect(),
    }
}

impl Allowances {
    pub(super) fn reads(&self, backend: DbBackend) -> [Option<Read>; 2] {
        let owned = (!self.limited.is_empty()).then(|| sql::count_owned(backend, &self.limited));
        let live = (!self.holding.is_empty()).then(|| sql::read_live_holds(backend, &self.holding));
        [owned, live]
    }

    pub(super) fn note(self, facts: &mut Facts, owned: Vec<sql::OwnedRow>, live: Vec<hold::Model>) {
        // Of whom nothing was found, that is what they have.
        for customer in self.limited {
            allowance(facts, customer).owned = Some(0);
        }
        for customer in self.holding {
            allowance(facts, customer).holds = Some(Vec::new());
        }
        for row in owned {
            let owned_len = usize::try_from(row.owned_len).unwrap_or(usize::MAX);
            allowance(facts, (row.event_id, row.customer_id)).owned = Some(owned_len);
        }
        for hold in live {
            let live = LiveHold {
                id: hold.id,
                held_until: hold.held_until,
                tickets_len: usize::try_from(hold.tickets_len).unwrap_or(0),
            };
            let customer = (hold.event_id, hold.customer_id);
            let holds = &mut allowance(facts, customer).holds;
            holds.get_or_insert_default().push(live);
        }
    }
}

fn allowance(facts: &mut Facts, customer: (EventId, CustomerId)) -> &mut AllowanceFacts {
    facts.allowances.entry(customer).or_default()
}
