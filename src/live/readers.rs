//! One reader of the database for all who want the same of an event, in this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio_util::task::AbortOnDropHandle;

use crate::{by_itself::begun, ids::EventId};

/// Events that are read for subscribers at a time: each is asked after every now and then.
const READERS_MAX: usize = 1_000;

/// The readers that somebody has.
pub struct Readers<T>(Mutex<HashMap<EventId, Weak<Reader<T>>>>);

/// A reader: what it tells, and its task, which ends when nobody has it any more.
pub struct Reader<T> {
    told: Arc<T>,
    _reading: AbortOnDropHandle<()>,
}

impl<T> Default for Readers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Readers<T> {
    /// The event's reader: the one that is there, or one that begins. None when there are too many.
    pub fn of<R>(
        &self,
        event_id: EventId,
        begin: impl FnOnce() -> (Arc<T>, R),
    ) -> Option<Arc<Reader<T>>>
    where
        R: Future<Output = ()> + Send + 'static,
    {
        // Each change of it is whole in itself.
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&event_id).and_then(Weak::upgrade) {
            return Some(reader);
        }
        readers.retain(|_, reader| reader.strong_count() > 0);
        if readers.len() >= READERS_MAX {
            return None;
        }
        let (told, reading) = begin();
        let reader = Arc::new(Reader {
            told,
            _reading: begun(reading),
        });
        readers.insert(event_id, Arc::downgrade(&reader));
        Some(reader)
    }
}

impl<T> Reader<T> {
    pub fn told(&self) -> &T {
        &self.told
    }
}
