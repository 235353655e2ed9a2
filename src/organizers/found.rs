//! For whom a new event is created.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QuerySelect, QueryTrait, sea_query::OnConflict,
};

use super::{accounts, allowed_ids, allows, of_member};
use crate::{
    auth::{Account, By, Grant, Permission},
    entity::{
        member::{self, Role},
        organizer,
    },
    fault::{Fault, Step},
    ids::{CustomerId, OrganizerId},
    store::Store,
    time,
};

/// Why there is no organizer for whom somebody could create an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOrganizer {
    /// The one that was asked for is none of theirs.
    Unknown,
    /// It must be said for which one.
    Unsaid,
}

/// The organizer for whom an event is created: the one that is asked for, or the only one that they own, so that nobody who
/// makes somebody a member is given their events. None for whom there is none: their first event founds one, see [`found`].
///
/// # Errors
/// When the database fails.
pub async fn organizer_for(
    store: &Store,
    grant: &Grant,
    asked: Option<OrganizerId>,
) -> Result<Result<Option<OrganizerId>, NoOrganizer>, Fault> {
    if !matches!(grant.staff.by(), By::Membership) {
        let own = organizer::Entity::find()
            .filter(organizer::Column::Id.in_subquery(allowed_ids(grant)))
            .apply_if(asked, |query, id| {
                query.filter(organizer::Column::Id.eq(id))
            })
            .one(store.writer())
            .await
            .step("reading a key's organizer")?;
        return Ok(own.map(|row| Some(row.id)).ok_or(NoOrganizer::Unknown));
    }
    let memberships = read(store.writer(), grant.account()).await?;
    if asked.is_none() && memberships.is_empty() {
        return Ok(Ok(None));
    }
    Ok(choose(&memberships, asked, grant.permission).map(Some))
}

/// Founds an organizer for an account that is a member of none, which then owns it.
///
/// # Errors
/// When the database fails.
pub async fn found(
    store: &Store,
    grant: &Grant,
) -> Result<Result<OrganizerId, NoOrganizer>, Fault> {
    let tx = store
        .begin_writing()
        .await
        .step("beginning to found an organizer")?;
    let account_id = accounts::lock(&tx, grant.account()).await?;
    // Of two first events at once, the second one is the organizer's that the first has founded.
    let memberships = read(&tx, grant.account()).await?;
    if !memberships.is_empty() {
        return Ok(choose(&memberships, None, grant.permission));
    }
    let founded = write(&tx, grant.account(), account_id).await?;
    tx.commit().await.step("founding an organizer")?;
    Ok(Ok(founded))
}

async fn read(
    db: &impl ConnectionTrait,
    account: &Account,
) -> Result<Vec<(OrganizerId, Role)>, Fault> {
    of_member(account)
        .column(member::Column::Role)
        .into_tuple()
        .all(db)
        .await
        .step("reading an account's memberships")
}

fn choose(
    memberships: &[(OrganizerId, Role)],
    asked: Option<OrganizerId>,
    permission: Permission,
) -> Result<OrganizerId, NoOrganizer> {
    if let Some(asked) = asked {
        let mut among = memberships.iter();
        let is_theirs = among.any(|(id, role)| *id == asked && allows(*role, permission));
        return if is_theirs {
            Ok(asked)
        } else {
            Err(NoOrganizer::Unknown)
        };
    }
    let mut owned = memberships
        .iter()
        .filter(|(_, role)| *role == Role::Owner)
        .map(|(id, _)| *id);
    match (owned.next(), owned.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) | (None, _) => Err(NoOrganizer::Unsaid),
    }
}

/// Founds the account's organizer. One that is there was founded by a release that knew of no members: whoever has founded one
/// and is no member any more has handed it over.
async fn write(
    tx: &impl ConnectionTrait,
    account: &Account,
    account_id: CustomerId,
) -> Result<OrganizerId, Fault> {
    use organizer::Column;
    organizer::Entity::insert(organizer::ActiveModel {
        id: Set(OrganizerId::mint()),
        issuer: Set(account.issuer.clone()),
        subject: Set(account.subject.clone()),
        name: Set(account.subject.clone()),
        created_at: Set(time::now()),
    })
    .on_conflict(
        OnConflict::columns([Column::Issuer, Column::Subject])
            .do_nothing()
            .to_owned(),
    )
    .exec_without_returning(tx)
    .await
    .step("founding an organizer")?;
    let organizer = organizer::Entity::find()
        .filter(Column::Issuer.eq(&account.issuer))
        .filter(Column::Subject.eq(&account.subject))
        .one(tx)
        .await
        .step("reading an organizer")?
        .expect("an organizer is never deleted, and was written or there before");
    member::ActiveModel {
        organizer_id: Set(organizer.id),
        account_id: Set(account_id),
        role: Set(Role::Owner),
        created_at: Set(time::now()),
    }
    .insert(tx)
    .await
    .step("writing an organizer's first owner")?;
    Ok(organizer.id)
}

/// Gives organizers that an earlier release has founded their owner: before this one's servers run, the step of the schema does,
/// but a server of that release may run on beside them for a while.
///
/// # Errors
/// When the database fails.
pub async fn adopt(store: &Store) -> Result<(), Fault> {
    let step = "giving organizers their owners";
    let is_without =
        "NOT EXISTS (SELECT 1 FROM members WHERE members.organizer_id = organizers.id)";
    for statement in [
        format!(
            "INSERT INTO customers (id, issuer, subject, created_at)
             SELECT id, issuer, subject, created_at FROM organizers WHERE {is_without}
             ON CONFLICT (issuer, subject) DO NOTHING"
        ),
        format!(
            "INSERT INTO members (organizer_id, account_id, role, created_at)
             SELECT organizers.id, customers.id, 'OWNER', organizers.created_at
             FROM organizers JOIN customers
                 ON customers.issuer = organizers.issuer AND customers.subject = organizers.subject
             WHERE {is_without}
             ON CONFLICT (organizer_id, account_id) DO NOTHING"
        ),
    ] {
        store
            .writer()
            .execute_unprepared(&statement)
            .await
            .step(step)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_what_one_owns_alone_needs_no_word() {
        let id = |n| OrganizerId(Uuid::from_u128(n));
        let choose = |all: &[(u128, Role)], asked: Option<u128>| {
            let all: Vec<_> = all.iter().map(|(n, role)| (id(*n), *role)).collect();
            choose(&all, asked.map(id), Permission::Catalogue)
        };
        let (manager, owner) = (Role::Manager, Role::Owner);
        assert_eq!(choose(&[(1, owner), (2, manager)], None), Ok(id(1)));
        assert_eq!(choose(&[(1, manager)], None), Err(NoOrganizer::Unsaid));
        let both = [(1, owner), (2, owner), (3, Role::Reader)];
        assert_eq!(choose(&both, None), Err(NoOrganizer::Unsaid));
        assert_eq!(choose(&both, Some(2)), Ok(id(2)));
        assert_eq!(choose(&both, Some(3)), Err(NoOrganizer::Unknown));
        assert_eq!(choose(&both, Some(4)), Err(NoOrganizer::Unknown));
    }
}
