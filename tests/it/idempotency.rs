//! A purchase that is asked for twice under one key happens once.

use std::{io::Write, net::TcpStream, time::Duration};

use futures_util::future::join_all;
use rowlock::auth::Role;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;

use crate::harness::{
    Client, Database, Outcome, Server,
    client::{PURCHASE_TICKET, tokens},
    eventually, rows, seed,
};

on_both_databases! {
    async fn one_key_sent_50_times_at_once_buys_once(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let ada = server.client().customer("ada");
        let seat = event.tickets[0].id.as_str();

        let outcomes = join_all((0..50).map(|_| ada.purchase_ticket(seat, "my seat"))).await;

        let first = outcomes[0].clone().sold();
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Sold(first.clone())), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn one_key_for_any_place_buys_one_place(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 20).await;
        let ada = server.client().customer("ada");

        let outcomes = join_all((0..20).map(|_| ada.purchase_any(&event.ticket_type_id, 1, "a place"))).await;

        let first = outcomes[0].clone().sold();
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Sold(first.clone())), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_key_that_bought_something_else_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let bought = ada.purchase_ticket(ids[0], "key").await;

        let other_ticket = ada.purchase_ticket(ids[1], "key").await;
        assert!(other_ticket.is_refused("IDEMPOTENCY_KEY_REUSED"), "{other_ticket:?}");
        let other_mutation = ada.purchase_tickets(&ids[..1], "key").await;
        assert!(other_mutation.is_refused("IDEMPOTENCY_KEY_REUSED"), "{other_mutation:?}");
        let again = ada.purchase_ticket(ids[0], "key").await;
        assert_eq!(again, bought);
        rows::assert_conserved(&database, &[bought, again]).await;
    }

    async fn a_key_belongs_to_its_customer(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ids = event.ticket_ids();

        let outcomes = [
            server.client().customer("ada").purchase_ticket(ids[0], "key").await,
            server.client().customer("bob").purchase_ticket(ids[1], "key").await,
        ];

        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_refusal_does_not_bind_its_key(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let mut outcomes = vec![ada.purchase_ticket(ids[0], "key").await];

        let refused = bob.purchase_ticket(ids[0], "key").await;
        assert!(refused.is_refused("ALREADY_SOLD"), "{refused:?}");
        outcomes.push(bob.purchase_ticket(ids[1], "key").await);

        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn who_hangs_up_and_asks_again_gets_one_order(database: Database) {
        const BUYERS: usize = 20;
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), BUYERS).await;
        let mut outcomes = Vec::new();
        for (n, ticket) in event.tickets.iter().enumerate() {
            let name = format!("buyer {n}");
            let connection = send_and_do_not_read(&server, &name, &ticket.id);
            // Hang up at once, or a little later each time: somewhere on the way of the sale.
            tokio::time::sleep(Duration::from_micros(500) * u32::try_from(n).unwrap()).await;
            drop(connection);
            outcomes.push(server.client().customer(&name).purchase_ticket(&ticket.id, "mine").await);
        }
        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_poisoned_purchase_harms_none_of_its_neighbours(database: Database) {
        const BUYERS: usize = 60;
        const POISONED: usize = 31;
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), BUYERS).await;
        poison(&database, &event.seat(POISONED).seat.clone().unwrap()).await;

        let client = server.client();
        let buyers: Vec<Client> = (0..BUYERS).map(|n| client.customer(&format!("buyer {n}"))).collect();
        let outcomes = join_all(
            buyers.iter().zip(&event.tickets).map(|(buyer, ticket)| buyer.purchase_ticket(&ticket.id, "mine")),
        )
        .await;

        for (ticket, outcome) in event.tickets.iter().zip(&outcomes) {
            if ticket.id == event.seat(POISONED).id {
                assert_eq!(*outcome, Outcome::Fault("INTERNAL".into()));
            } else {
                assert!(outcome.is_sold(), "{outcome:?}");
            }
        }
        rows::assert_conserved(&database, &outcomes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_sent_to_two_servers_at_once_buys_once() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), 1).await;
    let ada = [
        servers[0].client().customer("ada"),
        servers[1].client().customer("ada"),
    ];
    let seat = event.tickets[0].id.as_str();

    let outcomes = join_all((0..50).map(|n| ada[n % 2].purchase_ticket(seat, "my seat"))).await;

    let first = outcomes[0].clone().sold();
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Outcome::Sold(first.clone())),
        "{outcomes:?}"
    );
    rows::assert_conserved(&database, &outcomes).await;
}

/// On PostgreSQL the moment can be chosen: the purchase waits for the row when its buyer hangs up.
#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_whose_buyer_hung_up_in_its_middle_is_finished() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let looking = database.look().await;
    let ticket = &event.tickets[0];

    let lock = rows::lock_seat(&looking, ticket.seat.as_ref().unwrap()).await;
    let connection = send_and_do_not_read(&server, "ada", &ticket.id);
    eventually(
        "the purchase's wait for the row",
        Duration::from_secs(5),
        async || (rows::waiting_for_locks_len(&looking).await > 0).then_some(()),
    )
    .await;
    drop(connection);
    lock.rollback().await.unwrap();

    eventually(
        "the abandoned purchase's order",
        Duration::from_secs(10),
        async || (rows::orders_len(&looking).await == 1).then_some(()),
    )
    .await;
    let outcome = server
        .client()
        .customer("ada")
        .purchase_ticket(&ticket.id, "mine")
        .await;
    assert!(outcome.is_sold(), "{outcome:?}");
    rows::assert_conserved(&database, &[outcome]).await;
}

/// A whole purchase under the key `mine`, on a connection that nobody reads.
fn send_and_do_not_read(server: &Server, customer: &str, ticket_id: &str) -> TcpStream {
    let address = server.url().strip_prefix("http://").unwrap();
    let token = tokens()
        .issue(Role::Customer, customer, Duration::from_secs(60))
        .unwrap();
    let input = json!({ "ticketId": ticket_id, "idempotencyKey": "mine" });
    let body = json!({ "query": PURCHASE_TICKET, "variables": { "input": input } }).to_string();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "POST /graphql HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    connection
}

/// The database of this test alone refuses to sell the seat: data that no rule of the server foresees.
async fn poison(database: &Database, seat: &str) {
    let connection = database.connect().await;
    let ticket = rows::ticket_of_seat(&connection, seat).await;
    let statement = match database.backend() {
        DbBackend::Postgres => format!(
            "ALTER TABLE order_items ADD CONSTRAINT order_items_poison CHECK (ticket_id <> '{ticket}') NOT VALID"
        ),
        _ => format!(
            "CREATE TRIGGER order_items_poison BEFORE INSERT ON order_items WHEN NEW.ticket_id = X'{}'
             BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
            ticket.0.simple()
        ),
    };
    connection.execute_unprepared(&statement).await.unwrap();
    connection.close().await.unwrap();
}
