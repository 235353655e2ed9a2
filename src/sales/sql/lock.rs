//! Locks: gates, rows by their ids, and how long to wait for them.

use sea_orm::{
    DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select, Statement, sea_query::Expr,
};

use super::{
    pick::{TICKET_COLUMNS, bigint_array, uuid_array},
    together::Read,
};
use crate::{
    entity::{ticket, ticket_import::IS_SHOWN_SQLITE},
    ids::{CustomerId, EventId, HoldId, TicketId},
    sales::command::TICKETS_PER_ORDER_MAX,
    store::{bulk::is_one_of_pairs, dialect::clock},
};

/// One row for each gate: whether this transaction has it now.
pub fn try_gates(gates: &[i64]) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT gate, pg_try_advisory_xact_lock(gate) AS is_open FROM unnest($1::bigint[]) AS gate",
        [bigint_array(gates.iter().copied())],
    )
}

#[derive(FromQueryResult)]
pub struct GateRow {
    pub gate: i64,
    pub is_open: bool,
}

/// What can be locked together with its gate, before anything is read.
#[derive(Default)]
pub struct Foreseen {
    /// Tickets that somebody wants, each with the gate of who does. A nil id is no ticket's.
    pub wanted: Vec<(EventId, TicketId, i64)>,
    /// Holds whose customer has plans for them, each with that customer's gate.
    pub claimed: Vec<(EventId, HoldId, CustomerId, i64)>,
}

impl Foreseen {
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.claimed.is_empty()
    }
}

/// Passes gates and, behind them, locks free tickets as [`lock_free_tickets`] does, and the tickets of a customer's own holds:
/// for each of both whether this transaction has the gate now, and each ticket that it has too.
pub fn pass_gates_and_lock(foreseen: &Foreseen) -> Statement {
    let is_free = is_free(DbBackend::Postgres);
    let Foreseen { wanted, claimed } = foreseen;
    let mut gates = vec![
        "wanted AS MATERIALIZED (
             SELECT event_id, id, gate, pg_try_advisory_xact_lock(gate) AS is_open
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS wanted (event_id, id, gate)
         )",
    ];
    let mut locks = vec![format!(
        "SELECT wanted.gate, wanted.is_open, found.* FROM wanted LEFT JOIN LATERAL (
             SELECT {TICKET_COLUMNS} FROM tickets
             WHERE wanted.is_open AND tickets.event_id = wanted.event_id AND tickets.id = wanted.id AND {is_free}
             LIMIT 1 {SKIP_LOCKED}
         ) AS found ON TRUE"
    )];
    let mut values = vec![
        uuid_array(wanted.iter().map(|(event, ..)| event.0)),
        uuid_array(wanted.iter().map(|(_, ticket, _)| ticket.0)),
        bigint_array(wanted.iter().map(|(.., gate)| *gate)),
    ];
    // Where nobody claims a hold, PostgreSQL need not prepare for any: half of what this costs before its first row.
    if !claimed.is_empty() {
        gates.push(
            "claimed AS MATERIALIZED (
                 SELECT event_id, hold_id, customer_id, gate, pg_try_advisory_xact_lock(gate) AS is_open
                 FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[]) AS claimed (event_id, hold_id, customer_id, gate)
             )",
        );
        locks.push(format!(
            "SELECT claimed.gate, claimed.is_open, found.* FROM claimed LEFT JOIN LATERAL (
                 SELECT 1 FROM holds WHERE claimed.is_open AND holds.event_id = claimed.event_id
                     AND holds.id = claimed.hold_id AND holds.customer_id = claimed.customer_id LIMIT 1
             ) AS own ON TRUE LEFT JOIN LATERAL (
                 SELECT {TICKET_COLUMNS} FROM tickets
                 WHERE own IS NOT NULL AND tickets.event_id = claimed.event_id AND tickets.hold_id = claimed.hold_id
                 LIMIT {TICKETS_PER_ORDER_MAX} {SKIP_LOCKED}
             ) AS found ON TRUE"
        ));
        values.extend([
            uuid_array(claimed.iter().map(|(event, ..)| event.0)),
            uuid_array(claimed.iter().map(|(_, hold, ..)| hold.0)),
            uuid_array(claimed.iter().map(|(_, _, customer, _)| customer.0)),
            bigint_array(claimed.iter().map(|(.., gate)| *gate)),
        ]);
    }
    let sql = format!("WITH {} {}", gates.join(", "), locks.join(" UNION ALL "));
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Waits for an advisory lock, held to the transaction's end.
pub fn wait_for_advisory_lock(key: i64) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [key.into()],
    )
}

/// How long statements of this transaction may wait for a lock, and take in all, in milliseconds.
pub fn set_timeouts(lock_timeout_ms: u128, statement_timeout_ms: u128) -> Statement {
    Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)",
        [
            lock_timeout_ms.to_string().into(),
            statement_timeout_ms.to_string().into(),
        ],
    )
}

/// Those of these tickets that can be locked without waiting and are free, locked, in the order in which they are named.
///
/// Any other is left alone: locking it would write to its row, and in a burst most buyers want a ticket that is sold; and
/// who wants a ticket that somebody holds must not be in the holder's way.
pub fn lock_free_tickets(backend: DbBackend, wanted: &[(EventId, TicketId)]) -> Read {
    Read {
        statement: one_by_one(backend, wanted, &is_free(backend), SKIP_LOCKED),
        columns: TICKET_COLUMNS,
    }
}

/// Those of these tickets that can be locked without waiting, locked, whatever their status: they are the holder's or the
/// owner's who asks.
pub fn lock_claimed_tickets(backend: DbBackend, claimed: &[(EventId, TicketId)]) -> Read {
    Read {
        statement: one_by_one(backend, claimed, "TRUE", SKIP_LOCKED),
        columns: TICKET_COLUMNS,
    }
}

/// The tickets of these ids as they were last committed.
pub fn read_tickets(backend: DbBackend, wanted: &[(EventId, TicketId)]) -> Statement {
    one_by_one(backend, wanted, "TRUE", "")
}

#[cfg(not(without_lock))]
pub(super) const SKIP_LOCKED: &str = "FOR UPDATE SKIP LOCKED";
/// The build that proves the tests: without the lock they must see an oversell.
#[cfg(without_lock)]
pub(super) const SKIP_LOCKED: &str = "";

/// One look into the primary key's index for each ticket, whatever the planner knows of the table: a plan that is kept from
/// when it was small would read it from end to end.
fn one_by_one(
    backend: DbBackend,
    wanted: &[(EventId, TicketId)],
    condition: &str,
    lock: &str,
) -> Statement {
    if backend != DbBackend::Postgres {
        let query = named(backend, wanted).filter(Expr::cust(condition.to_owned()));
        return query.build(backend);
    }
    Statement::from_sql_and_values(
        backend,
        format!(
            "SELECT found.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (event_id, id)
             CROSS JOIN LATERAL (
                 SELECT {TICKET_COLUMNS} FROM tickets
                 WHERE tickets.event_id = wanted.event_id AND tickets.id = wanted.id AND {condition}
                 LIMIT 1 {lock}
             ) AS found"
        ),
        [
            uuid_array(wanted.iter().map(|(event, _)| event.0)),
            uuid_array(wanted.iter().map(|(_, ticket)| ticket.0)),
        ],
    )
}

/// By the statement's time, which can be compared without asking the clock for every row. A hold that ends after it is
/// found out by the plain read that follows, and waits for its lock.
fn is_free(backend: DbBackend) -> String {
    let now = match backend {
        DbBackend::Postgres => "statement_timestamp()",
        _ => clock(backend),
    };
    format!("(status = 'AVAILABLE' OR (status = 'HELD' AND held_until <= {now}))")
}

/// These tickets, locked in the order of their ids however long that takes: `SELECT … FOR UPDATE`. Unless they are claimed
/// by their holder or owner, only those that are free, or were when the wait began.
pub fn lock_tickets(
    backend: DbBackend,
    wanted: &[(EventId, TicketId)],
    is_claimed: bool,
) -> Select<ticket::Entity> {
    let query = named(backend, wanted).lock_exclusive();
    if is_claimed {
        query
    } else {
        query.filter(Expr::cust(is_free(backend)))
    }
}

fn named(backend: DbBackend, wanted: &[(EventId, TicketId)]) -> Select<ticket::Entity> {
    let pairs = wanted.iter().map(|(event, ticket)| (event.0, ticket.0));
    let query = ticket::Entity::find()
        .filter(is_one_of_pairs(backend, ("event_id", "id"), pairs))
        .order_by_asc(ticket::Column::EventId)
        .order_by_asc(ticket::Column::Id);
    match backend {
        DbBackend::Sqlite => query.filter(Expr::cust(IS_SHOWN_SQLITE)),
        _ => query,
    }
}
