//! Who gets what: a pure function from what the transaction has locked and read to an outcome for each command.
//!
//! Knows nothing about databases, clocks, randomness, async or GraphQL: the time comes with the facts, ids and codes come
//! with the commands. Commands are decided in order of arrival, and a later one sees what an earlier one was given.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::command::{Command, Minted, Want};
use crate::{
    entity::{event, order, order_item, ticket},
    ids::{CustomerId, EventId, OrderId, TicketId, TicketTypeId},
    money::{Currency, Money},
};

/// A command, who its buyer is here, and the ids of the order that it may become.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub command: &'a Command,
    pub customer_id: CustomerId,
    pub minted: &'a Minted,
}

/// What the transaction knows, all of it read behind its locks.
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
    pub keys: HashMap<(EventId, CustomerId, String), KeyFacts>,
    /// Commands that were refused before tickets were locked for them, by the order they would have become.
    pub early: HashMap<OrderId, Decision>,
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
    /// The end of the hold, if there is one.
    pub held_until: Option<DateTime<Utc>>,
    /// Section, row and seat in one line; none for general admission.
    pub seat_label: Option<String>,
}

/// A ticket whose row this transaction did not lock, as a plain read saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocked {
    Sold,
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
pub struct KeyFacts {
    pub fingerprint: [u8; 32],
    pub order_id: OrderId,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// These rows are to be written, the tickets marked sold, and the key bound.
    Sold(PlacedOrder),
    /// The key did this before: the answer is that order, as it is now.
    Repeated(OrderId),
    Refused(Vec<Refusal>),
    /// It depends on tickets that somebody else has locked: on this one, if it was named.
    Undecided(Option<TicketId>),
}

/// An order with its items, as the database has them.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedOrder {
    pub order: order::Model,
    pub items: Vec<order_item::Model>,
}

/// Why a purchase was refused. The buyer did nothing wrong; nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    KeyReused,
    UnknownEvent,
    EventCancelled,
    NotOnSaleYet { opens_at: DateTime<Utc> },
    SaleOver { closed_at: DateTime<Utc> },
    TooManyTickets { max: usize },
    UnknownTicket(TicketId),
    UnknownTicketType,
    AlreadySold(TicketId),
    Held(TicketId),
    Blocked(TicketId),
    NotEnoughLeft { left: usize },
    PriceChanged { total: Money },
}

/// Decides every request, in order of arrival.
pub fn decide(facts: &Facts, requests: &[Request<'_>]) -> Vec<Decision> {
    let mut given = Given::default();
    requests
        .iter()
        .map(|request| {
            let decision = decide_one(facts, &given, request);
            if let Decision::Sold(placed) = &decision {
                given.note(request, placed);
            }
            decision
        })
        .collect()
}

/// What earlier commands of the same batch were given.
#[derive(Default)]
struct Given {
    tickets: HashSet<(EventId, TicketId)>,
    keys: HashMap<(EventId, CustomerId, String), KeyFacts>,
}

impl Given {
    fn note(&mut self, request: &Request<'_>, placed: &PlacedOrder) {
        self.tickets.extend(
            placed
                .items
                .iter()
                .map(|item| (item.event_id, item.ticket_id)),
        );
        let fingerprint = request.command.fingerprint();
        self.keys.insert(
            key_of(request),
            KeyFacts {
                fingerprint,
                order_id: placed.order.id,
            },
        );
    }
}

fn key_of(request: &Request<'_>) -> (EventId, CustomerId, String) {
    let command = request.command;
    (
        command.event_id,
        request.customer_id,
        command.key.as_str().to_owned(),
    )
}

fn decide_one(facts: &Facts, given: &Given, request: &Request<'_>) -> Decision {
    let command = request.command;
    // The key comes first: a repeat gets its order also when the event is over by now.
    let key = key_of(request);
    if let Some(bound) = given.keys.get(&key).or_else(|| facts.keys.get(&key)) {
        return if bound.fingerprint == command.fingerprint() {
            Decision::Repeated(bound.order_id)
        } else {
            refused(Refusal::KeyReused)
        };
    }
    if let Some(early) = facts.early.get(&request.minted.order_id) {
        return early.clone();
    }
    let event = match event_on_sale(facts, command) {
        Ok(event) => event,
        Err(refusal) => return refused(refusal),
    };
    let chosen = match &command.want {
        Want::Tickets(ids) => choose_named(facts, given, command.event_id, ids),
        Want::AnyOf {
            ticket_type_id,
            quantity,
        } => choose_any(facts, given, (command.event_id, *ticket_type_id), *quantity),
    };
    match chosen {
        Ok(tickets) => place(facts, event, request, &tickets),
        Err(NotChosen::Refused(refusals)) => Decision::Refused(refusals),
        Err(NotChosen::Undecided(ticket)) => Decision::Undecided(ticket),
    }
}

fn refused(refusal: Refusal) -> Decision {
    Decision::Refused(vec![refusal])
}

/// Why a command will be refused whatever its tickets are, as far as an early look at its event tells: then none is locked.
pub fn refuse_early(facts: &Facts, command: &Command) -> Option<Decision> {
    event_on_sale(facts, command).err().map(refused)
}

fn event_on_sale<'a>(facts: &'a Facts, command: &Command) -> Result<&'a EventFacts, Refusal> {
    let event = facts
        .events
        .get(&command.event_id)
        .ok_or(Refusal::UnknownEvent)?;
    match event.status {
        // Drafts do not exist for buyers.
        event::Status::Draft => return Err(Refusal::UnknownEvent),
        event::Status::Cancelled => return Err(Refusal::EventCancelled),
        event::Status::Published => {}
    }
    if facts.now < event.sales_open_at {
        return Err(Refusal::NotOnSaleYet {
            opens_at: event.sales_open_at,
        });
    }
    if facts.now >= event.sales_close_at {
        return Err(Refusal::SaleOver {
            closed_at: event.sales_close_at,
        });
    }
    if command.want.quantity() > event.tickets_per_order_max {
        return Err(Refusal::TooManyTickets {
            max: event.tickets_per_order_max,
        });
    }
    Ok(event)
}

/// Why a command gets no tickets.
enum NotChosen {
    Refused(Vec<Refusal>),
    Undecided(Option<TicketId>),
}

/// All of the named tickets, or why not. One refused ticket refuses the order, whatever is undecided beside it.
fn choose_named(
    facts: &Facts,
    given: &Given,
    event_id: EventId,
    ids: &[TicketId],
) -> Result<Vec<TicketId>, NotChosen> {
    let mut refusals = Vec::new();
    let mut undecided = None;
    for &id in ids {
        match standing(facts, given, (event_id, id)) {
            Standing::Free => {}
            Standing::Refused(refusal) => refusals.push(refusal),
            Standing::Undecided => undecided = undecided.or(Some(id)),
        }
    }
    if !refusals.is_empty() {
        Err(NotChosen::Refused(refusals))
    } else if undecided.is_some() {
        Err(NotChosen::Undecided(undecided))
    } else {
        Ok(ids.to_vec())
    }
}

enum Standing {
    Free,
    Refused(Refusal),
    Undecided,
}

fn standing(facts: &Facts, given: &Given, key: (EventId, TicketId)) -> Standing {
    let id = key.1;
    if given.tickets.contains(&key) {
        return Standing::Refused(Refusal::AlreadySold(id));
    }
    let Some(ticket) = facts.locked.get(&key) else {
        return match facts.unlocked.get(&key) {
            Some(Unlocked::Sold) => Standing::Refused(Refusal::AlreadySold(id)),
            Some(Unlocked::Undecided) => Standing::Undecided,
            None => Standing::Refused(Refusal::UnknownTicket(id)),
        };
    };
    match ticket.status {
        ticket::Status::Available => Standing::Free,
        ticket::Status::Sold => Standing::Refused(Refusal::AlreadySold(id)),
        ticket::Status::Blocked => Standing::Refused(Refusal::Blocked(id)),
        // A hold is alive while the time is before its end, to the microsecond.
        ticket::Status::Held if ticket.held_until.is_some_and(|until| facts.now < until) => {
            Standing::Refused(Refusal::Held(id))
        }
        ticket::Status::Held => Standing::Free,
    }
}

/// Any `quantity` free tickets of a type, or why not.
fn choose_any(
    facts: &Facts,
    given: &Given,
    ticket_type: (EventId, TicketTypeId),
    quantity: usize,
) -> Result<Vec<TicketId>, NotChosen> {
    if !facts.ticket_types.contains_key(&ticket_type) {
        return Err(NotChosen::Refused(vec![Refusal::UnknownTicketType]));
    }
    let (event_id, ticket_type_id) = ticket_type;
    let is_free = |id: &TicketId| matches!(standing(facts, given, (event_id, *id)), Standing::Free);
    let picks = facts.picks.get(&ticket_type);
    let mut chosen: Vec<TicketId> = picks
        .iter()
        .flat_map(|picks| picks.tickets.iter().copied())
        .filter(is_free)
        .take(quantity)
        .collect();
    if chosen.len() < quantity {
        // What others of this batch named was not picked, but is left all the same until they are served.
        let mut named: Vec<TicketId> = facts
            .locked
            .iter()
            .filter(|((event, _), ticket)| {
                *event == event_id && ticket.ticket_type_id == ticket_type_id
            })
            .map(|((_, id), _)| *id)
            .filter(|id| !chosen.contains(id) && is_free(id))
            .collect();
        named.sort_unstable();
        chosen.extend(named.into_iter().take(quantity - chosen.len()));
    }
    if chosen.len() == quantity {
        return Ok(chosen);
    }
    let contested = picks.map_or(0, |picks| picks.contested.len());
    Err(if chosen.len() + contested < quantity {
        NotChosen::Refused(vec![Refusal::NotEnoughLeft { left: chosen.len() }])
    } else {
        NotChosen::Undecided(None)
    })
}

/// The order for tickets that are free.
fn place(
    facts: &Facts,
    event: &EventFacts,
    request: &Request<'_>,
    tickets: &[TicketId],
) -> Decision {
    let Request {
        command,
        customer_id,
        minted,
    } = *request;
    let event_id = command.event_id;
    let currency = event.currency.code();
    let items: Vec<order_item::Model> = minted
        .items
        .iter()
        .zip(tickets)
        .map(|((item_id, code), &ticket_id)| {
            let ticket = &facts.locked[&(event_id, ticket_id)];
            let ticket_type = &facts.ticket_types[&(event_id, ticket.ticket_type_id)];
            order_item::Model {
                event_id,
                id: *item_id,
                order_id: minted.order_id,
                ticket_id,
                status: order_item::Status::Active,
                unit_price_minor: ticket_type.price_minor,
                currency: currency.to_owned(),
                ticket_type_name: ticket_type.name.clone(),
                seat_label: ticket.seat_label.clone(),
                admission_code: code.as_str().to_owned(),
            }
        })
        .collect();
    // A price is bounded so that a full order's total fits; the catalogue refuses others.
    let total_minor = items.iter().map(|item| item.unit_price_minor).sum();
    let total = Money {
        minor: total_minor,
        currency: event.currency,
    };
    if command
        .expected_total
        .is_some_and(|expected| expected != total.decimal())
    {
        return refused(Refusal::PriceChanged { total });
    }
    Decision::Sold(PlacedOrder {
        order: order::Model {
            event_id,
            id: minted.order_id,
            customer_id,
            placed_by: customer_id.0,
            status: order::Status::Confirmed,
            total_minor,
            currency: currency.to_owned(),
            placed_at: facts.now,
        },
        items,
    })
}

#[cfg(test)]
mod tests;
