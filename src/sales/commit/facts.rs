//! What a batch must know before it is decided: its gates, its keys, its tickets' rows, and then what those rest on.
//!
//! The order in which these are called is [`super`]'s. Nothing here waits for somebody else, and nothing is written.

use std::collections::{HashMap, HashSet};

use sea_orm::{DbBackend, DbErr};

use super::{
    Transaction,
    gates::gate_of,
    gates_of, key_of,
    targets::{bound, claimed_tickets},
};
use crate::{
    entity::ticket,
    fault::Step,
    ids::{CustomerId, EventId, TicketId, TicketTypeId},
    money::Currency,
    sales::{
        command::{Kind, Want},
        decide::{
            EventFacts, Facts, KeyFacts, Request, TicketFacts, TypeFacts, Unlocked, refuse_early,
        },
        desk::BATCH_TICKETS_MAX,
        failure::Failure,
        sql::{self, Trust},
    },
    seat,
};

/// Tickets of holds and orders that one batch locks; how many they are is known only here. A batch that has more is halved.
const CLAIMS_MAX: usize = 2 * BATCH_TICKETS_MAX;

impl Transaction {
    /// The requests that tickets are locked for: a repeat gets its order whoever has its ticket locked by now, and what
    /// will be refused anyway should not keep tickets from others. Their events, read here, are read again behind the
    /// locks, and those facts decide.
    pub(super) async fn sellable<'a>(
        &self,
        facts: &mut Facts,
        requests: &[Request<'a>],
    ) -> Result<Vec<Request<'a>>, Failure> {
        let new: Vec<(usize, Request<'a>)> = requests
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, request)| !facts.keys.contains_key(&key_of(request)))
            .collect();
        let of_new: Vec<Request<'a>> = new.iter().map(|(_, request)| *request).collect();
        self.read_targets(facts, &of_new).await?;
        self.read_events(facts, &of_new).await?;
        self.read_allowances(facts, &of_new).await?;
        let mut sellable = Vec::new();
        for (index, request) in new {
            match refuse_early(facts, &request) {
                Ok(()) => sellable.push(request),
                Err(refusal) => {
                    facts.early.insert(index, refusal);
                }
            }
        }
        Ok(sellable)
    }

    /// The gates that somebody else has. Behind its gate alone are limits and idempotency keys of a customer and event
    /// read and written, so that one customer's requests are decided one after the other in every process.
    pub(super) async fn closed_gates(
        &self,
        requests: &[Request<'_>],
    ) -> Result<HashSet<(EventId, CustomerId)>, Failure> {
        if self.backend != DbBackend::Postgres {
            return Ok(HashSet::new());
        }
        let gates: HashMap<i64, (EventId, CustomerId)> = requests
            .iter()
            .flat_map(gates_of)
            .flatten()
            .map(|(event, customer)| (gate_of(event, customer), (event, customer)))
            .collect();
        let keys: Vec<i64> = gates.keys().copied().collect();
        let rows: Vec<sql::GateRow> = self
            .rows("passing the gates", sql::try_gates(&keys))
            .await?;
        let open: HashSet<i64> = rows
            .iter()
            .filter(|row| row.is_open)
            .map(|row| row.gate)
            .collect();
        Ok(gates
            .into_iter()
            .filter(|(key, _)| !open.contains(key))
            .map(|(_, gate)| gate)
            .collect())
    }

    pub(super) async fn read_keys(
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
                        bound: Kind::from_name(&row.kind).map(|kind| bound(kind, row.result_id)),
                    },
                )
            })
            .collect())
    }

    /// Locks what can be locked without waiting, and finds out about the rest.
    pub(super) async fn lock_tickets(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        trust: Trust,
    ) -> Result<(), Failure> {
        let claimed = claimed_tickets(facts, requests);
        if claimed.len() > CLAIMS_MAX && requests.len() > 1 {
            return Err(Failure::too_large("locking claimed tickets"));
        }
        if !claimed.is_empty() {
            let query = sql::lock_claimed_tickets(self.backend, &claimed);
            let rows = self.all("locking claimed tickets", query).await?;
            note_locked(facts, rows);
        }
        let mut named = named_tickets(requests);
        if !named.is_empty() {
            let query = sql::lock_free_tickets(self.backend, &named);
            let rows = self.all("locking tickets", query).await?;
            note_locked(facts, rows);
        }
        named.extend(claimed);
        self.read_unlocked(facts, &named).await?;
        let named_ids: Vec<TicketId> = named.iter().map(|(_, id)| *id).collect();
        let any = any_of(requests);
        if !any.is_empty() {
            self.pick(facts, &any, &named_ids, trust).await?;
        }
        if trust == Trust::Owners {
            self.doubt_statuses(facts).await?;
        }
        Ok(())
    }

    /// Named tickets that were not locked: not free, locked by somebody else, or not there at all.
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
                let standing = match (row.status, row.hold_id, row.held_until) {
                    (ticket::Status::Sold, ..) => Unlocked::Sold,
                    (ticket::Status::Blocked, ..) => Unlocked::Blocked,
                    (ticket::Status::Held, Some(hold_id), Some(until)) => {
                        Unlocked::Held { hold_id, until }
                    }
                    (ticket::Status::Available | ticket::Status::Held, ..) => Unlocked::Undecided,
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

    /// What the rules need besides, in statements after the last lock.
    pub(super) async fn read_behind_locks(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        self.read_targets_again(facts, requests).await?;
        self.read_catalogue(facts, requests).await?;
        self.read_allowances(facts, requests).await
    }

    /// Events, ticket types and the time: an event that was cancelled meanwhile sells nothing more.
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
}

/// The tickets that requests want by their ids, each once, in the order of their ids.
fn named_tickets(requests: &[Request<'_>]) -> Vec<(EventId, TicketId)> {
    let mut named: Vec<_> = requests
        .iter()
        .flat_map(|request| match request.command.want() {
            Some(Want::Tickets(ids)) => ids
                .iter()
                .map(|id| (request.command.event_id, *id))
                .collect(),
            Some(Want::AnyOf { .. }) | None => Vec::new(),
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
        match request.command.want() {
            Some(Want::AnyOf {
                ticket_type_id,
                quantity,
            }) => {
                *wanted
                    .entry((request.command.event_id, *ticket_type_id))
                    .or_default() += quantity;
            }
            Some(Want::Tickets(_)) | None => {}
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

fn note_locked(facts: &mut Facts, rows: Vec<ticket::Model>) {
    facts.locked.extend(rows.into_iter().map(|row| {
        let seat_label = seat::label(&row);
        let ticket = TicketFacts {
            ticket_type_id: row.ticket_type_id,
            status: row.status,
            held: row.hold_id.zip(row.held_until),
            seat_label,
        };
        ((row.event_id, row.id), ticket)
    }));
}

/// None for an id that no event has.
fn event_facts(row: sql::EventRow) -> Result<Option<(EventId, EventFacts)>, DbErr> {
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
