//! The ways in which rows can contradict the promise, and their words.

/// A way in which rows can contradict the promise. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    TwoOwners,
    SoldWithoutOwner,
    OwnedButNotSold,
    HeldWithoutHold,
    HoldWithoutHeld,
    HeldByUnknownHold,
    HeldByEndedHold,
    HeldUntilDiffers,
    HoldTicketsDiffer,
    HoldOrderDiffers,
    OrderWithoutItems,
    ConfirmedWithoutActiveItem,
    CancelledWithActiveItem,
    ItemWithoutOrder,
    ItemWithoutTicket,
    CancellationUntimed,
    TotalDiffers,
    CurrencyDiffers,
    CountsDiffer,
    KeptCountsDiffer,
    TicketsPerCustomerExceeded,
    HeldPerCustomerExceeded,
    KeyWithoutResult,
    KeyOfAnotherCustomer,
    CodeTwice,
    UnknownTicketType,
    SeatTwice,
    SeatAstray,
    OrderOfUnknownCustomer,
    HoldOfUnknownCustomer,
    UnknownEvent,
    CancelledEventNotEmpty,
    LogDiffers,
    LogBroken,
    LogIncomplete,
}

/// What the ids of a violation are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Ticket,
    OrderItem,
    Order,
    Hold,
    Customer,
    TicketType,
    /// The order or the hold that a key names: keys have no ids.
    Result,
    Event,
    /// Of whichever table.
    Row,
}

impl Subject {
    /// In words, for so many.
    pub fn noun(self, count: i64) -> &'static str {
        let (one, many) = match self {
            Self::Ticket => ("ticket", "tickets"),
            Self::OrderItem => ("order item", "order items"),
            Self::Order => ("order", "orders"),
            Self::Hold => ("hold", "holds"),
            Self::Customer => ("customer", "customers"),
            Self::TicketType => ("ticket type", "ticket types"),
            Self::Result => ("bound order or hold", "bound orders or holds"),
            Self::Event => ("event", "events"),
            Self::Row => ("row", "rows"),
        };
        if count == 1 { one } else { many }
    }
}

impl Kind {
    pub const ALL: &[Self] = &[
        Self::TwoOwners,
        Self::SoldWithoutOwner,
        Self::OwnedButNotSold,
        Self::HeldWithoutHold,
        Self::HoldWithoutHeld,
        Self::HeldByUnknownHold,
        Self::HeldByEndedHold,
        Self::HeldUntilDiffers,
        Self::HoldTicketsDiffer,
        Self::HoldOrderDiffers,
        Self::OrderWithoutItems,
        Self::ConfirmedWithoutActiveItem,
        Self::CancelledWithActiveItem,
        Self::ItemWithoutOrder,
        Self::ItemWithoutTicket,
        Self::CancellationUntimed,
        Self::TotalDiffers,
        Self::CurrencyDiffers,
        Self::CountsDiffer,
        Self::KeptCountsDiffer,
        Self::TicketsPerCustomerExceeded,
        Self::HeldPerCustomerExceeded,
        Self::KeyWithoutResult,
        Self::KeyOfAnotherCustomer,
        Self::CodeTwice,
        Self::UnknownTicketType,
        Self::SeatTwice,
        Self::SeatAstray,
        Self::OrderOfUnknownCustomer,
        Self::HoldOfUnknownCustomer,
        Self::UnknownEvent,
        Self::CancelledEventNotEmpty,
        Self::LogDiffers,
        Self::LogBroken,
        Self::LogIncomplete,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoOwners => "TWO_OWNERS",
            Self::SoldWithoutOwner => "SOLD_WITHOUT_OWNER",
            Self::OwnedButNotSold => "OWNED_BUT_NOT_SOLD",
            Self::HeldWithoutHold => "HELD_WITHOUT_HOLD",
            Self::HoldWithoutHeld => "HOLD_WITHOUT_HELD",
            Self::HeldByUnknownHold => "HELD_BY_UNKNOWN_HOLD",
            Self::HeldByEndedHold => "HELD_BY_ENDED_HOLD",
            Self::HeldUntilDiffers => "HELD_UNTIL_DIFFERS",
            Self::HoldTicketsDiffer => "HOLD_TICKETS_DIFFER",
            Self::HoldOrderDiffers => "HOLD_ORDER_DIFFERS",
            Self::OrderWithoutItems => "ORDER_WITHOUT_ITEMS",
            Self::ConfirmedWithoutActiveItem => "CONFIRMED_WITHOUT_ACTIVE_ITEM",
            Self::CancelledWithActiveItem => "CANCELLED_WITH_ACTIVE_ITEM",
            Self::ItemWithoutOrder => "ITEM_WITHOUT_ORDER",
            Self::ItemWithoutTicket => "ITEM_WITHOUT_TICKET",
            Self::CancellationUntimed => "CANCELLATION_UNTIMED",
            Self::TotalDiffers => "TOTAL_DIFFERS",
            Self::CurrencyDiffers => "CURRENCY_DIFFERS",
            Self::CountsDiffer => "COUNTS_DIFFER",
            Self::KeptCountsDiffer => "KEPT_COUNTS_DIFFER",
            Self::TicketsPerCustomerExceeded => "TICKETS_PER_CUSTOMER_EXCEEDED",
            Self::HeldPerCustomerExceeded => "HELD_PER_CUSTOMER_EXCEEDED",
            Self::KeyWithoutResult => "KEY_WITHOUT_RESULT",
            Self::KeyOfAnotherCustomer => "KEY_OF_ANOTHER_CUSTOMER",
            Self::CodeTwice => "CODE_TWICE",
            Self::UnknownTicketType => "UNKNOWN_TICKET_TYPE",
            Self::SeatTwice => "SEAT_TWICE",
            Self::SeatAstray => "SEAT_ASTRAY",
            Self::OrderOfUnknownCustomer => "ORDER_OF_UNKNOWN_CUSTOMER",
            Self::HoldOfUnknownCustomer => "HOLD_OF_UNKNOWN_CUSTOMER",
            Self::UnknownEvent => "UNKNOWN_EVENT",
            Self::CancelledEventNotEmpty => "CANCELLED_EVENT_NOT_EMPTY",
            Self::LogDiffers => "LOG_DIFFERS",
            Self::LogBroken => "LOG_BROKEN",
            Self::LogIncomplete => "LOG_INCOMPLETE",
        }
    }

    /// What is wrong, in a sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::TwoOwners => "A ticket has more than one active order item.",
            Self::SoldWithoutOwner => "A ticket is sold, but has no active order item.",
            Self::OwnedButNotSold => "A ticket has an active order item, but is not sold.",
            Self::HeldWithoutHold => {
                "A ticket is held, but does not say by which hold or until when."
            }
            Self::HoldWithoutHeld => "A ticket is not held, but names a hold or its end.",
            Self::HeldByUnknownHold => "A ticket is held by a hold that the event does not have.",
            Self::HeldByEndedHold => "A ticket is held by a hold that was given back or bought.",
            Self::HeldUntilDiffers => "A ticket is held until another time than its hold says.",
            Self::HoldTicketsDiffer => {
                "A hold that is alive has other than its number of tickets, or one that is over has more."
            }
            Self::HoldOrderDiffers => {
                "A hold was bought, but names no order of its customer; or it names one, but was not bought."
            }
            Self::OrderWithoutItems => "An order has no items at all.",
            Self::ConfirmedWithoutActiveItem => {
                "An order is confirmed, but all of its items are cancelled."
            }
            Self::CancelledWithActiveItem => "An order is cancelled, but has an active item.",
            Self::ItemWithoutOrder => "An order item names an order that its event does not have.",
            Self::ItemWithoutTicket => "An order item names a ticket that its event does not have.",
            Self::CancellationUntimed => {
                "An order item is cancelled, but does not say when; or it says when, but is active."
            }
            Self::TotalDiffers => {
                "An order's total is not the sum of its items' prices, the cancelled ones included."
            }
            Self::CurrencyDiffers => {
                "An order is in another currency than its event or than one of its items."
            }
            Self::CountsDiffer => {
                "What buyers are told of a ticket type's availability is not what its tickets say."
            }
            Self::KeptCountsDiffer => {
                "The counts that are kept of a ticket type's tickets are not what the tickets' rows say."
            }
            Self::TicketsPerCustomerExceeded => {
                "A customer owns and holds more tickets of the event than was ever allowed."
            }
            Self::HeldPerCustomerExceeded => {
                "A customer holds more tickets of the event than was ever allowed."
            }
            Self::KeyWithoutResult => {
                "An idempotency key names an order or a hold that its event does not have."
            }
            Self::KeyOfAnotherCustomer => {
                "An idempotency key names another customer's order or hold."
            }
            Self::CodeTwice => "Order items of one event have the same admission code.",
            Self::UnknownTicketType => "A ticket is of a type that its event does not have.",
            Self::SeatTwice => "A ticket has the same seat as another one of its event.",
            Self::SeatAstray => {
                "A seat is kept as that of a ticket which does not have it, or a ticket's seat is not kept."
            }
            Self::OrderOfUnknownCustomer => "An order is of a customer who is not known.",
            Self::HoldOfUnknownCustomer => "A hold is of a customer who is not known.",
            Self::UnknownEvent => "Rows name an event that is not there.",
            Self::CancelledEventNotEmpty => {
                "The event is cancelled and done with, but has an active order item, a held ticket, an active hold or a confirmed order."
            }
            Self::LogDiffers => {
                "A ticket's status is not the last that the log of changes says, or the log knows nothing of it."
            }
            Self::LogBroken => {
                "A change of a ticket in the log does not begin where the change before it ended."
            }
            Self::LogIncomplete => "The versions of an event's log are not without gaps.",
        }
    }

    /// What the ids of such a violation are of.
    pub fn subject(self) -> Subject {
        match self {
            Self::TwoOwners
            | Self::SoldWithoutOwner
            | Self::OwnedButNotSold
            | Self::HeldWithoutHold
            | Self::HoldWithoutHeld
            | Self::HeldByUnknownHold
            | Self::HeldByEndedHold
            | Self::HeldUntilDiffers
            | Self::UnknownTicketType
            | Self::SeatTwice
            | Self::SeatAstray
            | Self::LogDiffers
            | Self::LogBroken => Subject::Ticket,
            Self::HoldTicketsDiffer | Self::HoldOrderDiffers | Self::HoldOfUnknownCustomer => {
                Subject::Hold
            }
            Self::OrderWithoutItems
            | Self::ConfirmedWithoutActiveItem
            | Self::CancelledWithActiveItem
            | Self::TotalDiffers
            | Self::CurrencyDiffers
            | Self::OrderOfUnknownCustomer => Subject::Order,
            Self::ItemWithoutOrder
            | Self::ItemWithoutTicket
            | Self::CancellationUntimed
            | Self::CodeTwice => Subject::OrderItem,
            Self::CountsDiffer | Self::KeptCountsDiffer => Subject::TicketType,
            Self::TicketsPerCustomerExceeded | Self::HeldPerCustomerExceeded => Subject::Customer,
            Self::KeyWithoutResult | Self::KeyOfAnotherCustomer => Subject::Result,
            Self::UnknownEvent | Self::LogIncomplete => Subject::Event,
            Self::CancelledEventNotEmpty => Subject::Row,
        }
    }
}
