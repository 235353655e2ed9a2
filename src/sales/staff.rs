//! What an organizer's staff ask for in bulk: in transactions of their own, never in the buyers' batch.
//!
//! An attempt waits for somebody else's lock only for a moment, so that it keeps what it has locked already from buyers no
//! longer than that; then it lets everything go, pauses and tries again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::DatabaseConnection;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    customers::Customers,
    desk,
    failure::{Cause, Failure},
    lane::Lane,
};
use crate::{fault::Fault, store::Store};

/// How long one statement of an attempt may take, its waits for locks included.
pub const ATTEMPT_MAX: Duration = Duration::from_millis(250);

/// After that long no new attempt is begun.
const ATTEMPTS_MAX: Duration = Duration::from_secs(4);

/// Requests of staff that are carried out at a time, each on a connection of its own.
const LANES: usize = 2;

/// Somebody else was in the way for too long. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Something that staff ask for.
pub trait Work: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// One attempt, which may be repeated after any failure, also after one of its commit: doing it twice is harmless.
    fn attempt(
        &self,
        db: &DatabaseConnection,
        customers: &Customers,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Who carries it out.
pub struct Staff {
    store: Arc<Store>,
    customers: Arc<Customers>,
    permits: Semaphore,
    lanes: Mutex<Vec<Lane>>,
}

impl Staff {
    pub fn new(store: Arc<Store>, customers: Arc<Customers>) -> Arc<Self> {
        Arc::new(Self {
            store,
            customers,
            permits: Semaphore::new(LANES),
            lanes: Mutex::default(),
        })
    }

    /// Takes the work to its end, also when whoever asked for it hangs up.
    pub async fn carry_out<W: Work>(
        self: &Arc<Self>,
        work: W,
    ) -> Result<Result<W::Answer, Busy>, Fault> {
        let staff = Arc::clone(self);
        let attempts = async move { staff.attempts(&work).await };
        self.store.to_its_end(attempts).await
    }

    async fn attempts<W: Work>(&self, work: &W) -> Result<Result<W::Answer, Busy>, Fault> {
        let deadline = Instant::now() + ATTEMPTS_MAX;
        let Ok(permit) = tokio::time::timeout_at(deadline, self.permits.acquire()).await else {
            return Ok(Err(Busy));
        };
        let _permit = permit.expect("the semaphore of staff is never closed");
        let mut lane = self.take_lane();
        let answer = self.attempts_on(&mut lane, work, deadline).await;
        self.lanes().push(lane);
        answer
    }

    async fn attempts_on<W: Work>(
        &self,
        lane: &mut Lane,
        work: &W,
        deadline: Instant,
    ) -> Result<Result<W::Answer, Busy>, Fault> {
        let (mut failures, mut is_doubtful) = (0, false);
        loop {
            let failure = match self.attempt(lane, work).await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(failure) => failure,
            };
            is_doubtful |= failure.is_commit_unknown;
            let is_late = Instant::now() >= deadline;
            match failure.cause {
                Cause::Lost => {
                    lane.discard();
                    if is_late {
                        return Err(failure.fault);
                    }
                }
                // Who cannot be told whether it happened is told of the fault.
                Cause::TimedOut | Cause::Conflict if is_late && is_doubtful => {
                    return Err(failure.fault);
                }
                Cause::TimedOut | Cause::Conflict if is_late => return Ok(Err(Busy)),
                Cause::TimedOut | Cause::Conflict => {}
                Cause::SecondOwner | Cause::TooLarge | Cause::Data => return Err(failure.fault),
            }
            failures += 1;
            desk::back_off(failures).await;
        }
    }

    async fn attempt<W: Work>(&self, lane: &mut Lane, work: &W) -> Result<W::Answer, Failure> {
        let db = lane.connection().await?;
        work.attempt(&db, &self.customers).await
    }

    fn take_lane(&self) -> Lane {
        let idle = self.lanes().pop();
        idle.unwrap_or_else(|| Lane::new(Arc::clone(&self.store)))
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
