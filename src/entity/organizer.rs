//! Who sells.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::OrganizerId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organizers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrganizerId,
    /// `iss` and `sub` of the token that owns this organizer.
    pub issuer: String,
    pub subject: String,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
