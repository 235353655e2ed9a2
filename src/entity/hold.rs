//! A customer's time-limited claim. Written only behind the customer's gate, and by the cancellation of the whole event.
//!
//! Which tickets it has stands on the tickets' rows. Nothing marks a hold whose time is over: it is active and over.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{CustomerId, EventId, HoldId, OrderId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "holds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    pub customer_id: CustomerId,
    pub status: Status,
    /// The hold is alive while the database's time is before this; each of its tickets says the same.
    pub held_until: DateTime<Utc>,
    /// No extension goes beyond this.
    pub extendable_until: DateTime<Utc>,
    /// How many tickets it has; once it is bought, how many it had.
    pub tickets_len: i32,
    /// What it became.
    pub order_id: Option<OrderId>,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Status {
    #[sea_orm(string_value = "ACTIVE")]
    Active,
    /// Given back, by the customer or because the event was cancelled.
    #[sea_orm(string_value = "RELEASED")]
    Released,
    #[sea_orm(string_value = "PURCHASED")]
    Purchased,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
