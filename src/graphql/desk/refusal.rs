//! A refusal in words for a buyer, with the field that is to blame.

use async_graphql::Error;

use super::reasons::{Code, Reason};
use crate::{
    graphql::fault::{Code as Fault, retry},
    ids::{OrderItemId, TicketId},
    sales::{
        HoldEnd, Malformed, Refusal, SaleFault,
        command::{KEY_LEN_MAX, REASON_LEN_MAX, TICKETS_PER_ORDER_MAX},
    },
};

/// What was asked, and so which field of the input a refusal is about.
pub struct Fields {
    pub subject: Subject,
    /// In the order in which the input names them.
    pub tickets: Vec<TicketId>,
    pub items: Vec<OrderItemId>,
}

#[derive(Clone, Copy)]
pub enum Subject {
    /// One ticket by its id.
    Ticket,
    /// Tickets by their ids.
    Tickets,
    /// Any tickets of a type.
    AnyOf,
    /// A hold as a whole.
    Hold,
    /// A hold and some of its tickets, or all.
    TicketsOfHold,
    /// An order and some of its items, or all.
    ItemsOfOrder,
}

impl Subject {
    /// The field that says how many.
    fn quantity(self) -> &'static str {
        match self {
            Self::Ticket => "ticketId",
            Self::Tickets => "tickets.ids",
            Self::AnyOf => "tickets.anyOf.quantity",
            Self::Hold => "holdId",
            Self::TicketsOfHold => "ticketIds",
            Self::ItemsOfOrder => "itemIds",
        }
    }

    /// The field of the id at this place of a list.
    pub fn field_at(self, index: usize) -> String {
        let field = self.quantity();
        match self {
            Self::Tickets | Self::TicketsOfHold | Self::ItemsOfOrder => format!("{field}.{index}"),
            Self::Ticket | Self::AnyOf | Self::Hold => field.to_owned(),
        }
    }
}

impl Fields {
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            tickets: vec![],
            items: vec![],
        }
    }

    pub fn of_tickets(subject: Subject, tickets: Vec<TicketId>) -> Self {
        Self {
            tickets,
            ..Self::new(subject)
        }
    }

    fn quantity(&self) -> String {
        self.subject.quantity().to_owned()
    }

    fn ticket(&self, id: TicketId) -> Option<String> {
        let index = self.tickets.iter().position(|ticket| *ticket == id)?;
        Some(self.subject.field_at(index))
    }

    fn item(&self, id: OrderItemId) -> Option<String> {
        let index = self.items.iter().position(|item| *item == id)?;
        Some(self.subject.field_at(index))
    }

    /// The field of what the event should have, if there is none that the caller can know of.
    fn unknown(&self) -> Reason {
        match self.subject {
            Subject::Ticket | Subject::Tickets => unknown_ticket(self.subject.field_at(0)),
            Subject::AnyOf => unknown_ticket_type(),
            Subject::Hold | Subject::TicketsOfHold => unknown_hold(),
            Subject::ItemsOfOrder => unknown_order(),
        }
    }
}

pub fn unknown_ticket(field: impl Into<Option<String>>) -> Reason {
    Reason::at(Code::UnknownTicket, field, "there is no such ticket")
}

/// What all that is wanted is to whoever may not sell it: as if it were not there.
pub fn unknown_tickets(fields: &Fields) -> Vec<Reason> {
    if fields.tickets.is_empty() {
        return vec![fields.unknown()];
    }
    let fields = (0..fields.tickets.len()).map(|index| fields.subject.field_at(index));
    fields.map(unknown_ticket).collect()
}

pub fn unknown_ticket_type() -> Reason {
    let field = "tickets.anyOf.ticketTypeId".to_owned();
    Reason::at(
        Code::UnknownTicketType,
        field,
        "there is no such ticket type",
    )
}

pub fn unknown_hold() -> Reason {
    Reason::at(
        Code::UnknownHold,
        "holdId".to_owned(),
        "there is no such hold",
    )
}

pub fn unknown_order() -> Reason {
    Reason::at(
        Code::UnknownOrder,
        "orderId".to_owned(),
        "there is no such order of yours",
    )
}

pub fn unknown_item(field: impl Into<Option<String>>) -> Reason {
    Reason::at(Code::UnknownItem, field, "the order has no such item")
}

pub fn not_in_hold(field: impl Into<Option<String>>) -> Reason {
    Reason::at(Code::NotInHold, field, "the hold has no such ticket")
}

pub fn mixed_events(field: String) -> Reason {
    Reason::at(
        Code::MixedEvents,
        field,
        "all tickets of an order are of one event; take these apart",
    )
}

/// Others were busy with it for too long.
pub fn contended() -> Reason {
    Reason {
        retry_after: Some(crate::sales::RETRY_AFTER_SECS),
        ..Reason::new(
            Code::Contended,
            "others were busy with this for too long; nothing happened, try again",
        )
    }
}

pub fn malformed(reason: Malformed, fields: &Fields) -> Reason {
    let is_of_order = matches!(fields.subject, Subject::ItemsOfOrder);
    match reason {
        Malformed::Key => Reason::at(
            Code::InvalidIdempotencyKey,
            "idempotencyKey".to_owned(),
            format!("the key needs 1 to {KEY_LEN_MAX} printable characters"),
        ),
        Malformed::Nothing if is_of_order => Reason::at(
            Code::NoItems,
            fields.quantity(),
            "name at least one item, or leave the list out for all",
        ),
        Malformed::Nothing => Reason::at(
            Code::NoTickets,
            fields.quantity(),
            "ask for at least one ticket",
        ),
        Malformed::TooMany if is_of_order => Reason::at(
            Code::TooManyItems,
            fields.quantity(),
            format!("no order has more than {TICKETS_PER_ORDER_MAX} items"),
        ),
        Malformed::TooMany => Reason::at(
            Code::TooManyTickets,
            fields.quantity(),
            format!("no order has more than {TICKETS_PER_ORDER_MAX} tickets"),
        ),
        // Of what is named twice it is the repetition that is to blame.
        Malformed::TicketTwice(id) => {
            let index = fields.tickets.iter().rposition(|ticket| *ticket == id);
            Reason::at(
                Code::DuplicateTicket,
                index.map(|index| fields.subject.field_at(index)),
                "this ticket is named twice",
            )
        }
        Malformed::ItemTwice(id) => {
            let index = fields.items.iter().rposition(|item| *item == id);
            Reason::at(
                Code::DuplicateItem,
                index.map(|index| fields.subject.field_at(index)),
                "this item is named twice",
            )
        }
        Malformed::Reason => Reason::at(
            Code::InvalidReason,
            "reason".to_owned(),
            format!("a reason has 1 to {REASON_LEN_MAX} characters in one line"),
        ),
        Malformed::ReasonMissing => Reason::at(
            Code::ReasonRequired,
            "reason".to_owned(),
            "say why the customer's order is cancelled",
        ),
    }
}

pub fn explain(refusal: &Refusal, fields: &Fields) -> Reason {
    let hold = || "holdId".to_owned();
    match refusal {
        Refusal::KeyReused => Reason::at(
            Code::IdempotencyKeyReused,
            "idempotencyKey".to_owned(),
            "the key was used for something else; take a new one",
        ),
        // An event that buyers cannot see has nothing that they can know.
        Refusal::UnknownEvent => fields.unknown(),
        Refusal::EventCancelled => {
            Reason::new(Code::EventCancelled, "the event has been cancelled")
        }
        Refusal::NotOnSaleYet { opens_at } => Reason::new(
            Code::NotOnSaleYet,
            format!("the sale begins at {}", instant(*opens_at)),
        ),
        Refusal::SaleOver { closed_at } => Reason::new(
            Code::SaleOver,
            format!("the sale ended at {}", instant(*closed_at)),
        ),
        Refusal::TooManyTickets { max } => Reason::at(
            Code::TooManyTickets,
            fields.quantity(),
            format!("an order of this event has at most {max} tickets"),
        ),
        Refusal::CustomerLimit { max, left } => Reason {
            left: Some(*left),
            ..Reason::at(
                Code::CustomerLimit,
                fields.quantity(),
                format!(
                    "a customer may have at most {max} tickets of this event, and you may have {left} more"
                ),
            )
        },
        Refusal::TooManyHeld { max, left } => Reason {
            left: Some(*left),
            ..Reason::at(
                Code::TooManyHeld,
                fields.quantity(),
                format!(
                    "a customer may hold at most {max} tickets of this event at a time, and you may hold {left} more"
                ),
            )
        },
        Refusal::UnknownTicket(id) => unknown_ticket(fields.ticket(*id)),
        Refusal::UnknownTicketType => unknown_ticket_type(),
        Refusal::AlreadySold(id) => {
            Reason::at(Code::AlreadySold, fields.ticket(*id), "this ticket is sold")
        }
        Refusal::Held { ticket, until } => Reason {
            held_until: Some(*until),
            ..Reason::at(
                Code::Held,
                fields.ticket(*ticket),
                "somebody else is about to buy this ticket; it may come back",
            )
        },
        Refusal::HeldByYou { ticket, hold_id } => Reason {
            hold_id: Some(*hold_id),
            ..Reason::at(
                Code::HeldByYou,
                fields.ticket(*ticket),
                "you hold this ticket: buy it with purchaseHold",
            )
        },
        Refusal::Blocked(id) => Reason::at(
            Code::Blocked,
            fields.ticket(*id),
            "the organizer has withheld this ticket",
        ),
        Refusal::NotEnoughLeft { left } => Reason {
            left: Some(*left),
            ..Reason::at(
                Code::NotEnoughLeft,
                fields.quantity(),
                match left {
                    0 => "none of this type is left".to_owned(),
                    left => format!("only {left} of this type can be had"),
                },
            )
        },
        Refusal::PriceChanged { total } => Reason {
            total: Some((*total).into()),
            ..Reason::at(
                Code::PriceChanged,
                "expectedTotal".to_owned(),
                format!("it costs {} {} now", total.amount(), total.currency.code()),
            )
        },
        Refusal::UnknownHold => unknown_hold(),
        Refusal::NotYourHold => {
            Reason::at(Code::NotYourHold, hold(), "the hold is somebody else's")
        }
        Refusal::HoldEnded(HoldEnd::Expired { at }) => Reason::at(
            Code::HoldExpired,
            hold(),
            format!("the hold ended at {}", instant(*at)),
        ),
        Refusal::HoldEnded(HoldEnd::Released) => {
            Reason::at(Code::HoldReleased, hold(), "the hold has been given back")
        }
        Refusal::HoldEnded(HoldEnd::Purchased(order_id)) => Reason {
            order_id: *order_id,
            ..Reason::at(
                Code::HoldPurchased,
                hold(),
                "the hold has been bought: it is an order now",
            )
        },
        Refusal::HoldAtMaximum { until } => Reason {
            held_until: Some(*until),
            ..Reason::at(
                Code::HoldAtMaximum,
                hold(),
                format!(
                    "the hold ends at {} and cannot be extended",
                    instant(*until)
                ),
            )
        },
        Refusal::NotInHold(id) => not_in_hold(fields.ticket(*id)),
        Refusal::UnknownOrder => unknown_order(),
        Refusal::UnknownItem(id) => unknown_item(fields.item(*id)),
        Refusal::NotCancellable { since: Some(since) } => Reason::new(
            Code::NotCancellable,
            format!(
                "orders of this event could be cancelled until {}",
                instant(*since)
            ),
        ),
        Refusal::NotCancellable { since: None } => Reason::new(
            Code::NotCancellable,
            "orders of this event cannot be cancelled",
        ),
    }
}

pub fn instant(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl SaleFault {
    pub fn code(self) -> Fault {
        match self {
            Self::Overloaded => Fault::Overloaded,
            Self::Unavailable => Fault::Unavailable,
            Self::OutcomeUnknown => Fault::OutcomeUnknown,
            Self::Internal => Fault::Internal,
        }
    }
}

/// A command without an outcome.
impl From<SaleFault> for Error {
    fn from(fault: SaleFault) -> Self {
        let (message, may_be_tried_again) = match fault {
            SaleFault::Overloaded => (
                "too many are buying at this moment; nothing happened, try again",
                true,
            ),
            SaleFault::Unavailable => (
                "the database is out of reach; nothing happened, try again",
                true,
            ),
            SaleFault::OutcomeUnknown => (
                "it may have happened; send the same input with the same idempotency key to find out",
                true,
            ),
            SaleFault::Internal => (
                "it could not be written; nothing happened, and the fault is logged",
                false,
            ),
        };
        let error = fault.code().error(message);
        if may_be_tried_again {
            retry(error)
        } else {
            error
        }
    }
}
