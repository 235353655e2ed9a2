//! `blockTickets` and `unblockTickets`: input to a block of tickets, refusals to the fields that are to blame.

use async_graphql::{Context, Enum, ID, InputObject, Result, SimpleObject};

use super::{BlockTicketsUserError, StaffUserError};
use crate::{
    auth::Permission,
    graphql::{
        access::permit,
        caller,
        catalogue::{Event, Ticket},
        desk::instant,
        domain,
        global_id::GlobalId,
        loaders::load,
    },
    ids::{EventId, TicketId},
    sales::{
        BlockRefusal, Malformed, TicketBlock,
        command::{REASON_LEN_MAX, TICKETS_PER_ORDER_MAX},
    },
};

/// Tickets to be withheld from sale.
#[derive(InputObject)]
pub struct BlockTicketsInput {
    /// Whose tickets they are: an event of yours, published or a draft.
    event_id: ID,
    /// The tickets, 1 to 1,000, none twice.
    pub ticket_ids: Vec<ID>,
    /// Why, for your own records: 1 to 500 characters in one line.
    reason: String,
}

/// Blocked tickets to be sold again.
#[derive(InputObject)]
pub struct UnblockTicketsInput {
    /// Whose tickets they are: an event of yours, published or a draft.
    event_id: ID,
    /// The tickets, 1 to 1,000, none twice.
    pub ticket_ids: Vec<ID>,
}

/// Why no ticket is blocked.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum BlockTicketsErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled: nothing of it is sold anyway.
    EventCancelled,
    /// No ticket is given.
    NoTickets,
    /// More tickets than can be blocked at once.
    TooManyTickets,
    /// There is no such ticket.
    UnknownTicket,
    /// The ticket is of another event.
    OtherEvent,
    /// The ticket is named twice.
    DuplicateTicket,
    /// The ticket is sold: cancel its order first.
    AlreadySold,
    /// A buyer holds the ticket, until `heldUntil` if they do not extend it.
    Held,
    /// The reason is empty, too long or not one line.
    InvalidReason,
    /// Buyers were at these tickets for too long: nothing happened, try again.
    Busy,
}

/// Why no ticket is unblocked.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum UnblockTicketsErrorCode {
    /// There is no such event of yours.
    UnknownEvent,
    /// The event is cancelled: nothing of it is sold any more.
    EventCancelled,
    /// No ticket is given.
    NoTickets,
    /// More tickets than can be unblocked at once.
    TooManyTickets,
    /// There is no such ticket.
    UnknownTicket,
    /// The ticket is of another event.
    OtherEvent,
    /// The ticket is named twice.
    DuplicateTicket,
    /// Somebody was at these tickets for too long: nothing happened, try again.
    Busy,
}

/// The answer of `blockTickets`.
#[derive(SimpleObject)]
pub struct BlockTicketsPayload {
    /// The event; null when it was refused.
    event: Option<Event>,
    /// The tickets as they are now, in the order in which they were named; null when it was refused.
    tickets: Option<Vec<Ticket>>,
    /// Why it was refused; empty on success.
    user_errors: Vec<BlockTicketsUserError>,
}

/// The answer of `unblockTickets`.
#[derive(SimpleObject)]
pub struct UnblockTicketsPayload {
    /// The event; null when it was refused.
    event: Option<Event>,
    /// The tickets as they are now, in the order in which they were named; null when it was refused.
    tickets: Option<Vec<Ticket>>,
    /// Why it was refused; empty on success.
    user_errors: Vec<StaffUserError<UnblockTicketsErrorCode>>,
}

pub async fn block_tickets(
    ctx: &Context<'_>,
    input: BlockTicketsInput,
) -> Result<BlockTicketsPayload> {
    let reason = input.reason;
    let asked = Asked {
        event_id: &input.event_id,
        ticket_ids: &input.ticket_ids,
    };
    let checked = |event_id, tickets| TicketBlock::block(event_id, tickets, reason);
    Ok(match change(ctx, &asked, checked).await? {
        Ok(changed) => BlockTicketsPayload {
            event: changed.event,
            tickets: Some(changed.tickets),
            user_errors: vec![],
        },
        Err(errors) => BlockTicketsPayload {
            event: None,
            tickets: None,
            user_errors: errors,
        },
    })
}

pub async fn unblock_tickets(
    ctx: &Context<'_>,
    input: UnblockTicketsInput,
) -> Result<UnblockTicketsPayload> {
    let asked = Asked {
        event_id: &input.event_id,
        ticket_ids: &input.ticket_ids,
    };
    Ok(match change(ctx, &asked, TicketBlock::unblock).await? {
        Ok(changed) => UnblockTicketsPayload {
            event: changed.event,
            tickets: Some(changed.tickets),
            user_errors: vec![],
        },
        Err(errors) => UnblockTicketsPayload {
            event: None,
            tickets: None,
            user_errors: errors
                .into_iter()
                .map(BlockTicketsUserError::of_unblock)
                .collect(),
        },
    })
}

/// Tickets as they were named.
struct Asked<'a> {
    event_id: &'a ID,
    ticket_ids: &'a [ID],
}

/// Tickets as they have become.
struct Changed {
    event: Option<Event>,
    tickets: Vec<Ticket>,
}

async fn change(
    ctx: &Context<'_>,
    asked: &Asked<'_>,
    checked: impl FnOnce(EventId, Vec<TicketId>) -> Result<TicketBlock, Malformed>,
) -> Result<Result<Changed, Vec<BlockTicketsUserError>>> {
    let grant = caller(ctx).staff(Permission::Block)?;
    let (event_id, tickets) = match asked.read() {
        Ok(read) => read,
        Err(errors) => return Ok(Err(errors)),
    };
    let block = match checked(event_id, tickets.clone()) {
        Ok(block) => block,
        Err(reason) => return Ok(Err(vec![malformed(reason, &tickets)])),
    };
    permit(ctx, &grant, event_id).await?;
    let answer = domain(ctx).sales.block_tickets(&grant, block).await?;
    if let Err(refusals) = answer {
        let explained = refusals.into_iter().map(|it| explain(it, &tickets));
        return Ok(Err(explained.collect()));
    }
    let event = load(ctx).load_one(event_id).await?;
    let keys = tickets.iter().map(|id| (event_id, *id));
    let mut found = load(ctx).load_many(keys.clone()).await?;
    Ok(Ok(Changed {
        event: event.map(Event::from),
        tickets: keys
            .filter_map(|key| found.remove(&key))
            .map(Ticket::from)
            .collect(),
    }))
}

impl Asked<'_> {
    fn read(&self) -> Result<(EventId, Vec<TicketId>), Vec<BlockTicketsUserError>> {
        use BlockTicketsErrorCode as C;
        let Some(event_id) = GlobalId::decode(self.event_id).and_then(GlobalId::event) else {
            return Err(vec![unknown_event()]);
        };
        // Checked before the ids are read: a megabyte of them would be work for nothing.
        if self.ticket_ids.len() > TICKETS_PER_ORDER_MAX {
            return Err(vec![malformed(Malformed::TooMany, &[])]);
        }
        let (mut tickets, mut errors) = (Vec::new(), Vec::new());
        for (n, id) in self.ticket_ids.iter().enumerate() {
            match GlobalId::decode(id).and_then(GlobalId::ticket) {
                Some((of, id)) if of == event_id => tickets.push(id),
                Some(_) => errors.push(BlockTicketsUserError::at(
                    C::OtherEvent,
                    field_of(n),
                    "the ticket is of another event",
                )),
                None => errors.push(unknown_ticket(field_of(n))),
            }
        }
        if errors.is_empty() {
            Ok((event_id, tickets))
        } else {
            Err(errors)
        }
    }
}

fn field_of(n: usize) -> String {
    format!("ticketIds.{n}")
}

fn unknown_event() -> BlockTicketsUserError {
    BlockTicketsUserError::at(
        BlockTicketsErrorCode::UnknownEvent,
        "eventId",
        "there is no such event of yours",
    )
}

fn unknown_ticket(field: String) -> BlockTicketsUserError {
    BlockTicketsUserError::at(
        BlockTicketsErrorCode::UnknownTicket,
        field,
        "there is no such ticket of this event",
    )
}

fn malformed(reason: Malformed, tickets: &[TicketId]) -> BlockTicketsUserError {
    use BlockTicketsErrorCode as C;
    match reason {
        Malformed::Nothing => {
            BlockTicketsUserError::at(C::NoTickets, "ticketIds", "name at least one ticket")
        }
        Malformed::TooMany => BlockTicketsUserError::at(
            C::TooManyTickets,
            "ticketIds",
            format!("at most {TICKETS_PER_ORDER_MAX} tickets are changed at once"),
        ),
        Malformed::TicketTwice(id) => BlockTicketsUserError::at(
            C::DuplicateTicket,
            // It is the repetition that is to blame.
            tickets
                .iter()
                .rposition(|it| *it == id)
                .map_or_else(|| "ticketIds".to_owned(), field_of),
            "this ticket is named twice",
        ),
        Malformed::Reason | Malformed::ReasonMissing => BlockTicketsUserError::at(
            C::InvalidReason,
            "reason",
            format!("a reason has 1 to {REASON_LEN_MAX} characters in one line"),
        ),
        Malformed::Key | Malformed::ItemTwice(_) => {
            unreachable!("a block of tickets has no key and no items")
        }
    }
}

fn explain(refusal: BlockRefusal, tickets: &[TicketId]) -> BlockTicketsUserError {
    use BlockTicketsErrorCode as C;
    let field = |id: TicketId| {
        let n = tickets.iter().position(|it| *it == id);
        n.map_or_else(|| "ticketIds".to_owned(), field_of)
    };
    match refusal {
        BlockRefusal::UnknownEvent => unknown_event(),
        BlockRefusal::EventCancelled => {
            BlockTicketsUserError::at(C::EventCancelled, "eventId", "the event is cancelled")
        }
        BlockRefusal::UnknownTicket(id) => unknown_ticket(field(id)),
        BlockRefusal::AlreadySold(id) => {
            BlockTicketsUserError::at(C::AlreadySold, field(id), "the ticket is sold")
        }
        BlockRefusal::Held { ticket, until } => BlockTicketsUserError {
            held_until: Some(until),
            ..BlockTicketsUserError::at(
                C::Held,
                field(ticket),
                format!("a buyer holds the ticket until {}", instant(until)),
            )
        },
        BlockRefusal::Busy => StaffUserError::busy(
            C::Busy,
            "others were busy with these tickets for too long; nothing happened, try again",
        )
        .into(),
    }
}

impl BlockTicketsUserError {
    fn at(
        code: BlockTicketsErrorCode,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        StaffUserError::at(code, field, message).into()
    }

    fn of_unblock(self) -> StaffUserError<UnblockTicketsErrorCode> {
        StaffUserError {
            code: self.code.of_unblock(),
            message: self.message,
            field: self.field,
            retry_after: self.retry_after,
        }
    }
}

impl From<StaffUserError<BlockTicketsErrorCode>> for BlockTicketsUserError {
    fn from(error: StaffUserError<BlockTicketsErrorCode>) -> Self {
        Self {
            code: error.code,
            message: error.message,
            field: error.field,
            retry_after: error.retry_after,
            held_until: None,
        }
    }
}

impl BlockTicketsErrorCode {
    fn of_unblock(self) -> UnblockTicketsErrorCode {
        use UnblockTicketsErrorCode as C;
        match self {
            Self::UnknownEvent => C::UnknownEvent,
            Self::EventCancelled => C::EventCancelled,
            Self::NoTickets => C::NoTickets,
            Self::TooManyTickets => C::TooManyTickets,
            Self::UnknownTicket => C::UnknownTicket,
            Self::OtherEvent => C::OtherEvent,
            Self::DuplicateTicket => C::DuplicateTicket,
            Self::Busy => C::Busy,
            Self::AlreadySold | Self::Held | Self::InvalidReason => {
                unreachable!("only what is blocked must be free, and have a reason")
            }
        }
    }
}
