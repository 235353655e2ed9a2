//! Answers that are given once more: to who asks the same within a moment, as long as this process has changed nothing.
//!
//! Before an on-sale opens, thousands reload the same page, and nothing changes. What is kept was true when or after it was
//! asked for, at most [`KEPT_FOR`] ago; a mutation of this process makes all of it void, so that whoever was answered one reads
//! what came of it. What other processes and the clock change is seen when it is over.

use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use quick_cache::{Weighter, sync::Cache};

/// How long: nobody who looks at a page sees that it is so old.
const KEPT_FOR: Duration = Duration::from_millis(100);

/// What all answers that are kept weigh together, at most.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Answers whose places are made ready; there may be more.
const LEN_EXPECTED: usize = 64;

/// Something that knows how much memory it takes.
pub trait Weight {
    /// In bytes.
    fn weight(&self) -> u64;
}

pub struct Kept<K, V: Weight> {
    answers: Cache<K, (Moment, V), ByBytes>,
    /// How often something was changed.
    changes: AtomicU64,
}

/// When something was asked.
#[derive(Clone, Copy)]
pub struct Moment {
    changes: u64,
    at: Instant,
}

/// Makes void what is kept, when it ends: however it ends.
pub struct Changing<'a, K: Hash + Eq, V: Weight + Clone>(&'a Kept<K, V>);

#[derive(Clone)]
struct ByBytes;

impl<K, V: Weight> Weighter<K, (Moment, V)> for ByBytes {
    fn weight(&self, _: &K, (_, answer): &(Moment, V)) -> u64 {
        answer.weight().max(1)
    }
}

impl<K: Hash + Eq, V: Weight + Clone> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            answers: Cache::with_weighter(LEN_EXPECTED, BYTES_MAX, ByBytes),
            changes: AtomicU64::new(0),
        }
    }
}

impl<K: Hash + Eq, V: Weight + Clone> Kept<K, V> {
    /// Now: to be taken before a question is looked up, or executed.
    pub fn moment(&self) -> Moment {
        Moment {
            changes: self.changes.load(Ordering::Acquire),
            at: Instant::now(),
        }
    }

    /// The answer, if there is one that is good at the `moment`.
    pub fn get(&self, question: &K, moment: Moment) -> Option<V> {
        let (asked, answer) = self.answers.get(question)?;
        let is_good = asked.changes == moment.changes && moment.at < asked.at + KEPT_FOR;
        is_good.then_some(answer)
    }

    pub fn keep(&self, question: K, asked: Moment, answer: V) {
        self.answers.insert(question, (asked, answer));
    }

    /// Something is about to be changed.
    pub fn changing(&self) -> Changing<'_, K, V> {
        Changing(self)
    }
}

impl<K: Hash + Eq, V: Weight + Clone> Drop for Changing<'_, K, V> {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Bytes(u64);

    impl Weight for Bytes {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn an_answer_is_kept_for_a_moment() {
        let kept = Kept::default();
        let asked = kept.moment();
        kept.keep("question", asked, Bytes(1));
        let after = |time| Moment {
            at: asked.at + time,
            ..asked
        };
        let within = after(KEPT_FOR - Duration::from_millis(1));
        assert_eq!(kept.get(&"question", within), Some(Bytes(1)));
        assert_eq!(kept.get(&"another question", within), None);
        assert_eq!(kept.get(&"question", after(KEPT_FOR)), None);
    }

    #[test]
    fn a_change_makes_it_void_also_if_it_came_in_between() {
        let kept = Kept::default();
        kept.keep("before", kept.moment(), Bytes(1));
        let changing = kept.changing();
        let asked = kept.moment();
        drop(changing);
        kept.keep("meanwhile", asked, Bytes(1));
        kept.keep("after", kept.moment(), Bytes(1));
        let now = kept.moment();
        assert_eq!(kept.get(&"before", now), None);
        assert_eq!(kept.get(&"meanwhile", now), None);
        assert_eq!(kept.get(&"after", now), Some(Bytes(1)));
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_bytes() {
        let kept = Kept::default();
        let asked = kept.moment();
        for question in 0..1_000 {
            kept.keep(question, asked, Bytes(BYTES_MAX / 10));
        }
        let len = (0..1_000)
            .filter(|it| kept.get(it, asked).is_some())
            .count();
        assert!((1..=10).contains(&len), "{len}");
    }
}
