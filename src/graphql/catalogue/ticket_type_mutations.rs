//! What organizers do with ticket types.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use super::{
    event_mutations::event_id,
    ticket_type::{Admission, TicketType},
};
use crate::{
    auth::Permission,
    catalogue::{self, CreateTicketTypeCode, Refusal, UpdateTicketTypeCode},
    graphql::{
        access::permit,
        caller, deadline, domain,
        global_id::GlobalId,
        money::Decimal,
        user_error::{UserError, split},
    },
    ids::{EventId, TicketTypeId},
};

/// A ticket type to be created.
#[derive(InputObject)]
pub struct CreateTicketTypeInput {
    /// The event it belongs to.
    event_id: ID,
    /// Its name, unique within the event, at most 200 characters.
    name: String,
    /// Whether its tickets are numbered seats. It cannot be changed later.
    admission: Admission,
    /// What one ticket costs, in the event's currency.
    price: Decimal,
    /// Where it stands in the event's list, from 0; last if absent.
    position: Option<i32>,
}

/// A change of a ticket type. What is absent or null stays as it is.
#[derive(InputObject)]
pub struct UpdateTicketTypeInput {
    /// Which ticket type.
    id: ID,
    /// The version that the change is based on. If the ticket type was changed since, nothing is changed and the
    /// answer is `STALE`.
    version: i64,
    /// As in `CreateTicketTypeInput`.
    name: Option<String>,
    /// What one ticket costs from now on; what is sold keeps its price.
    price: Option<Decimal>,
    /// As in `CreateTicketTypeInput`.
    position: Option<i32>,
}

/// Why a ticket type is not created.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "CreateTicketTypeCode")]
pub enum CreateTicketTypeErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled.
    EventCancelled,
    /// The event has a ticket type of this name.
    NameTaken,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// The price is negative, too high, or finer than the currency.
    InvalidPrice,
    /// The position is negative.
    InvalidPosition,
    /// The event has as many ticket types as an event may have.
    TooManyTicketTypes,
}

/// Why a ticket type is not changed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "UpdateTicketTypeCode")]
pub enum UpdateTicketTypeErrorCode {
    /// There is no such ticket type of yours.
    UnknownTicketType,
    /// The event is cancelled.
    EventCancelled,
    /// The ticket type was changed since the version that this change is based on: read it again.
    Stale,
    /// The event has another ticket type of this name.
    NameTaken,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// The price is negative, too high, or finer than the currency.
    InvalidPrice,
    /// The position is negative.
    InvalidPosition,
}

/// The answer of `createTicketType`.
#[derive(SimpleObject)]
pub struct CreateTicketTypePayload {
    /// The new ticket type, without tickets yet; null when it was refused.
    ticket_type: Option<TicketType>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<CreateTicketTypeErrorCode>>,
}

/// The answer of `updateTicketType`.
#[derive(SimpleObject)]
pub struct UpdateTicketTypePayload {
    /// The ticket type as it is now; null when the change was refused.
    ticket_type: Option<TicketType>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<UpdateTicketTypeErrorCode>>,
}

#[derive(Default)]
pub struct TicketTypeMutation;

#[Object]
impl TicketTypeMutation {
    /// Creates a price category of an event of yours. Needs an organizer's token.
    async fn create_ticket_type(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ticket type.")] input: CreateTicketTypeInput,
    ) -> Option<Result<CreateTicketTypePayload>> {
        Some(deadline::done(ctx, create_ticket_type(ctx, input)).await)
    }

    /// Changes a ticket type of yours. Needs an organizer's token.
    async fn update_ticket_type(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The change.")] input: UpdateTicketTypeInput,
    ) -> Option<Result<UpdateTicketTypePayload>> {
        Some(deadline::done(ctx, update_ticket_type(ctx, input)).await)
    }
}

async fn create_ticket_type(
    ctx: &Context<'_>,
    input: CreateTicketTypeInput,
) -> Result<CreateTicketTypePayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let new = catalogue::NewTicketType {
        name: input.name,
        admission: input.admission.into(),
        price: input.price.0,
        position: input.position,
    };
    let answer = match event_id(&input.event_id) {
        Some(event) => {
            permit(ctx, &grant, event).await?;
            catalogue::create_ticket_type(&domain(ctx).store, &grant, event, new).await?
        }
        None => Err(vec![Refusal::unknown_event(
            CreateTicketTypeCode::UnknownEvent,
        )]),
    };
    let (ticket_type, user_errors) = split(answer);
    Ok(CreateTicketTypePayload {
        ticket_type: ticket_type.map(TicketType::from),
        user_errors,
    })
}

async fn update_ticket_type(
    ctx: &Context<'_>,
    input: UpdateTicketTypeInput,
) -> Result<UpdateTicketTypePayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let change = catalogue::TicketTypeChange {
        name: input.name,
        price: input.price.map(|price| price.0),
        position: input.position,
    };
    let answer = match ticket_type_id(&input.id) {
        Some(key) => {
            let store = &domain(ctx).store;
            permit(ctx, &grant, key.0).await?;
            catalogue::update_ticket_type(store, &grant, key, input.version, change).await?
        }
        None => Err(vec![Refusal::unknown_ticket_type(
            UpdateTicketTypeCode::UnknownTicketType,
        )]),
    };
    let (ticket_type, user_errors) = split(answer);
    Ok(UpdateTicketTypePayload {
        ticket_type: ticket_type.map(TicketType::from),
        user_errors,
    })
}

/// What names no ticket type at all is refused like one that is not there.
pub(super) fn ticket_type_id(id: &ID) -> Option<(EventId, TicketTypeId)> {
    GlobalId::decode(id).and_then(GlobalId::ticket_type)
}
