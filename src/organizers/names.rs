//! What an organizer is called.

use std::sync::Arc;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::allowed_ids;
use crate::{
    auth::Grant,
    entity::organizer::{Column, Entity, Model},
    fault::Step,
    ids::OrganizerId,
    refusal::{Answer, Refusal, refused},
    store::Store,
    text,
};

/// A name has to fit a ticket and a phone's screen.
pub const NAME_LEN_MAX: usize = 200;

/// Why an organizer is not renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameCode {
    UnknownOrganizer,
    InvalidName,
}

/// Gives the organizer another name.
///
/// # Errors
/// When the database fails.
pub async fn rename(
    store: &Arc<Store>,
    grant: &Grant,
    id: OrganizerId,
    name: String,
) -> Answer<Model, RenameCode> {
    if let Err(text) = text::line("a name", &name, NAME_LEN_MAX) {
        return refused(Refusal::at(RenameCode::InvalidName, "name", text));
    }
    let allowed = allowed_ids(grant);
    let writing = store.clone();
    let renamed = store.to_its_end(async move {
        Entity::update_many()
            .col_expr(Column::Name, Expr::val(name))
            .filter(Column::Id.eq(id))
            .filter(Column::Id.in_subquery(allowed))
            .exec_with_returning(writing.writer())
            .await
            .step("renaming an organizer")
    });
    match renamed.await?.pop() {
        Some(row) => Ok(Ok(row)),
        None => refused(Refusal::unknown_organizer(RenameCode::UnknownOrganizer)),
    }
}
