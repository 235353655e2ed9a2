//! Who sells, as clients see them. The account behind an organizer stays out of the schema.

use async_graphql::{ID, Object};

use crate::{entity::organizer, graphql::global_id::GlobalId};

pub struct Organizer(organizer::Model);

impl From<organizer::Model> for Organizer {
    fn from(row: organizer::Model) -> Self {
        Self(row)
    }
}

/// Who sells tickets: every event has one organizer.
#[Object]
impl Organizer {
    /// Unique among all objects, and opaque.
    pub async fn id(&self) -> ID {
        GlobalId::Organizer(self.0.id).encode()
    }

    /// The name that buyers see.
    async fn name(&self) -> &str {
        &self.0.name
    }
}
