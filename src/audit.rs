//! The audit: Rowlock's promise, recomputed from the rows.
//!
//! Everything is read in one snapshot, on a connection of its own and beside running servers; nothing is written and
//! nobody is locked. The database does the counting, so that memory is bounded by the number of events and violations
//! shown, never by that of tickets. It judges rows alone: it trusts neither the code that wrote them nor the constraints
//! that should have kept them right.

mod checks;
mod kinds;
mod report;
mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult};
use uuid::Uuid;

use self::{checks::CHECKS, snapshot::Snapshot};
pub use self::{
    kinds::{Kind, Subject},
    report::{json, text},
};
use crate::{
    catalogue::{Availability, availability_at},
    entity::event,
    fault::Fault,
    ids::{EventId, TicketTypeId},
    store::{DatabaseUrl, StoreError},
};

/// So many rows of a violation are named; the others are counted.
pub const IDS_SHOWN_MAX: usize = 20;

/// Which events are audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All, and rows that belong to no event.
    All,
    One(EventId),
    /// The event of this slug, or else of this id.
    Named {
        slug: String,
        id: Option<EventId>,
    },
}

/// What an audit found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The database's time, by which holds were judged.
    pub checked_at: DateTime<Utc>,
    /// In the order of their start.
    pub events: Vec<EventAudit>,
    /// What was found in rows that belong to no event.
    pub strays: Vec<Violation>,
}

/// What an audit found of one event.
#[derive(Clone, Debug)]
pub struct EventAudit {
    pub id: EventId,
    pub slug: String,
    pub name: String,
    /// The event is cancelled and its tickets are still being given back: orders and holds may be half-way, and what is
    /// said of them is not checked.
    pub is_being_cancelled: bool,
    /// A hold that is over counts as available, also before it is tidied up.
    pub tickets: Availability,
    pub orders: OrderCounts,
    pub violations: Vec<Violation>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderCounts {
    pub confirmed: i64,
    pub cancelled: i64,
}

/// A claim that rows contradict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: Kind,
    /// How many rows contradict it.
    pub count: i64,
    /// Their ids, or the first [`IDS_SHOWN_MAX`] of them in order; [`Kind::subject`] says of what.
    pub ids: Vec<Uuid>,
}

/// Why an audit could not be made. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database's schema is not up to date; run: rowlock migrate up")]
    NotMigrated,
    #[error("there is no event {0:?}: name it by its slug or its id")]
    UnknownEvent(String),
    #[error("the audit did not end within its time")]
    TooLong,
    #[error("{step} failed")]
    Reading {
        step: &'static str,
        #[source]
        source: DbErr,
    },
}

impl Audit {
    pub fn is_clean(&self) -> bool {
        self.strays.is_empty() && self.events.iter().all(|event| event.violations.is_empty())
    }

    /// Every violation, of events in their order and then of rows without one.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        let of_events = self.events.iter().flat_map(|event| &event.violations);
        of_events.chain(&self.strays)
    }
}

/// Audits a database, for no longer than `time_max`.
///
/// # Errors
/// When it cannot be read, has another schema, knows no such event, or takes too long.
pub async fn audit(
    url: &DatabaseUrl,
    which: &Which,
    time_max: Duration,
) -> Result<Audit, AuditError> {
    let snapshot = Snapshot::begin(url, which, time_max).await?;
    let audit = read(&snapshot).await;
    snapshot.end().await;
    audit
}

async fn read(snapshot: &Snapshot) -> Result<Audit, AuditError> {
    let mut violations = Vec::new();
    for check in CHECKS {
        let rows = snapshot
            .rows(check.kind.as_str(), check.sql(snapshot.backend()))
            .await?;
        violations.extend(grouped(check.kind, rows));
    }
    let tallies: Vec<Tally> = snapshot
        .rows("counting tickets", checks::tally(snapshot.backend()))
        .await?;
    let kept: Vec<Kept> = snapshot
        .rows("reading the counts of tickets", checks::KEPT.to_owned())
        .await?;
    let wrong = mislaid(&tallies, &kept);
    violations.extend(of_types(Kind::KeptCountsDiffer, &wrong));
    // What is kept wrong is told wrong: it is said once.
    let told_wrong = miscounted(snapshot, &tallies).await?;
    violations.extend(of_types(Kind::CountsDiffer, &(&told_wrong - &wrong)));
    let orders: Vec<OrderTally> = snapshot
        .rows("counting orders", checks::ORDER_TALLY.to_owned())
        .await?;
    Ok(compose(snapshot, violations, &tallies, &orders))
}

/// A row of a check's answer: `total` is of all rows of its event, also of those that are not shown.
#[derive(FromQueryResult)]
struct Found {
    event_id: EventId,
    id: Uuid,
    total: i64,
}

/// The rows of an event stand together.
fn grouped(kind: Kind, rows: Vec<Found>) -> Vec<(EventId, Violation)> {
    let mut violations: Vec<(EventId, Violation)> = Vec::new();
    for row in rows {
        match violations.last_mut() {
            Some((event_id, violation)) if *event_id == row.event_id => violation.ids.push(row.id),
            Some(_) | None => violations.push((
                row.event_id,
                Violation {
                    kind,
                    count: row.total,
                    ids: vec![row.id],
                },
            )),
        }
    }
    violations
}

/// The tickets of a type, recounted.
#[derive(FromQueryResult)]
struct Tally {
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    total: i64,
    available: i64,
    held: i64,
    sold: i64,
    blocked: i64,
    /// Of those that count as available, how many are held in the rows by a hold that is over.
    over: i64,
}

/// The counts of a type as the rows' status says them.
#[derive(FromQueryResult)]
struct Kept {
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    available: i64,
    held: i64,
    sold: i64,
    blocked: i64,
}

impl Tally {
    /// By the status in the rows: available, held, sold, blocked.
    fn by_status(&self) -> [i64; 4] {
        let (available, held) = (self.available - self.over, self.held + self.over);
        [available, held, self.sold, self.blocked]
    }

    fn availability(&self) -> Availability {
        Availability {
            available: self.available,
            held: self.held,
            sold: self.sold,
            blocked: self.blocked,
        }
    }
}

#[derive(FromQueryResult)]
struct OrderTally {
    event_id: EventId,
    confirmed: i64,
    cancelled: i64,
}

/// The ticket types of which the kept counts are not what the recount says, also those that have no tickets left.
fn mislaid(tallies: &[Tally], kept: &[Kept]) -> BTreeSet<(EventId, TicketTypeId)> {
    let mut differences: BTreeMap<_, [i64; 4]> = BTreeMap::new();
    for tally in tallies {
        differences.insert((tally.event_id, tally.ticket_type_id), tally.by_status());
    }
    for kept in kept {
        let key = (kept.event_id, kept.ticket_type_id);
        let difference = differences.entry(key).or_default();
        let kept = [kept.available, kept.held, kept.sold, kept.blocked];
        for (count, kept) in difference.iter_mut().zip(kept) {
            *count -= kept;
        }
    }
    let wrong = differences.into_iter();
    wrong
        .filter_map(|(key, difference)| (difference != [0; 4]).then_some(key))
        .collect()
}

/// The ticket types of which buyers are told, by the catalogue's own reading, what the recount does not say.
async fn miscounted(
    snapshot: &Snapshot,
    tallies: &[Tally],
) -> Result<BTreeSet<(EventId, TicketTypeId)>, AuditError> {
    let keys: Vec<_> = tallies
        .iter()
        .map(|tally| (tally.event_id, tally.ticket_type_id))
        .collect();
    snapshot.bound_next().await?;
    let told = availability_at(snapshot.connection(), &keys, snapshot.now())
        .await
        .map_err(AuditError::from)?;
    let wrong = tallies.iter().filter(|tally| {
        let key = (tally.event_id, tally.ticket_type_id);
        let told = told.get(&key).copied().unwrap_or_default();
        told != tally.availability() || told.total() != tally.total
    });
    Ok(wrong
        .map(|tally| (tally.event_id, tally.ticket_type_id))
        .collect())
}

/// A violation of each event of which there are such ticket types.
fn of_types(kind: Kind, types: &BTreeSet<(EventId, TicketTypeId)>) -> Vec<(EventId, Violation)> {
    let mut of_events: BTreeMap<EventId, Vec<Uuid>> = BTreeMap::new();
    for (event_id, ticket_type_id) in types {
        let ids = of_events.entry(*event_id).or_default();
        ids.push(ticket_type_id.0);
    }
    let violation = |mut ids: Vec<Uuid>| {
        let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        ids.truncate(IDS_SHOWN_MAX);
        Violation { kind, count, ids }
    };
    of_events
        .into_iter()
        .map(|(event_id, ids)| (event_id, violation(ids)))
        .collect()
}

fn compose(
    snapshot: &Snapshot,
    violations: Vec<(EventId, Violation)>,
    tallies: &[Tally],
    orders: &[OrderTally],
) -> Audit {
    let mut events: Vec<EventAudit> = snapshot
        .events()
        .iter()
        .map(|row| EventAudit {
            id: row.id,
            slug: row.slug.clone(),
            name: row.name.clone(),
            is_being_cancelled: row.status == event::Status::Cancelled
                && row.cancellation_done_at.is_none(),
            tickets: Availability::default(),
            orders: OrderCounts::default(),
            violations: Vec::new(),
        })
        .collect();
    let places: BTreeMap<EventId, usize> = events
        .iter()
        .enumerate()
        .map(|(place, event)| (event.id, place))
        .collect();
    for tally in tallies {
        if let Some(&place) = places.get(&tally.event_id) {
            let tickets = &mut events[place].tickets;
            tickets.available += tally.available;
            tickets.held += tally.held;
            tickets.sold += tally.sold;
            tickets.blocked += tally.blocked;
        }
    }
    for tally in orders {
        if let Some(&place) = places.get(&tally.event_id) {
            events[place].orders = OrderCounts {
                confirmed: tally.confirmed,
                cancelled: tally.cancelled,
            };
        }
    }
    let mut strays: Vec<Violation> = Vec::new();
    for (event_id, violation) in violations {
        match places.get(&event_id) {
            Some(&place) => events[place].violations.push(violation),
            None => add(&mut strays, violation),
        }
    }
    Audit {
        checked_at: snapshot.now(),
        events,
        strays,
    }
}

/// Rows that belong to no event are told together, whatever event they name.
fn add(strays: &mut Vec<Violation>, violation: Violation) {
    match strays.iter_mut().find(|known| known.kind == violation.kind) {
        Some(known) => {
            known.count += violation.count;
            known.ids.extend(violation.ids);
            known.ids.truncate(IDS_SHOWN_MAX);
        }
        None => strays.push(violation),
    }
}

/// What PostgreSQL and SQLite say when a statement's time is over.
const STATEMENT_TIMED_OUT: [&str; 2] = ["57014", "9"];

impl From<Fault> for AuditError {
    fn from(fault: Fault) -> Self {
        let code = fault.database_code();
        if code.is_some_and(|code| STATEMENT_TIMED_OUT.contains(&code.as_str())) {
            return Self::TooLong;
        }
        Self::Reading {
            step: fault.step,
            source: fault.source,
        }
    }
}
