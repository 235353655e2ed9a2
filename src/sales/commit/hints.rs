//! What earlier batches of this process saw. It saves statements and walks, and decides nothing: what a batch takes from
//! here it reads again behind its locks, or asks there whether it still holds, or looks for everywhere else before it says
//! that there is none.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use super::catalogue::{KnownCatalogue, NeededCatalogue, Wanted};
use crate::{
    ids::{CustomerId, EventId, TicketId, TicketTypeId},
    sales::decide::{Facts, Refusal, Request},
};

/// Types and customers that are remembered, each; then all are forgotten, and found again.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Default)]
pub struct Hints(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    catalogue: KnownCatalogue,
    last_picks: HashMap<(EventId, TicketTypeId), TicketId>,
    /// Who had no more to have of an event when they last asked.
    exhausted: HashSet<(EventId, CustomerId)>,
}

impl Hints {
    /// Takes the time and, of these events and types, what is known. What must be read.
    pub(super) fn recall_catalogue(&self, facts: &mut Facts, wanted: Wanted) -> NeededCatalogue {
        self.seen().catalogue.recall(facts, wanted)
    }

    /// Keeps the time, and the events and types that were as they are here at this revision.
    pub(super) fn remember_catalogue(&self, facts: &Facts, revision: Option<Uuid>) {
        self.seen().catalogue.remember(facts, revision);
    }

    /// Where the search for a free ticket of the type begins: after the one that was picked last. Those before it are sold
    /// as a rule, and walking past them is what makes the last sale of a type dearer than its first.
    pub fn last_pick(&self, event_id: EventId, ticket_type_id: TicketTypeId) -> TicketId {
        let first = TicketId(Uuid::nil());
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
