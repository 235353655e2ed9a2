//! The changes of an event's tickets, told one after the other.

use std::{borrow::Borrow, future::ready};

use async_graphql::{Context, Error, ID, Result, SimpleObject, Subscription};
use futures_util::{Stream, stream};

use super::{Following, Relay, Told, require_event, too_many, unread};
use crate::{
    changes::watch::{Delta, Unfollowed},
    graphql::{catalogue::TicketStatus, domain, fault::Code, global_id::GlobalId},
    ids::EventId,
};

#[derive(Default)]
pub struct ChangesSubscription;

#[Subscription]
impl ChangesSubscription {
    /// What changes of an event's tickets, in order and without a gap: each message leads from `previousVersion` to
    /// `version`. The first comes at once, also when nothing has changed.
    ///
    /// Begin with `seatMap` and give its `version` as `since`. Whoever comes back gives the last version they were told, and
    /// hears what they missed. Without `since` it begins with what comes next. The error `TOO_OLD` says that what came after
    /// the version is not kept any more: read `seatMap` again. It also ends a subscription whose client takes its messages
    /// too slowly; before that, several changes of a ticket are told as one.
    ///
    /// Tickets that are added or removed are not told, see `SeatMap.layout`.
    async fn tickets_changed<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "The event's id.")] event_id: ID,
        #[graphql(desc = "The version that you know; from now on if absent.")] since: Option<i64>,
    ) -> Result<impl Stream<Item = Result<TicketsChanged>> + use<'ctx>> {
        let message = match ctx.data_opt::<Told>() {
            Some(told) => told.message()?,
            None => first(ctx, &event_id, since).await?,
        };
        Ok(stream::once(ready(Ok(message))))
    }
}

/// What is told first, to one who is followed by others from then on.
async fn first(ctx: &Context<'_>, event_id: &ID, since: Option<i64>) -> Result<TicketsChanged> {
    let event_id = require_event(ctx, event_id).await?;
    let follower = domain(ctx).logs.follow(event_id, since);
    let mut follower = follower.await.map_err(told)?;
    let delta = follower.next().await.map_err(told)?;
    ctx.data_unchecked::<Relay>()
        .leave(Following { event_id, follower });
    Ok(TicketsChanged::of(event_id, &delta))
}

impl Told {
    fn message(&self) -> Result<TicketsChanged> {
        match self {
            Self::Changes(event_id, delta) => Ok(TicketsChanged::of(*event_id, delta)),
            Self::Unfollowed(unfollowed) => Err(told(unfollowed)),
        }
    }
}

fn told(unfollowed: impl Borrow<Unfollowed>) -> Error {
    match unfollowed.borrow() {
        Unfollowed::TooOld => Code::TooOld.error(
            "what came after this version is not kept any more: read seatMap, and follow from its version",
        ),
        Unfollowed::TooMany => too_many(),
        Unfollowed::Unread(fault) => unread(fault),
    }
}

/// What leads from one version of an event's tickets to a later one.
#[derive(SimpleObject)]
struct TicketsChanged {
    /// The version that these changes lead on from: the one told before.
    previous_version: i64,
    /// The version that they lead to.
    version: i64,
    /// Each ticket that has changed, once.
    tickets: Vec<ChangedTicket>,
}

/// A ticket that has changed. It is told by its id alone: nobody reads for it what all have.
#[derive(SimpleObject)]
struct ChangedTicket {
    /// The ticket's id.
    id: ID,
    /// What it has become.
    status: TicketStatus,
}

impl TicketsChanged {
    fn of(event_id: EventId, delta: &Delta) -> Self {
        let tickets = delta.tickets.iter().map(|&(id, status)| ChangedTicket {
            id: GlobalId::Ticket(event_id, id).encode(),
            status: status.into(),
        });
        Self {
            previous_version: delta.since,
            version: delta.version,
            tickets: tickets.collect(),
        }
    }
}
