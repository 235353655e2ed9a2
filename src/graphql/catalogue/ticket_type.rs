//! A ticket type as clients see it.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use futures_util::try_join;
use iso_currency::Currency;

use super::event::Event;
use crate::{
    catalogue,
    entity::ticket_type,
    graphql::{
        global_id::GlobalId,
        loaders::{AvailabilitiesOf, AvailabilityOf, TypesOf, load},
        money::Money,
    },
    ids::EventId,
};

pub struct TicketType {
    row: ticket_type::Model,
    /// Where it was read together with the type.
    availability: Option<catalogue::Availability>,
}

impl From<ticket_type::Model> for TicketType {
    fn from(row: ticket_type::Model) -> Self {
        Self {
            row,
            availability: None,
        }
    }
}

impl TicketType {
    /// All of an event, in its order. Their availability is read beside them where it is asked for, instead of after them.
    pub(super) async fn all_of(ctx: &Context<'_>, event_id: EventId) -> Result<Vec<Self>> {
        let load = load(ctx);
        let types = load.load_one(TypesOf(event_id));
        let (types, counts) = if ctx.look_ahead().field("availability").exists() {
            let counts = load.load_one(AvailabilitiesOf(event_id));
            let (types, counts) = try_join!(types, counts)?;
            (types, Some(counts.unwrap_or_default()))
        } else {
            (types.await?, None)
        };
        let types = types.unwrap_or_default().into_iter();
        Ok(types
            .map(|row| Self {
                availability: counts
                    .as_ref()
                    .map(|counts| counts.get(&row.id).copied().unwrap_or_default()),
                row,
            })
            .collect())
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
        GlobalId::TicketType(self.row.event_id, self.row.id).encode()
    }

    /// Its name, unique within the event.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Whether its tickets are numbered seats.
    async fn admission(&self) -> Admission {
        self.row.admission.into()
    }

    /// What one ticket costs.
    async fn price(&self, ctx: &Context<'_>) -> Result<Money> {
        let event = load(ctx).load_one(self.row.event_id).await?;
        let event = event.expect("a ticket type is only shown with its event");
        let currency = Currency::from_code(&event.currency)
            .expect("an event is only stored with an ISO 4217 currency");
        Ok(crate::money::Money {
            minor: self.row.price_minor,
            currency,
        }
        .into())
    }

    /// Where it stands in the event's list.
    async fn position(&self) -> i32 {
        self.row.position
    }

    /// How many of its tickets are left.
    async fn availability(&self, ctx: &Context<'_>) -> Result<Availability> {
        if let Some(count) = self.availability {
            return Ok(count.into());
        }
        let key = AvailabilityOf(self.row.event_id, self.row.id);
        Ok(load(ctx).load_one(key).await?.unwrap_or_default().into())
    }

    /// The event it belongs to.
    async fn event(&self, ctx: &Context<'_>) -> Result<Event> {
        let event = load(ctx).load_one(self.row.event_id).await?;
        Ok(event
            .expect("a ticket type is only shown with its event")
            .into())
    }

    /// One more with every change. An update names the version it was based on.
    async fn version(&self) -> i64 {
        self.row.version
    }
}
