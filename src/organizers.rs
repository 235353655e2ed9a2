//! Who sells, and who may act for them: members with their roles, and keys for machines.
//!
//! Whatever staff act on is found by a statement that looks among those of [`allowed_ids`], so that what is not theirs is as unknown as what is not there, by the same statements and with the same
//! words. Only who is a member, in a role that does not allow it, is told so, by [`check`], before.
//!
//! Knows nothing about GraphQL, HTTP, tickets or sales.

mod accounts;
mod found;
mod keys;
mod members;
mod names;
mod roles;

use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, SelectStatement},
};

pub use self::{
    found::{NoOrganizer, adopt, found, organizer_for},
    keys::{
        CreateKeyCode, KeyRefused, MadeKey, NewKey, RevokeKeyCode, Scope, authenticate, create_key,
        is_key, key_by_id, keys_of, revoke_key, scopes_of, unknown_key,
    },
    members::{
        Member, RemoveMemberCode, SetMemberCode, members_of, memberships, remove_member, set_member,
    },
    names::{RenameCode, rename},
    roles::allows,
};
use crate::{
    auth::{Account, By, Denial, Grant, Permission},
    entity::{
        api_key, customer, event,
        member::{self, Role},
        organizer,
    },
    fault::{Fault, Step},
    ids::{EventId, OrganizerId},
    store::{Store, dialect::is_one_of},
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

/// The ids of the organizers for whom somebody may do what they are about to, as a subquery.
pub fn allowed_ids(grant: &Grant) -> SelectStatement {
    match grant.staff.by() {
        By::Membership => of_member(grant.account())
            .filter(member::Column::Role.is_in(roles::with(grant.permission)))
            .into_query(),
        // Of a key that was revoked since the request began: none.
        By::Key(key) => api_key::Entity::find_by_id(key.id)
            .select_only()
            .column(api_key::Column::OrganizerId)
            .filter(api_key::Column::RevokedAt.is_null())
            .filter(Expr::val(key.permissions.contains(&grant.permission)))
            .into_query(),
        By::CommandLine => organizer::Entity::find()
            .select_only()
            .column(organizer::Column::Id)
            .into_query(),
    }
}

/// Whether somebody is a member of the event's organizer in a role that does not allow what they are about to do. Of an event
/// that is another organizer's or is not there, nothing is said here.
///
/// # Errors
/// When the database fails.
pub async fn check(store: &Store, grant: &Grant, event_id: EventId) -> Result<Said, Fault> {
    let organizer = event::Entity::find_by_id(event_id)
        .select_only()
        .column(event::Column::OrganizerId);
    check_among(store, grant, organizer.into_query()).await
}

/// As [`check`], of an organizer.
///
/// # Errors
/// When the database fails.
pub async fn check_organizer(store: &Store, grant: &Grant, id: OrganizerId) -> Result<Said, Fault> {
    let organizer = organizer::Entity::find_by_id(id)
        .select_only()
        .column(organizer::Column::Id);
    check_among(store, grant, organizer.into_query()).await
}

/// What somebody's role says to what they are about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Allowed,
    /// They are no member; or a key of another organizer.
    Nothing,
    Denied(Permission),
}

impl Said {
    /// Whether they may.
    ///
    /// # Errors
    /// When they are a member whose role does not allow it.
    pub fn is_allowed(self) -> Result<bool, Denial> {
        match self {
            Self::Allowed => Ok(true),
            Self::Nothing => Ok(false),
            Self::Denied(needs) => Err(Denial::NotInRole { needs }),
        }
    }
}

async fn check_among(
    store: &Store,
    grant: &Grant,
    organizer: SelectStatement,
) -> Result<Said, Fault> {
    let reader = store.reader();
    let step = "reading what a member may do";
    if !matches!(grant.staff.by(), By::Membership) {
        let among = organizer::Entity::find()
            .filter(organizer::Column::Id.in_subquery(organizer))
            .filter(organizer::Column::Id.in_subquery(allowed_ids(grant)));
        let found = among.one(reader).await.step(step)?;
        return Ok(match found {
            Some(_) => Said::Allowed,
            None => Said::Nothing,
        });
    }
    let role: Option<Role> = of_member(grant.account())
        .select_only()
        .column(member::Column::Role)
        .filter(member::Column::OrganizerId.in_subquery(organizer))
        .into_tuple()
        .one(reader)
        .await
        .step(step)?;
    Ok(match role {
        None => Said::Nothing,
        Some(role) if allows(role, grant.permission) => Said::Allowed,
        Some(_) => Said::Denied(grant.permission),
    })
}

/// The memberships of an account; what is selected is the organizer.
fn of_member(account: &Account) -> sea_orm::Select<member::Entity> {
    let own_id = customer::Entity::find()
        .select_only()
        .column(customer::Column::Id)
        .filter(customer::Column::Issuer.eq(&account.issuer))
        .filter(customer::Column::Subject.eq(&account.subject));
    member::Entity::find()
        .select_only()
        .column(member::Column::OrganizerId)
        .filter(member::Column::AccountId.in_subquery(own_id.into_query()))
}
