//! Keys for machines: a box office's printer, a shop's backend. Each is one organizer's and says itself what it allows.
//!
//! A key is `rlk_`, eight characters by which it is found, and 256 random bits. The database has its SHA-256: of a secret that
//! nobody can guess, a slow hash would protect no better, and it would be computed with every request.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, sea_query::Expr,
};
use sha2::{Digest, Sha256};

use super::{accounts, allowed_ids, members, names::NAME_LEN_MAX};
use crate::{
    auth::{ApiKey, Grant, Permission},
    entity::{
        api_key::{ActiveModel, Column, Entity, Model},
        organizer,
    },
    fault::{Fault, Step},
    ids::{ApiKeyId, OrganizerId},
    refusal::{Answer, Refusal, refused},
    store::Store,
    text, time,
};

/// Keys that are good at a time.
const KEYS_PER_ORGANIZER_MAX: u64 = 100;

/// An organizer shows all of its keys at once, in one list: those that are good, and the latest of those that were.
const KEYS_LISTED_MAX: u64 = 200;

const MARK: &str = "rlk_";

/// Of a key, in characters: the mark and what it is found by.
const PREFIX_LEN: usize = MARK.len() + 8;

/// Of a key, in characters: the prefix, a `_`, and 32 bytes as base64url.
const KEY_LEN: usize = PREFIX_LEN + 1 + 43;

/// A key's last use is written down this often at most: each time is a write.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// What a key can allow. Who else may do what is for people to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// To see drafts, audits and why tickets are blocked
    Read,
    /// To hold, buy and give back tickets in a customer's name
    Sell,
    /// To block and unblock tickets
    Block,
    /// To create and change events, ticket types and tickets
    Catalogue,
    /// To cancel orders and events
    Cancel,
}

const SCOPES: [Scope; 5] = [
    Scope::Read,
    Scope::Sell,
    Scope::Block,
    Scope::Catalogue,
    Scope::Cancel,
];

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// None: it is good until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was made. What the machine sends is told now and never again.
pub struct MadeKey {
    pub row: Model,
    pub secret: String,
}

/// Why no key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateKeyCode {
    UnknownOrganizer,
    InvalidName,
    NoScopes,
    InvalidExpiry,
    TooManyKeys,
}

/// Why no key is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeKeyCode {
    UnknownKey,
}

/// Why a key is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefused {
    /// It is unknown or revoked, or none.
    Invalid,
    Expired,
}

/// Whether the text wants to be a key. No token of a login service is one.
pub fn is_key(text: &str) -> bool {
    text.starts_with(MARK)
}

/// The machine that sends this key. Asked of the database with every request, so that a key that was revoked is refused from
/// that moment on, by every process.
///
/// # Errors
/// When the database fails.
pub async fn authenticate(
    store: &Arc<Store>,
    key: &str,
) -> Result<Result<ApiKey, KeyRefused>, Fault> {
    if key.len() != KEY_LEN || !key.is_ascii() {
        return Ok(Err(KeyRefused::Invalid));
    }
    let row = Entity::find()
        .filter(Column::Prefix.eq(&key[..PREFIX_LEN]))
        .one(store.reader())
        .await
        .step("reading a key")?;
    let Some(row) = row.filter(|row| is_same(&row.secret_hash, &hash(key))) else {
        return Ok(Err(KeyRefused::Invalid));
    };
    let now = time::now();
    if row.revoked_at.is_some() {
        return Ok(Err(KeyRefused::Invalid));
    }
    if row.expires_at.is_some_and(|end| end <= now) {
        return Ok(Err(KeyRefused::Expired));
    }
    let noted_before = now - USE_NOTED_EVERY;
    if row.last_used_at.is_none_or(|at| at < noted_before) {
        note_use(store, row.id, now, noted_before);
    }
    Ok(Ok(ApiKey {
        id: row.id,
        organizer_id: row.organizer_id,
        permissions: scopes_of(&row).into_iter().map(Scope::permission).collect(),
        expires_at: row.expires_at,
    }))
}

/// Of many requests at once, the first notes it. Nobody waits for it, and a key is as good where it cannot be noted.
fn note_use(store: &Arc<Store>, id: ApiKeyId, now: DateTime<Utc>, noted_before: DateTime<Utc>) {
    let is_due = Condition::any()
        .add(Column::LastUsedAt.is_null())
        .add(Column::LastUsedAt.lt(noted_before));
    let writing = store.clone();
    store.by_the_way(async move {
        let noted = Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::val(now))
            .filter(Column::Id.eq(id))
            .filter(is_due)
            .exec(writing.writer())
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "noting the use of a key failed");
        }
    });
}

/// Makes a key.
///
/// # Errors
/// When the database fails.
pub async fn create_key(
    store: &Arc<Store>,
    grant: &Grant,
    id: OrganizerId,
    new: NewKey,
) -> Answer<MadeKey, CreateKeyCode> {
    use CreateKeyCode as Code;
    let mut refusals = Vec::new();
    if let Err(text) = text::line("a name", &new.name, NAME_LEN_MAX) {
        refusals.push(Refusal::at(Code::InvalidName, "name", text));
    }
    if new.scopes.is_empty() {
        let text = "a key needs at least one scope";
        refusals.push(Refusal::at(Code::NoScopes, "scopes", text));
    }
    let expires_at = new.expires_at.map(time::to_micros);
    if expires_at.is_some_and(|end| end <= time::now()) {
        let text = "the end of a key's time is in the future";
        refusals.push(Refusal::at(Code::InvalidExpiry, "expiresAt", text));
    }
    if !refusals.is_empty() {
        return Ok(Err(refusals));
    }
    let grant = grant.clone();
    let writing = store.clone();
    store
        .to_its_end(async move {
            let step = "making a key";
            let tx = writing.begin_writing().await.step(step)?;
            // Nobody else makes one of this organizer meanwhile, and whoever is owner no more makes none.
            if !members::lock(&tx, &grant, id).await? {
                return refused(Refusal::unknown_organizer(Code::UnknownOrganizer));
            }
            if good_keys(&tx, id).await? >= KEYS_PER_ORGANIZER_MAX {
                return refused(Refusal::new(
                    Code::TooManyKeys,
                    format!("an organizer has at most {KEYS_PER_ORGANIZER_MAX} keys that are good"),
                ));
            }
            forget_oldest(&tx, id).await?;
            let created_by = accounts::lock(&tx, grant.account()).await?;
            let secret = random_key();
            let row = ActiveModel {
                id: Set(ApiKeyId::mint()),
                organizer_id: Set(id),
                name: Set(new.name),
                prefix: Set(secret[..PREFIX_LEN].to_owned()),
                secret_hash: Set(hash(&secret).to_vec()),
                scopes: Set(written(&new.scopes)),
                created_at: Set(time::now()),
                created_by: Set(created_by),
                expires_at: Set(expires_at),
                last_used_at: Set(None),
                revoked_at: Set(None),
            };
            let row = row.insert(&tx).await.step(step)?;
            tx.commit().await.step(step)?;
            Ok(Ok(MadeKey { row, secret }))
        })
        .await
}

/// How many keys of the organizer's allow something.
async fn good_keys(tx: &impl ConnectionTrait, id: OrganizerId) -> Result<u64, Fault> {
    let is_in_time = Condition::any()
        .add(Column::ExpiresAt.is_null())
        .add(Column::ExpiresAt.gt(time::now()));
    Entity::find()
        .filter(Column::OrganizerId.eq(id))
        .filter(Column::RevokedAt.is_null())
        .filter(is_in_time)
        .count(tx)
        .await
        .step("counting keys")
}

/// Of keys that allow nothing any more, the oldest makes room for a new one.
async fn forget_oldest(tx: &impl ConnectionTrait, id: OrganizerId) -> Result<(), Fault> {
    let step = "forgetting an old key";
    let of_organizer = Entity::find().filter(Column::OrganizerId.eq(id));
    if of_organizer.clone().count(tx).await.step(step)? < KEYS_LISTED_MAX {
        return Ok(());
    }
    let is_over = Condition::any()
        .add(Column::RevokedAt.is_not_null())
        .add(Column::ExpiresAt.lte(time::now()));
    let oldest = of_organizer.filter(is_over).order_by_asc(Column::Id);
    if let Some(row) = oldest.one(tx).await.step(step)? {
        Entity::delete_by_id(row.id).exec(tx).await.step(step)?;
    }
    Ok(())
}

/// The organizer's keys, oldest first. None when it is none of those whose keys somebody may see.
///
/// # Errors
/// When the database fails.
pub async fn keys_of(
    store: &Store,
    grant: &Grant,
    id: OrganizerId,
) -> Result<Option<Vec<Model>>, Fault> {
    let step = "reading an organizer's keys";
    let allowed = organizer::Entity::find_by_id(id)
        .filter(organizer::Column::Id.in_subquery(allowed_ids(grant)));
    if allowed.one(store.reader()).await.step(step)?.is_none() {
        return Ok(None);
    }
    Entity::find()
        .filter(Column::OrganizerId.eq(id))
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .order_by_asc(Column::Id)
        .all(store.reader())
        .await
        .step(step)
        .map(Some)
}

/// A key by its id, if it is one of those that somebody may see.
///
/// # Errors
/// When the database fails.
pub async fn key_by_id(store: &Store, grant: &Grant, id: ApiKeyId) -> Result<Option<Model>, Fault> {
    Entity::find_by_id(id)
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .one(store.reader())
        .await
        .step("reading a key")
}

/// Ends a key. From the answer on it allows nothing, in any process; a request that is being answered may end. Revoking
/// twice changes nothing.
///
/// # Errors
/// When the database fails.
pub async fn revoke_key(
    store: &Arc<Store>,
    grant: &Grant,
    id: ApiKeyId,
) -> Answer<Model, RevokeKeyCode> {
    let allowed = allowed_ids(grant);
    let writing = store.clone();
    let revoked = store.to_its_end(async move {
        // The first revocation counts.
        let at = Expr::col(Column::RevokedAt).if_null(time::now());
        Entity::update_many()
            .col_expr(Column::RevokedAt, at)
            .filter(Column::Id.eq(id))
            .filter(Column::OrganizerId.in_subquery(allowed))
            .exec_with_returning(writing.writer())
            .await
            .step("revoking a key")
    });
    match revoked.await?.pop() {
        Some(row) => Ok(Ok(row)),
        None => Ok(Err(vec![unknown_key()])),
    }
}

/// Another organizer's key is as unknown as one that is not there.
pub fn unknown_key() -> Refusal<RevokeKeyCode> {
    Refusal::at(
        RevokeKeyCode::UnknownKey,
        "id",
        "there is no such key of yours",
    )
}

/// What the key allows. What a later release has written is left out.
pub fn scopes_of(row: &Model) -> Vec<Scope> {
    let named = |word: &str| SCOPES.into_iter().find(|scope| scope.name() == word);
    row.scopes.split(' ').filter_map(named).collect()
}

fn written(scopes: &[Scope]) -> String {
    let named = SCOPES.iter().filter(|scope| scopes.contains(scope));
    named
        .map(|scope| scope.name())
        .collect::<Vec<_>>()
        .join(" ")
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Sell => "SELL",
            Self::Block => "BLOCK",
            Self::Catalogue => "CATALOGUE",
            Self::Cancel => "CANCEL",
        }
    }

    fn permission(self) -> Permission {
        match self {
            Self::Read => Permission::Read,
            Self::Sell => Permission::Sell,
            Self::Block => Permission::Block,
            Self::Catalogue => Permission::Catalogue,
            Self::Cancel => Permission::Cancel,
        }
    }
}

fn random_key() -> String {
    let (found_by, secret): ([u8; 6], [u8; 32]) = rand::random();
    format!(
        "{MARK}{}_{}",
        BASE64URL_NOPAD.encode(&found_by),
        BASE64URL_NOPAD.encode(&secret)
    )
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Looks at every byte, wherever they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_prefix_and_known_by_all_of_it() {
        let (one, other) = (random_key(), random_key());
        assert_eq!(one.len(), KEY_LEN);
        assert!(is_key(&one));
        assert_ne!(one[..PREFIX_LEN], other[..PREFIX_LEN]);
        assert!(is_same(&hash(&one), &hash(&one)));
        assert!(!is_same(&hash(&one), &hash(&other)));
        assert!(!is_same(&hash(&one), &hash(&one)[..31]));
    }

    #[test]
    fn scopes_are_read_as_they_were_written() {
        let mut scopes = vec![Scope::Cancel, Scope::Read, Scope::Read];
        assert_eq!(written(&scopes), "READ CANCEL");
        scopes = SCOPES.to_vec();
        assert_eq!(written(&scopes), "READ SELL BLOCK CATALOGUE CANCEL");
    }
}
