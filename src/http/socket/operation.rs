//! One operation of a socket: a request, and what its client is told of it.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_graphql::parser::types::OperationType;
use axum::body::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value;
use tracing::Instrument;

use crate::{
    auth::Caller,
    by_itself::by_itself,
    graphql::{Answer, Freshness, fault::Code},
    http::{
        App,
        answer::{self, Refusal},
        params::Params,
        rates::Who,
        ready::Unready,
        request_id::{self, RequestId},
    },
};

/// What a client is told, of which operation.
pub struct Event {
    pub id: String,
    /// Which of the operations that had the id.
    pub number: u64,
    pub told: Told,
}

pub enum Told {
    /// An answer as JSON.
    Next(String),
    /// The request's errors, a list; nothing comes after it.
    Error(Value),
    Complete,
}

/// Whether a query or a mutation is being answered, rather than a subscription told.
#[derive(Clone, Default)]
pub struct Answering(Arc<AtomicBool>);

impl Answering {
    pub fn get(&self) -> bool {
        // Nothing else is told by it.
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A number that no other operation of this process has.
pub fn numbered() -> (u64, Answering) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    (number, Answering::default())
}

/// An operation that its client has begun.
pub struct Begun {
    pub app: Arc<App>,
    pub caller: Caller,
    /// As whom the caller is counted.
    pub who: Who,
    pub params: Params,
    pub answering: Answering,
}

/// Everything that a request's client is told, in its order.
pub fn events(begun: Begun) -> impl Stream<Item = Told> + Send + 'static {
    let id = RequestId::mint();
    let span = request_id::span_of_operation(&id);
    let of_panic = id.clone();
    let beginning = async move { begin(begun, &id).await };
    let events = stream::once(beginning.instrument(span)).flatten();
    AssertUnwindSafe(events)
        .catch_unwind()
        .map(move |told| match told {
            Ok(told) => told,
            Err(_) => {
                tracing::error!(request.id = &*of_panic, "an operation of a socket panicked");
                let internal = answer::internal();
                Told::Error(answer::errors(
                    internal.code,
                    &internal.message,
                    Some(&of_panic),
                ))
            }
        })
}

async fn begin(begun: Begun, id: &RequestId) -> BoxStream<'static, Told> {
    let Begun {
        app,
        caller,
        who,
        params,
        answering,
    } = begun;
    let request = match app.persisted.resolve(params) {
        Ok(params) => params.into_request(),
        Err(refusal) => {
            let errors = answer::errors(refusal.code(), refusal.message(), Some(id));
            return only(Told::Error(errors));
        }
    };
    let ready = match app.prepare(request, caller, who, Some(id)).await {
        Ok((ready, _)) => ready,
        Err(Unready::Refused(refused, _)) => return only(Told::Error(refused.errors_json())),
        Err(Unready::Overloaded(full, _)) => {
            return only(Told::Error(Refusal::from(full).errors(Some(id))));
        }
        Err(Unready::Limited(limited)) => {
            return only(Told::Error(limited.refusal().errors(Some(id))));
        }
    };
    match ready.kind() {
        OperationType::Subscription => {
            let told = ready.subscribe().map(|answer| told(&answer));
            told.chain(complete()).boxed()
        }
        OperationType::Query | OperationType::Mutation => {
            answering.set();
            let answer =
                by_itself(async move { app.engine.execute(ready, Freshness::OfAMoment).await })
                    .await;
            only(told(&answer)).chain(complete()).boxed()
        }
    }
}

fn told(answer: &Answer) -> Told {
    if answer.is_executed {
        Told::Next(text(answer.json()))
    } else {
        Told::Error(answer.errors_json())
    }
}

fn text(json: Bytes) -> String {
    String::from_utf8(json.into()).expect("JSON is UTF-8")
}

fn only(told: Told) -> BoxStream<'static, Told> {
    stream::once(std::future::ready(told)).boxed()
}

fn complete() -> impl Stream<Item = Told> {
    stream::once(std::future::ready(Told::Complete))
}

/// What one is told who begins too much at once.
pub fn overloaded(message: &str) -> Value {
    answer::errors(Code::Overloaded, message, Some(&RequestId::mint()))
}
