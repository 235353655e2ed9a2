//! What the transaction knows, all of it read behind its locks.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Bound, PlacedOrder, Refusal};
use crate::{
    entity::{event, hold, ticket},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId, TicketTypeId},
    money::Currency,
};

#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The database's time after the last lock.
    pub now: DateTime<Utc>,
    pub events: HashMap<EventId, EventFacts>,
    pub ticket_types: HashMap<(EventId, TicketTypeId), TypeFacts>,
    /// Tickets whose rows are locked by this transaction.
    pub locked: HashMap<(EventId, TicketId), TicketFacts>,
    /// Tickets asked for by id that are not locked here. A ticket neither here nor in `locked` does not exist.
    pub unlocked: HashMap<(EventId, TicketId), Unlocked>,
    /// For each type of which any will do: locked tickets of it, in the order in which they are given out.
    pub picks: HashMap<(EventId, TicketTypeId), Picks>,
    /// Holds that commands are about, and holds that keep tickets from them.
    pub holds: HashMap<(EventId, HoldId), HoldFacts>,
    /// Orders that commands are about.
    pub orders: HashMap<(EventId, OrderId), PlacedOrder>,
    /// Customers whose allowance matters here.
    pub allowances: HashMap<(EventId, CustomerId), AllowanceFacts>,
    pub keys: HashMap<(EventId, CustomerId, String), KeyFacts>,
    /// Commands that were refused before tickets were locked for them, by their place.
    pub early: HashMap<usize, Refusal>,
}

impl Facts {
    /// How many tickets were picked of a type.
    pub fn picked(&self, event_id: EventId, ticket_type_id: TicketTypeId) -> usize {
        self.picks
            .get(&(event_id, ticket_type_id))
            .map_or(0, |picks| picks.tickets.len())
    }
}

#[derive(Clone, Debug)]
pub struct EventFacts {
    pub status: event::Status,
    pub currency: Currency,
    pub sales_open_at: DateTime<Utc>,
    pub sales_close_at: DateTime<Utc>,
    pub tickets_per_order_max: usize,
    pub tickets_per_customer_max: Option<usize>,
    pub held_per_customer_max: usize,
    pub hold_secs: u32,
    pub hold_secs_max: u32,
    pub cancellable_until: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub struct TypeFacts {
    pub name: String,
    pub price_minor: i64,
}

#[derive(Clone, Debug)]
pub struct TicketFacts {
    pub ticket_type_id: TicketTypeId,
    pub status: ticket::Status,
    /// The hold and its end, if there is one.
    pub held: Option<(HoldId, DateTime<Utc>)>,
    /// Section, row and seat in one line; none for general admission.
    pub seat_label: Option<String>,
}

/// A ticket whose row this transaction did not lock, as a plain read saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    Sold,
    Blocked,
    Held {
        hold_id: HoldId,
        until: DateTime<Utc>,
    },
    /// Somebody else has it locked, and only they know.
    Undecided,
}

#[derive(Clone, Debug, Default)]
pub struct Picks {
    pub tickets: Vec<TicketId>,
    /// Tickets of the type that somebody else has locked and that may come back; no more than the batch wants.
    pub contested: Vec<TicketId>,
}

#[derive(Clone, Debug)]
pub struct HoldFacts {
    pub hold: hold::Model,
    /// Tickets whose rows name the hold, in the order of their ids.
    pub tickets: Vec<TicketId>,
}

/// What a customer has of an event; none of what nobody had to know.
#[derive(Clone, Debug, Default)]
pub struct AllowanceFacts {
    /// Tickets of orders.
    pub owned: Option<usize>,
    /// Holds that were alive when they were read.
    pub holds: Option<Vec<LiveHold>>,
}

#[derive(Clone, Copy, Debug)]
pub struct LiveHold {
    pub id: HoldId,
    pub held_until: DateTime<Utc>,
    pub tickets_len: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct KeyFacts {
    pub fingerprint: [u8; 32],
    /// None where a later release bound it to something that this one does not know.
    pub bound: Option<Bound>,
}
