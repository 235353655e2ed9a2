//! One sellable unit: a numbered seat or one general-admission place. The row that a sale locks.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{EventId, HoldId, ImportId, TicketId, TicketTypeId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tickets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TicketId,
    pub ticket_type_id: TicketTypeId,
    /// Written by `sales` alone.
    pub status: Status,
    pub hold_id: Option<HoldId>,
    /// The hold is alive while the database's time is before this.
    pub held_until: Option<DateTime<Utc>>,
    /// The labels as printed on the ticket; none of a general-admission place.
    pub section: Option<String>,
    pub row_label: Option<String>,
    pub seat_label: Option<String>,
    /// The order of rows and seats, since labels neither sort nor tell which seats are neighbours.
    pub row_index: Option<i32>,
    pub seat_index: Option<i32>,
    pub is_accessible: bool,
    /// The unfinished addition that hides this ticket, see [`super::ticket_import`].
    pub import_id: Option<ImportId>,
    /// Why staff withhold the ticket.
    pub block_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Status {
    #[sea_orm(string_value = "AVAILABLE")]
    Available,
    #[sea_orm(string_value = "HELD")]
    Held,
    #[sea_orm(string_value = "SOLD")]
    Sold,
    #[sea_orm(string_value = "BLOCKED")]
    Blocked,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
