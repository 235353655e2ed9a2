//! An account's id, among customers, since it has one, whatever it does; and how it is forgotten.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};

use crate::{
    auth::Account,
    entity::{
        customer::{self, Column, Entity},
        member, organizer,
    },
    fault::{Fault, Step},
    ids::CustomerId,
    refusal::{Answer, Refusal, refused},
    store::Store,
    time,
};

/// The account's id, new if it has none yet.
pub(super) async fn id_of(
    tx: &impl ConnectionTrait,
    account: &Account,
) -> Result<CustomerId, Fault> {
    Entity::insert(customer::ActiveModel {
        id: Set(CustomerId::mint()),
        issuer: Set(account.issuer.clone()),
        subject: Set(account.subject.clone()),
        created_at: Set(time::now()),
    })
    .on_conflict(
        OnConflict::columns([Column::Issuer, Column::Subject])
            .do_nothing()
            .to_owned(),
    )
    .exec_without_returning(tx)
    .await
    .step("writing an account")?;
    Ok(find(tx, account, false)
        .await?
        .expect("an account that was written has an id"))
}

/// As [`id_of`], and nobody else is at the account until the transaction ends: of two requests that found an organizer for it
/// at once, the second finds what the first has done.
pub(super) async fn lock(
    tx: &impl ConnectionTrait,
    account: &Account,
) -> Result<CustomerId, Fault> {
    id_of(tx, account).await?;
    Ok(find(tx, account, true)
        .await?
        .expect("an account that was written has an id"))
}

/// The account's id, if it has one.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    account: &Account,
    is_locked: bool,
) -> Result<Option<CustomerId>, Fault> {
    let mut query = Entity::find()
        .filter(Column::Issuer.eq(&account.issuer))
        .filter(Column::Subject.eq(&account.subject));
    // SQLite's transaction is the lock.
    if is_locked && db.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let row = query.one(db).await.step("reading an account")?;
    Ok(row.map(|row| row.id))
}

/// The issuer of accounts that were erased, one of the reserved ones; their subject is their id.
const ERASED_ISSUER: &str = "rowlock:erased";

/// Why an account is not erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseCode {
    OtherAccount,
    IsMember,
}

/// Forgets who an account is: its issuer and subject, which stand in one row, and in that of the organizer that it has founded.
/// What it has bought stays what it is, and is nobody's whom a token speaks for. Erasing what is not there changes nothing.
///
/// # Errors
/// When the database fails.
pub async fn erase(store: &Arc<Store>, account: Account, confirmed: &str) -> Answer<(), EraseCode> {
    if confirmed != account.subject {
        return refused(Refusal::at(
            EraseCode::OtherAccount,
            "subject",
            "this is not the subject of your token: nothing was erased",
        ));
    }
    let writing = store.clone();
    store
        .to_its_end(async move {
            let step = "erasing an account";
            let tx = writing.begin_writing().await.step(step)?;
            let Some(id) = find(&tx, &account, true).await? else {
                return Ok(Ok(()));
            };
            let memberships = member::Entity::find().filter(member::Column::AccountId.eq(id));
            if memberships.count(&tx).await.step(step)? > 0 {
                return refused(Refusal::new(
                    EraseCode::IsMember,
                    "you act for an organizer: one of its owners ends that first",
                ));
            }
            Entity::update_many()
                .col_expr(Column::Issuer, Expr::val(ERASED_ISSUER))
                .col_expr(Column::Subject, Expr::val(id.to_string()))
                .filter(Column::Id.eq(id))
                .exec(&tx)
                .await
                .step(step)?;
            let founded = organizer::Entity::find()
                .filter(organizer::Column::Issuer.eq(&account.issuer))
                .filter(organizer::Column::Subject.eq(&account.subject));
            if let Some(founded) = founded.one(&tx).await.step(step)? {
                organizer::Entity::update_many()
                    .col_expr(organizer::Column::Issuer, Expr::val(ERASED_ISSUER))
                    .col_expr(
                        organizer::Column::Subject,
                        Expr::val(founded.id.to_string()),
                    )
                    .filter(organizer::Column::Id.eq(founded.id))
                    .exec(&tx)
                    .await
                    .step(step)?;
            }
            tx.commit().await.step(step)?;
            Ok(Ok(()))
        })
        .await
}
