//! An account's id: among customers, since it has one, whatever it does.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{LockType, OnConflict},
};

use crate::{
    auth::Account,
    entity::customer::{self, Column, Entity},
    fault::{Fault, Step},
    ids::CustomerId,
    time,
};

/// Of an account that others erase meanwhile, so often.
const TRIES_MAX: usize = 3;

/// The account's id, new if it has none yet. Nobody else is at the account until the transaction ends: of two requests that found
/// an organizer for it at once, the second finds what the first has done, and nobody is erased who becomes a member.
pub(super) async fn lock(
    tx: &impl ConnectionTrait,
    account: &Account,
) -> Result<CustomerId, Fault> {
    let step = "writing an account";
    for _ in 0..TRIES_MAX {
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
        .step(step)?;
        // Who waits here for somebody who erases it finds none.
        if let Some(id) = find(tx, account, true).await? {
            return Ok(id);
        }
    }
    Err(Fault {
        step,
        source: DbErr::RecordNotFound("an account that is erased again and again".to_owned()),
    })
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
