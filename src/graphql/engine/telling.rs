//! What many are told is executed once: by whoever is the first to be told it, for all who select the same of it.
//!
//! A subscriber who waits has nothing of the engine's here but a place in the log, and a message costs each of ten thousand
//! little more than to send it.

use std::sync::Arc;

use async_graphql::{Name, Request, Response, Value, Variables};
use futures_util::{Stream, StreamExt, stream};
use quick_cache::{Weighter, sync::Cache};

use super::{Execution, Executor, Finish, Prepared, Same};
use crate::{
    graphql::{
        Answer,
        live::{Following, Told},
    },
    ids::EventId,
};

/// What all messages that are kept weigh together, at most: some hundred of two thousand tickets. They are needed for the
/// moment in which everybody is told.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Messages whose places are made ready; there may be more.
const LEN_EXPECTED: usize = 256;

/// What a message takes besides its text.
const LEN_MIN: u64 = 1024;

/// The messages of a moment.
pub struct Messages(Cache<Message, Arc<Answer>, ByText>);

/// What is told, as far as it depends on anything: what is told of has no arguments.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Message {
    operation: Same,
    /// Is told with it.
    cost: u64,
    event_id: EventId,
    since: i64,
    version: i64,
}

#[derive(Clone)]
struct ByText;

impl Weighter<Message, Arc<Answer>> for ByText {
    fn weight(&self, _: &Message, answer: &Arc<Answer>) -> u64 {
        LEN_MIN + answer.json().len() as u64
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self(Cache::with_weighter(LEN_EXPECTED, BYTES_MAX, ByText))
    }
}

/// Tells a subscriber what many are told.
pub struct Teller {
    executor: Arc<Executor>,
    prepared: Prepared,
    /// As a list: a map has room for eleven of them, with each subscriber.
    variables: Box<[(Name, Value)]>,
    request_id: Option<String>,
}

fn owned((name, value): (&Name, &Value)) -> (Name, Value) {
    (name.clone(), value.clone())
}

impl Teller {
    pub fn of(execution: &Execution) -> Self {
        Self {
            executor: Arc::clone(&execution.executor),
            prepared: execution.prepared.clone(),
            variables: execution.request.variables.iter().map(owned).collect(),
            request_id: execution.request_id.clone(),
        }
    }

    /// Everything that comes after what the subscriber knows.
    pub fn tell(self, following: Following) -> impl Stream<Item = Arc<Answer>> + Send + 'static {
        stream::unfold(Some((self, following)), async |state| {
            let (teller, mut following) = state?;
            match following.follower.next().await {
                Ok(delta) => {
                    let told = Told::Changes(following.event_id, Arc::clone(&delta));
                    let answer =
                        match teller.message(following.event_id, delta.since, delta.version) {
                            Some(message) => teller.told_to_many(message, told).await,
                            None => Arc::new(teller.execute(told).await),
                        };
                    Some((answer, Some((teller, following))))
                }
                // Nobody is told anything after it.
                Err(unfollowed) => {
                    let answer = teller.execute(Told::Unfollowed(unfollowed)).await;
                    Some((Arc::new(answer), None))
                }
            }
        })
    }

    /// None of a document that selects something else with other variables.
    fn message(&self, event_id: EventId, since: i64, version: i64) -> Option<Message> {
        self.prepared.is_of_one_shape().then(|| Message {
            operation: self.prepared.same(),
            cost: self.prepared.weighed.requested,
            event_id,
            since,
            version,
        })
    }

    async fn told_to_many(&self, message: Message, told: Told) -> Arc<Answer> {
        let messages = &self.executor.messages.0;
        if let Some(answer) = messages.get(&message) {
            return answer;
        }
        let answer = self.execute(told).await;
        if !answer.is_ok() {
            return Arc::new(answer);
        }
        let answer = Arc::new(answer.written());
        messages.insert(message, Arc::clone(&answer));
        answer
    }

    async fn execute(&self, told: Told) -> Answer {
        let variables = Value::Object(self.variables.iter().cloned().collect());
        let request = Request::new(String::new()).variables(Variables::from_value(variables));
        let request = self.prepared.executable(request).data(told);
        // On the heap: whoever waits for what comes next keeps no room for it.
        let mut responses = self.executor.schema.execute_stream(request).boxed();
        let response = responses.next().await;
        let finish = Finish {
            executor: Arc::clone(&self.executor),
            prepared: self.prepared.clone(),
            request_id: self.request_id.clone(),
        };
        finish.answer(response.unwrap_or_else(Response::default))
    }
}
