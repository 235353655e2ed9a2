//! A sale rests on what its event is now, however well the server knows what it was.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Server, eventually, rows, seed};

/// PostgreSQL's sessions tell what they have read when they end or are idle, after ten seconds.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

/// Changes the catalogue behind everybody's back: no version of an event or type is raised by it.
async fn by_hand(database: &Database, sql: &str) {
    let hand = database.connect().await;
    hand.execute_unprepared(sql).await.unwrap();
    hand.close().await.unwrap();
}

/// What one ticket costs now.
async fn price(buyer: &Client, event: &seed::Event, key: &str) -> String {
    let order = buyer.purchase_any(&event.ticket_type_id, 1, key).await;
    order.sold().total.amount
}

on_both_databases! {
    async fn what_is_changed_by_hand_holds_for_the_next_sale(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 20).await;
        let ada = server.client().customer("ada");
        for key in ["first", "second"] {
            assert_eq!(price(&ada, &event, key).await, seed::PRICE);
        }

        by_hand(&database, "UPDATE ticket_types SET price_minor = 2000").await;
        assert_eq!(price(&ada, &event, "dearer").await, "20.00");

        for (change, quantity, code) in [
            ("tickets_per_order_max = 1", 2, "TOO_MANY_TICKETS"),
            ("tickets_per_customer_max = 3", 1, "CUSTOMER_LIMIT"),
            ("tickets_per_customer_max = NULL, status = 'DRAFT'", 1, "UNKNOWN_TICKET_TYPE"),
            ("status = 'PUBLISHED', sales_close_at = created_at", 1, "SALE_OVER"),
            ("status = 'CANCELLED'", 1, "EVENT_CANCELLED"),
        ] {
            by_hand(&database, &format!("UPDATE events SET {change}")).await;
            let refused = ada.purchase_any(&event.ticket_type_id, quantity, change).await;
            assert!(refused.is_refused(code), "{change}: {refused:?}");
        }
    }
}

on_both_databases! {
    /// Their tickets are locked before the event is asked for: what it says behind the locks decides.
    async fn what_is_changed_by_hand_holds_for_named_seats(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 10).await;
        let ada = server.client().customer("ada");
        let mut seats = event.ticket_ids().into_iter();
        let mut buy = async |key: &str| ada.purchase_ticket(seats.next().unwrap(), key).await;
        for key in ["first", "second"] {
            assert_eq!(buy(key).await.sold().total.amount, seed::PRICE);
        }

        by_hand(&database, "UPDATE ticket_types SET price_minor = 2000").await;
        assert_eq!(buy("dearer").await.sold().total.amount, "20.00");

        // What she has counts from now on, and nobody had to know it before.
        for (change, code) in [
            ("tickets_per_customer_max = 3", "CUSTOMER_LIMIT"),
            ("tickets_per_customer_max = NULL, sales_close_at = created_at", "SALE_OVER"),
            ("status = 'CANCELLED'", "EVENT_CANCELLED"),
        ] {
            by_hand(&database, &format!("UPDATE events SET {change}")).await;
            let refused = buy(change).await;
            assert!(refused.is_refused(code), "{change}: {refused:?}");
        }
    }
}

/// Of a batch of several events, one has changed and the others have not; of two servers, neither has been told.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_at_every_server_from_its_commit_on() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(seed::places(&servers[0].client(), 20).await);
    }
    let prices = async |round: &str| {
        let mut all = Vec::new();
        for server in &servers {
            let buyer = server.client().customer("ada");
            let key = format!("{round} {}", server.url());
            let of_events = events.iter().map(|event| price(&buyer, event, &key));
            all.push(futures_util::future::join_all(of_events).await);
        }
        all
    };
    let unchanged = vec![vec![seed::PRICE.to_owned(); 3]; 2];
    assert_eq!(prices("before").await, unchanged);

    let hand = database.connect().await;
    let change = hand.begin().await.unwrap();
    let dearer = "UPDATE ticket_types SET price_minor = 2000 WHERE id = (SELECT id FROM ticket_types ORDER BY id LIMIT 1)";
    change.execute_unprepared(dearer).await.unwrap();
    assert_eq!(prices("uncommitted").await, unchanged);
    change.commit().await.unwrap();
    let mut changed = unchanged.clone();
    changed.iter_mut().for_each(|of| of[0] = "20.00".to_owned());
    assert_eq!(prices("committed").await, changed);

    let change = hand.begin().await.unwrap();
    change
        .execute_unprepared("UPDATE ticket_types SET price_minor = 3000")
        .await
        .unwrap();
    change.rollback().await.unwrap();
    assert_eq!(prices("rolled back").await, changed);
    hand.close().await.unwrap();
}

/// A sale asks for events and types only if something of the catalogue has changed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_read_again() {
    const SALES: usize = 60;
    let database = Database::postgres().await;
    let event = {
        let server = Server::start(&database).await;
        seed::seats(&server.client(), SALES).await
    };
    let hand = database.connect().await;
    let counted = async |of: &str, table: &str, at_least: usize| {
        let count =
            format!("SELECT ({of})::BIGINT FROM pg_stat_user_tables WHERE relname = '{table}'");
        eventually("all to be counted", COUNTED_WITHIN, async || {
            let counted = rows::count(&hand, &count).await;
            (counted >= i64::try_from(at_least).unwrap()).then_some(counted)
        })
        .await
    };
    // Each ticket's type was looked up when it was added.
    counted("n_tup_ins", "tickets", SALES).await;
    let read = "seq_tup_read + idx_tup_fetch";
    let before = [
        counted(read, "events", 1).await,
        counted(read, "ticket_types", SALES).await,
    ];
    let server = Server::start(&database).await;
    let buyer = server.client().customer("ada");
    // What is answered is read elsewhere: this asks for nothing of it.
    let document = "mutation($input: PurchaseTicketInput!) { purchaseTicket(input: $input) { order { id } userErrors { code } } }";
    for id in event.ticket_ids() {
        let input = json!({ "ticketId": id, "idempotencyKey": id });
        let sold = buyer.data(document, json!({ "input": input })).await;
        assert_ne!(sold["purchaseTicket"]["order"], Value::Null, "{sold}");
    }
    drop(server);

    counted("n_tup_ins", "orders", SALES).await;
    for (table, before) in ["events", "ticket_types"].into_iter().zip(before) {
        let read = counted(read, table, 1).await - before;
        assert!(
            read < i64::try_from(SALES / 2).unwrap(),
            "{read} rows of {table} for {SALES} sales"
        );
    }
    hand.close().await.unwrap();
}

/// Who is slow to commit a change keeps others who change something waiting, and no buyer.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_is_being_given_keeps_no_buyer_waiting() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::places(&server.client(), 10).await;
    let ada = server.client().customer("ada");
    assert_eq!(price(&ada, &event, "before").await, seed::PRICE);

    let hand = database.connect().await;
    let slow = hand.begin().await.unwrap();
    slow.execute_unprepared(
        "UPDATE ticket_types SET price_minor = 2000; SET CONSTRAINTS ALL IMMEDIATE",
    )
    .await
    .unwrap();
    let organizer = server.client().organizer("the meadow");
    let name = json!({ "id": event.id, "version": 2, "name": "Renamed" });
    let rename = organizer.ask("updateEvent", "event { name }", name);
    let meanwhile = async {
        eventually("the change to wait", COUNTED_WITHIN, async || {
            (rows::waiting_for_locks_len(&hand).await == 1).then_some(())
        })
        .await;
        assert_eq!(price(&ada, &event, "meanwhile").await, seed::PRICE);
        slow.commit().await.unwrap();
    };
    let (renamed, ()) = tokio::join!(rename, meanwhile);
    assert_eq!(renamed["event"]["name"], "Renamed", "{renamed}");
    assert_eq!(price(&ada, &event, "after").await, "20.00");
    hand.close().await.unwrap();
}

/// However much a transaction changes, and also if it takes a part of it back.
#[tokio::test]
async fn a_transaction_gives_the_catalogue_one_revision() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    for _ in 0..3 {
        seed::places(&server.client(), 1).await;
    }
    let hand = database.connect().await;
    let before = revision(&hand).await;
    let change = hand.begin().await.unwrap();
    for sql in [
        "UPDATE events SET name = name || '!'",
        "SAVEPOINT part",
        "UPDATE ticket_types SET position = position + 1",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ROLLBACK TO SAVEPOINT part",
        "UPDATE ticket_types SET name = name || '!'",
        "SET CONSTRAINTS ALL IMMEDIATE",
    ] {
        change.execute_unprepared(sql).await.unwrap();
    }
    let given = "SELECT pg_stat_get_xact_tuples_updated('catalogue_revision'::regclass)";
    // Once before it went back to the savepoint, and once for good.
    assert_eq!(rows::count(&change, given).await, 2);
    assert_eq!(revision(&hand).await, before, "nobody else sees it yet");
    change.commit().await.unwrap();
    let after = revision(&hand).await;
    assert_ne!(after, before);

    hand.close().await.unwrap();
}

/// Whatever is done to an event or a type, and however it comes.
#[tokio::test]
async fn every_change_gives_the_catalogue_another_revision() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let hand = database.connect().await;
    seed::create_event(&server.client().organizer("the hall")).await;
    let mut last = revision(&hand).await;
    for sql in [
        "INSERT INTO ticket_types (event_id, id, name, admission, price_minor, position, version, created_at, updated_at)
         SELECT id, gen_random_uuid(), 'By hand', 'GENERAL', 1250, 1, 1, now(), now() FROM events",
        "UPDATE ticket_types SET name = name",
        "UPDATE events SET name = name",
        "SET session_replication_role = replica; UPDATE events SET name = name",
        "DELETE FROM ticket_types",
        "TRUNCATE ticket_types CASCADE",
        "DELETE FROM events",
        "TRUNCATE events CASCADE",
    ] {
        by_hand(&database, sql).await;
        let given = revision(&hand).await;
        assert_ne!(given, last, "{sql}");
        last = given;
    }
    by_hand(&database, "DELETE FROM events").await;
    assert_eq!(revision(&hand).await, last, "nothing has changed");
    hand.close().await.unwrap();
}

async fn revision(rows: &DatabaseConnection) -> uuid::Uuid {
    let sql = "SELECT revision FROM catalogue_revision";
    let row = rows
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
        .unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}
