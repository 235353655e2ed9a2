//! Cancelling an event: its status first, in one short transaction, and everything else behind it.
//!
//! Every sale reads its event after it has locked its tickets. So once the status is committed, whoever locks a ticket
//! sells nothing, and what was sold or held before is found by [`visit`], which locks every ticket once.

pub mod visit;

use sea_orm::{DatabaseConnection, QuerySelect, sea_query::LockType};

use super::{
    Sales,
    command::is_reason,
    commit::{Keep, Transaction},
    customers::Customers,
    failure::Failure,
    sql::staff as sql,
    staff::{ATTEMPT_MAX, Busy, Work},
};
use crate::{
    auth::Grant,
    entity::event,
    fault::Fault,
    ids::{CustomerId, EventId},
};

/// An event to be cancelled.
#[derive(Clone, Debug)]
pub struct EventCancellation {
    pub event_id: EventId,
    /// The version that whoever cancels has seen, if that matters to them.
    pub version: Option<i64>,
    pub reason: String,
}

/// Why an event is not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelEventRefusal {
    UnknownEvent,
    /// Nobody knows of a draft, and a cancelled event is public.
    NotPublished,
    Stale,
    InvalidReason,
    /// The event's row was locked for too long.
    Busy,
}

impl Sales {
    /// Cancels an organizer's own event. From the answer on nothing of it is sold or held; its tickets, orders and holds
    /// are settled within moments, by this process or another one. Of an event that is cancelled already, nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_event(
        &self,
        grant: &Grant,
        cancellation: EventCancellation,
    ) -> Result<Result<event::Model, CancelEventRefusal>, Fault> {
        if !is_reason(&cancellation.reason) {
            return Ok(Err(CancelEventRefusal::InvalidReason));
        }
        let work = CancelEvent {
            grant: grant.clone(),
            asked: cancellation,
        };
        Ok(match self.staff.carry_out(work).await? {
            Ok(answer) => answer,
            Err(Busy) => Err(CancelEventRefusal::Busy),
        })
    }
}

struct CancelEvent {
    grant: Grant,
    asked: EventCancellation,
}

type Judged = Result<event::Model, CancelEventRefusal>;

impl Work for CancelEvent {
    type Answer = Judged;

    async fn attempt(
        &self,
        db: &DatabaseConnection,
        customers: &Customers,
    ) -> Result<Judged, Failure> {
        let by = customers.id_of(db, self.grant.account()).await?;
        let tx = Transaction::begin(db).await?;
        let judged = self.cancel(&tx, by).await;
        tx.end(judged).await
    }
}

impl CancelEvent {
    async fn cancel(&self, tx: &Transaction, by: CustomerId) -> Result<(Judged, Keep), Failure> {
        tx.set_timeouts(ATTEMPT_MAX, ATTEMPT_MAX).await?;
        let event_id = self.asked.event_id;
        // Whoever adds tickets has the row, and adds none to a cancelled event.
        let query = sql::own_event(&self.grant, event_id).lock(LockType::NoKeyUpdate);
        let found = tx.all("locking an organizer's event", query).await?;
        let event = match judge(found.into_iter().next(), self.asked.version) {
            Ok(event) if event.status == event::Status::Cancelled => {
                return Ok((Ok(event), Keep::Nothing));
            }
            Ok(event) => event,
            Err(refusal) => return Ok((Err(refusal), Keep::Nothing)),
        };
        let step = "cancelling an event";
        let clock: Vec<sql::ClockRow> = tx.rows(step, sql::read_clock(tx.backend())).await?;
        let now = clock.first().ok_or_else(|| Failure::bug(step))?.now;
        let statement = sql::cancel_event(tx.backend(), event_id, by, &self.asked.reason, now);
        if tx.execute(step, statement).await? != 1 {
            return Err(Failure::bug(step));
        }
        let event = event::Model {
            status: event::Status::Cancelled,
            cancelled_at: Some(now),
            cancelled_by: Some(by),
            cancel_reason: Some(self.asked.reason.clone()),
            version: event.version + 1,
            updated_at: now,
            ..event
        };
        Ok((Ok(event), Keep::Changes))
    }
}

/// The event, if it may be cancelled or is.
fn judge(event: Option<event::Model>, version: Option<i64>) -> Judged {
    let event = event.ok_or(CancelEventRefusal::UnknownEvent)?;
    match event.status {
        event::Status::Cancelled => Ok(event),
        event::Status::Draft => Err(CancelEventRefusal::NotPublished),
        event::Status::Published if version.is_some_and(|version| version != event.version) => {
            Err(CancelEventRefusal::Stale)
        }
        event::Status::Published => Ok(event),
    }
}
