//! A customer's hold as its customer sees it, and what can be done with it.

mod expiring;
mod mutations;

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, Enum, ID, Object, Result, dataloader::Loader};
use chrono::{DateTime, Utc};

pub use self::{expiring::HoldSubscription, mutations::HoldMutation};
use super::{
    catalogue::{Event, Ticket},
    fault::Code,
    global_id::GlobalId,
    loaders::{OwnReader, load, load_own},
    money::Money,
    order::Order,
    page::Key,
};
use crate::{
    catalogue,
    fault::Fault,
    ids::{EventId, HoldId, TicketId},
    money::Currency,
    sales::{HeldTickets, Standing},
};

#[derive(Clone)]
pub struct Hold(HeldTickets);

impl From<HeldTickets> for Hold {
    fn from(held: HeldTickets) -> Self {
        Self(held)
    }
}

/// Where a hold stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Standing")]
pub enum HoldStatus {
    /// Its tickets are yours to buy until `heldUntil`.
    Active,
    /// Its time was over before it was bought; its tickets are anybody's.
    Expired,
    /// It was given back, or the event was cancelled.
    Released,
    /// It was bought: see `order`.
    Purchased,
}

/// Tickets that a customer has to themselves for a limited time, to buy them in peace.
#[Object]
impl Hold {
    /// Unique among all objects, and opaque: do not take it apart.
    pub async fn id(&self) -> ID {
        GlobalId::Hold(self.0.hold.event_id, self.0.hold.id).encode()
    }

    /// Where it stands, by the database's clock when this was read.
    async fn status(&self) -> HoldStatus {
        self.0.standing().into()
    }

    /// It is active until just before this instant. Count down to it, and ask for an extension in time.
    async fn held_until(&self) -> DateTime<Utc> {
        self.0.hold.held_until
    }

    /// No extension goes beyond this instant, nor beyond the end of the sale.
    async fn extendable_until(&self) -> DateTime<Utc> {
        self.0.hold.extendable_until
    }

    /// When it was made, by the database's clock.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.hold.created_at
    }

    /// The event that the tickets are for.
    async fn event(&self, ctx: &Context<'_>) -> Option<Result<Event>> {
        load(ctx)
            .load_one(self.0.hold.event_id)
            .await
            .map(|row| row.map(Event::from))
            .transpose()
    }

    /// The tickets it has, no more than one order can have; none once it has ended.
    async fn tickets(&self, ctx: &Context<'_>) -> Result<Vec<Ticket>> {
        let tickets = self.read_tickets(ctx).await?;
        Ok(tickets.into_iter().map(Ticket::from).collect())
    }

    /// What its tickets cost together at present; null once it has ended. Tell it to the buyer, and send its amount as
    /// `expectedTotal` of `purchaseHold`.
    async fn total(&self, ctx: &Context<'_>) -> Option<Result<Money>> {
        match self.0.standing() {
            Standing::Active => self.read_total(ctx).await.transpose(),
            Standing::Expired | Standing::Released | Standing::Purchased => None,
        }
    }

    /// What it became; null as long as it has not been bought.
    async fn order(&self, ctx: &Context<'_>) -> Option<Result<Order>> {
        let order_id = self.0.hold.order_id?;
        load_own(ctx)
            .load_one((self.0.hold.event_id, order_id))
            .await
            .map(|row| row.map(Order::from))
            .transpose()
    }
}

impl Hold {
    async fn read_tickets(&self, ctx: &Context<'_>) -> Result<Vec<catalogue::Ticket>> {
        let event_id = self.0.hold.event_id;
        let keys: Vec<(EventId, TicketId)> = self
            .0
            .live_tickets()
            .iter()
            .map(|id| (event_id, *id))
            .collect();
        let mut found = load(ctx).load_many(keys.iter().copied()).await?;
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    async fn read_total(&self, ctx: &Context<'_>) -> Result<Option<Money>> {
        let event_id = self.0.hold.event_id;
        let Some(event) = load(ctx).load_one(event_id).await? else {
            return Ok(None);
        };
        let tickets = self.read_tickets(ctx).await?;
        let types = tickets
            .iter()
            .map(|ticket| (event_id, ticket.ticket_type_id));
        let types = load(ctx).load_many(types.collect::<Vec<_>>()).await?;
        let prices = tickets
            .iter()
            .filter_map(|ticket| types.get(&(event_id, ticket.ticket_type_id)))
            .map(|ticket_type| ticket_type.price_minor);
        let currency = Currency::from_code(&event.currency)
            .ok_or_else(|| Code::Internal.error("the event has an unknown currency"))?;
        let total = crate::money::Money {
            minor: prices.sum(),
            currency,
        };
        Ok(Some(total.into()))
    }
}

/// The caller's own holds by id.
impl Loader<(EventId, HoldId)> for OwnReader {
    type Value = HeldTickets;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        ids: &[(EventId, HoldId)],
    ) -> Result<HashMap<(EventId, HoldId), HeldTickets>, Arc<Fault>> {
        let Some(customer_id) = self.customer_id().await? else {
            return Ok(HashMap::new());
        };
        let holds = self.sales.holds_by_ids(customer_id, ids).await?;
        Ok(holds
            .into_iter()
            .map(|held| ((held.hold.event_id, held.hold.id), held))
            .collect())
    }
}

impl Key for HoldId {
    fn to_bytes(&self) -> Vec<u8> {
        [b"h", self.0.as_bytes().as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        uuid::Uuid::from_slice(bytes.strip_prefix(b"h")?)
            .ok()
            .map(Self)
    }
}
