//! The desk: a bounded queue, and one batch after the other through the one transaction.
//!
//! It takes whatever is queued, with no artificial delay; while one batch commits, the next one gathers, so that one
//! flush to disk serves many buyers. It has a thread, a runtime and connections of its own: a request that is slow to
//! parse cannot slow a sale, and a buyer who hangs up ends only their own wait.
//!
//! What cannot be settled at once goes to the [`super::waiting`] room, so that no buyer waits behind somebody else's lock.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    Outcome, SaleFault,
    command::Command,
    commit::{Blocker, Hints, Settled},
    customers::Customers,
    decide::Request,
    failure::{Cause, Failure},
    lane::Lane,
    sql::Trust,
    waiting::{Late, Waiting},
};
use crate::{auth::Account, fault::Fault, ids::CustomerId, store::Store};

/// Splits of a batch that ran into a lock it must not wait for: each half may wait [`super::commit::LOCK_TIMEOUT`] again.
pub const SPLITS_OF_TIMED_OUT_MAX: u32 = 6;

/// Between attempts that failed on somebody else's doing, at most; the half at least. By chance, so that two processes do
/// not come back in step.
const BACKOFF_MAX: Duration = Duration::from_millis(50);

/// After so many failures the time between two attempts grows no more: half a second.
const BACKOFFS_MAX: u32 = 10;

/// What the desk allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Commands that wait for the next batch; more are answered `OVERLOADED` at once.
    pub queue_len_max: usize,
    /// Commands of one batch; one is a valid setting.
    pub batch_len_max: usize,
    /// Commands that wait for somebody else's lock; more are answered `CONTENDED` at once.
    pub waiting_len_max: usize,
    /// Connections on which they wait.
    pub waiting_lanes: usize,
    /// From a command's arrival to its answer, if it was not in a batch by then.
    pub deadline: Duration,
}

/// Tickets that one batch names, so that a few large orders do not make everybody wait.
pub const BATCH_TICKETS_MAX: usize = 2_000;

/// A command at the desk, and the slot in which its buyer waits.
pub struct Entry {
    pub command: Command,
    pub customer_id: Option<CustomerId>,
    pub deadline: Instant,
    /// A commit of this command was lost: it may have happened.
    pub is_doubtful: bool,
    /// Attempts that failed on the database's side.
    pub failures: u32,
    place: Place,
    reply: oneshot::Sender<Result<Outcome, SaleFault>>,
    _room: OwnedSemaphorePermit,
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

impl Entry {
    pub fn new(
        command: Command,
        deadline: Instant,
        room: OwnedSemaphorePermit,
    ) -> (Self, Place, oneshot::Receiver<Result<Outcome, SaleFault>>) {
        let (reply, answer) = oneshot::channel();
        let place = Place::default();
        (
            Self {
                command,
                customer_id: None,
                deadline,
                is_doubtful: false,
                failures: 0,
                place: place.clone(),
                reply,
                _room: room,
            },
            place,
            answer,
        )
    }

    /// The command was decided: its key was read behind its gate, so that no doubt is left.
    fn decided(self, outcome: Outcome) {
        // A buyer who has hung up hears nothing; repeating the request tells them.
        let _ = self.reply.send(Ok(outcome));
    }

    /// The command was given up. Nothing happened, unless a commit of it was lost before.
    pub fn given_up(self, late: Late) {
        let _ = self.reply.send(match late {
            _ if self.is_doubtful => Err(SaleFault::OutcomeUnknown),
            Late::Queued => Err(SaleFault::Overloaded),
            Late::Contended => Ok(Outcome::Contended),
            Late::Unreachable => Err(SaleFault::Unavailable),
            Late::Broken => Err(SaleFault::Internal),
        });
    }
}

/// The desk's state, shared by the lane and by those who wait.
pub struct Desk {
    pub limits: Limits,
    pub waiting: Waiting,
    pub hints: Hints,
    customers: Arc<Customers>,
    /// Batches whose buyers are being told.
    telling: TaskTracker,
}

impl Desk {
    pub fn new(limits: Limits, store: Arc<Store>, customers: Arc<Customers>) -> Arc<Self> {
        let waiting = Waiting::new(&limits, store);
        Arc::new(Self {
            limits,
            waiting,
            hints: Hints::default(),
            customers,
            telling: TaskTracker::new(),
        })
    }

    /// Serves the queue until it is closed and empty and nobody waits any more.
    pub async fn serve(
        self: Arc<Self>,
        mut lane: Lane,
        mut queue: mpsc::Receiver<Entry>,
        mut close: oneshot::Receiver<()>,
    ) {
        loop {
            if queue.is_empty() {
                lane.roll_back_ahead().await;
            }
            let first = tokio::select! {
                first = queue.recv() => first,
                // No new work from here on, but what is queued is served.
                _ = &mut close, if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            let Some(first) = first else { break };
            let batch = self.gather(first, &mut queue);
            let is_more = || !queue.is_empty();
            self.settle(&mut lane, vec![(batch, Trust::Status)], is_more)
                .await;
        }
        lane.roll_back_ahead().await;
        // Who is told may have to wait, and who waited is told.
        self.telling.close();
        loop {
            self.telling.wait().await;
            self.waiting.drain().await;
            if self.telling.is_empty() {
                break;
            }
        }
    }

    /// The first command and whatever else is queued.
    fn gather(&self, first: Entry, queue: &mut mpsc::Receiver<Entry>) -> Vec<Entry> {
        let mut tickets = first.command.tickets_len();
        let mut batch = vec![first];
        while batch.len() < self.limits.batch_len_max && tickets < BATCH_TICKETS_MAX {
            let Ok(entry) = queue.try_recv() else { break };
            tickets += entry.command.tickets_len();
            batch.push(entry);
        }
        batch
    }

    /// Takes parts of a batch to their end, one after the other: each of their commands is answered, or waits elsewhere. If
    /// more is to be done on this lane, it begins the next transaction while it commits.
    pub async fn settle(
        self: &Arc<Self>,
        lane: &mut Lane,
        mut parts: Vec<(Vec<Entry>, Trust)>,
        is_more: impl Fn() -> bool,
    ) {
        let mut splits_left = SPLITS_OF_TIMED_OUT_MAX;
        while let Some((part, trust)) = parts.pop() {
            let mut part = give_up_late(part);
            if part.is_empty() {
                continue;
            }
            let is_more = || !parts.is_empty() || is_more();
            match self.attempt(lane, &mut part, trust, is_more).await {
                Ok(settled) => {
                    // While the next batch is at the database.
                    let desk = Arc::clone(self);
                    self.telling
                        .spawn(async move { desk.answer(part, settled) });
                }
                Err(failure) => parts.extend(
                    self.recover(lane, part, trust, failure, &mut splits_left)
                        .await,
                ),
            }
        }
    }

    async fn attempt(
        &self,
        lane: &mut Lane,
        part: &mut [Entry],
        trust: Trust,
        is_more: impl Fn() -> bool,
    ) -> Result<Vec<Settled>, Failure> {
        let db = lane.connection().await?;
        self.identify(&db, part).await?;
        let tx = lane.begin().await?;
        let begin_ahead = || {
            if is_more() {
                lane.begin_ahead();
            }
        };
        tx.settle(&requests(part), trust, &self.hints, begin_ahead)
            .await
    }

    /// Finds out who the callers are.
    pub async fn identify(
        &self,
        db: &sea_orm::DatabaseConnection,
        part: &mut [Entry],
    ) -> Result<(), Fault> {
        for entry in part.iter_mut().filter(|entry| entry.customer_id.is_none()) {
            entry.customer_id = self.customers.known(&entry.command.account);
        }
        let mut unknown: Vec<Account> = part
            .iter()
            .filter(|entry| entry.customer_id.is_none())
            .map(|entry| entry.command.account.clone())
            .collect();
        let mut seen = HashSet::new();
        unknown.retain(|account| seen.insert(account.clone()));
        if unknown.is_empty() {
            return Ok(());
        }
        let found: HashMap<Account, CustomerId> = self
            .customers
            .identify(db, unknown)
            .await?
            .into_iter()
            .collect();
        for entry in part.iter_mut().filter(|entry| entry.customer_id.is_none()) {
            entry.customer_id = found.get(&entry.command.account).copied();
        }
        Ok(())
    }

    /// Tells each buyer what became of their command.
    pub fn answer(self: &Arc<Self>, part: Vec<Entry>, settled: Vec<Settled>) {
        tracing::debug!(batch.len = part.len(), "settled a batch of {}", part.len());
        for (mut entry, settled) in part.into_iter().zip(settled) {
            match settled {
                Settled::Decided(outcome) => entry.decided(outcome),
                Settled::Blocked { by, is_new } => {
                    entry.is_doubtful &= !is_new;
                    self.park(entry, by);
                }
            }
        }
    }

    fn park(self: &Arc<Self>, entry: Entry, by: Blocker) {
        super::waiting::park(self, entry, by);
    }

    /// What is left to do after a failure: parts to attempt again. Nobody is forgotten.
    pub async fn recover(
        self: &Arc<Self>,
        lane: &mut Lane,
        mut part: Vec<Entry>,
        trust: Trust,
        failure: Failure,
        splits_left: &mut u32,
    ) -> Vec<(Vec<Entry>, Trust)> {
        let len = part.len();
        if failure.cause == Cause::TooLarge {
            return halves(part, trust);
        }
        // Once for a batch: it may be tried again many times before its deadline.
        if part.iter().all(|entry| entry.failures == 0) {
            tracing::warn!(
                batch.len = len, cause = ?failure.cause, commit_unknown = failure.is_commit_unknown,
                error = %failure.fault.source, "{} failed for a batch of {len}", failure.fault.step
            );
        }
        for entry in &mut part {
            entry.failures = entry.failures.saturating_add(1);
        }
        match failure.cause {
            Cause::Lost => {
                lane.discard();
                for entry in &mut part {
                    entry.is_doubtful |= failure.is_commit_unknown;
                }
                // The lost session may hold every gate of the batch for a while: the batch waits for that as one.
                super::waiting::park_batch(self, part, Late::Unreachable);
                Vec::new()
            }
            Cause::Conflict => {
                back_off(1).await;
                vec![(part, trust)]
            }
            Cause::SecondOwner if trust == Trust::Status => vec![(part, Trust::Owners)],
            // Somebody works on the database by hand at this moment: perhaps not for long.
            Cause::SecondOwner | Cause::TimedOut if len == 1 || *splits_left == 0 => {
                super::waiting::park_batch(self, part, Late::Contended);
                Vec::new()
            }
            Cause::SecondOwner | Cause::TimedOut => {
                *splits_left -= 1;
                halves(part, trust)
            }
            Cause::Data if len == 1 => {
                tracing::error!(error = %failure.fault.source, "a sale cannot be written: {} failed", failure.fault.step);
                part.into_iter()
                    .for_each(|entry| entry.given_up(Late::Broken));
                Vec::new()
            }
            Cause::Data | Cause::TooLarge => halves(part, trust),
        }
    }
}

/// What the transaction needs of each entry.
pub fn requests(part: &[Entry]) -> Vec<Request<'_>> {
    part.iter()
        .map(|entry| Request {
            command: &entry.command,
            customer_id: entry
                .customer_id
                .expect("every buyer of a batch is identified before its transaction"),
        })
        .collect()
}

/// Withdraws commands whose deadline has passed, before any lock is taken for them.
pub fn give_up_late(part: Vec<Entry>) -> Vec<Entry> {
    let now = Instant::now();
    let (in_time, too_late): (Vec<Entry>, Vec<Entry>) = part
        .into_iter()
        .partition(|entry| now < entry.deadline && entry.place.begin());
    for entry in too_late {
        let late = if entry.failures == 0 {
            Late::Queued
        } else {
            Late::Contended
        };
        entry.given_up(late);
    }
    in_time
}

/// The second half is attempted after the first, so that order of arrival holds.
fn halves(mut part: Vec<Entry>, trust: Trust) -> Vec<(Vec<Entry>, Trust)> {
    let second = part.split_off(part.len() / 2);
    vec![(second, trust), (part, trust)]
}

pub async fn back_off(failures: u32) {
    let factor = f64::from(failures.clamp(1, BACKOFFS_MAX)) * rand::random_range(0.5..1.0);
    tokio::time::sleep(BACKOFF_MAX.mul_f64(factor)).await;
}
