//! `graphql-transport-ws`, to the letter: every message that a client may or may not send, and how the socket ends.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{Bought, ORDER_UPDATED, order, token, token_with_end};
use crate::harness::{
    Database, Server,
    client::PURCHASE_TICKET,
    eventually, rows, seed,
    socket::{Heard, Socket},
};

const NOTHING: &str = "{ __typename }";
const ENDED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_mutations_are_answered_side_by_side() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let mut socket = Socket::acknowledged(server.url(), Some(&token("ada"))).await;
    let input = json!({ "input": { "ticketId": event.tickets[0].id, "idempotencyKey": "k" } });
    socket.subscribe("buy", PURCHASE_TICKET, input).await;
    socket.subscribe("ask", NOTHING, json!({})).await;
    let (mut told, mut completed) = (Vec::new(), Vec::new());
    while completed.len() < 2 {
        let message = socket.message().await;
        let id = message["id"].as_str().unwrap().to_owned();
        match message["type"].as_str().unwrap() {
            "next" => {
                assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
                told.push((id, message["payload"]["data"].clone()));
            }
            "complete" => {
                assert!(told.iter().any(|(other, _)| *other == id), "{message}");
                completed.push(id);
            }
            _ => panic!("{message}"),
        }
    }
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(told[0].1, json!({ "__typename": "Query" }));
    assert_eq!(told[1].1["purchaseTicket"]["order"]["status"], "CONFIRMED");
    // The ids are free again.
    socket.subscribe("ask", NOTHING, json!({})).await;
    assert_eq!(socket.message().await["type"], "next");
    rows::assert_clean(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_executed_is_an_error_with_a_bare_list() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let mut socket = Socket::acknowledged(server.url(), None).await;
    for (payload, code) in [
        (
            json!({ "query": "{ nonsense }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (json!({ "query": "{" }), "GRAPHQL_PARSE_FAILED"),
        (
            json!({ "query": "query($a: ID!) { node(id: $a) { id } }" }),
            "BAD_USER_INPUT",
        ),
        (json!({}), "BAD_REQUEST"),
        (
            json!({ "documentId": "unknown" }),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
        (
            json!({ "query": "subscription { a: orderUpdated(id: 1) { id } b: orderUpdated(id: 2) { id } }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "subscription { __typename }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        socket
            .say(json!({ "id": "1", "type": "subscribe", "payload": payload }))
            .await;
        let refused = socket.message().await;
        assert_eq!(
            (&refused["type"], &refused["id"]),
            (&json!("error"), &json!("1")),
            "{refused}"
        );
        let error = &refused["payload"][0];
        assert_eq!(error["extensions"]["code"], code, "{refused}");
        assert!(error["extensions"]["requestId"].is_string(), "{refused}");
    }
    // No complete came after any of them.
    socket.subscribe("1", NOTHING, json!({})).await;
    assert_eq!(socket.message().await["type"], "next");
}

/// Each in a socket of its own, after what comes before it there.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_the_protocol_is_told_so_by_the_code() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let init = json!({ "type": "connection_init" });
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": NOTHING } });
    let bad_token =
        json!({ "type": "connection_init", "payload": { "authorization": "Bearer x" } });
    let no_scheme =
        json!({ "type": "connection_init", "payload": { "Authorization": token("ada") } });
    let over = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", token_with_end(1_000_000_000)) } });
    for (messages, code, reason) in [
        (vec![json!("x")], 4400, "Invalid message"),
        (vec![json!({ "type": "start" })], 4400, "Invalid message"),
        (
            vec![init.clone(), json!({ "type": "connection_ack" })],
            4400,
            "Invalid message",
        ),
        (vec![subscribe.clone()], 4401, "Unauthorized"),
        (
            vec![json!({ "type": "ping" }), subscribe.clone()],
            4401,
            "Unauthorized",
        ),
        (vec![bad_token], 4403, "Forbidden"),
        (vec![no_scheme], 4403, "Forbidden"),
        (vec![over], 4403, "Forbidden"),
        (
            vec![init.clone(), init.clone()],
            4429,
            "Too many initialisation requests",
        ),
    ] {
        let mut socket = Socket::connect(server.url()).await;
        for message in &messages {
            socket.say(message.clone()).await;
        }
        let closed = loop {
            match socket.hear().await {
                Heard::Message(_) => {}
                Heard::Closed(code, reason) => break (code, reason),
                Heard::Gone => panic!("no word about {messages:?}"),
            }
        };
        assert_eq!(closed, (code, reason.to_owned()), "{messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_and_oversized_messages_end_the_socket() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_BODY_LEN", "1000")
        .start()
        .await;
    let mut socket = Socket::acknowledged(server.url(), None).await;
    socket.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.closed().await.0, 4400);
    let mut socket = Socket::acknowledged(server.url(), None).await;
    socket.say_text(&"x".repeat(2_000)).await;
    assert_eq!(socket.closed().await.0, 1009);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_of_one_operation_at_a_time() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let Bought { id, .. } = order(&database, &server).await;
    let mut socket = Socket::acknowledged(server.url(), Some(&token("ada"))).await;
    let variables = json!({ "id": id });
    socket
        .subscribe("one", ORDER_UPDATED, variables.clone())
        .await;
    assert_eq!(socket.message().await["type"], "next");
    // Whoever has had enough says so, and may use the id again.
    socket.say(json!({ "id": "one", "type": "complete" })).await;
    socket
        .say(json!({ "id": "never", "type": "complete" }))
        .await;
    socket
        .subscribe("one", ORDER_UPDATED, variables.clone())
        .await;
    assert_eq!(socket.message().await["type"], "next");
    socket.subscribe("one", ORDER_UPDATED, variables).await;
    let expected = (4409, "Subscriber for one already exists".to_owned());
    assert_eq!(socket.closed().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_and_who_says_nothing_is_let_go() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let mut silent = Socket::connect(server.url()).await;
    let begin = Instant::now();
    let mut socket = Socket::connect(server.url()).await;
    // Before the connection is acknowledged, and after.
    socket
        .say(json!({ "type": "ping", "payload": { "a": 1 } }))
        .await;
    assert_eq!(
        socket.message().await,
        json!({ "type": "pong", "payload": { "a": 1 } })
    );
    socket.say(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.message().await, json!({ "type": "connection_ack" }));
    socket.say(json!({ "type": "ping" })).await;
    assert_eq!(socket.message().await, json!({ "type": "pong" }));
    socket.say(json!({ "type": "pong" })).await;
    socket.subscribe("1", NOTHING, json!({})).await;
    assert_eq!(socket.message().await["type"], "next");

    let expected = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(silent.closed().await, expected);
    assert!(begin.elapsed() > Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_ends_its_socket() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let Bought { id, .. } = order(&database, &server).await;
    // Half a minute is forgiven, here as in every request.
    let token = token_with_end(chrono::Utc::now().timestamp() - 28);
    let mut socket = Socket::acknowledged(server.url(), Some(&token)).await;
    socket
        .subscribe("1", ORDER_UPDATED, json!({ "id": id }))
        .await;
    assert_eq!(socket.message().await["type"], "next");
    let (code, reason) = socket.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (4403, "Forbidden: the token has expired")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_meanwhile_keeps_nobody_from_their_answer() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let token = token_with_end(chrono::Utc::now().timestamp() - 28);
    let mut buyer = Socket::acknowledged(server.url(), Some(&token)).await;
    let hand = database.connect().await;
    let lock = rows::lock_seat(&hand, event.tickets[0].seat.as_ref().unwrap()).await;
    let input = json!({ "input": { "ticketId": event.tickets[0].id, "idempotencyKey": "k" } });
    buyer.subscribe("buy", PURCHASE_TICKET, input).await;
    // Half a minute and two seconds after its end.
    assert!(buyer.is_silent_for(Duration::from_secs(3)).await);
    buyer.subscribe("late", NOTHING, json!({})).await;
    lock.rollback().await.unwrap();
    hears_of_the_purchase(&mut buyer).await;
    assert_eq!(buyer.closed().await.0, 4403);
    hand.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_answered() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let mut socket = Socket::acknowledged(server.url(), None).await;
    socket.subscribe("1", NOTHING, json!({})).await;
    socket.message().await;
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "enough".into(),
    };
    socket.send(Message::Close(Some(frame))).await;
    loop {
        match socket.hear().await {
            Heard::Message(_) => {}
            Heard::Closed(code, _) => break assert_eq!(code, 1000),
            Heard::Gone => panic!("the server is gone without a word"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_in_fragments_is_one() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let Bought { id, .. } = order(&database, &server).await;
    let mut socket = Socket::acknowledged(server.url(), Some(&token("ada"))).await;
    for document in [
        "subscription($id: ID!) { ...F } fragment F on Subscription { orderUpdated(id: $id) { id } }",
        "subscription($id: ID!) { ... on Subscription { orderUpdated(id: $id) { id } } }",
        "subscription($id: ID!) { a: orderUpdated(id: $id) { id } ... { a: orderUpdated(id: $id) { status } } }",
    ] {
        socket.subscribe("1", document, json!({ "id": id })).await;
        let told = socket.message().await;
        assert_eq!(told["type"], "next", "{told}");
        assert!(told["payload"]["data"].to_string().contains(&id), "{told}");
        socket.say(json!({ "id": "1", "type": "complete" })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_opens_for_our_own_pages_and_allowed_sites_alone() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_CORS_ORIGINS", "https://shop.example")
        .start()
        .await;
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    let own = server.url().to_owned();
    for origin in [own.as_str(), "https://shop.example"] {
        let opened = Socket::open(server.url(), &[protocol, ("origin", origin)]).await;
        assert!(opened.is_ok(), "{origin}");
    }
    for origin in ["https://other.example", "null", "http://127.0.0.1:1"] {
        let refused = Socket::open(server.url(), &[protocol, ("origin", origin)]).await;
        assert_eq!(
            refused.err().map(|s| s.as_u16()),
            Some(StatusCode::FORBIDDEN.as_u16()),
            "{origin}"
        );
    }
    for protocol in ["graphql-ws", "soap"] {
        let headers = [("sec-websocket-protocol", protocol)];
        let refused = Socket::open(server.url(), &headers).await;
        assert_eq!(refused.err().map(|s| s.as_u16()), Some(400), "{protocol}");
    }
    assert_eq!(
        Socket::open(server.url(), &[])
            .await
            .err()
            .map(|s| s.as_u16()),
        Some(400)
    );
    // The header of who is no browser counts, if the first message says nothing else.
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [protocol, ("authorization", bearer.as_str())];
    let mut socket = Socket::open(server.url(), &headers).await.unwrap();
    socket
        .say(json!({ "type": "connection_init", "payload": {} }))
        .await;
    socket.message().await;
    socket.subscribe("1", "{ me { role } }", json!({})).await;
    assert_eq!(
        socket.message().await["payload"]["data"]["me"]["role"],
        "CUSTOMER"
    );
    let headers = [protocol, ("authorization", "Bearer nonsense")];
    assert_eq!(
        Socket::open(server.url(), &headers)
            .await
            .err()
            .map(|s| s.as_u16()),
        Some(401)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_has_so_many_sockets_and_a_socket_so_many_operations() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_LISTENERS_PER_CALLER", "2")
        .env("ROWLOCK_OPERATIONS_PER_SOCKET", "2")
        .start()
        .await;
    let Bought { id, .. } = order(&database, &server).await;
    let ada = token("ada");
    let mut first = Socket::acknowledged(server.url(), Some(&ada)).await;
    let second = Socket::acknowledged(server.url(), Some(&ada)).await;
    let mut third = Socket::connect(server.url()).await;
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {ada}") } });
    third.say(init.clone()).await;
    assert_eq!(third.closed().await.0, 1013);
    // Others have their own, and who leaves makes room.
    Socket::acknowledged(server.url(), Some(&token("bob"))).await;
    Socket::acknowledged(server.url(), None).await;
    drop(second);
    eventually("room for another socket", ENDED_WITHIN, async || {
        let mut again = Socket::connect(server.url()).await;
        again.say(init.clone()).await;
        matches!(again.hear().await, Heard::Message(_)).then_some(())
    })
    .await;

    let variables = json!({ "id": id });
    for id in ["1", "2"] {
        first.subscribe(id, ORDER_UPDATED, variables.clone()).await;
        assert_eq!(first.message().await["type"], "next");
    }
    first.subscribe("3", ORDER_UPDATED, variables.clone()).await;
    let refused = first.message().await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "OVERLOADED");
    first.say(json!({ "id": "1", "type": "complete" })).await;
    first.subscribe("3", ORDER_UPDATED, variables).await;
    assert_eq!(first.message().await["type"], "next");
}

/// What was begun is answered, and then the socket says that the server comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_says_so_and_answers_what_it_has_begun() {
    let database = Database::postgres().await;
    let mut server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let ada = token("ada");
    let mut idle = Socket::acknowledged(server.url(), None).await;
    let mut buyer = Socket::acknowledged(server.url(), Some(&ada)).await;
    let hand = database.connect().await;
    let lock = rows::lock_seat(&hand, event.tickets[0].seat.as_ref().unwrap()).await;
    let input = json!({ "input": { "ticketId": event.tickets[0].id, "idempotencyKey": "k" } });
    buyer.subscribe("buy", PURCHASE_TICKET, input.clone()).await;
    eventually("the wait for the seat", ENDED_WITHIN, async || {
        (rows::waiting_for_locks_len(&hand).await > 0).then_some(())
    })
    .await;
    let by_events = reqwest::Client::new()
        .post(format!("{}/graphql", server.url()))
        .header("accept", "text/event-stream")
        .bearer_auth(&ada)
        .json(&json!({ "query": PURCHASE_TICKET, "variables": input }))
        .send();
    let mut by_events = pin!(by_events);
    // It comes to the server meanwhile.
    let half_a_second = Duration::from_millis(500);
    let early = tokio::time::timeout(half_a_second, by_events.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    server.terminate();
    assert_eq!(idle.closed().await, (1012, "Service restart".to_owned()));
    lock.rollback().await.unwrap();
    hears_of_the_purchase(&mut buyer).await;
    assert_eq!(buyer.closed().await.0, 1012);
    let repeated = by_events.await.unwrap().text().await.unwrap();
    assert!(
        repeated.starts_with("event: next\ndata: {\"data\":{\"purchaseTicket\":"),
        "{repeated}"
    );
    assert!(
        repeated.ends_with("event: complete\ndata:\n\n"),
        "{repeated}"
    );
    assert!(server.wait_exit(ENDED_WITHIN).await.success());
    hand.close().await.unwrap();
}

async fn hears_of_the_purchase(buyer: &mut Socket) {
    let bought = buyer.message().await;
    assert_eq!(
        bought["payload"]["data"]["purchaseTicket"]["order"]["status"], "CONFIRMED",
        "{bought}"
    );
    assert_eq!(buyer.message().await["type"], "complete");
}
