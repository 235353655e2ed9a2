//! All tickets of an event at once, to follow their changes from.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::visible_event;
use crate::{
    changes::seat_map::{self, seat_map},
    entity::ticket::Status,
    graphql::{deadline::read, domain, engine::Freshness, global_id::GlobalId},
    ids::EventId,
};

/// What a seat map costs: up to a hundred thousand tickets are read for it.
pub const SEAT_MAP_COST: u64 = 1_000;

#[derive(Default)]
pub struct SeatMapQuery;

#[Object]
impl SeatMapQuery {
    /// All tickets of an event with their status, as they are at a version that `ticketsChanged` goes on from: the last one a moment
    /// ago, or with the header `Cache-Control: no-cache` the last one now. Null when there is no such event, or it is another
    /// organizer's draft.
    async fn seat_map(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The event's id.")] event_id: ID,
    ) -> Option<Result<SeatMap>> {
        // On the heap: see `deadline`.
        Box::pin(find(ctx, &event_id)).await.transpose()
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<SeatMap>> {
    let Some(event_id) = visible_event(ctx, id).await? else {
        return Ok(None);
    };
    let domain = domain(ctx);
    let map = match ctx.data_unchecked() {
        Freshness::Now => read(ctx, seat_map(&domain.store, event_id))
            .await
            .map(Arc::new),
        Freshness::OfAMoment => read(ctx, domain.seat_maps.of(event_id)).await,
    };
    Ok(Some(SeatMap {
        event_id,
        map: map?,
    }))
}

struct SeatMap {
    event_id: EventId,
    map: Arc<seat_map::SeatMap>,
}

/// All tickets of an event at one version, in one order. `ticketIds` and `statuses` belong together, place by place. Who has
/// the ids of a `layout` need not ask for them again as long as it is the same.
#[Object]
impl SeatMap {
    /// The version to follow `ticketsChanged` from; 0 before the first change.
    async fn version(&self) -> i64 {
        self.map.version
    }

    /// Another text when tickets were added or removed, and so `ticketIds` is another list.
    async fn layout(&self) -> String {
        let ids = self.map.tickets.iter();
        let hash = ids.fold(Sha256::new(), |hash, (id, _)| hash.chain_update(id.0));
        BASE64URL_NOPAD.encode(&hash.finalize()[..12])
    }

    /// The ids of the tickets.
    async fn ticket_ids(&self) -> Vec<ID> {
        let ids = self.map.tickets.iter();
        ids.map(|(id, _)| GlobalId::Ticket(self.event_id, *id).encode())
            .collect()
    }

    /// A letter for each ticket: `A` for available, `H` for held, `S` for sold, `B` for blocked. A hold that is over is still
    /// held until the server has tidied up, about a second later.
    async fn statuses(&self) -> String {
        let letter = |(_, status): &_| match status {
            Status::Available => 'A',
            Status::Held => 'H',
            Status::Sold => 'S',
            Status::Blocked => 'B',
        };
        self.map.tickets.iter().map(letter).collect()
    }
}
