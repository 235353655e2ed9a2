//! The waiting room: commands that somebody else's lock keeps from being settled at once.
//!
//! Those who are blocked by the same thing wait together, in one group with one task, which waits for the lock on a
//! connection of its own and then takes the group through the transaction as a batch. Waits are bounded in number (in all,
//! per event, per group), in time (each command's deadline) and in slices, after which a group lets others have its
//! connection: as many stuck rows as there are connections must not keep the next group, whose lock is free in a
//! millisecond, from trying.

mod room;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use self::room::{Key, Room};
use super::{
    commit::{Blocker, Transaction, Wait},
    desk::{self, Desk, Limits},
    entry::{Entry, Late, span_of},
    failure::{Cause, Failure},
    lane::Lane,
    sql::Trust,
};
use crate::store::Store;

/// A group's first wait for a lock: most locks are another batch's, and gone in a few milliseconds.
const FIRST_SLICE: Duration = Duration::from_millis(50);

/// A later one. While it lasts, a command that wants several tickets may hold some of them; several such commands may do
/// so one after the other.
const SLICE: Duration = Duration::from_millis(250);

/// Everybody who waits.
pub struct Waiting {
    room: Mutex<Room>,
    /// Permits to use a connection for waiting, and, of those, for a second time.
    permits: Semaphore,
    stubborn_permits: Semaphore,
    /// Permits to wait for a gate: never behind those who wait for tickets.
    gate_permits: Semaphore,
    lanes: Mutex<Vec<Lane>>,
    store: Arc<Store>,
    tasks: TaskTracker,
    len_max: usize,
    batch_len_max: usize,
}

impl Waiting {
    pub fn new(limits: &Limits, store: Arc<Store>) -> Self {
        let gate_lanes = (limits.waiting_lanes / 4).max(1);
        let lanes = limits.waiting_lanes.saturating_sub(gate_lanes).max(1);
        Self {
            gate_permits: Semaphore::new(gate_lanes),
            room: Mutex::default(),
            permits: Semaphore::new(lanes),
            // A quarter of the connections is left for those who wait for the first time.
            stubborn_permits: Semaphore::new((lanes - lanes / 4).max(1)),
            lanes: Mutex::default(),
            store,
            tasks: TaskTracker::new(),
            len_max: limits.waiting_len_max,
            batch_len_max: limits.batch_len_max,
        }
    }

    /// Waits until nobody waits any more.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.room().len
    }

    fn room(&self) -> std::sync::MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The permits to wait with a connection: another kind for gates, and one more for tickets the second time around.
    async fn permits(&self, key: &Key, is_first_wait: bool) -> Vec<SemaphorePermit<'_>> {
        let needed: &[&Semaphore] = match key {
            Key::Blocked(Blocker::Gate(..)) => &[&self.gate_permits],
            Key::Blocked(Blocker::Ticket(..) | Blocker::LastOf(..)) | Key::Batch(_)
                if is_first_wait =>
            {
                &[&self.permits]
            }
            Key::Blocked(Blocker::Ticket(..) | Blocker::LastOf(..)) | Key::Batch(_) => {
                &[&self.stubborn_permits, &self.permits]
            }
        };
        let mut permits = Vec::with_capacity(needed.len());
        for semaphore in needed {
            permits.push(
                semaphore
                    .acquire()
                    .await
                    .expect("the waiting room's semaphores are never closed"),
            );
        }
        permits
    }

    fn take_lane(&self) -> Lane {
        let idle = self
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| Lane::new(Arc::clone(&self.store)))
    }

    fn return_lane(&self, lane: Lane) {
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lane);
    }
}

/// Lets a command wait for what blocks it, or gives it up where too many wait already.
pub fn park(desk: &Arc<Desk>, entry: Entry, by: Blocker) {
    let len_max = desk.waiting.len_max;
    let key = Key::Blocked(by);
    let mut room = desk.waiting.room();
    let event_len = room
        .len_by_event
        .get(&entry.command.event_id)
        .copied()
        .unwrap_or(0);
    let group_len = room.groups.get(&key).map_or(0, |group| group.members.len());
    // Where the outcome is in doubt, giving up answers nothing.
    let is_full = room.len >= len_max || event_len >= len_max / 2 || group_len >= len_max / 4;
    if is_full && !entry.is_doubtful {
        drop(room);
        return entry.given_up(Late::Contended);
    }
    if room.join(key.clone(), entry, Late::Contended) {
        start(desk, key);
    }
}

/// Lets a batch wait as one: its connection was lost, or it met a lock that none of its commands asked for.
pub fn park_batch(desk: &Arc<Desk>, part: Vec<Entry>, late: Late) {
    let mut room = desk.waiting.room();
    room.batches_ever += 1;
    let key = Key::Batch(room.batches_ever);
    let mut is_started = false;
    let mut refused = Vec::new();
    for entry in part {
        if room.len >= desk.waiting.len_max && !entry.is_doubtful {
            refused.push(entry);
        } else {
            is_started |= room.join(key.clone(), entry, late);
        }
    }
    if is_started {
        start(desk, key);
    }
    drop(room);
    refused.into_iter().for_each(|entry| entry.given_up(late));
}

fn start(desk: &Arc<Desk>, key: Key) {
    let desk = Arc::clone(desk);
    desk.waiting.tasks.spawn(wait(Arc::clone(&desk), key));
}

/// Removes a group whose task ends, also when it ends by a panic: nobody may join a group that has no task. Who is still
/// in it hears that the outcome is unknown, since their reply slot is dropped.
struct Closing<'a> {
    waiting: &'a Waiting,
    key: &'a Key,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut room = self.waiting.room();
        room.remove(self.key);
    }
}

/// A group's task: slice by slice, until each member was taken through the transaction or is too late.
async fn wait(desk: Arc<Desk>, key: Key) {
    let waiting = &desk.waiting;
    let _closing = Closing { waiting, key: &key };
    // A batch that has failed before does not come at once, nor before those who wait for the first time.
    let failures = waiting.room().failures(&key);
    let mut is_first_wait = failures <= 1;
    if !is_first_wait {
        desk::back_off(failures).await;
    }
    let mut has_failed = false;
    loop {
        let (too_late, late, next_deadline) = waiting.room().prune(&key);
        too_late.into_iter().for_each(|entry| entry.given_up(late));
        let Some(next_deadline) = next_deadline else {
            return;
        };
        let Ok(permits) =
            tokio::time::timeout_at(next_deadline, waiting.permits(&key, is_first_wait)).await
        else {
            continue;
        };
        let mut lane = waiting.take_lane();
        let slice = if is_first_wait { FIRST_SLICE } else { SLICE };
        let outcome = attempt(&desk, &mut lane, &key, slice).await;
        if let Err(failure) = &outcome
            && failure.cause != Cause::TimedOut
        {
            // Once for a group: it tries again every few milliseconds until its deadline.
            if !has_failed {
                tracing::warn!(
                    cause = ?failure.cause, error = %failure.fault.source,
                    "{} failed for those who wait", failure.fault.step
                );
            }
            has_failed = true;
            lane.discard();
            waiting.room().set_late(&key, Late::Unreachable);
        }
        if let (Err(failure), Key::Blocked(_)) = (&outcome, &key)
            && failure.cause == Cause::TimedOut
        {
            waiting.room().set_late(&key, Late::Contended);
        }
        waiting.return_lane(lane);
        drop(permits);
        is_first_wait = false;
        if waiting
            .room()
            .groups
            .get(&key)
            .is_some_and(|group| !group.members.is_empty())
        {
            desk::back_off(1).await;
        }
    }
}

/// One wait, and if it ends well, one transaction for the group.
async fn attempt(
    desk: &Arc<Desk>,
    lane: &mut Lane,
    key: &Key,
    slice: Duration,
) -> Result<(), Failure> {
    let db = lane.connection().await?;
    let wait = match key {
        Key::Blocked(Blocker::Gate(event_id, customer_id)) => {
            Some(Wait::Gate(*event_id, *customer_id))
        }
        Key::Blocked(Blocker::Ticket(event_id, ticket)) => {
            let (ids, is_claimed) = desk.waiting.room().wanted_by_all(key, *ticket);
            Some(Wait::Tickets {
                event_id: *event_id,
                ids,
                is_claimed,
            })
        }
        Key::Blocked(Blocker::LastOf(event_id, ticket_type_id)) => {
            Some(Wait::LastOf(*event_id, *ticket_type_id))
        }
        Key::Batch(_) => desk.waiting.room().first_gate(key),
    };
    let tx = Transaction::begin(&db).await?;
    if let Some(wait) = wait
        && let Err(failure) = tx.wait_for(&wait, slice).await
    {
        if failure.cause == Cause::TimedOut {
            tx.roll_back().await?;
        }
        return Err(failure);
    }
    let part = desk.waiting.room().take(key, desk.waiting.batch_len_max);
    let requests = desk::requests(&part);
    let span = span_of(&part);
    let ended = match tx.make(&requests, Trust::Status, &desk.hints, span).await {
        Ok(made) => made.end().await,
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(ended) => desk.answer(part, ended),
        Err(failure) => desk.settle_failed(lane, part, failure).await,
    }
    Ok(())
}
