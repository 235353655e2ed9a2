//! Reading orders: what was sold, as it is now. A customer's own and nobody else's.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Order,
};

use super::{Sales, customers};
use crate::{
    auth::Customer,
    entity::{order, order_item},
    fault::{Fault, Step},
    ids::{CustomerId, EventId, OrderId, OrderItemId},
    store::bulk::is_one_of_pairs,
};

/// Which orders of a list to read.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only orders placed before this one …
    pub before: Option<OrderId>,
    /// … and after this one.
    pub after: Option<OrderId>,
    /// Latest first, or earliest first.
    pub order: Order2,
    pub limit: u64,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order2 {
    LatestFirst,
    EarliestFirst,
}

impl Sales {
    /// The customer's id, if they have ever bought anything.
    pub async fn customer_id(&self, customer: &Customer) -> Result<Option<CustomerId>, Fault> {
        customers::find(self.store.reader(), customer.account()).await
    }

    /// One order, if it is this customer's.
    pub async fn order(&self, customer: CustomerId, event_id: EventId, id: OrderId) -> Result<Option<order::Model>, Fault> {
        order::Entity::find_by_id((event_id, id))
            .filter(order::Column::CustomerId.eq(customer))
            .one(self.store.reader())
            .await
            .step("reading an order")
    }
}
