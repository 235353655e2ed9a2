//! A GraphQL client over HTTP, as thin as a frontend's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    StatusCode,
    header::{CACHE_CONTROL, HeaderMap},
};
use rowlock::auth::{Role, Tokens};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::server::JWT_SECRET;

/// No answer of the server may take this long; its own bounds are all shorter.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The server's defaults.
const ISSUER: &str = "rowlock";
const AUDIENCE: &str = "rowlock";

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Speaks to one server, as one caller. Clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    takes_kept: bool,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub data: Value,
    pub errors: Vec<Value>,
    pub extensions: Value,
}

/// What a buyer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order; of a cancellation, what is left of it.
    Sold(Order),
    /// The code of the first user error.
    Refused(String),
    /// The code of the first top-level error, or what happened on the way to the server.
    Fault(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    pub status: String,
    pub total: Money,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Money {
    pub amount: String,
    pub currency: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: String,
    pub status: String,
    /// None once the item is cancelled.
    pub admission_code: Option<String>,
    pub ticket: TicketRef,
}

/// What a holder was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldOutcome {
    Held(Hold),
    /// The code of the first user error.
    Refused(String),
    /// As [`Outcome::Fault`].
    Fault(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub id: String,
    pub status: String,
    pub held_until: DateTime<Utc>,
    pub extendable_until: DateTime<Utc>,
    pub tickets: Vec<TicketRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TicketRef {
    pub id: String,
}

/// What is selected of an order, and of a hold.
pub const ORDER: &str =
    "order { id status total { amount currency } items { id status admissionCode ticket { id } } }";
pub const HOLD: &str = "hold { id status heldUntil extendableUntil tickets { id } }";

pub const PURCHASE_TICKET: &str =
    "mutation($input: PurchaseTicketInput!) { purchaseTicket(input: $input) {
    order { id status total { amount currency } items { id status admissionCode ticket { id } } }
    userErrors { code message field }
} }";

pub const PURCHASE_TICKETS: &str =
    "mutation($input: PurchaseTicketsInput!) { purchaseTickets(input: $input) {
    order { id status total { amount currency } items { id status admissionCode ticket { id } } }
    userErrors { code message field }
} }";

/// A mutation of one input, with what is selected of its payload beside the user errors.
pub fn mutation(name: &str, selection: &str) -> String {
    let (first, rest) = name.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    format!(
        "mutation($input: {input}!) {{ {name}(input: $input) {{ {selection} userErrors {{ code message field }} }} }}"
    )
}

/// The codes of a payload's user errors, in their order.
pub fn codes(payload: &Value) -> Vec<&str> {
    let errors = payload["userErrors"]
        .as_array()
        .expect("a payload has userErrors");
    errors
        .iter()
        .map(|error| error["code"].as_str().unwrap())
        .collect()
}

/// What makes and checks the tests' tokens.
pub fn tokens() -> Tokens {
    Tokens::new(JWT_SECRET.as_bytes(), ISSUER, AUDIENCE).unwrap()
}

impl Client {
    /// A caller without a token.
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .build()
            .unwrap();
        Self {
            http,
            url: format!("{url}/graphql"),
            token: None,
            takes_kept: false,
        }
    }

    /// One that takes what was true a moment ago, as pages do. The others ask for what is so now, also where a test has just
    /// changed it by hand or through another process.
    pub fn like_a_page(&self) -> Self {
        Self {
            takes_kept: true,
            ..self.clone()
        }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    pub fn customer(&self, name: &str) -> Self {
        self.with_token(
            &tokens()
                .issue(Role::Customer, name, TOKEN_LIFETIME)
                .unwrap(),
        )
    }

    pub fn organizer(&self, name: &str) -> Self {
        self.with_token(
            &tokens()
                .issue(Role::Organizer, name, TOKEN_LIFETIME)
                .unwrap(),
        )
    }

    /// # Errors
    /// When the server did not answer, or not with JSON.
    pub async fn try_send(
        &self,
        document: &str,
        variables: Value,
    ) -> Result<Answer, reqwest::Error> {
        Answer::read(self.request(document, variables).send().await?).await
    }

    /// A request that is not sent yet.
    pub fn request(&self, document: &str, variables: Value) -> reqwest::RequestBuilder {
        let request = self
            .http
            .post(&self.url)
            .json(&json!({ "query": document, "variables": variables }));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        if self.takes_kept {
            request
        } else {
            request.header(CACHE_CONTROL, "no-cache")
        }
    }

    pub async fn send(&self, document: &str, variables: Value) -> Answer {
        self.try_send(document, variables).await.unwrap()
    }

    /// The data of a request that must not fail.
    pub async fn data(&self, document: &str, variables: Value) -> Value {
        let answer = self.send(document, variables).await;
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        answer.data
    }

    /// The payload of a mutation that must not fault; it may be refused.
    pub async fn ask(&self, name: &str, selection: &str, input: Value) -> Value {
        let document = mutation(name, selection);
        let mut data = self.data(&document, json!({ "input": input })).await;
        data[name].take()
    }

    /// The payload of a mutation that must be neither faulted nor refused.
    pub async fn done(&self, mutation: &str, document: &str, input: Value) -> Value {
        let mut data = self.data(document, json!({ "input": input })).await;
        let payload = data[mutation].take();
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
        payload
    }

    pub async fn purchase_ticket(&self, ticket_id: &str, key: &str) -> Outcome {
        self.purchase(
            PURCHASE_TICKET,
            "purchaseTicket",
            json!({ "ticketId": ticket_id, "idempotencyKey": key }),
        )
        .await
    }

    pub async fn purchase_tickets(&self, ticket_ids: &[&str], key: &str) -> Outcome {
        let input = json!({ "tickets": { "ids": ticket_ids }, "idempotencyKey": key });
        self.purchase(PURCHASE_TICKETS, "purchaseTickets", input)
            .await
    }

    pub async fn purchase_any(&self, ticket_type_id: &str, quantity: usize, key: &str) -> Outcome {
        let any = json!({ "ticketTypeId": ticket_type_id, "quantity": quantity });
        let input = json!({ "tickets": { "anyOf": any }, "idempotencyKey": key });
        self.purchase(PURCHASE_TICKETS, "purchaseTickets", input)
            .await
    }

    pub async fn purchase(&self, document: &str, mutation: &str, input: Value) -> Outcome {
        match self.try_send(document, json!({ "input": input })).await {
            Ok(answer) => answer.outcome(mutation),
            Err(error) => Outcome::Fault(format!("{error:?}")),
        }
    }

    pub async fn hold_tickets(&self, ticket_ids: &[&str], key: &str) -> HoldOutcome {
        let input = json!({ "tickets": { "ids": ticket_ids }, "idempotencyKey": key });
        self.hold("holdTickets", input).await
    }

    pub async fn hold_any(&self, ticket_type_id: &str, quantity: usize, key: &str) -> HoldOutcome {
        let any = json!({ "ticketTypeId": ticket_type_id, "quantity": quantity });
        let input = json!({ "tickets": { "anyOf": any }, "idempotencyKey": key });
        self.hold("holdTickets", input).await
    }

    pub async fn extend_hold(&self, hold_id: &str, key: &str) -> HoldOutcome {
        let input = json!({ "holdId": hold_id, "idempotencyKey": key });
        self.hold("extendHold", input).await
    }

    /// Gives these tickets back; all if none are named.
    pub async fn release_hold(
        &self,
        hold_id: &str,
        ticket_ids: Option<&[&str]>,
        key: &str,
    ) -> HoldOutcome {
        let input = json!({ "holdId": hold_id, "ticketIds": ticket_ids, "idempotencyKey": key });
        self.hold("releaseHold", input).await
    }

    pub async fn purchase_hold(&self, hold_id: &str, key: &str) -> Outcome {
        let input = json!({ "holdId": hold_id, "idempotencyKey": key });
        let document = mutation("purchaseHold", ORDER);
        self.purchase(&document, "purchaseHold", input).await
    }

    /// Cancels these items; all if none are named.
    pub async fn cancel_order(
        &self,
        order_id: &str,
        item_ids: Option<&[&str]>,
        reason: Option<&str>,
        key: &str,
    ) -> Outcome {
        let input = json!({
            "orderId": order_id, "itemIds": item_ids, "reason": reason, "idempotencyKey": key,
        });
        let document = mutation("cancelOrder", ORDER);
        self.purchase(&document, "cancelOrder", input).await
    }

    async fn hold(&self, name: &str, input: Value) -> HoldOutcome {
        let document = mutation(name, HOLD);
        match self.try_send(&document, json!({ "input": input })).await {
            Ok(answer) => answer.hold_outcome(name),
            Err(error) => HoldOutcome::Fault(format!("{error:?}")),
        }
    }
}

impl Answer {
    /// # Errors
    /// When the connection was lost, or the body is not JSON.
    pub async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body: Value = response.json().await?;
        let errors = match body["errors"].take() {
            Value::Array(errors) => errors,
            _ => Vec::new(),
        };
        Ok(Self {
            status,
            headers,
            data: body["data"].take(),
            errors,
            extensions: body["extensions"].take(),
        })
    }

    /// The request's id, as the header has it.
    pub fn request_id(&self) -> &str {
        self.headers["x-request-id"].to_str().unwrap()
    }

    /// The code of the first top-level error.
    pub fn fault(&self) -> Option<&str> {
        let error = self.errors.first()?;
        Some(error["extensions"]["code"].as_str().unwrap_or("(no code)"))
    }

    fn outcome(self, mutation: &str) -> Outcome {
        match self.result(mutation, "order") {
            Ok(order) => Outcome::Sold(order),
            Err(NotDone::Refused(code)) => Outcome::Refused(code),
            Err(NotDone::Fault(code)) => Outcome::Fault(code),
        }
    }

    fn hold_outcome(self, mutation: &str) -> HoldOutcome {
        match self.result(mutation, "hold") {
            Ok(hold) => HoldOutcome::Held(hold),
            Err(NotDone::Refused(code)) => HoldOutcome::Refused(code),
            Err(NotDone::Fault(code)) => HoldOutcome::Fault(code),
        }
    }

    /// What the payload has in this field, or the first code.
    fn result<T: DeserializeOwned>(mut self, mutation: &str, field: &str) -> Result<T, NotDone> {
        if let Some(code) = self.fault() {
            return Err(NotDone::Fault(code.to_owned()));
        }
        let mut payload = self.data[mutation].take();
        if let Some(error) = payload["userErrors"].get(0) {
            assert_eq!(payload[field], Value::Null, "a refusal comes alone");
            return Err(NotDone::Refused(error["code"].as_str().unwrap().to_owned()));
        }
        Ok(serde_json::from_value(payload[field].take()).unwrap())
    }
}

enum NotDone {
    Refused(String),
    Fault(String),
}

impl HoldOutcome {
    /// The hold of a request that must succeed.
    pub fn held(self) -> Hold {
        match self {
            Self::Held(hold) => hold,
            Self::Refused(_) | Self::Fault(_) => panic!("not held: {self:?}"),
        }
    }

    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    pub fn is_refused(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refused) if refused == code)
    }
}

impl Hold {
    pub fn ticket_ids(&self) -> Vec<&str> {
        self.tickets
            .iter()
            .map(|ticket| ticket.id.as_str())
            .collect()
    }
}

impl Outcome {
    /// The order of a purchase that must succeed.
    pub fn sold(self) -> Order {
        match self {
            Self::Sold(order) => order,
            Self::Refused(_) | Self::Fault(_) => panic!("not sold: {self:?}"),
        }
    }

    pub fn is_sold(&self) -> bool {
        matches!(self, Self::Sold(_))
    }

    pub fn is_refused(&self, code: &str) -> bool {
        matches!(self, Self::Refused(refused) if refused == code)
    }
}
