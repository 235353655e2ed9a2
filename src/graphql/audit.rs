//! The audit of one event, for its organizer.

use std::time::Duration;

use async_graphql::{Context, Enum, Error, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use super::{
    caller, domain,
    fault::{Code, retry},
    global_id::GlobalId,
};
use crate::{
    audit::{self, AuditError, EventAudit, Which},
    auth::Permission,
    catalogue,
    fault::Fault,
};

/// What one audit costs: a request may have one.
pub const AUDIT_COST: u64 = 6_000;

/// Whoever asks by the API waits; what takes longer is for the command line.
const TIME_MAX: Duration = Duration::from_secs(10);

/// An audit reads every row of its event: one at a time in a process, so that they cannot take the database from buyers.
static ROOM: Semaphore = Semaphore::const_new(1);

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Recomputes from the rows, in one snapshot, whether everything about an event of yours agrees: owners, holds, orders,
    /// money, counts, allowances. It takes up to 10 seconds, after which it ends with the code `TIMEOUT`: the operator's
    /// command `rowlock audit` has no such limit. One audit runs at a time on each server; another is answered
    /// `OVERLOADED`. Null when there is no such event of yours. Needs an organizer's token.
    async fn inventory_audit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The event's id.")] event_id: ID,
    ) -> Option<Result<InventoryAudit>> {
        // On the heap: see `deadline`.
        Box::pin(audit_event(ctx, &event_id)).await.transpose()
    }
}

async fn audit_event(ctx: &Context<'_>, id: &ID) -> Result<Option<InventoryAudit>> {
    let grant = caller(ctx).staff(Permission::Read)?;
    let store = &domain(ctx).store;
    let Some(id) = GlobalId::require(id)?.event() else {
        return Ok(None);
    };
    if catalogue::own_event(store, &grant, id).await?.is_none() {
        return Ok(None);
    }
    let Ok(_room) = ROOM.try_acquire() else {
        return Err(retry(Code::Overloaded.error(
            "another audit is running on this server; try again when it has ended",
        )));
    };
    let audit = audit::audit(store.url(), &Which::One(id), TIME_MAX)
        .await
        .map_err(told)?;
    let checked_at = audit.checked_at;
    let found = audit.events.into_iter().next();
    Ok(found.map(|event| InventoryAudit::new(checked_at, event)))
}

/// What an audit of an event found.
#[derive(SimpleObject)]
struct InventoryAudit {
    /// The database's time at which the event was audited.
    checked_at: DateTime<Utc>,
    /// Whether nothing is wrong.
    is_clean: bool,
    /// Whether the event is cancelled and its tickets are still being given back. Until that is done, orders and holds are
    /// not checked against their tickets.
    is_being_cancelled: bool,
    /// The event's tickets by what they are.
    tickets: AuditedTickets,
    /// The event's orders by what they are.
    orders: AuditedOrders,
    /// What is wrong, at most one of each kind.
    violations: Vec<AuditViolation>,
}

/// The tickets of an event.
#[derive(SimpleObject)]
struct AuditedTickets {
    /// All tickets.
    total: i64,
    /// Tickets that can be bought, those of holds that are over among them.
    available: i64,
    /// Tickets that buyers hold for a limited time.
    held: i64,
    /// Tickets that are sold.
    sold: i64,
    /// Tickets that the organizer withholds from sale.
    blocked: i64,
}

/// The orders of an event.
#[derive(SimpleObject)]
struct AuditedOrders {
    /// Orders that own tickets.
    confirmed: i64,
    /// Orders that were cancelled as a whole.
    cancelled: i64,
}

/// Rows of the database that contradict what Rowlock promises. Tell whoever operates the server.
#[derive(SimpleObject)]
struct AuditViolation {
    /// What is wrong.
    kind: AuditViolationKind,
    /// The same in a sentence.
    message: &'static str,
    /// How many rows are concerned.
    count: i64,
    /// The UUIDs of those rows in the database, of the first 20 if there are more. They are for the operator, and no ids of
    /// this API.
    ids: Vec<String>,
}

/// What can be wrong.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "audit::Kind")]
pub enum AuditViolationKind {
    /// A ticket has more than one active order item. The ids are of tickets.
    TwoOwners,
    /// A ticket is sold, but has no active order item. The ids are of tickets.
    SoldWithoutOwner,
    /// A ticket has an active order item, but is not sold. The ids are of tickets.
    OwnedButNotSold,
    /// A ticket is held, but does not say by which hold or until when. The ids are of tickets.
    HeldWithoutHold,
    /// A ticket is not held, but names a hold or its end. The ids are of tickets.
    HoldWithoutHeld,
    /// A ticket is held by a hold that the event does not have. The ids are of tickets.
    HeldByUnknownHold,
    /// A ticket is held by a hold that was given back or bought. The ids are of tickets.
    HeldByEndedHold,
    /// A ticket is held until another time than its hold says. The ids are of tickets.
    HeldUntilDiffers,
    /// A hold that is alive has other than its number of tickets, or one that is over has more. The ids are of holds.
    HoldTicketsDiffer,
    /// A hold was bought, but names no order of its customer; or it names one, but was not bought. The ids are of holds.
    HoldOrderDiffers,
    /// An order has no items at all. The ids are of orders.
    OrderWithoutItems,
    /// An order is confirmed, but all of its items are cancelled. The ids are of orders.
    ConfirmedWithoutActiveItem,
    /// An order is cancelled, but has an active item. The ids are of orders.
    CancelledWithActiveItem,
    /// An order item names an order that its event does not have. The ids are of order items.
    ItemWithoutOrder,
    /// An order item names a ticket that its event does not have. The ids are of order items.
    ItemWithoutTicket,
    /// An order item is cancelled, but does not say when; or it says when, but is active. The ids are of order items.
    CancellationUntimed,
    /// An order's total is not the sum of its items' prices, the cancelled ones included. The ids are of orders.
    TotalDiffers,
    /// An order is in another currency than its event or than one of its items. The ids are of orders.
    CurrencyDiffers,
    /// What buyers are told of a ticket type's availability is not what its tickets say. The ids are of ticket types.
    CountsDiffer,
    /// The counts that are kept of a ticket type's tickets are not what the tickets' rows say. The ids are of ticket types.
    KeptCountsDiffer,
    /// A customer owns and holds more tickets of the event than was ever allowed. The ids are of customers.
    TicketsPerCustomerExceeded,
    /// A customer holds more tickets of the event than was ever allowed. The ids are of customers.
    HeldPerCustomerExceeded,
    /// An idempotency key names an order or a hold that its event does not have. The ids are of those orders and holds.
    KeyWithoutResult,
    /// An idempotency key names another customer's order or hold. The ids are of those orders and holds.
    KeyOfAnotherCustomer,
    /// Order items of one event have the same admission code. The ids are of order items.
    CodeTwice,
    /// A ticket is of a type that its event does not have. The ids are of tickets.
    UnknownTicketType,
    /// A ticket has the same seat as another one of its event. The ids are of tickets.
    SeatTwice,
    /// A seat is kept as that of a ticket which does not have it, or a ticket's seat is not kept. The ids are of tickets.
    SeatAstray,
    /// An order is of a customer who is not known. The ids are of orders.
    OrderOfUnknownCustomer,
    /// A hold is of a customer who is not known. The ids are of holds.
    HoldOfUnknownCustomer,
    /// Rows name an event that is not there. The ids are of events.
    UnknownEvent,
    /// The event is cancelled and done with, but has an active order item, a held ticket, an active hold or a confirmed order. The ids are of those rows.
    CancelledEventNotEmpty,
    /// A ticket's status is not the last that the log of changes says, or the log knows nothing of it.
    LogDiffers,
    /// A change of a ticket in the log does not begin where the change before it ended.
    LogBroken,
    /// The versions of an event's log are not without gaps.
    LogIncomplete,
}

impl InventoryAudit {
    fn new(checked_at: DateTime<Utc>, event: EventAudit) -> Self {
        let (tickets, orders) = (event.tickets, event.orders);
        Self {
            checked_at,
            is_clean: event.violations.is_empty(),
            is_being_cancelled: event.is_being_cancelled,
            tickets: AuditedTickets {
                total: tickets.total(),
                available: tickets.available,
                held: tickets.held,
                sold: tickets.sold,
                blocked: tickets.blocked,
            },
            orders: AuditedOrders {
                confirmed: orders.confirmed,
                cancelled: orders.cancelled,
            },
            violations: event.violations.into_iter().map(violation).collect(),
        }
    }
}

fn violation(violation: audit::Violation) -> AuditViolation {
    AuditViolation {
        kind: violation.kind.into(),
        message: violation.kind.message(),
        count: violation.count,
        ids: violation.ids.iter().map(ToString::to_string).collect(),
    }
}

/// Never the error's own text, which is for the operator.
fn told(error: AuditError) -> Error {
    match error {
        AuditError::TooLong => Code::Timeout.error(format!(
            "the audit of this event takes longer than the {} seconds it has here; run: rowlock audit",
            TIME_MAX.as_secs()
        )),
        AuditError::Reading { step, source } => Fault { step, source }.into(),
        AuditError::Store(error) => {
            tracing::error!(%error, "connecting for an audit failed");
            retry(Code::Unavailable.error("the database is out of reach or too busy; try again"))
        }
        // The server does not start on such a database, and an event is never deleted.
        AuditError::NotMigrated | AuditError::UnknownEvent(_) => {
            tracing::error!(%error, "an audit could not be made");
            Code::Internal
                .error("something is broken here; the fault is logged under this request's id")
        }
    }
}
