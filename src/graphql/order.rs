//! What a customer owns: `me`, `order`, orders and their items.

use std::collections::HashMap;

use async_graphql::{
    Context, Enum, Error, ID, Object, Result, connection::Connection, dataloader::Loader,
};
use chrono::{DateTime, Utc};

use super::{
    caller,
    catalogue::{Event, Ticket},
    domain,
    global_id::GlobalId,
    loaders::{Reader, load},
    money::Money,
    page::{self, Cursor, Key},
};
use crate::{
    auth::{Account, Caller},
    entity::{order, order_item},
    ids::{CustomerId, EventId, OrderId, OrderItemId},
    money::Currency,
    page::Slice,
    sales::PlacedOrder,
};

#[derive(Default)]
pub struct OrderQuery;

#[Object]
impl OrderQuery {
    /// Who you are to this server. Needs a token.
    async fn me(&self, ctx: &Context<'_>) -> Option<Result<Viewer>> {
        Some(viewer(caller(ctx)))
    }

    /// An order of yours; null when there is none with this id. Needs a customer's token.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
    ) -> Option<Result<Order>> {
        find_order(ctx, &id).await.transpose()
    }
}

async fn find_order(ctx: &Context<'_>, id: &ID) -> Result<Option<Order>> {
    caller(ctx).customer()?;
    match GlobalId::require(id)? {
        GlobalId::Order(event_id, order_id) => {
            let row = load(ctx).load_one((event_id, order_id)).await?;
            Ok(row.map(Order::from))
        }
        _ => Ok(None),
    }
}

fn viewer(caller: &Caller) -> Result<Viewer> {
    let (account, role) = match caller {
        Caller::Anonymous => return Err(crate::auth::Denial::Unauthenticated.into()),
        Caller::Customer(customer) => (customer.account(), Role::Customer),
        Caller::Organizer(organizer) => (organizer.account(), Role::Organizer),
    };
    Ok(Viewer {
        account: account.clone(),
        role,
    })
}

pub struct Viewer {
    account: Account,
    role: Role,
}

/// What a token allows.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Buys tickets and sees their own orders.
    Customer,
    /// Creates events and sells their tickets.
    Organizer,
}

/// Whoever sends the request.
#[Object]
impl Viewer {
    /// The subject (`sub`) of your token.
    async fn subject(&self) -> &str {
        &self.account.subject
    }

    /// What your token allows.
    async fn role(&self) -> Role {
        self.role
    }

    /// Your orders, latest first. Needs a customer's token.
    #[graphql(complexity = "page::cost(first, last, child_complexity)")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the beginning, 1 to 100; 20 when neither end is asked for."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only those behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those in front of this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor<OrderId>, Order>> {
        let customer = caller(ctx).customer()?;
        let page = page::read(first, after, last, before)?;
        let sales = &domain(ctx).sales;
        let orders = match sales.customer_id(customer).await? {
            Some(customer_id) => sales.orders(customer_id, &page).await?,
            // Who has never bought anything has no orders.
            None => Slice {
                rows: vec![],
                has_previous: false,
                has_next: false,
            },
        };
        Ok(page::connection(orders, |row| row.id, Order::from))
    }
}

pub struct Order {
    row: order::Model,
    /// Known without reading when the order was placed just now.
    items: Option<Vec<order_item::Model>>,
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

    /// What all its tickets cost together when they were bought.
    async fn total(&self) -> Result<Money> {
        money(self.row.total_minor, &self.row.currency)
    }

    /// The event that the tickets are for.
    async fn event(&self, ctx: &Context<'_>) -> Option<Result<Event>> {
        load(ctx)
            .load_one(self.row.event_id)
            .await
            .map(|row| row.map(Event::from))
            .transpose()
    }

    /// The tickets, one item each.
    async fn items(&self, ctx: &Context<'_>) -> Result<Vec<OrderItem>> {
        let rows = match &self.items {
            Some(rows) => rows.clone(),
            None => load(ctx)
                .load_one(ItemsOf(self.row.event_id, self.row.id))
                .await?
                .unwrap_or_default(),
        };
        Ok(rows.into_iter().map(OrderItem).collect())
    }
}

impl From<order::Model> for Order {
    fn from(row: order::Model) -> Self {
        Self { row, items: None }
    }
}

impl From<PlacedOrder> for Order {
    fn from(placed: PlacedOrder) -> Self {
        Self {
            row: placed.order,
            items: Some(placed.items),
        }
    }
}

pub struct OrderItem(pub order_item::Model);

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
        GlobalId::OrderItem(self.0.event_id, self.0.id).encode()
    }

    /// Where it stands.
    async fn status(&self) -> OrderItemStatus {
        match self.0.status {
            order_item::Status::Active => OrderItemStatus::Active,
            order_item::Status::Cancelled => OrderItemStatus::Cancelled,
        }
    }

    /// What the ticket cost when it was bought.
    async fn unit_price(&self) -> Result<Money> {
        money(self.0.unit_price_minor, &self.0.currency)
    }

    /// The name of the ticket's type when it was bought.
    async fn ticket_type_name(&self) -> &str {
        &self.0.ticket_type_name
    }

    /// Section, row and seat in one line; null for general admission.
    async fn seat_label(&self) -> Option<&str> {
        self.0.seat_label.as_deref()
    }

    /// What the door scans: whoever shows it gets in. Do not let it get into logs or links.
    async fn admission_code(&self) -> &str {
        &self.0.admission_code
    }

    /// The ticket as it is now.
    async fn ticket(&self, ctx: &Context<'_>) -> Option<Result<Ticket>> {
        let ticket = load(ctx)
            .load_one((self.0.event_id, self.0.ticket_id))
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
impl Loader<(EventId, OrderId)> for Reader {
    type Value = order::Model;
    type Error = Error;

    async fn load(
        &self,
        ids: &[(EventId, OrderId)],
    ) -> Result<HashMap<(EventId, OrderId), order::Model>, Error> {
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
impl Loader<(EventId, OrderItemId)> for Reader {
    type Value = order_item::Model;
    type Error = Error;

    async fn load(
        &self,
        ids: &[(EventId, OrderItemId)],
    ) -> Result<HashMap<(EventId, OrderItemId), order_item::Model>, Error> {
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

impl Reader {
    /// None of a caller who is no customer, or has never bought anything.
    async fn customer_id(&self) -> Result<Option<CustomerId>, Error> {
        match &self.caller {
            Caller::Customer(customer) => Ok(self.sales.customer_id(customer).await?),
            Caller::Anonymous | Caller::Organizer(_) => Ok(None),
        }
    }
}

/// Key of all items of an order. Whoever holds an order may see its items.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemsOf(EventId, OrderId);

impl Loader<ItemsOf> for Reader {
    type Value = Vec<order_item::Model>;
    type Error = Error;

    async fn load(&self, keys: &[ItemsOf]) -> Result<HashMap<ItemsOf, Self::Value>, Error> {
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
