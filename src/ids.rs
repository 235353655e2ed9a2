//! Ids as types, so that an event's id cannot stand where a ticket's belongs.
//!
//! Every id is a UUID of version 7 (RFC 9562): ordered by time, so that inserts touch the end of an index, and made
//! without asking the database.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later in order than every id this process made before.
            pub fn mint() -> Self {
                Self(Uuid::now_v7())
            }
        }

        /// sea-orm asks this of every key, for tables that number their rows.
        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

id_types! {
    /// Who sells: every event has one.
    OrganizerId,
    /// Who buys.
    CustomerId,
    /// A performance with a sales window.
    EventId,
    /// A price category of an event.
    TicketTypeId,
    /// One sellable unit.
    TicketId,
    /// A customer's time-limited claim.
    HoldId,
    /// What a customer owns.
    OrderId,
    /// One ticket of an order.
    OrderItemId,
    /// One addition of tickets that took several transactions.
    ImportId,
}
