//! The end of an event's log, as it is kept in memory: bounded, and without a gap.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::ChangeSet;
use crate::{entity::ticket::Status, ids::TicketId};

/// Changes that are kept of an event, apart from those of the last set: some megabytes.
const CHANGES_KEPT_MAX: usize = 20_000;

/// A message has no more changes, unless one set alone has.
const CHANGES_TOLD_MAX: usize = 2_000;

/// Versions from which somebody was led to the end, of which that is remembered for others: thousands are told at the same
/// time, and most of them knew one of few versions.
const TOLD_MAX: usize = 64;

/// What leads from one version of an event's tickets to a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub since: i64,
    pub version: i64,
    /// What each ticket that changed has become.
    pub tickets: Vec<(TicketId, Status)>,
}

/// What came after a version is not kept any more, or the version is none of this log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooOld;

/// Sets that follow each other.
#[derive(Default)]
pub(super) struct Kept {
    sets: VecDeque<ChangeSet>,
    changes_len: usize,
    /// What was told since the last set came.
    told: Vec<Arc<Delta>>,
}

impl Delta {
    pub(super) fn is_nothing(&self) -> bool {
        self.since == self.version
    }
}

impl Kept {
    pub(super) fn push(&mut self, set: ChangeSet) {
        let follows = |last: &ChangeSet| last.version + 1 == set.version;
        if !self.sets.back().is_none_or(follows) {
            // What was between the two is forgotten.
            *self = Self::default();
        }
        self.told.clear();
        self.changes_len += set.changes.len();
        self.sets.push_back(set);
        while self.changes_len > CHANGES_KEPT_MAX && self.sets.len() > 1 {
            let first = self.sets.pop_front();
            self.changes_len -= first.map_or(0, |set| set.changes.len());
        }
    }

    /// As [`Self::after`], once for all who know the same.
    ///
    /// # Errors
    /// When what came after it is not kept any more.
    pub(super) fn told_after(&mut self, version: i64, end: i64) -> Result<Arc<Delta>, TooOld> {
        if let Some(told) = self.told.iter().find(|told| told.since == version) {
            return Ok(Arc::clone(told));
        }
        let delta = Arc::new(self.after(version, end)?);
        if !delta.is_nothing() && self.told.len() < TOLD_MAX {
            self.told.push(Arc::clone(&delta));
        }
        Ok(delta)
    }

    /// What leads on from `version`, of a log that ends with `end`.
    ///
    /// # Errors
    /// When what came after it is not kept any more.
    pub(super) fn after(&self, version: i64, end: i64) -> Result<Delta, TooOld> {
        let nothing = Delta {
            since: version,
            version,
            tickets: Vec::new(),
        };
        let end = self.sets.back().map_or(end, |set| set.version);
        if version == end {
            return Ok(nothing);
        }
        let first = self.sets.front().map_or(end + 1, |set| set.version);
        let skipped = usize::try_from(version + 1 - first).map_err(|_| TooOld)?;
        let mut sets = self.sets.range(skipped.min(self.sets.len())..);
        let Some(next) = sets.next() else {
            return Ok(nothing);
        };
        let mut delta = Delta {
            version: next.version,
            tickets: of_set(next).collect(),
            ..nothing
        };
        let mut places: HashMap<TicketId, usize> = HashMap::new();
        for set in sets {
            if delta.tickets.len() + set.changes.len() > CHANGES_TOLD_MAX {
                break;
            }
            if places.is_empty() {
                places.extend((0..).zip(&delta.tickets).map(|(n, (id, _))| (*id, n)));
            }
            for (id, status) in of_set(set) {
                match places.get(&id) {
                    Some(place) => delta.tickets[*place].1 = status,
                    None => {
                        places.insert(id, delta.tickets.len());
                        delta.tickets.push((id, status));
                    }
                }
            }
            delta.version = set.version;
        }
        Ok(delta)
    }
}

fn of_set(set: &ChangeSet) -> impl Iterator<Item = (TicketId, Status)> {
    set.changes
        .iter()
        .map(|change| (change.ticket_id, change.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{Cause, Change, Whose};

    fn set(version: i64, tickets: &[(TicketId, Status)]) -> ChangeSet {
        let change = |&(ticket_id, to): &(TicketId, Status)| Change {
            ticket_id,
            from: Status::Available,
            to,
            cause: Cause::Purchase,
            whose: Whose::Nobody,
            staff: None,
        };
        ChangeSet {
            version,
            at: crate::time::now(),
            changes: tickets.iter().map(change).collect(),
        }
    }

    #[test]
    fn who_is_behind_is_told_what_each_ticket_has_become() {
        let (one, two) = (TicketId::mint(), TicketId::mint());
        let mut kept = Kept::default();
        kept.push(set(5, &[(one, Status::Held)]));
        kept.push(set(6, &[(two, Status::Blocked)]));
        kept.push(set(7, &[(one, Status::Sold)]));
        let told = |version| {
            let delta = kept.after(version, 7).unwrap();
            (delta.since, delta.version, delta.tickets)
        };
        assert_eq!(
            told(4),
            (4, 7, vec![(one, Status::Sold), (two, Status::Blocked)])
        );
        assert_eq!(told(6), (6, 7, vec![(one, Status::Sold)]));
        assert_eq!(told(7), (7, 7, vec![]));
        assert!(matches!(kept.after(3, 7), Err(TooOld)));
    }

    #[test]
    fn those_who_know_the_same_are_told_the_same_until_there_is_more() {
        let ticket = TicketId::mint();
        let mut kept = Kept::default();
        kept.push(set(1, &[(ticket, Status::Held)]));
        let (one, other) = (
            kept.told_after(0, 1).unwrap(),
            kept.told_after(0, 1).unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
        assert!(kept.told_after(1, 1).unwrap().is_nothing());
        kept.push(set(2, &[(ticket, Status::Sold)]));
        for version in [0, 1] {
            let told = kept.told_after(version, 2).unwrap();
            assert_eq!(*told, kept.after(version, 2).unwrap());
        }
    }

    #[test]
    fn the_end_that_is_kept_is_bounded_and_a_message_too() {
        const SET_LEN: usize = 1_500;
        let mut kept = Kept::default();
        let last = 20;
        for version in 1..=last {
            let tickets: Vec<_> = (0..SET_LEN)
                .map(|_| (TicketId::mint(), Status::Sold))
                .collect();
            kept.push(set(version, &tickets));
            assert!(kept.changes_len <= CHANGES_KEPT_MAX);
        }
        assert!(matches!(kept.after(0, last), Err(TooOld)));
        let mut version = last - 5;
        while version < last {
            let delta = kept.after(version, last).unwrap();
            assert_eq!((delta.version, delta.tickets.len()), (version + 1, SET_LEN));
            version = delta.version;
        }
    }

    #[test]
    fn a_gap_is_never_passed_over() {
        let ticket = TicketId::mint();
        let mut kept = Kept::default();
        kept.push(set(1, &[(ticket, Status::Held)]));
        kept.push(set(3, &[(ticket, Status::Sold)]));
        assert!(matches!(kept.after(1, 3), Err(TooOld)));
        assert_eq!(kept.after(2, 3).unwrap().version, 3);
        // A log of which nothing is left.
        let empty = Kept::default();
        assert!(matches!(empty.after(3, 9), Err(TooOld)));
        assert_eq!(empty.after(9, 9).unwrap().version, 9);
    }
}
