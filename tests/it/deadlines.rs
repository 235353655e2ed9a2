//! A request's time, on a database that is slow or that somebody has locked.
//!
//! PostgreSQL alone: SQLite has no other sessions, and nothing that could be made slow from outside.

use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use crate::harness::{Database, Outcome, Server, client::PURCHASE_TICKET, eventually, rows, seed};

/// From a request to its answer, in which a sale has 300 ms to begin: 900 ms of it for its fields.
const REQUEST_MS: &str = "1000";
const SALE_MS: &str = "300";

/// Each order takes a while to write, longer than a request has, and shorter than the sales' own `statement_timeout`.
const SLOW_ORDERS: &str = "
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;
    CREATE TRIGGER dawdle AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION dawdle()";

async fn hurried(database: &Database) -> Server {
    Server::builder(database)
        .env("ROWLOCK_REQUEST_TIMEOUT_MS", REQUEST_MS)
        .env("ROWLOCK_SALE_DEADLINE_MS", SALE_MS)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_takes_too_long_is_null_at_its_path_and_nothing_else_is() {
    let database = Database::postgres().await;
    let server = hurried(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let ada = server.client().customer("ada");
    let outcome = ada.purchase_ticket(&event.tickets[0].id, "k").await;
    assert!(outcome.is_sold(), "{outcome:?}");
    let (hand, looking) = (database.connect().await, database.look().await);
    let lock = hand.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();

    let document = "query($id: ID!) { event(by: { id: $id }) { name }
        mine: me { orders { nodes { id } } } me { subject } }";
    let answer = ada.send(document, json!({ "id": event.id })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.fault(), Some("TIMEOUT"), "{answer:?}");
    assert_eq!(answer.errors.len(), 1, "{answer:?}");
    assert_eq!(answer.errors[0]["path"], json!(["mine", "orders"]));
    assert!(answer.data["event"]["name"].is_string(), "{answer:?}");
    assert_eq!(answer.data["mine"], json!(null));
    assert_eq!(answer.data["me"], json!({ "subject": "ada" }));

    // The database does not go on with what nobody waits for.
    eventually(
        "the end of the statement",
        Duration::from_secs(10),
        async || (rows::waiting_for_locks_len(&looking).await == 0).then_some(()),
    )
    .await;
    lock.rollback().await.unwrap();
    ada.data(document, json!({ "id": event.id })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_whose_time_is_over_hears_that_the_outcome_is_unknown_and_finds_it_out_with_the_key()
 {
    let database = Database::postgres().await;
    let server = hurried(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let (hand, looking) = (database.connect().await, database.look().await);
    hand.execute_unprepared(SLOW_ORDERS).await.unwrap();

    let (ada, bob) = (
        server.client().customer("ada"),
        server.client().customer("bob"),
    );
    let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });
    let buying = async { ada.send(PURCHASE_TICKET, json!({ "input": input })).await };
    // Comes when the desk is at the first, and is withdrawn from the queue.
    let queueing = async {
        eventually("the batch", Duration::from_secs(5), async || {
            let sleeping = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            (rows::count(&looking, sleeping).await > 0).then_some(())
        })
        .await;
        bob.purchase_ticket(&event.tickets[1].id, "k").await
    };
    let (bought, queued) = tokio::join!(buying, queueing);
    assert_eq!(bought.status, 200);
    assert_eq!(bought.fault(), Some("OUTCOME_UNKNOWN"), "{bought:?}");
    assert_eq!(bought.errors[0]["path"], json!(["purchaseTicket"]));
    assert_eq!(bought.data, json!({ "purchaseTicket": null }));
    assert_eq!(queued, Outcome::Fault("OVERLOADED".into()));

    // The repeated request waits for the batch and has its answer by the key.
    let found = eventually("the order", Duration::from_secs(10), async || {
        let outcome = ada.purchase_ticket(&event.tickets[0].id, "k").await;
        outcome.is_sold().then_some(outcome)
    })
    .await;
    // Of what was withdrawn nothing has happened.
    rows::assert_conserved(&database, &[found]).await;
    hand.execute_unprepared("DROP TRIGGER dawdle ON orders")
        .await
        .unwrap();
    hand.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_organizer_writes_is_told_as_unknown_when_its_time_is_over() {
    let database = Database::postgres().await;
    let server = hurried(&database).await;
    let otto = server.client().organizer("otto");
    let first = seed::create_event(&otto).await;
    let hand = database.connect().await;
    let lock = hand.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE ticket_types IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let document = "mutation($input: CreateTicketTypeInput!) {
        createTicketType(input: $input) { ticketType { id } userErrors { code } } }";
    let input = json!({ "eventId": first, "name": "Late", "admission": "SEATED", "price": "1.00" });
    let answer = otto.send(document, json!({ "input": input })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.fault(), Some("OUTCOME_UNKNOWN"), "{answer:?}");
    assert_eq!(answer.errors[0]["path"], json!(["createTicketType"]));
    lock.rollback().await.unwrap();
}
