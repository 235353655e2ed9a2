//! Reading orders: what was sold, as it is now. A customer's own and nobody else's.

use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::{Sales, customers, sql};
use crate::{
    auth::Customer,
    entity::{order, order_item},
    fault::{Fault, Step},
    ids::{CustomerId, EventId, OrderId, OrderItemId},
    page::{Direction, Page, Slice},
};

impl Sales {
    /// The customer's id, if they have ever bought anything.
    ///
    /// # Errors
    /// When the database cannot be read, as with everything here.
    pub async fn customer_id(&self, customer: &Customer) -> Result<Option<CustomerId>, Fault> {
        match self.customers.known(customer.account()) {
            Some(known) => Ok(Some(known)),
            None => customers::find(self.store.reader(), customer.account()).await,
        }
    }

    /// One order, if it is this customer's.
    pub async fn order(
        &self,
        customer_id: CustomerId,
        event_id: EventId,
        id: OrderId,
    ) -> Result<Option<order::Model>, Fault> {
        order::Entity::find_by_id((event_id, id))
            .filter(order::Column::CustomerId.eq(customer_id))
            .one(self.store.reader())
            .await
            .step("reading an order")
    }

    /// A page of the customer's orders, latest first: their ids are in the order of time.
    pub async fn orders(
        &self,
        customer_id: CustomerId,
        page: &Page<OrderId>,
    ) -> Result<Slice<order::Model>, Fault> {
        let direction = match page.direction {
            Direction::Forward => Order::Desc,
            Direction::Backward => Order::Asc,
        };
        order::Entity::find()
            .filter(order::Column::CustomerId.eq(customer_id))
            .apply_if(page.after, |query, id| {
                query.filter(order::Column::Id.lt(id))
            })
            .apply_if(page.before, |query, id| {
                query.filter(order::Column::Id.gt(id))
            })
            .order_by(order::Column::Id, direction)
            .limit(page.read_max())
            .all(self.store.reader())
            .await
            .map(|rows| page.cut(rows))
            .step("reading a page of orders")
    }

    /// The items of these orders, in the order in which they were minted.
    pub async fn items_of_orders(
        &self,
        orders: &[(EventId, OrderId)],
    ) -> Result<Vec<order_item::Model>, Fault> {
        sql::read_order_items(self.store.backend(), orders)
            .all(self.store.reader())
            .await
            .step("reading order items")
    }

    /// One item, if its order is this customer's.
    pub async fn item(
        &self,
        customer_id: CustomerId,
        event_id: EventId,
        id: OrderItemId,
    ) -> Result<Option<order_item::Model>, Fault> {
        let item = order_item::Entity::find_by_id((event_id, id))
            .one(self.store.reader())
            .await
            .step("reading an order item")?;
        let Some(item) = item else { return Ok(None) };
        let order = self.order(customer_id, event_id, item.order_id).await?;
        Ok(order.map(|_| item))
    }
}
