//! Who sells, as clients see them, and who may act for them. The account that founded an organizer stays out of the schema.

mod keys;
mod members;

use async_graphql::{Context, Enum, ID, InputObject, MergedObject, Object, Result, SimpleObject};

pub use self::{
    keys::{ApiKey, CreateApiKeyErrorCode, RevokeApiKeyErrorCode, find_key},
    members::{Membership, RemoveMemberErrorCode, SetMemberErrorCode, memberships},
};
use super::{
    access::{permit_for, told_no_member},
    caller, deadline, domain,
    global_id::GlobalId,
    user_error::{UserError, split},
};
use crate::{
    auth::Permission,
    entity::organizer,
    ids::OrganizerId,
    organizers::{self, RenameCode},
    refusal::Refusal,
};
use keys::KeyMutation;
use members::{Member, MemberMutation};

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

    /// Who may act for the organizer, oldest first; at most 200. Needs the token of one of its owners.
    async fn members(&self, ctx: &Context<'_>) -> Option<Result<Vec<Member>>> {
        Some(self.read_members(ctx).await)
    }

    /// The organizer's keys for machines, oldest first, the latest of those that are no longer good too; at most 200. Needs the token of one
    /// of its owners.
    async fn api_keys(&self, ctx: &Context<'_>) -> Option<Result<Vec<ApiKey>>> {
        Some(self.read_keys(ctx).await)
    }
}

impl Organizer {
    async fn read_members(&self, ctx: &Context<'_>) -> Result<Vec<Member>> {
        let grant = caller(ctx).staff(Permission::Administer)?;
        let members = organizers::members_of(&domain(ctx).store, &grant, self.0.id);
        let members = deadline::read(ctx, members).await?;
        let members = members.ok_or_else(told_no_member)?;
        Ok(members.into_iter().map(Member::from).collect())
    }

    async fn read_keys(&self, ctx: &Context<'_>) -> Result<Vec<ApiKey>> {
        let grant = caller(ctx).staff(Permission::Administer)?;
        let keys = organizers::keys_of(&domain(ctx).store, &grant, self.0.id);
        let keys = deadline::read(ctx, keys).await?;
        let keys = keys.ok_or_else(told_no_member)?;
        Ok(keys.into_iter().map(ApiKey::from).collect())
    }
}

/// An organizer to be renamed.
#[derive(InputObject)]
pub struct UpdateOrganizerInput {
    /// Which organizer.
    id: ID,
    /// The name that buyers shall see, at most 200 characters.
    name: String,
}

/// Why an organizer is not changed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RenameCode")]
pub enum UpdateOrganizerErrorCode {
    /// There is no such organizer of yours.
    UnknownOrganizer,
    /// The name is empty, too long or not one line.
    InvalidName,
}

/// The answer of `updateOrganizer`.
#[derive(SimpleObject)]
pub struct UpdateOrganizerPayload {
    /// The organizer as it is now; null when the change was refused.
    organizer: Option<Organizer>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<UpdateOrganizerErrorCode>>,
}

#[derive(Default)]
pub struct NameMutation;

#[Object]
impl NameMutation {
    /// Renames an organizer. It begins with the name of the account whose first event has founded it. Needs the token of one of
    /// its owners.
    async fn update_organizer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which organizer, and its new name.")] input: UpdateOrganizerInput,
    ) -> Option<Result<UpdateOrganizerPayload>> {
        Some(deadline::done(ctx, update_organizer(ctx, input)).await)
    }
}

async fn update_organizer(
    ctx: &Context<'_>,
    input: UpdateOrganizerInput,
) -> Result<UpdateOrganizerPayload> {
    let grant = caller(ctx).staff(Permission::Administer)?;
    let answer = match organizer_id(&input.id) {
        Some(id) if permit_for(ctx, &grant, id).await? => {
            organizers::rename(&domain(ctx).store, &grant, id, input.name).await?
        }
        Some(_) | None => Err(vec![Refusal::unknown_organizer(
            RenameCode::UnknownOrganizer,
        )]),
    };
    let (organizer, user_errors) = split(answer);
    Ok(UpdateOrganizerPayload {
        organizer: organizer.map(Organizer::from),
        user_errors,
    })
}

/// What names no organizer at all is refused like one that is not there.
fn organizer_id(id: &ID) -> Option<OrganizerId> {
    GlobalId::decode(id).and_then(GlobalId::organizer)
}

#[derive(MergedObject, Default)]
pub struct OrganizerMutation(NameMutation, MemberMutation, KeyMutation);
