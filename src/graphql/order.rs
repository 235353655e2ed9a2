//! What a customer owns: orders and their items, and what can be done with them.

mod cancel;
mod updated;

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, Enum, ID, Object, Result, dataloader::Loader};
use chrono::{DateTime, Utc};

pub use self::{
    cancel::{CancelMutation, OrderPayload},
    updated::OrderSubscription,
};
use super::{
    buyer::Buyer,
    caller,
    catalogue::{Event, Ticket},
    global_id::GlobalId,
    loaders::{OwnReader, load, load_own},
    money::Money,
    page::Key,
};
use crate::{
    auth::Caller,
    entity::{order, order_item},
    fault::Fault,
    ids::{EventId, OrderId, OrderItemId},
    money::Currency,
    sales::PlacedOrder,
};

pub struct Order {
    row: order::Model,
    /// Known without reading when the order was placed just now.
    items: Option<Vec<order_item::Model>>,
    /// Whether staff have placed it in the customer's name, and hand out its tickets.
    is_handed_out: bool,
}

/// Where an order stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderStatus {
    /// Its tickets are the customer's.
    Confirmed,
    /// It was cancelled as a whole; its tickets are nobody's or somebody else's.
    Cancelled,
}

/// Tickets that a customer has bought together.
#[Object]
impl Order {
    /// Unique among all objects, and opaque: do not take it apart.
    pub async fn id(&self) -> ID {
        GlobalId::Order(self.row.event_id, self.row.id).encode()
    }

    /// Where it stands.
    async fn status(&self) -> OrderStatus {
        match self.row.status {
            order::Status::Confirmed => OrderStatus::Confirmed,
            order::Status::Cancelled => OrderStatus::Cancelled,
        }
    }

    /// When it was placed, by the database's clock.
    async fn placed_at(&self) -> DateTime<Utc> {
        self.row.placed_at
    }

    /// What all its tickets cost together when they were bought, the cancelled ones too: it never changes.
    async fn total(&self) -> Result<Money> {
        money(self.row.total_minor, &self.row.currency)
    }

    /// The part of `total` that its cancelled items cost: what is to be given back.
    async fn cancelled_total(&self, ctx: &Context<'_>) -> Result<Money> {
        let items = self.read_items(ctx).await?;
        let cancelled = items
            .iter()
            .filter(|item| item.status == order_item::Status::Cancelled);
        let minor = cancelled.map(|item| item.unit_price_minor).sum();
        money(minor, &self.row.currency)
    }

    /// The event that the tickets are for.
    async fn event(&self, ctx: &Context<'_>) -> Option<Result<Event>> {
        load(ctx)
            .load_one(self.row.event_id)
            .await
            .map(|row| row.map(Event::from))
            .transpose()
    }

    /// The tickets, one item each, the cancelled ones too.
    async fn items(&self, ctx: &Context<'_>) -> Result<Vec<OrderItem>> {
        let rows = self.read_items(ctx).await?;
        Ok(rows
            .into_iter()
            .map(|row| OrderItem {
                row,
                is_handed_out: self.is_handed_out,
            })
            .collect())
    }
}

impl Order {
    /// Who places an order in a customer's name sees what the customer would, to hand it out.
    pub fn handed_out_by(self, buyer: &Buyer<'_>) -> Self {
        Self {
            is_handed_out: buyer.staff().is_some(),
            ..self
        }
    }

    async fn read_items(&self, ctx: &Context<'_>) -> Result<Vec<order_item::Model>> {
        Ok(match &self.items {
            Some(rows) => rows.clone(),
            None => load_own(ctx)
                .load_one(ItemsOf(self.row.event_id, self.row.id))
                .await?
                .unwrap_or_default(),
        })
    }
}

impl From<order::Model> for Order {
    fn from(row: order::Model) -> Self {
        Self {
            row,
            items: None,
            is_handed_out: false,
        }
    }
}

impl From<PlacedOrder> for Order {
    fn from(placed: PlacedOrder) -> Self {
        Self {
            row: placed.order,
            items: Some(placed.items),
            is_handed_out: false,
        }
    }
}

pub struct OrderItem {
    row: order_item::Model,
    is_handed_out: bool,
}

impl From<order_item::Model> for OrderItem {
    fn from(row: order_item::Model) -> Self {
        Self {
            row,
            is_handed_out: false,
        }
    }
}

/// Where an order's item stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum OrderItemStatus {
    /// The ticket is the customer's.
    Active,
    /// The ticket was given back.
    Cancelled,
}

/// One ticket of an order, with what was true when it was bought.
#[Object]
impl OrderItem {
    /// Unique among all objects, and opaque: do not take it apart.
    pub async fn id(&self) -> ID {
        GlobalId::OrderItem(self.row.event_id, self.row.id).encode()
    }

    /// Where it stands.
    async fn status(&self) -> OrderItemStatus {
        match self.row.status {
            order_item::Status::Active => OrderItemStatus::Active,
            order_item::Status::Cancelled => OrderItemStatus::Cancelled,
        }
    }

    /// What the ticket cost when it was bought.
    async fn unit_price(&self) -> Result<Money> {
        money(self.row.unit_price_minor, &self.row.currency)
    }

    /// The name of the ticket's type when it was bought.
    async fn ticket_type_name(&self) -> &str {
        &self.row.ticket_type_name
    }

    /// Section, row and seat in one line; null for general admission.
    async fn seat_label(&self) -> Option<&str> {
        self.row.seat_label.as_deref()
    }

    /// What the door scans: whoever shows it gets in. Do not let it get into logs or links. Null once the item is
    /// cancelled, since the code is dead, and for everybody but the customer and, in the answer of the purchase, the staff who
    /// bought in the customer's name.
    async fn admission_code(&self, ctx: &Context<'_>) -> Option<&str> {
        let is_for_caller = match caller(ctx) {
            Caller::Customer(_) => true,
            Caller::Staff(_) => self.is_handed_out,
            Caller::Anonymous => false,
        };
        let is_alive = self.row.status == order_item::Status::Active;
        (is_alive && is_for_caller).then_some(&self.row.admission_code)
    }

    /// When it was cancelled, by the database's clock; null as long as it is not.
    async fn cancelled_at(&self) -> Option<DateTime<Utc>> {
        self.row.cancelled_at
    }

    /// Why it was cancelled, if somebody said so.
    async fn cancel_reason(&self) -> Option<&str> {
        self.row.cancel_reason.as_deref()
    }

    /// The ticket as it is now.
    async fn ticket(&self, ctx: &Context<'_>) -> Option<Result<Ticket>> {
        let ticket = load(ctx)
            .load_one((self.row.event_id, self.row.ticket_id))
            .await;
        ticket.map(|row| row.map(Ticket::from)).transpose()
    }
}

fn money(minor: i64, currency: &str) -> Result<Money> {
    let currency = Currency::from_code(currency)
        .ok_or_else(|| super::fault::Code::Internal.error("the order has an unknown currency"))?;
    Ok(crate::money::Money { minor, currency }.into())
}

/// The caller's own orders by id.
impl Loader<(EventId, OrderId)> for OwnReader {
    type Value = order::Model;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        ids: &[(EventId, OrderId)],
    ) -> Result<HashMap<(EventId, OrderId), order::Model>, Arc<Fault>> {
        let Some(customer_id) = self.customer_id().await? else {
            return Ok(HashMap::new());
        };
        let rows = self.sales.orders_by_ids(customer_id, ids).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}

/// Items of the caller's own orders by id.
impl Loader<(EventId, OrderItemId)> for OwnReader {
    type Value = order_item::Model;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        ids: &[(EventId, OrderItemId)],
    ) -> Result<HashMap<(EventId, OrderItemId), order_item::Model>, Arc<Fault>> {
        let Some(customer_id) = self.customer_id().await? else {
            return Ok(HashMap::new());
        };
        let rows = self.sales.items_by_ids(customer_id, ids).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}

/// Key of all items of an order. Whoever holds an order may see its items.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemsOf(EventId, OrderId);

impl Loader<ItemsOf> for OwnReader {
    type Value = Vec<order_item::Model>;
    type Error = Arc<Fault>;

    async fn load(&self, keys: &[ItemsOf]) -> Result<HashMap<ItemsOf, Self::Value>, Arc<Fault>> {
        let orders: Vec<_> = keys
            .iter()
            .map(|ItemsOf(event, order)| (*event, *order))
            .collect();
        let mut found: HashMap<ItemsOf, Self::Value> = HashMap::new();
        for item in self.sales.items_of_orders(&orders).await? {
            found
                .entry(ItemsOf(item.event_id, item.order_id))
                .or_default()
                .push(item);
        }
        Ok(found)
    }
}

impl Key for OrderId {
    fn to_bytes(&self) -> Vec<u8> {
        [b"o", self.0.as_bytes().as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        uuid::Uuid::from_slice(bytes.strip_prefix(b"o")?)
            .ok()
            .map(Self)
    }
}
