//! The words of `graphql-transport-ws`, after its specification
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>). Knows nothing about sockets.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::params::Params;

pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// The longest reason that a close frame carries, in bytes (RFC 6455, section 5.5: 125 with the code).
const REASON_LEN_MAX: usize = 123;

/// The longest id of an operation, in bytes; clients send some thirty.
const ID_LEN_MAX: usize = 256;

/// What a client may say.
#[derive(Debug)]
pub enum Heard {
    Init(serde_json::Map<String, Value>),
    Ping(Option<Value>),
    Pong,
    Subscribe { id: String, params: Box<Params> },
    Complete { id: String },
}

/// Why the server closes a socket: the protocol's own codes, and WebSocket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A message that is none.
    BadRequest,
    /// An operation before the connection was acknowledged.
    Unauthorized,
    /// The token is not good, or no longer.
    Forbidden,
    InitTimeout,
    SubscriberExists,
    TooManyInits,
    /// The server ends; another one, or this one again, is there in a moment.
    Restart,
    /// The client does not take what it asked for, or there are too many of its sockets.
    TryLater,
    TooLarge,
}

impl Code {
    pub fn number(self) -> u16 {
        match self {
            Self::BadRequest => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::InitTimeout => 4408,
            Self::SubscriberExists => 4409,
            Self::TooManyInits => 4429,
            Self::Restart => 1012,
            Self::TryLater => 1013,
            Self::TooLarge => 1009,
        }
    }
}

/// How a socket ends, and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: Code,
    pub reason: String,
}

impl Close {
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > REASON_LEN_MAX {
            let mut len = REASON_LEN_MAX - '…'.len_utf8();
            while !reason.is_char_boundary(len) {
                len -= 1;
            }
            reason.truncate(len);
            reason.push('…');
        }
        Self { code, reason }
    }

    pub fn subscriber_exists(id: &str) -> Self {
        // In the protocol's own words, as those below.
        Self::new(
            Code::SubscriberExists,
            format!("Subscriber for {id} already exists"),
        )
    }

    pub fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "Unauthorized")
    }

    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "Forbidden")
    }

    pub fn init_timeout() -> Self {
        Self::new(Code::InitTimeout, "Connection initialisation timeout")
    }

    pub fn too_many_inits() -> Self {
        Self::new(Code::TooManyInits, "Too many initialisation requests")
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message {
    ConnectionInit {
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Ping {
        #[serde(default)]
        payload: Option<serde_json::Map<String, Value>>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<serde_json::Map<String, Value>>,
    },
    Subscribe {
        id: String,
        payload: Params,
    },
    Complete {
        id: String,
    },
}

/// Reads what a client says.
///
/// # Errors
/// How the socket ends when it is nothing that the protocol knows.
pub fn read(text: &str) -> Result<Heard, Close> {
    let bad = |reason: &str| Close::new(Code::BadRequest, reason);
    let message = serde_json::from_str(text).map_err(|_| bad("Invalid message"))?;
    Ok(match message {
        Message::ConnectionInit { payload } => Heard::Init(payload.unwrap_or_default()),
        Message::Ping { payload } => Heard::Ping(payload.map(Value::Object)),
        Message::Pong { .. } => Heard::Pong,
        Message::Subscribe { id, .. } | Message::Complete { id } if !is_id(&id) => {
            return Err(bad("Invalid message: an id has 1 to 256 bytes"));
        }
        Message::Subscribe { id, payload } => Heard::Subscribe {
            id,
            params: Box::new(payload),
        },
        Message::Complete { id } => Heard::Complete { id },
    })
}

fn is_id(id: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len())
}

pub fn ack() -> String {
    json!({ "type": "connection_ack" }).to_string()
}

pub fn pong(payload: Option<Value>) -> String {
    match payload {
        Some(payload) => json!({ "type": "pong", "payload": payload }).to_string(),
        None => json!({ "type": "pong" }).to_string(),
    }
}

/// `payload` is an answer, as JSON.
pub fn next(id: &str, payload: &str) -> String {
    format!(
        r#"{{"id":{},"type":"next","payload":{payload}}}"#,
        json!(id)
    )
}

/// The errors of a request that is not executed: the payload is a list.
pub fn error(id: &str, errors: &Value) -> String {
    json!({ "id": id, "type": "error", "payload": errors }).to_string()
}

pub fn complete(id: &str) -> String {
    json!({ "id": id, "type": "complete" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_does_not_know_ends_the_socket() {
        for text in [
            "",
            "1",
            "[]",
            "null",
            "{}",
            r#"{"type":"start"}"#,
            r#"{"type":1}"#,
            r#"{"type":"connection_init","payload":1}"#,
            r#"{"type":"connection_init","payload":[]}"#,
            r#"{"type":"ping","payload":"x"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":1,"payload":{"query":"{x}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{x}"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{x}","variables":[]}}"#,
            r#"{"type":"complete"}"#,
        ] {
            let close = read(text).unwrap_err();
            assert_eq!(close.code, Code::BadRequest, "{text}");
        }
    }

    #[test]
    fn what_it_knows_is_understood() {
        assert!(matches!(
            read(r#"{"type":"connection_init"}"#),
            Ok(Heard::Init(payload)) if payload.is_empty()
        ));
        assert!(matches!(
            read(r#"{"type":"connection_init","payload":null}"#),
            Ok(Heard::Init(_))
        ));
        assert!(matches!(
            read(r#"{"type":"pong","payload":{"a":1}}"#),
            Ok(Heard::Pong)
        ));
        let Ok(Heard::Subscribe { id, params }) =
            read(r#"{"id":"a","type":"subscribe","payload":{"query":"{x}","extensions":{}}}"#)
        else {
            panic!("a subscription is one")
        };
        assert_eq!((id.as_str(), params.query.as_deref()), ("a", Some("{x}")));
    }

    #[test]
    fn a_reason_fits_its_frame_and_stays_text() {
        for text in ["x".repeat(300), "é".repeat(200), "…".repeat(100)] {
            let close = Close::subscriber_exists(&text);
            assert!(close.reason.len() <= REASON_LEN_MAX, "{}", close.reason);
            assert!(close.reason.ends_with('…'));
        }
        assert_eq!(
            Close::subscriber_exists("7").reason,
            "Subscriber for 7 already exists"
        );
    }
}
