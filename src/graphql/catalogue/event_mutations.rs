//! What organizers do with events.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::event::Event;
use crate::{
    auth::Permission,
    catalogue::{self, CreateEventCode, PublishEventCode, Refusal, UpdateEventCode},
    graphql::{
        access::{permit, permit_for},
        caller, deadline, domain,
        global_id::GlobalId,
        user_error::{UserError, split},
    },
    ids::{EventId, OrganizerId},
};

/// An event to be created.
#[derive(InputObject)]
pub struct CreateEventInput {
    /// For which organizer: one whose manager or owner you are. If absent, it is the only one that you own; an account that is a
    /// member of none founds one by its first event, and owns it.
    organizer_id: Option<ID>,
    /// The readable name in the event's URL, unique among the events that everybody sees and among your own: lower-case letters
    /// and digits, with single hyphens between words, at most 80. Another organizer's draft may have it too: it is whose event
    /// is published first.
    slug: String,
    /// The event's title, at most 200 characters.
    name: String,
    /// What the event is, in plain text, at most 10,000 characters.
    #[graphql(default)]
    description: String,
    /// Where it takes place, at most 200 characters.
    venue: String,
    /// The ISO 4217 code of the currency of all prices, such as `EUR`. It cannot be changed later.
    currency: String,
    /// The IANA name of the venue's time zone, such as `Europe/Vienna`.
    time_zone: String,
    /// When it begins.
    starts_at: DateTime<Utc>,
    /// Tickets can be bought from this instant …
    sales_open_at: DateTime<Utc>,
    /// … until just before this one.
    sales_close_at: DateTime<Utc>,
    /// How many tickets one order may have, 1 to 1,000.
    #[graphql(default = 10)]
    tickets_per_order_max: i32,
    /// How many seconds a hold lasts, 1 to 86,400.
    #[graphql(default = 600)]
    hold_seconds: i32,
    /// How many seconds after it was made a hold ends at the latest, however often it is extended: `holdSeconds` to
    /// 86,400. If absent it is 1,800, or `holdSeconds` if that is more.
    hold_seconds_max: Option<i32>,
    /// How many tickets one customer may hold at a time, 0 to 1,000; with 0 nothing can be held.
    #[graphql(default = 10)]
    held_per_customer_max: i32,
    /// How many tickets one customer may own and hold together, 1 to 1,000,000; no limit if absent.
    tickets_per_customer_max: Option<i32>,
    /// Customers can cancel what they bought until just before this instant; they cannot if absent.
    cancellable_until: Option<DateTime<Utc>>,
}

/// A change of an event. What is absent stays as it is; null too, but where it says otherwise. Of a cancelled event only
/// slug, name, description, venue and time zone can be changed.
#[derive(InputObject)]
pub struct UpdateEventInput {
    /// Which event.
    id: ID,
    /// The version that the change is based on. If the event was changed since, nothing is changed and the answer is
    /// `STALE`.
    version: i64,
    /// As in `CreateEventInput`.
    slug: Option<String>,
    /// As in `CreateEventInput`.
    name: Option<String>,
    /// As in `CreateEventInput`.
    description: Option<String>,
    /// As in `CreateEventInput`.
    venue: Option<String>,
    /// As in `CreateEventInput`.
    time_zone: Option<String>,
    /// As in `CreateEventInput`.
    starts_at: Option<DateTime<Utc>>,
    /// As in `CreateEventInput`.
    sales_open_at: Option<DateTime<Utc>>,
    /// As in `CreateEventInput`.
    sales_close_at: Option<DateTime<Utc>>,
    /// As in `CreateEventInput`.
    tickets_per_order_max: Option<i32>,
    /// As in `CreateEventInput`. Holds that are there already keep their time.
    hold_seconds: Option<i32>,
    /// As in `CreateEventInput`. Holds that are there already keep their maximum.
    hold_seconds_max: Option<i32>,
    /// As in `CreateEventInput`. What is held already stays held.
    held_per_customer_max: Option<i32>,
    /// As in `CreateEventInput`; null lifts the limit. What is sold already stays sold.
    tickets_per_customer_max: MaybeUndefined<i32>,
    /// As in `CreateEventInput`; with null customers can no longer cancel.
    cancellable_until: MaybeUndefined<DateTime<Utc>>,
}

/// An event to be published.
#[derive(InputObject)]
pub struct PublishEventInput {
    /// Which event.
    id: ID,
}

/// Why an event is not created.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "CreateEventCode")]
pub enum CreateEventErrorCode {
    /// There is no such organizer of yours.
    UnknownOrganizer,
    /// You are a member, and own several organizers or none: say for which one.
    OrganizerMissing,
    /// An event that everybody sees has this slug, or another one of yours.
    SlugTaken,
    /// The slug is not lower-case words with hyphens between.
    InvalidSlug,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// The description is too long or has control characters.
    InvalidDescription,
    /// The venue is empty, too long or not one line.
    InvalidVenue,
    /// The currency is not an ISO 4217 code.
    InvalidCurrency,
    /// The time zone is not an IANA name.
    InvalidTimeZone,
    /// The start is no year that the server knows.
    InvalidStart,
    /// Sales do not close after they open.
    InvalidSalesWindow,
    /// The limit of tickets per order is out of range.
    InvalidTicketsPerOrder,
    /// The length of holds or their maximum is out of range, or the maximum is less than the length.
    InvalidHoldLength,
    /// The limit of held tickets per customer is out of range.
    InvalidHeldPerCustomer,
    /// The limit of tickets per customer is out of range.
    InvalidTicketsPerCustomer,
    /// The end of cancellations is no year that the server knows.
    InvalidCancellableUntil,
}

/// Why an event is not changed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "UpdateEventCode")]
pub enum UpdateEventErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled: only its texts and its time zone can be changed.
    EventCancelled,
    /// The event was changed since the version that this change is based on: read it again.
    Stale,
    /// An event that everybody sees has this slug, or another one of yours.
    SlugTaken,
    /// The slug is not lower-case words with hyphens between.
    InvalidSlug,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// The description is too long or has control characters.
    InvalidDescription,
    /// The venue is empty, too long or not one line.
    InvalidVenue,
    /// The time zone is not an IANA name.
    InvalidTimeZone,
    /// The start is no year that the server knows.
    InvalidStart,
    /// Sales do not close after they open.
    InvalidSalesWindow,
    /// The limit of tickets per order is out of range.
    InvalidTicketsPerOrder,
    /// The length of holds or their maximum is out of range, or the maximum is less than the length.
    InvalidHoldLength,
    /// The limit of held tickets per customer is out of range.
    InvalidHeldPerCustomer,
    /// The limit of tickets per customer is out of range.
    InvalidTicketsPerCustomer,
    /// The end of cancellations is no year that the server knows.
    InvalidCancellableUntil,
}

/// Why an event is not published.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "PublishEventCode")]
pub enum PublishEventErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled.
    EventCancelled,
    /// An event that everybody sees has its slug: give it another by `updateEvent`.
    SlugTaken,
}

/// The answer of `createEvent`.
#[derive(SimpleObject)]
pub struct CreateEventPayload {
    /// The new event, a draft; null when it was refused.
    event: Option<Event>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<CreateEventErrorCode>>,
}

/// The answer of `updateEvent`.
#[derive(SimpleObject)]
pub struct UpdateEventPayload {
    /// The event as it is now; null when the change was refused.
    event: Option<Event>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<UpdateEventErrorCode>>,
}

/// The answer of `publishEvent`.
#[derive(SimpleObject)]
pub struct PublishEventPayload {
    /// The published event; null when it was refused.
    event: Option<Event>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<PublishEventErrorCode>>,
}

#[derive(Default)]
pub struct EventMutation;

#[Object]
impl EventMutation {
    /// Creates an event as a draft that its organizer's members alone see. Needs an organizer's token.
    async fn create_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The event.")] input: CreateEventInput,
    ) -> Option<Result<CreateEventPayload>> {
        Some(deadline::done(ctx, create_event(ctx, input)).await)
    }

    /// Changes an event of yours. Needs an organizer's token.
    async fn update_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateEventInput,
    ) -> Option<Result<UpdateEventPayload>> {
        Some(deadline::done(ctx, update_event(ctx, input)).await)
    }

    /// Shows a draft of yours to everybody; buyers can buy within its sales window. Publishing twice changes nothing.
    /// Needs an organizer's token.
    async fn publish_event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which event.")] input: PublishEventInput,
    ) -> Option<Result<PublishEventPayload>> {
        Some(deadline::done(ctx, publish_event(ctx, input)).await)
    }
}

async fn create_event(ctx: &Context<'_>, input: CreateEventInput) -> Result<CreateEventPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let hold_secs_max = catalogue::Terms::default().hold_secs_max;
    let organizer_id = input.organizer_id.map(|id| {
        let id = GlobalId::decode(&id).and_then(GlobalId::organizer);
        // What is no organizer's id is one that is not there.
        id.unwrap_or(OrganizerId(Uuid::nil()))
    });
    let new = catalogue::NewEvent {
        slug: input.slug,
        name: input.name,
        description: input.description,
        venue: input.venue,
        currency: input.currency,
        time_zone: input.time_zone,
        starts_at: input.starts_at,
        sales_open_at: input.sales_open_at,
        sales_close_at: input.sales_close_at,
        terms: catalogue::Terms {
            tickets_per_order_max: input.tickets_per_order_max,
            hold_secs: input.hold_seconds,
            hold_secs_max: input
                .hold_seconds_max
                .unwrap_or_else(|| input.hold_seconds.max(hold_secs_max)),
            held_per_customer_max: input.held_per_customer_max,
            tickets_per_customer_max: input.tickets_per_customer_max,
            cancellable_until: input.cancellable_until,
        },
    };
    if let Some(id) = organizer_id {
        permit_for(ctx, &grant, id).await?;
    }
    let answer = catalogue::create_event(&domain(ctx).store, &grant, organizer_id, new).await?;
    let (event, user_errors) = split(answer);
    Ok(CreateEventPayload {
        event: event.map(Event::from),
        user_errors,
    })
}

async fn update_event(ctx: &Context<'_>, input: UpdateEventInput) -> Result<UpdateEventPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let change = catalogue::EventChange {
        slug: input.slug,
        name: input.name,
        description: input.description,
        venue: input.venue,
        time_zone: input.time_zone,
        starts_at: input.starts_at,
        sales_open_at: input.sales_open_at,
        sales_close_at: input.sales_close_at,
        tickets_per_order_max: input.tickets_per_order_max,
        hold_secs: input.hold_seconds,
        hold_secs_max: input.hold_seconds_max,
        held_per_customer_max: input.held_per_customer_max,
        tickets_per_customer_max: given(input.tickets_per_customer_max),
        cancellable_until: given(input.cancellable_until),
    };
    let answer = match event_id(&input.id) {
        Some(id) => {
            let store = &domain(ctx).store;
            permit(ctx, &grant, id).await?;
            catalogue::update_event(store, &grant, id, input.version, change).await?
        }
        None => Err(vec![Refusal::unknown_event(UpdateEventCode::UnknownEvent)]),
    };
    let (event, user_errors) = split(answer);
    Ok(UpdateEventPayload {
        event: event.map(Event::from),
        user_errors,
    })
}

async fn publish_event(ctx: &Context<'_>, input: PublishEventInput) -> Result<PublishEventPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let answer = match event_id(&input.id) {
        Some(id) => {
            permit(ctx, &grant, id).await?;
            catalogue::publish_event(&domain(ctx).store, &grant, id).await?
        }
        None => Err(vec![Refusal::unknown_event(PublishEventCode::UnknownEvent)]),
    };
    let (event, user_errors) = split(answer);
    Ok(PublishEventPayload {
        event: event.map(Event::from),
        user_errors,
    })
}

/// None when the field is absent; some none when it is null.
fn given<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// What names no event at all is refused like an event that is not there.
pub(super) fn event_id(id: &ID) -> Option<EventId> {
    GlobalId::decode(id).and_then(GlobalId::event)
}
