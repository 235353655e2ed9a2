//! The end of a request's time, at the fields that wait for something.
//!
//! A field whose time is over is answered like any other that fails: null, with its path and a code, beside siblings that
//! have their values. Only the wait ends: whatever was being written goes on to its end.

use std::time::Duration;

use async_graphql::{Context, Error, Result};
use tokio::time::{Instant, timeout_at};

use super::fault::{self, Code};

/// When a request must be answered.
#[derive(Clone, Copy)]
pub enum Deadline {
    At(Instant),
    /// A subscription has no end of its own: each field of an event has so long.
    Each(Duration),
}

/// None for a schema that is executed by itself, as in a benchmark.
pub(super) fn deadline(ctx: &Context<'_>) -> Option<Instant> {
    ctx.data_opt::<Deadline>().map(|deadline| match deadline {
        Deadline::At(instant) => *instant,
        Deadline::Each(time) => Instant::now() + *time,
    })
}

/// What comes until then, if it does.
pub(super) async fn until<T>(
    deadline: Option<Instant>,
    value: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, value).await.ok(),
        None => Some(value.await),
    }
}

// Both put the work on the heap, each in its own size: the engine has one future for all fields of a type, and a buyer
// who waits for the desk would otherwise take as much memory as the largest of the organizers' mutations.

/// Waits for what is read, as long as the request has time.
///
/// # Errors
/// `TIMEOUT` when it has none.
pub fn read<T, E: Into<Error>>(
    ctx: &Context<'_>,
    value: impl Future<Output = Result<T, E>> + Send,
) -> impl Future<Output = Result<T>> + Send {
    let (deadline, value) = (deadline(ctx), Box::pin(value));
    async move {
        match until(deadline, value).await {
            Some(value) => value.map_err(Into::into),
            None => Err(fault::timed_out()),
        }
    }
}

/// Waits for what a mutation does, as long as the request has time.
///
/// # Errors
/// `OUTCOME_UNKNOWN` when it has none.
pub fn done<T>(
    ctx: &Context<'_>,
    payload: impl Future<Output = Result<T>> + Send,
) -> impl Future<Output = Result<T>> + Send {
    let (deadline, payload) = (deadline(ctx), Box::pin(payload));
    async move {
        match until(deadline, payload).await {
            Some(payload) => payload,
            None => Err(fault::retry(Code::OutcomeUnknown.error(
                "it took too long and may still happen; send the same input with the same idempotency key, or read \
                 what became of it",
            ))),
        }
    }
}
