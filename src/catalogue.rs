//! What is on sale: events, ticket types and tickets; what operators edit and buyers read.
//!
//! Drafts exist for their own organizer alone, and every reader here takes the caller, so that none can forget it. The
//! only ticket status written here is the `AVAILABLE` of a new ticket; every later change of it belongs to `sales`.
//! Knows nothing about GraphQL or HTTP.

mod add_seats;
mod alternatives;
mod bulk;
mod bulk_sql;
mod copy_event;
mod draft;
mod edit_event;
mod edit_ticket_type;
mod events;
mod phrases;
mod remove_tickets;
mod rules;
mod search;
mod seats;
mod set_capacity;
mod ticket_types;
mod tickets;
pub mod watch;

use std::{future::Future, sync::Arc};

pub use self::{
    add_seats::{SeatsAdded, add_seats},
    alternatives::alternatives,
    bulk::{TICKETS_PER_EVENT_MAX, discard_unfinished_imports},
    copy_event::copy_event,
    draft::{
        CopyEventCode, CreateEventCode, EventChange, EventCopy, NewEvent, Terms, UpdateEventCode,
    },
    edit_event::{PublishEventCode, create_event, publish_event, update_event},
    edit_ticket_type::{
        CreateTicketTypeCode, NewTicketType, TICKET_TYPES_PER_EVENT_MAX, TicketTypeChange,
        UpdateTicketTypeCode, create_ticket_type, update_ticket_type,
    },
    events::{
        EventFilter, EventKey, event_by_slug, events_by_ids, events_by_slugs, events_page,
        is_on_sale, own_event,
    },
    remove_tickets::{RemoveTicketsCode, TICKETS_PER_REMOVAL_MAX, remove_tickets},
    rules::instant,
    search::{SEARCH_LEN_MAX, SEARCH_WORDS_MAX, SEARCHED_DESCRIPTION_LEN, Words},
    seats::{
        AddSeatsCode, LABEL_LEN_MAX, ROWS_PER_CALL_MAX, SEAT_NUMBER_MAX, SEATS_PER_CALL_MAX,
        SECTION_LEN_MAX, SeatRow, Seats,
    },
    set_capacity::{SetCapacityCode, set_capacity},
    ticket_types::{
        Availability, availability, availability_at, availability_of_events, ticket_types_by_ids,
        ticket_types_of_events,
    },
    tickets::{Seat, Ticket, TicketFilter, tickets_by_ids, tickets_page},
};
pub use crate::refusal::{Answer, Refusal};
use crate::{refusal::refused, store::Store};

/// Runs a write to its end, also when its caller stops waiting: see [`Store::to_its_end`].
async fn to_its_end<T, W>(store: &Arc<Store>, write: impl FnOnce(Arc<Store>) -> W) -> T
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    store.to_its_end(write(store.clone())).await
}
