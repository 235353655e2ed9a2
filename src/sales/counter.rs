//! The counter: where commands queue, and where one clerk at a time takes the next batch.
//!
//! While a batch is committed, the next one is served. What it cannot have yet, because the batch before has it, is passed
//! over until that is committed, and comes first then: it would only find it locked, and wait elsewhere for what is over
//! in a millisecond.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{command::Want, commit::gates_of, desk::BATCH_TICKETS_MAX, entry::Entry};
use crate::ids::{CustomerId, EventId, TicketId};

/// Commands that are passed over at the same time. More go into the batch all the same, and wait in the waiting room for
/// what they find locked.
const PASSED_OVER_MAX: usize = 1_024;

/// How long a small batch waits for another one's commit.
const COMMIT_PATIENCE: Duration = Duration::from_millis(10);

pub struct Counter {
    queue: mpsc::Receiver<Entry>,
    close: oneshot::Receiver<()>,
    /// Out of the queue and not in a batch yet, in order of arrival.
    passed_over: VecDeque<Entry>,
    batch_len_max: usize,
}

impl Counter {
    pub fn new(
        queue: mpsc::Receiver<Entry>,
        close: oneshot::Receiver<()>,
        batch_len_max: usize,
    ) -> Self {
        Self {
            queue,
            close,
            passed_over: VecDeque::new(),
            batch_len_max,
        }
    }

    /// How many wait for the next batch.
    pub fn len(&self) -> usize {
        self.passed_over.len() + self.queue.len()
    }

    /// Whatever is queued and need not wait for a commit; nothing if there is none.
    pub fn batch(&mut self, committing: &Committing) -> Option<Vec<Entry>> {
        let committing = committing.lock();
        let is_taken = |entry: &Entry| {
            let mut all = committing.batches.iter();
            all.any(|batch| batch.claims.concern(entry))
        };
        let mut kept_back = Claims::default();
        let mut waiting = std::mem::take(&mut self.passed_over);
        let mut batch = Vec::new();
        let mut tickets = 0;
        while batch.len() < self.batch_len_max && tickets < BATCH_TICKETS_MAX {
            let Some(entry) = waiting.pop_front().or_else(|| self.queue.try_recv().ok()) else {
                break;
            };
            // Nor does anybody overtake who wants the same.
            let is_early = is_taken(&entry) || kept_back.concern(&entry);
            if is_early && self.passed_over.len() < PASSED_OVER_MAX {
                kept_back.add_wants(&entry);
                self.passed_over.push_back(entry);
            } else {
                tickets += entry.command.tickets_len();
                batch.push(entry);
            }
        }
        self.passed_over.append(&mut waiting);
        (!batch.is_empty()).then_some(batch)
    }

    /// Waits for the next batch. None when the queue is closed and everybody was served.
    pub async fn next_batch(&mut self, committing: &Committing) -> Option<Vec<Entry>> {
        let mut ended = committing.ended.subscribe();
        loop {
            ended.mark_unchanged();
            if let Some(batch) = self.batch(committing) {
                return Some(batch);
            }
            let is_closed = self.queue.is_closed();
            tokio::select! {
                entry = self.queue.recv(), if !is_closed || self.passed_over.is_empty() => {
                    self.passed_over.push_back(entry?);
                }
                // No new work from here on, but what is queued is served.
                _ = &mut self.close, if !is_closed => self.queue.close(),
                _ = ended.changed(), if !self.passed_over.is_empty() => {}
            }
        }
    }
}

/// The batches that are being committed: what nobody else can have until that is over.
pub struct Committing {
    all: Mutex<All>,
    /// Changes whenever one has ended.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct All {
    batches: Vec<Batch>,
    last_number: u64,
}

struct Batch {
    number: u64,
    len: usize,
    claims: Claims,
}

/// What a batch has.
#[derive(Default)]
pub struct Claims {
    gates: HashSet<(EventId, CustomerId)>,
    tickets: HashSet<(EventId, TicketId)>,
}

/// A batch's place among those that are being committed; left when this is dropped.
pub struct Leaving<'a> {
    committing: &'a Committing,
    number: u64,
}

impl Default for Committing {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            ended: watch::Sender::new(()),
        }
    }
}

impl Committing {
    /// A batch of `len` commands goes to be committed.
    pub fn enter(&self, len: usize, claims: Claims) -> Leaving<'_> {
        let mut all = self.lock();
        all.last_number += 1;
        let number = all.last_number;
        all.batches.push(Batch {
            number,
            len,
            claims,
        });
        Leaving {
            committing: self,
            number,
        }
    }

    /// Waits until a batch of `len` is worth its transaction. What is smaller than that which is being committed waits for
    /// it, and grows meanwhile: two small batches cost more than one. Where commits take long, it does not.
    pub async fn worth(&self, len: usize) {
        let mut ended = self.ended.subscribe();
        let is_small = self.lock().batches.iter().any(|batch| len < batch.len);
        if is_small {
            // Either way it is served then.
            let _ = timeout(COMMIT_PATIENCE, ended.changed()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // Each change is whole in itself.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let number = self.number;
        self.committing
            .lock()
            .batches
            .retain(|batch| batch.number != number);
        self.committing.ended.send_replace(());
    }
}

impl Claims {
    /// What these commands have behind their gates, with the tickets that were locked for them.
    pub fn of(part: &[Entry], tickets: HashSet<(EventId, TicketId)>) -> Self {
        Self {
            gates: part.iter().flat_map(gates).collect(),
            tickets,
        }
    }

    fn concern(&self, entry: &Entry) -> bool {
        gates(entry).any(|gate| self.gates.contains(&gate))
            || (!self.tickets.is_empty()
                && named(entry).any(|ticket| self.tickets.contains(&ticket)))
    }

    /// What a command has that is not served yet.
    fn add_wants(&mut self, entry: &Entry) {
        self.gates.extend(gates(entry));
        self.tickets.extend(named(entry));
    }
}

fn gates(entry: &Entry) -> impl Iterator<Item = (EventId, CustomerId)> {
    gates_of(&entry.request()).into_iter().flatten()
}

/// The tickets that a command names. What a hold or an order has is behind its gate.
fn named(entry: &Entry) -> impl Iterator<Item = (EventId, TicketId)> {
    let event_id = entry.command.event_id;
    let ids: &[TicketId] = match entry.command.want() {
        Some(Want::Tickets(ids)) => ids,
        Some(Want::AnyOf { .. }) | None => &[],
    };
    ids.iter().map(move |id| (event_id, *id))
}
