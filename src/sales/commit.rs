//! The one transaction of a sale: gate, keys, lock, read, decide, write, commit.
//!
//! A whole batch goes through it together, and it never waits for somebody else: a gate or a row that is taken makes its
//! command leave the batch ([`Settled::Blocked`]). A command that was blocked goes through the same transaction with one
//! wait in front, [`Transaction::wait_for`], in which it holds nothing that a batch could be waiting for. So there is no
//! deadlock: only those in front of the gates wait, for rows in the order of their ids, and all after it is a try.
//!
//! READ COMMITTED, so that each statement sees what was committed before it began: the keys are read after the gate and
//! the events after the locks in statements of their own. On SQLite `BEGIN IMMEDIATE` stands for all locks.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, QueryResult, Select, Statement, TransactionOptions, TransactionTrait,
};
use sha2::{Digest, Sha256};

use super::{
    Outcome,
    command::{Command, Want},
    decide::{
        Decision, EventFacts, Facts, KeyFacts, PlacedOrder, Request, TicketFacts, TypeFacts,
        Unlocked, decide, refuse_early,
    },
    failure::Failure,
    lane::{DATABASE_WAIT_MAX, bounded},
    sql::{self, Trust},
};
use crate::{
    entity::{idempotency_key, ticket},
    fault::{Fault, Step},
    ids::{CustomerId, EventId, OrderId, TicketId, TicketTypeId},
    money::Currency,
    seat,
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

    /// The requests that tickets are locked for: a repeat gets its order whoever has its ticket locked by now, and what
    /// will be refused anyway should not keep tickets from others. Their events, read here, are read again behind the
    /// locks, and those facts decide.
    async fn sellable<'a>(
        &self,
        facts: &mut Facts,
        requests: &[Request<'a>],
    ) -> Result<Vec<Request<'a>>, Failure> {
        let new: Vec<Request<'a>> = requests
            .iter()
            .filter(|request| !facts.keys.contains_key(&key_of(request)))
            .copied()
            .collect();
        self.read_events(facts, &new).await?;
        for request in &new {
            if let Some(refusal) = refuse_early(facts, request.command) {
                facts.early.insert(request.minted.order_id, refusal);
            }
        }
        let is_sellable =
            |request: &Request<'_>| !facts.early.contains_key(&request.minted.order_id);
        Ok(new.into_iter().filter(is_sellable).collect())
    }

    /// The orders that keys had made before this batch, as they are now. Read here, behind the gate: a buyer who repeats
    /// after a fault must not meet another one on the way to the answer.
    async fn repeated_orders(
        &self,
        requests: &[Request<'_>],
        decisions: &[Decision],
    ) -> Result<HashMap<OrderId, PlacedOrder>, Failure> {
        let repeated: Vec<(EventId, OrderId)> = requests
            .iter()
            .zip(decisions)
            .filter_map(|(request, decision)| match decision {
                Decision::Repeated(order_id) => Some((request.command.event_id, *order_id)),
                Decision::Sold(_) | Decision::Refused(_) | Decision::Undecided(_) => None,
            })
            .collect();
        if repeated.is_empty() {
            return Ok(HashMap::new());
        }
        let step = "reading repeated orders";
        let orders = self
            .all(step, sql::read_orders(self.backend, &repeated))
            .await?;
        let items = self
            .all(step, sql::read_order_items(self.backend, &repeated))
            .await?;
        let mut found: HashMap<OrderId, PlacedOrder> = orders
            .into_iter()
            .map(|order| {
                (
                    order.id,
                    PlacedOrder {
                        order,
                        items: Vec::new(),
                    },
                )
            })
            .collect();
        for item in items {
            if let Some(placed) = found.get_mut(&item.order_id) {
                placed.items.push(item);
            }
        }
        Ok(found)
    }

    /// The customers whose gates this transaction has: limits and idempotency keys of a customer and event are read and
    /// written only behind it, so that one customer's requests are decided one after the other in every process.
    async fn pass_gates(
        &self,
        requests: &[Request<'_>],
    ) -> Result<HashSet<(EventId, CustomerId)>, Failure> {
        let customers = requests
            .iter()
            .map(|request| (request.command.event_id, request.customer_id));
        if self.backend != DbBackend::Postgres {
            return Ok(customers.collect());
        }
        let gates: HashMap<i64, (EventId, CustomerId)> = customers
            .map(|(event, customer)| (gate_of(event, customer), (event, customer)))
            .collect();
        let keys: Vec<i64> = gates.keys().copied().collect();
        let rows: Vec<sql::GateRow> = self
            .rows("passing the gates", sql::try_gates(&keys))
            .await?;
        Ok(rows
            .iter()
            .filter(|row| row.is_open)
            .filter_map(|row| gates.get(&row.gate).copied())
            .collect())
    }

    async fn read_keys(
        &self,
        requests: &[Request<'_>],
    ) -> Result<HashMap<(EventId, CustomerId, String), KeyFacts>, Failure> {
        let keys: Vec<_> = requests.iter().map(key_of).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let query = sql::read_keys(self.backend, &keys);
        let rows = self.all("reading idempotency keys", query).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                // A fingerprint of another length is of another release: it equals none of ours.
                let fingerprint = row.fingerprint.try_into().unwrap_or_default();
                (
                    (row.event_id, row.customer_id, row.key),
                    KeyFacts {
                        fingerprint,
                        order_id: row.order_id,
                    },
                )
            })
            .collect())
    }

    /// Locks what can be locked without waiting, and finds out about the rest.
    async fn lock_tickets(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        trust: Trust,
    ) -> Result<(), Failure> {
        let named = named_tickets(requests);
        let named_ids: Vec<TicketId> = named.iter().map(|(_, id)| *id).collect();
        if !named.is_empty() {
            let query = sql::lock_free_tickets(self.backend, &named);
            let rows = self.all("locking tickets", query).await?;
            note_locked(facts, rows);
            self.read_unlocked(facts, &named).await?;
        }
        let any = any_of(requests);
        if !any.is_empty() {
            self.pick(facts, &any, &named_ids, trust).await?;
        }
        if trust == Trust::Owners {
            self.doubt_statuses(facts).await?;
        }
        Ok(())
    }

    /// Named tickets that were not locked: sold, locked by somebody else, or not there at all.
    async fn read_unlocked(
        &self,
        facts: &mut Facts,
        named: &[(EventId, TicketId)],
    ) -> Result<(), Failure> {
        let missing: Vec<_> = named
            .iter()
            .filter(|key| !facts.locked.contains_key(key))
            .copied()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let query = sql::read_tickets(self.backend, &missing);
        let rows = self.all("reading tickets", query).await?;
        facts.unlocked = rows
            .into_iter()
            .map(|row| {
                let standing = match row.status {
                    ticket::Status::Sold => Unlocked::Sold,
                    ticket::Status::Available | ticket::Status::Held | ticket::Status::Blocked => {
                        Unlocked::Undecided
                    }
                };
                ((row.event_id, row.id), standing)
            })
            .collect();
        Ok(())
    }

    /// Any tickets of a type: available ones first, then those whose hold has ended, then a look at what others have.
    async fn pick(
        &self,
        facts: &mut Facts,
        any: &[sql::AnyOf],
        named: &[TicketId],
        trust: Trust,
    ) -> Result<(), Failure> {
        let mut short = any.to_vec();
        for free in [sql::Free::Available, sql::Free::Expired] {
            let rows = self.pick_rows(free, &short, named, trust).await?;
            for row in &rows {
                facts
                    .picks
                    .entry((row.event_id, row.ticket_type_id))
                    .or_default()
                    .tickets
                    .push(row.id);
            }
            note_locked(facts, rows);
            short = any
                .iter()
                .map(|any| sql::AnyOf {
                    quantity: any.quantity - facts.picked(any.event_id, any.ticket_type_id),
                    ..*any
                })
                .filter(|any| any.quantity > 0)
                .collect();
            if short.is_empty() {
                return Ok(());
            }
        }
        if self.backend != DbBackend::Postgres {
            return Ok(());
        }
        let ours: Vec<TicketId> = facts.locked.keys().map(|(_, id)| *id).collect();
        let contested: Vec<sql::ContestedRow> = self
            .rows(
                "looking for contested tickets",
                sql::find_contested(&short, &ours, trust),
            )
            .await?;
        for row in contested {
            facts
                .picks
                .entry((row.event_id, row.ticket_type_id))
                .or_default()
                .contested
                .push(row.id);
        }
        Ok(())
    }

    async fn pick_rows(
        &self,
        free: sql::Free,
        any: &[sql::AnyOf],
        named: &[TicketId],
        trust: Trust,
    ) -> Result<Vec<ticket::Model>, Failure> {
        let step = "picking tickets";
        let mut rows = match self.backend {
            DbBackend::Postgres => {
                self.rows(step, sql::pick_tickets(free, any, named, trust))
                    .await?
            }
            _ => {
                let mut rows = Vec::new();
                for wanted in any {
                    rows.extend(
                        self.rows(step, sql::pick_tickets_sqlite(free, *wanted, named, trust))
                            .await?,
                    );
                }
                rows
            }
        };
        rows.sort_unstable_by_key(|row: &ticket::Model| row.id);
        Ok(rows)
    }

    /// Takes every ticket for sold that has an owner, and says so: somebody wrote to the database by hand.
    async fn doubt_statuses(&self, facts: &mut Facts) -> Result<(), Failure> {
        let locked: Vec<_> = facts.locked.keys().copied().collect();
        let query = sql::find_owned(self.backend, &locked);
        let owned = self.all("reading owners", query).await?;
        for item in owned {
            if let Some(ticket) = facts.locked.get_mut(&(item.event_id, item.ticket_id)) {
                tracing::error!(
                    event.id = %item.event_id, ticket.id = %item.ticket_id, order.id = %item.order_id,
                    "ticket {} is not marked sold but has an owner; it is treated as sold", item.ticket_id
                );
                ticket.status = ticket::Status::Sold;
            }
        }
        Ok(())
    }

    /// Events, ticket types and the time, after the last lock: an event that was cancelled meanwhile sells nothing more.
    async fn read_catalogue(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        self.read_events(facts, requests).await?;
        let types: HashSet<(EventId, TicketTypeId)> = facts
            .locked
            .iter()
            .map(|((event, _), ticket)| (*event, ticket.ticket_type_id))
            .chain(
                any_of(requests)
                    .iter()
                    .map(|any| (any.event_id, any.ticket_type_id)),
            )
            .collect();
        let types: Vec<_> = types.into_iter().collect();
        if types.is_empty() {
            return Ok(());
        }
        let query = sql::read_ticket_types(self.backend, &types);
        let rows = self.all("reading ticket types", query).await?;
        facts.ticket_types = rows
            .into_iter()
            .map(|row| {
                (
                    (row.event_id, row.id),
                    TypeFacts {
                        name: row.name,
                        price_minor: row.price_minor,
                    },
                )
            })
            .collect();
        Ok(())
    }

    /// The time, and the events of these requests.
    async fn read_events(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        let events: HashSet<EventId> = requests
            .iter()
            .map(|request| request.command.event_id)
            .collect();
        if events.is_empty() {
            return Ok(());
        }
        let events: Vec<EventId> = events.into_iter().collect();
        let step = "reading events";
        let rows: Vec<sql::EventRow> = self
            .rows(step, sql::read_events(self.backend, &events))
            .await?;
        for row in rows {
            facts.now = row.now;
            if let Some((id, event)) = event_facts(row).step(step)? {
                facts.events.insert(id, event);
            }
        }
        Ok(())
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

/// The tickets that requests name, each once, in the order of their ids.
fn named_tickets(requests: &[Request<'_>]) -> Vec<(EventId, TicketId)> {
    let mut named: Vec<_> = requests
        .iter()
        .flat_map(|request| match &request.command.want {
            Want::Tickets(ids) => ids
                .iter()
                .map(|id| (request.command.event_id, *id))
                .collect(),
            Want::AnyOf { .. } => Vec::new(),
        })
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// How many tickets of each type are wanted without naming them.
fn any_of(requests: &[Request<'_>]) -> Vec<sql::AnyOf> {
    let mut wanted: HashMap<(EventId, TicketTypeId), usize> = HashMap::new();
    for request in requests {
        match &request.command.want {
            Want::AnyOf {
                ticket_type_id,
                quantity,
            } => {
                *wanted
                    .entry((request.command.event_id, *ticket_type_id))
                    .or_default() += quantity;
            }
            Want::Tickets(_) => {}
        }
    }
    let mut wanted: Vec<sql::AnyOf> = wanted
        .into_iter()
        .map(|((event_id, ticket_type_id), quantity)| sql::AnyOf {
            event_id,
            ticket_type_id,
            quantity,
        })
        .collect();
    // One order for all processes, so that two batches pick in the same direction.
    wanted.sort_unstable_by_key(|any| (any.event_id, any.ticket_type_id));
    wanted
}

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

fn note_locked(facts: &mut Facts, rows: Vec<ticket::Model>) {
    facts.locked.extend(rows.into_iter().map(|row| {
        let seat_label = seat::label(&row);
        let ticket = TicketFacts {
            ticket_type_id: row.ticket_type_id,
            status: row.status,
            held_until: row.held_until,
            seat_label,
        };
        ((row.event_id, row.id), ticket)
    }));
}

/// None for an id that no event has.
fn event_facts(row: sql::EventRow) -> Result<Option<(EventId, EventFacts)>, DbErr> {
    let (
        Some(id),
        Some(status),
        Some(currency),
        Some(sales_open_at),
        Some(sales_close_at),
        Some(max),
    ) = (
        row.id,
        row.status,
        row.currency,
        row.sales_open_at,
        row.sales_close_at,
        row.tickets_per_order_max,
    )
    else {
        return Ok(None);
    };
    let currency = Currency::from_code(&currency)
        .ok_or_else(|| DbErr::Type(format!("event {id} has an unknown currency")))?;
    let tickets_per_order_max = usize::try_from(max).unwrap_or(0);
    Ok(Some((
        id,
        EventFacts {
            status,
            currency,
            sales_open_at,
            sales_close_at,
            tickets_per_order_max,
        },
    )))
}

/// The advisory lock of a customer's gate. The hash must be the same in every process and release.
fn gate_of(EventId(event): EventId, CustomerId(customer): CustomerId) -> i64 {
    advisory_key(b"gate", event, customer)
}

/// The advisory lock in front of the last tickets of a type.
fn type_line_of(EventId(event): EventId, TicketTypeId(ticket_type): TicketTypeId) -> i64 {
    advisory_key(b"type", event, ticket_type)
}

fn advisory_key(purpose: &[u8], event: uuid::Uuid, other: uuid::Uuid) -> i64 {
    let hash = Sha256::new()
        .chain_update(b"rowlock\0")
        .chain_update(purpose)
        .chain_update(event.as_bytes())
        .chain_update(other.as_bytes())
        .finalize();
    i64::from_be_bytes(
        hash[..8]
            .try_into()
            .expect("SHA-256 has more than eight bytes"),
    )
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::of(fault)
    }
}
