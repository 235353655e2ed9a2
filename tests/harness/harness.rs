//! What the tests stand on: databases, server processes and clients.
//!
//! Included by each test program, which says in `crate::server` which binary it tests. What a test starts, it ends: every
//! value here cleans up when it is dropped, and what a killed test leaves ends by itself. Nothing here waits by sleeping:
//! see [`eventually`].
#![allow(dead_code, reason = "each test program uses a part of the harness")]

#[macro_use]
mod both;
pub mod client;
pub mod database;
pub mod postgres;
pub mod rows;
pub mod seed;
pub mod server;
pub mod socket;

use std::time::{Duration, Instant};

pub use self::{
    client::{Client, Order, Outcome},
    database::Database,
    server::Server,
};

/// How often [`eventually`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something, and fails the test when it has found nothing for `deadline`.
///
/// `what` completes the sentence "… did not happen within …".
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            begin.elapsed() < deadline,
            "{what} did not happen within {deadline:?}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
