//! A price category of an event.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{EventId, TicketTypeId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ticket_types")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TicketTypeId,
    pub name: String,
    pub admission: Admission,
    /// In minor units of the event's currency.
    pub price_minor: i64,
    /// Where it stands in the event's list.
    pub position: i32,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Admission {
    /// Each ticket is a numbered seat.
    #[sea_orm(string_value = "SEATED")]
    Seated,
    /// Tickets are places without a number.
    #[sea_orm(string_value = "GENERAL")]
    General,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
