//! The tests of the guarantee prove themselves: with the lock taken away they see an oversell.
//!
//! The server here is the product's sources with the lock clause left out. On PostgreSQL, with the unique index dropped
//! too, tickets are sold twice; with the index in place each sale that the missing lock lets through is refused by the
//! database and answered as a refusal. On SQLite the counterpart is a transaction that does not begin as a writer.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why on stderr"
)]

#[macro_use]
#[path = "../../harness/harness.rs"]
mod harness;

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use harness::{Client, Database, Outcome, Server, rows, seed};
use rowlock::{entity::organizer, ids::OrganizerId};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, PaginatorTrait, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

/// The binary under test.
fn server() -> &'static str {
    env!("CARGO_BIN_EXE_rowlock-without-lock")
}

/// An oversell is a matter of chance: this many rounds, each of many races, have never gone without one.
const ROUNDS_MAX: usize = 20;

const SEATS: usize = 20;
const BUYERS_OF_A_SEAT: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lock_and_the_index_tickets_are_sold_twice() {
    let database = Database::postgres().await;
    let rows = database.connect().await;
    rows.execute_unprepared("DROP INDEX order_items_one_owner")
        .await
        .unwrap();
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    for _ in 0..ROUNDS_MAX {
        race(&servers).await;
        if oversold_len(&rows).await > 0 {
            return;
        }
    }
    panic!(
        "in {ROUNDS_MAX} rounds no ticket was sold twice: the tests would not notice that the lock is gone"
    );
}

/// The checker of histories, see docs/faults.md, must see it too, within a minute; it takes some seconds.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_lock_and_the_index_the_checker_finds_two_owners() {
    rowlock_faults::use_server(server());
    let break_schema = ["DROP INDEX order_items_one_owner"];
    let time_max = Duration::from_secs(60);
    let found = rowlock_faults::round::find_mutant(1, &break_schema, time_max).await;
    let found = found.expect("the checker does not notice that the lock is gone");
    let is_of_ticket = |kind| kind == rowlock_faults::check::Kind::NotLinearizable;
    assert!(found.iter().any(|it| is_of_ticket(it.kind)), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lock_the_index_refuses_the_second_owner() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.extend(race(&servers).await);
    }
    let sold = rows::orders(&outcomes).len();
    let refused = outcomes
        .iter()
        .filter(|outcome| outcome.is_refused("ALREADY_SOLD"))
        .count();
    let others: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_sold() && !outcome.is_refused("ALREADY_SOLD"))
        .take(5)
        .collect();
    assert_eq!(sold, 3 * SEATS, "{others:?}");
    assert_eq!(sold + refused, outcomes.len(), "{others:?}");
    rows::assert_conserved(&database, &outcomes).await;
}

/// Buyers at both servers want the same seats of a new event at once.
async fn race(servers: &[Server; 2]) -> Vec<Outcome> {
    let event = seed::seats(&servers[0].client(), SEATS).await;
    let clients = [servers[0].client(), servers[1].client()];
    let buyers: Vec<(Client, &str)> = event
        .tickets
        .iter()
        .flat_map(|ticket| (0..BUYERS_OF_A_SEAT).map(move |n| (n, ticket.id.as_str())))
        .map(|(n, ticket)| {
            (
                clients[n % 2].customer(&format!("buyer {n} of {ticket}")),
                ticket,
            )
        })
        .collect();
    join_all(
        buyers
            .iter()
            .map(|(buyer, ticket)| buyer.purchase_ticket(ticket, "mine")),
    )
    .await
}

/// Tickets with more than one owner.
async fn oversold_len(rows: &DatabaseConnection) -> usize {
    let mut owners: HashMap<_, usize> = HashMap::new();
    for item in rows::active_items(rows).await {
        *owners.entry((item.event_id, item.ticket_id)).or_default() += 1;
    }
    owners.values().filter(|owners| **owners > 1).count()
}

/// A deferred transaction that has read what another has changed meanwhile may not write: it fails, however long it would
/// wait. This is what a sale would meet if its transaction did not begin `IMMEDIATE`.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_a_transaction_that_reads_before_it_writes_fails_behind_another() {
    let database = Database::sqlite().await;
    let (one, other) = (writer(&database).await, writer(&database).await);

    let first = begin(&one, SqliteTransactionMode::Deferred).await.unwrap();
    assert_eq!(organizers_len(&first).await, 0);
    let second = begin(&other, SqliteTransactionMode::Deferred)
        .await
        .unwrap();
    assert_eq!(organizers_len(&second).await, 0);
    insert_organizer(&second, "second").await.unwrap();
    second.commit().await.unwrap();

    let refused = insert_organizer(&first, "first").await.unwrap_err();
    assert_eq!(
        sqlite_code(&refused).as_deref(),
        Some(SQLITE_BUSY_SNAPSHOT),
        "{refused}"
    );
}

/// Two that both begin `IMMEDIATE` come one after the other, and the second reads what the first wrote.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_a_transaction_that_begins_immediate_waits_for_the_other() {
    let database = Database::sqlite().await;
    let (one, other) = (writer(&database).await, writer(&database).await);

    let first = begin(&one, SqliteTransactionMode::Immediate).await.unwrap();
    let waiting = tokio::task::JoinSet::from_iter([async move {
        let second = begin(&other, SqliteTransactionMode::Immediate)
            .await
            .unwrap();
        let read = organizers_len(&second).await;
        insert_organizer(&second, "second").await.unwrap();
        second.commit().await.unwrap();
        read
    }]);
    insert_organizer(&first, "first").await.unwrap();
    first.commit().await.unwrap();

    assert_eq!(
        waiting.join_all().await,
        [1],
        "the second saw what the first had written"
    );
    assert_eq!(organizers_len(&one).await, 2);
}

/// <https://sqlite.org/rescode.html#busy_snapshot>
const SQLITE_BUSY_SNAPSHOT: &str = "517";

/// A connection as the server's own writer is: with a journal that readers do not block, and patient.
async fn writer(database: &Database) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .journal_mode(sea_orm::sqlx::sqlite::SqliteJournalMode::Wal)
                .busy_timeout(Duration::from_secs(10))
        });
    sea_orm::Database::connect(options).await.unwrap()
}

async fn begin(
    connection: &DatabaseConnection,
    mode: SqliteTransactionMode,
) -> Result<sea_orm::DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(mode),
        ..Default::default()
    };
    connection.begin_with_options(options).await
}

async fn organizers_len(connection: &impl ConnectionTrait) -> u64 {
    organizer::Entity::find().count(connection).await.unwrap()
}

async fn insert_organizer(connection: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    let organizer = organizer::ActiveModel {
        id: Set(OrganizerId::mint()),
        issuer: Set("rowlock".into()),
        subject: Set(name.into()),
        name: Set(name.into()),
        created_at: Set(chrono::Utc::now()),
    };
    organizer.insert(connection).await.map(drop)
}

/// SQLite's extended result code.
fn sqlite_code(error: &DbErr) -> Option<String> {
    let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) = error else {
        let DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) = error else {
            return None;
        };
        return error
            .as_database_error()?
            .code()
            .map(std::borrow::Cow::into_owned);
    };
    error
        .as_database_error()?
        .code()
        .map(std::borrow::Cow::into_owned)
}
