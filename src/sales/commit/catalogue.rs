//! Events and ticket types: what is known of them from earlier batches, and what a batch has to read behind its locks.
//!
//! All that a batch rests on is so at the moment of one statement behind its locks. Where everything is known, that statement
//! asks for the catalogue's revision alone (the migration's `m0017_catalogue_revision`): if it is the one that all was read
//! at, nothing has changed; if not, all is read.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, DbErr};
use uuid::Uuid;

use super::{Transaction, hints::Hints, tickets::any_of, together::Rows};
use crate::{
    fault::Step,
    ids::{EventId, TicketTypeId},
    money::Currency,
    sales::{
        decide::{EventFacts, Facts, Request, TypeFacts},
        failure::Failure,
        sql::{self, Read},
    },
};

/// Events, each with one of its types or without one.
pub(super) type Wanted = HashSet<(EventId, Option<TicketTypeId>)>;

/// What a batch needs of the catalogue.
pub(super) struct NeededCatalogue {
    wanted: Vec<(EventId, Option<TicketTypeId>)>,
    /// The revision at which all of it is known; none if something is not.
    known_at: Option<Uuid>,
}

impl NeededCatalogue {
    /// What is asked first, behind the locks.
    pub(super) fn read(&self, backend: DbBackend) -> Read {
        match self.known_at {
            Some(_) => sql::read_revision(),
            None => sql::read_catalogue(backend, &self.wanted),
        }
    }
}

const READING: &str = "reading events and ticket types";

/// Events that are remembered, and their types; then all are forgotten, and found again.
const REMEMBERED_MAX: usize = 10_000;

/// What this process has read of the catalogue.
#[derive(Default)]
pub(super) struct KnownCatalogue {
    /// The time of the last read, and the revision that it found; none where that is not kept.
    now: DateTime<Utc>,
    revision: Option<Uuid>,
    /// Each with the revision that it was read at: it may have changed since.
    events: HashMap<EventId, (Option<Uuid>, EventFacts)>,
    ticket_types: HashMap<(EventId, TicketTypeId), (Option<Uuid>, TypeFacts)>,
}

impl KnownCatalogue {
    /// Takes the time and what was read last of this, however long ago. What must be read now.
    pub(super) fn recall(&self, facts: &mut Facts, wanted: Wanted) -> NeededCatalogue {
        facts.now = self.now;
        facts.events.clear();
        facts.ticket_types.clear();
        let mut is_known = self.revision.is_some();
        for &(event_id, type_id) in &wanted {
            let of_event = self.events.get(&event_id);
            is_known &= of_event.is_some_and(|(read_at, _)| *read_at == self.revision);
            facts
                .events
                .extend(of_event.map(|(_, event)| (event_id, event.clone())));
            if let Some(type_id) = type_id {
                let key = (event_id, type_id);
                let of_type = self.ticket_types.get(&key);
                is_known &= of_type.is_some_and(|(read_at, _)| *read_at == self.revision);
                facts
                    .ticket_types
                    .extend(of_type.map(|(_, of_type)| (key, of_type.clone())));
            }
        }
        NeededCatalogue {
            wanted: wanted.into_iter().collect(),
            known_at: self.revision.filter(|_| is_known),
        }
    }

    /// All that the facts say is so at this revision.
    pub(super) fn remember(&mut self, facts: &Facts, revision: Option<Uuid>) {
        self.now = facts.now;
        self.revision = revision;
        if self.events.len().max(self.ticket_types.len()) >= REMEMBERED_MAX {
            self.events.clear();
            self.ticket_types.clear();
        }
        keep(&mut self.events, &facts.events, revision);
        keep(&mut self.ticket_types, &facts.ticket_types, revision);
    }
}

/// Keeps what is not kept already; without a revision the last to read it is right.
fn keep<K: Copy + Eq + std::hash::Hash, V: Clone>(
    kept: &mut HashMap<K, (Option<Uuid>, V)>,
    read: &HashMap<K, V>,
    revision: Option<Uuid>,
) {
    for (key, value) in read {
        let read_at = kept.get(key).and_then(|(read_at, _)| *read_at);
        if read_at.is_none() || read_at != revision {
            kept.insert(*key, (revision, value.clone()));
        }
    }
}

impl Transaction {
    /// The time, and events with ticket types as they are now.
    pub(super) async fn read_catalogue(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        hints: &Hints,
    ) -> Result<(), Failure> {
        let wanted = catalogue_of(facts, requests);
        if wanted.is_empty() {
            facts.events.clear();
            facts.ticket_types.clear();
            return Ok(());
        }
        let needed = hints.recall_catalogue(facts, wanted);
        let first = [Some(needed.read(self.backend))];
        let [first] = self.read_together(READING, first).await?;
        self.note_catalogue(facts, needed, &first, hints).await
    }

    /// Takes what is known if the first look has found it to be so still, and otherwise what was read, or is now.
    pub(super) async fn note_catalogue(
        &self,
        facts: &mut Facts,
        needed: NeededCatalogue,
        first: &Rows,
        hints: &Hints,
    ) -> Result<(), Failure> {
        let rows: Vec<sql::CatalogueRow> = match needed.known_at {
            None => first.read(READING)?,
            Some(_) => {
                let found: Vec<sql::RevisionRow> = first.read(READING)?;
                let found = found.first().ok_or_else(|| Failure::bug(READING))?;
                if found.revision == needed.known_at {
                    facts.now = found.now;
                    hints.remember_catalogue(facts, found.revision);
                    return Ok(());
                }
                let all = sql::read_catalogue(self.backend, &needed.wanted);
                self.rows(READING, all.statement).await?
            }
        };
        let revision = rows.first().and_then(|row| row.revision);
        facts.events.clear();
        facts.ticket_types.clear();
        for row in rows {
            facts.now = row.now;
            if let (Some(event), Some(id), Some(name), Some(price_minor)) = (
                row.id,
                row.ticket_type_id,
                &row.ticket_type_name,
                row.price_minor,
            ) {
                let name = name.clone();
                let ticket_type = TypeFacts { name, price_minor };
                facts.ticket_types.insert((event, id), ticket_type);
            }
            if let Some((id, event)) = event_facts(row).step(READING)? {
                facts.events.insert(id, event);
            }
        }
        hints.remember_catalogue(facts, revision);
        Ok(())
    }
}

/// The events of these requests, with the types of what is locked and of what is wanted without a name.
pub(super) fn catalogue_of(facts: &Facts, requests: &[Request<'_>]) -> Wanted {
    let locked = facts.locked.iter();
    let mut wanted: Wanted = locked
        .map(|((event, _), ticket)| (*event, Some(ticket.ticket_type_id)))
        .collect();
    let any = any_of(requests);
    wanted.extend(
        any.iter()
            .map(|any| (any.event_id, Some(any.ticket_type_id))),
    );
    // An event of which nothing is locked has its say too.
    let with_types: HashSet<EventId> = wanted.iter().map(|(event, _)| *event).collect();
    let others = events_of(requests).filter(|event| !with_types.contains(event));
    wanted.extend(others.map(|event| (event, None)));
    wanted
}

pub(super) fn events_of(requests: &[Request<'_>]) -> impl Iterator<Item = EventId> {
    requests.iter().map(|request| request.command.event_id)
}

/// None for an id that no event has.
fn event_facts(row: sql::CatalogueRow) -> Result<Option<(EventId, EventFacts)>, DbErr> {
    let Some(id) = row.id else { return Ok(None) };
    let missing = || DbErr::Type(format!("event {id} lacks a column"));
    let currency = row.currency.as_deref().and_then(Currency::from_code);
    // A number that the table's checks exclude allows nothing.
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let secs = |number: i32| u32::try_from(number).unwrap_or(0);
    let event = EventFacts {
        status: row.status.ok_or_else(missing)?,
        currency: currency
            .ok_or_else(|| DbErr::Type(format!("event {id} has an unknown currency")))?,
        sales_open_at: row.sales_open_at.ok_or_else(missing)?,
        sales_close_at: row.sales_close_at.ok_or_else(missing)?,
        tickets_per_order_max: row.tickets_per_order_max.map(count).ok_or_else(missing)?,
        tickets_per_customer_max: row.tickets_per_customer_max.map(count),
        held_per_customer_max: row.held_per_customer_max.map(count).ok_or_else(missing)?,
        hold_secs: row.hold_secs.map(secs).ok_or_else(missing)?,
        hold_secs_max: row.hold_secs_max.map(secs).ok_or_else(missing)?,
        cancellable_until: row.cancellable_until,
    };
    Ok(Some((id, event)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::event;

    const FIRST: EventId = EventId(Uuid::from_u128(1));
    const SECOND: EventId = EventId(Uuid::from_u128(2));
    const TYPE: TicketTypeId = TicketTypeId(Uuid::from_u128(3));
    const BEFORE: Option<Uuid> = Some(Uuid::from_u128(4));
    const AFTER: Option<Uuid> = Some(Uuid::from_u128(5));

    fn facts(events: &[EventId]) -> Facts {
        let event = EventFacts {
            status: event::Status::Published,
            currency: Currency::from_code("EUR").unwrap(),
            sales_open_at: DateTime::default(),
            sales_close_at: DateTime::default(),
            tickets_per_order_max: 1,
            tickets_per_customer_max: None,
            held_per_customer_max: 1,
            hold_secs: 1,
            hold_secs_max: 1,
            cancellable_until: None,
        };
        let mut facts = Facts::default();
        for id in events {
            facts.events.insert(*id, event.clone());
        }
        facts
    }

    fn facts_with_type(event_id: EventId) -> Facts {
        let mut facts = facts(&[event_id]);
        let of_type = TypeFacts {
            name: "Regular".to_owned(),
            price_minor: 1,
        };
        facts.ticket_types.insert((event_id, TYPE), of_type);
        facts
    }

    /// The revision at which all of these are known.
    fn known_at(
        known: &KnownCatalogue,
        wanted: &[(EventId, Option<TicketTypeId>)],
    ) -> Option<Uuid> {
        let wanted = wanted.iter().copied().collect();
        known.recall(&mut Facts::default(), wanted).known_at
    }

    #[test]
    fn a_pair_is_known_if_both_are() {
        let mut known = KnownCatalogue::default();
        let wanted = [(FIRST, None), (FIRST, Some(TYPE)), (SECOND, None)];
        assert_eq!(known_at(&known, &wanted[..1]), None);
        known.remember(&facts(&[FIRST]), BEFORE);
        assert_eq!(known_at(&known, &wanted[..1]), BEFORE);
        assert_eq!(known_at(&known, &wanted[..2]), None);
        known.remember(&facts_with_type(FIRST), BEFORE);
        assert_eq!(known_at(&known, &wanted[..2]), BEFORE);
        assert_eq!(known_at(&known, &wanted), None);
        known.remember(&facts(&[SECOND]), BEFORE);
        assert_eq!(known_at(&known, &wanted), BEFORE);
    }

    #[test]
    fn what_is_of_another_revision_is_recalled_and_read_again() {
        let mut known = KnownCatalogue::default();
        known.remember(&facts_with_type(FIRST), BEFORE);
        known.remember(&facts(&[SECOND]), AFTER);
        let wanted = [(FIRST, Some(TYPE)), (SECOND, None)];
        assert_eq!(known_at(&known, &wanted[..1]), None);
        assert_eq!(known_at(&known, &wanted[1..]), AFTER);
        assert_eq!(known_at(&known, &wanted), None);
        let mut facts = Facts::default();
        let mut needed = known.recall(&mut facts, wanted.into_iter().collect());
        needed.wanted.sort_unstable();
        assert_eq!(needed.wanted, wanted);
        assert_eq!((facts.events.len(), facts.ticket_types.len()), (2, 1));
    }

    /// Two clerks remember in whatever order their batches end.
    #[test]
    fn who_has_read_earlier_makes_nothing_newer_than_it_is() {
        let mut known = KnownCatalogue::default();
        known.remember(&facts(&[FIRST, SECOND]), AFTER);
        known.remember(&facts(&[FIRST]), BEFORE);
        assert_eq!(known_at(&known, &[(FIRST, None)]), BEFORE);
        assert_eq!(known_at(&known, &[(SECOND, None)]), None);
    }

    #[test]
    fn without_a_revision_nothing_counts_as_known() {
        let mut known = KnownCatalogue::default();
        known.remember(&facts(&[FIRST]), None);
        assert_eq!(known_at(&known, &[(FIRST, None)]), None);
    }
}
