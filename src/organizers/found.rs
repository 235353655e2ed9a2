//! For whom a new event is created.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait,
    QueryFilter, QuerySelect, QueryTrait, sea_query::OnConflict,
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
    /// Theirs do not let them.
    NotInRole,
    /// There are several: it must be said which.
    Several,
}

/// The organizer for whom an event is created: the one that is asked for, or the only one that there is. None for whom there
/// is none: their first event founds one, see [`found`].
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
    // Somebody else owns by now what this account has founded once.
    Ok(founded.ok_or(NoOrganizer::NotInRole))
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
    let mut among = memberships
        .iter()
        .filter(|(id, _)| asked.is_none_or(|asked| asked == *id))
        .peekable();
    if among.peek().is_none() {
        return Err(NoOrganizer::Unknown);
    }
    let mut allowed = among.filter(|(_, role)| allows(*role, permission));
    match (allowed.next(), allowed.next()) {
        (None, _) => Err(NoOrganizer::NotInRole),
        (Some((id, _)), None) => Ok(*id),
        (Some(_), Some(_)) => Err(NoOrganizer::Several),
    }
}

/// Founds the account's organizer. One without any member was founded by a release that knew of no members.
async fn write(
    tx: &impl ConnectionTrait,
    account: &Account,
    account_id: CustomerId,
) -> Result<Option<OrganizerId>, Fault> {
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
    let members = member::Entity::find()
        .filter(member::Column::OrganizerId.eq(organizer.id))
        .count(tx)
        .await
        .step("counting an organizer's members")?;
    if members > 0 {
        return Ok(None);
    }
    member::ActiveModel {
        organizer_id: Set(organizer.id),
        account_id: Set(account_id),
        role: Set(Role::Owner),
        created_at: Set(time::now()),
    }
    .insert(tx)
    .await
    .step("writing an organizer's first owner")?;
    Ok(Some(organizer.id))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_only_one_that_allows_it_is_meant_and_of_two_it_must_be_said_which() {
        let id = |n| OrganizerId(Uuid::from_u128(n));
        let choose = |all: &[(u128, Role)], asked: Option<u128>| {
            let all: Vec<_> = all.iter().map(|(n, role)| (id(*n), *role)).collect();
            choose(&all, asked.map(id), Permission::Catalogue)
        };
        let (manager, reader) = (Role::Manager, Role::Reader);
        assert_eq!(choose(&[(1, manager), (2, reader)], None), Ok(id(1)));
        let both = [(1, manager), (2, Role::Owner)];
        assert_eq!(choose(&both, None), Err(NoOrganizer::Several));
        assert_eq!(choose(&both, Some(2)), Ok(id(2)));
        assert_eq!(choose(&both, Some(3)), Err(NoOrganizer::Unknown));
        let denied = Err(NoOrganizer::NotInRole);
        assert_eq!(choose(&[(2, reader)], None), denied);
        assert_eq!(choose(&[(1, manager), (2, reader)], Some(2)), denied);
    }
}
