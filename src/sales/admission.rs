//! Who is let in to the desk: as many as it can serve in time.
//!
//! A queue of fixed length is too long for a desk that has become slow, and too short for a fast one. So what counts is how long
//! a newcomer would wait, from how many wait already and from how fast the desk was when more waited than it could take. An
//! idle desk says nothing about that: its batches are small because nobody came.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long ago the desk's pace counts a third.
const PACE_MEMORY: Duration = Duration::from_secs(1);

/// Nobody is told to come back later than this.
const COME_BACK_MAX: Duration = Duration::from_secs(30);

/// Whether newcomers are served in time.
pub struct Admission {
    wait_max: Duration,
    pace: Mutex<Pace>,
}

/// How fast the desk is, as it was when more waited than it could take.
struct Pace {
    /// Commands, and the seconds that they took; what is long ago counts less.
    commands: f64,
    secs: f64,
    /// The end of the last batch.
    last_end: Instant,
}

/// A newcomer would wait too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// By then, those who wait now are served.
    pub come_back_after: Duration,
}

impl Admission {
    pub fn new(wait_max: Duration) -> Self {
        Self {
            wait_max,
            pace: Mutex::new(Pace {
                commands: 0.0,
                secs: 0.0,
                last_end: Instant::now(),
            }),
        }
    }

    /// A batch of `len` that was begun then is over, and so many were left to wait when it was.
    pub fn served(&self, len: usize, begin: Instant, left: usize) {
        let now = Instant::now();
        let mut pace = self.pace();
        // Batches overlap: while one commits, the next is served.
        let took = now.duration_since(begin.max(pace.last_end)).as_secs_f64();
        pace.last_end = now;
        if left < len {
            return;
        }
        let kept = (-took / PACE_MEMORY.as_secs_f64()).exp();
        pace.commands = pace.commands * kept + len as f64;
        pace.secs = pace.secs * kept + took;
    }

    /// Whether one more can be served in time, behind so many.
    ///
    /// # Errors
    /// When they would wait too long.
    pub fn admit(&self, waiting: usize) -> Result<(), Full> {
        if waiting == 0 {
            return Ok(());
        }
        let wait = {
            let pace = self.pace();
            if pace.commands == 0.0 {
                return Ok(());
            }
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

    /// An admission whose desk has served batches of `len` that took so long each, while many waited.
    fn after(len: usize, took: Duration, batches: u32) -> Admission {
        let admission = Admission::new(WAIT_MAX);
        serve(&admission, len, took, batches);
        admission
    }

    /// As if so many batches had ended, the last one now.
    fn serve(admission: &Admission, len: usize, took: Duration, batches: u32) {
        for _ in 0..batches {
            let begin = Instant::now() - took;
            admission.pace().last_end = begin;
            admission.served(len, begin, usize::MAX);
        }
    }

    #[tokio::test]
    async fn as_many_are_let_in_as_the_desk_serves_in_time() {
        // 1,000 a second.
        let admission = after(250, Duration::from_millis(250), 10);
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
        let admission = after(250, Duration::from_millis(25), 100);
        assert_eq!(admission.admit(10_000), Ok(()));
        serve(&admission, 250, Duration::from_millis(2_500), 2);
        assert!(admission.admit(10_000).is_err());
        serve(&admission, 250, Duration::from_millis(25), 200);
        assert_eq!(admission.admit(10_000), Ok(()));
    }

    #[tokio::test]
    async fn small_batches_of_an_idle_desk_say_nothing() {
        let admission = Admission::new(WAIT_MAX);
        let begin = Instant::now() - Duration::from_millis(100);
        admission.pace().last_end = begin;
        admission.served(1, begin, 0);
        assert_eq!(admission.admit(10_000), Ok(()));
    }

    #[tokio::test]
    async fn nobody_waits_for_an_empty_desk() {
        let admission = after(1, Duration::from_secs(1), 5);
        assert!(admission.admit(10).is_err());
        assert_eq!(admission.admit(0), Ok(()));
    }
}
