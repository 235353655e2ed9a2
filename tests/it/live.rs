//! What is told as it happens, over each transport.

mod orders;
mod sockets;
mod streams;

use std::time::Duration;

use rowlock::auth::Role;
use serde_json::{Value, json};

use crate::harness::{Database, Server, client, rows, seed, server::JWT_SECRET};

const ORDER_UPDATED: &str =
    "subscription($id: ID!) { orderUpdated(id: $id) { id status items { status } } }";

fn token(name: &str) -> String {
    let hour = Duration::from_secs(3600);
    client::tokens().issue(Role::Customer, name, hour).unwrap()
}

/// A token of Ada's with this end, in seconds since 1970. Half a minute more is forgiven.
fn token_with_end(exp: i64) -> String {
    let claims =
        json!({ "iss": "rowlock", "aud": "rowlock", "sub": "ada", "role": "customer", "exp": exp });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// An order of Ada's for two tickets of an event that lets her cancel.
struct Bought {
    event_id: String,
    id: String,
    items: Vec<String>,
}

async fn order(database: &Database, server: &Server) -> Bought {
    let event = seed::seats(&server.client(), 2).await;
    rows::set_events(database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
    let ada = server.client().customer("ada");
    let order = ada
        .purchase_tickets(&event.ticket_ids(), "two")
        .await
        .sold();
    Bought {
        event_id: event.id.clone(),
        id: order.id,
        items: order.items.into_iter().map(|item| item.id).collect(),
    }
}

/// The order as a subscriber hears of it.
fn updated(id: &str, status: &str, items: &[&str]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|status| json!({ "status": status }))
        .collect();
    json!({ "orderUpdated": { "id": id, "status": status, "items": items } })
}
