//! How many tickets are left, told whenever that has changed.

use async_graphql::{Context, Error, ID, Result, SimpleObject, Subscription};
use futures_util::{Stream, stream};

use super::{require_event, too_many, unread};
use crate::{
    catalogue::watch::{AvailabilityWatch, Counts, Unwatched},
    graphql::{catalogue::Availability, domain, global_id::GlobalId},
    ids::EventId,
};

#[derive(Default)]
pub struct AvailabilitySubscription;

#[Subscription]
impl AvailabilitySubscription {
    /// How many tickets of an event are left: as it is now, and again whenever it has changed, at most every 250
    /// milliseconds.
    async fn event_availability<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "The event's id.")] event_id: ID,
    ) -> Result<impl Stream<Item = Result<EventAvailability>> + use<'ctx>> {
        let event_id = require_event(ctx, &event_id).await?;
        let watch = domain(ctx).availabilities.watch(event_id);
        let watch = watch.await.map_err(told)?;
        Ok(stream::unfold(watch, move |watch| next(event_id, watch)))
    }
}

async fn next(
    event_id: EventId,
    mut watch: AvailabilityWatch,
) -> Option<(Result<EventAvailability>, AvailabilityWatch)> {
    let counts = watch.next().await;
    Some((Ok(EventAvailability::of(event_id, &counts)), watch))
}

fn told(unwatched: Unwatched) -> Error {
    match unwatched {
        Unwatched::TooMany => too_many(),
        Unwatched::Unread(fault) => unread(&fault),
    }
}

/// How many tickets of an event are left.
#[derive(SimpleObject)]
struct EventAvailability {
    /// Of each ticket type that has tickets.
    ticket_types: Vec<TicketTypeAvailability>,
}

/// How many tickets of a ticket type are left. The type is told by its id alone: nobody reads for it what all have.
#[derive(SimpleObject)]
struct TicketTypeAvailability {
    /// The ticket type's id.
    id: ID,
    /// Its tickets by what they are.
    availability: Availability,
}

impl EventAvailability {
    fn of(event_id: EventId, counts: &Counts) -> Self {
        let of_type = |&(id, count): &_| TicketTypeAvailability {
            id: GlobalId::TicketType(event_id, id).encode(),
            availability: Availability::from(count),
        };
        Self {
            ticket_types: counts.iter().map(of_type).collect(),
        }
    }
}
