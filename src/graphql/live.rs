//! An event's tickets as they change: the changes themselves, how many are left, and the whole to begin with.

mod availability;
mod changes;
mod relay;
mod seat_map;

use async_graphql::{Context, Error, ID, MergedSubscription, Result};

pub use self::relay::{Following, Relay, Told};
pub use self::seat_map::{SEAT_MAP_COST, SeatMapQuery};
use super::{
    caller,
    deadline::read,
    domain,
    fault::{Code, log, masked, retry},
    global_id::GlobalId,
};
use crate::{catalogue, fault::Fault, ids::EventId};

#[derive(MergedSubscription, Default)]
pub struct LiveSubscription(
    changes::ChangesSubscription,
    availability::AvailabilitySubscription,
);

/// The event of this id, if the caller may see it.
async fn visible_event(ctx: &Context<'_>, id: &ID) -> Result<Option<EventId>> {
    let Some(event_id) = GlobalId::require(id)?.event() else {
        return Ok(None);
    };
    let ids = [event_id];
    let found = catalogue::events_by_ids(&domain(ctx).store, caller(ctx), &ids);
    Ok(read(ctx, found).await?.first().map(|event| event.id))
}

/// The same, for whoever cannot go on without it.
async fn require_event(ctx: &Context<'_>, id: &ID) -> Result<EventId> {
    let found = visible_event(ctx, id).await?;
    found.ok_or_else(|| Code::BadUserInput.error("there is no event with this id"))
}

fn too_many() -> Error {
    retry(Code::Overloaded.error("too many events are followed on this server"))
}

fn unread(fault: &Fault) -> Error {
    log(fault);
    masked(fault)
}
