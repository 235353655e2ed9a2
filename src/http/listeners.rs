//! Who listens: open sockets and streams, how many of them a caller may have, and how they end with the server.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::auth::{Account, Caller};

/// Every socket and stream of this process.
#[derive(Clone)]
pub struct Listeners(Arc<Inner>);

struct Inner {
    len_max: usize,
    permits: Arc<Semaphore>,
    by_account: Mutex<HashMap<Account, usize>>,
    per_caller_max: usize,
    /// Sockets, which HTTP knows nothing more of.
    sockets: TaskTracker,
    closing: CancellationToken,
}

/// A place among the listeners, as long as it is kept.
pub struct Admission {
    listeners: Listeners,
    account: Option<Account>,
    _permit: OwnedSemaphorePermit,
}

/// Why nobody more can listen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum Full {
    #[error("there are too many sockets and streams of this caller; end one first")]
    OfCaller,
    #[error("there are too many sockets and streams here; try again later")]
    OfAll,
}

impl Listeners {
    /// Of so many connections, a quarter is left for requests: a crowd that listens must not keep buyers out.
    pub fn new(connections_max: usize, per_caller_max: usize) -> Self {
        let len_max = connections_max - connections_max / 4;
        Self(Arc::new(Inner {
            len_max,
            permits: Arc::new(Semaphore::new(len_max)),
            by_account: Mutex::default(),
            per_caller_max,
            sockets: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Who has no token has no bound of their own: there is nothing to tell one from another by.
    ///
    /// # Errors
    /// When the caller has all that one may have, or there are as many as can be.
    pub fn admit(&self, caller: &Caller) -> Result<Admission, Full> {
        let permits = Arc::clone(&self.0.permits);
        let permit = permits.try_acquire_owned().map_err(|_| Full::OfAll)?;
        let account = caller.account().cloned();
        if let Some(account) = &account {
            let mut by_account = self.by_account();
            let len = by_account.entry(account.clone()).or_default();
            if *len >= self.0.per_caller_max {
                return Err(Full::OfCaller);
            }
            *len += 1;
        }
        Ok(Admission {
            listeners: self.clone(),
            account,
            _permit: permit,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len_max - self.0.permits.available_permits()
    }

    /// Whatever listens ends.
    pub fn close(&self) {
        self.0.closing.cancel();
        self.0.sockets.close();
    }

    pub fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    /// A socket's task, whose end [`Self::ended`] waits for.
    pub fn track<F: Future>(&self, socket: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.sockets.track_future(socket)
    }

    /// When every socket has ended, after [`Self::close`].
    pub async fn ended(&self) {
        self.0.sockets.wait().await;
    }

    fn by_account(&self) -> MutexGuard<'_, HashMap<Account, usize>> {
        // Each change is whole in itself.
        self.0
            .by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(account) = self.account.take()
            && let Entry::Occupied(mut entry) = self.listeners.by_account().entry(account)
        {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}
