//! Each seat of an event once, whatever the state of its ticket. PostgreSQL's alone, where the table follows that of tickets by
//! triggers, see the migration's `m0014_seats`; SQLite has the seats in the tickets' own index.

use sea_orm::entity::prelude::*;

use crate::ids::{EventId, TicketId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seats")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub section: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub row_label: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seat_label: String,
    pub ticket_id: TicketId,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
