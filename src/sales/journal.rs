//! What a transaction changes of tickets, written down once for all who read on: those who count them, and those who follow
//! them by the change log. Every transaction that changes a ticket's status appends what it changes.

use std::collections::{BTreeMap, HashMap};

use super::decide::{Changes, Facts, TicketState};
use crate::{
    changes::{Cause, Change, Whose},
    counts::Deltas,
    entity::ticket::Status,
    ids::{EventId, OrderId, TicketId, TicketTypeId},
};

#[derive(Clone, Debug, Default)]
pub struct Journal {
    pub counts: Deltas,
    /// By event, none without any.
    pub changes: BTreeMap<EventId, Vec<Change>>,
}

impl Journal {
    /// A ticket changes. Where nothing is another than it was, nothing is written down.
    pub fn record(&mut self, event_id: EventId, ticket_type_id: TicketTypeId, change: Change) {
        // A hold that takes a ticket from one that is over changes whose it is.
        if change.from == change.to && change.to != Status::Held {
            return;
        }
        self.counts
            .change((event_id, ticket_type_id), change.from, change.to);
        self.changes.entry(event_id).or_default().push(change);
    }

    /// What was decided; none if a ticket is changed whose row was not locked, or sold to nobody.
    pub fn of(facts: &Facts, changes: &Changes) -> Option<Self> {
        let sold = orders_of(changes.placed.iter().flat_map(|placed| {
            let order = &placed.order;
            let of_order = |ticket_id| (order.event_id, ticket_id, order.id);
            placed
                .items
                .iter()
                .map(move |item| of_order(item.ticket_id))
        }));
        let given_back = orders_of(
            changes
                .cancelled_items
                .iter()
                .map(|item| (item.event_id, item.ticket_id, item.order_id)),
        );
        let mut journal = Self::default();
        for (key, state) in &changes.tickets {
            let before = facts.locked.get(key)?;
            let holder = match (before.status, before.held) {
                (Status::Held, Some((hold_id, _))) => Some(hold_id),
                _ => None,
            };
            let (to, cause, whose) = match *state {
                TicketState::Sold => {
                    let order_id = *sold.get(key)?;
                    (Status::Sold, Cause::Purchase, Whose::Order(order_id))
                }
                // It is extended, which changes nothing of the ticket's status.
                TicketState::Held { hold_id, .. } if holder == Some(hold_id) => continue,
                TicketState::Held { hold_id, .. } => {
                    (Status::Held, Cause::Hold, Whose::Hold(hold_id))
                }
                TicketState::Available => match given_back.get(key) {
                    Some(order_id) => (
                        Status::Available,
                        Cause::OrderCancellation,
                        Whose::Order(*order_id),
                    ),
                    None => (
                        Status::Available,
                        Cause::Release,
                        holder.map_or(Whose::Nobody, Whose::Hold),
                    ),
                },
            };
            let change = Change {
                ticket_id: key.1,
                from: before.status,
                to,
                cause,
                whose,
                staff: changes.staff.get(key).copied(),
            };
            journal.record(key.0, before.ticket_type_id, change);
        }
        Some(journal)
    }
}

/// The last order of each ticket.
fn orders_of(
    items: impl Iterator<Item = (EventId, TicketId, OrderId)>,
) -> HashMap<(EventId, TicketId), OrderId> {
    items
        .map(|(event_id, ticket_id, order_id)| ((event_id, ticket_id), order_id))
        .collect()
}
