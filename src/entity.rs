//! The tables as the database has them, a file each.
//!
//! Knows nothing about rules or GraphQL: no entity derives a GraphQL trait, and no function here decides anything.

pub mod api_key;
pub mod customer;
pub mod event;
pub mod hold;
pub mod idempotency_key;
pub mod member;
pub mod order;
pub mod order_item;
pub mod organizer;
pub mod seat;
pub mod ticket;
pub mod ticket_import;
pub mod ticket_type;
