//! One ticket of an order, with what was true of it when it was sold.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{CustomerId, EventId, OrderId, OrderItemId, TicketId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    /// Says which order's it is, see [`OrderItemId::order_id`]; PostgreSQL's key has that between the two.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderItemId,
    pub order_id: OrderId,
    pub ticket_id: TicketId,
    /// The database refuses a second `ACTIVE` item of one ticket.
    pub status: Status,
    pub unit_price_minor: i64,
    pub currency: String,
    pub ticket_type_name: String,
    /// Section, row and seat in one line; none for general admission.
    pub seat_label: Option<String>,
    /// 128 random bits in base32: what the door scans.
    pub admission_code: String,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// The account that cancelled it: the customer, or staff.
    pub cancelled_by: Option<CustomerId>,
    pub cancel_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Status {
    #[sea_orm(string_value = "ACTIVE")]
    Active,
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
