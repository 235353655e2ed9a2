//! What is checked: each claim with the statement that finds the rows which contradict it.
//!
//! A statement gives `event_id` and `id` of each such row once; `x` is the table that it is about. It says `{scope}` where
//! the audit may be of one event alone, `{now}` for the snapshot's time, and `{settled}` where an event whose
//! cancellation is under way is rightly half-way. Both databases read the same text, and partial indexes serve it because
//! each status is a literal.

use sea_orm::DbBackend;

use super::{IDS_SHOWN_MAX, Kind};
use crate::{entity::ticket_import::IS_SHOWN_SQLITE, sales::command};

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
        kind: Kind::SeatTwice,
        violations: "SELECT x.event_id, x.ticket_id AS id FROM {seats} AS x
            WHERE (x.event_id, x.section, x.row_label, x.seat_label) IN (
                SELECT x.event_id, x.section, x.row_label, x.seat_label FROM {seats} AS x
                WHERE TRUE {scope} GROUP BY x.event_id, x.section, x.row_label, x.seat_label HAVING COUNT(*) > 1) {scope}",
    },
    Check {
        kind: Kind::SeatAstray,
        violations: "SELECT x.event_id, x.id FROM tickets AS x
            WHERE x.section IS NOT NULL {scope} AND NOT EXISTS (SELECT 1 FROM {seats} AS seat
                WHERE seat.event_id = x.event_id AND seat.section = x.section AND seat.row_label = x.row_label
                    AND seat.seat_label = x.seat_label AND seat.ticket_id = x.id)
            UNION
            SELECT x.event_id, x.ticket_id FROM {seats} AS x
            WHERE NOT EXISTS (SELECT 1 FROM tickets AS ticket
                WHERE ticket.event_id = x.event_id AND ticket.id = x.ticket_id AND ticket.section = x.section
                    AND ticket.row_label = x.row_label AND ticket.seat_label = x.seat_label) {scope}",
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
                UNION SELECT event_id FROM ticket_changes_unnumbered
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
    // By sorting both together: SQLite, whose statistics may be from before the sale, would look for each ticket through all
    // that was sold.
    Check {
        kind: Kind::LogDiffers,
        violations: "SELECT x.event_id, x.id FROM (
                SELECT event_id, id, MAX(status) AS status, MAX(after) AS after FROM (
                    SELECT x.event_id, x.id, x.status, NULL AS after FROM tickets AS x WHERE TRUE {scope}
                    UNION ALL
                    SELECT event_id, ticket_id, NULL, after FROM (
                        SELECT event_id, ticket_id, after, ROW_NUMBER() OVER (
                            PARTITION BY event_id, ticket_id ORDER BY version DESC, set_id DESC) AS place
                        FROM ({log}) AS entries
                    ) AS placed
                    WHERE place = 1
                ) AS told
                GROUP BY event_id, id
            ) AS x
            LEFT JOIN ticket_changes_forgotten AS forgotten ON forgotten.event_id = x.event_id
            WHERE x.status <> COALESCE(x.after,
                CASE WHEN forgotten.version IS NULL THEN 'AVAILABLE' ELSE x.status END)",
    },
    Check {
        kind: Kind::LogBroken,
        violations: "SELECT DISTINCT x.event_id, x.ticket_id AS id FROM (
                SELECT event_id, ticket_id, before, LAG(after) OVER (
                    PARTITION BY event_id, ticket_id ORDER BY version, set_id) AS after_last
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
            .replace("{seats}", seats(backend))
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

/// The seats that are kept, which [`Kind::SeatAstray`] holds against those of the tickets. SQLite keeps them in the tickets' index.
fn seats(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "seats",
        _ => {
            "(SELECT event_id, id AS ticket_id, section, row_label, seat_label FROM tickets WHERE section IS NOT NULL)"
        }
    }
}

/// The log of changes, change by change; what has no version yet comes after all that has one, by its id.
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
        "SELECT x.event_id, x.version, x.id AS set_id, {ticket_id} AS ticket_id,
            change.value ->> 1 AS before, change.value ->> 2 AS after
        FROM (
            SELECT event_id, version, CAST(0 AS BIGINT) AS id, changes FROM ticket_changes
            UNION ALL SELECT event_id, {}, id, changes FROM ticket_changes_unnumbered
        ) AS x CROSS JOIN {changes} WHERE TRUE {{scope}}",
        i64::MAX
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
