//! A ticket type as clients see it.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use iso_currency::Currency;

use super::event::Event;
use crate::{
    catalogue,
    entity::ticket_type,
    graphql::{
        global_id::GlobalId,
        loaders::{AvailabilityOf, load},
        money::Money,
    },
};

pub struct TicketType(ticket_type::Model);

impl From<ticket_type::Model> for TicketType {
    fn from(row: ticket_type::Model) -> Self {
        Self(row)
    }
}

/// What a ticket admits to.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ticket_type::Admission")]
pub enum Admission {
    /// A numbered seat of one's own.
    Seated,
    /// A place without a number.
    General,
}

/// How many tickets of a ticket type there are right now. The numbers may be out of date when they arrive; only a
/// purchase tells for certain.
#[derive(SimpleObject)]
pub struct Availability {
    /// All tickets of the type.
    total: i64,
    /// Tickets that can be bought.
    available: i64,
    /// Tickets that are sold.
    sold: i64,
    /// Tickets that a buyer holds for a limited time.
    held: i64,
    /// Tickets that the organizer withholds from sale.
    blocked: i64,
}

impl From<catalogue::Availability> for Availability {
    fn from(count: catalogue::Availability) -> Self {
        Self {
            total: count.total(),
            available: count.available,
            sold: count.sold,
            held: count.held,
            blocked: count.blocked,
        }
    }
}

/// A price category of an event.
#[Object]
impl TicketType {
    /// Unique among all objects, and opaque.
    pub async fn id(&self) -> ID {
        GlobalId::TicketType(self.0.event_id, self.0.id).encode()
    }

    /// Its name, unique within the event.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether its tickets are numbered seats.
    async fn admission(&self) -> Admission {
        self.0.admission.into()
    }

    /// What one ticket costs.
    async fn price(&self, ctx: &Context<'_>) -> Result<Money> {
        let event = load(ctx).load_one(self.0.event_id).await?;
        let event = event.expect("a ticket type is only shown with its event");
        let currency = Currency::from_code(&event.currency)
            .expect("an event is only stored with an ISO 4217 currency");
        Ok(crate::money::Money {
            minor: self.0.price_minor,
            currency,
        }
        .into())
    }

    /// Where it stands in the event's list.
    async fn position(&self) -> i32 {
        self.0.position
    }

    /// How many of its tickets are left.
    async fn availability(&self, ctx: &Context<'_>) -> Result<Availability> {
        let key = AvailabilityOf(self.0.event_id, self.0.id);
        Ok(load(ctx).load_one(key).await?.unwrap_or_default().into())
    }

    /// The event it belongs to.
    async fn event(&self, ctx: &Context<'_>) -> Result<Event> {
        let event = load(ctx).load_one(self.0.event_id).await?;
        Ok(event
            .expect("a ticket type is only shown with its event")
            .into())
    }

    /// One more with every change. An update names the version it was based on.
    async fn version(&self) -> i64 {
        self.0.version
    }
}
