//! What a batch must know before it is decided: its gates, what stands behind them, and what its tickets rest on.
//!
//! The order in which these are called is [`super`]'s. Nothing here waits for somebody else, and nothing is written.

use std::collections::{HashMap, HashSet};

use sea_orm::{DbBackend, FromQueryResult};

use super::{
    Transaction,
    catalogue::{catalogue_of, events_of},
    gates::{gate_of, gates_of},
    hints::Hints,
    key_of,
    targets::{allowances_of, bound, holds_of, note_holds},
    tickets::note_locked,
};
use crate::{
    entity::{idempotency_key, ticket},
    fault::Step,
    ids::{CustomerId, EventId, TicketId},
    sales::{
        command::{Kind, Want},
        decide::{Facts, KeyFacts, Request, refuse_early},
        failure::Failure,
        sql::{self, Foreseen},
    },
};

impl Transaction {
    /// The gates that somebody else has. Behind its gate alone are limits and idempotency keys of a customer and event
    /// read and written, so that one customer's requests are decided one after the other in every process.
    ///
    /// Tickets that can be locked as far as is known before anything is read are locked in the same statement, each behind
    /// the gate of who wants it.
    pub(super) async fn pass_gates(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        hints: &Hints,
    ) -> Result<(ClosedGates, Tried), Failure> {
        if self.backend != DbBackend::Postgres {
            return Ok((ClosedGates::new(), Tried::new()));
        }
        let step = "passing the gates";
        let gates: HashMap<i64, (EventId, CustomerId)> = requests
            .iter()
            .flat_map(gates_of)
            .flatten()
            .map(|(event, customer)| (gate_of(event, customer), (event, customer)))
            .collect();
        let mut foreseen = foreseen(requests, hints);
        let statement = if foreseen.is_empty() {
            sql::try_gates(&gates.keys().copied().collect::<Vec<_>>())
        } else {
            let wanted = foreseen.wanted.iter().map(|(.., gate)| *gate);
            let claimed = foreseen.claimed.iter().map(|(.., gate)| *gate);
            let with_tickets: HashSet<i64> = wanted.chain(claimed).collect();
            let others = gates
                .iter()
                .filter(|(gate, _)| !with_tickets.contains(gate));
            let no_ticket = TicketId(uuid::Uuid::nil());
            let others = others.map(|(gate, (event, _))| (*event, no_ticket, *gate));
            foreseen.wanted.extend(others);
            sql::pass_gates_and_lock(&foreseen)
        };
        let mut closed = HashSet::new();
        let mut locked = Vec::new();
        for row in self.query(step, statement).await? {
            let gate = sql::GateRow::from_query_result(&row, "").step(step)?;
            if !gate.is_open {
                closed.extend(gates.get(&gate.gate));
            } else if !foreseen.is_empty()
                && let Some(_) = row.try_get::<Option<uuid::Uuid>>("", "id").step(step)?
            {
                locked.push(ticket::Model::from_query_result(&row, "").step(step)?);
            }
        }
        let wanted = foreseen
            .wanted
            .into_iter()
            .filter(|(.., gate)| gates.get(gate).is_some_and(|gate| !closed.contains(gate)))
            .map(|(event, ticket, _)| (event, ticket));
        let tried = wanted
            .chain(locked.iter().map(|ticket| (ticket.event_id, ticket.id)))
            .collect();
        note_locked(facts, locked);
        Ok((closed, tried))
    }

    /// What stands behind the gates: keys, holds and orders that requests are about, and what customers have already; with
    /// the time and the events where tickets were locked before, or where no earlier batch has seen the events.
    pub(super) async fn read_behind_gates(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        hints: &Hints,
        is_tried: bool,
    ) -> Result<Age, Failure> {
        let step = "reading behind the gates";
        if requests.is_empty() {
            return Ok(Age::Fresh);
        }
        let needed = hints.recall_catalogue(facts, catalogue_of(facts, requests));
        let is_recalled = events_of(requests).all(|event| facts.events.contains_key(&event));
        let is_fresh = is_tried || !is_recalled;
        let keys: Vec<_> = requests.iter().map(key_of).collect();
        let catalogue = is_fresh.then(|| needed.read(self.backend));
        let holds = holds_of(requests);
        let holds = (!holds.is_empty()).then(|| sql::read_holds(self.backend, &holds));
        let allowances = allowances_of(facts, requests);
        let [owned, live] = allowances.reads(self.backend);
        let reads = [
            Some(sql::read_keys(self.backend, &keys)),
            catalogue,
            holds,
            owned,
            live,
        ];
        let [keys, catalogue, holds, owned, live] = self.read_together(step, reads).await?;
        facts.keys = keys_by_name(keys.read(step)?);
        if is_fresh {
            self.note_catalogue(facts, needed, &catalogue, hints)
                .await?;
        }
        note_holds(facts, holds.read(step)?);
        allowances.note(facts, owned.read(step)?, live.read(step)?);
        let new = self.new_of(facts, requests);
        let new: Vec<_> = new.into_iter().map(|(_, request)| request).collect();
        self.read_orders_of(facts, &new).await?;
        if is_fresh {
            self.read_allowances(facts, &new).await?;
        }
        Ok(if is_fresh { Age::Fresh } else { Age::Recalled })
    }

    /// The requests that tickets are locked for: a repeat gets its order whoever has its ticket locked by now, and what
    /// will be refused anyway should not keep tickets from others. Facts of an earlier batch are enough to let a request
    /// pass, though not to refuse it: what they are behind the locks decides.
    pub(super) async fn sellable<'a>(
        &self,
        facts: &mut Facts,
        requests: &[Request<'a>],
        hints: &Hints,
        age: &mut Age,
    ) -> Result<Vec<Request<'a>>, Failure> {
        let new = self.new_of(facts, requests);
        let of_new: Vec<Request<'a>> = new.iter().map(|(_, request)| *request).collect();
        let judge = |facts: &Facts| -> Vec<_> {
            let verdicts = of_new.iter().map(|request| refuse_early(facts, request));
            verdicts.collect()
        };
        let mut verdicts = judge(facts);
        if *age == Age::Recalled && verdicts.iter().any(Result::is_err) {
            self.read_catalogue(facts, &of_new, hints).await?;
            self.read_allowances(facts, &of_new).await?;
            *age = Age::Fresh;
            verdicts = judge(facts);
        }
        let mut sellable = Vec::new();
        for ((index, request), verdict) in new.into_iter().zip(verdicts) {
            hints.note_allowance(&request, verdict.as_ref().err());
            match verdict {
                Ok(()) => sellable.push(request),
                Err(refusal) => {
                    facts.early.insert(index, refusal);
                }
            }
        }
        Ok(sellable)
    }

    /// Those whose key is not bound yet, with their places.
    fn new_of<'a>(&self, facts: &Facts, requests: &[Request<'a>]) -> Vec<(usize, Request<'a>)> {
        let all = requests.iter().copied().enumerate();
        all.filter(|(_, request)| !facts.keys.contains_key(&key_of(request)))
            .collect()
    }

    /// What the rules need besides, in statements after the last lock: all of it, unless that was so before.
    pub(super) async fn read_behind_locks(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        hints: &Hints,
        age: Age,
    ) -> Result<(), Failure> {
        self.read_targets_again(facts, requests).await?;
        // An event that was cancelled meanwhile sells nothing more.
        if age == Age::Recalled {
            self.read_catalogue(facts, requests, hints).await?;
        }
        self.read_allowances(facts, requests).await
    }
}

/// Gates that somebody else has.
pub(super) type ClosedGates = HashSet<(EventId, CustomerId)>;

/// Tickets that were locked already if they could be.
pub(super) type Tried = HashSet<(EventId, TicketId)>;

/// How old the time and the events are that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// From behind the last lock.
    Fresh,
    /// An earlier batch's, or from before a lock.
    Recalled,
}

/// What can be locked at once: the tickets that are named by purchases and holds which nothing refuses that an earlier batch
/// saw, and those of holds. A customer's allowance is not known yet; where the last look at it left nothing, it comes first.
fn foreseen(requests: &[Request<'_>], hints: &Hints) -> Foreseen {
    let mut facts = Facts::default();
    let events = events_of(requests).map(|event| (event, None));
    hints.recall_catalogue(&mut facts, events.collect());
    let mut foreseen = Foreseen::default();
    for request in requests {
        let event_id = request.command.event_id;
        let gate = gate_of(event_id, request.customer_id);
        if let Some(hold_id) = request.command.hold_id()
            && facts.events.contains_key(&event_id)
        {
            let claimed = (event_id, hold_id, request.customer_id, gate);
            foreseen.claimed.push(claimed);
        }
        if let Some(Want::Tickets(ids)) = request.command.want()
            && !hints.is_exhausted(event_id, request.customer_id)
            && refuse_early(&facts, request).is_ok()
        {
            let wanted = ids.iter().map(|id| (event_id, *id, gate));
            foreseen.wanted.extend(wanted);
        }
    }
    // One order for all processes, and each once: a transaction does not skip its own locks.
    foreseen.wanted.sort_unstable();
    foreseen.wanted.dedup();
    foreseen.claimed.sort_unstable();
    foreseen.claimed.dedup();
    foreseen
}

fn keys_by_name(
    rows: Vec<idempotency_key::Model>,
) -> HashMap<(EventId, CustomerId, String), KeyFacts> {
    let rows = rows.into_iter().map(|row| {
        // A fingerprint of another length is of another release: it equals none of ours.
        let fingerprint = row.fingerprint.try_into().unwrap_or_default();
        let bound = Kind::from_name(&row.kind).map(|kind| bound(kind, row.result_id));
        (
            (row.event_id, row.customer_id, row.key),
            KeyFacts { fingerprint, bound },
        )
    });
    rows.collect()
}
