//! Where the time of a transaction goes, step by step.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The steps of one transaction, in their order.
#[derive(Clone, Default)]
pub struct Times(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl Times {
    /// Waits for a step, and notes how long that was.
    pub async fn measure<T>(&self, step: &'static str, call: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let answer = call.await;
        self.steps().push((step, begin.elapsed()));
        answer
    }

    pub fn total(&self) -> Duration {
        self.steps().iter().map(|(_, took)| took).sum()
    }

    fn steps(&self) -> MutexGuard<'_, Vec<(&'static str, Duration)>> {
        // Each change is whole in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (step, took)) in self.steps().iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{step} {} ms", took.as_millis())?;
        }
        Ok(())
    }
}
