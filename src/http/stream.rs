//! Answers one after the other, over one response: server-sent events, as `graphql-sse` has them in distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>), and `multipart/mixed` as Apollo has it
//! (<https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol>).
//!
//! An event is made when the one before was taken, so that nothing queues up here.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    accept::StreamType,
    answer::{self, Refusal},
    identity,
    listeners::Admission,
    request_id::{self, RequestId},
};
use crate::{
    auth::{Identity, TokenError},
    graphql::{Answer, fault::Code},
};

/// How often a sign of life is sent, so that nothing on the way forgets the connection.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);

/// Begins `multipart/mixed`, and ends each part of it.
const BOUNDARY: &[u8] = b"--graphql";

/// Asks nginx not to gather answers before it hands them on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A single answer, for a client that takes nothing but streams: whole, so that nothing can break it off.
pub fn single(stream_type: StreamType, answer: Arc<Answer>) -> Response {
    let parts = [Part::Answer(answer), Part::End];
    let body = match stream_type {
        StreamType::EventStream => parts.iter().flat_map(event).collect(),
        StreamType::Multipart => {
            let parts = parts.iter().map(|part| piece(part, None));
            let begin = std::iter::once(Bytes::from_static(BOUNDARY));
            begin.chain(parts).collect::<Vec<_>>()
        }
    };
    response(stream_type, body.concat().into())
}

/// A response that lasts.
pub struct Lasting {
    pub stream_type: StreamType,
    /// Whose it is, as long as their token is good.
    pub identity: Identity,
    pub closing: CancellationToken,
    /// Its place among the listeners.
    pub _admission: Admission,
}

/// What is told next.
enum Part {
    Answer(Arc<Answer>),
    Heartbeat,
    /// Everything was told.
    End,
    /// The token is no longer good.
    Expired,
    /// The server ends: the client asks another one.
    Closing,
    /// Something is broken here.
    Broken,
}

impl Part {
    fn is_last(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Heartbeat => false,
            Self::End | Self::Expired | Self::Closing | Self::Broken => true,
        }
    }
}

/// Why a stream breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the stream is broken off")]
struct BrokenOff;

impl Lasting {
    pub fn respond(self, answers: BoxStream<'static, Arc<Answer>>) -> Response {
        let stream_type = self.stream_type;
        let id = request_id::current();
        let parts = self.parts(answers, id.clone());
        let body = match stream_type {
            StreamType::EventStream => Body::from_stream(parts.map(|part| event(&part))),
            StreamType::Multipart => {
                let begin = stream::once(std::future::ready(Bytes::from_static(BOUNDARY)));
                let parts = begin.chain(parts.map(move |part| piece(&part, id.as_deref())));
                Body::from_stream(parts.map(Ok::<Bytes, Infallible>))
            }
        };
        response(stream_type, body)
    }

    /// The answers, and what else is told, to the end.
    fn parts(
        self,
        answers: BoxStream<'static, Arc<Answer>>,
        id: Option<RequestId>,
    ) -> impl Stream<Item = Part> + Send {
        let answers = AssertUnwindSafe(answers).catch_unwind();
        let answers = answers.map(move |answer| match answer {
            Ok(answer) => Part::Answer(answer),
            Err(_) => {
                tracing::error!(request.id = id.as_deref(), "a subscription panicked");
                Part::Broken
            }
        });
        stream::unfold(Some((self, answers)), async |state| {
            let (lasting, mut answers) = state?;
            let part = tokio::select! {
                biased;
                () = lasting.closing.cancelled() => Part::Closing,
                () = identity::expiry(&lasting.identity) => Part::Expired,
                part = answers.next() => part.unwrap_or(Part::End),
                () = sleep(HEARTBEAT_EVERY) => Part::Heartbeat,
            };
            let next = (!part.is_last()).then_some((lasting, answers));
            Some((part, next))
        })
    }
}

fn response(stream_type: StreamType, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, stream_type.header());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// As a server-sent event. JSON has no line breaks but those that we would write.
///
/// # Errors
/// Where the client should ask again, at this server's end or with a token that is good, so that the connection breaks:
/// clients repeat what has broken off, and take any other end for that of the subscription.
fn event(part: &Part) -> Result<Bytes, BrokenOff> {
    Ok(match part {
        Part::Answer(answer) => {
            let json = answer.json();
            [b"event: next\ndata: ", json.as_ref(), b"\n\n"]
                .concat()
                .into()
        }
        Part::Heartbeat => ":\n\n".into(),
        Part::End => "event: complete\ndata:\n\n".into(),
        Part::Expired | Part::Closing | Part::Broken => return Err(BrokenOff),
    })
}

/// As a part of `multipart/mixed`, with the boundary behind it: clients hand a part on when they have seen its end.
fn piece(part: &Part, request_id: Option<&str>) -> Bytes {
    const HEAD: &str = "\r\ncontent-type: application/json\r\n\r\n";
    const END: &str = "--\r\n";
    let mut piece = Vec::new();
    let mut put = |json: &[&[u8]]| {
        piece.extend(HEAD.as_bytes());
        json.iter().for_each(|json| piece.extend_from_slice(json));
        piece.extend(b"\r\n");
        piece.extend(BOUNDARY);
    };
    let refused = |refusal: &Refusal| {
        let errors = answer::errors(refusal.code, &refusal.message, request_id);
        format!(r#"{{"payload":null,"errors":{errors}}}"#)
    };
    match part {
        Part::Answer(answer) => put(&[b"{\"payload\":", answer.json().as_ref(), b"}"]),
        Part::Heartbeat => put(&[b"{}"]),
        Part::End => {}
        Part::Expired => put(&[refused(&identity::refusal(TokenError::Expired)).as_bytes()]),
        Part::Closing => {
            let restart = Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "the server ends; subscribe again",
            );
            put(&[refused(&restart).as_bytes()]);
        }
        Part::Broken => put(&[refused(&answer::internal()).as_bytes()]),
    }
    if part.is_last() {
        piece.extend(END.as_bytes());
    }
    piece.into()
}
