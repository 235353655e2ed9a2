//! What buyers send, and what they are told: requests that are put together from prepared text, and answers of which no
//! more is read than a buyer wants to know.

use std::{borrow::Cow, fmt::Write};

use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Reply, Trouble};

/// What a buyer asks for: `answer` is the payload's name in each.
const PURCHASE_TICKET: &str = "mutation($i: PurchaseTicketInput!) { answer: purchaseTicket(input: $i) { order { id items { id } } userErrors { code } } }";
const PURCHASE_TICKETS: &str = "mutation($i: PurchaseTicketsInput!) { answer: purchaseTickets(input: $i) { order { id items { id } } userErrors { code } } }";
const HOLD_TICKETS: &str = "mutation($i: HoldTicketsInput!) { answer: holdTickets(input: $i) { hold { id } userErrors { code } } }";
const PURCHASE_HOLD: &str = "mutation($i: PurchaseHoldInput!) { answer: purchaseHold(input: $i) { order { id items { id } } userErrors { code } } }";
const RELEASE_HOLD: &str =
    "mutation($i: ReleaseHoldInput!) { answer: releaseHold(input: $i) { userErrors { code } } }";

/// What a page of an event shows to somebody who waits for tickets.
const LOOK: &str = "query($id: ID!) { event(by: { id: $id }) { name isOnSale ticketTypes { id name price { amount currency } availability { available } } } }";

/// An id that a server gave. It is put into requests as it is.
pub fn is_plain_id(id: &str) -> bool {
    (1..=256).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-=+/.:~".contains(&byte))
}

/// The beginnings of all requests, up to their input.
pub struct Forms {
    purchase_ticket: String,
    purchase_tickets: String,
    hold_tickets: String,
    purchase_hold: String,
    release_hold: String,
    /// A look at each event, the same every time.
    pub looks: Vec<Bytes>,
}

impl Forms {
    pub fn new<'a>(event_ids: impl Iterator<Item = &'a str>) -> Self {
        let form = |document| {
            let document = Value::from(document);
            format!("{{\"query\":{document},\"variables\":{{\"i\":{{")
        };
        Self {
            purchase_ticket: form(PURCHASE_TICKET),
            purchase_tickets: form(PURCHASE_TICKETS),
            hold_tickets: form(HOLD_TICKETS),
            purchase_hold: form(PURCHASE_HOLD),
            release_hold: form(RELEASE_HOLD),
            looks: event_ids
                .map(|id| request(LOOK, json!({ "id": id })))
                .collect(),
        }
    }

    pub fn purchase<'a>(
        &self,
        mut ids: impl ExactSizeIterator<Item = &'a str>,
        key: &str,
    ) -> Bytes {
        match (ids.len(), ids.next()) {
            (1, Some(id)) => close(
                &self.purchase_ticket,
                |body| {
                    let _ = write!(body, "\"ticketId\":\"{id}\"");
                },
                key,
            ),
            (_, first) => close(
                &self.purchase_tickets,
                |body| write_ids(body, first.into_iter().chain(ids)),
                key,
            ),
        }
    }

    pub fn purchase_any(&self, ticket_type_id: &str, quantity: u16, key: &str) -> Bytes {
        close(
            &self.purchase_tickets,
            |body| {
                let _ = write!(
                    body,
                    "\"tickets\":{{\"anyOf\":{{\"ticketTypeId\":\"{ticket_type_id}\",\"quantity\":{quantity}}}}}"
                );
            },
            key,
        )
    }

    pub fn hold<'a>(&self, ids: impl Iterator<Item = &'a str>, key: &str) -> Bytes {
        close(&self.hold_tickets, |body| write_ids(body, ids), key)
    }

    pub fn purchase_hold(&self, hold_id: &str, key: &str) -> Bytes {
        close(&self.purchase_hold, |body| write_hold(body, hold_id), key)
    }

    pub fn release_hold(&self, hold_id: &str, key: &str) -> Bytes {
        close(&self.release_hold, |body| write_hold(body, hold_id), key)
    }
}

fn close(form: &str, write_input: impl FnOnce(&mut String), key: &str) -> Bytes {
    let mut body = String::with_capacity(form.len() + 192);
    body.push_str(form);
    write_input(&mut body);
    let _ = write!(body, ",\"idempotencyKey\":\"{key}\"}}}}}}");
    body.into()
}

fn write_ids<'a>(body: &mut String, ids: impl Iterator<Item = &'a str>) {
    body.push_str("\"tickets\":{\"ids\":[");
    for (index, id) in ids.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(body, "{comma}\"{id}\"");
    }
    body.push_str("]}");
}

fn write_hold(body: &mut String, hold_id: &str) {
    let _ = write!(body, "\"holdId\":\"{hold_id}\"");
}

/// Any request, for what is asked seldom.
pub fn request(document: &str, variables: Value) -> Bytes {
    json!({ "query": document, "variables": variables })
        .to_string()
        .into()
}

/// What a buyer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// This order, with these items.
    Order {
        id: String,
        items: Vec<String>,
    },
    /// This hold.
    Hold(String),
    /// It is done, with nothing to show for it.
    Done,
    /// The code of the first reason.
    Refused(String),
    Fault(Fault),
}

/// An answer that is none, and whether the request may have been carried out all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: String,
    pub may_be_done: bool,
}

/// Codes of the server's with which it says that nothing happened. The audit sees whether that is so.
const NOTHING_HAPPENED: &[&str] = &[
    "BAD_REQUEST",
    "BAD_USER_INPUT",
    "BATCH_NOT_SUPPORTED",
    "DOCUMENT_NOT_TRUSTED",
    "FORBIDDEN",
    "GRAPHQL_VALIDATION_FAILED",
    "HEADERS_TOO_LARGE",
    "HOST_NOT_ALLOWED",
    "INVALID_TOKEN",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "OVERLOADED",
    "PAYLOAD_TOO_LARGE",
    "PERSISTED_QUERY_NOT_FOUND",
    "PERSISTED_QUERY_NOT_SUPPORTED",
    "PREFLIGHT_REQUIRED",
    "RATE_LIMITED",
    "TOKEN_EXPIRED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNSUPPORTED_MEDIA_TYPE",
    "URI_TOO_LONG",
];

/// The answer makes no sense.
pub const NOT_UNDERSTOOD: &str = "NOT_UNDERSTOOD";

/// No server takes connections.
const NOT_CONNECTED: &str = "NOT_CONNECTED";

impl Fault {
    fn of_server(code: &str) -> Self {
        Self {
            may_be_done: !NOTHING_HAPPENED.contains(&code),
            code: code.to_owned(),
        }
    }

    /// No server took a connection.
    pub fn is_unreachable(&self) -> bool {
        self.code == NOT_CONNECTED
    }

    fn not_understood() -> Self {
        Self {
            code: NOT_UNDERSTOOD.to_owned(),
            may_be_done: true,
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        let code = match trouble {
            Trouble::Unreachable => NOT_CONNECTED,
            Trouble::Lost => "CONNECTION_LOST",
            Trouble::Silent => "NO_ANSWER",
            Trouble::TooLong => NOT_UNDERSTOOD,
        };
        Self {
            code: code.to_owned(),
            may_be_done: trouble != Trouble::Unreachable,
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
    #[serde(borrow, default)]
    errors: Option<Vec<TopError<'a>>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    answer: Option<Payload<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, default)]
    order: Option<Order<'a>>,
    #[serde(borrow, default)]
    hold: Option<Object<'a>>,
    #[serde(borrow)]
    user_errors: Vec<UserError<'a>>,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    items: Vec<Object<'a>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct UserError<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

#[derive(Deserialize)]
pub struct TopError<'a> {
    #[serde(borrow, default)]
    extensions: Option<Extensions<'a>>,
}

#[derive(Deserialize)]
struct Extensions<'a> {
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
}

/// What a buyer makes of the answer to a mutation.
pub fn told(reply: Result<Reply, Trouble>) -> Told {
    let reply = match reply {
        Ok(reply) => reply,
        Err(trouble) => return Told::Fault(trouble.into()),
    };
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&reply.body) else {
        return Told::Fault(unreadable(&reply));
    };
    if let Some(fault) = fault_of(answer.errors.as_deref()) {
        return Told::Fault(fault);
    }
    answer
        .data
        .and_then(|data| data.answer)
        .and_then(read_payload)
        .unwrap_or_else(|| Told::Fault(Fault::not_understood()))
}

#[derive(Deserialize)]
struct LookAnswer<'a> {
    #[serde(default)]
    data: Option<LookData>,
    #[serde(borrow, default)]
    errors: Option<Vec<TopError<'a>>>,
}

#[derive(Deserialize)]
struct LookData {
    #[serde(default)]
    event: Option<serde::de::IgnoredAny>,
}

/// What a buyer makes of the answer to a look: nothing, if only it shows the event.
pub fn looked(reply: Result<Reply, Trouble>) -> Told {
    let reply = match reply {
        Ok(reply) => reply,
        Err(trouble) => return Told::Fault(trouble.into()),
    };
    match serde_json::from_slice::<LookAnswer<'_>>(&reply.body) {
        Ok(answer) => match (fault_of(answer.errors.as_deref()), answer.data) {
            (Some(fault), _) => Told::Fault(fault),
            (None, Some(LookData { event: Some(_) })) => Told::Done,
            (None, _) => Told::Fault(Fault::not_understood()),
        },
        Err(_) => Told::Fault(unreadable(&reply)),
    }
}

/// By the first of an answer's errors, if it has any.
pub fn fault_of(errors: Option<&[TopError<'_>]>) -> Option<Fault> {
    let error = errors?.first()?;
    let code = error
        .extensions
        .as_ref()
        .and_then(|more| more.code.as_deref());
    Some(
        code.filter(|code| is_code(code))
            .map_or_else(Fault::not_understood, Fault::of_server),
    )
}

/// An answer that is no GraphQL: a proxy's, or garbage.
fn unreadable(reply: &Reply) -> Fault {
    if reply.status.is_success() {
        return Fault::not_understood();
    }
    Fault {
        code: format!("HTTP_{}", reply.status.as_u16()),
        may_be_done: true,
    }
}

/// None when it makes no sense: a refusal with an order, or neither.
fn read_payload(payload: Payload<'_>) -> Option<Told> {
    let Payload {
        order,
        hold,
        user_errors,
    } = payload;
    match (order, hold, user_errors.first()) {
        (None, None, Some(error)) => {
            is_code(&error.code).then(|| Told::Refused(error.code.clone().into_owned()))
        }
        (Some(order), None, None) if is_plain_id(&order.id) => Some(Told::Order {
            id: order.id.into_owned(),
            items: order
                .items
                .into_iter()
                .map(|item| item.id.into_owned())
                .collect(),
        }),
        (None, Some(hold), None) if is_plain_id(&hold.id) => Some(Told::Hold(hold.id.into_owned())),
        (None, None, None) => Some(Told::Done),
        (_, _, _) => None,
    }
}

/// Codes are counted by name and printed: whatever a server says must not become a name of any length.
fn is_code(code: &str) -> bool {
    (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(status: u16, body: &str) -> Told {
        told(Ok(Reply {
            status: hyper::StatusCode::from_u16(status).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }))
    }

    fn fault(code: &str, may_be_done: bool) -> Told {
        Told::Fault(Fault {
            code: code.to_owned(),
            may_be_done,
        })
    }

    #[test]
    fn a_sale_a_hold_a_release_and_a_refusal_are_told_apart() {
        let sold = r#"{"data":{"answer":{"order":{"id":"T1","items":[{"id":"I1"},{"id":"I2"}]},"userErrors":[]}}}"#;
        let items = vec!["I1".to_owned(), "I2".to_owned()];
        assert_eq!(
            told_of(200, sold),
            Told::Order {
                id: "T1".to_owned(),
                items
            }
        );
        let held = r#"{"data":{"answer":{"hold":{"id":"H"},"userErrors":[]}}}"#;
        assert_eq!(told_of(200, held), Told::Hold("H".to_owned()));
        let released = r#"{"data":{"answer":{"userErrors":[]}}}"#;
        assert_eq!(told_of(200, released), Told::Done);
        let refused =
            r#"{"data":{"answer":{"order":null,"userErrors":[{"code":"ALREADY_SOLD"}]}}}"#;
        assert_eq!(
            told_of(200, refused),
            Told::Refused("ALREADY_SOLD".to_owned())
        );
    }

    #[test]
    fn a_fault_says_whether_the_sale_may_have_happened() {
        let coded = |code: &str| format!(r#"{{"errors":[{{"extensions":{{"code":"{code}"}}}}]}}"#);
        assert_eq!(
            told_of(200, &coded("OVERLOADED")),
            fault("OVERLOADED", false)
        );
        assert_eq!(
            told_of(200, &coded("OUTCOME_UNKNOWN")),
            fault("OUTCOME_UNKNOWN", true)
        );
        assert_eq!(
            told(Err(Trouble::Unreachable)),
            fault("NOT_CONNECTED", false)
        );
        assert_eq!(told(Err(Trouble::Lost)), fault("CONNECTION_LOST", true));
        assert_eq!(told_of(502, "<html>"), fault("HTTP_502", true));
    }

    #[test]
    fn garbage_is_a_fault_and_no_sale() {
        for garbage in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"data":null}"#,
            r#"{"data":{"answer":null}}"#,
            r#"{"data":{"answer":{"order":{"id":"T","items":[]}}}}"#,
            r#"{"data":{"answer":{"order":{"id":"T","items":[]},"userErrors":[{"code":"X"}]}}}"#,
            r#"{"data":{"answer":{"order":{"id":"\" } evil","items":[]},"userErrors":[]}}}"#,
            r#"{"errors":[{}]}"#,
            r#"{"errors":[{"extensions":{"code":"\u001b[31m"}}]}"#,
        ] {
            assert_eq!(
                told_of(200, garbage),
                fault(NOT_UNDERSTOOD, true),
                "{garbage}"
            );
        }
    }

    #[test]
    fn requests_are_json() {
        let forms = Forms::new(["E"].into_iter());
        for body in [
            forms.purchase(["T1"].into_iter(), "k"),
            forms.purchase(["T1", "T2"].into_iter(), "k"),
            forms.purchase_any("Y", 3, "k"),
            forms.hold(["T1"].into_iter(), "k"),
            forms.purchase_hold("H", "k"),
            forms.release_hold("H", "k"),
        ] {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["variables"]["i"]["idempotencyKey"], "k", "{body}");
        }
    }
}
