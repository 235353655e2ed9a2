//! Who may have a provider asked before its time: any token that names a key which is not known. Anybody can make such
//! tokens, so that all together ask once at a time, and no more often than the pause allows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::fetch;

/// A look takes no longer than a fetch; the rest is for its beginning.
const WAIT_MAX: Duration = fetch::TIME_MAX.saturating_add(Duration::from_secs(1));

pub struct Look {
    state: Mutex<State>,
    asked: Notify,
    ends: watch::Sender<()>,
    /// From one time that it is asked to the next. Looks that come by themselves do not count: they are few, and whoever
    /// comes with a new key right after one is heard.
    pause: Duration,
}

#[derive(Default)]
struct State {
    last_asked: Option<Instant>,
    /// From when one is asked for, or begins by itself, to its end.
    is_under_way: bool,
}

impl Look {
    pub fn new(pause: Duration) -> Self {
        Self {
            state: Mutex::default(),
            asked: Notify::new(),
            ends: watch::Sender::new(()),
            pause,
        }
    }

    /// Waits for the end of a look that is under way, or asks for one. False where there can be none now.
    pub async fn again(&self) -> bool {
        // Before it is asked for, so that no end is missed.
        let mut ends = self.ends.subscribe();
        if !self.ask() {
            return false;
        }
        // Whatever became of it: there may be new keys.
        let _ = timeout(WAIT_MAX, ends.changed()).await;
        true
    }

    /// Waits until a look is asked for.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    pub fn begin(&self) {
        self.state().is_under_way = true;
    }

    pub fn end(&self) {
        self.state().is_under_way = false;
        self.ends.send_replace(());
    }

    fn ask(&self) -> bool {
        let mut state = self.state();
        if state.is_under_way {
            return true;
        }
        let is_too_soon = |asked: Instant| asked.elapsed() < self.pause;
        if state.last_asked.is_some_and(is_too_soon) {
            return false;
        }
        state.last_asked = Some(Instant::now());
        state.is_under_way = true;
        drop(state);
        self.asked.notify_one();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures_util::future::join_all;

    use super::Look;

    #[tokio::test]
    async fn many_who_ask_are_one_look_and_the_next_comes_after_the_pause() {
        let look = Arc::new(Look::new(Duration::from_secs(3600)));
        let asking = join_all((0..100).map(|_| look.again()));
        let looking = async {
            look.asked().await;
            look.begin();
            look.end();
        };
        let (looked, ()) = tokio::join!(asking, looking);
        assert!(looked.into_iter().all(|looked| looked));
        assert!(!look.again().await, "within the pause");
    }

    #[tokio::test]
    async fn without_a_pause_each_who_comes_late_asks_again() {
        let look = Look::new(Duration::ZERO);
        for _ in 0..3 {
            let looking = async {
                look.asked().await;
                look.begin();
                look.end();
            };
            assert_eq!(tokio::join!(look.again(), looking), (true, ()));
        }
    }
}
