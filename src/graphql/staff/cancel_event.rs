//! `cancelEvent`, and what everybody sees of a cancellation.

use async_graphql::{Context, Enum, ID, InputObject, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::StaffUserError;
use crate::{
    auth::Permission,
    entity::event,
    graphql::{access::permit, caller, catalogue::Event, domain, global_id::GlobalId},
    sales::{self, CancelEventRefusal, command::REASON_LEN_MAX},
};

/// An event to be cancelled.
#[derive(InputObject)]
pub struct CancelEventInput {
    /// Which event.
    id: ID,
    /// The version that you have seen. If the event was changed since, it is not cancelled and the answer is `STALE`; if
    /// absent, it is cancelled however it was changed.
    version: Option<i64>,
    /// Why, for everybody to read: 1 to 500 characters in one line.
    reason: String,
}

/// Why an event is not cancelled.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CancelEventErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is a draft: nobody knows of it, and nothing of it was sold. A cancelled event is public.
    NotPublished,
    /// The event was changed since the version that you have seen: read it again.
    Stale,
    /// The reason is empty, too long or not one line.
    InvalidReason,
    /// The event is being changed or tickets are being added to it right now: nothing happened, try again.
    Busy,
}

/// The answer of `cancelEvent`.
#[derive(SimpleObject)]
pub struct CancelEventPayload {
    /// The cancelled event; null when it was refused.
    event: Option<Event>,
    /// Why it was refused; empty on success.
    user_errors: Vec<StaffUserError<CancelEventErrorCode>>,
}

/// How an event was cancelled.
#[derive(SimpleObject)]
pub struct EventCancellation {
    /// When it was cancelled. A sale that was decided in the same moment may say a later time; it is cancelled with the rest.
    cancelled_at: DateTime<Utc>,
    /// Why, in the organizer's words.
    reason: String,
    /// Whether all of its orders and holds are ended. Before that, an order of it may still be shown as confirmed.
    is_done: bool,
}

impl EventCancellation {
    /// None of an event that takes place.
    pub fn of(event: &event::Model) -> Option<Self> {
        Some(Self {
            cancelled_at: event.cancelled_at?,
            reason: event.cancel_reason.clone().unwrap_or_default(),
            is_done: event.cancellation_done_at.is_some(),
        })
    }
}

pub async fn cancel_event(
    ctx: &Context<'_>,
    input: CancelEventInput,
) -> Result<CancelEventPayload> {
    let grant = caller(ctx).staff(Permission::Cancel)?;
    let answer = match GlobalId::decode(&input.id).and_then(GlobalId::event) {
        Some(event_id) => {
            let cancellation = sales::EventCancellation {
                event_id,
                version: input.version,
                reason: input.reason,
            };
            permit(ctx, &grant, event_id).await?;
            let sales = &domain(ctx).sales;
            sales.cancel_event(&grant, cancellation).await?
        }
        None => Err(CancelEventRefusal::UnknownEvent),
    };
    Ok(match answer {
        Ok(event) => CancelEventPayload {
            event: Some(event.into()),
            user_errors: vec![],
        },
        Err(refusal) => CancelEventPayload {
            event: None,
            user_errors: vec![explain(refusal)],
        },
    })
}

fn explain(refusal: CancelEventRefusal) -> StaffUserError<CancelEventErrorCode> {
    use CancelEventErrorCode as C;
    match refusal {
        CancelEventRefusal::UnknownEvent => {
            StaffUserError::at(C::UnknownEvent, "id", "there is no such event of yours")
        }
        CancelEventRefusal::NotPublished => StaffUserError::at(
            C::NotPublished,
            "id",
            "the event is a draft: there is nothing to cancel",
        ),
        CancelEventRefusal::Stale => StaffUserError::at(
            C::Stale,
            "version",
            "the event was changed meanwhile: read it again, and cancel it if that still makes sense",
        ),
        CancelEventRefusal::InvalidReason => StaffUserError::at(
            C::InvalidReason,
            "reason",
            format!("a reason has 1 to {REASON_LEN_MAX} characters in one line"),
        ),
        CancelEventRefusal::Busy => StaffUserError::busy(
            C::Busy,
            "the event is being changed right now, or tickets are being added to it; nothing happened, try again",
        ),
    }
}
