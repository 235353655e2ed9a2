//! What of a history and of the tables after it contradicts the promises: a pure function.
//!
//! - [`register`]: each ticket is linearizable. It has one owner or holder at a time, in an order that agrees with real time;
//!   a refusal that names a ticket was true at some moment while it was asked for.
//! - [`promises`]: what was acknowledged is in the tables, all of it, and nothing else is. Keys do what they promise.
//! - [`limits`]: no customer ever certainly had more than the event allows, and a refusal for want of tickets or because of a
//!   limit can have been true.
//! - [`replay`]: the change log, replayed, is the tickets.
//!
//! It knows nothing of servers, databases and faults. What it cannot tell it lets pass, save when it has run out of room:
//! that is a violation too, so that nothing is called clean that was not looked at.

mod fate;
mod limits;
mod promises;
mod register;
mod replay;
#[cfg(test)]
mod tests;
mod trace;

use crate::{history::History, tables::Tables};

/// The clocks of the database, of a server and of the history are one machine's; read one after the other they may differ by
/// what a busy machine takes to go from one to the next.
const SLACK: i64 = 20_000;

/// A way in which a history contradicts the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No order of what was answered explains a ticket: two owners at a time, or a refusal that was never true.
    NotLinearizable,
    /// The search for such an order ran out of room.
    Undecided,
    /// An order or hold that a customer was told of is not there, or not as it was told.
    AcknowledgedLost,
    /// An order or hold is there that nobody can have been told of.
    Unasked,
    /// An order has more or fewer tickets than were asked for.
    NotAllOrNothing,
    /// The same key was answered with something else.
    RepeatDiffers,
    /// What was done was refused, or done again, when its key came again.
    RepeatRefused,
    /// A key was taken for something else than what it had done.
    ReusedKeyTaken,
    /// A hold was bought when its time was over.
    DeadHoldSold,
    LimitExceeded,
    /// A refusal for want of tickets, or because of a limit, that cannot have been true.
    RefusedWithoutReason,
    /// The change log is broken, or does not end in what the tickets are.
    LogDiffers,
}

/// What contradicts a promise, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: Kind,
    pub words: String,
}

impl Violation {
    fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self {
            kind,
            words: words.into(),
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.words)
    }
}

/// Everything in which a history, and the tables after it, contradict the promises. The tables are read when nothing of the
/// history can happen any more.
pub fn check(history: &History, tables: &Tables) -> Vec<Violation> {
    let mut violations = promises::check(history, tables);
    violations.extend(register::check(&trace::of(history, tables)));
    violations.extend(limits::check(history, tables));
    violations.extend(replay::check(tables));
    violations
}
