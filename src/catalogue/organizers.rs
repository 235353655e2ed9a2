//! Who sells: found by id, or by the token that speaks for them.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{OnConflict, SelectStatement},
};

use crate::{
    auth,
    entity::organizer,
    fault::{Fault, Step},
    ids::OrganizerId,
    store::{Store, dialect::is_one_of},
    time,
};

/// The organizers with these ids, in no order; organizers are public.
pub async fn organizers_by_ids(
    store: &Store,
    ids: &[OrganizerId],
) -> Result<Vec<organizer::Model>, Fault> {
    organizer::Entity::find()
        .filter(is_one_of(
            store.backend(),
            (organizer::Entity, organizer::Column::Id),
            ids.iter().map(|id| id.0),
        ))
        .all(store.reader())
        .await
        .step("reading organizers")
}

/// The id of the organizer that a token speaks for, as a subquery: empty as long as they have created nothing.
pub(super) fn own_id(organizer: &auth::Organizer) -> SelectStatement {
    organizer::Entity::find()
        .select_only()
        .column(organizer::Column::Id)
        .filter(organizer::Column::Issuer.eq(&organizer.account().issuer))
        .filter(organizer::Column::Subject.eq(&organizer.account().subject))
        .into_query()
}

/// The organizer that a token speaks for, created the first time.
pub(super) async fn find_or_create(
    store: &Store,
    organizer: &auth::Organizer,
) -> Result<OrganizerId, Fault> {
    if let Some(id) = find(store, organizer).await? {
        return Ok(id);
    }
    let account = organizer.account();
    organizer::Entity::insert(organizer::ActiveModel {
        id: Set(OrganizerId::mint()),
        issuer: Set(account.issuer.clone()),
        subject: Set(account.subject.clone()),
        name: Set(account.subject.clone()),
        created_at: Set(time::now()),
    })
    .on_conflict(
        // Two first requests at once create one organizer.
        OnConflict::columns([organizer::Column::Issuer, organizer::Column::Subject])
            .do_nothing()
            .to_owned(),
    )
    .exec_without_returning(store.writer())
    .await
    .step("creating an organizer")?;
    Ok(find(store, organizer)
        .await?
        .expect("an organizer is never deleted, and was inserted or there before"))
}

async fn find(store: &Store, organizer: &auth::Organizer) -> Result<Option<OrganizerId>, Fault> {
    let account = organizer.account();
    Ok(organizer::Entity::find()
        .filter(organizer::Column::Issuer.eq(&account.issuer))
        .filter(organizer::Column::Subject.eq(&account.subject))
        .one(store.writer())
        .await
        .step("reading an organizer")?
        .map(|row| row.id))
}
