//! Who a buyer is here: a token's issuer and subject, mapped once to an id.
//!
//! New buyers are written in statements of their own before the sale's transaction begins, a whole batch in one: inside,
//! the unique index could make the sale wait for another process while it holds its locks.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, sea_query::Expr,
};

use super::{
    lane::{DATABASE_WAIT_MAX, bounded},
    sql,
};
use crate::{
    auth::Account,
    entity::customer,
    fault::{Fault, Step},
    ids::CustomerId,
    store::bulk::{self, Kind},
};

/// Remembered buyers.
const CACHE_LEN_MAX: usize = 100_000;

/// How long a process remembers a buyer. An account keeps its id until it is erased, which other processes do not hear of: what
/// it buys there within this time belongs to whom it was.
const KNOWN_FOR: Duration = Duration::from_secs(60);

pub struct Customers {
    known: Cache<Account, Known>,
}

#[derive(Clone, Copy)]
struct Known {
    id: CustomerId,
    since: Instant,
}

impl Customers {
    pub fn new() -> Self {
        Self {
            known: Cache::new(CACHE_LEN_MAX),
        }
    }

    pub fn known(&self, account: &Account) -> Option<CustomerId> {
        let known = self.known.get(account)?;
        (known.since.elapsed() < KNOWN_FOR).then_some(known.id)
    }

    /// Forgets an account that was erased.
    pub fn forget(&self, account: &Account) {
        self.known.remove(account);
    }

    /// The id of one account, new if it has none yet.
    pub async fn id_of(
        &self,
        db: &DatabaseConnection,
        account: &Account,
    ) -> Result<CustomerId, Fault> {
        if let Some(id) = self.known(account) {
            return Ok(id);
        }
        let found = self.identify(db, vec![account.clone()]).await?;
        let (_, id) = found
            .first()
            .expect("an account that was asked for has an id");
        Ok(*id)
    }

    /// Makes sure that each account has an id, and returns all of them.
    pub async fn identify(
        &self,
        db: &DatabaseConnection,
        accounts: Vec<Account>,
    ) -> Result<Vec<(Account, CustomerId)>, Fault> {
        let mut found = read(db, &accounts).await?;
        let known: HashSet<&Account> = found.iter().map(|(account, _)| account).collect();
        let mut new: Vec<Account> = accounts
            .iter()
            .filter(|account| !known.contains(account))
            .cloned()
            .collect();
        // In one order for all processes: two that insert the same buyers crosswise would wait for each other.
        new.sort_unstable_by(|a, b| (&a.issuer, &a.subject).cmp(&(&b.issuer, &b.subject)));
        if !new.is_empty() {
            let created_at = crate::time::now();
            let rows = new.iter().map(|account| customer::Model {
                id: CustomerId::mint(),
                issuer: account.issuer.clone(),
                subject: account.subject.clone(),
                created_at,
            });
            let backend = db.get_database_backend();
            let statement = sql::insert_customers(backend, rows);
            bounded(
                backend,
                DATABASE_WAIT_MAX,
                "writing customers",
                db.execute_raw(statement),
            )
            .await?;
            // Another process may have been first: what the database holds counts.
            found.extend(read(db, &new).await?);
        }
        for (account, id) in &found {
            let since = Instant::now();
            self.known.insert(account.clone(), Known { id: *id, since });
        }
        Ok(found)
    }
}

/// The id of an account that has bought before.
pub async fn find(
    db: &impl ConnectionTrait,
    account: &Account,
) -> Result<Option<CustomerId>, Fault> {
    customer::Entity::find()
        .filter(customer::Column::Issuer.eq(&account.issuer))
        .filter(customer::Column::Subject.eq(&account.subject))
        .one(db)
        .await
        .map(|row| row.map(|row| row.id))
        .step("reading a customer")
}

async fn read(
    db: &DatabaseConnection,
    accounts: &[Account],
) -> Result<Vec<(Account, CustomerId)>, Fault> {
    let backend = db.get_database_backend();
    let rows = accounts
        .iter()
        .map(|account| {
            vec![
                account.issuer.clone().into(),
                account.subject.clone().into(),
            ]
        })
        .collect();
    let (source, values) = bulk::rows_source(backend, &[Kind::Text, Kind::Text], rows);
    let query = customer::Entity::find()
        .filter(Expr::cust_with_values(
            format!("(issuer, subject) IN ({source})"),
            values,
        ))
        .all(db);
    Ok(
        bounded(backend, DATABASE_WAIT_MAX, "reading customers", query)
            .await?
            .into_iter()
            .map(|row| {
                (
                    Account {
                        issuer: row.issuer,
                        subject: row.subject,
                    },
                    row.id,
                )
            })
            .collect(),
    )
}
