//! How many tickets of an event are left, told whenever that has changed.
//!
//! One reader asks for all who watch an event in this process, no more often than every [`PACE`]; who watches is told how it
//! is when they take it, and has no queue.

use std::{sync::Arc, time::Duration};

use sea_orm::{DbErr, RuntimeErr};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{Availability, availability_of_events};
use crate::{
    fault::Fault,
    ids::{EventId, TicketTypeId},
    live::{Live, Reader, Readers, TicketsWatch},
    store::Store,
};

/// Between two looks: what changes meanwhile is told together.
const PACE: Duration = Duration::from_millis(250);

/// What no hint tells of is seen after so long: tickets that are added or removed, and holds that are over.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long the database may take.
const READ_MAX: Duration = Duration::from_secs(5);

/// Of each ticket type that has tickets, in the order of their ids.
pub type Counts = Arc<[(TicketTypeId, Availability)]>;

/// The events whose availability is watched in this process.
pub struct Availabilities {
    store: Arc<Store>,
    live: Arc<Live>,
    readers: Readers<Told>,
}

/// None before it was read.
type Told = watch::Sender<Option<Counts>>;

/// Why an event's availability cannot be watched.
#[derive(Debug)]
pub enum Unwatched {
    /// Too many events are watched in this process.
    TooMany,
    /// It could not be read in time.
    Unread(Fault),
}

/// Somebody's watch.
pub struct AvailabilityWatch {
    /// Kept as long as somebody watches.
    _reader: Arc<Reader<Told>>,
    told: watch::Receiver<Option<Counts>>,
}

impl Availabilities {
    pub fn new(store: Arc<Store>, live: Arc<Live>) -> Self {
        Self {
            store,
            live,
            readers: Readers::default(),
        }
    }

    /// Watches an event, which the caller may see.
    ///
    /// # Errors
    /// See [`Unwatched`].
    pub async fn watch(&self, event_id: EventId) -> Result<AvailabilityWatch, Unwatched> {
        let begin = || {
            let told = Arc::new(watch::Sender::new(None));
            // Before the first look, so that nothing falls between the two.
            let watch = self.live.watch_tickets(event_id);
            let reading = read_on(Arc::clone(&self.store), watch, event_id, Arc::clone(&told));
            (told, reading)
        };
        let reader = self.readers.of(event_id, begin);
        let reader = reader.ok_or(Unwatched::TooMany)?;
        let mut told = reader.told().subscribe();
        let is_read = timeout(READ_MAX, told.wait_for(Option::is_some)).await;
        if !matches!(is_read, Ok(Ok(_))) {
            return Err(Unwatched::Unread(no_answer()));
        }
        drop(is_read);
        told.mark_changed();
        Ok(AvailabilityWatch {
            _reader: reader,
            told,
        })
    }
}

impl AvailabilityWatch {
    /// How it is, at once at first, and then when it is another than it was.
    pub async fn next(&mut self) -> Counts {
        // Its sender is the reader's, which is ours too.
        let _ = self.told.changed().await;
        let told = self.told.borrow_and_update();
        told.clone()
            .expect("whoever watches has waited for the first reading")
    }
}

/// Reads an event's availability for all who watch it.
async fn read_on(store: Arc<Store>, mut watch: TicketsWatch, event_id: EventId, told: Arc<Told>) {
    let mut has_failed = false;
    loop {
        let read = timeout(READ_MAX, counts(&store, event_id)).await;
        match read.unwrap_or_else(|_| Err(no_answer())) {
            Ok(counts) => {
                has_failed = false;
                told.send_if_modified(|last| {
                    let is_other = last.as_ref() != Some(&counts);
                    *last = Some(counts);
                    is_other
                });
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
            }
        }
        sleep(PACE).await;
        // Either way it is looked at.
        let _ = timeout(LOOK_AGAIN_AFTER, watch.changed()).await;
    }
}

async fn counts(store: &Store, event_id: EventId) -> Result<Counts, Fault> {
    let counts = availability_of_events(store, &[event_id]).await?;
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|((_, ticket_type_id), count)| (ticket_type_id, count))
        .collect();
    counts.sort_unstable_by_key(|(id, _)| *id);
    Ok(counts.into())
}

fn no_answer() -> Fault {
    Fault {
        step: "reading the availability",
        source: DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned())),
    }
}
