//! Copying an event with its ticket types and all its seats and places.
//!
//! The copy is a draft in which everything is available, whatever the original has sold. Its tickets stand in the order of
//! the seats, also where the original's rows were continued later.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{
    Answer, Refusal,
    bulk::Bulk,
    draft::{CopyEventCode, EventCopy, copied},
    edit_event::{is_shown_under, is_slug_taken, own_event, slug_taken},
    phrases::is_shown,
    refused,
    seats::PlacedSeat,
    to_its_end,
};
use crate::{
    auth::Grant,
    entity::{
        event,
        ticket::{Column, Entity},
        ticket_type,
    },
    fault::{Fault, Step},
    ids::{EventId, TicketId, TicketTypeId},
    store::Store,
    time,
};

/// Makes a draft of the same organizer like the event, all of it or nothing. What it sells is new: no order, hold or id
/// refers to both.
pub async fn copy_event(
    store: &Arc<Store>,
    grant: &Grant,
    id: EventId,
    copy: EventCopy,
) -> Answer<event::Model, CopyEventCode> {
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let Some(event) = own_event(&store, &grant, id).await? else {
            return refused(Refusal::unknown_event(CopyEventCode::UnknownEvent));
        };
        let new = match copied(&event, copy) {
            Ok(new) => new,
            Err(refusals) => return Ok(Err(refusals)),
        };
        if is_shown_under(&store, new.slug.as_ref()).await? {
            return refused(slug_taken(CopyEventCode::SlugTaken));
        }
        // One statement sees each addition to the original whole or not at all, so that the original need not be locked;
        // and the ticket types are read after it, since a type may be added but none is ever removed.
        let tickets = tickets_of(&store, id).await?;
        let types = types_of(&store, id).await?;
        let (new_types, type_ids) = copied_types(new.id.clone().unwrap(), types);
        let (bulk, event) = match Bulk::begin_new(&store, new, new_types).await {
            Ok(begun) => begun,
            Err(fault) if is_slug_taken(&fault) => {
                return refused(slug_taken(CopyEventCode::SlugTaken));
            }
            Err(fault) => return Err(fault),
        };
        let answer = insert(&bulk, tickets, &type_ids).await.map(Ok);
        bulk.end(answer.map(|done| done.map(|()| event))).await
    })
    .await
}

/// The original's tickets that are not hidden.
async fn tickets_of(store: &Store, event_id: EventId) -> Result<Vec<Original>, Fault> {
    Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::TicketTypeId,
            Column::Section,
            Column::RowLabel,
            Column::SeatLabel,
            Column::RowIndex,
            Column::SeatIndex,
            Column::IsAccessible,
        ])
        .filter(Column::EventId.eq(event_id))
        .filter(is_shown(store.backend()))
        .order_by_asc(Column::Id)
        .into_model::<Original>()
        .all(store.reader())
        .await
        .step("reading the tickets of an event to be copied")
}

async fn types_of(store: &Store, event_id: EventId) -> Result<Vec<ticket_type::Model>, Fault> {
    ticket_type::Entity::find()
        .filter(ticket_type::Column::EventId.eq(event_id))
        .order_by_asc(ticket_type::Column::Id)
        .all(store.reader())
        .await
        .step("reading the ticket types of an event to be copied")
}

/// The copy's ticket types, and which of them is which of the original's.
fn copied_types(
    event_id: EventId,
    types: Vec<ticket_type::Model>,
) -> (
    Vec<ticket_type::ActiveModel>,
    HashMap<TicketTypeId, TicketTypeId>,
) {
    let now = time::now();
    types
        .into_iter()
        .map(|original| {
            let id = TicketTypeId::mint();
            let new = ticket_type::ActiveModel {
                event_id: Set(event_id),
                id: Set(id),
                name: Set(original.name),
                admission: Set(original.admission),
                price_minor: Set(original.price_minor),
                position: Set(original.position),
                version: Set(1),
                created_at: Set(now),
                updated_at: Set(now),
            };
            (new, (original.id, id))
        })
        .unzip()
}

/// The tickets of one ticket type of the copy.
#[derive(Default)]
struct OfType {
    seats: Vec<(TicketId, PlacedSeat)>,
    places: Vec<TicketId>,
}

async fn insert(
    bulk: &Bulk<'_>,
    tickets: Vec<Original>,
    type_ids: &HashMap<TicketTypeId, TicketTypeId>,
) -> Result<(), Fault> {
    let mut of_types = BTreeMap::<TicketTypeId, OfType>::new();
    for ticket in in_order(tickets) {
        let ticket_type_id = *type_ids
            .get(&ticket.ticket_type_id)
            .expect("the types were read after the tickets, and none is ever removed");
        let of_type = of_types.entry(ticket_type_id).or_default();
        // Minted in the order of the seats, whatever type each is of and in whatever order they are written.
        let id = TicketId::mint();
        match ticket.into_seat() {
            Some(seat) => of_type.seats.push((id, seat)),
            None => of_type.places.push(id),
        }
    }
    for (ticket_type_id, of_type) in of_types {
        bulk.insert_seats(ticket_type_id, &of_type.seats).await?;
        bulk.insert_places(ticket_type_id, &of_type.places).await?;
    }
    Ok(())
}

/// The tickets in the order of their seats: sections as they were first added, in each the rows from front to back, in
/// each row the seats side by side; then the places, as they were added.
fn in_order(mut tickets: Vec<Original>) -> Vec<Original> {
    tickets.sort_unstable_by_key(|ticket| ticket.id);
    let mut sections = HashMap::<String, usize>::new();
    let mut keyed: Vec<_> = tickets
        .into_iter()
        .map(|ticket| {
            let section = match &ticket.section {
                Some(section) => match sections.get(section) {
                    Some(rank) => *rank,
                    None => {
                        let rank = sections.len();
                        sections.insert(section.clone(), rank);
                        rank
                    }
                },
                None => usize::MAX,
            };
            ((section, ticket.row_index, ticket.seat_index), ticket)
        })
        .collect();
    // Stable: places have no key of their own and stay as they are.
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, ticket)| ticket).collect()
}

/// What the copy takes over of a ticket.
#[derive(Clone, Debug, FromQueryResult)]
struct Original {
    id: TicketId,
    ticket_type_id: TicketTypeId,
    section: Option<String>,
    row_label: Option<String>,
    seat_label: Option<String>,
    row_index: Option<i32>,
    seat_index: Option<i32>,
    is_accessible: bool,
}

impl Original {
    /// None for general admission: the database holds a place whole or not at all.
    fn into_seat(self) -> Option<PlacedSeat> {
        Some(PlacedSeat {
            section: self.section?,
            row: self.row_label?,
            seat: self.seat_label?,
            row_index: self.row_index?,
            seat_index: self.seat_index?,
            is_accessible: self.is_accessible,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(section: &str, row: i32, seat: i32) -> Original {
        Original {
            section: Some(section.into()),
            row_label: Some(row.to_string()),
            seat_label: Some(seat.to_string()),
            row_index: Some(row),
            seat_index: Some(seat),
            ..place()
        }
    }

    fn place() -> Original {
        Original {
            id: TicketId::mint(),
            ticket_type_id: TicketTypeId::mint(),
            section: None,
            row_label: None,
            seat_label: None,
            row_index: None,
            seat_index: None,
            is_accessible: false,
        }
    }

    #[test]
    fn a_row_that_was_continued_later_is_one_row_of_the_copy() {
        let tickets = vec![
            seat("Stalls", 1, 1),
            seat("Stalls", 1, 2),
            place(),
            seat("Circle", 1, 2),
            seat("Stalls", 2, 1),
            place(),
            seat("Circle", 1, 1),
            seat("Stalls", 1, 3),
        ];
        let places: Vec<TicketId> = [2, 5].map(|n: usize| tickets[n].id).into();
        let mut shuffled = tickets;
        shuffled.reverse();
        let ordered = in_order(shuffled);
        let seats: Vec<_> = ordered
            .iter()
            .filter_map(|ticket| {
                Some((
                    ticket.section.as_deref()?,
                    ticket.row_index?,
                    ticket.seat_index?,
                ))
            })
            .collect();
        let expected = [
            ("Stalls", 1, 1),
            ("Stalls", 1, 2),
            ("Stalls", 1, 3),
            ("Stalls", 2, 1),
            ("Circle", 1, 1),
            ("Circle", 1, 2),
        ];
        assert_eq!(seats, expected);
        assert_eq!(
            ordered[6..]
                .iter()
                .map(|ticket| ticket.id)
                .collect::<Vec<_>>(),
            places
        );
    }
}
