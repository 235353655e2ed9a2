//! What a database does on its own, or a hand at its console, and what a sale makes of it.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;

use crate::harness::{Database, Outcome, Server, rows, seed};

/// As a full disk or a failed flush makes it do. The next transaction must be a real one: as a part of the one that is
/// gone, every later sale would be answered and lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_sale_after_sqlite_undid_a_transaction_by_itself_is_not_lost() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 6).await;
    let connection = database.connect().await;
    connection
        .execute_unprepared(
            "CREATE TRIGGER undo BEFORE INSERT ON order_items WHEN NEW.seat_label LIKE '%Seat 2'
             BEGIN SELECT RAISE(ROLLBACK, 'undone'); END",
        )
        .await
        .unwrap();
    connection.close().await.unwrap();

    let buyer = server.client().customer("ada");
    let mut outcomes = Vec::new();
    for (step, seat) in [1, 2, 3, 1, 4, 5, 6].into_iter().enumerate() {
        let ticket = &event.seat(seat).id;
        outcomes.push(buyer.purchase_ticket(ticket, &format!("{step}")).await);
    }
    assert_eq!(outcomes[1], Outcome::Fault("INTERNAL".into()));
    assert!(outcomes[3].is_refused("ALREADY_SOLD"));
    assert_eq!(rows::orders(&outcomes).len(), 5);
    // Asked from outside: what is not committed is not seen.
    rows::assert_conserved(&database, &outcomes).await;
}

/// The release before a migration runs on the schema after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_added_stops_no_sale() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let places = seed::places(&server.client(), 10).await;
    let seats = seed::seats(&server.client(), 2).await;
    let buyer = server.client().customer("ada");
    let mut outcomes = Vec::new();
    for round in ["before", "after"] {
        let any = buyer
            .purchase_any(&places.ticket_type_id, 2, &format!("any {round}"))
            .await;
        let named = &seats.tickets[usize::from(round == "after")].id;
        let named = buyer
            .purchase_ticket(named, &format!("named {round}"))
            .await;
        assert!(
            any.is_sold() && named.is_sold(),
            "{round}: {any:?}, {named:?}"
        );
        outcomes.extend([any, named]);
        let connection = database.connect().await;
        for table in [
            "tickets",
            "orders",
            "order_items",
            "idempotency_keys",
            "customers",
        ] {
            let add = format!("ALTER TABLE {table} ADD COLUMN note_{round} TEXT");
            connection.execute_unprepared(&add).await.unwrap();
        }
        connection.close().await.unwrap();
    }
    rows::assert_conserved(&database, &outcomes).await;
}

on_both_databases! {
    /// Somebody has set sold tickets back to available by hand and forgot their owners.
    async fn a_ticket_that_lies_about_its_status_is_not_sold_again(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 6).await;
        let buyer = server.client().customer("ada");
        let first = buyer.purchase_any(&event.ticket_type_id, 2, "first").await;
        assert!(first.is_sold());
        let connection = database.connect().await;
        connection.execute_unprepared("UPDATE tickets SET status = 'AVAILABLE'").await.unwrap();

        let any = buyer.purchase_any(&event.ticket_type_id, 3, "any").await;
        assert!(any.is_sold(), "four tickets have no owner: {any:?}");
        let Outcome::Sold(order) = &first else { unreachable!() };
        let named = buyer.purchase_ticket(&order.items[0].ticket.id, "named").await;
        assert!(named.is_refused("ALREADY_SOLD"), "{named:?}");
        let too_many = buyer.purchase_any(&event.ticket_type_id, 2, "too many").await;
        assert!(too_many.is_refused("NOT_ENOUGH_LEFT"), "{too_many:?}");

        connection
            .execute_unprepared(
                "UPDATE tickets SET status = 'SOLD' WHERE id IN (SELECT ticket_id FROM order_items)",
            )
            .await
            .unwrap();
        connection.close().await.unwrap();
        rows::assert_conserved(&database, &[first, any]).await;
    }
}

/// A waiting lane has one connection. Of a batch that was halved there, the first half begins the next transaction while it
/// commits; if the other half is too late by then, nothing may keep that transaction: whoever waits next needs the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_lane_keeps_no_transaction_that_was_begun_for_who_came_too_late() {
    let database = Database::postgres().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_SALE_DEADLINE_MS", "1600")
        .start()
        .await;
    let event = seed::seats(&server.client(), 4).await;
    let rows = database.connect().await;
    // The batch of seats 2 and 3 loses its connection once, so that it waits as one. Then seat 2 takes its time, and seat 3
    // cannot be written.
    for sql in [
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.seat_label LIKE '%Seat 1' THEN
                 PERFORM pg_sleep(0.3);
             ELSIF NEW.seat_label LIKE '%Seat 2' THEN
                 IF nextval('tries') = 1 THEN
                     PERFORM pg_terminate_backend(pg_backend_pid());
                     PERFORM pg_sleep(1);
                 END IF;
                 PERFORM pg_sleep(0.9);
             ELSIF NEW.seat_label LIKE '%Seat 3' THEN
                 RAISE EXCEPTION 'poisoned';
             END IF;
             RETURN NEW;
         END $$",
        "CREATE TRIGGER hinder BEFORE INSERT ON order_items FOR EACH ROW EXECUTE FUNCTION hinder()",
    ] {
        rows.execute_unprepared(sql).await.unwrap();
    }
    let buy = |buyer: &str, seat: usize, after_ms: u64| {
        let (client, id) = (server.client().customer(buyer), event.seat(seat).id.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            client.purchase_ticket(&id, "mine").await
        }
    };
    let (first, slow, poisoned) =
        tokio::join!(buy("xan", 1, 0), buy("ada", 2, 100), buy("bob", 3, 150));
    assert!(first.is_sold(), "{first:?}");
    assert!(slow.is_sold(), "{slow:?}");
    assert!(!poisoned.is_sold(), "{poisoned:?}");

    // Somebody waits for a row that is free again in a moment.
    let lock = rows::lock_seat(&rows, event.seat(4).seat.as_ref().unwrap()).await;
    let begin = Instant::now();
    let (waited, ()) = tokio::join!(buy("eve", 4, 0), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        lock.rollback().await.unwrap();
    });
    let took = begin.elapsed();
    assert!(
        waited.is_sold() && took < Duration::from_secs(1),
        "{waited:?} after {took:?}"
    );
    rows.close().await.unwrap();
    rows::assert_conserved(&database, &[first, slow, waited]).await;
}
