//! Why the desk does not do something: one table of all reasons, and from it, for each mutation, an enum of those that it
//! can have and a user error with the details that go with them. A client that matches on a mutation's codes in full knows
//! everything that it can be told.

use async_graphql::{Enum, Error, SimpleObject};
use chrono::{DateTime, Utc};

use crate::{
    graphql::{fault::Code as Fault, hold::Hold, money::Money, order::Order},
    ids::{HoldId, OrderId},
};

/// Why something was refused, whichever mutation asked.
#[derive(Default)]
pub struct Reason {
    pub code: Code,
    pub message: String,
    pub field: Option<String>,
    pub retry_after: Option<u32>,
    pub total: Option<Money>,
    pub held_until: Option<DateTime<Utc>>,
    pub left: Option<usize>,
    /// What `order` and `hold` are read by, where they are asked for.
    pub order_id: Option<OrderId>,
    pub hold_id: Option<HoldId>,
    pub order: Option<Order>,
    pub hold: Option<Hold>,
}

impl Reason {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            ..Self::default()
        }
    }

    pub fn at(code: Code, field: impl Into<Option<String>>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            ..Self::new(code, message)
        }
    }
}

impl Code {
    /// As the API has it: `ALREADY_SOLD`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }
}

/// What a payload is made of: the result or the reasons, as the mutation shows them.
///
/// # Errors
/// When a reason is none of the mutation's: the table below lacks one.
pub fn split<T, E: TryFrom<Reason, Error = Code>>(
    answer: Result<T, Vec<Reason>>,
) -> Result<(Option<T>, Vec<E>), Error> {
    let reasons = match answer {
        Ok(result) => return Ok((Some(result), vec![])),
        Err(reasons) => reasons,
    };
    let shown = reasons.into_iter().map(E::try_from);
    let shown = shown.collect::<Result<Vec<E>, Code>>().map_err(|code| {
        tracing::error!(
            "a mutation was refused with {code:?}, which it does not list; this is a bug"
        );
        Fault::Internal
            .error("refused, and nothing happened; the reason is logged under this request's id")
    })?;
    Ok((None, shown))
}

/// All codes, and what each says in the schema. The first stands for none.
macro_rules! codes {
    ($($code:ident: $doc:literal,)+) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Code {
            #[default]
            $($code,)+
        }

        macro_rules! doc_of {
            $(($code) => { $doc };)+
        }
    };
}

/// A detail's type, and what it says in the schema.
macro_rules! detail {
    (retry_after) => { Option<u32> };
    (total) => { Option<Money> };
    (held_until) => { Option<DateTime<Utc>> };
    (left) => { Option<usize> };
    (order) => { Option<Order> };
    (hold) => { Option<Hold> };
    (doc retry_after) => { "Seconds after which the same request may succeed; null when it will not." };
    (doc total) => { "What it costs now, with `PRICE_CHANGED`." };
    (doc held_until) => { "When the hold that is in the way ends, with `HELD` and `HOLD_AT_MAXIMUM`: extended or bought, it may last longer." };
    (doc left) => { "How many could be had at this moment, with the codes that say that it is too many." };
    (doc order) => { "What the hold has become, with `HOLD_PURCHASED`." };
    (doc hold) => { "Your hold that has the ticket, with `HELD_BY_YOU`." };
}

/// For each mutation its codes and its user error.
macro_rules! reasons {
    ($($(#[$doc:meta])* $error:ident $(#[$code_doc:meta])* $codes:ident {
        details: $($detail:ident)+;
        codes: $($code:ident)+;
    })+) => {$(
        $(#[$code_doc])*
        #[derive(Enum, Clone, Copy, PartialEq, Eq)]
        pub enum $codes {
            $(#[doc = doc_of!($code)] $code,)+
        }

        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $error {
            /// What to react to.
            code: $codes,
            /// A plain sentence in English.
            message: String,
            /// The field of the input that is to blame, with dots into lists and objects, as in `tickets.ids.2`; null when
            /// none is.
            field: Option<String>,
            $(#[doc = detail!(doc $detail)] $detail: detail!($detail),)+
        }

        impl TryFrom<Reason> for $error {
            type Error = Code;

            fn try_from(reason: Reason) -> Result<Self, Code> {
                Ok(Self {
                    code: match reason.code {
                        $(Code::$code => $codes::$code,)+
                        other => return Err(other),
                    },
                    message: reason.message,
                    field: reason.field,
                    $($detail: reason.$detail,)+
                })
            }
        }
    )+};
}

codes! {
    AlreadySold: "Somebody has bought the ticket.",
    Blocked: "The organizer has withheld the ticket.",
    Contended: "Others were busy with this for too long. Nothing happened; try again after `retryAfter`.",
    CustomerLimit: "What you own and hold of the event, and this, are more tickets than one customer may have; see `left`.",
    DuplicateItem: "The same item is named twice.",
    DuplicateTicket: "The same ticket is named twice.",
    EventCancelled: "The event has been cancelled.",
    Held: "Somebody else is about to buy the ticket; it may come back at `heldUntil`.",
    HeldByYou: "You hold the ticket already: buy it with `purchaseHold`.",
    HoldAtMaximum: "No extension makes the hold last longer than `heldUntil`.",
    HoldExpired: "The hold's time was over.",
    HoldPurchased: "The hold has been bought: see the order.",
    HoldReleased: "The hold has been given back.",
    IdempotencyKeyReused: "The key was used for something else; take a new one.",
    InvalidIdempotencyKey: "The key is empty, longer than 128 characters or not printable.",
    InvalidReason: "The reason is blank, longer than 500 characters or not one line.",
    MixedEvents: "The tickets are of several events.",
    NoItems: "The list of items is empty.",
    NoTickets: "No ticket is asked for.",
    NotCancellable: "Customers of this event cannot cancel, or no longer.",
    NotEnoughLeft: "There are not as many left of the type; see `left`.",
    NotInHold: "The hold has no such ticket.",
    NotOnSaleYet: "The sale has not begun.",
    NotYourHold: "The hold is somebody else's.",
    PriceChanged: "It costs something else by now; see `total`.",
    ReasonRequired: "Who cancels somebody else's order says why.",
    SaleOver: "The sale has ended.",
    TooManyHeld: "You would hold more tickets of the event at a time than one customer may; see `left`.",
    TooManyItems: "More items than an order can have.",
    TooManyTickets: "More tickets than the event allows in one order.",
    UnknownHold: "There is no such hold.",
    UnknownItem: "The order has no such item.",
    UnknownOrder: "There is no such order of yours.",
    UnknownTicket: "There is no such ticket.",
    UnknownTicketType: "There is no such ticket type.",
}

reasons! {
    /// Why a ticket was not bought.
    PurchaseTicketUserError
    /// Reasons of `purchaseTicket`.
    PurchaseTicketErrorCode {
        details: retry_after total held_until left hold;
        codes: AlreadySold Blocked Contended CustomerLimit EventCancelled Held HeldByYou IdempotencyKeyReused
            InvalidIdempotencyKey NotOnSaleYet PriceChanged SaleOver UnknownTicket;
    }

    /// Why tickets were not bought.
    PurchaseTicketsUserError
    /// Reasons of `purchaseTickets`.
    PurchaseTicketsErrorCode {
        details: retry_after total held_until left hold;
        codes: AlreadySold Blocked Contended CustomerLimit DuplicateTicket EventCancelled Held HeldByYou
            IdempotencyKeyReused InvalidIdempotencyKey MixedEvents NotEnoughLeft NotOnSaleYet NoTickets PriceChanged
            SaleOver TooManyTickets UnknownTicket UnknownTicketType;
    }

    /// Why tickets are not held.
    HoldTicketsUserError
    /// Reasons of `holdTickets`.
    HoldTicketsErrorCode {
        details: retry_after held_until left hold;
        codes: AlreadySold Blocked Contended CustomerLimit DuplicateTicket EventCancelled Held HeldByYou
            IdempotencyKeyReused InvalidIdempotencyKey MixedEvents NotEnoughLeft NotOnSaleYet NoTickets SaleOver
            TooManyHeld TooManyTickets UnknownTicket UnknownTicketType;
    }

    /// Why a hold does not last longer.
    ExtendHoldUserError
    /// Reasons of `extendHold`.
    ExtendHoldErrorCode {
        details: retry_after held_until order;
        codes: Contended EventCancelled HoldAtMaximum HoldExpired HoldPurchased HoldReleased IdempotencyKeyReused
            InvalidIdempotencyKey NotOnSaleYet NotYourHold SaleOver UnknownHold;
    }

    /// Why nothing was given back.
    ReleaseHoldUserError
    /// Reasons of `releaseHold`.
    ReleaseHoldErrorCode {
        details: retry_after order;
        codes: Contended DuplicateTicket EventCancelled HoldExpired HoldPurchased HoldReleased IdempotencyKeyReused
            InvalidIdempotencyKey NotInHold NoTickets NotYourHold TooManyTickets UnknownHold UnknownTicket;
    }

    /// Why a hold was not bought.
    PurchaseHoldUserError
    /// Reasons of `purchaseHold`.
    PurchaseHoldErrorCode {
        details: retry_after total left order;
        codes: Contended CustomerLimit EventCancelled HoldExpired HoldPurchased HoldReleased IdempotencyKeyReused
            InvalidIdempotencyKey NotOnSaleYet NotYourHold PriceChanged SaleOver TooManyTickets UnknownHold;
    }

    /// Why nothing was cancelled.
    CancelOrderUserError
    /// Reasons of `cancelOrder`.
    CancelOrderErrorCode {
        details: retry_after;
        codes: Contended DuplicateItem EventCancelled IdempotencyKeyReused InvalidIdempotencyKey InvalidReason NoItems
            NotCancellable ReasonRequired TooManyItems UnknownItem UnknownOrder;
    }
}
