//! Orders: placing them, and cancelling them.

use rust_decimal::Decimal;

use super::{
    CancelledItem, EventFacts, PlacedOrder, Refusal, Request, Unserved, Verdict, chosen,
    event_on_sale, published_event, within_order,
    world::{State, World},
};
use crate::{
    entity::{order, order_item},
    ids::{EventId, OrderId, OrderItemId, TicketId},
    money::Money,
    sales::{
        command::{Canceller, Want},
        minted::Minted,
    },
};

pub(super) fn purchase(
    world: &World<'_>,
    request: &Request<'_>,
    want: &Want,
    expected_total: Option<Decimal>,
    minted: &Minted,
) -> Result<Verdict, Unserved> {
    let event_id = request.command.event_id;
    let event = event_on_sale(world.facts, event_id)?;
    within_order(event, want.quantity())?;
    let customer = (event_id, request.customer_id);
    world.within_allowance(event, customer, want.quantity(), None)?;
    let tickets = chosen(world, request, want)?;
    let placed = place(world, event, request, &tickets, expected_total, minted)?;
    Ok(Verdict::Placed(placed, None))
}

/// The order for tickets that are the customer's to have.
pub(super) fn place(
    world: &World<'_>,
    event: &EventFacts,
    request: &Request<'_>,
    tickets: &[TicketId],
    expected_total: Option<Decimal>,
    minted: &Minted,
) -> Result<PlacedOrder, Refusal> {
    let facts = world.facts;
    let event_id = request.command.event_id;
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
                cancelled_at: None,
                cancelled_by: None,
                cancel_reason: None,
            }
        })
        .collect();
    assert_eq!(
        items.len(),
        tickets.len(),
        "an id was minted for every ticket of an order"
    );
    // A price is bounded so that a full order's total fits; the catalogue refuses others.
    let total_minor = items.iter().map(|item| item.unit_price_minor).sum();
    let total = Money {
        minor: total_minor,
        currency: event.currency,
    };
    if expected_total.is_some_and(|expected| expected != total.decimal()) {
        return Err(Refusal::PriceChanged { total });
    }
    Ok(PlacedOrder {
        order: order::Model {
            event_id,
            id: minted.order_id,
            customer_id: request.customer_id,
            placed_by: request.by(),
            status: order::Status::Confirmed,
            total_minor,
            currency: currency.to_owned(),
            placed_at: facts.now,
        },
        items,
    })
}

/// The order, if whoever asks may cancel it now.
pub(super) fn cancellable<'w>(
    world: &'w World<'_>,
    request: &Request<'_>,
    order_id: OrderId,
    items: Option<&[OrderItemId]>,
    by: Canceller,
) -> Result<&'w PlacedOrder, Refusal> {
    let event_id: EventId = request.command.event_id;
    let placed = world
        .order(event_id, order_id)
        .ok_or(Refusal::UnknownOrder)?;
    match by {
        Canceller::Staff { customer_id } => {
            // Its gate is the one that was passed.
            if placed.order.customer_id != customer_id {
                return Err(Refusal::UnknownOrder);
            }
        }
        Canceller::Customer => {
            if placed.order.customer_id != request.customer_id {
                return Err(Refusal::UnknownOrder);
            }
        }
    }
    let event = published_event(world.facts, event_id)?;
    let since = event.cancellable_until;
    let is_open = match by {
        Canceller::Staff { .. } => true,
        Canceller::Customer => since.is_some_and(|until| world.facts.now < until),
    };
    // Cancelling twice is harmless, at any time.
    let mut meant = placed.items.iter().filter(|item| is_meant(items, item));
    let is_over = meant.all(|item| item.status == order_item::Status::Cancelled);
    if !is_open && !is_over {
        return Err(Refusal::NotCancellable { since });
    }
    Ok(placed)
}

fn is_meant(items: Option<&[OrderItemId]>, item: &order_item::Model) -> bool {
    items.is_none_or(|ids| ids.binary_search(&item.id).is_ok())
}

pub(super) fn cancel(
    world: &World<'_>,
    request: &Request<'_>,
    order_id: OrderId,
    items: Option<&[OrderItemId]>,
    by: Canceller,
    reason: Option<&str>,
) -> Result<Verdict, Unserved> {
    let mut placed = cancellable(world, request, order_id, items, by)?.clone();
    if let Some(ids) = items {
        let is_item = |id: &OrderItemId| placed.items.iter().any(|item| item.id == *id);
        let unknown: Vec<Refusal> = ids
            .iter()
            .filter(|id| !is_item(id))
            .map(|id| Refusal::UnknownItem(*id))
            .collect();
        if !unknown.is_empty() {
            return Err(Unserved::Refused(unknown));
        }
    }
    let event_id = request.command.event_id;
    let mut cancelled = Vec::new();
    for item in &mut placed.items {
        if !is_meant(items, item) || item.status == order_item::Status::Cancelled {
            continue;
        }
        if !world.facts.locked.contains_key(&(event_id, item.ticket_id))
            && world.state((event_id, item.ticket_id)) != State::Unknown
        {
            return Err(Unserved::Undecided(Some(item.ticket_id)));
        }
        let change = CancelledItem {
            event_id,
            order_id: item.order_id,
            id: item.id,
            ticket_id: item.ticket_id,
            at: world.facts.now,
            by: request.by(),
            reason: reason.map(str::to_owned),
        };
        item.status = order_item::Status::Cancelled;
        item.cancelled_at = Some(change.at);
        item.cancelled_by = Some(change.by);
        item.cancel_reason.clone_from(&change.reason);
        cancelled.push(change);
    }
    let is_over = placed
        .items
        .iter()
        .all(|item| item.status == order_item::Status::Cancelled);
    if is_over {
        placed.order.status = order::Status::Cancelled;
    }
    Ok(Verdict::Cancelled(placed, cancelled))
}
