//! Forgetting who a customer is.

use std::sync::Arc;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait,
    sea_query::{Expr, LockType},
};

use super::{Sales, customers::Customers};
use crate::{
    auth::{Account, RESERVED_ISSUERS},
    entity::{
        customer::{Column, Entity},
        event, hold, member, order, organizer,
    },
    fault::{Fault, Step},
    ids::CustomerId,
    refusal::{Answer, Refusal, refused},
    store::Store,
    time,
};

/// Why an account is not erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseCode {
    /// What was confirmed is another account.
    OtherAccount,
    /// It acts for an organizer.
    IsMember,
    /// It has tickets of an event that is to come, or holds some: forgotten, it could have as many again.
    HasTickets,
}

impl Sales {
    /// Forgets who an account is: its issuer and subject, which stand in one row. What it has bought stays what it is, and is
    /// nobody's for whom a token speaks. Erasing what is not there changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn erase(&self, account: &Account, confirmed: &str) -> Answer<(), EraseCode> {
        if confirmed != account.subject {
            return refused(Refusal::at(
                EraseCode::OtherAccount,
                "subject",
                "this is not the subject of your token: nothing was erased",
            ));
        }
        let (store, customers) = (Arc::clone(&self.store), Arc::clone(&self.customers));
        let account = account.clone();
        self.store
            .to_its_end(async move { erase(&store, &customers, &account).await })
            .await
    }
}

async fn erase(store: &Store, customers: &Customers, account: &Account) -> Answer<(), EraseCode> {
    let step = "erasing an account";
    let tx = store.begin_writing().await.step(step)?;
    let mut query = Entity::find()
        .filter(Column::Issuer.eq(&account.issuer))
        .filter(Column::Subject.eq(&account.subject));
    // SQLite's transaction is the lock.
    if tx.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let Some(row) = query.one(&tx).await.step(step)? else {
        return Ok(Ok(()));
    };
    if is_staff(&tx, row.id, account).await? {
        return refused(Refusal::new(
            EraseCode::IsMember,
            "you act for an organizer: leave it first",
        ));
    }
    if has_tickets(&tx, row.id).await? {
        return refused(Refusal::new(
            EraseCode::HasTickets,
            "you have tickets of an event that is to come, or hold some: cancel or release them, or come back after it",
        ));
    }
    Entity::update_many()
        .col_expr(
            Column::Issuer,
            Expr::val(format!("{RESERVED_ISSUERS}erased")),
        )
        .col_expr(Column::Subject, Expr::val(row.id.to_string()))
        .filter(Column::Id.eq(row.id))
        .exec(&tx)
        .await
        .step(step)?;
    tx.commit().await.step(step)?;
    customers.forget(account);
    Ok(Ok(()))
}

/// A member, or who has founded an organizer that has none yet.
async fn is_staff(
    tx: &impl ConnectionTrait,
    id: CustomerId,
    account: &Account,
) -> Result<bool, Fault> {
    let step = "looking for memberships";
    let memberships = member::Entity::find().filter(member::Column::AccountId.eq(id));
    let founded = organizer::Entity::find()
        .filter(organizer::Column::Issuer.eq(&account.issuer))
        .filter(organizer::Column::Subject.eq(&account.subject));
    Ok(memberships.count(tx).await.step(step)? + founded.count(tx).await.step(step)? > 0)
}

async fn has_tickets(tx: &impl ConnectionTrait, id: CustomerId) -> Result<bool, Fault> {
    let step = "looking for tickets of events to come";
    let to_come = event::Entity::find()
        .select_only()
        .column(event::Column::Id)
        .filter(event::Column::StartsAt.gt(time::now()));
    let orders = order::Entity::find()
        .filter(order::Column::CustomerId.eq(id))
        .filter(order::Column::Status.eq(order::Status::Confirmed))
        .filter(order::Column::EventId.in_subquery(to_come.into_query()));
    let holds = hold::Entity::find()
        .filter(hold::Column::CustomerId.eq(id))
        .filter(hold::Column::Status.eq(hold::Status::Active))
        .filter(hold::Column::HeldUntil.gt(time::now()));
    Ok(orders.count(tx).await.step(step)? + holds.count(tx).await.step(step)? > 0)
}
