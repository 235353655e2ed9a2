//! The advisory locks of a sale. Their hashes are the same in every process and release: two that differed would let one
//! customer's requests be decided side by side.

use sha2::{Digest, Sha256};

use crate::ids::{CustomerId, EventId, TicketTypeId};

/// The advisory lock of a customer's gate. The hash must be the same in every process and release.
pub fn gate_of(EventId(event): EventId, CustomerId(customer): CustomerId) -> i64 {
    advisory_key(b"gate", event, customer)
}

/// The advisory lock in front of the last tickets of a type.
pub fn type_line_of(EventId(event): EventId, TicketTypeId(ticket_type): TicketTypeId) -> i64 {
    advisory_key(b"type", event, ticket_type)
}

/// The advisory lock of the process that carries out an event's cancellation.
pub fn cancellation_of(EventId(event): EventId) -> i64 {
    advisory_key(b"cancellation", event, uuid::Uuid::nil())
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
