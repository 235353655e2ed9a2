//! An order, told whenever it has changed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Bought, ORDER_UPDATED, order, token, updated};
use crate::harness::{Database, Server, rows, seed, socket::Socket};

/// Sooner than what nobody told of is looked for.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

on_both_databases! {
    async fn a_subscriber_hears_of_their_order_at_once_and_of_each_change(database: Database) {
        let server = Server::start(&database).await;
        let Bought { id, items, .. } = order(&database, &server).await;
        let mut socket = subscriber(&server, "ada", &id).await;
        assert_eq!(heard(&mut socket).await, updated(&id, "CONFIRMED", &["ACTIVE", "ACTIVE"]));

        let ada = server.client().customer("ada");
        ada.cancel_order(&id, Some(&[&items[1]]), None, "one").await.sold();
        assert_eq!(heard(&mut socket).await, updated(&id, "CONFIRMED", &["ACTIVE", "CANCELLED"]));
        ada.cancel_order(&id, None, None, "rest").await.sold();
        assert_eq!(heard(&mut socket).await, updated(&id, "CANCELLED", &["CANCELLED", "CANCELLED"]));
        // What changes nothing is not told.
        ada.cancel_order(&id, None, None, "again").await.sold();
        assert!(socket.is_silent_for(Duration::from_millis(300)).await);
    }

    async fn somebody_elses_order_is_nobodys_business(database: Database) {
        let server = Server::start(&database).await;
        let Bought { id, .. } = order(&database, &server).await;
        let bob = server.client().customer("bob");
        let other = seed::seats(&server.client(), 1).await;
        bob.purchase_ticket(&other.tickets[0].id, "his").await.sold();
        for (token, variables, code) in [
            (Some(token("bob")), json!({ "id": id }), "BAD_USER_INPUT"),
            (Some(token("nobody")), json!({ "id": id }), "BAD_USER_INPUT"),
            (Some(token("ada")), json!({ "id": "nonsense" }), "BAD_USER_INPUT"),
            (None, json!({ "id": id }), "UNAUTHENTICATED"),
        ] {
            let mut socket = Socket::acknowledged(server.url(), token.as_deref()).await;
            socket.subscribe("1", ORDER_UPDATED, variables).await;
            let refused = socket.message().await;
            assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")), "{refused}");
            assert_eq!(refused["payload"][0]["extensions"]["code"], code, "{refused}");
        }
    }

    async fn the_house_cancels_and_everybody_hears_of_their_own_order(database: Database) {
        let server = Server::start(&database).await;
        let Bought { id, event_id, .. } = order(&database, &server).await;
        let mut socket = subscriber(&server, "ada", &id).await;
        assert_eq!(heard(&mut socket).await["orderUpdated"]["status"], "CONFIRMED");
        let begin = Instant::now();
        let hall = server.client().organizer("the hall");
        let input = json!({ "id": event_id, "reason": "fire in the hall" });
        hall.ask("cancelEvent", "event { id }", input).await;
        while heard(&mut socket).await["orderUpdated"]["status"] != "CANCELLED" {}
        assert!(begin.elapsed() < TOLD_WITHIN);
    }
}

/// What changes through one process is heard at another, also when the connection that word of it comes by is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_another_server_is_heard() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let Bought { id, items, .. } = order(&database, &servers[0]).await;
    let mut socket = subscriber(&servers[1], "ada", &id).await;
    heard(&mut socket).await;
    let ada = servers[0].client().customer("ada");

    let begin = Instant::now();
    ada.cancel_order(&id, Some(&[&items[0]]), None, "one")
        .await
        .sold();
    let one = heard(&mut socket).await;
    assert_eq!(one["orderUpdated"]["items"][0]["status"], "CANCELLED");
    assert!(begin.elapsed() < TOLD_WITHIN);

    let begin = Instant::now();
    let hand = database.connect().await;
    rows::end_listeners(&hand).await;
    ada.cancel_order(&id, None, None, "rest").await.sold();
    let all = heard(&mut socket).await;
    assert_eq!(all["orderUpdated"]["status"], "CANCELLED");
    assert!(begin.elapsed() < TOLD_WITHIN);
    hand.close().await.unwrap();
}

async fn subscriber(server: &Server, name: &str, order_id: &str) -> Socket {
    let mut socket = Socket::acknowledged(server.url(), Some(&token(name))).await;
    socket
        .subscribe("1", ORDER_UPDATED, json!({ "id": order_id }))
        .await;
    socket
}

async fn heard(socket: &mut Socket) -> Value {
    let mut message = socket.message().await;
    assert_eq!(message["type"], "next", "{message}");
    assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
    message["payload"]["data"].take()
}
