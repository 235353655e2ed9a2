//! Who may do what, and what everybody else is told.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;
use rowlock::auth::{Role, Tokens};
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Server,
    client::{Answer, tokens},
    seed,
    server::JWT_SECRET,
};

const MINUTE: Duration = Duration::from_secs(60);

/// What everybody may read.
const PUBLIC: &str = "{ events { nodes { id } } }";

on_both_databases! {
    async fn what_needs_a_caller_says_so_and_harms_nothing_beside_it(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let (client, variables) = (server.client(), json!({ "id": event.id }));

        let answer = client.send("query($id: ID!) { me { subject } event(by: { id: $id }) { id } }", variables.clone()).await;
        assert_eq!((answer.status, answer.fault()), (StatusCode::OK, Some("UNAUTHENTICATED")));
        assert_eq!(answer.data, json!({ "me": null, "event": { "id": event.id } }));

        let order = "query($id: ID!) { order(id: $id) { id } }";
        assert_denied("order", &client.send(order, variables.clone()).await, "UNAUTHENTICATED");
        let organizer = client.organizer("the hall");
        assert_denied("order", &organizer.send(order, variables).await, "FORBIDDEN");

        let me = organizer.data("{ me { subject role } }", json!({})).await;
        assert_eq!(me["me"], json!({ "subject": "the hall", "role": "ORGANIZER" }));
        let answer = organizer.send("{ me { orders { nodes { id } } } }", json!({})).await;
        assert_eq!(answer.fault(), Some("FORBIDDEN"));
    }

    async fn what_is_published_is_read_without_a_token(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let document = "query($id: ID!) { event(by: { id: $id }) {
            ticketTypes { price { amount } availability { total available } }
            tickets { nodes { status seat { seat } } }
        } }";
        let data = server.client().data(document, json!({ "id": event.id })).await;
        let expected = json!([{ "price": { "amount": "12.50" }, "availability": { "total": 3, "available": 3 } }]);
        assert_eq!(data["event"]["ticketTypes"], expected);
        assert_eq!(data["event"]["tickets"]["nodes"].as_array().unwrap().len(), 3);
    }

    async fn customers_see_their_own_orders_alone(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 4).await;
        let ids = event.ticket_ids();
        let client = server.client();
        let (ada, bob) = (client.customer("ada"), client.customer("bob"));
        let first = ada.purchase_ticket(ids[0], "first").await.sold();
        let second = ada.purchase_tickets(&ids[1..3], "second").await.sold();
        let bobs = bob.purchase_ticket(ids[3], "first").await.sold();

        assert_eq!(orders_of(&ada).await, [second.id.as_str(), first.id.as_str()], "latest first");
        assert_eq!(orders_of(&bob).await, [bobs.id.as_str()]);
        assert_eq!(orders_of(&client.customer("who never bought")).await, Vec::<String>::new());
        // The same name of another role is somebody else.
        assert_eq!(client.organizer("ada").send("{ me { orders { nodes { id } } } }", json!({})).await.fault(), Some("FORBIDDEN"));

        let document = "query($order: ID!, $item: ID!, $ids: [ID!]!) {
            order(id: $order) { id } anOrder: node(id: $order) { id } anItem: node(id: $item) { id }
            nodes(ids: $ids) { id }
        }";
        let (order, item) = (&first.id, &first.items[0].id);
        let variables = json!({ "order": order, "item": item, "ids": [order, item] });
        let own = json!({ "order": { "id": order }, "anOrder": { "id": order }, "anItem": { "id": item },
            "nodes": [{ "id": order }, { "id": item }] });
        assert_eq!(ada.data(document, variables.clone()).await, own);
        let none = json!({ "order": null, "anOrder": null, "anItem": null, "nodes": [null, null] });
        assert_eq!(bob.data(document, variables.clone()).await, none);
        // Whom `order` itself refuses, `node` tells nothing either.
        for other in [client.clone(), client.organizer("the hall")] {
            let document = "query($order: ID!, $item: ID!) { anOrder: node(id: $order) { id } anItem: node(id: $item) { id } }";
            let data = other.data(document, json!({ "order": order, "item": item })).await;
            assert_eq!(data, json!({ "anOrder": null, "anItem": null }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_for_public_fields_too() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let client = server.client();
    let good = tokens().issue(Role::Customer, "ada", MINUTE).unwrap();
    let answer = client.with_token(&good).send(PUBLIC, json!({})).await;
    assert_eq!((answer.status, answer.fault()), (StatusCode::OK, None));

    let claims = |change: Value| {
        let now = chrono::Utc::now().timestamp();
        let mut claims = json!({ "iss": "rowlock", "aud": "rowlock", "sub": "ada", "role": "customer",
            "iat": now, "exp": now + 60 });
        for (claim, value) in change.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        claims
    };
    let signed = |change: Value| sign(JWT_SECRET, Algorithm::HS256, &claims(change));
    let forger = Tokens::new(b"another key of thirty-two bytes!", "rowlock", "rowlock").unwrap();
    let (body, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let now = chrono::Utc::now().timestamp();
    // So that the claims themselves are what is refused below.
    assert_eq!(
        client
            .with_token(&signed(json!({})))
            .send(PUBLIC, json!({}))
            .await
            .fault(),
        None
    );
    for (what, code, token) in [
        (
            "expired",
            "TOKEN_EXPIRED",
            signed(json!({ "exp": now - 3_600 })),
        ),
        (
            "forged",
            "INVALID_TOKEN",
            forger.issue(Role::Customer, "ada", MINUTE).unwrap(),
        ),
        ("tampered with", "INVALID_TOKEN", format!("{body}.{turned}")),
        ("without a signature", "INVALID_TOKEN", format!("{body}.")),
        (
            "signed another way",
            "INVALID_TOKEN",
            sign(JWT_SECRET, Algorithm::HS512, &claims(json!({}))),
        ),
        (
            "for another audience",
            "INVALID_TOKEN",
            signed(json!({ "aud": "another shop" })),
        ),
        (
            "from another issuer",
            "INVALID_TOKEN",
            signed(json!({ "iss": "another shop" })),
        ),
        (
            "of no known role",
            "INVALID_TOKEN",
            signed(json!({ "role": "admin" })),
        ),
        (
            "without a role",
            "INVALID_TOKEN",
            signed(json!({ "role": null })),
        ),
        (
            "without a subject",
            "INVALID_TOKEN",
            signed(json!({ "sub": null })),
        ),
        (
            "of an empty subject",
            "INVALID_TOKEN",
            signed(json!({ "sub": "" })),
        ),
        ("for ever", "INVALID_TOKEN", signed(json!({ "exp": null }))),
        (
            "for later",
            "INVALID_TOKEN",
            signed(json!({ "nbf": now + 3_600 })),
        ),
        ("garbage", "INVALID_TOKEN", "garbage".to_owned()),
        (
            "garbage of a token's shape",
            "INVALID_TOKEN",
            "a.b.c".to_owned(),
        ),
    ] {
        for document in [PUBLIC, "{ me { subject } }"] {
            let answer = client.with_token(&token).send(document, json!({})).await;
            assert_token_refused(what, &answer, code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_header_that_is_no_bearer_token_is_refused() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let good = tokens().issue(Role::Customer, "ada", MINUTE).unwrap();
    let http = reqwest::Client::new();
    let send = async |header: &str| {
        let request = http
            .post(format!("{}/graphql", server.url()))
            .header("authorization", header)
            .json(&json!({ "query": PUBLIC }));
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        &good,
        &format!("Basic {good}"),
        &format!("Bearer{good}"),
    ] {
        assert_token_refused(header, &send(header).await, "INVALID_TOKEN");
    }
    // The scheme's case does not matter (RFC 9110).
    assert_eq!(send(&format!("bearer {good}")).await.fault(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_command_line_is_good_for_what_it_says() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let of = |role: &str| {
        let arguments = ["token", "--role", role, "--subject", "ada", "--for", "15m"];
        Server::command(&arguments)
            .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
            .print()
    };
    for (role, of_schema) in [("customer", "CUSTOMER"), ("organizer", "ORGANIZER")] {
        let client = server.client().with_token(of(role).trim());
        let data = client.data("{ me { subject role } }", json!({})).await;
        assert_eq!(data["me"], json!({ "subject": "ada", "role": of_schema }));
    }
}

fn sign(key: &str, algorithm: Algorithm, claims: &Value) -> String {
    let mut claims = claims.clone();
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    jsonwebtoken::encode(
        &Header::new(algorithm),
        &claims,
        &EncodingKey::from_secret(key.as_bytes()),
    )
    .unwrap()
}

fn assert_token_refused(what: &str, answer: &Answer, code: &str) {
    assert_eq!(
        (answer.status, answer.fault()),
        (StatusCode::UNAUTHORIZED, Some(code)),
        "{what}: {answer:?}"
    );
    assert!(answer.headers.contains_key("www-authenticate"), "{what}");
    assert_eq!(answer.data, Value::Null, "{what}");
    assert_eq!(
        answer.errors[0]["extensions"]["requestId"],
        answer.request_id(),
        "{what}"
    );
}

/// A field that was not for the caller: its error says so, and nothing was done.
fn assert_denied(field: &str, answer: &Answer, code: &str) {
    assert_eq!(
        (answer.status, answer.fault()),
        (StatusCode::OK, Some(code)),
        "{field}: {answer:?}"
    );
    assert_eq!(answer.data[field], Value::Null);
    assert_eq!(answer.errors.len(), 1);
    assert_eq!(answer.errors[0]["path"], json!([field]));
    assert_eq!(
        answer.errors[0]["extensions"]["requestId"],
        answer.request_id()
    );
}

async fn orders_of(customer: &Client) -> Vec<String> {
    let data = customer
        .data("{ me { orders { nodes { id } } } }", json!({}))
        .await;
    let orders = data["me"]["orders"]["nodes"].as_array().unwrap();
    orders
        .iter()
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect()
}
