//! Who may act for an organizer.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::ids::{CustomerId, OrganizerId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organizer_id: OrganizerId,
    /// The account, which has an id among customers, whether it buys or not.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: CustomerId,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Role {
    #[sea_orm(string_value = "OWNER")]
    Owner,
    #[sea_orm(string_value = "MANAGER")]
    Manager,
    #[sea_orm(string_value = "BOX_OFFICE")]
    BoxOffice,
    #[sea_orm(string_value = "DOOR")]
    Door,
    #[sea_orm(string_value = "READER")]
    Reader,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
