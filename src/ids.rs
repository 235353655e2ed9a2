//! Ids as types, so that an event's id cannot stand where a ticket's belongs.
//!
//! Every id is a UUID of version 7 (RFC 9562): ordered by time, so that inserts touch the end of an index, and made
//! without asking the database. An order's last bits are left for its items.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        pub struct $name(pub Uuid);

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
    /// A machine's key.
    ApiKeyId,
}

/// Ids that are made for nothing but themselves.
macro_rules! minted {
    ($($name:ident),+ $(,)?) => {$(
        impl $name {
            /// A new id, later in order than every id this process made before.
            pub fn mint() -> Self {
                Self(Uuid::now_v7())
            }
        }
    )+};
}

minted! { OrganizerId, CustomerId, EventId, TicketTypeId, TicketId, HoldId, ImportId, ApiKeyId }

/// The last bits of an order's id, which count its items.
const ITEM_BITS: u128 = 0x3ff;

/// How many items an order's id has room for.
pub const ITEMS_PER_ORDER_MAX: usize = 1_023;

impl OrderId {
    /// A new id, later in order than every id this process made before.
    pub fn mint() -> Self {
        Self(Uuid::from_u128(Uuid::now_v7().as_u128() & !ITEM_BITS))
    }

    /// The id of its item at this place, counted from 0. None for more items than an order has.
    pub fn item(self, place: usize) -> Option<OrderItemId> {
        let number = u128::try_from(place).ok()?.checked_add(1)?;
        let id = self.0.as_u128() & !ITEM_BITS | number;
        (number <= ITEM_BITS).then(|| OrderItemId(Uuid::from_u128(id)))
    }
}

impl OrderItemId {
    /// The order that it is an item of.
    pub fn order_id(self) -> OrderId {
        OrderId(Uuid::from_u128(self.0.as_u128() & !ITEM_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_tells_its_order() {
        let order = OrderId::mint();
        let items: Vec<_> = (0..1_023).map(|place| order.item(place)).collect();
        assert!(items.is_sorted());
        for item in items {
            let item = item.expect("an order may have so many items");
            assert_eq!(item.order_id(), order);
            assert_ne!(item.0, order.0);
        }
        assert_eq!(order.item(1_023), None);
    }

    #[test]
    fn orders_are_in_the_order_in_which_they_are_made() {
        let orders: Vec<_> = (0..10_000).map(|_| OrderId::mint()).collect();
        assert!(orders.is_sorted_by(|earlier, later| earlier < later));
        assert!(orders.iter().all(|order| order.0.get_version_num() == 7));
    }
}
