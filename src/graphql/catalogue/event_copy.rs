//! Copying an event.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::{event::Event, event_mutations::event_id};
use crate::{
    auth::Permission,
    catalogue::{self, CopyEventCode, Refusal},
    graphql::{
        access::permit,
        caller, deadline, domain,
        user_error::{UserError, split},
    },
};

/// An event to be copied, and what is new about the copy. Everything else is taken over.
#[derive(InputObject)]
pub struct CopyEventInput {
    /// Which event is copied.
    id: ID,
    /// The copy's slug, as in `CreateEventInput`.
    slug: String,
    /// The copy's name, as in `CreateEventInput`; the same name if absent.
    name: Option<String>,
    /// When the copy begins.
    starts_at: DateTime<Utc>,
    /// The copy's tickets can be bought from this instant …
    sales_open_at: DateTime<Utc>,
    /// … until just before this one.
    sales_close_at: DateTime<Utc>,
    /// Customers can cancel what they bought of the copy until just before this instant; they cannot if absent.
    cancellable_until: Option<DateTime<Utc>>,
}

/// Why an event is not copied.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "CopyEventCode")]
pub enum CopyEventErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// An event that everybody sees has this slug, or another one of yours.
    SlugTaken,
    /// The slug is not lower-case words with hyphens between.
    InvalidSlug,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// The start is no year that the server knows.
    InvalidStart,
    /// Sales do not close after they open.
    InvalidSalesWindow,
    /// The end of cancellations is no year that the server knows.
    InvalidCancellableUntil,
}

/// The answer of `copyEvent`.
#[derive(SimpleObject)]
pub struct CopyEventPayload {
    /// The copy, a draft; null when it was refused.
    event: Option<Event>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<CopyEventErrorCode>>,
}

#[derive(Default)]
pub struct EventCopyMutation;

#[Object]
impl EventCopyMutation {
    /// Copies an event of yours, whatever its status, to a new draft: its texts and limits, its ticket types, and all its
    /// seats and places, every one of them available. The copy is seen whole or not at all. Needs an organizer's token.
    async fn copy_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The event, and what is new about the copy.")] input: CopyEventInput,
    ) -> Option<Result<CopyEventPayload>> {
        Some(deadline::done(ctx, copy_event(ctx, input)).await)
    }
}

async fn copy_event(ctx: &Context<'_>, input: CopyEventInput) -> Result<CopyEventPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let copy = catalogue::EventCopy {
        slug: input.slug,
        name: input.name,
        starts_at: input.starts_at,
        sales_open_at: input.sales_open_at,
        sales_close_at: input.sales_close_at,
        cancellable_until: input.cancellable_until,
    };
    let answer = match event_id(&input.id) {
        Some(id) => {
            permit(ctx, &grant, id).await?;
            catalogue::copy_event(&domain(ctx).store, &grant, id, copy).await?
        }
        None => Err(vec![Refusal::unknown_event(CopyEventCode::UnknownEvent)]),
    };
    let (event, user_errors) = split(answer);
    Ok(CopyEventPayload {
        event: event.map(Event::from),
        user_errors,
    })
}
