//! A command on its way through the desk, and the slot in which its buyer waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};
use tracing::Span;

use super::{Outcome, SaleFault, command::Command, commit::Blocker, decide::Request};
use crate::{auth::Account, ids::CustomerId};

/// A command whose caller is not known by an id yet.
pub struct Arrival {
    pub command: Command,
    arrived: Instant,
    pub deadline: Instant,
    slot: Slot,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Ids {
    customer_id: CustomerId,
    staff_id: Option<CustomerId>,
}

/// A command at the desk.
pub struct Entry {
    pub command: Command,
    /// The id of the account that asks.
    pub customer_id: CustomerId,
    /// The id of the staff who ask in its name.
    pub staff_id: Option<CustomerId>,
    arrived: Instant,
    pub deadline: Instant,
    /// What somebody else had locked when it was last tried.
    pub blocked: Option<Blocker>,
    /// A commit of this command was lost: it may have happened.
    pub is_doubtful: bool,
    /// Attempts that failed on the database's side.
    pub failures: u32,
    slot: Slot,
}

/// Where a command's buyer waits for its outcome.
struct Slot {
    place: Place,
    /// Of the request that asks, for traces.
    span: Span,
    reply: oneshot::Sender<Result<Outcome, SaleFault>>,
    _room: OwnedSemaphorePermit,
}

/// The span of a transaction for these commands. It follows from the requests, which go on beside it: in traces it is linked to
/// theirs.
pub fn span_of(part: &[Entry]) -> Span {
    let span = tracing::info_span!("batch", batch.len = part.len());
    for entry in part {
        span.follows_from(&entry.slot.span);
    }
    span
}

/// What a command that is given up is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It never was in a batch.
    Queued,
    /// Somebody else had locked what it wants.
    Contended,
    /// The database was out of reach.
    Unreachable,
    /// The database refuses it.
    Broken,
}

/// A command's place in the queue, which its buyer gives up or the desk calls up: whoever is first.
#[derive(Clone, Default)]
pub struct Place(Arc<AtomicU8>);

impl Place {
    const QUEUED: u8 = 0;
    const BEGUN: u8 = 1;
    const WITHDRAWN: u8 = 2;

    /// Takes a command out that has never been in a batch: nothing of it will happen. False if it has.
    pub fn withdraw(&self) -> bool {
        self.leave_queue(Self::WITHDRAWN) != Self::BEGUN
    }

    /// Calls a command up, for the first time or again. False if it was withdrawn.
    fn begin(&self) -> bool {
        self.leave_queue(Self::BEGUN) != Self::WITHDRAWN
    }

    /// What the place is then.
    fn leave_queue(&self, to: u8) -> u8 {
        let queued = Self::QUEUED;
        // Nothing else is told by it.
        match self
            .0
            .compare_exchange(queued, to, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => to,
            Err(is) => is,
        }
    }
}

impl Slot {
    fn tell(self, outcome: Result<Outcome, SaleFault>) {
        // A buyer who has hung up hears nothing; repeating the request tells them.
        let _ = self.reply.send(outcome);
    }
}

impl From<Late> for Result<Outcome, SaleFault> {
    fn from(late: Late) -> Self {
        match late {
            Late::Queued => Err(SaleFault::Overloaded),
            Late::Contended => Ok(Outcome::Contended),
            Late::Unreachable => Err(SaleFault::Unavailable),
            Late::Broken => Err(SaleFault::Internal),
        }
    }
}

impl Arrival {
    pub fn new(
        command: Command,
        deadline: Instant,
        room: OwnedSemaphorePermit,
    ) -> (Self, Place, oneshot::Receiver<Result<Outcome, SaleFault>>) {
        let (reply, answer) = oneshot::channel();
        let place = Place::default();
        let slot = Slot {
            place: place.clone(),
            span: Span::current(),
            reply,
            _room: room,
        };
        let arrival = Self {
            command,
            arrived: Instant::now(),
            deadline,
            slot,
        };
        (arrival, place, answer)
    }

    /// The ids of those who ask, if all of them are known.
    pub fn ids(&self, id: impl Fn(&Account) -> Option<CustomerId>) -> Option<Ids> {
        let staff_id = match &self.command.staff {
            Some(staff) => Some(id(staff)?),
            None => None,
        };
        Some(Ids {
            customer_id: id(&self.command.account)?,
            staff_id,
        })
    }

    /// For the desk, now that it is known who asks.
    pub fn of(self, ids: Ids) -> Entry {
        Entry {
            command: self.command,
            customer_id: ids.customer_id,
            staff_id: ids.staff_id,
            arrived: self.arrived,
            deadline: self.deadline,
            blocked: None,
            is_doubtful: false,
            failures: 0,
            slot: self.slot,
        }
    }

    /// It never came to the desk. Nothing happened.
    pub fn given_up(self, late: Late) {
        self.slot.tell(late.into());
    }
}

impl Entry {
    /// What a transaction needs to know of it.
    pub fn request(&self) -> Request<'_> {
        Request {
            command: &self.command,
            customer_id: self.customer_id,
            staff_id: self.staff_id,
        }
    }

    /// Since its arrival.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }

    /// Calls the command up. False if its buyer has withdrawn it, or its deadline has passed.
    pub fn begin(&self, now: Instant) -> bool {
        now < self.deadline && self.slot.place.begin()
    }

    /// The command was decided: its key was read behind its gate, so that no doubt is left.
    pub fn decided(self, outcome: Outcome) {
        self.slot.tell(Ok(outcome));
    }

    /// The command was given up. Nothing happened, unless a commit of it was lost before.
    pub fn given_up(self, late: Late) {
        self.slot.tell(if self.is_doubtful {
            Err(SaleFault::OutcomeUnknown)
        } else {
            late.into()
        });
    }
}
