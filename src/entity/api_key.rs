//! An organizer's key for a machine.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{ApiKeyId, CustomerId, OrganizerId};

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    pub organizer_id: OrganizerId,
    /// What it is for, in its organizer's words.
    pub name: String,
    /// What the key begins with, by which it is found.
    pub prefix: String,
    /// The SHA-256 of the whole key.
    pub secret_hash: Vec<u8>,
    /// What it allows, with spaces between.
    pub scopes: String,
    pub created_at: DateTime<Utc>,
    /// The account that has made it.
    pub created_by: CustomerId,
    /// It is no longer good from this instant on.
    pub expires_at: Option<DateTime<Utc>>,
    /// About when it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Not even its hash belongs into a log.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
