//! Who may act for an organizer, and as what. There is always an owner.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    JoinType, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, LockType, OnConflict},
};

use super::{accounts, allowed_ids, of_member};
use crate::{
    auth::{Account, Grant, RESERVED_ISSUERS},
    entity::{
        customer,
        member::{self, Column, Entity, Role},
        organizer,
    },
    fault::{Fault, Step},
    ids::{CustomerId, OrganizerId},
    refusal::{Answer, Refusal, refused},
    store::Store,
    time,
};

/// An organizer shows all of its members at once, in one list.
const MEMBERS_PER_ORGANIZER_MAX: u64 = 200;

/// Of an account's memberships so many are listed.
const MEMBERSHIPS_MAX: u64 = 200;

/// A member, and the account behind it.
#[derive(Clone, Debug)]
pub struct Member {
    pub organizer_id: OrganizerId,
    pub account: Account,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// Why nobody becomes a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetMemberCode {
    UnknownOrganizer,
    InvalidAccount,
    LastOwner,
    TooManyMembers,
}

/// Why a member stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveMemberCode {
    UnknownOrganizer,
    UnknownMember,
    LastOwner,
}

/// The organizer's members, oldest first. None when it is none of those whose members somebody may see.
///
/// # Errors
/// When the database fails.
pub async fn members_of(
    store: &Store,
    grant: &Grant,
    id: OrganizerId,
) -> Result<Option<Vec<Member>>, Fault> {
    let rows = with_accounts()
        .filter(Column::OrganizerId.eq(id))
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::AccountId)
        .into_model::<Row>()
        .all(store.reader())
        .await
        .step("reading an organizer's members")?;
    // There is always an owner.
    Ok((!rows.is_empty()).then(|| rows.into_iter().map(Member::from).collect()))
}

/// Whose member an account is, and as what, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn memberships(
    store: &Store,
    account: &Account,
) -> Result<Vec<(OrganizerId, Role)>, Fault> {
    of_member(account)
        .column(Column::Role)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::OrganizerId)
        .limit(MEMBERSHIPS_MAX)
        .into_tuple()
        .all(store.reader())
        .await
        .step("reading an account's memberships")
}

/// Makes the account a member in this role, or changes the role that it has.
///
/// # Errors
/// When the database fails.
pub async fn set_member(
    store: &Arc<Store>,
    grant: &Grant,
    id: OrganizerId,
    account: Account,
    role: Role,
) -> Answer<Member, SetMemberCode> {
    use SetMemberCode as Code;
    // A key is not a member: it says itself what it allows.
    if !account.is_well_formed() || account.issuer.starts_with(RESERVED_ISSUERS) {
        return refused(Refusal::at(
            Code::InvalidAccount,
            "subject",
            "an issuer and a subject have 1 to 255 bytes and no control characters",
        ));
    }
    let grant = grant.clone();
    let writing = store.clone();
    store
        .to_its_end(async move {
            let tx = begin(&writing).await?;
            if !lock(&tx, &grant, id).await? {
                return refused(Refusal::unknown_organizer(Code::UnknownOrganizer));
            }
            let account_id = accounts::lock(&tx, &account).await?;
            let before = role_of(&tx, id, account_id).await?;
            if before == Some(Role::Owner) && role != Role::Owner && owners(&tx, id).await? == 1 {
                return refused(last_owner(Code::LastOwner));
            }
            if before.is_none() {
                let members = Entity::find().filter(Column::OrganizerId.eq(id));
                let len = members.count(&tx).await.step("counting members")?;
                if len >= MEMBERS_PER_ORGANIZER_MAX {
                    return refused(Refusal::new(
                        Code::TooManyMembers,
                        format!("an organizer has at most {MEMBERS_PER_ORGANIZER_MAX} members"),
                    ));
                }
            }
            Entity::insert(member::ActiveModel {
                organizer_id: Set(id),
                account_id: Set(account_id),
                role: Set(role),
                created_at: Set(time::now()),
            })
            .on_conflict(
                OnConflict::columns([Column::OrganizerId, Column::AccountId])
                    .update_column(Column::Role)
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await
            .step("writing a member")?;
            let written = with_accounts()
                .filter(Column::OrganizerId.eq(id))
                .filter(Column::AccountId.eq(account_id))
                .into_model::<Row>()
                .one(&tx)
                .await
                .step("reading a member")?
                .expect("a member that was written is there");
            tx.commit().await.step("writing a member")?;
            Ok(Ok(written.into()))
        })
        .await
}

/// Ends a membership, somebody else's or one's own. From the answer on it allows nothing, in any process.
///
/// # Errors
/// When the database fails.
pub async fn remove_member(
    store: &Arc<Store>,
    grant: &Grant,
    id: OrganizerId,
    account: Account,
) -> Answer<(), RemoveMemberCode> {
    use RemoveMemberCode as Code;
    if !account.is_well_formed() {
        return refused(unknown_member());
    }
    let grant = grant.clone();
    let writing = store.clone();
    store
        .to_its_end(async move {
            let tx = begin(&writing).await?;
            // Whoever leaves may do so in any role.
            let grant = if account == *grant.account() {
                grant.staff.reading()
            } else {
                grant
            };
            if !lock(&tx, &grant, id).await? {
                return refused(Refusal::unknown_organizer(Code::UnknownOrganizer));
            }
            let account_id = accounts::find(&tx, &account, false).await?;
            let role = match account_id {
                Some(account_id) => role_of(&tx, id, account_id).await?,
                None => None,
            };
            let (Some(account_id), Some(role)) = (account_id, role) else {
                return refused(unknown_member());
            };
            if role == Role::Owner && owners(&tx, id).await? == 1 {
                return refused(last_owner(Code::LastOwner));
            }
            Entity::delete_by_id((id, account_id))
                .exec(&tx)
                .await
                .step("removing a member")?;
            hand_over(&tx, id, &account).await?;
            tx.commit().await.step("removing a member")?;
            Ok(Ok(()))
        })
        .await
}

async fn begin(store: &Store) -> Result<DatabaseTransaction, Fault> {
    store
        .begin_writing()
        .await
        .step("beginning a change of members")
}

/// Whether somebody may change the organizer's members; nobody else does until the transaction ends. Asked once more behind
/// the lock: of two owners who remove each other, the second is none any more.
pub(super) async fn lock(
    tx: &impl ConnectionTrait,
    grant: &Grant,
    id: OrganizerId,
) -> Result<bool, Fault> {
    let allowed = || {
        organizer::Entity::find_by_id(id)
            .filter(organizer::Column::Id.in_subquery(allowed_ids(grant)))
    };
    let step = "locking an organizer";
    let mut locked = allowed();
    if tx.get_database_backend() == DbBackend::Postgres {
        locked = locked.lock(LockType::NoKeyUpdate);
    }
    if locked.one(tx).await.step(step)?.is_none() {
        return Ok(false);
    }
    Ok(allowed().one(tx).await.step(step)?.is_some())
}

/// Whoever founded it and leaves may found another one: the organizer is nobody's first any more.
async fn hand_over(
    tx: &impl ConnectionTrait,
    id: OrganizerId,
    account: &Account,
) -> Result<(), Fault> {
    organizer::Entity::update_many()
        .col_expr(
            organizer::Column::Issuer,
            Expr::val(format!("{RESERVED_ISSUERS}handed-over")),
        )
        .col_expr(organizer::Column::Subject, Expr::val(id.to_string()))
        .filter(organizer::Column::Id.eq(id))
        .filter(organizer::Column::Issuer.eq(&account.issuer))
        .filter(organizer::Column::Subject.eq(&account.subject))
        .exec(tx)
        .await
        .step("handing an organizer over")?;
    Ok(())
}

fn unknown_member() -> Refusal<RemoveMemberCode> {
    Refusal::at(
        RemoveMemberCode::UnknownMember,
        "subject",
        "the organizer has no such member",
    )
}

async fn role_of(
    tx: &impl ConnectionTrait,
    id: OrganizerId,
    account_id: CustomerId,
) -> Result<Option<Role>, Fault> {
    let row = Entity::find_by_id((id, account_id)).one(tx).await;
    Ok(row.step("reading a member")?.map(|row| row.role))
}

async fn owners(tx: &impl ConnectionTrait, id: OrganizerId) -> Result<u64, Fault> {
    Entity::find()
        .filter(Column::OrganizerId.eq(id))
        .filter(Column::Role.eq(Role::Owner))
        .count(tx)
        .await
        .step("counting owners")
}

fn last_owner<C>(code: C) -> Refusal<C> {
    Refusal::at(
        code,
        "subject",
        "this is the organizer's only owner: make somebody else one first",
    )
}

fn with_accounts() -> Select<Entity> {
    Entity::find()
        .select_only()
        .columns([Column::OrganizerId, Column::Role, Column::CreatedAt])
        .column(customer::Column::Issuer)
        .column(customer::Column::Subject)
        .join(
            JoinType::InnerJoin,
            sea_orm::RelationDef::from(
                Entity::belongs_to(customer::Entity)
                    .from(Column::AccountId)
                    .to(customer::Column::Id),
            ),
        )
}

#[derive(FromQueryResult)]
struct Row {
    organizer_id: OrganizerId,
    role: Role,
    created_at: DateTime<Utc>,
    issuer: String,
    subject: String,
}

impl From<Row> for Member {
    fn from(row: Row) -> Self {
        Self {
            organizer_id: row.organizer_id,
            account: Account {
                issuer: row.issuer,
                subject: row.subject,
            },
            role: row.role,
            created_at: row.created_at,
        }
    }
}
