//! What an organizer's staff do to an event that is on sale: cancel it, withhold its tickets from sale.

mod block;
mod cancel_event;

use async_graphql::{Context, Object, OutputType, Result, SimpleObject};
use chrono::{DateTime, Utc};

pub use self::cancel_event::EventCancellation;
use self::{
    block::{
        BlockTicketsErrorCode, BlockTicketsInput, BlockTicketsPayload, UnblockTicketsErrorCode,
        UnblockTicketsInput, UnblockTicketsPayload,
    },
    cancel_event::{CancelEventErrorCode, CancelEventInput, CancelEventPayload},
};
use super::deadline;
use crate::sales::RETRY_AFTER_SECS;

/// Why nothing was changed. The code is for the program, the message for its user.
#[derive(SimpleObject)]
#[graphql(concrete(name = "CancelEventUserError", params(CancelEventErrorCode)))]
#[graphql(concrete(name = "UnblockTicketsUserError", params(UnblockTicketsErrorCode)))]
pub struct StaffUserError<C: OutputType> {
    /// What to react to.
    code: C,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame, with dots into lists, as in `ticketIds.2`; null when none is.
    field: Option<String>,
    /// In how many seconds to try again, with `BUSY`.
    retry_after: Option<u32>,
}

/// Why no ticket was blocked. The code is for the program, the message for its user.
#[derive(SimpleObject)]
pub struct BlockTicketsUserError {
    /// What to react to.
    code: BlockTicketsErrorCode,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame, with dots into lists, as in `ticketIds.2`; null when none is.
    field: Option<String>,
    /// In how many seconds to try again, with `BUSY`.
    retry_after: Option<u32>,
    /// When the ticket's hold ends if its buyer does not extend it, with `HELD`.
    held_until: Option<DateTime<Utc>>,
}

impl<C: OutputType> StaffUserError<C> {
    fn new(code: C, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    fn at(code: C, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(code, message)
        }
    }

    /// Somebody else was in the way for too long.
    fn busy(code: C, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER_SECS),
            ..Self::new(code, message)
        }
    }
}

#[derive(Default)]
pub struct StaffMutation;

#[Object]
impl StaffMutation {
    /// Cancels a published event of yours. Needs an organizer's token.
    ///
    /// From the answer on nothing of it is sold or held any more. Its orders and holds are ended within moments, each ticket
    /// once whoever is at it has let it go: `Event.cancellation.isDone` tells when all are. It cannot be undone; cancelling
    /// twice changes nothing, and the first reason stays.
    async fn cancel_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which event, and why.")] input: CancelEventInput,
    ) -> Option<Result<CancelEventPayload>> {
        Some(deadline::done(ctx, cancel_event::cancel_event(ctx, input)).await)
    }

    /// Withholds tickets of an event of yours from sale, all of them or none. Needs an organizer's token.
    ///
    /// A ticket that is sold, or held by a buyer, is refused; one that is blocked already stays so, and the new reason
    /// counts.
    async fn block_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets, and why.")] input: BlockTicketsInput,
    ) -> Option<Result<BlockTicketsPayload>> {
        Some(deadline::done(ctx, block::block_tickets(ctx, input)).await)
    }

    /// Gives blocked tickets of an event of yours back to sale, all of them or none. Needs an organizer's token.
    ///
    /// A ticket that is not blocked stays what it is.
    async fn unblock_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets.")] input: UnblockTicketsInput,
    ) -> Option<Result<UnblockTicketsPayload>> {
        Some(deadline::done(ctx, block::unblock_tickets(ctx, input)).await)
    }
}
