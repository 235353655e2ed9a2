//! A performance with a sales window.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{CustomerId, EventId, ImportId, OrganizerId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    pub organizer_id: OrganizerId,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub venue: String,
    /// ISO 4217; every price of the event is in it.
    pub currency: String,
    /// IANA name, e.g. `Europe/Vienna`.
    pub time_zone: String,
    pub starts_at: DateTime<Utc>,
    /// On sale from this instant …
    pub sales_open_at: DateTime<Utc>,
    /// … to just before this one.
    pub sales_close_at: DateTime<Utc>,
    pub tickets_per_order_max: i32,
    pub status: Status,
    /// How long a hold lasts, and how old it can become by being extended.
    pub hold_secs: i32,
    pub hold_secs_max: i32,
    /// Tickets that one customer may hold at a time.
    pub held_per_customer_max: i32,
    /// Tickets that one customer may own and hold together; none for no limit.
    pub tickets_per_customer_max: Option<i32>,
    /// The highest such limit since the event was published; none when there was a time without one.
    pub tickets_per_customer_ever: Option<i32>,
    /// The highest `held_per_customer_max` since the event was published.
    pub held_per_customer_ever: i32,
    /// Customers may cancel before this instant; none for never.
    pub cancellable_until: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// The account that cancelled the event.
    pub cancelled_by: Option<CustomerId>,
    pub cancel_reason: Option<String>,
    /// When the last ticket of a cancelled event had been visited.
    pub cancellation_done_at: Option<DateTime<Utc>>,
    /// What a search looks at: name, venue, slug and the beginning of the description, folded.
    pub search_text: String,
    /// The unfinished copy that hides this event, see [`super::ticket_import`].
    pub import_id: Option<ImportId>,
    /// One more with every change; an update names the version it was based on.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Status {
    #[sea_orm(string_value = "DRAFT")]
    Draft,
    #[sea_orm(string_value = "PUBLISHED")]
    Published,
    #[sea_orm(string_value = "CANCELLED")]
    Cancelled,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
