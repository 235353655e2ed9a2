//! A ticket as clients see it.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    event::Event,
    history::{TicketChange, history_of},
    ticket_type::TicketType,
};
use crate::{
    catalogue,
    entity::ticket,
    graphql::{fault::Code, global_id::GlobalId, loaders::load},
    ids::EventId,
};

pub struct Ticket(catalogue::Ticket);

impl From<catalogue::Ticket> for Ticket {
    fn from(ticket: catalogue::Ticket) -> Self {
        Self(ticket)
    }
}

/// What a ticket is right now.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "ticket::Status")]
pub enum TicketStatus {
    /// It can be bought.
    Available,
    /// A buyer holds it for a limited time.
    Held,
    /// It is sold.
    Sold,
    /// The organizer withholds it from sale.
    Blocked,
}

/// A numbered seat, by the labels that are printed on the ticket.
#[derive(SimpleObject)]
pub struct Seat {
    /// The part of the hall, such as `Stalls`.
    section: String,
    /// The row within the section.
    row: String,
    /// The seat within the row.
    seat: String,
}

/// Which tickets of an event a list shows. Every condition that is given must hold.
#[derive(InputObject, Default)]
pub struct TicketFilter {
    /// Tickets of this ticket type of the event.
    ticket_type_id: Option<ID>,
    /// Tickets of this status.
    status: Option<TicketStatus>,
    /// Seats of this section, by its exact name.
    section: Option<String>,
    /// Whether a seat is for wheelchair users and others who cannot use steps.
    is_accessible: Option<bool>,
}

impl TicketFilter {
    pub(super) fn read(self, event_id: EventId) -> Result<catalogue::TicketFilter> {
        let ticket_type_id = match self.ticket_type_id {
            None => None,
            Some(id) => match GlobalId::require(&id)?.ticket_type() {
                Some((event, id)) if event == event_id => Some(id),
                Some(_) | None => {
                    return Err(
                        Code::BadUserInput.error("ticketTypeId is not a ticket type of this event")
                    );
                }
            },
        };
        Ok(catalogue::TicketFilter {
            ticket_type_id,
            status: self.status.map(ticket::Status::from),
            section: self.section,
            is_accessible: self.is_accessible,
        })
    }
}

/// One sellable unit: a numbered seat or one general-admission place.
#[Object]
impl Ticket {
    /// Unique among all objects, and opaque.
    pub async fn id(&self) -> ID {
        GlobalId::Ticket(self.0.event_id, self.0.id).encode()
    }

    /// What it is right now. It may be out of date when it arrives; only a purchase tells for certain.
    async fn status(&self) -> TicketStatus {
        self.0.status.into()
    }

    /// When the hold on it ends, unless its buyer extends or buys before; null when nobody holds it.
    async fn held_until(&self) -> Option<DateTime<Utc>> {
        self.0.held_until
    }

    /// Why it is withheld from sale, in the organizer's words; null when it is not, and for everybody but the event's own
    /// organizer.
    async fn block_reason(&self) -> Option<&str> {
        self.0.block_reason.as_deref()
    }

    /// What has become of it, change by change, at most the last 200; null for everybody but the event's own organizer.
    async fn history(&self, ctx: &Context<'_>) -> Option<Result<Vec<TicketChange>>> {
        // On the heap: see `deadline`.
        let history = Box::pin(history_of(ctx, self.0.event_id, self.0.id));
        history.await.transpose()
    }

    /// The numbered seat; null for general admission.
    async fn seat(&self) -> Option<Seat> {
        self.0.seat.clone().map(|seat| Seat {
            section: seat.section,
            row: seat.row,
            seat: seat.seat,
        })
    }

    /// Whether the seat is for wheelchair users and others who cannot use steps.
    async fn is_accessible(&self) -> bool {
        self.0.is_accessible
    }

    /// Its price category.
    async fn ticket_type(&self, ctx: &Context<'_>) -> Result<TicketType> {
        let key = (self.0.event_id, self.0.ticket_type_id);
        let ticket_type = load(ctx).load_one(key).await?;
        Ok(ticket_type
            .expect("a ticket is only shown with its ticket type")
            .into())
    }

    /// The event it admits to.
    async fn event(&self, ctx: &Context<'_>) -> Result<Event> {
        let event = load(ctx).load_one(self.0.event_id).await?;
        Ok(event.expect("a ticket is only shown with its event").into())
    }
}
