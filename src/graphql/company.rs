//! One execution for many: who asks the same as others, while what was asked before is still being answered, is answered
//! together with them.
//!
//! Nothing is kept. An execution begins after everybody whom it answers has asked, so that each is told what was true at
//! some moment after their request came, as if it had been executed alone.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, WeakShared},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::by_itself::by_itself;

/// Executions for the same question that run at once; who comes meanwhile waits for the next, in company. More would be more
/// work for the same answers.
const RUNNING_MAX: usize = 1;

/// Executions that others may join.
pub struct Company<K, V: Clone>(Arc<Mutex<HashMap<K, Asked<V>>>>);

/// What is going on about one question.
struct Asked<V: Clone> {
    permits: Arc<Semaphore>,
    /// Executions that are running or waiting to.
    len: usize,
    /// One that has not begun, as long as somebody waits for it.
    next: Option<WeakShared<BoxFuture<'static, V>>>,
}

impl<K, V: Clone> Default for Company<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// An execution; removed wherever it ends, also when everybody who waits for it hangs up.
struct Execution<K: Hash + Eq, V: Clone> {
    all: Arc<Mutex<HashMap<K, Asked<V>>>>,
    key: K,
}

impl<K, V> Company<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to a question: what `execute` makes of `input`, or what an execution gives that had not begun when this was
    /// asked; then `input` comes back with it.
    pub async fn ask<I, F>(&self, key: K, input: I, execute: impl FnOnce(I) -> F) -> (V, Option<I>)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (execution, unused) = {
            let mut all = lock(&self.0);
            let asked = all.entry(key.clone()).or_insert_with(|| Asked {
                permits: Arc::new(Semaphore::new(RUNNING_MAX)),
                len: 0,
                next: None,
            });
            match asked.next.as_ref().and_then(WeakShared::upgrade) {
                Some(next) => (next, Some(input)),
                None => {
                    asked.len += 1;
                    let permits = Arc::clone(&asked.permits);
                    let execution = Execution {
                        all: Arc::clone(&self.0),
                        key,
                    };
                    let running = run(permits, execution, execute(input));
                    let next = here_or_by_itself(running).boxed().shared();
                    asked.next = next.downgrade();
                    (next, None)
                }
            }
        };
        (execution.await, unused)
    }
}

/// Here, where there is nothing to wait for: a task of its own costs more than many an answer. And by itself otherwise, since
/// none of those who wait must be able to keep it from the others.
async fn here_or_by_itself<V: Send + 'static>(
    running: impl Future<Output = V> + Send + 'static,
) -> V {
    let mut running = Box::pin(running);
    match running.as_mut().now_or_never() {
        Some(answer) => answer,
        None => by_itself(running).await,
    }
}

async fn run<K: Hash + Eq, V: Clone>(
    permits: Arc<Semaphore>,
    execution: Execution<K, V>,
    execute: impl Future<Output = V>,
) -> V {
    let _permit: OwnedSemaphorePermit = permits
        .acquire_owned()
        .await
        .expect("the semaphore of a question is never closed");
    execution.begin();
    execute.await
}

impl<K: Hash + Eq, V: Clone> Execution<K, V> {
    /// Nobody joins any more.
    fn begin(&self) {
        if let Some(asked) = lock(&self.all).get_mut(&self.key) {
            asked.next = None;
        }
    }
}

impl<K: Hash + Eq, V: Clone> Drop for Execution<K, V> {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(asked) = all.get_mut(&self.key) {
            asked.len -= 1;
            if asked.len == 0 {
                all.remove(&self.key);
            }
        }
    }
}

fn lock<K, V: Clone>(all: &Mutex<HashMap<K, Asked<V>>>) -> MutexGuard<'_, HashMap<K, Asked<V>>> {
    // Each change is whole in itself.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    /// Counts executions, each of which takes a while and answers with its number.
    #[derive(Clone, Default)]
    struct Counter(Arc<AtomicUsize>);

    impl Counter {
        async fn execute(self) -> usize {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            for _ in 0..10 {
                yield_now().await;
            }
            number
        }
    }

    #[tokio::test]
    async fn many_who_ask_the_same_at_once_are_answered_by_few_executions() {
        let (company, counter) = (Company::default(), Counter::default());
        let asking = (0..100).map(|_| company.ask("same", (), |()| counter.clone().execute()));
        let answers = join_all(asking).await;
        assert_eq!(answers.len(), 100);
        assert!(counter.0.load(Ordering::SeqCst) <= RUNNING_MAX + 1);
        assert!(lock(&company.0).is_empty());
    }

    #[tokio::test]
    async fn nobody_is_answered_by_what_began_before_they_asked() {
        let (company, counter) = (Company::default(), Counter::default());
        let mut asking = Vec::new();
        for _ in 0..50 {
            let begun_before = counter.0.load(Ordering::SeqCst);
            let mut asked = Box::pin(company.ask("same", (), |()| counter.clone().execute()));
            if let Some((number, _)) = (&mut asked).now_or_never() {
                assert!(number >= begun_before);
            } else {
                asking.push(async move { (begun_before, asked.await.0) });
            }
            yield_now().await;
        }
        for (begun_before, number) in join_all(asking).await {
            assert!(number >= begun_before, "{number} of {begun_before}");
        }
    }

    #[tokio::test]
    async fn who_stops_waiting_without_hanging_up_keeps_nobody() {
        let (company, counter) = (Company::default(), Counter::default());
        let mut stopped = Box::pin(company.ask("same", (), |()| counter.clone().execute()));
        while counter.0.load(Ordering::SeqCst) == 0 {
            assert!((&mut stopped).now_or_never().is_none());
            yield_now().await;
        }
        let (number, _) = company
            .ask("same", (), |()| counter.clone().execute())
            .await;
        assert_eq!(number, 1);
        assert_eq!(stopped.await.0, 0);
    }

    #[tokio::test]
    async fn different_questions_have_different_answers() {
        let company = Company::default();
        let asking = (0..20).map(|n| company.ask(n % 4, n % 4, |n| async move { n }));
        for (n, (answer, _)) in join_all(asking).await.into_iter().enumerate() {
            assert_eq!(answer, n % 4);
        }
    }

    #[tokio::test]
    async fn nothing_is_left_when_everybody_hangs_up() {
        let (company, counter) = (Company::default(), Counter::default());
        let mut asking: Vec<_> = (0..5)
            .map(|_| Box::pin(company.ask("same", (), |()| counter.clone().execute())))
            .collect();
        for asked in &mut asking {
            assert!(asked.now_or_never().is_none());
        }
        while counter.0.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        drop(asking);
        while !lock(&company.0).is_empty() {
            yield_now().await;
        }
        company
            .ask("same", (), |()| counter.clone().execute())
            .await;
        assert_eq!(counter.0.load(Ordering::SeqCst), RUNNING_MAX + 1);
    }
}
