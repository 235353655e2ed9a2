//! Work that goes on by itself, as long as somebody waits for it.

use std::{future::pending, panic::resume_unwind};

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// What `work` comes to, from a task of its own that begins at once and ends when this is dropped. So whoever waits may do
/// something else meanwhile, such as wait for a client that takes nothing, and what the work has is not kept from others.
///
/// # Panics
/// As `work` does.
pub fn by_itself<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let task = begun(work);
    async move {
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends, and whoever waits with it.
                Err(_) => pending().await,
            },
        }
    }
}

/// Begins `work` as a task of its own, which ends when this is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "its owner is whoever has this, and whatever bounds them bounds it"
)]
pub fn begun<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(work.in_current_span()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::{sync::oneshot, time::sleep};

    use super::by_itself;

    #[tokio::test]
    async fn work_goes_on_while_nobody_looks_and_ends_with_who_waits() {
        let (done, is_done) = oneshot::channel();
        let working = by_itself(async move { done.send(()) });
        is_done.await.unwrap();
        working.await.unwrap();

        let (held, is_dropped) = oneshot::channel::<()>();
        let working = by_itself(async move {
            sleep(Duration::from_secs(3600)).await;
            drop(held);
        });
        drop(working);
        is_dropped.await.unwrap_err();
    }

    #[tokio::test]
    async fn a_panic_is_the_waiters() {
        let working = by_itself(async { panic!("on purpose") });
        let panicked = std::panic::AssertUnwindSafe(working).catch_unwind().await;
        assert_eq!(
            *panicked.unwrap_err().downcast::<&str>().unwrap(),
            "on purpose"
        );
    }
}
