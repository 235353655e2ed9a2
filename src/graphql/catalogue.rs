//! Events, ticket types and tickets: what buyers read and organizers edit.

mod event;
mod event_copy;
mod event_mutations;
mod history;
mod ticket;
mod ticket_mutations;
mod ticket_type;
mod ticket_type_mutations;

use async_graphql::{
    Context, ID, MergedObject, Object, OneofObject, Result, connection::Connection,
};

use super::{
    caller, deadline, domain,
    global_id::GlobalId,
    loaders::{BySlug, load},
    page::{self, Cursor},
};
use crate::catalogue::{self, EventKey};

use self::event::EventFilter;
pub use self::{
    event::Event,
    event_copy::CopyEventErrorCode,
    event_mutations::{CreateEventErrorCode, PublishEventErrorCode, UpdateEventErrorCode},
    history::HISTORY_COST,
    ticket::{Ticket, TicketStatus},
    ticket_mutations::{AddSeatsErrorCode, RemoveTicketsErrorCode, SetCapacityErrorCode},
    ticket_type::{Availability, TicketType},
    ticket_type_mutations::{CreateTicketTypeErrorCode, UpdateTicketTypeErrorCode},
};

/// Names one event.
#[derive(OneofObject)]
pub enum EventBy {
    /// By its id.
    Id(ID),
    /// By its slug, the readable name in the event's URL: of the event that everybody sees under it, or else of a draft of
    /// yours.
    Slug(String),
}

#[derive(Default)]
pub struct CatalogueQuery;

#[Object]
impl CatalogueQuery {
    /// One event; null when there is none, or it is another organizer's draft.
    async fn event(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which event.")] by: EventBy,
    ) -> Option<Result<Event>> {
        find_event(ctx, by).await.transpose()
    }

    /// Events in the order of their start; published ones, unless the filter says otherwise.
    #[allow(
        clippy::too_many_arguments,
        reason = "a connection has four arguments in the specification, and this one two more"
    )]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which events; all published ones if absent.")] filter: Option<
            EventFilter,
        >,
        #[graphql(
            desc = "Words, each of which must occur in the event's name, venue, slug or the first 2,000 characters of its \
            description, also inside of words; capitals and accents do not matter, every other character stands for \
            itself. At most 200 characters and 10 words, or the error is `BAD_USER_INPUT`. Without a word it finds all."
        )]
        search: Option<String>,
        #[graphql(desc = "The first so many, 1 to 100; 20 if neither first nor last is given.")]
        first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, 1 to 100; not together with first.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor<EventKey>, Event>> {
        let page = page::read(first, after, last, before)?;
        let filter = filter.unwrap_or_default().read(search)?;
        let events = catalogue::events_page(&domain(ctx).store, caller(ctx), &filter, &page);
        let slice = deadline::read(ctx, events).await?;
        Ok(page::connection(
            slice,
            |row| EventKey {
                starts_at: row.starts_at,
                id: row.id,
            },
            Event::from,
        ))
    }
}

async fn find_event(ctx: &Context<'_>, by: EventBy) -> Result<Option<Event>> {
    let row = match by {
        EventBy::Id(id) => match GlobalId::require(&id)?.event() {
            Some(id) => load(ctx).load_one(id).await?,
            None => None,
        },
        EventBy::Slug(slug) => load(ctx).load_one(BySlug(slug)).await?,
    };
    Ok(row.map(Event::from))
}

#[derive(MergedObject, Default)]
pub struct CatalogueMutation(
    event_mutations::EventMutation,
    event_copy::EventCopyMutation,
    ticket_type_mutations::TicketTypeMutation,
    ticket_mutations::TicketMutation,
);
