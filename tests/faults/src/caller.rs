//! Asks a server for one command, and says what its answer means: done, refused, nothing happened, or nobody knows.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use async_graphql::ID;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use rowlock::{
    auth::Role,
    graphql::global_id::GlobalId,
    ids::{EventId, HoldId, OrderId, OrderItemId, TicketId, TicketTypeId},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    harness::client::{Answer as Reply, mutation, tokens},
    history::{Answer, Reason, ToldHold, ToldItem, ToldOrder},
};

/// Longer than a run, and longer than that where the server's clock is an hour ahead.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What is selected of a payload: what the checker looks at, and no more.
const ORDER: &str = "order { id items { id admissionCode ticket { id } } }";
const HOLD: &str = "hold { id heldUntil tickets { id } }";

/// Faults with which nothing has happened, by docs/errors.md. A server whose clock is behind takes a token for one of later.
const NOTHING_HAPPENED: &[&str] = &["INVALID_TOKEN", "OVERLOADED", "RATE_LIMITED"];

static DOCUMENTS: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let of_hold = ["holdTickets", "extendHold", "releaseHold"].map(|name| (name, HOLD));
    let of_order = [
        "purchaseHold",
        "purchaseTicket",
        "purchaseTickets",
        "cancelOrder",
    ]
    .map(|name| (name, ORDER));
    let all = of_hold.into_iter().chain(of_order);
    all.map(|(name, selection)| (name, mutation(name, selection)))
        .collect()
});

/// A customer's program. Clones share connections.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    token: String,
}

/// One mutation, as it is sent.
pub struct Request {
    pub mutation: &'static str,
    pub input: Value,
    /// The tickets that a refusal can name by their places.
    pub tickets: Vec<TicketId>,
}

impl Caller {
    /// Waits no longer than `patience` for an answer.
    pub fn new(subject: &str, patience: Duration) -> Self {
        Self {
            http: reqwest::Client::builder()
                .timeout(patience)
                .build()
                .unwrap(),
            token: token(subject),
        }
    }

    /// Another customer at the same machine.
    pub fn with_subject(&self, subject: &str) -> Self {
        Self {
            token: token(subject),
            ..self.clone()
        }
    }

    /// Asks the server at this URL. Whatever does not certainly say what happened leaves it unknown.
    pub async fn ask(&self, server: &str, request: &Request) -> Answer {
        let sent = self
            .http
            .post(format!("{server}/graphql"))
            .bearer_auth(&self.token)
            .json(&json!({
                "query": DOCUMENTS[request.mutation], "variables": { "input": request.input },
            }))
            .send()
            .await;
        let reply = match sent {
            Ok(response) => Reply::read(response).await,
            // It was never sent.
            Err(error) if error.is_connect() => return Answer::Nothing("NOT_REACHED".to_owned()),
            Err(error) => Err(error),
        };
        match reply {
            Ok(reply) => read(reply, request),
            Err(error) if error.is_timeout() => Answer::Unknown("NO_ANSWER".to_owned()),
            Err(_) => Answer::Unknown("CONNECTION_LOST".to_owned()),
        }
    }
}

fn token(subject: &str) -> String {
    tokens()
        .issue(Role::Customer, subject, TOKEN_LIFETIME)
        .unwrap()
}

fn read(mut reply: Reply, request: &Request) -> Answer {
    if let Some(code) = reply.fault() {
        let code = code.to_owned();
        return if NOTHING_HAPPENED.contains(&code.as_str()) {
            Answer::Nothing(code)
        } else {
            Answer::Unknown(code)
        };
    }
    if reply.status != StatusCode::OK {
        return Answer::Unknown(format!("HTTP_{}", reply.status.as_u16()));
    }
    let mut payload = reply.data[request.mutation].take();
    let reasons = payload["userErrors"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if !reasons.is_empty() {
        let reasons = reasons.iter().map(|error| reason(error, request));
        return Answer::Refused(reasons.collect());
    }
    match serde_json::from_value(payload.take()) {
        Ok(Payload {
            order: Some(order), ..
        }) => Answer::Order(order.into()),
        Ok(Payload {
            hold: Some(hold), ..
        }) => Answer::Hold(hold.into()),
        Ok(_) => Answer::Unknown("EMPTY_PAYLOAD".to_owned()),
        Err(error) => Answer::Unknown(format!("UNREADABLE: {error}")),
    }
}

fn reason(error: &Value, request: &Request) -> Reason {
    let field = error["field"].as_str().unwrap_or_default();
    let place = field
        .rsplit('.')
        .find_map(|part| part.parse::<usize>().ok());
    let named = match place {
        Some(place) => request.tickets.get(place),
        None if request.tickets.len() == 1 => request.tickets.first(),
        None => None,
    };
    Reason {
        code: error["code"].as_str().unwrap_or("(no code)").to_owned(),
        ticket: named.copied(),
    }
}

#[derive(Deserialize)]
struct Payload {
    order: Option<OrderFields>,
    hold: Option<HoldFields>,
}

#[derive(Deserialize)]
struct OrderFields {
    id: ID,
    items: Vec<ItemFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemFields {
    id: ID,
    admission_code: Option<String>,
    ticket: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HoldFields {
    id: ID,
    held_until: DateTime<Utc>,
    tickets: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: ID,
}

impl From<OrderFields> for ToldOrder {
    fn from(order: OrderFields) -> Self {
        let items = order.items.into_iter().map(|item| ToldItem {
            id: match GlobalId::decode(&item.id) {
                Some(GlobalId::OrderItem(_, id)) => id,
                other => panic!("an item has the id {other:?}"),
            },
            ticket: ticket_id(&item.ticket.id),
            code: item.admission_code,
        });
        Self {
            id: match GlobalId::decode(&order.id) {
                Some(GlobalId::Order(_, id)) => id,
                other => panic!("an order has the id {other:?}"),
            },
            items: items.collect(),
        }
    }
}

impl From<HoldFields> for ToldHold {
    fn from(hold: HoldFields) -> Self {
        let tickets = hold.tickets.iter().map(|ticket| ticket_id(&ticket.id));
        Self {
            id: match GlobalId::decode(&hold.id) {
                Some(GlobalId::Hold(_, id)) => id,
                other => panic!("a hold has the id {other:?}"),
            },
            until: hold.held_until.timestamp_micros(),
            tickets: tickets.collect(),
        }
    }
}

pub fn ticket_id(id: &str) -> TicketId {
    match GlobalId::decode(&ID::from(id)) {
        Some(GlobalId::Ticket(_, id)) => id,
        other => panic!("a ticket has the id {other:?}"),
    }
}

pub fn event_id(id: &str) -> EventId {
    match GlobalId::decode(&ID::from(id)) {
        Some(GlobalId::Event(id)) => id,
        other => panic!("an event has the id {other:?}"),
    }
}

pub fn ticket_type_id(id: &str) -> TicketTypeId {
    match GlobalId::decode(&ID::from(id)) {
        Some(GlobalId::TicketType(_, id)) => id,
        other => panic!("a ticket type has the id {other:?}"),
    }
}

/// Ids as clients send them.
pub fn ticket(event: EventId, id: TicketId) -> String {
    GlobalId::Ticket(event, id).encode().to_string()
}

pub fn ticket_type(event: EventId, id: TicketTypeId) -> String {
    GlobalId::TicketType(event, id).encode().to_string()
}

pub fn hold(event: EventId, id: HoldId) -> String {
    GlobalId::Hold(event, id).encode().to_string()
}

pub fn order_item(event: EventId, id: OrderItemId) -> String {
    GlobalId::OrderItem(event, id).encode().to_string()
}

pub fn order(event: EventId, id: OrderId) -> String {
    GlobalId::Order(event, id).encode().to_string()
}
