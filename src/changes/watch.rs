//! Following an event's log from a version on: what came after it, and then whatever comes.
//!
//! One reader reads an event's log for all who follow it in this process, and keeps its end in memory. Who follows has a
//! place in it and no queue: who takes what they are told slowly is told several sets as one, and who falls behind the end
//! that is kept is told so. A hint makes the reader look; where one was lost, it looks by itself after
//! [`LOOK_AGAIN_AFTER`].

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DbErr, FromQueryResult, RuntimeErr, Statement};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

pub use super::kept::Delta;
use super::{
    ChangeSet, Row,
    kept::{Kept, TooOld},
};
use crate::{
    fault::{Fault, Step},
    ids::EventId,
    live::{Live, Reader, Readers, TicketsWatch},
    store::Store,
};

/// A change that no hint told of is seen after so long.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// After a fault of the database.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the database may take.
const READ_MAX: Duration = Duration::from_secs(5);

/// Sets that are read at a time.
const SETS_READ_MAX: u16 = 500;

/// Between two messages to who follows: what is committed meanwhile is told together.
const PACE: Duration = Duration::from_millis(100);

/// The same for each who follows the event in this process, where that is longer: telling thousands of every commit would take
/// the processors from those who buy. A message costs about half of it.
const PACE_EACH: Duration = Duration::from_micros(50);

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

impl From<TooOld> for Unfollowed {
    fn from(TooOld: TooOld) -> Self {
        Self::TooOld
    }
}

/// Somebody's place in an event's log.
pub struct Follower {
    reader: Arc<Reader<Recent>>,
    last: watch::Receiver<Option<i64>>,
    version: i64,
    has_been_told: bool,
    next_at: Instant,
}

/// The end of an event's log.
struct Recent {
    kept: Mutex<Kept>,
    /// The last version; none before the log was read.
    last: watch::Sender<Option<i64>>,
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
    pub async fn next(&mut self) -> Result<Arc<Delta>, Unfollowed> {
        sleep_until(self.next_at).await;
        loop {
            self.last.mark_unchanged();
            let end = self.end();
            let delta = self.reader.told().kept().told_after(self.version, end)?;
            if !delta.is_nothing() || !self.has_been_told {
                self.version = delta.version;
                self.has_been_told = true;
                self.next_at = Instant::now() + self.pace();
                return Ok(delta);
            }
            // Its sender is the reader's, which is ours too.
            let _ = self.last.changed().await;
        }
    }

    /// What came after what was told last, as far as this process has seen it; nothing, if that is nothing.
    ///
    /// # Errors
    /// When what came after it is not kept any more.
    pub(super) fn missed(&mut self) -> Result<Delta, Unfollowed> {
        let delta = self.reader.told().kept().after(self.version, self.end())?;
        self.version = delta.version;
        Ok(delta)
    }

    fn pace(&self) -> Duration {
        let followers = self.reader.told().last.receiver_count();
        PACE.max(PACE_EACH * u32::try_from(followers).unwrap_or(u32::MAX))
    }

    fn end(&self) -> i64 {
        self.last.borrow().unwrap_or_default()
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

/// The last version as soon as it is `version` or a later one, if that is within `time_max`.
async fn reach(
    last: &mut watch::Receiver<Option<i64>>,
    version: i64,
    time_max: Duration,
) -> Option<i64> {
    let seen = last.wait_for(|last| *last >= Some(version));
    *timeout(time_max, seen).await.ok()?.ok()?
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
         WHERE event_id = $1 ORDER BY version DESC LIMIT $2",
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
