//! What is checked: each claim with the statement that finds the rows which contradict it.
//!
//! A statement gives `event_id` and `id` of each such row once; `x` is the table that it is about. It says `{scope}` where
//! the audit may be of one event alone, `{now}` for the snapshot's time, and `{settled}` where an event whose
//! cancellation is under way is rightly half-way. Both databases read the same text, and partial indexes serve it because
//! each status is a literal.

use sea_orm::DbBackend;

use super::IDS_SHOWN_MAX;
use crate::{entity::ticket_import::IS_SHOWN_SQLITE, sales::command};

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

/// A claim that a statement can check.
pub struct Check {
    pub kind: Kind,
    violations: &'static str,
}

/// Every claim but those about counts: for [`Kind::CountsDiffer`] the catalogue is asked, and for
/// [`Kind::KeptCountsDiffer`] the tickets need not be counted twice.
pub const CHECKS: &[Check] = &[
    Check {
        kind: Kind::TwoOwners,
        violations: "SELECT x.event_id, x.ticket_id AS id FROM order_items AS x
            WHERE x.status = 'ACTIVE' {scope}
            GROUP BY x.event_id, x.ticket_id HAVING COUNT(*) > 1",
    },
    Check {
        kind: Kind::SoldWithoutOwner,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE x.status = 'SOLD' {scope} AND NOT EXISTS (SELECT 1 FROM order_items AS item
                WHERE item.event_id = x.event_id AND item.ticket_id = x.id AND item.status = 'ACTIVE')",
    },
    Check {
        kind: Kind::OwnedButNotSold,
        violations: "SELECT DISTINCT x.event_id, x.ticket_id AS id FROM order_items AS x
            JOIN tickets AS ticket ON ticket.event_id = x.event_id AND ticket.id = x.ticket_id
            WHERE x.status = 'ACTIVE' AND ticket.status <> 'SOLD' {scope}",
    },
    Check {
        kind: Kind::HeldWithoutHold,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE x.status = 'HELD' AND (x.hold_id IS NULL OR x.held_until IS NULL) {scope}",
    },
    Check {
        kind: Kind::HoldWithoutHeld,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE x.status <> 'HELD' AND (x.hold_id IS NOT NULL OR x.held_until IS NOT NULL) {scope}",
    },
    Check {
        kind: Kind::HeldByUnknownHold,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE x.status = 'HELD' AND x.hold_id IS NOT NULL {scope} AND NOT EXISTS (SELECT 1 FROM holds
                WHERE holds.event_id = x.event_id AND holds.id = x.hold_id)",
    },
    Check {
        kind: Kind::HeldByEndedHold,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            JOIN holds ON holds.event_id = x.event_id AND holds.id = x.hold_id
            WHERE x.status = 'HELD' AND holds.status <> 'ACTIVE' {scope} {settled}",
    },
    Check {
        kind: Kind::HeldUntilDiffers,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            JOIN holds ON holds.event_id = x.event_id AND holds.id = x.hold_id
            WHERE x.status = 'HELD' AND holds.status = 'ACTIVE' AND x.held_until <> holds.held_until {scope}",
    },
    Check {
        kind: Kind::HoldTicketsDiffer,
        violations: "SELECT event_id, id FROM (
                SELECT x.event_id, x.id, x.held_until, x.tickets_len, (SELECT COUNT(*) FROM tickets
                    WHERE tickets.event_id = x.event_id AND tickets.hold_id = x.id AND tickets.status = 'HELD') AS held_len
                FROM holds AS x WHERE x.status = 'ACTIVE' {scope} {settled}
            ) AS claimed
            WHERE CASE WHEN held_until > {now} THEN held_len <> tickets_len ELSE held_len > tickets_len END",
    },
    Check {
        kind: Kind::HoldOrderDiffers,
        violations: "SELECT x.event_id, x.id FROM holds AS x
            LEFT JOIN orders AS bought ON bought.event_id = x.event_id AND bought.id = x.order_id
            WHERE ((x.status = 'PURCHASED' AND (bought.id IS NULL OR bought.customer_id <> x.customer_id))
                OR (x.status <> 'PURCHASED' AND x.order_id IS NOT NULL)) {scope}",
    },
    Check {
        kind: Kind::OrderWithoutItems,
        violations: "SELECT x.event_id, x.id FROM orders AS x
            WHERE NOT EXISTS (SELECT 1 FROM order_items AS item
                WHERE item.event_id = x.event_id AND item.order_id = x.id) {scope}",
    },
    Check {
        kind: Kind::ConfirmedWithoutActiveItem,
        violations: "SELECT x.event_id, x.id FROM orders AS x
            WHERE x.status = 'CONFIRMED' {scope} {settled}
                AND EXISTS (SELECT 1 FROM order_items AS item
                    WHERE item.event_id = x.event_id AND item.order_id = x.id)
                AND NOT EXISTS (SELECT 1 FROM order_items AS item
                    WHERE item.event_id = x.event_id AND item.order_id = x.id AND item.status = 'ACTIVE')",
    },
    Check {
        kind: Kind::CancelledWithActiveItem,
        violations: "SELECT x.event_id, x.id FROM orders AS x
            WHERE x.status = 'CANCELLED' {scope} {settled}
                AND EXISTS (SELECT 1 FROM order_items AS item
                    WHERE item.event_id = x.event_id AND item.order_id = x.id AND item.status = 'ACTIVE')",
    },
    Check {
        kind: Kind::ItemWithoutOrder,
        violations: "SELECT x.event_id, x.id FROM order_items AS x
            WHERE NOT EXISTS (SELECT 1 FROM orders
                WHERE orders.event_id = x.event_id AND orders.id = x.order_id) {scope}",
    },
    Check {
        kind: Kind::ItemWithoutTicket,
        violations: "SELECT x.event_id, x.id FROM order_items AS x
            WHERE NOT EXISTS (SELECT 1 FROM tickets
                WHERE tickets.event_id = x.event_id AND tickets.id = x.ticket_id) {scope}",
    },
    Check {
        kind: Kind::CancellationUntimed,
        violations: "SELECT x.event_id, x.id FROM order_items AS x
            WHERE ((x.status = 'CANCELLED' AND x.cancelled_at IS NULL)
                OR (x.status <> 'CANCELLED' AND x.cancelled_at IS NOT NULL)) {scope}",
    },
    Check {
        kind: Kind::TotalDiffers,
        violations: "SELECT x.event_id, x.id FROM orders AS x
            JOIN order_items AS item ON item.event_id = x.event_id AND item.order_id = x.id
            WHERE TRUE {scope}
            GROUP BY x.event_id, x.id, x.total_minor HAVING SUM(item.unit_price_minor) <> x.total_minor",
    },
    Check {
        kind: Kind::CurrencyDiffers,
        violations: "SELECT x.event_id, x.order_id AS id FROM order_items AS x
            JOIN orders ON orders.event_id = x.event_id AND orders.id = x.order_id
            WHERE x.currency <> orders.currency {scope}
            UNION
            SELECT x.event_id, x.id FROM orders AS x
            JOIN events ON events.id = x.event_id
            WHERE x.currency <> events.currency {scope}",
    },
    Check {
        kind: Kind::TicketsPerCustomerExceeded,
        violations: "SELECT taken.event_id, taken.customer_id AS id FROM (
                SELECT x.event_id, x.customer_id, COUNT(*) AS len FROM orders AS x
                JOIN events ON events.id = x.event_id AND events.tickets_per_customer_ever IS NOT NULL
                JOIN order_items AS item ON item.event_id = x.event_id AND item.order_id = x.id AND item.status = 'ACTIVE'
                WHERE x.status = 'CONFIRMED' {scope}
                GROUP BY x.event_id, x.customer_id
                UNION ALL
                SELECT x.event_id, x.customer_id, SUM(x.tickets_len) AS len FROM holds AS x
                JOIN events ON events.id = x.event_id AND events.tickets_per_customer_ever IS NOT NULL
                WHERE x.status = 'ACTIVE' AND x.held_until > {now} {scope}
                GROUP BY x.event_id, x.customer_id
            ) AS taken
            JOIN events ON events.id = taken.event_id
            GROUP BY taken.event_id, taken.customer_id, events.tickets_per_customer_ever
            HAVING SUM(taken.len) > events.tickets_per_customer_ever",
    },
    Check {
        kind: Kind::HeldPerCustomerExceeded,
        violations: "SELECT x.event_id, x.customer_id AS id FROM holds AS x
            JOIN events ON events.id = x.event_id
            WHERE x.status = 'ACTIVE' AND x.held_until > {now} {scope}
            GROUP BY x.event_id, x.customer_id, events.held_per_customer_ever
            HAVING SUM(x.tickets_len) > events.held_per_customer_ever",
    },
    Check {
        kind: Kind::KeyWithoutResult,
        violations: "SELECT x.event_id, x.result_id AS id FROM idempotency_keys AS x
            WHERE x.kind IN ({order_kinds}) {scope} AND NOT EXISTS (SELECT 1 FROM orders
                WHERE orders.event_id = x.event_id AND orders.id = x.result_id)
            UNION
            SELECT x.event_id, x.result_id FROM idempotency_keys AS x
            WHERE x.kind IN ({hold_kinds}) {scope} AND NOT EXISTS (SELECT 1 FROM holds
                WHERE holds.event_id = x.event_id AND holds.id = x.result_id)",
    },
    Check {
        kind: Kind::KeyOfAnotherCustomer,
        violations: "SELECT x.event_id, x.result_id AS id FROM idempotency_keys AS x
            JOIN orders ON orders.event_id = x.event_id AND orders.id = x.result_id
            WHERE x.kind IN ({own_order_kinds}) AND orders.customer_id <> x.customer_id {scope}
            UNION
            SELECT x.event_id, x.result_id FROM idempotency_keys AS x
            JOIN holds ON holds.event_id = x.event_id AND holds.id = x.result_id
            WHERE x.kind IN ({hold_kinds}) AND holds.customer_id <> x.customer_id {scope}",
    },
    Check {
        kind: Kind::CodeTwice,
        violations: "SELECT x.event_id, x.id FROM order_items AS x
            WHERE (x.event_id, x.admission_code) IN (SELECT x.event_id, x.admission_code FROM order_items AS x
                WHERE TRUE {scope} GROUP BY x.event_id, x.admission_code HAVING COUNT(*) > 1) {scope}",
    },
    Check {
        kind: Kind::UnknownTicketType,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE NOT EXISTS (SELECT 1 FROM ticket_types
                WHERE ticket_types.event_id = x.event_id AND ticket_types.id = x.ticket_type_id) {scope}",
    },
    Check {
        kind: Kind::OrderOfUnknownCustomer,
        violations: "SELECT x.event_id, x.id FROM orders AS x
            WHERE NOT EXISTS (SELECT 1 FROM customers WHERE customers.id = x.customer_id) {scope}",
    },
    Check {
        kind: Kind::HoldOfUnknownCustomer,
        violations: "SELECT x.event_id, x.id FROM holds AS x
            WHERE NOT EXISTS (SELECT 1 FROM customers WHERE customers.id = x.customer_id) {scope}",
    },
    Check {
        kind: Kind::UnknownEvent,
        violations: "SELECT x.event_id, x.event_id AS id FROM (
                SELECT event_id FROM ticket_types
                UNION SELECT event_id FROM tickets
                UNION SELECT event_id FROM orders
                UNION SELECT event_id FROM order_items
                UNION SELECT event_id FROM holds
                UNION SELECT event_id FROM idempotency_keys
                UNION SELECT event_id FROM ticket_changes
            ) AS x
            WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.id = x.event_id) {scope}",
    },
    Check {
        kind: Kind::CancelledEventNotEmpty,
        violations: "SELECT x.event_id, x.id FROM (
                SELECT event_id, id FROM order_items WHERE status = 'ACTIVE'
                UNION ALL SELECT event_id, id FROM tickets WHERE status = 'HELD'
                UNION ALL SELECT event_id, id FROM holds WHERE status = 'ACTIVE'
                UNION ALL SELECT event_id, id FROM orders WHERE status = 'CONFIRMED'
            ) AS x
            JOIN events ON events.id = x.event_id
            WHERE events.status = 'CANCELLED' AND events.cancellation_done_at IS NOT NULL {scope}",
    },
    Check {
        kind: Kind::LogDiffers,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            LEFT JOIN (
                SELECT event_id, ticket_id, after, ROW_NUMBER() OVER (
                    PARTITION BY event_id, ticket_id ORDER BY set_id DESC) AS place
                FROM ({log}) AS entries
            ) AS last ON last.event_id = x.event_id AND last.ticket_id = x.id AND last.place = 1
            LEFT JOIN ticket_changes_forgotten AS forgotten ON forgotten.event_id = x.event_id
            WHERE x.status <> COALESCE(last.after,
                CASE WHEN forgotten.version IS NULL THEN 'AVAILABLE' ELSE x.status END) {scope}",
    },
    Check {
        kind: Kind::LogBroken,
        violations: "SELECT DISTINCT x.event_id, x.ticket_id AS id FROM (
                SELECT event_id, ticket_id, before, LAG(after) OVER (
                    PARTITION BY event_id, ticket_id
                    ORDER BY CASE WHEN version IS NULL THEN 1 ELSE 0 END, version, set_id) AS after_last
                FROM ({log}) AS entries
            ) AS x
            LEFT JOIN ticket_changes_forgotten AS forgotten ON forgotten.event_id = x.event_id
            WHERE x.before <> COALESCE(x.after_last,
                CASE WHEN forgotten.version IS NULL THEN 'AVAILABLE' ELSE x.before END) {scope}",
    },
    Check {
        kind: Kind::LogIncomplete,
        violations: "SELECT x.event_id, x.event_id AS id FROM ticket_changes AS x
            LEFT JOIN ticket_changes_forgotten AS forgotten ON forgotten.event_id = x.event_id
            WHERE x.version > COALESCE(forgotten.version, 0) {scope}
            GROUP BY x.event_id, forgotten.version
            HAVING COUNT(*) <> MAX(x.version) - COALESCE(forgotten.version, 0)",
    },
];

impl Check {
    /// The violations of each event together: the first of them, and how many there are.
    pub fn sql(&self, backend: DbBackend) -> String {
        let violations = self
            .violations
            .replace("{log}", &log(backend))
            .replace("{settled}", IS_SETTLED)
            .replace("{order_kinds}", &kinds(&[Names::AnOrder, Names::OwnOrder]))
            .replace("{own_order_kinds}", &kinds(&[Names::OwnOrder]))
            .replace("{hold_kinds}", &kinds(&[Names::OwnHold]));
        format!(
            "SELECT event_id, id, total FROM (
                SELECT event_id, id, COUNT(*) OVER (PARTITION BY event_id) AS total,
                    ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY id) AS place
                FROM ({violations}) AS found
            ) AS counted
            WHERE place <= {IDS_SHOWN_MAX}
            ORDER BY event_id, id"
        )
    }
}

/// The log of changes, change by change.
fn log(backend: DbBackend) -> String {
    let (changes, ticket_id) = match backend {
        DbBackend::Postgres => (
            "json_array_elements(x.changes::json) AS change (value)",
            "CAST(change.value ->> 0 AS UUID)",
        ),
        _ => (
            "json_each(x.changes) AS change",
            "unhex(change.value ->> 0)",
        ),
    };
    format!(
        "SELECT x.event_id, x.id AS set_id, x.version, {ticket_id} AS ticket_id,
            change.value ->> 1 AS before, change.value ->> 2 AS after
        FROM ticket_changes AS x CROSS JOIN {changes} WHERE TRUE {{scope}}"
    )
}

/// While an event is being cancelled, its tickets are given back one by one, and its orders and holds settled after them.
const IS_SETTLED: &str = "AND NOT EXISTS (SELECT 1 FROM events AS going WHERE going.id = x.event_id \
     AND going.status = 'CANCELLED' AND going.cancellation_done_at IS NULL)";

/// What a key's result is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    OwnOrder,
    /// Staff cancel other people's orders.
    AnOrder,
    OwnHold,
}

/// Kinds of keys, as a list in SQL. A kind that only a later release knows is in none.
fn kinds(of: &[Names]) -> String {
    let names = |kind: &command::Kind| match kind {
        command::Kind::PurchaseTicket
        | command::Kind::PurchaseTickets
        | command::Kind::PurchaseHold => Names::OwnOrder,
        command::Kind::CancelOrder => Names::AnOrder,
        command::Kind::HoldTickets | command::Kind::ExtendHold | command::Kind::ReleaseHold => {
            Names::OwnHold
        }
    };
    command::Kind::ALL
        .iter()
        .filter(|kind| of.contains(&names(kind)))
        .map(|kind| format!("'{}'", kind.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The tickets of each type, recounted. Tickets of an addition that is not finished are nobody's yet.
pub fn tally(backend: DbBackend) -> String {
    let shown = match backend {
        DbBackend::Postgres => "TRUE".to_owned(),
        _ => IS_SHOWN_SQLITE.replace("tickets.", "x."),
    };
    format!(
        "SELECT x.event_id, x.ticket_type_id, COUNT(*) AS total,
            COUNT(*) FILTER (WHERE x.status = 'AVAILABLE'
                OR (x.status = 'HELD' AND x.held_until <= {{now}})) AS available,
            COUNT(*) FILTER (WHERE x.status = 'HELD' AND (x.held_until > {{now}} OR x.held_until IS NULL)) AS held,
            COUNT(*) FILTER (WHERE x.status = 'SOLD') AS sold,
            COUNT(*) FILTER (WHERE x.status = 'BLOCKED') AS blocked,
            COUNT(*) FILTER (WHERE x.status = 'HELD' AND x.held_until <= {{now}}) AS over
        FROM tickets AS x
        WHERE {shown} {{scope}}
        GROUP BY x.event_id, x.ticket_type_id"
    )
}

/// What is kept of each type's counts: what was folded and what was not yet.
pub const KEPT: &str = "SELECT x.event_id, x.ticket_type_id, CAST(SUM(x.available) AS BIGINT) AS available,
        CAST(SUM(x.held) AS BIGINT) AS held, CAST(SUM(x.sold) AS BIGINT) AS sold, CAST(SUM(x.blocked) AS BIGINT) AS blocked
    FROM (
        SELECT event_id, ticket_type_id, available, held, sold, blocked FROM ticket_counts
        UNION ALL SELECT event_id, ticket_type_id, available, held, sold, blocked FROM ticket_count_deltas
    ) AS x
    WHERE TRUE {scope}
    GROUP BY x.event_id, x.ticket_type_id";

/// The orders of each event.
pub const ORDER_TALLY: &str =
    "SELECT x.event_id, COUNT(*) FILTER (WHERE x.status = 'CONFIRMED') AS confirmed,
        COUNT(*) FILTER (WHERE x.status = 'CANCELLED') AS cancelled
    FROM orders AS x
    WHERE TRUE {scope}
    GROUP BY x.event_id";
