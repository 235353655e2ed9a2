//! Who is let in to the desk: as many as it can serve in time.
//!
//! A queue of fixed length is too long for a desk that has become slow, and too short for a fast one. So what counts is how long
//! a newcomer would wait, from how many wait already and from how fast the desk was with full batches. Smaller ones say nothing
//! about that: they are small because few came, or because what some want is being committed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long ago the desk's pace counts a third.
const PACE_MEMORY: Duration = Duration::from_secs(1);

/// What a desk is taken for until it is known: so many commands in so many seconds. It counts no more than what was seen, so that
/// one slow batch at the beginning turns nobody away, and is soon forgotten.
const PACE_BEFORE: (f64, f64) = (1_000.0, 0.1);

/// Nobody is told to come back later than this.
const COME_BACK_MAX: Duration = Duration::from_secs(30);

/// Whether newcomers are served in time.
pub struct Admission {
    wait_max: Duration,
    batch_len_max: usize,
    pace: Mutex<Pace>,
}

/// How fast the desk is with full batches.
struct Pace {
    /// Commands, and the seconds that they took; what is long ago counts less.
    commands: f64,
    secs: f64,
    /// The end of the last full batch.
    last_end: Instant,
}

/// A newcomer would wait too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// By then, those who wait now are served.
    pub come_back_after: Duration,
}

impl Admission {
    pub fn new(wait_max: Duration, batch_len_max: usize) -> Self {
        Self {
            wait_max,
            batch_len_max,
            pace: Mutex::new(Pace {
                commands: PACE_BEFORE.0,
                secs: PACE_BEFORE.1,
                last_end: Instant::now(),
            }),
        }
    }

    /// A batch of `len` that was begun then is over.
    pub fn served(&self, len: usize, begin: Instant, is_full: bool) {
        if !is_full {
            return;
        }
        let now = Instant::now();
        let mut pace = self.pace();
        // Batches overlap: while one commits, the next is served.
        let took = now.duration_since(begin.max(pace.last_end)).as_secs_f64();
        pace.last_end = now;
        let kept = (-took / PACE_MEMORY.as_secs_f64()).exp();
        pace.commands = pace.commands * kept + len as f64;
        pace.secs = pace.secs * kept + took;
    }

    /// Whether one more can be served in time, behind so many.
    ///
    /// # Errors
    /// When they would wait too long.
    pub fn admit(&self, waiting: usize) -> Result<(), Full> {
        // They all are in the next one.
        if waiting < self.batch_len_max {
            return Ok(());
        }
        let wait = {
            let pace = self.pace();
            Duration::try_from_secs_f64(waiting as f64 * pace.secs / pace.commands)
                .unwrap_or(Duration::MAX)
        };
        if wait <= self.wait_max {
            return Ok(());
        }
        Err(Full {
            come_back_after: wait.min(COME_BACK_MAX),
        })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Each change is whole in itself.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_MAX: Duration = Duration::from_secs(2);
    const BATCH_LEN: usize = 250;

    /// An admission whose desk has served full batches that took so long each.
    fn after(took: Duration, batches: u32) -> Admission {
        let admission = Admission::new(WAIT_MAX, BATCH_LEN);
        serve(&admission, BATCH_LEN, took, batches);
        admission
    }

    /// As if so many batches had ended, the last one now.
    fn serve(admission: &Admission, len: usize, took: Duration, batches: u32) {
        for _ in 0..batches {
            let begin = Instant::now() - took;
            admission.pace().last_end = begin;
            admission.served(len, begin, len == BATCH_LEN);
        }
    }

    #[tokio::test]
    async fn as_many_are_let_in_as_the_desk_serves_in_time() {
        // 1,000 a second.
        let admission = after(Duration::from_millis(250), 40);
        assert_eq!(admission.admit(0), Ok(()));
        assert_eq!(admission.admit(1_900), Ok(()));
        let full = admission.admit(4_000).unwrap_err();
        let secs = full.come_back_after.as_secs_f64();
        assert!((3.9..4.1).contains(&secs), "{secs}");
        let full = admission.admit(1_000_000).unwrap_err();
        assert_eq!(full.come_back_after, COME_BACK_MAX);
    }

    #[tokio::test]
    async fn a_desk_that_becomes_slow_lets_in_fewer_and_one_that_becomes_fast_more() {
        let admission = after(Duration::from_millis(25), 100);
        assert_eq!(admission.admit(10_000), Ok(()));
        serve(&admission, BATCH_LEN, Duration::from_millis(2_500), 2);
        assert!(admission.admit(10_000).is_err());
        serve(&admission, BATCH_LEN, Duration::from_millis(25), 200);
        assert_eq!(admission.admit(10_000), Ok(()));
    }

    #[tokio::test]
    async fn small_batches_say_nothing_of_the_desks_pace() {
        let admission = Admission::new(WAIT_MAX, BATCH_LEN);
        serve(&admission, 1, Duration::from_millis(500), 10);
        assert_eq!(admission.admit(10_000), Ok(()));
    }

    #[tokio::test]
    async fn a_small_batch_that_ends_beside_a_full_one_makes_it_no_faster() {
        let admission = Admission::new(WAIT_MAX, BATCH_LEN);
        for _ in 0..40 {
            let begin = Instant::now() - Duration::from_millis(250);
            admission.pace().last_end = begin;
            admission.served(1, begin, false);
            admission.served(BATCH_LEN, begin, true);
        }
        assert!(admission.admit(4_000).is_err());
    }

    #[tokio::test]
    async fn one_slow_batch_at_the_beginning_turns_nobody_away() {
        let admission = after(Duration::from_millis(500), 1);
        assert_eq!(admission.admit(2_000), Ok(()));
    }

    #[tokio::test]
    async fn who_is_in_the_next_batch_is_let_in_however_slow_the_desk_is() {
        let admission = after(Duration::from_secs(10), 5);
        assert_eq!(admission.admit(BATCH_LEN - 1), Ok(()));
        assert!(admission.admit(BATCH_LEN).is_err());
    }
}
