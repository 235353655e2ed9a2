//! Reading orders: what was sold, as it is now. A customer's own and nobody else's; of an organizer's own events, whose
//! they are.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::{Sales, customers, sql};
use crate::{
    auth::{Account, Customer, Grant},
    entity::{event, order, order_item},
    fault::{Fault, Step},
    ids::{CustomerId, EventId, OrderId, OrderItemId},
    organizers::allowed_ids,
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

    /// Forgets an account that was erased.
    pub fn forget(&self, account: &Account) {
        self.customers.forget(account);
    }

    /// Those of these orders that are this customer's, in no order.
    pub async fn orders_by_ids(
        &self,
        customer_id: CustomerId,
        ids: &[(EventId, OrderId)],
    ) -> Result<Vec<order::Model>, Fault> {
        sql::read_orders(self.store.backend(), ids)
            .filter(order::Column::CustomerId.eq(customer_id))
            .all(self.store.reader())
            .await
            .step("reading orders")
    }

    /// Whose order it is, if it is of an event of theirs.
    pub async fn customer_of_order(
        &self,
        grant: &Grant,
        event_id: EventId,
        order_id: OrderId,
    ) -> Result<Option<CustomerId>, Fault> {
        let events = event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::OrganizerId.in_subquery(allowed_ids(grant)));
        order::Entity::find_by_id((event_id, order_id))
            .filter(order::Column::EventId.in_subquery(events.into_query()))
            .one(self.store.reader())
            .await
            .map(|row| row.map(|row| row.customer_id))
            .step("reading whose order it is")
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

    /// Those of these items whose orders are this customer's, in no order.
    pub async fn items_by_ids(
        &self,
        customer_id: CustomerId,
        ids: &[(EventId, OrderItemId)],
    ) -> Result<Vec<order_item::Model>, Fault> {
        let orders: HashSet<_> = ids
            .iter()
            .map(|(event, item)| (*event, item.order_id()))
            .collect();
        let orders: Vec<_> = orders.into_iter().collect();
        let own = self.orders_by_ids(customer_id, &orders).await?;
        let own: Vec<_> = own.iter().map(|order| (order.event_id, order.id)).collect();
        let mut items = self.items_of_orders(&own).await?;
        let wanted: HashSet<_> = ids.iter().copied().collect();
        items.retain(|item| wanted.contains(&(item.event_id, item.id)));
        Ok(items)
    }
}
