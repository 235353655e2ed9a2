//! The log of what is slow, with where the time went.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{commit::Blocker, entry::Entry, times::Times};

/// Between two lines: when everything is slow, one of them says so.
const PAUSE: Duration = Duration::from_secs(1);

pub struct SlowLog {
    /// None for no log.
    slow: Option<Duration>,
    last: Mutex<Option<Instant>>,
}

impl SlowLog {
    pub fn new(slow: Option<Duration>) -> Self {
        Self {
            slow,
            last: Mutex::default(),
        }
    }

    /// Tells of the slowest of a batch that is over, if it was slow.
    pub fn look_at(&self, part: &[Entry], times: &Times, now: Instant) {
        let Some(slow) = self.slow else { return };
        let Some(slowest) = part.iter().max_by_key(|entry| entry.age(now)) else {
            return;
        };
        let age = slowest.age(now);
        if age < slow || !self.is_due(now) {
            return;
        }
        let in_transaction = times.total();
        tracing::warn!(
            mutation = slowest.command.kind().as_str(),
            event.id = %slowest.command.event_id,
            duration_ms = millis(age),
            batch.len = part.len(),
            batch.duration_ms = millis(in_transaction),
            "a buyer's write took {} ms: {} ms before the transaction of its batch{}, then {times}",
            age.as_millis(),
            age.saturating_sub(in_transaction).as_millis(),
            waited_for(slowest.blocked),
        );
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

fn waited_for(blocked: Option<Blocker>) -> &'static str {
    match blocked {
        None => "",
        Some(Blocker::Gate(..)) => ", also for another write of the same customer",
        Some(Blocker::Ticket(..)) => ", also for a ticket that somebody had locked",
        Some(Blocker::LastOf(..)) => {
            ", also for the last tickets of a type, which others had locked"
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
