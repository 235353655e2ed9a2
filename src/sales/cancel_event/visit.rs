//! Carrying out cancellations: every ticket of a cancelled event is visited once, then its orders and holds are ended.
//!
//! A visit locks tickets in the order of their ids, chunk by chunk, each in a short transaction of its own, whatever their
//! status: a sale that has locked a ticket before the event was cancelled is waited for, and what it sold is cancelled.
//! Whatever comes later reads that the event is cancelled. So when every ticket has been locked once, no sale of the event
//! is under way any more, and what orders and holds there are can be ended.
//!
//! Where a walk stands is known to its process alone. Another one, also after a crash, walks from the beginning: what has
//! been visited is found in order. An event is done only by a process that has walked it from end to end.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    changes::{Cause, Change, Whose},
    entity::ticket,
    fault::Step,
    ids::EventId,
    live::{Live, Topic},
    sales::{
        commit::{Keep, Transaction, cancellation_of},
        failure::{self, Failure},
        journal::Journal,
        lane::{DATABASE_WAIT_MAX, bounded},
        sql::{
            self,
            staff::{self, Span, Table},
        },
        staff::ATTEMPT_MAX,
    },
};

/// Rows of one transaction: a few milliseconds of SQLite's only writer.
const CHUNK_LEN: i64 = 200;

/// Events that are looked up at a time; the others' turn comes when these are done.
const EVENTS_LEN_MAX: i64 = 100;

/// How long an event is left to the process that is at it.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(1);

/// Between two attempts at what somebody has locked, at most.
const STUCK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The cancellations that this process carries out.
#[derive(Default)]
pub struct Visits {
    walks: HashMap<EventId, Walk>,
}

/// How far an event has come.
struct Walk {
    table: Table,
    /// The last id that was tried.
    after: Uuid,
    is_at_end: bool,
    /// What could not be settled when it was tried, to come back to.
    stuck: VecDeque<Span>,
    /// Attempts at stuck spans since one went well.
    failures: u32,
    rest_until: Instant,
    has_complained: bool,
}

/// What a step has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Moved,
    /// The cancellation is carried out.
    Over,
}

/// What became of a chunk.
enum Settled {
    Done,
    /// Another process is at this event.
    Elsewhere,
    /// Another process has done all of it.
    Over,
}

impl Visits {
    /// Carries out what there is to carry out, for about as long as until then. Whether there is more to do at once.
    pub async fn advance(
        &mut self,
        db: &DatabaseConnection,
        live: &Live,
        until: Instant,
    ) -> Result<bool, Failure> {
        let mut events = events(db).await?;
        self.walks.retain(|id, _| events.contains(id));
        while !events.is_empty() {
            let mut over = Vec::new();
            let mut has_moved = false;
            // Chunk by chunk in turn: a large event must not keep small ones waiting.
            for &event_id in &events {
                let walk = self.walks.entry(event_id).or_insert_with(Walk::new);
                if Instant::now() < walk.rest_until {
                    continue;
                }
                has_moved = true;
                if walk.step(db, live, event_id).await? == Progress::Over {
                    over.push(event_id);
                }
                if Instant::now() >= until {
                    return Ok(true);
                }
            }
            if !has_moved {
                break;
            }
            events.retain(|id| !over.contains(id));
        }
        Ok(false)
    }
}

impl Walk {
    fn new() -> Self {
        Self {
            table: Table::Tickets,
            after: Uuid::nil(),
            is_at_end: false,
            stuck: VecDeque::new(),
            failures: 0,
            rest_until: Instant::now(),
            has_complained: false,
        }
    }

    async fn step(
        &mut self,
        db: &DatabaseConnection,
        live: &Live,
        event_id: EventId,
    ) -> Result<Progress, Failure> {
        let Some(span) = self.next_span(db, event_id).await? else {
            return self.turn(db, live, event_id).await;
        };
        match settle(db, self.table, span).await {
            Ok(Settled::Done) => self.failures = 0,
            Ok(Settled::Over) => return Ok(Progress::Over),
            Ok(Settled::Elsewhere) => {
                self.stuck.push_back(span);
                self.rest(ELSEWHERE_PAUSE);
            }
            Err(failure) => {
                self.stuck.push_back(span);
                self.give_way(failure, event_id)?;
            }
        }
        Ok(Progress::Moved)
    }

    /// The next rows that were not tried yet, then those that could not be settled.
    async fn next_span(
        &mut self,
        db: &DatabaseConnection,
        event_id: EventId,
    ) -> Result<Option<Span>, Failure> {
        if !self.is_at_end {
            let statement = staff::read_next(
                db.get_database_backend(),
                self.table,
                event_id,
                self.after,
                CHUNK_LEN,
            );
            let rows: Vec<staff::IdRow> =
                rows(db, "reading what a cancelled event leaves", statement).await?;
            if let Some(last) = rows.last() {
                let after = std::mem::replace(&mut self.after, last.id);
                let to = last.id;
                return Ok(Some(Span {
                    event_id,
                    after,
                    to,
                }));
            }
            self.is_at_end = true;
        }
        Ok(self.stuck.pop_front())
    }

    /// Goes on to the next table. Tickets come first: as long as one of them was not visited, a sale may be under way.
    async fn turn(
        &mut self,
        db: &DatabaseConnection,
        live: &Live,
        event_id: EventId,
    ) -> Result<Progress, Failure> {
        let next = match self.table {
            Table::Tickets => Table::Orders,
            Table::Orders => {
                // Once for all of them: whoever watches one reads it then.
                live.ring(Topic::OrdersOf(event_id));
                Table::Holds
            }
            Table::Holds => {
                return match finish(db, event_id).await {
                    Ok(()) => {
                        tracing::info!(event.id = %event_id, "carried out the cancellation of event {event_id}");
                        Ok(Progress::Over)
                    }
                    Err(failure) => self.give_way(failure, event_id).map(|()| Progress::Moved),
                };
            }
        };
        *self = Self {
            table: next,
            has_complained: self.has_complained,
            ..Self::new()
        };
        Ok(Progress::Moved)
    }

    /// Goes on with something else after a failure, if the connection is still good.
    fn give_way(&mut self, failure: Failure, event_id: EventId) -> Result<(), Failure> {
        match failure.cause {
            failure::Cause::Lost => return Err(failure),
            failure::Cause::TimedOut | failure::Cause::Conflict => {}
            failure::Cause::SecondOwner | failure::Cause::TooLarge | failure::Cause::Data => {
                if !self.has_complained {
                    tracing::error!(
                        event.id = %event_id, error = %failure.fault.source,
                        "the cancellation of event {event_id} cannot be carried out: {} failed", failure.fault.step
                    );
                }
                self.has_complained = true;
            }
        }
        self.failures = self.failures.saturating_add(1);
        if self.is_at_end {
            self.rest((ATTEMPT_MAX * self.failures).min(STUCK_PAUSE_MAX));
        }
        Ok(())
    }

    fn rest(&mut self, pause: Duration) {
        self.rest_until = Instant::now() + pause;
    }
}

async fn settle(db: &DatabaseConnection, table: Table, span: Span) -> Result<Settled, Failure> {
    let tx = Transaction::begin(db).await?;
    let settled = settle_in(&tx, table, span).await;
    tx.end(settled).await
}

async fn settle_in(tx: &Transaction, table: Table, span: Span) -> Result<(Settled, Keep), Failure> {
    if tx.backend() == DbBackend::Postgres {
        tx.set_timeouts(ATTEMPT_MAX, ATTEMPT_MAX).await?;
        // To the transaction's end and no longer: a process that is stopped must not keep others from going on.
        let gate = sql::try_gates(&[cancellation_of(span.event_id)]);
        let gates: Vec<sql::GateRow> = tx.rows("claiming a cancellation", gate).await?;
        if gates.iter().any(|gate| !gate.is_open) {
            return Ok((Settled::Elsewhere, Keep::Nothing));
        }
        let lock = staff::lock_span(table, span);
        tx.query("locking what a cancelled event leaves", lock)
            .await?;
    }
    let statement = staff::read_cancellation(tx.backend(), span.event_id);
    let found: Vec<staff::CancellationRow> = tx.rows("reading a cancellation", statement).await?;
    let Some(how) = found.first() else {
        return Ok((Settled::Over, Keep::Nothing));
    };
    let mut changed = 0;
    if table == Table::Tickets {
        append(tx, span).await?;
        let statement = staff::cancel_items(tx.backend(), span, how);
        changed += tx
            .execute("cancelling a cancelled event's order items", statement)
            .await?;
    }
    let statement = staff::end_span(tx.backend(), table, span);
    changed += tx
        .execute("ending what a cancelled event leaves", statement)
        .await?;
    let keep = if changed > 0 {
        Keep::Changes
    } else {
        Keep::Nothing
    };
    Ok((Settled::Done, keep))
}

/// Appends what the end of a span of tickets changes.
async fn append(tx: &Transaction, span: Span) -> Result<(), Failure> {
    let statement = staff::tickets_to_end(tx.backend(), span);
    let step = "reading what a cancelled event's tickets are";
    let rows: Vec<staff::EndingRow> = tx.rows(step, statement).await?;
    let mut journal = Journal::default();
    for row in rows {
        let of_hold = row.hold_id.map_or(Whose::Nobody, Whose::Hold);
        let change = Change {
            ticket_id: row.id,
            from: row.status,
            to: ticket::Status::Available,
            cause: Cause::EventCancellation,
            whose: row.order_id.map_or(of_hold, Whose::Order),
            staff: row.staff_id,
        };
        journal.record(span.event_id, row.ticket_type_id, change);
    }
    tx.append(&journal).await
}

async fn finish(db: &DatabaseConnection, event_id: EventId) -> Result<(), Failure> {
    let tx = Transaction::begin(db).await?;
    let finished = finish_in(&tx, event_id).await;
    tx.end(finished).await
}

async fn finish_in(tx: &Transaction, event_id: EventId) -> Result<((), Keep), Failure> {
    let step = "finishing a cancellation";
    tx.set_timeouts(ATTEMPT_MAX, ATTEMPT_MAX).await?;
    let clock: Vec<staff::ClockRow> = tx.rows(step, staff::read_clock(tx.backend())).await?;
    let now = clock.first().ok_or_else(|| Failure::bug(step))?.now;
    let statement = staff::finish_cancellation(tx.backend(), event_id, now);
    tx.execute(step, statement).await?;
    Ok(((), Keep::Changes))
}

async fn events(db: &DatabaseConnection) -> Result<Vec<EventId>, Failure> {
    let statement = staff::events_being_cancelled(db.get_database_backend(), EVENTS_LEN_MAX);
    let rows: Vec<staff::EventIdRow> = rows(db, "looking for cancelled events", statement).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn rows<T: FromQueryResult>(
    db: &DatabaseConnection,
    step: &'static str,
    statement: Statement,
) -> Result<Vec<T>, Failure> {
    let backend = db.get_database_backend();
    let rows = bounded(
        backend,
        DATABASE_WAIT_MAX,
        step,
        db.query_all_raw(statement),
    )
    .await?;
    let rows: Result<Vec<T>, DbErr> = rows
        .iter()
        .map(|row| T::from_query_result(row, ""))
        .collect();
    Ok(rows.step(step)?)
}
