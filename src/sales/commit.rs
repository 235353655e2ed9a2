//! The one transaction of a sale: gate, keys, lock, read, decide, write, commit.
//!
//! A whole batch goes through it together, and it never waits for somebody else: a gate or a row that is taken makes its
//! command leave the batch ([`Settled::Blocked`]). A command that was blocked goes through the same transaction with one
//! wait in front, [`Transaction::wait_for`], in which it holds nothing that a batch could be waiting for. So there is no
//! deadlock: only those in front of the gates wait, for rows in the order of their ids, and all after it is a try.
//!
//! READ COMMITTED, so that each statement sees what was committed before it began: the keys are read after the gate and
//! the events after the locks in statements of their own. On SQLite `BEGIN IMMEDIATE` stands for all locks.

mod facts;
mod gates;

use std::{collections::HashMap, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, QueryResult, Select, Statement, TransactionOptions, TransactionTrait,
};

use self::gates::{gate_of, type_line_of};
use super::{
    Outcome,
    command::{Command, Want},
    decide::{Decision, Facts, PlacedOrder, Request, decide},
    failure::Failure,
    lane::{DATABASE_WAIT_MAX, bounded},
    sql::{self, Trust},
};
use crate::{
    entity::idempotency_key,
    fault::{Fault, Step},
    ids::{CustomerId, EventId, OrderId, TicketId, TicketTypeId},
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
    /// These tickets, in the order of their ids.
    Tickets(EventId, Vec<TicketId>),
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

/// A transaction that has begun.
pub struct Transaction {
    tx: DatabaseTransaction,
    backend: DbBackend,
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
        Ok(Self { tx, backend })
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
            Wait::Tickets(event_id, ids) => {
                let wanted: Vec<_> = ids.iter().map(|id| (*event_id, *id)).collect();
                let locked = sql::lock_tickets(self.backend, &wanted).all(&self.tx);
                bounded(self.backend, slice + ANSWER_MAX, WAITING, locked).await?;
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
        bounded(self.backend, slice + ANSWER_MAX, WAITING, locked).await?;
        Ok(())
    }

    async fn set_timeouts(&self, lock: Duration, statement: Duration) -> Result<(), Failure> {
        // Zero would mean for ever.
        let statement = sql::set_timeouts(lock.as_millis().max(1), statement.as_millis().max(1));
        self.query("setting the transaction's timeouts", statement)
            .await?;
        Ok(())
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

    /// Takes a batch to its end: every request's outcome, in their order, and what was sold is durable.
    ///
    /// # Errors
    /// When nothing of the batch happened, or, if [`Failure::is_commit_unknown`], perhaps all of it.
    pub async fn settle(
        self,
        requests: &[Request<'_>],
        trust: Trust,
    ) -> Result<Vec<Settled>, Failure> {
        let attempt = async { Ok(self.attempt(requests, trust).await) };
        let (settled, has_sold) =
            bounded(self.backend, TRANSACTION_MAX, "settling a batch", attempt).await??;
        if !has_sold {
            // There is nothing to make durable.
            self.roll_back().await?;
            return Ok(settled);
        }
        // Outside the bound above: when that runs out, nothing has happened; when this one does, perhaps all has.
        bounded(
            self.backend,
            DATABASE_WAIT_MAX,
            "committing a batch",
            self.tx.commit(),
        )
        .await
        .map_err(Failure::at_commit)?;
        Ok(settled)
    }

    /// Everything up to the commit, and whether anything was sold.
    async fn attempt(
        &self,
        requests: &[Request<'_>],
        trust: Trust,
    ) -> Result<(Vec<Settled>, bool), Failure> {
        let open = self.pass_gates(requests).await?;
        let behind_gate: Vec<Request<'_>> = requests
            .iter()
            .filter(|request| open.contains(&(request.command.event_id, request.customer_id)))
            .copied()
            .collect();
        let mut facts = Facts {
            keys: self.read_keys(&behind_gate).await?,
            ..Facts::default()
        };
        let sellable = self.sellable(&mut facts, &behind_gate).await?;
        self.lock_tickets(&mut facts, &sellable, trust).await?;
        self.read_catalogue(&mut facts, &sellable).await?;

        let decisions = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            decide(&facts, &behind_gate)
        }))
        .map_err(|_| Failure::bug("deciding a batch"))?;
        let sold = sold(&behind_gate, &decisions);
        self.write(&sold, facts.now).await?;
        let mut orders = self.repeated_orders(&behind_gate, &decisions).await?;
        orders.extend(
            sold.iter()
                .map(|(_, placed)| (placed.order.id, (*placed).clone())),
        );
        let has_sold = !sold.is_empty();

        let mut decisions = decisions.into_iter();
        let settled = requests
            .iter()
            .map(|request| {
                let gate = (request.command.event_id, request.customer_id);
                if !open.contains(&gate) {
                    let by = Blocker::Gate(gate.0, gate.1);
                    return Ok(Settled::Blocked { by, is_new: false });
                }
                let decision = decisions
                    .next()
                    .expect("every request behind its gate has a decision");
                settled(request, decision, &orders)
            })
            .collect::<Result<_, _>>()?;
        Ok((settled, has_sold))
    }

    /// Writes what was sold.
    async fn write(
        &self,
        sold: &[(&Request<'_>, &PlacedOrder)],
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), Failure> {
        if sold.is_empty() {
            return Ok(());
        }
        let items = || sold.iter().flat_map(|(_, placed)| &placed.items);
        let tickets: Vec<_> = items()
            .map(|item| (item.event_id, item.ticket_id))
            .collect();
        let keys = sold.iter().map(|(request, placed)| idempotency_key::Model {
            event_id: placed.order.event_id,
            customer_id: request.customer_id,
            key: request.command.key.as_str().to_owned(),
            kind: request.command.kind.as_str().to_owned(),
            fingerprint: request.command.fingerprint().to_vec(),
            order_id: placed.order.id,
            created_at: now,
        });
        let orders = sold.iter().map(|(_, placed)| &placed.order);
        let backend = self.backend;
        self.change(
            "marking tickets sold",
            sql::mark_sold(backend, &tickets),
            tickets.len(),
        )
        .await?;
        self.change(
            "writing orders",
            sql::insert_orders(backend, orders),
            sold.len(),
        )
        .await?;
        self.change(
            "writing order items",
            sql::insert_order_items(backend, items()),
            tickets.len(),
        )
        .await?;
        self.change(
            "writing idempotency keys",
            sql::insert_keys(backend, keys),
            sold.len(),
        )
        .await
    }

    /// Runs a write that must touch exactly `rows`.
    async fn change(
        &self,
        step: &'static str,
        statement: Statement,
        rows: usize,
    ) -> Result<(), Failure> {
        let done = bounded(
            self.backend,
            DATABASE_WAIT_MAX,
            step,
            self.tx.execute_raw(statement),
        )
        .await?;
        if done.rows_affected() == rows as u64 {
            Ok(())
        } else {
            Err(Failure::bug(step))
        }
    }

    async fn all<E: EntityTrait>(
        &self,
        step: &'static str,
        query: Select<E>,
    ) -> Result<Vec<E::Model>, Failure> {
        let rows = query.all(&self.tx);
        Ok(bounded(self.backend, DATABASE_WAIT_MAX, step, rows).await?)
    }

    async fn query(
        &self,
        step: &'static str,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, Failure> {
        Ok(bounded(
            self.backend,
            DATABASE_WAIT_MAX,
            step,
            self.tx.query_all_raw(statement),
        )
        .await?)
    }

    async fn rows<T: FromQueryResult>(
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

#[cfg(not(without_lock))]
const SQLITE_MODE: Option<sea_orm::SqliteTransactionMode> =
    Some(sea_orm::SqliteTransactionMode::Immediate);
#[cfg(without_lock)]
const SQLITE_MODE: Option<sea_orm::SqliteTransactionMode> =
    Some(sea_orm::SqliteTransactionMode::Deferred);

/// The requests that became orders.
fn sold<'a, 'b>(
    requests: &'a [Request<'b>],
    decisions: &'a [Decision],
) -> Vec<(&'a Request<'b>, &'a PlacedOrder)> {
    let pairs = requests.iter().zip(decisions);
    pairs
        .filter_map(|(request, decision)| match decision {
            Decision::Sold(placed) => Some((request, placed)),
            Decision::Repeated(_) | Decision::Refused(_) | Decision::Undecided(_) => None,
        })
        .collect()
}

fn settled(
    request: &Request<'_>,
    decision: Decision,
    orders: &HashMap<OrderId, PlacedOrder>,
) -> Result<Settled, Failure> {
    Ok(match decision {
        Decision::Sold(placed) => Settled::Decided(Outcome::Sold(placed)),
        Decision::Refused(refusals) => Settled::Decided(Outcome::Refused(refusals)),
        Decision::Repeated(order_id) => match orders.get(&order_id) {
            Some(placed) => Settled::Decided(Outcome::Repeated(placed.clone())),
            None => return Err(Failure::bug("reading repeated orders")),
        },
        Decision::Undecided(ticket) => Settled::Blocked {
            by: blocker_of(request.command, ticket),
            is_new: true,
        },
    })
}

fn blocker_of(command: &Command, ticket: Option<TicketId>) -> Blocker {
    match (&command.want, ticket) {
        (Want::Tickets(ids), ticket) => {
            let ticket = ticket.or(ids.first().copied());
            Blocker::Ticket(
                command.event_id,
                ticket.expect("a command wants at least one ticket"),
            )
        }
        (Want::AnyOf { ticket_type_id, .. }, _) => {
            Blocker::LastOf(command.event_id, *ticket_type_id)
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
