//! Tickets: locking those that can be locked without waiting, and finding out about the rest.

use std::collections::HashMap;

use sea_orm::DbBackend;
use uuid::Uuid;

use super::{Transaction, facts::Tried, hints::Hints, targets::claimed_tickets};
use crate::{
    entity::ticket,
    ids::{EventId, TicketId, TicketTypeId},
    sales::{
        command::Want,
        decide::{Facts, Request, TicketFacts, Unlocked},
        desk::BATCH_TICKETS_MAX,
        failure::Failure,
        sql::{self, Trust},
    },
    seat,
};

/// Tickets of holds and orders that one batch locks; how many they are is known only here. A batch that has more is halved.
const CLAIMS_MAX: usize = 2 * BATCH_TICKETS_MAX;

impl Transaction {
    /// Locks what can be locked without waiting and was not tried, and finds out about the rest. Whether it locked anything.
    pub(super) async fn lock_tickets(
        &self,
        facts: &mut Facts,
        requests: &[Request<'_>],
        trust: Trust,
        hints: &Hints,
        tried: &Tried,
    ) -> Result<bool, Failure> {
        let step = "locking tickets";
        let claimed = claimed_tickets(facts, requests);
        if claimed.len() > CLAIMS_MAX && requests.len() > 1 {
            return Err(Failure::too_large(step));
        }
        let mut named = named_tickets(requests);
        let untried = named.iter().filter(|ticket| !tried.contains(ticket));
        let untried: Vec<_> = untried.copied().collect();
        let unlocked: Vec<_> = claimed
            .iter()
            .filter(|ticket| !facts.locked.contains_key(ticket))
            .copied()
            .collect();
        let reads = [
            (!unlocked.is_empty()).then(|| sql::lock_claimed_tickets(self.backend, &unlocked)),
            (!untried.is_empty()).then(|| sql::lock_free_tickets(self.backend, &untried)),
        ];
        for rows in self.read_together(step, reads).await? {
            note_locked(facts, rows.read(step)?);
        }
        let mut has_locked = !unlocked.is_empty() || !untried.is_empty();
        named.extend(claimed);
        self.read_unlocked(facts, &named).await?;
        let named_ids: Vec<TicketId> = named.iter().map(|(_, id)| *id).collect();
        let mut any = any_of(requests);
        if !any.is_empty() {
            has_locked = true;
            self.hint_at(&mut any, hints);
            self.pick(facts, &any, &named_ids, trust, hints).await?;
        }
        if trust == Trust::Owners {
            self.doubt_statuses(facts).await?;
        }
        Ok(has_locked)
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
        let statement = sql::read_tickets(self.backend, &missing);
        let rows: Vec<ticket::Model> = self.rows("reading tickets", statement).await?;
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

    /// Where to begin looking. SQLite's index has no entries of what was sold to walk past.
    fn hint_at(&self, any: &mut [sql::AnyOf], hints: &Hints) {
        if self.backend == DbBackend::Postgres {
            for any in any {
                any.after = hints.last_pick(any.event_id, any.ticket_type_id);
            }
        }
    }

    /// Any tickets of a type: available ones first, from where the last was picked and then from the beginning, then those
    /// whose hold has ended, then a look at what others have.
    async fn pick(
        &self,
        facts: &mut Facts,
        any: &[sql::AnyOf],
        named: &[TicketId],
        trust: Trust,
        hints: &Hints,
    ) -> Result<(), Failure> {
        let mut short = any.to_vec();
        for free in [
            sql::Free::Available,
            sql::Free::AvailableBefore,
            sql::Free::Expired,
        ] {
            let possible: Vec<_> = short
                .iter()
                .filter(|any| free != sql::Free::AvailableBefore || !any.after.0.is_nil())
                .copied()
                .collect();
            if possible.is_empty() {
                continue;
            }
            let rows = self.pick_rows(free, &possible, named, trust).await?;
            for row in &rows {
                let of_type = (row.event_id, row.ticket_type_id);
                facts.picks.entry(of_type).or_default().tickets.push(row.id);
                if free != sql::Free::Expired {
                    // The rows come in the order of their ids: the last one stays.
                    hints.remember_pick(row.event_id, row.ticket_type_id, row.id);
                }
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
pub(super) fn any_of(requests: &[Request<'_>]) -> Vec<sql::AnyOf> {
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
            after: TicketId(Uuid::nil()),
        })
        .collect();
    // One order for all processes, so that two batches pick in the same direction.
    wanted.sort_unstable_by_key(|any| (any.event_id, any.ticket_type_id));
    wanted
}

pub(super) fn note_locked(facts: &mut Facts, rows: Vec<ticket::Model>) {
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
