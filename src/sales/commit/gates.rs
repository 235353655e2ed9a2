//! The advisory locks of a sale. Their hashes are the same in every process and release: two that differed would let one
//! customer's requests be decided side by side.

use sha2::{Digest, Sha256};

use crate::{
    ids::{CustomerId, EventId, TicketTypeId},
    sales::{
        command::{Action, Canceller},
        decide::Request,
    },
};

/// The advisory lock of a customer's gate. The hash must be the same in every process and release.
pub fn gate_of(EventId(event): EventId, CustomerId(customer): CustomerId) -> i64 {
    advisory_key(b"gate", event, customer)
}

/// The advisory lock in front of the last tickets of a type.
pub fn type_line_of(EventId(event): EventId, TicketTypeId(ticket_type): TicketTypeId) -> i64 {
    advisory_key(b"type", event, ticket_type)
}

/// The gates of a request: that of the account that asks, whose keys are behind it, and, where somebody else's order is
/// cancelled, that of its customer.
pub fn gates_of(request: &Request<'_>) -> [Option<(EventId, CustomerId)>; 2] {
    let event_id = request.command.event_id;
    let other = match &request.command.action {
        Action::CancelOrder {
            by: Canceller::Staff { customer_id },
            ..
        } => Some((event_id, *customer_id)),
        Action::CancelOrder {
            by: Canceller::Customer,
            ..
        }
        | Action::Purchase { .. }
        | Action::Hold { .. }
        | Action::ExtendHold { .. }
        | Action::ReleaseHold { .. }
        | Action::PurchaseHold { .. } => None,
    };
    [Some((event_id, request.customer_id)), other]
}

/// The advisory lock of the process that carries out an event's cancellation.
pub fn cancellation_of(EventId(event): EventId) -> i64 {
    advisory_key(b"cancellation", event, uuid::Uuid::nil())
}

/// The advisory lock of the process that folds the counts of tickets.
pub fn folding() -> i64 {
    advisory_key(b"folding", uuid::Uuid::nil(), uuid::Uuid::nil())
}

/// The advisory lock of the process that numbers changes of tickets.
pub fn numbering() -> i64 {
    advisory_key(b"numbering", uuid::Uuid::nil(), uuid::Uuid::nil())
}

fn advisory_key(purpose: &[u8], event: uuid::Uuid, other: uuid::Uuid) -> i64 {
    let hash = Sha256::new()
        .chain_update(b"rowlock\0")
        .chain_update(purpose)
        .chain_update(event.as_bytes())
        .chain_update(other.as_bytes())
        .finalize();
    i64::from_be_bytes(
        hash[..8]
            .try_into()
            .expect("SHA-256 has more than eight bytes"),
    )
}
