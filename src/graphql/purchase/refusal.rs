//! Why a purchase was refused or has no outcome, in words for a buyer and with the field that is to blame.

use async_graphql::Error;

use super::types::PurchaseTicketsErrorCode;
use crate::{
    graphql::{
        fault::{Code, retry},
        money::Money,
    },
    ids::TicketId,
    sales::{
        Malformed, Refusal, SaleFault,
        command::{KEY_LEN_MAX, TICKETS_PER_ORDER_MAX},
    },
};

/// A refusal of either mutation. `purchaseTicket` shows those that can happen to a single named ticket.
pub struct UserError {
    pub code: PurchaseTicketsErrorCode,
    pub message: String,
    pub field: Option<String>,
    pub retry_after: Option<u32>,
    pub total: Option<Money>,
}

/// Which field of the input a refusal is about.
pub struct Fields {
    pub ids: Vec<(TicketId, String)>,
    pub selection: &'static str,
}

impl Fields {
    pub fn of(&self, ticket: TicketId) -> Option<String> {
        self.ids
            .iter()
            .find(|(id, _)| *id == ticket)
            .map(|(_, field)| field.clone())
    }

    /// Of a ticket that is named twice it is the repetition that is to blame.
    fn of_last(&self, ticket: TicketId) -> Option<String> {
        let last = self.ids.iter().rev().find(|(id, _)| *id == ticket);
        last.map(|(_, field)| field.clone())
    }
}

impl UserError {
    pub fn new(code: PurchaseTicketsErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            total: None,
        }
    }

    pub fn at(
        code: PurchaseTicketsErrorCode,
        field: impl Into<Option<String>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            ..Self::new(code, message)
        }
    }
}

pub fn unknown_ticket(field: impl Into<Option<String>>) -> UserError {
    UserError::at(
        PurchaseTicketsErrorCode::UnknownTicket,
        field,
        "there is no such ticket",
    )
}

pub fn unknown_ticket_type() -> UserError {
    let field = "tickets.anyOf.ticketTypeId".to_owned();
    UserError::at(
        PurchaseTicketsErrorCode::UnknownTicketType,
        field,
        "there is no such ticket type",
    )
}

pub fn malformed(reason: Malformed, fields: &Fields) -> UserError {
    use PurchaseTicketsErrorCode as C;
    let selection = fields.selection.to_owned();
    match reason {
        Malformed::Key => UserError::at(
            C::InvalidIdempotencyKey,
            "idempotencyKey".to_owned(),
            format!("the key needs 1 to {KEY_LEN_MAX} printable characters"),
        ),
        Malformed::Nothing => UserError::at(C::NoTickets, selection, "ask for at least one ticket"),
        Malformed::TooMany => UserError::at(
            C::TooManyTickets,
            selection,
            format!("no order has more than {TICKETS_PER_ORDER_MAX} tickets"),
        ),
        Malformed::TicketTwice(id) => UserError::at(
            C::DuplicateTicket,
            fields.of_last(id),
            "this ticket is named twice",
        ),
        Malformed::ItemTwice(_) | Malformed::Reason | Malformed::ReasonMissing => {
            unreachable!("a purchase names no items and no reason")
        }
    }
}

pub fn explain(refusal: &Refusal, fields: &Fields) -> UserError {
    use PurchaseTicketsErrorCode as C;
    let selection = || fields.selection.to_owned();
    match refusal {
        Refusal::KeyReused => UserError::at(
            C::IdempotencyKeyReused,
            "idempotencyKey".to_owned(),
            "the key was used for another purchase; take a new one",
        ),
        // An event that buyers cannot see has no tickets that they can know.
        Refusal::UnknownEvent => match fields.ids.first() {
            Some((_, field)) => unknown_ticket(field.clone()),
            None => unknown_ticket_type(),
        },
        Refusal::EventCancelled => {
            UserError::new(C::EventCancelled, "the event has been cancelled")
        }
        Refusal::NotOnSaleYet { opens_at } => UserError::new(
            C::NotOnSaleYet,
            format!("the sale begins at {}", instant(*opens_at)),
        ),
        Refusal::SaleOver { closed_at } => UserError::new(
            C::SaleOver,
            format!("the sale ended at {}", instant(*closed_at)),
        ),
        Refusal::TooManyTickets { max } => UserError::at(
            C::TooManyTickets,
            selection(),
            format!("an order of this event has at most {max} tickets"),
        ),
        Refusal::UnknownTicket(id) => unknown_ticket(fields.of(*id)),
        Refusal::UnknownTicketType => unknown_ticket_type(),
        Refusal::AlreadySold(id) => UserError::at(
            C::AlreadySold,
            fields.of(*id),
            "somebody else has bought this ticket",
        ),
        Refusal::Held { ticket, .. } => UserError::at(
            C::Held,
            fields.of(*ticket),
            "somebody else is about to buy this ticket; it may come back",
        ),
        Refusal::Blocked(id) => UserError::at(
            C::Blocked,
            fields.of(*id),
            "the organizer has withheld this ticket",
        ),
        Refusal::NotEnoughLeft { left } => UserError::at(
            C::NotEnoughLeft,
            selection(),
            match left {
                0 => "none of this type is left".to_owned(),
                left => format!("only {left} of this type can be had"),
            },
        ),
        Refusal::HeldByYou { ticket, .. } => UserError::at(
            C::HeldByYou,
            fields.of(*ticket),
            "you hold this ticket: buy it with purchaseHold",
        ),
        Refusal::CustomerLimit { max, left } => UserError::at(
            C::CustomerLimit,
            selection(),
            format!(
                "a customer may have at most {max} tickets of this event, and you may have {left} more"
            ),
        ),
        Refusal::TooManyHeld { .. }
        | Refusal::UnknownHold
        | Refusal::NotYourHold
        | Refusal::HoldEnded(_)
        | Refusal::HoldAtMaximum { .. }
        | Refusal::NotInHold(_)
        | Refusal::UnknownOrder
        | Refusal::UnknownItem(_)
        | Refusal::NotCancellable { .. } => {
            unreachable!("a purchase names neither a hold nor an order")
        }
        Refusal::PriceChanged { total } => UserError {
            total: Some((*total).into()),
            ..UserError::at(
                C::PriceChanged,
                "expectedTotal".to_owned(),
                format!("it costs {} {} now", total.amount(), total.currency.code()),
            )
        },
    }
}

pub fn instant(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A sale without an outcome.
impl From<SaleFault> for Error {
    fn from(fault: SaleFault) -> Self {
        match fault {
            SaleFault::Overloaded => {
                retry(Code::Overloaded.error("too many are buying at this moment; nothing happened, try again"))
            }
            SaleFault::Unavailable => {
                retry(Code::Unavailable.error("the database is out of reach; nothing happened, try again"))
            }
            SaleFault::OutcomeUnknown => retry(Code::OutcomeUnknown.error(
                "the purchase may have happened; send the same input with the same idempotency key to find out",
            )),
            SaleFault::Internal => {
                Code::Internal.error("the purchase could not be written; nothing happened, and the fault is logged")
            }
        }
    }
}
