//! What a buyer can be offered instead of seats that others have.

use async_graphql::{Context, Object, Result, SimpleObject};

use super::reasons::{Code, Reason};
use crate::{
    catalogue,
    graphql::{catalogue::Ticket, deadline, domain},
    ids::{EventId, TicketId},
};

/// How many groups are offered when the client does not say.
pub const GROUPS_DEFAULT: i32 = 3;

/// The most groups that are looked for at once.
const GROUPS_MAX: i32 = 10;

/// The seats that were asked for, if others have some of them.
pub struct Alternatives(Option<(EventId, Vec<TicketId>)>);

/// Tickets that could be bought or held instead of those that were asked for: as many, of the same price category, as near
/// as there are.
#[derive(SimpleObject)]
pub struct Alternative {
    /// The tickets, seats side by side first.
    tickets: Vec<Ticket>,
}

impl Alternatives {
    pub fn none() -> Self {
        Self(None)
    }

    /// To `tickets`, which were asked for by their ids, after `answer`.
    pub fn to<T>(
        event_id: EventId,
        tickets: Vec<TicketId>,
        answer: &Result<T, Vec<Reason>>,
    ) -> Self {
        let is_taken =
            |reason: &Reason| matches!(reason.code, Code::AlreadySold | Code::Held | Code::Blocked);
        let is_refused = answer
            .as_ref()
            .is_err_and(|reasons| reasons.iter().any(is_taken));
        Self((is_refused && !tickets.is_empty()).then_some((event_id, tickets)))
    }
}

#[Object]
impl Alternatives {
    /// What is offered instead, the nearest first, when tickets that were asked for by their ids are sold, held or blocked;
    /// null in every other case. Nothing is kept for you: the next purchase or hold decides.
    async fn alternatives(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many groups at most, 1 to 10; 3 if absent.")] first: Option<i32>,
    ) -> Option<Result<Vec<Alternative>>> {
        let (event_id, tickets) = self.0.as_ref()?;
        Some(find(ctx, *event_id, tickets, first).await)
    }
}

async fn find(
    ctx: &Context<'_>,
    event_id: EventId,
    tickets: &[TicketId],
    first: Option<i32>,
) -> Result<Vec<Alternative>> {
    let groups_max = match usize::try_from(first.unwrap_or(GROUPS_DEFAULT)) {
        Ok(groups @ 1..) if first.is_none_or(|first| first <= GROUPS_MAX) => groups,
        Ok(_) | Err(_) => {
            return Err(crate::graphql::fault::Code::BadUserInput
                .error(format!("first is between 1 and {GROUPS_MAX}")));
        }
    };
    let store = &domain(ctx).store;
    let groups = catalogue::alternatives(store, event_id, tickets, groups_max);
    let groups = deadline::read(ctx, groups).await?;
    let offer = |group: Vec<catalogue::Ticket>| Alternative {
        tickets: group.into_iter().map(Ticket::from).collect(),
    };
    Ok(groups.into_iter().map(offer).collect())
}
