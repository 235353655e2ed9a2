//! Withholding tickets from sale, and giving them back: all of those that are named, or none.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;

use super::{
    Sales,
    command::{Malformed, checked_ids, is_reason},
    commit::{Keep, Transaction},
    customers::Customers,
    failure::Failure,
    journal::Journal,
    sql::{self, staff},
    staff::{ATTEMPT_MAX, Busy, Work},
};
use crate::{
    auth::Grant,
    changes::{self, Cause, Whose},
    entity::{event, ticket},
    fault::Fault,
    ids::{CustomerId, EventId, TicketId},
};

/// Tickets that are blocked or unblocked, checked as far as that goes without a database.
#[derive(Clone, Debug)]
pub struct TicketBlock {
    event_id: EventId,
    /// In the order of their ids, none twice.
    tickets: Vec<TicketId>,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Block { reason: String },
    Unblock,
}

/// Why tickets are neither blocked nor unblocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockRefusal {
    UnknownEvent,
    EventCancelled,
    UnknownTicket(TicketId),
    AlreadySold(TicketId),
    /// A buyer holds it, and the hold is alive.
    Held {
        ticket: TicketId,
        until: DateTime<Utc>,
    },
    /// Buyers were at these tickets for too long.
    Busy,
}

impl TicketBlock {
    /// Tickets to be blocked, for a reason.
    ///
    /// # Errors
    /// When there are none or too many, one is named twice, or the reason is none.
    pub fn block(
        event_id: EventId,
        tickets: Vec<TicketId>,
        reason: String,
    ) -> Result<Self, Malformed> {
        if !is_reason(&reason) {
            return Err(Malformed::Reason);
        }
        Self::new(event_id, tickets, Change::Block { reason })
    }

    /// Tickets to be unblocked.
    ///
    /// # Errors
    /// When there are none or too many, or one is named twice.
    pub fn unblock(event_id: EventId, tickets: Vec<TicketId>) -> Result<Self, Malformed> {
        Self::new(event_id, tickets, Change::Unblock)
    }

    fn new(event_id: EventId, tickets: Vec<TicketId>, change: Change) -> Result<Self, Malformed> {
        Ok(Self {
            event_id,
            tickets: checked_ids(tickets, Malformed::TicketTwice)?,
            change,
        })
    }
}

impl Sales {
    /// Blocks or unblocks tickets of an organizer's own event. What is so already stays so; a new reason counts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn block_tickets(
        &self,
        grant: &Grant,
        block: TicketBlock,
    ) -> Result<Result<(), Vec<BlockRefusal>>, Fault> {
        let grant = grant.clone();
        let work = Blocking { grant, block };
        Ok(match self.staff.carry_out(work).await? {
            Ok(answer) => answer,
            Err(Busy) => Err(vec![BlockRefusal::Busy]),
        })
    }
}

struct Blocking {
    grant: Grant,
    block: TicketBlock,
}

type Judged = Result<(), Vec<BlockRefusal>>;

impl Work for Blocking {
    type Answer = Judged;

    async fn attempt(
        &self,
        db: &DatabaseConnection,
        customers: &Customers,
    ) -> Result<Judged, Failure> {
        let by = customers.id_of(db, self.grant.account()).await?;
        let tx = Transaction::begin(db).await?;
        let judged = self.change(&tx, by).await;
        tx.end(judged).await
    }
}

impl Blocking {
    async fn change(&self, tx: &Transaction, by: CustomerId) -> Result<(Judged, Keep), Failure> {
        tx.set_timeouts(ATTEMPT_MAX, ATTEMPT_MAX).await?;
        let TicketBlock {
            event_id, tickets, ..
        } = &self.block;
        // Read, never locked: whoever adds tickets has the row for long.
        let query = staff::own_event(&self.grant, *event_id);
        let own = tx.all("reading an organizer's event", query).await?;
        if own.is_empty() {
            return Ok((Err(vec![BlockRefusal::UnknownEvent]), Keep::Nothing));
        }
        let wanted: Vec<_> = tickets.iter().map(|id| (*event_id, *id)).collect();
        let query = sql::lock_tickets(tx.backend(), &wanted, true);
        let locked = tx.all("locking tickets to block", query).await?;
        // Behind the locks, as for a sale: the visit of a cancelled event must find what is done here, or this must find it
        // cancelled.
        let statement = sql::read_catalogue(tx.backend(), &[(*event_id, None)]).statement;
        let events: Vec<sql::CatalogueRow> = tx.rows("reading events", statement).await?;
        let Some(event) = events.first() else {
            return Err(Failure::bug("reading events"));
        };
        if event.status == Some(event::Status::Cancelled) {
            return Ok((Err(vec![BlockRefusal::EventCancelled]), Keep::Nothing));
        }
        let refusals = judge(&self.block, &locked, event.now);
        if !refusals.is_empty() {
            return Ok((Err(refusals), Keep::Nothing));
        }
        let backend = tx.backend();
        let (step, statement) = match &self.block.change {
            Change::Block { reason } => (
                "blocking tickets",
                staff::block(backend, *event_id, tickets, reason),
            ),
            Change::Unblock => (
                "unblocking tickets",
                staff::unblock(backend, *event_id, tickets),
            ),
        };
        tx.execute(step, statement).await?;
        tx.append(&journal(&self.block.change, by, &locked)).await?;
        Ok((Ok(()), Keep::Changes))
    }
}

/// What that changes: a hold that is over is still one in the rows.
fn journal(change: &Change, by: CustomerId, locked: &[ticket::Model]) -> Journal {
    let mut journal = Journal::default();
    for row in locked {
        let (to, cause) = match (change, row.status) {
            (Change::Block { .. }, _) => (ticket::Status::Blocked, Cause::Block),
            (Change::Unblock, ticket::Status::Blocked) => {
                (ticket::Status::Available, Cause::Unblock)
            }
            (
                Change::Unblock,
                ticket::Status::Available | ticket::Status::Held | ticket::Status::Sold,
            ) => continue,
        };
        let changed = changes::Change {
            ticket_id: row.id,
            from: row.status,
            to,
            cause,
            whose: row.hold_id.map_or(Whose::Nobody, Whose::Hold),
            staff: Some(by),
        };
        journal.record(row.event_id, row.ticket_type_id, changed);
    }
    journal
}

/// What speaks against it, ticket by ticket. A hold is alive while the time is before its end.
fn judge(block: &TicketBlock, locked: &[ticket::Model], now: DateTime<Utc>) -> Vec<BlockRefusal> {
    let locked: HashMap<TicketId, &ticket::Model> =
        locked.iter().map(|row| (row.id, row)).collect();
    let judge = |&id: &TicketId| {
        let Some(row) = locked.get(&id) else {
            return Some(BlockRefusal::UnknownTicket(id));
        };
        match (&block.change, row.status, row.held_until) {
            // Only what is blocked is changed.
            (Change::Unblock, ..) => None,
            (Change::Block { .. }, ticket::Status::Sold, _) => Some(BlockRefusal::AlreadySold(id)),
            (Change::Block { .. }, ticket::Status::Held, Some(until)) if now < until => {
                Some(BlockRefusal::Held { ticket: id, until })
            }
            (
                Change::Block { .. },
                ticket::Status::Held | ticket::Status::Available | ticket::Status::Blocked,
                _,
            ) => None,
        }
    };
    block.tickets.iter().filter_map(judge).collect()
}
