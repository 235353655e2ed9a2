//! An addition of tickets that takes several transactions, which only SQLite needs: its tickets are hidden from every
//! reader and every sale while its row stands here, and seen all at once when the row is deleted. The copy of an event is
//! such an addition too, and its row hides the new event as well.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{EventId, ImportId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ticket_imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The condition, in SQLite's words, that a ticket is not hidden by an unfinished addition. PostgreSQL adds in one
/// transaction and needs none.
pub const IS_SHOWN_SQLITE: &str = "(import_id IS NULL OR NOT EXISTS (SELECT 1 FROM ticket_imports \
     WHERE ticket_imports.event_id = tickets.event_id AND ticket_imports.id = tickets.import_id))";

/// The condition that an event is not hidden by an unfinished copy. Both databases read it; on PostgreSQL it always holds.
pub const EVENT_IS_SHOWN: &str = "(events.import_id IS NULL OR NOT EXISTS (SELECT 1 FROM ticket_imports \
     WHERE ticket_imports.event_id = events.id AND ticket_imports.id = events.import_id))";
