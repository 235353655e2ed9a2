//! An organizer's keys for machines.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::organizer_id;
use crate::{
    auth::Permission,
    entity::api_key,
    graphql::{
        access::permit_for,
        caller, deadline, domain,
        global_id::GlobalId,
        user_error::{UserError, split},
    },
    ids::ApiKeyId,
    organizers::{self, CreateKeyCode, NewKey, RevokeKeyCode, Scope},
    refusal::Refusal,
};

/// What a key allows, for its organizer alone. No key can make others or change members.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Scope")]
pub enum ApiKeyScope {
    /// To see drafts, audits and why tickets are blocked.
    Read,
    /// To hold, buy and give back tickets in a customer's name.
    Sell,
    /// To block and unblock tickets.
    Block,
    /// To create and change events, ticket types and tickets.
    Catalogue,
    /// To cancel orders and events.
    Cancel,
}

pub struct ApiKey(api_key::Model);

impl From<api_key::Model> for ApiKey {
    fn from(row: api_key::Model) -> Self {
        Self(row)
    }
}

/// A key with which a machine acts for an organizer.
#[Object]
impl ApiKey {
    /// Unique among all objects, and opaque.
    pub async fn id(&self) -> ID {
        GlobalId::ApiKey(self.0.id).encode()
    }

    /// What it is for, in its organizer's words.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What the key begins with, to recognize it by. The rest of it is nowhere.
    async fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// What it allows.
    async fn scopes(&self) -> Vec<ApiKeyScope> {
        let scopes = organizers::scopes_of(&self.0);
        scopes.into_iter().map(ApiKeyScope::from).collect()
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// From this instant on it is no longer good; null when it is good until it is revoked.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }

    /// When it was last used, to the minute; null when it never was.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }

    /// When it was revoked; null when it was not.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
}

/// The key of this id; none for everybody but its organizer's owners.
pub async fn find_key(ctx: &Context<'_>, id: ApiKeyId) -> Result<Option<ApiKey>> {
    let Ok(grant) = caller(ctx).staff(Permission::Administer) else {
        return Ok(None);
    };
    let key = organizers::key_by_id(&domain(ctx).store, &grant, id);
    Ok(deadline::read(ctx, key).await?.map(ApiKey::from))
}

/// A key to be made.
#[derive(InputObject)]
pub struct CreateApiKeyInput {
    /// The organizer for whom it acts: one of yours.
    organizer_id: ID,
    /// What it is for, at most 200 characters.
    name: String,
    /// What it allows; at least one.
    scopes: Vec<ApiKeyScope>,
    /// From when on it is no longer good; if absent, it is good until it is revoked.
    expires_at: Option<DateTime<Utc>>,
}

/// A key to be revoked.
#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    /// Which key.
    id: ID,
}

/// Why no key is made.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "CreateKeyCode")]
pub enum CreateApiKeyErrorCode {
    /// There is no such organizer of yours.
    UnknownOrganizer,
    /// The name is empty, too long or not one line.
    InvalidName,
    /// No scope is given.
    NoScopes,
    /// The end of the key's time is not in the future.
    InvalidExpiry,
    /// The organizer has 100 keys that are good: revoke one.
    TooManyKeys,
}

/// Why a key is not revoked.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RevokeKeyCode")]
pub enum RevokeApiKeyErrorCode {
    /// There is no such key of yours.
    UnknownKey,
}

/// The answer of `createApiKey`.
#[derive(SimpleObject)]
pub struct CreateApiKeyPayload {
    /// The key; null when it was refused.
    api_key: Option<ApiKey>,
    /// What the machine sends: `Authorization: Bearer rlk_…`. It is shown this once; null when it was refused.
    secret: Option<String>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<CreateApiKeyErrorCode>>,
}

/// The answer of `revokeApiKey`.
#[derive(SimpleObject)]
pub struct RevokeApiKeyPayload {
    /// The key as it is now; null when it was refused.
    api_key: Option<ApiKey>,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<RevokeApiKeyErrorCode>>,
}

#[derive(Default)]
pub struct KeyMutation;

#[Object]
impl KeyMutation {
    /// Makes a key with which a machine acts for an organizer of yours: a shop's backend, a box office. Needs the token of one
    /// of its owners.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For whom, and what it allows.")] input: CreateApiKeyInput,
    ) -> Option<Result<CreateApiKeyPayload>> {
        Some(deadline::done(ctx, create_api_key(ctx, input)).await)
    }

    /// Ends a key, for ever: from the answer on it allows nothing, on any server. Revoking twice changes nothing. Needs the
    /// token of one of its organizer's owners.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] input: RevokeApiKeyInput,
    ) -> Option<Result<RevokeApiKeyPayload>> {
        Some(deadline::done(ctx, revoke_api_key(ctx, input)).await)
    }
}

async fn create_api_key(
    ctx: &Context<'_>,
    input: CreateApiKeyInput,
) -> Result<CreateApiKeyPayload> {
    let grant = caller(ctx).staff(Permission::Administer)?;
    let new = NewKey {
        name: input.name,
        scopes: input.scopes.into_iter().map(Scope::from).collect(),
        expires_at: input.expires_at,
    };
    let answer = match organizer_id(&input.organizer_id) {
        Some(id) if permit_for(ctx, &grant, id).await? => {
            organizers::create_key(&domain(ctx).store, &grant, id, new).await?
        }
        Some(_) | None => Err(vec![Refusal::unknown_organizer(
            CreateKeyCode::UnknownOrganizer,
        )]),
    };
    let (made, user_errors) = split(answer);
    let (api_key, secret) = made
        .map(|made| (ApiKey::from(made.row), made.secret))
        .unzip();
    Ok(CreateApiKeyPayload {
        api_key,
        secret,
        user_errors,
    })
}

async fn revoke_api_key(
    ctx: &Context<'_>,
    input: RevokeApiKeyInput,
) -> Result<RevokeApiKeyPayload> {
    let grant = caller(ctx).staff(Permission::Administer)?;
    let answer = match GlobalId::decode(&input.id).and_then(GlobalId::api_key) {
        Some(id) => organizers::revoke_key(&domain(ctx).store, &grant, id).await?,
        None => Err(vec![organizers::unknown_key()]),
    };
    let (key, user_errors) = split(answer);
    Ok(RevokeApiKeyPayload {
        api_key: key.map(ApiKey::from),
        user_errors,
    })
}
