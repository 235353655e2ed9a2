//! What earlier batches of this process saw. It saves statements and walks, and decides nothing: what a batch takes from
//! here it reads again behind its locks, or looks for everywhere else before it says that there is none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};

use crate::{
    ids::{CustomerId, EventId, TicketId, TicketTypeId},
    sales::decide::{EventFacts, Facts, Refusal, Request},
};

/// Events, types and customers that are remembered, each; then all are forgotten, and found again.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Default)]
pub struct Hints(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The time of the last read.
    now: DateTime<Utc>,
    events: HashMap<EventId, EventFacts>,
    last_picks: HashMap<(EventId, TicketTypeId), TicketId>,
    /// Who had no more to have of an event when they last asked.
    exhausted: HashSet<(EventId, CustomerId)>,
}

impl Hints {
    /// Takes the time and, of these events, those that are known from what was read last. Whether that is all of them.
    pub fn recall_events(&self, facts: &mut Facts, events: &HashSet<EventId>) -> bool {
        let seen = self.seen();
        facts.now = seen.now;
        facts.events = events
            .iter()
            .filter_map(|id| Some((*id, seen.events.get(id)?.clone())))
            .collect();
        facts.events.len() == events.len()
    }

    pub fn remember_events(&self, facts: &Facts) {
        if facts.events.is_empty() {
            return;
        }
        let mut seen = self.seen();
        if seen.events.len() >= REMEMBERED_MAX {
            seen.events.clear();
        }
        seen.now = facts.now;
        let events = facts.events.iter().map(|(id, event)| (*id, event.clone()));
        seen.events.extend(events);
    }

    /// Where the search for a free ticket of the type begins: after the one that was picked last. Those before it are sold
    /// as a rule, and walking past them is what makes the last sale of a type dearer than its first.
    pub fn last_pick(&self, event_id: EventId, ticket_type_id: TicketTypeId) -> TicketId {
        let first = TicketId(uuid::Uuid::nil());
        let last_picks = &self.seen().last_picks;
        last_picks
            .get(&(event_id, ticket_type_id))
            .copied()
            .unwrap_or(first)
    }

    pub fn remember_pick(&self, event_id: EventId, ticket_type_id: TicketTypeId, picked: TicketId) {
        let mut seen = self.seen();
        if seen.last_picks.len() >= REMEMBERED_MAX {
            seen.last_picks.clear();
        }
        seen.last_picks.insert((event_id, ticket_type_id), picked);
    }

    /// Whether the customer was refused for having too much already, the last time that this was found out before tickets
    /// were locked. Those who ask all the same, as often as they can, should not keep tickets from others for it.
    pub fn is_exhausted(&self, event_id: EventId, customer_id: CustomerId) -> bool {
        self.seen().exhausted.contains(&(event_id, customer_id))
    }

    /// What became of a look at whether a request will be refused whatever its tickets are.
    pub fn note_allowance(&self, request: &Request<'_>, refusal: Option<&Refusal>) {
        let customer = (request.command.event_id, request.customer_id);
        let is_exhausted = matches!(
            refusal,
            Some(Refusal::CustomerLimit { .. } | Refusal::TooManyHeld { .. })
        );
        let mut seen = self.seen();
        if !is_exhausted {
            seen.exhausted.remove(&customer);
            return;
        }
        if seen.exhausted.len() >= REMEMBERED_MAX {
            seen.exhausted.clear();
        }
        seen.exhausted.insert(customer);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Each change is whole in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
