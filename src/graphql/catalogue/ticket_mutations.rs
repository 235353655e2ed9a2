//! What organizers do with the tickets of an event: adding seats, setting a capacity, removing what is unsold.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, Result, SimpleObject};

use super::{
    event::Event, event_mutations::event_id, ticket_type::TicketType,
    ticket_type_mutations::ticket_type_id,
};
use crate::{
    auth::Permission,
    catalogue::{self, AddSeatsCode, Refusal, RemoveTicketsCode, SetCapacityCode},
    graphql::{
        access::permit,
        caller, deadline, domain,
        global_id::GlobalId,
        loaders::load,
        user_error::{UserError, split},
    },
    ids::EventId,
};

/// Seats to be added to a ticket type.
#[derive(InputObject)]
pub struct AddSeatsInput {
    /// Whose seats they are: a ticket type of numbered seats.
    ticket_type_id: ID,
    /// The rows, from front to back: at most 10,000 rows and 100,000 seats at once.
    rows: Vec<SeatRowInput>,
}

/// A row of seats, or a part of one.
#[derive(InputObject)]
pub struct SeatRowInput {
    /// The part of the hall, such as `Stalls`, at most 60 characters.
    section: String,
    /// The row within the section, at most 20 characters. A row that is new stands behind the section's last one.
    row: String,
    /// Its seats, from one end to the other.
    seats: SeatsInput,
    /// Where in the row the first of these seats stands, from 1: seats side by side have positions side by side, so
    /// that leaving one out makes an aisle. If absent, a range's seats stand at their numbers, and labelled seats
    /// after the row's last one.
    position: Option<i32>,
    /// The seat labels of those that are for wheelchair users and others who cannot use steps.
    #[graphql(default)]
    accessible: Vec<String>,
}

/// Seats of one row.
#[derive(OneofObject)]
pub enum SeatsInput {
    /// Seats with consecutive numbers.
    Range(SeatRangeInput),
    /// The labels of the seats in the order in which they stand, each at most 20 characters.
    Labels(Vec<String>),
}

/// Seats with consecutive numbers.
#[derive(InputObject)]
pub struct SeatRangeInput {
    /// The first number, 1 or more.
    from: i32,
    /// The last number, included.
    to: i32,
}

/// How many tickets a general-admission ticket type has.
#[derive(InputObject)]
pub struct SetCapacityInput {
    /// Which ticket type: one of general admission.
    ticket_type_id: ID,
    /// The total of its tickets, sold ones included; at most 250,000 in an event.
    capacity: i64,
}

/// Tickets to be removed from an event.
#[derive(InputObject)]
pub struct RemoveTicketsInput {
    /// Whose tickets they are.
    event_id: ID,
    /// The tickets, at most 1,000.
    ticket_ids: Vec<ID>,
}

/// Why seats are not added.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "AddSeatsCode")]
pub enum AddSeatsErrorCode {
    /// There is no such ticket type of yours.
    UnknownTicketType,
    /// The event is cancelled.
    EventCancelled,
    /// The ticket type is general admission: set its capacity.
    NotSeated,
    /// No seat is given.
    NoSeats,
    /// More seats or rows than can be added at once.
    TooManySeats,
    /// The event would have more tickets than an event may have.
    TooManyTickets,
    /// A section, row or seat label is empty, too long or not one line.
    InvalidLabel,
    /// A range does not go upward, or is out of bounds.
    InvalidRange,
    /// A position is out of bounds.
    InvalidPosition,
    /// A label of `accessible` is not among the seats of its row here.
    UnknownAccessibleSeat,
    /// A seat is given twice.
    SeatTwice,
    /// The event has a seat of this section, row and label.
    SeatExists,
    /// Two seats would stand at the same position of a row.
    PositionTaken,
    /// Tickets of this event are being added or removed right now: try again when that is done.
    Busy,
}

/// Why a capacity is not set.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "SetCapacityCode")]
pub enum SetCapacityErrorCode {
    /// There is no such ticket type of yours.
    UnknownTicketType,
    /// The event is cancelled.
    EventCancelled,
    /// The ticket type has numbered seats: add or remove them.
    NotGeneral,
    /// The capacity is negative.
    InvalidCapacity,
    /// The event would have more tickets than an event may have.
    TooManyTickets,
    /// More tickets than this are sold, held or blocked.
    BelowSold,
    /// Tickets that would have to go are being bought or were sold before, or tickets of this event are being added or
    /// removed right now.
    Busy,
}

/// Why tickets are not removed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RemoveTicketsCode")]
pub enum RemoveTicketsErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled.
    EventCancelled,
    /// There is no such ticket of this event.
    UnknownTicket,
    /// No ticket is given.
    NoTickets,
    /// More tickets than can be removed at once.
    TooManyTickets,
    /// The ticket is sold, or a buyer holds it.
    SoldOrHeld,
    /// The ticket was sold before and its order was cancelled; the order still refers to it.
    WasSold,
    /// Buyers are at these tickets, or tickets of this event are being added or removed right now: try again.
    Busy,
}

/// The answer of `addSeats`.
#[derive(SimpleObject)]
pub struct AddSeatsPayload {
    /// The ticket type with its new seats; null when they were refused.
    ticket_type: Option<TicketType>,
    /// How many seats were added; 0 when they were refused.
    added_count: i64,
    /// Why they were refused; empty on success.
    user_errors: Vec<UserError<AddSeatsErrorCode>>,
}

/// The answer of `setCapacity`.
#[derive(SimpleObject)]
pub struct SetCapacityPayload {
    /// The ticket type with its new capacity; null when it was refused.
    ticket_type: Option<TicketType>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<SetCapacityErrorCode>>,
}

/// The answer of `removeTickets`.
#[derive(SimpleObject)]
pub struct RemoveTicketsPayload {
    /// The event without the tickets; null when it was refused.
    event: Option<Event>,
    /// How many tickets were removed; 0 when it was refused.
    removed_count: i64,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<RemoveTicketsErrorCode>>,
}

#[derive(Default)]
pub struct TicketMutation;

#[Object]
impl TicketMutation {
    /// Adds numbered seats to a ticket type of yours, all of them or none; they are seen all at once. Needs an
    /// organizer's token.
    async fn add_seats(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The seats.")] input: AddSeatsInput,
    ) -> Option<Result<AddSeatsPayload>> {
        Some(deadline::done(ctx, add_seats(ctx, input)).await)
    }

    /// Sets how many tickets a general-admission ticket type of yours has. It names the total, so that a repeat changes
    /// nothing. Needs an organizer's token.
    async fn set_capacity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The capacity.")] input: SetCapacityInput,
    ) -> Option<Result<SetCapacityPayload>> {
        Some(deadline::done(ctx, set_capacity(ctx, input)).await)
    }

    /// Removes tickets that nobody has and nobody ever had from an event of yours, all of them or none. Needs an
    /// organizer's token.
    async fn remove_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tickets.")] input: RemoveTicketsInput,
    ) -> Option<Result<RemoveTicketsPayload>> {
        Some(deadline::done(ctx, remove_tickets(ctx, input)).await)
    }
}

async fn add_seats(ctx: &Context<'_>, input: AddSeatsInput) -> Result<AddSeatsPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let rows = input.rows.into_iter().map(SeatRowInput::read).collect();
    let answer = match ticket_type_id(&input.ticket_type_id) {
        Some(key) => {
            permit(ctx, &grant, key.0).await?;
            let answer = catalogue::add_seats(&domain(ctx).store, &grant, key, rows).await;
            domain(ctx).seat_maps.forget(key.0);
            answer?
        }
        None => Err(vec![Refusal::unknown_ticket_type(
            AddSeatsCode::UnknownTicketType,
        )]),
    };
    let (added, user_errors) = split(answer);
    Ok(AddSeatsPayload {
        added_count: added.as_ref().map_or(0, |added| count(added.added_len)),
        ticket_type: added.map(|added| added.ticket_type.into()),
        user_errors,
    })
}

async fn set_capacity(ctx: &Context<'_>, input: SetCapacityInput) -> Result<SetCapacityPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let answer = match ticket_type_id(&input.ticket_type_id) {
        Some(key) => {
            let store = &domain(ctx).store;
            permit(ctx, &grant, key.0).await?;
            let answer = catalogue::set_capacity(store, &grant, key, input.capacity).await;
            domain(ctx).seat_maps.forget(key.0);
            answer?
        }
        None => Err(vec![Refusal::unknown_ticket_type(
            SetCapacityCode::UnknownTicketType,
        )]),
    };
    let (ticket_type, user_errors) = split(answer);
    Ok(SetCapacityPayload {
        ticket_type: ticket_type.map(TicketType::from),
        user_errors,
    })
}

async fn remove_tickets(
    ctx: &Context<'_>,
    input: RemoveTicketsInput,
) -> Result<RemoveTicketsPayload> {
    let grant = caller(ctx).staff(Permission::Catalogue)?;
    let Some(event) = event_id(&input.event_id) else {
        let refusal = Refusal::unknown_event(RemoveTicketsCode::UnknownEvent);
        return payload_of_removal(ctx, None, Err(vec![refusal])).await;
    };
    let tickets = input
        .ticket_ids
        .iter()
        .map(|id| match GlobalId::decode(id).and_then(GlobalId::ticket) {
            Some((of, id)) if of == event => Some(id),
            Some(_) | None => None,
        })
        .collect();
    permit(ctx, &grant, event).await?;
    let answer = catalogue::remove_tickets(&domain(ctx).store, &grant, event, tickets).await;
    domain(ctx).seat_maps.forget(event);
    payload_of_removal(ctx, Some(event), answer?).await
}

async fn payload_of_removal(
    ctx: &Context<'_>,
    event: Option<EventId>,
    answer: Result<usize, Vec<Refusal<RemoveTicketsCode>>>,
) -> Result<RemoveTicketsPayload> {
    let (removed, user_errors) = split(answer);
    let event = match (event, removed) {
        (Some(event), Some(_)) => load(ctx).load_one(event).await?,
        (Some(_) | None, _) => None,
    };
    Ok(RemoveTicketsPayload {
        event: event.map(Event::from),
        removed_count: removed.map_or(0, count),
        user_errors,
    })
}

impl SeatRowInput {
    fn read(self) -> catalogue::SeatRow {
        catalogue::SeatRow {
            section: self.section,
            row: self.row,
            seats: match self.seats {
                SeatsInput::Range(range) => catalogue::Seats::Range {
                    from: range.from,
                    to: range.to,
                },
                SeatsInput::Labels(labels) => catalogue::Seats::Labels(labels),
            },
            position: self.position,
            accessible: self.accessible,
        }
    }
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
