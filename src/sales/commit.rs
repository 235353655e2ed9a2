//! The one transaction of a sale: gate, lock, read, decide, write, commit.
//!
//! A whole batch goes through it together, and it never waits for somebody else: a gate or a row that is taken makes its
//! command leave the batch ([`Settled::Blocked`]). A command that was blocked goes through the same transaction with one
//! wait in front, [`Transaction::wait_for`], in which it holds nothing that a batch could be waiting for. So there is no
//! deadlock: only those in front of the gates wait, for rows in the order of their ids, and all after it is a try.
//!
//! READ COMMITTED, so that each statement sees what was committed before it began: what stands behind the gates, and the
//! events, are read in statements after them and after the locks. Each statement is a round trip in which the locks are
//! held, so that what can be asked together is. On SQLite `BEGIN IMMEDIATE` stands for all locks.

mod catalogue;
mod facts;
mod gates;
mod hints;
mod targets;
mod tickets;
mod together;
mod write;

pub use self::{
    gates::{cancellation_of, folding, gates_of, numbering},
    hints::Hints,
};

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, QueryResult, Select, Statement, TransactionOptions, TransactionTrait,
};
use tracing::{Instrument, Span};

use self::{
    facts::Age,
    gates::{gate_of, type_line_of},
};
use super::{
    Outcome,
    command::{Action, Command, Want},
    decide::{Bound, Decision, Done, Facts, Request, decide},
    failure::{Cause, Failure},
    lane::{DATABASE_WAIT_MAX, bounded},
    minted::Minted,
    sql::{self, Trust},
    times::Times,
};
use crate::{
    fault::{Fault, Step},
    ids::{CustomerId, EventId, TicketId, TicketTypeId},
};

/// All statements of a batch together may take this long: each row and gate is somebody's.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(4);

/// The session's own bound on waiting for a lock, which [`Transaction::wait_for`] lifts and puts back.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// The session's own bound on one statement.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// The step that a wait in front of an attempt is.
const WAITING: &str = "waiting for a lock";

/// How long the database may take to say that a wait is over.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What a command is blocked by. Those who are blocked by the same wait together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocker {
    /// Another sale of the same customer and event is being decided.
    Gate(EventId, CustomerId),
    /// This ticket is locked by somebody else.
    Ticket(EventId, TicketId),
    /// The last tickets of this type are locked by somebody else.
    LastOf(EventId, TicketTypeId),
}

/// What is waited for in front of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    Gate(EventId, CustomerId),
    /// These tickets, in the order of their ids; unless a holder or owner of theirs waits, only if they are free.
    Tickets {
        event_id: EventId,
        ids: Vec<TicketId>,
        is_claimed: bool,
    },
    LastOf(EventId, TicketTypeId),
}

/// What the transaction made of a command.
#[derive(Debug)]
pub enum Settled {
    Decided(Outcome),
    Blocked {
        by: Blocker,
        /// Whether the command's key was read behind its gate, so that it certainly has not happened before.
        is_new: bool,
    },
}

/// What is left of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Changes,
    Nothing,
}

/// A batch whose changes are written, and nothing of it happens before the transaction's end.
pub struct Made {
    tx: Transaction,
    settled: Vec<Settled>,
    keep: Keep,
    locked: HashSet<(EventId, TicketId)>,
    span: Span,
}

/// A transaction that has begun.
pub struct Transaction {
    tx: DatabaseTransaction,
    backend: DbBackend,
    times: Times,
}

impl Transaction {
    pub async fn begin(db: &DatabaseConnection) -> Result<Self, Failure> {
        let backend = db.get_database_backend();
        let options = TransactionOptions {
            sqlite_transaction_mode: SQLITE_MODE,
            ..TransactionOptions::default()
        };
        let tx = bounded(
            backend,
            DATABASE_WAIT_MAX,
            "beginning the transaction",
            db.begin_with_options(options),
        )
        .await?;
        Ok(Self {
            tx,
            backend,
            times: Times::default(),
        })
    }

    /// Waits for what blocked a command, for no longer than `slice`. Nothing may have been locked before.
    ///
    /// Tickets are locked all at once in the order of their ids: two who want the same two seats would otherwise each
    /// come back with one of them, for ever.
    pub async fn wait_for(&self, wait: &Wait, slice: Duration) -> Result<(), Failure> {
        if self.backend != DbBackend::Postgres {
            // Nobody else writes while this transaction is open.
            return Ok(());
        }
        self.set_timeouts(slice, slice).await?;
        match wait {
            Wait::Gate(event_id, customer_id) => {
                self.wait_in_line(gate_of(*event_id, *customer_id), slice)
                    .await?;
            }
            Wait::Tickets {
                event_id,
                ids,
                is_claimed,
            } => {
                let wanted: Vec<_> = ids.iter().map(|id| (*event_id, *id)).collect();
                let locked = sql::lock_tickets(self.backend, &wanted, *is_claimed).all(&self.tx);
                self.step(slice + ANSWER_MAX, WAITING, locked).await?;
            }
            // Whoever wants the last of a type waits in one line, and only its first tries for the tickets.
            Wait::LastOf(event_id, ticket_type_id) => {
                self.wait_in_line(type_line_of(*event_id, *ticket_type_id), slice)
                    .await?;
            }
        }
        self.set_timeouts(LOCK_TIMEOUT, STATEMENT_TIMEOUT).await
    }

    async fn wait_in_line(&self, key: i64, slice: Duration) -> Result<(), Failure> {
        let locked = self.tx.query_one_raw(sql::wait_for_advisory_lock(key));
        self.step(slice + ANSWER_MAX, WAITING, locked).await?;
        Ok(())
    }

    /// How long the statements that follow may wait for a lock, and take in all.
    pub async fn set_timeouts(&self, lock: Duration, statement: Duration) -> Result<(), Failure> {
        if self.backend != DbBackend::Postgres {
            return Ok(());
        }
        // Zero would mean for ever.
        let statement = sql::set_timeouts(lock.as_millis().max(1), statement.as_millis().max(1));
        self.query("setting the transaction's timeouts", statement)
            .await?;
        Ok(())
    }

    pub fn backend(&self) -> DbBackend {
        self.backend
    }

    /// Ends the transaction as what was made of it says: kept if there is something to keep, without a trace otherwise.
    pub async fn end<T>(self, made: Result<(T, Keep), Failure>) -> Result<T, Failure> {
        match made {
            Ok((made, Keep::Changes)) => {
                self.commit().await?;
                Ok(made)
            }
            Ok((made, Keep::Nothing)) => {
                self.roll_back().await?;
                Ok(made)
            }
            Err(failure) => {
                // A connection in doubt is thrown away by whoever owns it.
                if failure.cause != Cause::Lost {
                    self.roll_back().await?;
                }
                Err(failure)
            }
        }
    }

    async fn commit(self) -> Result<(), Failure> {
        let committed = bounded(
            self.backend,
            DATABASE_WAIT_MAX,
            "committing",
            self.tx.commit(),
        );
        let committed = self.times.measure("committing", committed).await;
        committed.map_err(Failure::at_commit)
    }

    /// Ends the transaction without a trace.
    pub async fn roll_back(self) -> Result<(), Failure> {
        Ok(bounded(
            self.backend,
            DATABASE_WAIT_MAX,
            "rolling back",
            self.tx.rollback(),
        )
        .await?)
    }

    /// Takes a batch through everything but its end.
    ///
    /// # Errors
    /// When nothing of the batch happened.
    pub async fn make(
        self,
        requests: &[Request<'_>],
        trust: Trust,
        hints: &Hints,
        span: Span,
    ) -> Result<Made, Failure> {
        let mut facts = Facts::default();
        // When this bound runs out, nothing has happened; when that of the commit does, perhaps all has.
        let attempt = async { Ok(self.attempt(&mut facts, requests, trust, hints).await) };
        let attempt = attempt.instrument(span.clone());
        let (settled, keep) =
            bounded(self.backend, TRANSACTION_MAX, "settling a batch", attempt).await??;
        Ok(Made {
            tx: self,
            settled,
            keep,
            locked: facts.locked.into_keys().collect(),
            span,
        })
    }

    /// Everything up to the commit, and whether there is anything to keep.
    ///
    /// A batch of purchases of named tickets is three statements: gates with locks, what is read, what is written; one more if
    /// the catalogue has changed since the last. Where what stands behind the gates decides what is locked, the locks, and what
    /// must be read after them, come between.
    async fn attempt(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        trust: Trust,
        hints: &Hints,
    ) -> Result<(Vec<Settled>, Keep), Failure> {
        let (closed, tried) = self.pass_gates(facts, requests, hints).await?;
        let gate_before = |request: &Request<'_>| {
            gates_of(request)
                .into_iter()
                .flatten()
                .find(|gate| closed.contains(gate))
        };
        let behind_gate: Vec<Request<'_>> = requests
            .iter()
            .filter(|request| gate_before(request).is_none())
            .copied()
            .collect();
        let is_tried = !tried.is_empty();
        let mut age = self
            .read_behind_gates(facts, &behind_gate, hints, is_tried)
            .await?;
        let sellable = self.sellable(facts, &behind_gate, hints, &mut age).await?;
        let has_locked = self
            .lock_tickets(facts, &sellable, trust, hints, &tried)
            .await?;
        if has_locked {
            age = Age::Recalled;
        }
        self.read_behind_locks(facts, &sellable, hints, age).await?;

        let minted: Vec<Minted> = behind_gate
            .iter()
            .map(|request| mint(facts, request))
            .collect();
        let (decisions, changes) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            decide(facts, &behind_gate, &minted)
        }))
        .map_err(|_| Failure::bug("deciding a batch"))?;
        self.write(facts, &changes).await?;
        let repeated = self.repeated(&behind_gate, &decisions).await?;

        let mut decisions = decisions.into_iter();
        let settled = requests
            .iter()
            .map(|request| {
                if let Some((event_id, customer_id)) = gate_before(request) {
                    let by = Blocker::Gate(event_id, customer_id);
                    return Ok(Settled::Blocked { by, is_new: false });
                }
                let decision = decisions
                    .next()
                    .expect("every request behind its gate has a decision");
                settled(request, decision, &repeated)
            })
            .collect::<Result<_, _>>()?;
        // Where nothing has changed, there is nothing to make durable.
        let keep = if changes.is_empty() {
            Keep::Nothing
        } else {
            Keep::Changes
        };
        Ok((settled, keep))
    }

    /// Waits for an answer of the database, for no longer than this.
    async fn step<T>(
        &self,
        wait_max: Duration,
        step: &'static str,
        call: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, Failure> {
        let answer = bounded(self.backend, wait_max, step, call);
        Ok(self.times.measure(step, answer).await?)
    }

    pub async fn all<E: EntityTrait>(
        &self,
        step: &'static str,
        query: Select<E>,
    ) -> Result<Vec<E::Model>, Failure> {
        let rows = query.all(&self.tx);
        self.step(DATABASE_WAIT_MAX, step, rows).await
    }

    pub async fn query(
        &self,
        step: &'static str,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, Failure> {
        let rows = self.tx.query_all_raw(statement);
        self.step(DATABASE_WAIT_MAX, step, rows).await
    }

    /// Runs a write. How many rows it touched.
    pub async fn execute(&self, step: &'static str, statement: Statement) -> Result<u64, Failure> {
        let done = self.tx.execute_raw(statement);
        let done = self.step(DATABASE_WAIT_MAX, step, done).await?;
        Ok(done.rows_affected())
    }

    pub async fn rows<T: FromQueryResult>(
        &self,
        step: &'static str,
        statement: Statement,
    ) -> Result<Vec<T>, Failure> {
        let rows = self.query(step, statement).await?;
        let rows: Result<Vec<T>, DbErr> = rows
            .iter()
            .map(|row| T::from_query_result(row, ""))
            .collect();
        Ok(rows.step(step)?)
    }
}

/// A batch that is over.
pub struct Ended {
    /// What became of each request, in their order.
    pub settled: Vec<Settled>,
    pub times: Times,
}

impl Made {
    /// The tickets that nobody else can have before the end.
    pub fn locked(&self) -> &HashSet<(EventId, TicketId)> {
        &self.locked
    }

    /// Ends the transaction: every request has its outcome, and what was sold is durable.
    ///
    /// # Errors
    /// When nothing of the batch happened, or, if [`Failure::is_commit_unknown`], perhaps all of it.
    pub async fn end(self) -> Result<Ended, Failure> {
        let times = self.tx.times.clone();
        let ending = self.tx.end(Ok((self.settled, self.keep)));
        let settled = ending.instrument(self.span).await?;
        Ok(Ended { settled, times })
    }
}

#[cfg(not(without_lock))]
const SQLITE_MODE: Option<sea_orm::SqliteTransactionMode> =
    Some(sea_orm::SqliteTransactionMode::Immediate);
#[cfg(without_lock)]
const SQLITE_MODE: Option<sea_orm::SqliteTransactionMode> =
    Some(sea_orm::SqliteTransactionMode::Deferred);

/// Ids for what a request may become.
fn mint(facts: &Facts, request: &Request<'_>) -> Minted {
    let event_id = request.command.event_id;
    Minted::new(match &request.command.action {
        Action::Purchase { want, .. } => want.quantity(),
        Action::PurchaseHold { hold_id, .. } => facts
            .holds
            .get(&(event_id, *hold_id))
            .map_or(0, |hold| hold.tickets.len()),
        Action::Hold { .. }
        | Action::ExtendHold { .. }
        | Action::ReleaseHold { .. }
        | Action::CancelOrder { .. } => 0,
    })
}

fn settled(
    request: &Request<'_>,
    decision: Decision,
    repeated: &HashMap<Bound, Done>,
) -> Result<Settled, Failure> {
    Ok(match decision {
        Decision::Done(done) => Settled::Decided(Outcome::Done(done)),
        Decision::Refused(refusals) => Settled::Decided(Outcome::Refused(refusals)),
        Decision::Repeated(bound) => match repeated.get(&bound) {
            Some(done) => Settled::Decided(Outcome::Repeated(done.clone())),
            None => return Err(Failure::bug("reading what was repeated")),
        },
        Decision::Undecided(ticket) => Settled::Blocked {
            by: blocker_of(request.command, ticket),
            is_new: true,
        },
    })
}

fn blocker_of(command: &Command, ticket: Option<TicketId>) -> Blocker {
    match (ticket, command.want()) {
        (Some(ticket), _) => Blocker::Ticket(command.event_id, ticket),
        (None, Some(Want::AnyOf { ticket_type_id, .. })) => {
            Blocker::LastOf(command.event_id, *ticket_type_id)
        }
        (None, Some(Want::Tickets(_)) | None) => {
            unreachable!("only who wants any of a type waits for no ticket in particular")
        }
    }
}

fn key_of(request: &Request<'_>) -> (EventId, CustomerId, String) {
    (
        request.command.event_id,
        request.customer_id,
        request.command.key.as_str().to_owned(),
    )
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::of(fault)
    }
}
