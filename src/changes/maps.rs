//! Seat maps that are kept and go on with the log: however many ask for one, the database is read for a few of them.
//!
//! A map is exact: it is the event's tickets as they are at its version, which is as new as whoever follows the log is told. What
//! the log does not tell, tickets that are added or removed, is seen when the map is read again: at once where this process did
//! it, and within [`READ_AGAIN_AFTER`] otherwise.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    seat_map::{SeatMap, seat_map},
    watch::{Follower, Logs},
};
use crate::{by_itself::begun, fault::Fault, ids::EventId, store::Store};

/// A map is read anew after so long.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A map that nobody asks for is forgotten after so long: to follow a log costs the database a look every now and then.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Maps that are kept at a time. More are read whenever they are asked for.
const MAPS_MAX: usize = 64;

/// Tickets of a map that is kept, 17 bytes each. Larger ones are read whenever they are asked for.
const TICKETS_MAX: usize = 100_000;

/// The seat maps of this process.
pub struct SeatMaps {
    store: Arc<Store>,
    logs: Arc<Logs>,
    kept: Arc<Mutex<HashMap<EventId, Arc<Place>>>>,
    /// Forgets maps that nobody asks for, once there are any.
    forgetting: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// An event's map, if it was read; whoever is at it reads for all.
struct Place {
    current: AsyncMutex<Option<Current>>,
    asked_at: Mutex<Instant>,
}

struct Current {
    map: Arc<SeatMap>,
    follower: Follower,
    read_at: Instant,
}

impl SeatMaps {
    pub fn new(store: Arc<Store>, logs: Arc<Logs>) -> Self {
        Self {
            store,
            logs,
            kept: Arc::default(),
            forgetting: Mutex::default(),
        }
    }

    /// The event's map at a version that was the last one a moment ago.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(&self, event_id: EventId) -> Result<Arc<SeatMap>, Fault> {
        let Some(place) = self.place(event_id) else {
            return Ok(Arc::new(seat_map(&self.store, event_id).await?));
        };
        let mut current = place.current.lock().await;
        if let Some(kept) = current.as_mut()
            && kept.read_at.elapsed() < READ_AGAIN_AFTER
            && kept.go_on()
        {
            return Ok(Arc::clone(&kept.map));
        }
        *current = None;
        let read_at = Instant::now();
        let map = Arc::new(seat_map(&self.store, event_id).await?);
        if map.tickets.len() <= TICKETS_MAX
            && let Ok(follower) = self.logs.follow(event_id, Some(map.version)).await
        {
            *current = Some(Current {
                map: Arc::clone(&map),
                follower,
                read_at,
            });
        }
        Ok(map)
    }

    /// Tickets were added to an event, or removed: its map is read again.
    pub fn forget(&self, event_id: EventId) {
        lock(&self.kept).remove(&event_id);
    }

    /// None when there are too many.
    fn place(&self, event_id: EventId) -> Option<Arc<Place>> {
        let mut kept = lock(&self.kept);
        if let Some(place) = kept.get(&event_id) {
            *lock(&place.asked_at) = Instant::now();
            return Some(Arc::clone(place));
        }
        if kept.len() >= MAPS_MAX {
            return None;
        }
        let place = Arc::new(Place {
            current: AsyncMutex::default(),
            asked_at: Mutex::new(Instant::now()),
        });
        kept.insert(event_id, Arc::clone(&place));
        drop(kept);
        lock(&self.forgetting).get_or_insert_with(|| begun(forget_old(Arc::downgrade(&self.kept))));
        Some(place)
    }
}

impl Current {
    /// Takes the map to the log's end. False if what comes next is not kept any more.
    fn go_on(&mut self) -> bool {
        loop {
            let Ok(delta) = self.follower.missed() else {
                return false;
            };
            if delta.is_nothing() {
                return true;
            }
            let map = Arc::make_mut(&mut self.map);
            for (id, status) in delta.tickets {
                // A ticket that was added since is seen when the map is read again.
                if let Ok(place) = map.tickets.binary_search_by_key(&id, |(id, _)| *id) {
                    map.tickets[place].1 = status;
                }
            }
            map.version = delta.version;
        }
    }
}

async fn forget_old(kept: Weak<Mutex<HashMap<EventId, Arc<Place>>>>) {
    loop {
        sleep(FORGET_AFTER).await;
        let Some(kept) = kept.upgrade() else { return };
        lock(&kept).retain(|_, place| lock(&place.asked_at).elapsed() < FORGET_AFTER);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole in itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
