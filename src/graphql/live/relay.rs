//! Changes that are told to many: what each is told first is executed for itself, and so it is known whether it may be told at
//! all. Who follows for it is left in its [`Relay`] then. What comes after that is the same for all who ask by the same
//! document, and is executed once for all of them, with what is [`Told`] in the request.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    changes::watch::{Delta, Follower, Unfollowed},
    ids::EventId,
};

/// Where a subscription leaves who follows for it.
#[derive(Clone, Default)]
pub struct Relay(Arc<Mutex<Option<Following>>>);

/// Somebody's place in the log of this event.
pub struct Following {
    pub event_id: EventId,
    pub follower: Follower,
}

/// What is to be told, in place of what a subscription would find by itself.
pub enum Told {
    Changes(EventId, Arc<Delta>),
    Unfollowed(Unfollowed),
}

impl Relay {
    pub fn leave(&self, following: Following) {
        // A place is whole in itself.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(following);
    }

    /// None of a subscription that tells everything itself, or could not begin.
    pub fn take(&self) -> Option<Following> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
