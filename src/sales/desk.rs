//! The desk: a bounded queue, and one batch after the other through the one transaction.
//!
//! It takes whatever is queued, with no artificial delay; while one batch is served, the next one gathers, so that one
//! flush to disk serves many buyers. While one batch commits, the next is served by another clerk. The desk has a thread, a
//! runtime and connections of its own: a request that is slow to parse cannot slow a sale, and a buyer who hangs up ends
//! only their own wait.
//!
//! What cannot be settled at once goes to the [`super::waiting`] room, so that no buyer waits behind somebody else's lock.

use std::{pin::pin, sync::Arc, time::Duration};

use sea_orm::DbBackend;
use tokio::{
    sync::{Mutex, MutexGuard, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Outcome,
    admission::Admission,
    commit::{Blocker, Ended, Hints, Made, Settled},
    counter::{Claims, Committing, Counter},
    decide::{Done, Request},
    entry::{Entry, Late, span_of},
    failure::{Cause, Failure},
    lane::{AHEAD_MAX, Lane},
    slow::SlowLog,
    sql::Trust,
    times::Times,
    waiting::Waiting,
};
use crate::{
    live::{Live, Topic},
    metrics::Metrics,
    store::Store,
};

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
    /// How long a newcomer may have to wait for their batch, as far as can be foreseen; who would wait longer is answered
    /// `OVERLOADED` at once.
    pub queue_wait_max: Duration,
    /// Commands of one batch; one is a valid setting.
    pub batch_len_max: usize,
    /// Commands that wait for somebody else's lock; more are answered `CONTENDED` at once.
    pub waiting_len_max: usize,
    /// Connections on which they wait.
    pub waiting_lanes: usize,
    /// From a command's arrival to its answer, if it was not in a batch by then.
    pub deadline: Duration,
    /// What takes longer than this is logged, with where the time went; none for nothing.
    pub slow: Option<Duration>,
}

/// Tickets that one batch names, so that a few large orders do not make everybody wait.
pub const BATCH_TICKETS_MAX: usize = 2_000;

/// Clerks of the desk: one at the counter, one who commits. More would make batches smaller and every sale dearer.
const CLERKS: usize = 2;

/// A lane for each clerk. SQLite has one writer, and its commit is part of every batch.
pub fn lanes(store: &Arc<Store>) -> Vec<Lane> {
    let clerks = match store.backend() {
        DbBackend::Postgres => CLERKS,
        _ => 1,
    };
    (0..clerks).map(|_| Lane::new(Arc::clone(store))).collect()
}

/// The desk's state, shared by the clerks and by those who wait.
pub struct Desk {
    pub limits: Limits,
    pub waiting: Waiting,
    pub hints: Hints,
    committing: Committing,
    admission: Arc<Admission>,
    slow: SlowLog,
    metrics: Arc<Metrics>,
    live: Arc<Live>,
}

impl Desk {
    pub fn new(
        limits: Limits,
        admission: Arc<Admission>,
        store: Arc<Store>,
        live: Arc<Live>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let waiting = Waiting::new(&limits, store);
        Arc::new(Self {
            waiting,
            hints: Hints::default(),
            committing: Committing::default(),
            admission,
            slow: SlowLog::new(limits.slow),
            limits,
            metrics,
            live,
        })
    }

    /// Serves the queue, with a clerk for each lane, until it is closed and empty and nobody waits any more.
    pub async fn serve(
        self: Arc<Self>,
        lanes: Vec<Lane>,
        queue: mpsc::Receiver<Entry>,
        close: oneshot::Receiver<()>,
    ) {
        let counter = Counter::new(queue, close, self.limits.batch_len_max);
        let counter = Arc::new(Mutex::new(counter));
        let mut clerks = JoinSet::new();
        for lane in lanes {
            clerks.spawn(Arc::clone(&self).clerk(lane, Arc::clone(&counter)));
        }
        while let Some(ended) = clerks.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        self.waiting.drain().await;
    }

    /// One batch after the other. Only one clerk at a time is at the counter: the others commit.
    async fn clerk(self: Arc<Self>, mut lane: Lane, counter: Arc<Mutex<Counter>>) {
        let mut is_wanted = false;
        loop {
            if is_wanted {
                lane.begin_ahead().await;
            }
            let mut at_counter = turn_at(&counter, &mut lane).await;
            self.committing.worth(at_counter.len()).await;
            let batch = match at_counter.batch(&self.committing) {
                Some(batch) => batch,
                None => {
                    lane.roll_back_ahead().await;
                    match at_counter.next_batch(&self.committing).await {
                        Some(batch) => batch,
                        None => break,
                    }
                }
            };
            is_wanted = self.serve_batch(&mut lane, batch, at_counter).await;
        }
        lane.roll_back_ahead().await;
    }

    /// Takes a batch to its end; the next clerk is let to the counter when it goes to be committed. Whether somebody waited
    /// then.
    async fn serve_batch(
        self: &Arc<Self>,
        lane: &mut Lane,
        batch: Vec<Entry>,
        at_counter: MutexGuard<'_, Counter>,
    ) -> bool {
        let is_full = self.is_full(&batch);
        let part = give_up_late(batch);
        if part.is_empty() {
            return false;
        }
        let (begin, len) = (Instant::now(), part.len());
        let failure = match self.attempt(lane, &part, Trust::Status).await {
            Ok(made) => {
                let claims = Claims::of(&part, made.locked().clone());
                let leaving = self.committing.enter(part.len(), claims);
                let is_wanted = at_counter.len() > 0;
                drop(at_counter);
                match made.end().await {
                    Ok(ended) => {
                        drop(leaving);
                        self.answer(part, ended);
                    }
                    Err(failure) => self.settle_failed(lane, part, failure).await,
                }
                self.admission.served(len, begin, is_full);
                return is_wanted;
            }
            Err(failure) => failure,
        };
        self.settle_failed(lane, part, failure).await;
        self.admission.served(len, begin, is_full);
        at_counter.len() > 0
    }

    /// Whether it has as many as a batch may have.
    fn is_full(&self, batch: &[Entry]) -> bool {
        let tickets = batch.iter().map(|entry| entry.command.tickets_len());
        batch.len() >= self.limits.batch_len_max || tickets.sum::<usize>() >= BATCH_TICKETS_MAX
    }

    /// A batch whose first attempt has failed.
    pub async fn settle_failed(
        self: &Arc<Self>,
        lane: &mut Lane,
        part: Vec<Entry>,
        failure: Failure,
    ) {
        let mut splits_left = SPLITS_OF_TIMED_OUT_MAX;
        let trust = Trust::Status;
        let parts = self
            .recover(lane, part, trust, failure, &mut splits_left)
            .await;
        self.settle(lane, parts, splits_left).await;
    }

    /// Takes parts of a batch to their end, one after the other: each of their commands is answered, or waits elsewhere.
    async fn settle(
        self: &Arc<Self>,
        lane: &mut Lane,
        mut parts: Vec<(Vec<Entry>, Trust)>,
        mut splits_left: u32,
    ) {
        while let Some((part, trust)) = parts.pop() {
            let part = give_up_late(part);
            if part.is_empty() {
                continue;
            }
            let ended = match self.attempt(lane, &part, trust).await {
                Ok(made) => made.end().await,
                Err(failure) => Err(failure),
            };
            match ended {
                Ok(ended) => self.answer(part, ended),
                Err(failure) => parts.extend(
                    self.recover(lane, part, trust, failure, &mut splits_left)
                        .await,
                ),
            }
        }
    }

    /// Everything up to the commit.
    async fn attempt(
        &self,
        lane: &mut Lane,
        part: &[Entry],
        trust: Trust,
    ) -> Result<Made, Failure> {
        let tx = lane.begin().await?;
        tx.make(&requests(part), trust, &self.hints, span_of(part))
            .await
    }

    /// Tells each buyer what became of their command.
    pub fn answer(self: &Arc<Self>, part: Vec<Entry>, ended: Ended) {
        tracing::debug!(batch.len = part.len(), "settled a batch of {}", part.len());
        let Ended { settled, times } = ended;
        self.observe(&part, &settled, &times);
        let is_done = |settled: &Settled| matches!(settled, Settled::Decided(Outcome::Done(_)));
        let done = part
            .iter()
            .zip(&settled)
            .filter(|(_, settled)| is_done(settled));
        self.live
            .appended(done.map(|(entry, _)| entry.command.event_id));
        for (mut entry, settled) in part.into_iter().zip(settled) {
            match settled {
                Settled::Decided(outcome) => {
                    // A new order is watched by nobody yet.
                    if let (Some(order_id), Outcome::Done(_)) = (entry.command.order_id(), &outcome)
                    {
                        let order = Topic::Order(entry.command.event_id, order_id);
                        self.live.ring(order);
                    }
                    entry.decided(outcome);
                }
                Settled::Blocked { by, is_new } => {
                    entry.is_doubtful &= !is_new;
                    self.park(entry, by);
                }
            }
        }
    }

    /// Counts what is over, and tells of what was slow.
    fn observe(&self, part: &[Entry], settled: &[Settled], times: &Times) {
        self.metrics.batch_len.observe(part.len() as f64);
        let took = times.total();
        self.metrics.batch_secs.observe(took.as_secs_f64());
        let now = Instant::now();
        for (entry, settled) in part.iter().zip(settled) {
            let Settled::Decided(outcome) = settled else {
                continue;
            };
            let age = entry.age(now);
            self.metrics.command_secs.observe(age.as_secs_f64());
            if let Outcome::Done(Done::Order(placed)) = outcome
                && entry.command.order_id().is_none()
            {
                self.metrics.tickets_sold.inc_by(placed.items.len() as u64);
            }
        }
        self.slow.look_at(part, times, now);
    }

    fn park(self: &Arc<Self>, mut entry: Entry, by: Blocker) {
        entry.blocked = Some(by);
        super::waiting::park(self, entry, by);
    }

    /// What is left to do after a failure: parts to attempt again. Nobody is forgotten.
    async fn recover(
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

/// Waits for the counter. What was begun ahead is not kept open while whoever is there waits for buyers.
async fn turn_at<'a>(counter: &'a Mutex<Counter>, lane: &mut Lane) -> MutexGuard<'a, Counter> {
    let mut turn = pin!(counter.lock());
    match timeout(AHEAD_MAX, &mut turn).await {
        Ok(at_counter) => at_counter,
        Err(_) => {
            lane.roll_back_ahead().await;
            turn.await
        }
    }
}

/// What the transaction needs of each entry.
pub fn requests(part: &[Entry]) -> Vec<Request<'_>> {
    part.iter().map(Entry::request).collect()
}

/// Withdraws commands whose deadline has passed, before any lock is taken for them.
pub fn give_up_late(part: Vec<Entry>) -> Vec<Entry> {
    let now = Instant::now();
    let (in_time, too_late): (Vec<Entry>, Vec<Entry>) =
        part.into_iter().partition(|entry| entry.begin(now));
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
