//! What the database holds, asked without the server.

use std::collections::HashSet;

use rowlock::{
    entity::{order, order_item, ticket},
    ids::TicketId,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};

use super::{Database, Order, Outcome};

pub async fn orders_len(rows: &DatabaseConnection) -> u64 {
    order::Entity::find().count(rows).await.unwrap()
}

pub async fn active_items(rows: &DatabaseConnection) -> Vec<order_item::Model> {
    order_item::Entity::find()
        .filter(order_item::Column::Status.eq(order_item::Status::Active))
        .all(rows)
        .await
        .unwrap()
}

pub async fn sold_tickets_len(rows: &DatabaseConnection) -> u64 {
    ticket::Entity::find().filter(ticket::Column::Status.eq(ticket::Status::Sold)).count(rows).await.unwrap()
}

/// The id, in the database, of the only ticket with this seat label.
pub async fn ticket_of_seat(rows: &DatabaseConnection, seat: &str) -> TicketId {
    let tickets =
        ticket::Entity::find().filter(ticket::Column::SeatLabel.eq(seat)).all(rows).await.unwrap();
    assert_eq!(tickets.len(), 1, "one seat {seat}");
    tickets[0].id
}

/// The orders that buyers were told of.
pub fn orders(outcomes: &[Outcome]) -> Vec<&Order> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Sold(order) => Some(order),
            Outcome::Refused(_) | Outcome::Fault(_) => None,
        })
        .collect()
}

/// The database holds exactly the sales that buyers were told of, and no ticket twice.
pub async fn assert_conserved(database: &Database, outcomes: &[Outcome]) {
    let rows = database.look().await;
    let told = orders(outcomes);
    let told_orders: HashSet<&str> = told.iter().map(|order| order.id.as_str()).collect();
    let told_codes: HashSet<&str> =
        told.iter().flat_map(|order| &order.items).map(|item| item.admission_code.as_str()).collect();
    let items = active_items(&rows).await;
    let codes: HashSet<&str> = items.iter().map(|item| item.admission_code.as_str()).collect();
    let tickets: HashSet<_> = items.iter().map(|item| item.ticket_id).collect();
    assert_eq!(codes, told_codes, "every sale was told, and nothing else was");
    assert_eq!(orders_len(&rows).await, told_orders.len() as u64, "orders");
    assert_eq!(tickets.len(), items.len(), "no ticket has two owners");
    assert_eq!(sold_tickets_len(&rows).await, items.len() as u64, "a ticket is sold if it has an owner");
    rows.close().await.unwrap();
}
