//! Who has asked for how much lately: a bounded number of callers, of each one number.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use governor::{nanos::Nanos, state::StateStore};

/// What is left of a full memory, of four parts, when room is made: making room looks at all of it, and should be seldom.
const KEPT_QUARTERS: usize = 3;

/// When each caller's bucket is full again.
///
/// In a full memory those are forgotten whose buckets are full first. To be forgotten with an empty bucket, one would have to
/// make most of the memory's other callers spend more than oneself has: whoever can do that has as much to spend as all of
/// them, and gains nothing.
pub struct Remembered {
    full_at: Mutex<HashMap<u64, Nanos>>,
    len_max: usize,
}

impl Remembered {
    pub fn new(len_max: usize) -> Self {
        Self {
            full_at: Mutex::default(),
            len_max,
        }
    }
}

impl StateStore for Remembered {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Each change is whole in itself.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = full_at.get(key).copied();
        let (outcome, after) = measure(before)?;
        if before.is_none() && full_at.len() >= self.len_max {
            forget_the_fullest(&mut full_at);
        }
        full_at.insert(*key, after);
        Ok(outcome)
    }
}

fn forget_the_fullest(full_at: &mut HashMap<u64, Nanos>) {
    let mut times: Vec<Nanos> = full_at.values().copied().collect();
    let forgotten = (times.len() / (KEPT_QUARTERS + 1)).min(times.len().saturating_sub(1));
    if !times.is_empty() {
        let (_, last, _) = times.select_nth_unstable(forgotten);
        let last = *last;
        full_at.retain(|_, time| *time > last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(remembered: &Remembered, key: u64, until: u64) -> Option<u64> {
        let measured = remembered.measure_and_replace(&key, |before| {
            Ok::<_, std::convert::Infallible>((before, Nanos::new(until)))
        });
        let Ok(before) = measured;
        before.map(Nanos::as_u64)
    }

    #[test]
    fn a_crowd_takes_no_more_memory_than_there_is_and_makes_nobody_forgotten_who_has_spent_more() {
        let remembered = Remembered::new(100);
        spend(&remembered, 0, 1_000_000);
        for caller in 1..10_000 {
            assert_eq!(spend(&remembered, caller, caller), None);
            assert!(remembered.full_at.lock().unwrap().len() <= 100);
        }
        assert_eq!(spend(&remembered, 0, 1_000_001), Some(1_000_000));
        assert_eq!(spend(&remembered, 9_999, 1), Some(9_999));
        assert_eq!(
            spend(&remembered, 1, 1),
            None,
            "who spent least is forgotten"
        );
    }

    #[test]
    fn who_is_refused_is_remembered_as_they_were() {
        let remembered = Remembered::new(1);
        spend(&remembered, 7, 5);
        let refused = remembered.measure_and_replace(&7, |_| Err::<((), Nanos), _>("refused"));
        assert_eq!(refused, Err("refused"));
        assert_eq!(spend(&remembered, 7, 6), Some(5));
        assert_eq!(
            spend(&remembered, 8, 1),
            None,
            "one comes in the other's place"
        );
        assert_eq!(remembered.full_at.lock().unwrap().len(), 1);
    }
}
