//! Who may act for an organizer, and as what.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::{Organizer, organizer_id};
use crate::{
    auth::{Account, Permission},
    entity::member::Role,
    graphql::{
        access::permit_for,
        caller, deadline, domain,
        loaders::load,
        user_error::{UserError, split},
    },
    organizers::{self, RemoveMemberCode, SetMemberCode},
    refusal::Refusal,
};

/// What a member may do.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Role")]
pub enum MemberRole {
    /// Everything, and says who else may do what: members, roles and keys.
    Owner,
    /// Events, ticket types, tickets and cancellations, and what the box office may.
    Manager,
    /// Sells in a customer's name, blocks tickets, and sees what readers see.
    BoxOffice,
    /// Sees what readers see.
    Door,
    /// Sees drafts, audits and why tickets are blocked.
    Reader,
}

/// Somebody who may act for an organizer.
pub struct Member(organizers::Member);

impl From<organizers::Member> for Member {
    fn from(member: organizers::Member) -> Self {
        Self(member)
    }
}

/// Somebody who may act for an organizer.
#[Object]
impl Member {
    /// The issuer (`iss`) of their tokens.
    async fn issuer(&self) -> &str {
        &self.0.account.issuer
    }

    /// The subject (`sub`) of their tokens.
    async fn subject(&self) -> &str {
        &self.0.account.subject
    }

    /// What they may do.
    async fn role(&self) -> MemberRole {
        self.0.role.into()
    }

    /// Since when they are a member.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// An organizer for whom you act, and as what.
#[derive(SimpleObject)]
pub struct Membership {
    /// The organizer.
    organizer: Organizer,
    /// What you may do.
    role: MemberRole,
}

/// Of whoever asks, oldest first.
pub async fn memberships(ctx: &Context<'_>) -> Result<Vec<Membership>> {
    let grant = caller(ctx).staff(Permission::Read)?;
    let read = organizers::memberships(&domain(ctx).store, grant.account());
    let roles = deadline::read(ctx, read).await?;
    let mut found = load(ctx).load_many(roles.iter().map(|(id, _)| *id)).await?;
    Ok(roles
        .into_iter()
        .filter_map(|(id, role)| {
            Some(Membership {
                organizer: found.remove(&id)?.into(),
                role: role.into(),
            })
        })
        .collect())
}

/// Who shall be a member, and as what.
#[derive(InputObject)]
pub struct SetMemberInput {
    /// The organizer: one of yours.
    organizer_id: ID,
    /// The issuer (`iss`) of their tokens; your own if absent.
    issuer: Option<String>,
    /// The subject (`sub`) of their tokens. To act, they need a token of role organizer.
    subject: String,
    /// What they may do.
    role: MemberRole,
}

/// Who shall no longer be a member.
#[derive(InputObject)]
pub struct RemoveMemberInput {
    /// The organizer: one of yours.
    organizer_id: ID,
    /// The issuer (`iss`) of their tokens; your own if absent.
    issuer: Option<String>,
    /// The subject (`sub`) of their tokens.
    subject: String,
}

/// Why nobody becomes a member.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "SetMemberCode")]
pub enum SetMemberErrorCode {
    /// There is no such organizer of yours.
    UnknownOrganizer,
    /// No token can have this issuer or this subject.
    InvalidAccount,
    /// The organizer would have no owner any more.
    LastOwner,
    /// The organizer has as many members as an organizer may have.
    TooManyMembers,
}

/// Why a member stays one.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RemoveMemberCode")]
pub enum RemoveMemberErrorCode {
    /// There is no such organizer of yours.
    UnknownOrganizer,
    /// The organizer has no such member.
    UnknownMember,
    /// The organizer would have no owner any more.
    LastOwner,
}

/// The answer of `setMember`.
#[derive(SimpleObject)]
pub struct SetMemberPayload {
    /// The member; null when it was refused.
    member: Option<Member>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<SetMemberErrorCode>>,
}

/// The answer of `removeMember`.
#[derive(SimpleObject)]
pub struct RemoveMemberPayload {
    /// The organizer; null when it was refused.
    organizer: Option<Organizer>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<RemoveMemberErrorCode>>,
}

#[derive(Default)]
pub struct MemberMutation;

#[Object]
impl MemberMutation {
    /// Makes somebody a member of an organizer, or changes what a member may do. Needs the token of one of its owners.
    async fn set_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, of which organizer, and as what.")] input: SetMemberInput,
    ) -> Option<Result<SetMemberPayload>> {
        Some(deadline::done(ctx, set_member(ctx, input)).await)
    }

    /// Ends a membership: from the answer on it allows nothing. Needs the token of one of the organizer's owners.
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and of which organizer.")] input: RemoveMemberInput,
    ) -> Option<Result<RemoveMemberPayload>> {
        Some(deadline::done(ctx, remove_member(ctx, input)).await)
    }
}

async fn set_member(ctx: &Context<'_>, input: SetMemberInput) -> Result<SetMemberPayload> {
    let grant = caller(ctx).staff(Permission::Administer)?;
    let account = account(grant.account(), input.issuer, input.subject);
    let answer = match organizer_id(&input.organizer_id) {
        Some(id) if permit_for(ctx, &grant, id).await? => {
            let store = &domain(ctx).store;
            organizers::set_member(store, &grant, id, account, input.role.into()).await?
        }
        Some(_) | None => Err(vec![Refusal::unknown_organizer(
            SetMemberCode::UnknownOrganizer,
        )]),
    };
    let (member, user_errors) = split(answer);
    Ok(SetMemberPayload {
        member: member.map(Member::from),
        user_errors,
    })
}

async fn remove_member(ctx: &Context<'_>, input: RemoveMemberInput) -> Result<RemoveMemberPayload> {
    let grant = caller(ctx).staff(Permission::Administer)?;
    let account = account(grant.account(), input.issuer, input.subject);
    let id = organizer_id(&input.organizer_id);
    let answer = match id {
        Some(id) if permit_for(ctx, &grant, id).await? => {
            organizers::remove_member(&domain(ctx).store, &grant, id, account).await?
        }
        Some(_) | None => Err(vec![Refusal::unknown_organizer(
            RemoveMemberCode::UnknownOrganizer,
        )]),
    };
    let (removed, user_errors) = split(answer);
    let organizer = match (id, removed) {
        (Some(id), Some(())) => load(ctx).load_one(id).await?,
        (Some(_) | None, _) => None,
    };
    Ok(RemoveMemberPayload {
        organizer: organizer.map(Organizer::from),
        user_errors,
    })
}

fn account(own: &Account, issuer: Option<String>, subject: String) -> Account {
    Account {
        issuer: issuer.unwrap_or_else(|| own.issuer.clone()),
        subject,
    }
}
