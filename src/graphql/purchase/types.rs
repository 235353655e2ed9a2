//! The inputs and payloads of purchases.

use async_graphql::{Enum, ID, InputObject, OneofObject, SimpleObject};

use super::{Answer, refusal::UserError};
use crate::graphql::{
    money::{Decimal, Money},
    order::Order,
};

/// What `purchaseTicket` needs.
#[derive(InputObject)]
pub struct PurchaseTicketInput {
    /// The ticket to buy.
    pub ticket_id: ID,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    pub idempotency_key: String,
    /// What the buyer was told it costs, in the event's currency. If it costs something else by now, nothing is bought and
    /// the refusal is `PRICE_CHANGED`.
    pub expected_total: Option<Decimal>,
}

/// What `purchaseTickets` needs.
#[derive(InputObject)]
pub struct PurchaseTicketsInput {
    /// The tickets to buy.
    pub tickets: TicketSelection,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    pub idempotency_key: String,
    /// What the buyer was told all of them cost, in the event's currency. If they cost something else by now, nothing is
    /// bought and the refusal is `PRICE_CHANGED`.
    pub expected_total: Option<Decimal>,
}

/// Tickets by their ids, or any of a type.
#[derive(OneofObject)]
pub enum TicketSelection {
    /// These tickets, all of one event, each once.
    Ids(Vec<ID>),
    /// So many of a type, whichever they are.
    AnyOf(AnyOfInput),
}

/// Any tickets of a type.
#[derive(InputObject)]
pub struct AnyOfInput {
    /// The ticket type.
    pub ticket_type_id: ID,
    /// How many.
    pub quantity: i32,
}

/// What became of `purchaseTicket`.
#[derive(SimpleObject)]
pub struct PurchaseTicketPayload {
    /// The order; null when the purchase was refused.
    order: Option<Order>,
    /// Why the purchase was refused; empty when it succeeded.
    user_errors: Vec<PurchaseTicketUserError>,
}

/// What became of `purchaseTickets`.
#[derive(SimpleObject)]
pub struct PurchaseTicketsPayload {
    /// The order; null when the purchase was refused.
    order: Option<Order>,
    /// Why the purchase was refused, one entry for each ticket that is to blame; empty when it succeeded.
    user_errors: Vec<PurchaseTicketsUserError>,
}

/// Why a ticket was not bought.
#[derive(SimpleObject)]
pub struct PurchaseTicketUserError {
    /// What to react to.
    code: PurchaseTicketErrorCode,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame; null when none is.
    field: Option<String>,
    /// Seconds after which the same request may succeed; null when it will not.
    retry_after: Option<u32>,
    /// What it costs now, with `PRICE_CHANGED`.
    total: Option<Money>,
}

/// Why tickets were not bought.
#[derive(SimpleObject)]
pub struct PurchaseTicketsUserError {
    /// What to react to.
    code: PurchaseTicketsErrorCode,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame, with dots into lists and objects, as in `tickets.ids.2`; null when none is.
    field: Option<String>,
    /// Seconds after which the same request may succeed; null when it will not.
    retry_after: Option<u32>,
    /// What they cost now, with `PRICE_CHANGED`.
    total: Option<Money>,
}

/// Reasons of `purchaseTicket`.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseTicketErrorCode {
    /// Somebody else has bought it.
    AlreadySold,
    /// The organizer has withheld it.
    Blocked,
    /// Others were busy with it for too long. Nothing happened; try again after `retryAfter`.
    Contended,
    /// You may not have so many tickets of this event.
    CustomerLimit,
    /// The event has been cancelled.
    EventCancelled,
    /// Somebody else is about to buy it; it may come back.
    Held,
    /// You hold it: buy it with `purchaseHold`.
    HeldByYou,
    /// The key was used for another purchase.
    IdempotencyKeyReused,
    /// The key is empty, longer than 128 characters or not printable.
    InvalidIdempotencyKey,
    /// The sale has not begun.
    NotOnSaleYet,
    /// It costs something else by now; see `total`.
    PriceChanged,
    /// The sale has ended.
    SaleOver,
    /// There is no such ticket.
    UnknownTicket,
}

/// Reasons of `purchaseTickets`.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseTicketsErrorCode {
    /// Somebody else has bought one of them.
    AlreadySold,
    /// The organizer has withheld one of them.
    Blocked,
    /// Others were busy with one of them for too long. Nothing happened; try again after `retryAfter`.
    Contended,
    /// You may not have so many tickets of this event.
    CustomerLimit,
    /// The same ticket is named twice.
    DuplicateTicket,
    /// The event has been cancelled.
    EventCancelled,
    /// Somebody else is about to buy one of them; it may come back.
    Held,
    /// You hold one of them: buy it with `purchaseHold`.
    HeldByYou,
    /// The key was used for another purchase.
    IdempotencyKeyReused,
    /// The key is empty, longer than 128 characters or not printable.
    InvalidIdempotencyKey,
    /// The tickets are of several events.
    MixedEvents,
    /// There are not as many left of the type.
    NotEnoughLeft,
    /// The sale has not begun.
    NotOnSaleYet,
    /// No ticket was asked for.
    NoTickets,
    /// They cost something else by now; see `total`.
    PriceChanged,
    /// The sale has ended.
    SaleOver,
    /// More tickets than the event allows in one order.
    TooManyTickets,
    /// There is no such ticket.
    UnknownTicket,
    /// There is no such ticket type.
    UnknownTicketType,
}

impl From<Answer> for PurchaseTicketsPayload {
    fn from(answer: Answer) -> Self {
        let (order, errors) = split(answer);
        let shape = |error: UserError| PurchaseTicketsUserError {
            code: error.code,
            message: error.message,
            field: error.field,
            retry_after: error.retry_after,
            total: error.total,
        };
        Self {
            order,
            user_errors: errors.into_iter().map(shape).collect(),
        }
    }
}

impl From<Answer> for PurchaseTicketPayload {
    fn from(answer: Answer) -> Self {
        let (order, errors) = split(answer);
        let shape = |error: UserError| PurchaseTicketUserError {
            code: error.code.into(),
            message: error.message,
            field: error.field,
            retry_after: error.retry_after,
            total: error.total,
        };
        Self {
            order,
            user_errors: errors.into_iter().map(shape).collect(),
        }
    }
}

fn split(answer: Answer) -> (Option<Order>, Vec<UserError>) {
    match answer {
        Ok(order) => (Some(order), vec![]),
        Err(errors) => (None, errors),
    }
}

/// The reason as it concerns a single named ticket.
impl From<PurchaseTicketsErrorCode> for PurchaseTicketErrorCode {
    fn from(code: PurchaseTicketsErrorCode) -> Self {
        use PurchaseTicketsErrorCode as C;
        match code {
            C::AlreadySold => Self::AlreadySold,
            C::Blocked => Self::Blocked,
            C::Contended => Self::Contended,
            C::EventCancelled => Self::EventCancelled,
            C::CustomerLimit => Self::CustomerLimit,
            C::Held => Self::Held,
            C::HeldByYou => Self::HeldByYou,
            C::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            C::InvalidIdempotencyKey => Self::InvalidIdempotencyKey,
            C::NotOnSaleYet => Self::NotOnSaleYet,
            C::PriceChanged => Self::PriceChanged,
            C::SaleOver => Self::SaleOver,
            C::UnknownTicket => Self::UnknownTicket,
            C::DuplicateTicket
            | C::MixedEvents
            | C::NotEnoughLeft
            | C::NoTickets
            | C::TooManyTickets
            | C::UnknownTicketType => {
                unreachable!("one named ticket is neither too many nor too few")
            }
        }
    }
}
