//! What a batch must know before it is decided: its gates, its keys, and what its tickets rest on.
//!
//! The order in which these are called is [`super`]'s. Nothing here waits for somebody else, and nothing is written.

use std::collections::{HashMap, HashSet};

use sea_orm::{DbBackend, DbErr};

use super::{
    Transaction,
    gates::{gate_of, gates_of},
    hints::Hints,
    key_of,
    targets::bound,
    tickets::any_of,
};
use crate::{
    entity::idempotency_key,
    fault::Step,
    ids::{CustomerId, EventId, TicketTypeId},
    money::Currency,
    sales::{
        command::Kind,
        decide::{EventFacts, Facts, KeyFacts, Request, TypeFacts, refuse_early},
        failure::Failure,
        sql,
    },
};

impl Transaction {
    /// The requests that tickets are locked for: a repeat gets its order whoever has its ticket locked by now, and what
    /// will be refused anyway should not keep tickets from others. Their events are read again behind the locks, and those
    /// facts decide; here an earlier batch's are enough to let a request pass, though not to refuse it.
    pub(super) async fn sellable<'a>(
        &self,
        facts: &mut Facts,
        requests: &[Request<'a>],
        hints: &Hints,
    ) -> Result<Vec<Request<'a>>, Failure> {
        let new: Vec<(usize, Request<'a>)> = requests
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, request)| !facts.keys.contains_key(&key_of(request)))
            .collect();
        let of_new: Vec<Request<'a>> = new.iter().map(|(_, request)| *request).collect();
        self.read_targets(facts, &of_new).await?;
        let is_recalled = hints.recall_events(facts, &events_of(&of_new));
        if !is_recalled {
            self.read_events(facts, &of_new).await?;
        }
        self.read_allowances(facts, &of_new).await?;
        let judge = |facts: &Facts| -> Vec<_> {
            let verdicts = of_new.iter().map(|request| refuse_early(facts, request));
            verdicts.collect()
        };
        let mut verdicts = judge(facts);
        if is_recalled && verdicts.iter().any(Result::is_err) {
            self.read_events(facts, &of_new).await?;
            self.read_allowances(facts, &of_new).await?;
            verdicts = judge(facts);
        }
        let mut sellable = Vec::new();
        for ((index, request), verdict) in new.into_iter().zip(verdicts) {
            match verdict {
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
        let statement = sql::read_keys(self.backend, &keys);
        let rows: Vec<idempotency_key::Model> =
            self.rows("reading idempotency keys", statement).await?;
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

    /// What the rules need besides, in statements after the last lock.
    pub(super) async fn read_behind_locks(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        hints: &Hints,
    ) -> Result<(), Failure> {
        self.read_targets_again(facts, requests).await?;
        let mut types: HashSet<(EventId, Option<TicketTypeId>)> = facts
            .locked
            .iter()
            .map(|((event, _), ticket)| (*event, Some(ticket.ticket_type_id)))
            .collect();
        let any = any_of(requests);
        types.extend(
            any.iter()
                .map(|any| (any.event_id, Some(any.ticket_type_id))),
        );
        // An event that was cancelled meanwhile sells nothing more, and an event of which nothing is locked has its say too.
        let with_types: HashSet<EventId> = types.iter().map(|(event, _)| *event).collect();
        let others = events_of(requests);
        types.extend(others.difference(&with_types).map(|event| (*event, None)));
        self.read_catalogue(facts, types).await?;
        hints.remember_events(facts);
        self.read_allowances(facts, requests).await
    }

    /// The time, and the events of these requests.
    async fn read_events(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
    ) -> Result<(), Failure> {
        let events = events_of(requests).into_iter().map(|event| (event, None));
        self.read_catalogue(facts, events.collect()).await
    }

    /// The time, and events with ticket types, in place of those that are known.
    async fn read_catalogue(
        &self,
        facts: &mut Facts,
        wanted: HashSet<(EventId, Option<TicketTypeId>)>,
    ) -> Result<(), Failure> {
        facts.events.clear();
        facts.ticket_types.clear();
        if wanted.is_empty() {
            return Ok(());
        }
        let step = "reading events and ticket types";
        let statement = sql::read_catalogue(self.backend, wanted.into_iter());
        let rows: Vec<sql::CatalogueRow> = self.rows(step, statement).await?;
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
            if let Some((id, event)) = event_facts(row).step(step)? {
                facts.events.insert(id, event);
            }
        }
        Ok(())
    }
}

fn events_of(requests: &[Request<'_>]) -> HashSet<EventId> {
    let events = requests.iter().map(|request| request.command.event_id);
    events.collect()
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
