//! GraphQL over WebSocket: operations of one client, side by side, over one connection.
//!
//! One task for each socket hears and tells; each operation is executed by one of its own, at most an answer ahead. So
//! nothing queues up for a client that does not take what it is told, and it keeps nothing that others wait for; one that
//! takes nothing for too long is cut off.
//!
//! async-graphql-axum's own socket closes with codes of its own where the protocol has one; what the protocol says is in
//! [`protocol`].

mod operation;
mod protocol;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header::SEC_WEBSOCKET_PROTOCOL, request::Parts},
    response::Response,
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{AbortHandle, Abortable, BoxStream, SelectAll, SplitSink, SplitStream},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use self::{
    operation::{Event, Told},
    protocol::{Close, Heard, SUBPROTOCOL},
};
use super::{
    App,
    answer::Refusal,
    client::Address,
    connections::Seat,
    identity::{self, NotKnown},
    listeners::Admission,
    origin,
    params::Params,
    rates::Who,
};
use crate::{auth::Identity, graphql::fault};

/// From the socket's beginning to `connection_init`.
const INIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often a client is asked for a sign of life, so that nothing on the way forgets the connection.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A client that gave no sign for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// How long a client may take to take a message.
const SEND_MAX: Duration = Duration::from_secs(10);

/// How long the other side may take to answer a close.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// What the messages of a socket's running operations may hold together, in bytes: in memory they are many times as
/// large.
const RUNNING_LEN_MAX: usize = 1024 * 1024;

/// What is read and written at once. Thousands of sockets do nothing most of the time, and most operations are shorter.
const BUFFER_LEN: usize = 2 * 1024;

/// Whether a request asks for a socket.
pub fn is_wanted(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(axum::http::header::UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens a socket.
///
/// # Errors
/// Why it is not opened: the client learns no more than the status, as browsers are.
pub async fn open(app: &Arc<App>, mut parts: Parts) -> Result<Response, Refusal> {
    origin::check_socket(&parts.headers, &app.config.cors_origins)?;
    let address = app.address(&parts);
    let identity = match identity::of_headers(app, &parts.headers).await {
        Ok(identity) => identity,
        Err(refusal) => return Err(app.not_known(address, refusal)),
    };
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Refusal::bad_request("this is no request for a WebSocket"))?;
    let mut requested = upgrade.requested_protocols();
    if !requested.any(|protocol| protocol == SUBPROTOCOL) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            fault::Code::BadRequest,
            format!("a socket here speaks {SUBPROTOCOL}: name it in {SEC_WEBSOCKET_PROTOCOL}"),
        ));
    }
    drop(requested);
    let app = Arc::clone(app);
    let listeners = app.listeners.clone();
    // The connection counts as one as long as the socket is open.
    let seat = parts.extensions.remove::<Seat>();
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(BUFFER_LEN)
        .write_buffer_size(0)
        .max_message_size(app.config.body_len)
        .max_frame_size(app.config.body_len)
        .on_upgrade(move |socket| {
            listeners.track(async move {
                serve(socket, app, identity, address).await;
                drop(seat);
            })
        }))
}

async fn serve(socket: WebSocket, app: Arc<App>, of_headers: Identity, address: Option<Address>) {
    let (sink, heard) = socket.split();
    let mut session = Session {
        app,
        sink,
        heard,
        of_headers,
        address,
        present: None,
        operations: SelectAll::new(),
        running: HashMap::new(),
        ending: None,
    };
    let Err(end) = session.run().await;
    match end {
        End::Close(close) => session.close(close).await,
        End::Closed => session.hear_out().await,
        End::Gone => {}
    }
}

/// How a socket ends.
enum End {
    Close(Close),
    /// The client has closed it.
    Closed,
    /// There is nobody to say anything to.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

struct Session {
    app: Arc<App>,
    sink: SplitSink<WebSocket, Message>,
    heard: SplitStream<WebSocket>,
    /// Who opened the socket, by the request's headers, which a browser's page cannot set.
    of_headers: Identity,
    /// Where it was opened from.
    address: Option<Address>,
    /// Who is there, once the connection is acknowledged.
    present: Option<Present>,
    operations: SelectAll<Abortable<BoxStream<'static, Event>>>,
    running: HashMap<String, Running>,
    /// How the socket ends once nothing is being answered.
    ending: Option<Close>,
}

struct Present {
    identity: Identity,
    /// As whom they are counted.
    who: Who,
    _admission: Admission,
}

struct Running {
    abort: AbortHandle,
    /// Of its message.
    len: usize,
    /// Of this id there may have been one before that is not quite gone.
    number: u64,
    is_answering: operation::Answering,
}

enum Never {}

impl Session {
    async fn run(&mut self) -> Result<Never, End> {
        let begin = Instant::now();
        let closing = self.app.listeners.closing();
        let mut pings = interval_at(begin + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_sign = begin;
        loop {
            if let Some(close) = self.ending.take_if(|_| !is_answering(&self.running)) {
                return Err(close.into());
            }
            tokio::select! {
                message = self.heard.next() => {
                    last_sign = Instant::now();
                    self.hear(message).await?;
                }
                Some(event) = self.operations.next() => self.tell(event).await?,
                () = sleep_until(begin + INIT_WAIT_MAX), if self.present.is_none() => {
                    return Err(Close::init_timeout().into());
                }
                () = expiry(self.present.as_ref()), if self.ending.is_none() => {
                    self.end(Close::new(protocol::Code::Forbidden, "Forbidden: the token has expired"));
                }
                () = closing.cancelled(), if self.ending.is_none() => {
                    self.end(Close::new(protocol::Code::Restart, "Service restart"));
                }
                _ = pings.tick() => {
                    if last_sign.elapsed() > SILENCE_MAX {
                        return Err(End::Gone);
                    }
                    self.send(Message::Ping(axum::body::Bytes::new())).await?;
                }
            }
        }
    }

    /// Ends the socket once every query and mutation is answered: its client should hear what becomes of it. Nothing else is
    /// told any more.
    fn end(&mut self, close: Close) {
        self.running.retain(|_, running| {
            let is_answering = running.is_answering.get();
            if !is_answering {
                running.abort.abort();
            }
            is_answering
        });
        self.ending = Some(close);
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                return Err(Close::new(
                    protocol::Code::BadRequest,
                    "Invalid message: text is spoken here",
                )
                .into());
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) => return Err(End::Closed),
            None => return Err(End::Gone),
            Some(Err(error)) => return Err(end_of(error)),
        };
        match protocol::read(&text)? {
            Heard::Init(_) if self.present.is_some() => Err(Close::too_many_inits().into()),
            Heard::Init(payload) => {
                self.present = Some(self.admit(&payload).await?);
                self.send(protocol::ack().into()).await
            }
            Heard::Ping(payload) => self.send(protocol::pong(payload).into()).await,
            Heard::Pong => Ok(()),
            Heard::Subscribe { id, params } => self.begin(id, *params, text.len()).await,
            Heard::Complete { id } => {
                if let Some(running) = self.running.remove(&id) {
                    running.abort.abort();
                }
                Ok(())
            }
        }
    }

    async fn admit(
        &mut self,
        payload: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Present, End> {
        let identity = match identity::of_payload(&self.app, payload).await {
            Ok(of_payload) => of_payload.unwrap_or_else(|| self.of_headers.clone()),
            Err(NotKnown::Token(_)) => {
                let taken = self.app.rates.take_bad_token(self.address);
                return Err(taken.map_or_else(try_later, |()| Close::forbidden()).into());
            }
            Err(NotKnown::OutOfReach) => {
                return Err(try_later("the database is out of reach").into());
            }
        };
        let admission = self.app.listeners.admit(&identity.caller);
        let admission = admission.map_err(try_later)?;
        Ok(Present {
            who: self.app.rates.who(&identity.caller, self.address),
            identity,
            _admission: admission,
        })
    }

    async fn begin(&mut self, id: String, params: Params, len: usize) -> Result<(), End> {
        let Some(present) = &self.present else {
            return Err(Close::unauthorized().into());
        };
        if self.running.contains_key(&id) {
            return Err(Close::subscriber_exists(&id).into());
        }
        if self.ending.is_some() {
            // The client asks again when it is connected again.
            return Ok(());
        }
        if let Err(refusal) = self.check_room(len) {
            let errors = operation::overloaded(&refusal);
            return self.send(protocol::error(&id, &errors).into()).await;
        }
        let caller = present.identity.caller.clone();
        let (number, is_answering) = operation::numbered();
        let begun = operation::Begun {
            app: Arc::clone(&self.app),
            caller,
            who: present.who,
            params,
            answering: is_answering.clone(),
        };
        let events = operation::events(begun);
        let of_id = id.clone();
        let events = events.map(move |told| Event {
            id: of_id.clone(),
            number,
            told,
        });
        let (abort, registration) = AbortHandle::new_pair();
        self.operations
            .push(Abortable::new(events.boxed(), registration));
        self.running.insert(
            id,
            Running {
                abort,
                len,
                number,
                is_answering,
            },
        );
        Ok(())
    }

    /// # Errors
    /// Why no operation whose message has this length can begin.
    fn check_room(&self, len: usize) -> Result<(), String> {
        let max = self.app.config.operations_per_socket.get();
        if self.running.len() >= max {
            return Err(format!(
                "{max} operations run at this socket, which is the most; complete one first"
            ));
        }
        let running: usize = self.running.values().map(|running| running.len).sum();
        if running > 0 && running + len > RUNNING_LEN_MAX {
            return Err(format!(
                "the operations that run at this socket would have more than {RUNNING_LEN_MAX} bytes together; complete one \
                 first"
            ));
        }
        Ok(())
    }

    async fn tell(&mut self, event: Event) -> Result<(), End> {
        let Event { id, number, told } = event;
        if self
            .running
            .get(&id)
            .is_none_or(|running| running.number != number)
        {
            // The client has had enough of it.
            return Ok(());
        }
        let text = match &told {
            Told::Next(json) => protocol::next(&id, json),
            Told::Error(errors) => protocol::error(&id, errors),
            Told::Complete => protocol::complete(&id),
        };
        match told {
            Told::Next(_) => {}
            Told::Error(_) | Told::Complete => {
                if let Some(running) = self.running.remove(&id) {
                    running.abort.abort();
                }
            }
        }
        self.send(text.into()).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_MAX, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(Close::new(protocol::Code::TryLater, "Messages are not taken").into()),
        }
    }

    /// Says why, and waits for the other side to have heard it.
    async fn close(mut self, close: Close) {
        let frame = CloseFrame {
            code: close.code.number(),
            reason: close.reason.into(),
        };
        let sent = timeout(CLOSE_MAX, self.sink.send(Message::Close(Some(frame)))).await;
        if matches!(sent, Ok(Ok(()))) {
            self.hear_out().await;
        }
    }

    /// Waits for the end of the connection, answering the client's close, which is not done before the next reading.
    async fn hear_out(mut self) {
        self.operations.clear();
        let hearing = async { while let Some(Ok(_)) = self.heard.next().await {} };
        // Either way the connection is dropped.
        let _ = timeout(CLOSE_MAX, hearing).await;
    }
}

fn try_later(why: impl std::fmt::Display) -> Close {
    Close::new(protocol::Code::TryLater, format!("Try again later: {why}"))
}

/// Whether a query or a mutation is being answered.
fn is_answering(running: &HashMap<String, Running>) -> bool {
    running.values().any(|running| running.is_answering.get())
}

/// Waits until who is there is so no longer.
async fn expiry(present: Option<&Present>) {
    match present {
        Some(present) => identity::expiry(&present.identity).await,
        None => std::future::pending().await,
    }
}

fn end_of(error: axum::Error) -> End {
    let is_too_large = error
        .into_inner()
        .downcast_ref::<tungstenite::Error>()
        .is_some_and(|error| matches!(error, tungstenite::Error::Capacity(_)));
    if is_too_large {
        Close::new(protocol::Code::TooLarge, "Message too large").into()
    } else {
        End::Gone
    }
}
