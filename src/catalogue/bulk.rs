//! Adding and removing many tickets of one event.
//!
//! PostgreSQL does it in one transaction, which holds the event's row against every other such write and no lock that a
//! sale wants. SQLite has one writer, and a transaction of 80,000 rows would keep it from every buyer for seconds: there
//! the work is cut into short transactions, and a row in `ticket_imports` hides what is half-way from readers and sales,
//! until deleting that row shows all of it at once. The same row keeps other such writes away from the event.
//!
//! The copy of an event is such a write to an event of its own, which is new: the event and its ticket types are hidden
//! with its tickets.
//!
//! A crash half-way leaves the row behind; [`discard_unfinished_imports`] then removes what it hides.

use std::time::{Duration, Instant};

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseExecutor, DatabaseTransaction,
    DbBackend, EntityTrait, PaginatorTrait, QueryFilter,
};

use super::{
    Answer, bulk_sql as sql, edit_ticket_type::lock_own_event, phrases::begin, seats::PlacedSeat,
};
use crate::{
    auth::Grant,
    entity::{event, ticket, ticket_import, ticket_type},
    fault::{Fault, Step},
    ids::{EventId, ImportId, TicketId, TicketTypeId},
    store::Store,
    time,
};

/// The largest event: setting a capacity counts its rows, and a copy reads all of them.
pub const TICKETS_PER_EVENT_MAX: usize = 250_000;

/// How long a chunk should keep SQLite's writer. A sale is promised to wait for at most 50 ms; the rest is room for a
/// disk that syncs slowly and for the checkpoint that a commit may run into.
const CHUNK_TARGET: Duration = Duration::from_millis(15);

/// The first chunk is short, since nothing is known yet about the machine.
const CHUNK_LEN_FIRST: usize = 100;

/// Longer chunks gain nothing: the cost of a commit is spread thin by then.
const CHUNK_LEN_MAX: usize = 1_500;

/// How many tickets a statement on PostgreSQL adds: of a slow machine's largest hall, each still ends within its timeout.
const STATEMENT_LEN_MAX: usize = 20_000;

/// How many leftover tickets are looked up at once when an addition is taken back.
const LEFTOVERS_LEN: u64 = 10_000;

/// A write of many tickets, begun and holding the event against others like it.
pub(super) struct Bulk<'a> {
    store: &'a Store,
    event_id: EventId,
    way: Way,
    direction: Direction,
}

enum Way {
    OneTransaction(DatabaseTransaction),
    Chunks(ImportId),
}

/// What the hidden tickets are: on their way in, or on their way out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Why such a write does not begin.
pub(super) enum NotBegun {
    /// Not there, or not this organizer's.
    UnknownEvent,
    /// Another one is at this event.
    Busy,
}

impl<'a> Bulk<'a> {
    /// Begins a write to the organizer's own event.
    pub(super) async fn begin(
        store: &'a Store,
        grant: &Grant,
        event_id: EventId,
    ) -> Result<Result<(Self, event::Model), NotBegun>, Fault> {
        let tx = begin(store).await?;
        let event = match lock_own_event(&tx, grant, event_id).await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Err(NotBegun::UnknownEvent)),
            Err(fault) if sql::is_lock_timeout(&fault) => return Ok(Err(NotBegun::Busy)),
            Err(fault) => return Err(fault),
        };
        let way = match store.backend() {
            DbBackend::Postgres => Way::OneTransaction(tx),
            _ => {
                let others = ticket_import::Entity::find()
                    .filter(ticket_import::Column::EventId.eq(event_id))
                    .count(&tx)
                    .await
                    .step("looking for unfinished additions")?;
                if others > 0 {
                    return Ok(Err(NotBegun::Busy));
                }
                let id = list(&tx, event_id).await?;
                tx.commit().await.step("listing an addition of tickets")?;
                Way::Chunks(id)
            }
        };
        let bulk = Self {
            store,
            event_id,
            way,
            direction: Direction::In,
        };
        Ok(Ok((bulk, event)))
    }

    /// Begins the write of a new event, which is seen with all its tickets or not at all.
    pub(super) async fn begin_new(
        store: &'a Store,
        mut event: event::ActiveModel,
        types: Vec<ticket_type::ActiveModel>,
    ) -> Result<(Self, event::Model), Fault> {
        let tx = begin(store).await?;
        let import = match store.backend() {
            DbBackend::Postgres => None,
            _ => Some(list(&tx, event.id.clone().unwrap()).await?),
        };
        event.import_id = Set(import);
        let event = event.insert(&tx).await.step("creating an event")?;
        if !types.is_empty() {
            ticket_type::Entity::insert_many(types)
                .exec_without_returning(&tx)
                .await
                .step("creating ticket types")?;
        }
        let way = match import {
            None => Way::OneTransaction(tx),
            Some(import) => {
                tx.commit().await.step("creating a hidden event")?;
                Way::Chunks(import)
            }
        };
        let bulk = Self {
            store,
            event_id: event.id,
            way,
            direction: Direction::In,
        };
        Ok((bulk, event))
    }

    /// Where this write reads: in its transaction, or beside SQLite's writer, whom no long read may hold up.
    pub(super) fn db(&self) -> DatabaseExecutor<'_> {
        match &self.way {
            Way::OneTransaction(tx) => tx.into(),
            Way::Chunks(_) => self.store.reader().into(),
        }
    }

    pub(super) async fn ticket_type(
        &self,
        id: TicketTypeId,
    ) -> Result<Option<ticket_type::Model>, Fault> {
        ticket_type::Entity::find_by_id((self.event_id, id))
            .one(&self.db())
            .await
            .step("reading a ticket type")
    }

    /// How many tickets more the event may have.
    pub(super) async fn room(&self) -> Result<usize, Fault> {
        let count = ticket::Entity::find()
            .filter(ticket::Column::EventId.eq(self.event_id))
            .count(&self.db())
            .await
            .step("counting an event's tickets")?;
        Ok(TICKETS_PER_EVENT_MAX.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// Adds a ticket for each seat.
    pub(super) async fn insert_seats(
        &self,
        ticket_type_id: TicketTypeId,
        seats: &[(TicketId, PlacedSeat)],
    ) -> Result<(), Fault> {
        let key = (self.event_id, ticket_type_id);
        match &self.way {
            Way::OneTransaction(tx) => {
                for part in seats.chunks(STATEMENT_LEN_MAX) {
                    sql::insert_seats(tx, key, None, part).await?;
                }
                Ok(())
            }
            Way::Chunks(import) => {
                let mut chunks = Chunks::of(seats);
                while let Some(chunk) = chunks.next() {
                    let tx = chunks.begin(self.store).await?;
                    sql::insert_seats(&tx, key, Some(*import), chunk).await?;
                    chunks.commit(tx).await?;
                }
                Ok(())
            }
        }
    }

    /// Adds a ticket without a seat for each id.
    pub(super) async fn insert_places(
        &self,
        ticket_type_id: TicketTypeId,
        ids: &[TicketId],
    ) -> Result<(), Fault> {
        let key = (self.event_id, ticket_type_id);
        match &self.way {
            Way::OneTransaction(tx) => {
                for part in ids.chunks(STATEMENT_LEN_MAX) {
                    sql::insert_places(tx, key, None, part).await?;
                }
                Ok(())
            }
            Way::Chunks(import) => {
                let mut chunks = Chunks::of(ids);
                while let Some(chunk) = chunks.next() {
                    let tx = chunks.begin(self.store).await?;
                    sql::insert_places(&tx, key, Some(*import), chunk).await?;
                    chunks.commit(tx).await?;
                }
                Ok(())
            }
        }
    }

    /// Removes those of the tickets that are unsold, unheld and never were in an order. How many there were: if it is
    /// not all of them, the caller ends with a refusal, and all are there again.
    ///
    /// On PostgreSQL the caller has locked the tickets. On SQLite they are first hidden, each if it is still free.
    pub(super) async fn remove(&mut self, ids: &[TicketId]) -> Result<usize, Fault> {
        self.direction = Direction::Out;
        let mut gone = 0;
        match &self.way {
            Way::OneTransaction(tx) => {
                gone = sql::delete(tx, self.event_id, ids).await?;
            }
            Way::Chunks(import) => {
                let mut chunks = Chunks::of(ids);
                while let Some(chunk) = chunks.next() {
                    let tx = chunks.begin(self.store).await?;
                    gone += sql::hide(&tx, self.event_id, *import, chunk).await?;
                    chunks.commit(tx).await?;
                }
            }
        }
        Ok(gone)
    }

    /// Ends the write as its answer says: kept if it was done, as if it had never begun if it was refused or failed.
    pub(super) async fn end<T, C>(self, answer: Answer<T, C>) -> Answer<T, C> {
        let is_done = matches!(answer, Ok(Ok(_)));
        let ended = match self.way {
            Way::OneTransaction(tx) if is_done => tx.commit().await.step("committing tickets"),
            Way::OneTransaction(tx) => tx.rollback().await.step("rolling back tickets"),
            Way::Chunks(import) => match (self.direction, is_done) {
                (Direction::In, true) | (Direction::Out, false) => {
                    reveal(self.store, self.event_id, import).await
                }
                (Direction::In, false) | (Direction::Out, true) => {
                    discard(self.store, self.event_id, import).await
                }
            },
        };
        match (answer, ended) {
            (answer, Ok(())) => answer,
            (Ok(_), Err(fault)) => Err(fault),
            (Err(fault), Err(second)) => {
                tracing::error!(error = %second.source, "{} failed as well", second.step);
                Err(fault)
            }
        }
    }
}

/// Removes what additions and removals that a crash interrupted have left hidden. For the start of a server on SQLite,
/// before anybody is served; elsewhere there is nothing to do. How many there were.
///
/// # Errors
/// When the database fails.
pub async fn discard_unfinished_imports(store: &Store) -> Result<usize, Fault> {
    if store.backend() == DbBackend::Postgres {
        return Ok(0);
    }
    let imports = ticket_import::Entity::find()
        .all(store.reader())
        .await
        .step("looking for unfinished additions")?;
    for import in &imports {
        discard(store, import.event_id, import.id).await?;
    }
    Ok(imports.len())
}

/// Lists an import of the event: from now on what is marked with it is hidden.
async fn list(tx: &DatabaseTransaction, event_id: EventId) -> Result<ImportId, Fault> {
    let id = ImportId::mint();
    ticket_import::ActiveModel {
        event_id: Set(event_id),
        id: Set(id),
        created_at: Set(time::now()),
    }
    .insert(tx)
    .await
    .step("listing an addition of tickets")?;
    Ok(id)
}

/// Shows everything that the import hides, at once, and counts it.
async fn reveal(store: &Store, event_id: EventId, import: ImportId) -> Result<(), Fault> {
    let deltas = sql::deltas_of_hidden(store, event_id, import).await?;
    let tx = begin(store).await?;
    sql::append(&tx, &deltas).await?;
    ticket_import::Entity::delete_by_id((event_id, import))
        .exec(&tx)
        .await
        .step("showing tickets")?;
    tx.commit().await.step("showing tickets")
}

/// Removes everything that the import hides, a new event with it. What cannot be removed, because it was sold before, is
/// shown again.
async fn discard(store: &Store, event_id: EventId, import: ImportId) -> Result<(), Fault> {
    loop {
        let hidden: Vec<TicketId> = sql::hidden(store, event_id, import, LEFTOVERS_LEN).await?;
        if hidden.is_empty() {
            return forget(store, event_id, import).await;
        }
        let mut chunks = Chunks::of(&hidden);
        while let Some(chunk) = chunks.next() {
            let tx = chunks.begin(store).await?;
            sql::delete_hidden(&tx, event_id, import, chunk).await?;
            chunks.commit(tx).await?;
        }
    }
}

/// Ends an import whose tickets are gone; if it was a new event's, the event goes too.
async fn forget(store: &Store, event_id: EventId, import: ImportId) -> Result<(), Fault> {
    let left = sql::deltas_of_hidden(store, event_id, import).await?;
    let tx = begin(store).await?;
    sql::append(&tx, &left).await?;
    let new = event::Entity::find_by_id(event_id)
        .filter(event::Column::ImportId.eq(import))
        .count(&tx)
        .await
        .step("looking for a hidden event")?;
    if new > 0 {
        ticket_type::Entity::delete_many()
            .filter(ticket_type::Column::EventId.eq(event_id))
            .exec(&tx)
            .await
            .step("removing a hidden event's ticket types")?;
        sql::forget_counts(&tx, event_id).await?;
        event::Entity::delete_by_id(event_id)
            .exec(&tx)
            .await
            .step("removing a hidden event")?;
    }
    ticket_import::Entity::delete_by_id((event_id, import))
        .exec(&tx)
        .await
        .step("ending an addition of tickets")?;
    tx.commit().await.step("ending an addition of tickets")
}

/// A long write to SQLite, piece by piece, each in a transaction so short that a sale hardly notices. Between two of
/// them the writer is free, and whoever waited for it comes first.
struct Chunks<'a, T> {
    rest: &'a [T],
    len: usize,
    begun: Instant,
}

impl<'a, T> Chunks<'a, T> {
    fn of(items: &'a [T]) -> Self {
        Self {
            rest: items,
            len: CHUNK_LEN_FIRST,
            begun: Instant::now(),
        }
    }

    fn next(&mut self) -> Option<&'a [T]> {
        if self.rest.is_empty() {
            return None;
        }
        let (chunk, rest) = self.rest.split_at(self.len.min(self.rest.len()));
        self.rest = rest;
        Some(chunk)
    }

    async fn begin(&mut self, store: &Store) -> Result<DatabaseTransaction, Fault> {
        let tx = begin(store).await?;
        // The clock runs while the writer is held, not while this waits for it.
        self.begun = Instant::now();
        Ok(tx)
    }

    async fn commit(&mut self, tx: DatabaseTransaction) -> Result<(), Fault> {
        tx.commit().await.step("committing a chunk of tickets")?;
        self.len = next_len(self.len, self.begun.elapsed());
        Ok(())
    }
}

/// The length of the next chunk, from how long the last one took: halved when it took too long, longer by half when
/// there was time to spare. Fixed costs make it converge instead of jump.
fn next_len(len: usize, took: Duration) -> usize {
    if took > CHUNK_TARGET {
        (len / 2).max(1)
    } else if took < CHUNK_TARGET / 2 {
        (len + len / 2 + 1).min(CHUNK_LEN_MAX)
    } else {
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_shrink_on_a_slow_disk_and_grow_on_a_fast_one_within_bounds() {
        assert_eq!(next_len(100, Duration::from_millis(40)), 50);
        assert_eq!(next_len(1, Duration::from_secs(1)), 1);
        assert_eq!(next_len(100, Duration::from_millis(1)), 151);
        assert_eq!(next_len(CHUNK_LEN_MAX, Duration::ZERO), CHUNK_LEN_MAX);
        assert_eq!(next_len(100, Duration::from_millis(10)), 100);
    }
}
