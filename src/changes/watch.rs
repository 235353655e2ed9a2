//! Following an event's log from a version on: what came after it, and then whatever comes.
//!
//! One reader reads an event's log for all who follow it in this process, and keeps its end in memory. Who follows has a
//! place in it and no queue: who takes what they are told slowly is told several sets as one, and who falls behind the end
//! that is kept is told so. A hint makes the reader look; where one was lost, it looks by itself after
//! [`LOOK_AGAIN_AFTER`].

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DbErr, FromQueryResult, RuntimeErr, Statement};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{ChangeSet, Row};
use crate::{
    entity::ticket::Status,
    fault::{Fault, Step},
    ids::{EventId, TicketId},
    live::{Live, Reader, Readers, TicketsWatch},
    store::Store,
};

/// A change that no hint told of is seen after so long.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// After a fault of the database.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the database may take.
const READ_MAX: Duration = Duration::from_secs(5);

/// Changes that are kept of an event, apart from those of the last set: some megabytes.
const CHANGES_KEPT_MAX: usize = 20_000;

/// Sets that are read at a time.
const SETS_READ_MAX: u16 = 500;

/// Between two messages to who follows: what is committed meanwhile is told together.
const PACE: Duration = Duration::from_millis(100);

/// A message has no more changes, unless one set alone has.
const CHANGES_TOLD_MAX: usize = 2_000;

/// The logs that are followed in this process.
pub struct Logs {
    store: Arc<Store>,
    live: Arc<Live>,
    readers: Readers<Recent>,
}

/// Why a log cannot be followed.
#[derive(Debug)]
pub enum Unfollowed {
    /// What came after the version is not kept any more, or the version is none of this log's.
    TooOld,
    /// Too many events are followed in this process.
    TooMany,
    /// The log could not be read in time.
    Unread(Fault),
}

/// Somebody's place in an event's log.
pub struct Follower {
    reader: Arc<Reader<Recent>>,
    last: watch::Receiver<Option<i64>>,
    version: i64,
    has_been_told: bool,
    next_at: Instant,
}

/// What leads from one version of an event's tickets to a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub since: i64,
    pub version: i64,
    /// What each ticket that changed has become.
    pub tickets: Vec<(TicketId, Status)>,
}

/// The end of an event's log.
struct Recent {
    kept: Mutex<Kept>,
    /// The last version; none before the log was read.
    last: watch::Sender<Option<i64>>,
}

/// Sets that follow each other.
#[derive(Default)]
struct Kept {
    sets: VecDeque<ChangeSet>,
    changes_len: usize,
}

impl Logs {
    pub fn new(store: Arc<Store>, live: Arc<Live>) -> Self {
        Self {
            store,
            live,
            readers: Readers::default(),
        }
    }

    /// Follows an event's log from this version on, or from where it ends now.
    ///
    /// # Errors
    /// See [`Unfollowed`].
    pub async fn follow(
        &self,
        event_id: EventId,
        since: Option<i64>,
    ) -> Result<Follower, Unfollowed> {
        let begin = || {
            let recent = Arc::new(Recent {
                kept: Mutex::default(),
                last: watch::Sender::new(None),
            });
            // Before the first look, so that nothing falls between the two.
            let watch = self.live.watch_tickets(event_id);
            let reading = read_on(
                Arc::clone(&self.store),
                watch,
                event_id,
                Arc::clone(&recent),
            );
            (recent, reading)
        };
        let reader = self.readers.of(event_id, begin);
        let reader = reader.ok_or(Unfollowed::TooMany)?;
        let mut last = reader.told().last.subscribe();
        let end = reach(&mut last, 0, READ_MAX).await;
        let end = end.ok_or_else(|| Unfollowed::Unread(no_answer()))?;
        let version = since.unwrap_or(end);
        // Another process may have told of a version before this one has seen it.
        let reached = reach(&mut last, version, LOOK_AGAIN_AFTER * 2).await;
        if version < 0 || reached.is_none() {
            return Err(Unfollowed::TooOld);
        }
        Ok(Follower {
            reader,
            last,
            version,
            has_been_told: false,
            next_at: Instant::now(),
        })
    }
}

impl Follower {
    /// What came after what was told last; at first at once, also if that is nothing.
    ///
    /// # Errors
    /// When what came after it is not kept any more.
    pub async fn next(&mut self) -> Result<Delta, Unfollowed> {
        sleep_until(self.next_at).await;
        loop {
            self.last.mark_unchanged();
            let delta = self.reader.told().kept().after(self.version, self.end())?;
            if !delta.is_nothing() || !self.has_been_told {
                self.version = delta.version;
                self.has_been_told = true;
                self.next_at = Instant::now() + PACE;
                return Ok(delta);
            }
            // Its sender is the reader's, which is ours too.
            let _ = self.last.changed().await;
        }
    }

    fn end(&self) -> i64 {
        self.last.borrow().unwrap_or_default()
    }
}

impl Delta {
    fn is_nothing(&self) -> bool {
        self.since == self.version
    }
}

impl Recent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change is whole in itself.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on. Whether there may be more.
    async fn catch_up(&self, store: &Store, event_id: EventId) -> Result<bool, Fault> {
        let last = *self.last.borrow();
        let sets = match last {
            Some(last) => sets_after(store, event_id, last).await?,
            None => last_sets(store, event_id).await?,
        };
        let has_more = last.is_some() && sets.len() >= SETS_READ_MAX.into();
        let end = match sets.last() {
            Some(set) => set.version,
            None if last.is_some() => return Ok(false),
            None => forgotten(store, event_id).await?,
        };
        {
            let mut kept = self.kept();
            for set in sets {
                kept.push(set);
            }
        }
        self.last.send_replace(Some(end));
        Ok(has_more)
    }
}

impl Kept {
    fn push(&mut self, set: ChangeSet) {
        let follows = |last: &ChangeSet| last.version + 1 == set.version;
        if !self.sets.back().is_none_or(follows) {
            // What was between the two is forgotten.
            *self = Self::default();
        }
        self.changes_len += set.changes.len();
        self.sets.push_back(set);
        while self.changes_len > CHANGES_KEPT_MAX && self.sets.len() > 1 {
            let first = self.sets.pop_front();
            self.changes_len -= first.map_or(0, |set| set.changes.len());
        }
    }

    /// What leads on from `version`, of a log that ends with `end`.
    fn after(&self, version: i64, end: i64) -> Result<Delta, Unfollowed> {
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
        let skipped = usize::try_from(version + 1 - first).map_err(|_| Unfollowed::TooOld)?;
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

/// The last version as soon as it is `version` or a later one, if that is within `time_max`.
async fn reach(
    last: &mut watch::Receiver<Option<i64>>,
    version: i64,
    time_max: Duration,
) -> Option<i64> {
    let seen = last.wait_for(|last| *last >= Some(version));
    *timeout(time_max, seen).await.ok()?.ok()?
}

fn of_set(set: &ChangeSet) -> impl Iterator<Item = (TicketId, Status)> {
    set.changes
        .iter()
        .map(|change| (change.ticket_id, change.to))
}

/// Reads an event's log for all who follow it.
async fn read_on(
    store: Arc<Store>,
    mut watch: TicketsWatch,
    event_id: EventId,
    recent: Arc<Recent>,
) {
    let mut has_failed = false;
    loop {
        let caught_up = timeout(READ_MAX, recent.catch_up(&store, event_id)).await;
        match caught_up.unwrap_or_else(|_| Err(no_answer())) {
            Ok(has_more) => {
                has_failed = false;
                if !has_more {
                    // Either way it is looked at.
                    let _ = timeout(LOOK_AGAIN_AFTER, watch.changed()).await;
                }
            }
            Err(fault) => {
                // Once for an outage.
                if !has_failed {
                    tracing::warn!(
                        event.id = %event_id, error = %fault.source,
                        "{} of event {event_id} failed; it is tried again", fault.step
                    );
                }
                has_failed = true;
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

fn no_answer() -> Fault {
    Fault {
        step: "reading the changes",
        source: DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned())),
    }
}

/// The next sets after this version.
async fn sets_after(
    store: &Store,
    event_id: EventId,
    version: i64,
) -> Result<Vec<ChangeSet>, Fault> {
    let statement = Statement::from_sql_and_values(
        store.backend(),
        "SELECT version, at, changes FROM ticket_changes
         WHERE event_id = $1 AND version > $2 ORDER BY version LIMIT $3",
        [
            event_id.0.into(),
            version.into(),
            i64::from(SETS_READ_MAX).into(),
        ],
    );
    sets(store, statement).await
}

/// The last sets there are.
async fn last_sets(store: &Store, event_id: EventId) -> Result<Vec<ChangeSet>, Fault> {
    let statement = Statement::from_sql_and_values(
        store.backend(),
        "SELECT version, at, changes FROM ticket_changes
         WHERE event_id = $1 AND version > 0 ORDER BY version DESC LIMIT $2",
        [event_id.0.into(), i64::from(SETS_READ_MAX).into()],
    );
    let mut sets = sets(store, statement).await?;
    sets.reverse();
    Ok(sets)
}

async fn sets(store: &Store, statement: Statement) -> Result<Vec<ChangeSet>, Fault> {
    let rows = Row::find_by_statement(statement).all(store.reader());
    let rows = rows.await.step("reading the changes")?;
    rows.into_iter().map(Row::into_set).collect()
}

/// Up to which version the log was forgotten.
async fn forgotten(store: &Store, event_id: EventId) -> Result<i64, Fault> {
    #[derive(FromQueryResult)]
    struct Forgotten {
        version: i64,
    }
    let statement = Statement::from_sql_and_values(
        store.backend(),
        "SELECT version FROM ticket_changes_forgotten WHERE event_id = $1",
        [event_id.0.into()],
    );
    let found = Forgotten::find_by_statement(statement).one(store.reader());
    let found = found
        .await
        .step("reading what is forgotten of the changes")?;
    Ok(found.map_or(0, |found| found.version))
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
        assert!(matches!(kept.after(3, 7), Err(Unfollowed::TooOld)));
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
        assert!(matches!(kept.after(0, last), Err(Unfollowed::TooOld)));
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
        assert!(matches!(kept.after(1, 3), Err(Unfollowed::TooOld)));
        assert_eq!(kept.after(2, 3).unwrap().version, 3);
        // A log of which nothing is left.
        let empty = Kept::default();
        assert!(matches!(empty.after(3, 9), Err(Unfollowed::TooOld)));
        assert_eq!(empty.after(9, 9).unwrap().version, 9);
    }
}
