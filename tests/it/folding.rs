//! Folding the counts of tickets: beside who asks for them, by several processes, and after one that stopped or died.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use crate::{
    catalogue::{availability, counts},
    harness::{Database, Server, eventually, rows, seed},
};

/// The upkeep comes every half second.
const FOLDED_WITHIN: Duration = Duration::from_secs(30);

const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Deltas that stay to be folded.
async fn deltas_len(rows: &DatabaseConnection) -> i64 {
    number(rows, "SELECT COUNT(*) FROM ticket_count_deltas").await
}

async fn number(rows: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(rows.get_database_backend(), sql);
    let row = rows.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn all_folded(rows: &DatabaseConnection) {
    eventually("the end of folding", FOLDED_WITHIN, async || {
        (deltas_len(rows).await == 0).then_some(())
    })
    .await;
}

fn told(available: i64, held: i64, sold: i64, blocked: i64) -> Value {
    let total = available + held + sold + blocked;
    json!({ "total": total, "available": available, "sold": sold, "held": held, "blocked": blocked })
}

on_both_databases! {
    async fn what_is_left_of_a_ticket_type_that_is_gone_is_dropped(database: Database) {
        let _server = Server::start(&database).await;
        let hand = database.connect().await;
        insert_deltas(&hand, 3, "SELECT {id} AS event_id, {id} AS id").await;
        all_folded(&hand).await;
        assert_eq!(number(&hand, "SELECT COUNT(*) FROM ticket_counts").await, 0);
        hand.close().await.unwrap();
    }
}

/// Appends so many deltas of one available ticket each, of every type that `types` selects.
async fn insert_deltas(hand: &DatabaseConnection, len: usize, types: &str) {
    let id = match hand.get_database_backend() {
        DbBackend::Postgres => "gen_random_uuid()",
        _ => "randomblob(16)",
    };
    let types = types.replace("{id}", id);
    let sql = format!(
        "INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
         WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {len})
         SELECT types.event_id, types.id, {id}, 1, 0, 0, 0 FROM ({types}) AS types CROSS JOIN many"
    );
    hand.execute_unprepared(&sql).await.unwrap();
}

/// Nobody can sell these tickets; only the counts know them.
const IMAGINED: usize = 20_000;

const OF_ALL_TYPES: &str = "SELECT event_id, id FROM ticket_types";

/// Two processes fold as fast as they can, both are asked all the time, and no answer lacks a delta or has one twice.
#[tokio::test(flavor = "multi_thread")]
async fn folding_by_two_processes_is_noticed_by_nobody() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    fold_while_asked(&database, &servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folding_on_sqlite_is_noticed_by_nobody() {
    let database = Database::sqlite().await;
    let servers = [Server::start(&database).await];
    fold_while_asked(&database, &servers).await;
}

async fn fold_while_asked(database: &Database, servers: &[Server]) {
    let event = seed::places(&servers[0].client(), 5).await;
    let hand = database.connect().await;
    insert_deltas(&hand, IMAGINED, OF_ALL_TYPES).await;
    let expected = i64::try_from(IMAGINED).unwrap() + 5;
    let asking = join_all(servers.iter().map(|server| {
        let client = server.client();
        let (hand, event) = (&hand, &event);
        async move {
            loop {
                let now = availability(&client, &event.ticket_type_id).await;
                assert_eq!(now, told(expected, 0, 0, 0));
                if deltas_len(hand).await == 0 {
                    return;
                }
            }
        }
    }));
    tokio::time::timeout(FOLDED_WITHIN, asking)
        .await
        .expect("all is folded in time");
    let folded = "SELECT available FROM ticket_counts";
    assert_eq!(number(&hand, folded).await, expected);
    hand.close().await.unwrap();
}

/// Wherever in its round a process is stopped, another one goes on, and what is appended is folded.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_while_it_folds_keeps_no_other_from_it() {
    let database = Database::postgres().await;
    let stopped = Server::start(&database).await;
    let going = Server::start(&database).await;
    let event = seed::places(&going.client(), 5).await;
    let hand = database.connect().await;
    insert_deltas(&hand, IMAGINED, OF_ALL_TYPES).await;
    eventually("the beginning of folding", FOLDED_WITHIN, async || {
        (deltas_len(&hand).await < i64::try_from(IMAGINED).unwrap()).then_some(())
    })
    .await;
    stopped.sigstop();
    insert_deltas(&hand, 100, OF_ALL_TYPES).await;
    all_folded(&hand).await;
    let expected = i64::try_from(IMAGINED).unwrap() + 105;
    let now = availability(&going.client(), &event.ticket_type_id).await;
    assert_eq!(now, told(expected, 0, 0, 0));
    stopped.sigcont();
    hand.close().await.unwrap();
}

/// The rows of a hold are locked, so that nobody can tidy them when it is over: they are available all the same.
/// What was on its way out at a crash goes, and what must stay, because it was sold once, is counted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_removal_leaves_the_counts_right() {
    let database = Database::sqlite().await;
    let (event, ordered) = {
        let mut server = Server::start(&database).await;
        let event = seed::places(&server.client(), 5).await;
        rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
        let ada = server.client().customer("ada");
        let order = ada
            .purchase_ticket(&event.tickets[0].id, "one")
            .await
            .sold();
        let ordered = ada.cancel_order(&order.id, None, None, "back").await;
        server.terminate();
        server.wait_exit(ENDED_WITHIN).await;
        (event, ordered)
    };
    let hand = database.connect().await;
    for statement in [
        "INSERT INTO ticket_imports (event_id, id, created_at)
            SELECT id, x'01a20b1cecfa715b9abb66f6781020c0', created_at FROM events",
        "UPDATE tickets SET import_id = x'01a20b1cecfa715b9abb66f6781020c0'
            WHERE id IN (SELECT ticket_id FROM order_items)
                OR id = (SELECT MAX(id) FROM tickets WHERE id NOT IN (SELECT ticket_id FROM order_items))",
        "INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
            SELECT event_id, id, randomblob(16), -2, 0, 0, 0 FROM ticket_types",
    ] {
        hand.execute_unprepared(statement).await.unwrap();
    }
    hand.close().await.unwrap();
    rows::assert_clean(&database).await;

    let server = Server::start(&database).await;
    let now = availability(&server.client(), &event.ticket_type_id).await;
    assert_eq!(now, counts(4, 4, 0));
    rows::assert_conserved(&database, &[ordered]).await;
}
