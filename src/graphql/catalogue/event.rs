//! An event as clients see it.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, connection::Connection};
use chrono::{DateTime, Utc};

use super::{
    ticket::{Ticket, TicketFilter},
    ticket_type::TicketType,
};
use crate::{
    catalogue::{self, is_on_sale},
    entity::event,
    graphql::{
        caller, deadline, domain,
        fault::Code,
        global_id::GlobalId,
        loaders::load,
        organizer::Organizer,
        page::{self, Cursor},
        staff::EventCancellation,
    },
    ids::TicketId,
};

pub struct Event(event::Model);

impl From<event::Model> for Event {
    fn from(row: event::Model) -> Self {
        Self(row)
    }
}

/// What an event is to the public.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "event::Status")]
pub enum EventStatus {
    /// Being prepared: only its own organizer sees it.
    Draft,
    /// Public; tickets can be bought within the sales window.
    Published,
    /// Public, but it does not take place, and nothing is sold any more.
    Cancelled,
}

/// Which events a list shows. Every condition that is given must hold.
#[derive(InputObject, Default)]
pub struct EventFilter {
    /// Events of this status, `PUBLISHED` if absent. Drafts are listed for their own organizer alone.
    status: Option<EventStatus>,
    /// Events of this organizer.
    organizer_id: Option<ID>,
    /// Whether tickets can be bought right now.
    is_on_sale: Option<bool>,
    /// Events that start at this instant or later, in the years 1970 to 9999.
    starts_from: Option<DateTime<Utc>>,
    /// Events that start before this instant, in the years 1970 to 9999.
    starts_before: Option<DateTime<Utc>>,
}

impl EventFilter {
    pub(super) fn read(self, search: Option<String>) -> Result<catalogue::EventFilter> {
        let words = catalogue::Words::read(search.as_deref().unwrap_or_default())
            .map_err(|message| Code::BadUserInput.error(message))?;
        let organizer_id = match self.organizer_id {
            None => None,
            Some(id) => match GlobalId::require(&id)?.organizer() {
                Some(id) => Some(id),
                None => {
                    return Err(Code::BadUserInput.error("organizerId is not an organizer's id"));
                }
            },
        };
        Ok(catalogue::EventFilter {
            status: self.status.unwrap_or(EventStatus::Published).into(),
            organizer_id,
            is_on_sale: self.is_on_sale,
            starts_from: instant("startsFrom", self.starts_from)?,
            starts_before: instant("startsBefore", self.starts_before)?,
            words,
        })
    }
}

fn instant(field: &str, at: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>> {
    let told = |sentence| Code::BadUserInput.error(format!("{field}: {sentence}"));
    at.map(|at| catalogue::instant(at).map_err(told))
        .transpose()
}

/// A performance with a sales window.
#[Object]
impl Event {
    /// Unique among all objects, and opaque.
    pub async fn id(&self) -> ID {
        GlobalId::Event(self.0.id).encode()
    }

    /// The readable name in the event's URL, unique among the events that everybody sees. The organizer can change it; `id` never changes.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    /// The event's title.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What the event is, in plain text of several lines; may be empty.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// Where it takes place.
    async fn venue(&self) -> &str {
        &self.0.venue
    }

    /// The ISO 4217 code of the currency that every price of the event is in, such as `EUR`.
    async fn currency(&self) -> &str {
        &self.0.currency
    }

    /// The IANA name of the venue's time zone, such as `Europe/Vienna`: show the event's times in it.
    async fn time_zone(&self) -> &str {
        &self.0.time_zone
    }

    /// When it begins.
    async fn starts_at(&self) -> DateTime<Utc> {
        self.0.starts_at
    }

    /// Tickets can be bought from this instant …
    async fn sales_open_at(&self) -> DateTime<Utc> {
        self.0.sales_open_at
    }

    /// … until just before this one.
    async fn sales_close_at(&self) -> DateTime<Utc> {
        self.0.sales_close_at
    }

    /// How many tickets one order may have.
    async fn tickets_per_order_max(&self) -> i32 {
        self.0.tickets_per_order_max
    }

    /// How many seconds a hold lasts.
    async fn hold_seconds(&self) -> i32 {
        self.0.hold_secs
    }

    /// How many seconds after it was made a hold ends at the latest, however often it is extended.
    async fn hold_seconds_max(&self) -> i32 {
        self.0.hold_secs_max
    }

    /// How many tickets one customer may hold at a time; with 0 nothing can be held.
    async fn held_per_customer_max(&self) -> i32 {
        self.0.held_per_customer_max
    }

    /// How many tickets one customer may own and hold together; null for no limit.
    async fn tickets_per_customer_max(&self) -> Option<i32> {
        self.0.tickets_per_customer_max
    }

    /// Customers can cancel what they bought until just before this instant; null if they cannot.
    async fn cancellable_until(&self) -> Option<DateTime<Utc>> {
        self.0.cancellable_until
    }

    /// What the event is to the public.
    async fn status(&self) -> EventStatus {
        self.0.status.into()
    }

    /// How it was cancelled; null of an event that takes place.
    async fn cancellation(&self) -> Option<EventCancellation> {
        EventCancellation::of(&self.0)
    }

    /// Whether the event is published and within its sales window right now. Tickets may be sold out nevertheless.
    async fn is_on_sale(&self) -> bool {
        is_on_sale(&self.0)
    }

    /// One more with every change. An update names the version it was based on.
    async fn version(&self) -> i64 {
        self.0.version
    }

    /// Who sells its tickets.
    async fn organizer(&self, ctx: &Context<'_>) -> Result<Organizer> {
        let organizer = load(ctx).load_one(self.0.organizer_id).await?;
        Ok(organizer
            .expect("the database keeps an event's organizer")
            .into())
    }

    /// Its price categories, in the organizer's order; at most 100.
    async fn ticket_types(&self, ctx: &Context<'_>) -> Result<Vec<TicketType>> {
        TicketType::all_of(ctx, self.0.id).await
    }

    /// Its tickets, in the order in which they were added, which is the order of the seats in each row.
    #[allow(
        clippy::too_many_arguments,
        reason = "a connection has four arguments in the specification, and this one a filter"
    )]
    async fn tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets; all if absent.")] filter: Option<TicketFilter>,
        #[graphql(desc = "The first so many, 1 to 100; 20 if neither first nor last is given.")]
        first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, 1 to 100; not together with first.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor<TicketId>, Ticket>> {
        let page = page::read(first, after, last, before)?;
        let filter = filter.unwrap_or_default().read(self.0.id)?;
        let store = &domain(ctx).store;
        let tickets = catalogue::tickets_page(store, caller(ctx), self.0.id, &filter, &page);
        let slice = deadline::read(ctx, tickets).await?;
        Ok(page::connection(slice, |row| row.id, Ticket::from))
    }
}
