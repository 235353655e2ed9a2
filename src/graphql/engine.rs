//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

mod telling;

use std::{
    future::ready,
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use async_graphql::{Request, Response, Value, parser::types::OperationType};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;

use self::telling::{Messages, Teller};
use super::{
    Domain, Loaders,
    answer::Answer,
    company::Company,
    deadline::Deadline,
    documents::{Documents, Prepared, Same},
    kept::Kept,
    live::Relay,
    schema::Schema,
    types::Types,
};
use crate::{auth::Caller, by_itself::by_itself, config::QueryConfig};

/// A schema that answers.
pub struct Engine {
    executor: Arc<Executor>,
    /// Those who ask the same thing, which anybody may, at the same time: thousands, when an on-sale opens.
    company: Company<Question, Result<Arc<Answer>, Panicked>>,
    /// What they were told a moment ago.
    kept: Kept<Question, Arc<Answer>>,
    answer_within: Duration,
}

/// An execution broke down. Whoever waited for somebody else's executes on their own: a panic that went through the shared
/// one would leave them waiting.
#[derive(Clone, Copy)]
struct Panicked;

/// What an execution needs, also after the request that began it has hung up: others may wait for it.
struct Executor {
    schema: Schema,
    documents: Documents,
    types: Arc<Types>,
    /// What many are told.
    messages: Messages,
}

/// How new an answer must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// What was true after the request came.
    Now,
    /// What was true a moment ago, if it is something that anybody may ask; see [`super::kept`].
    OfAMoment,
}

/// A request that may be executed. It goes from hand to hand, and would have room in each of them.
pub struct Ready {
    execution: Box<Execution>,
}

struct Execution {
    executor: Arc<Executor>,
    request: Request,
    prepared: Prepared,
    caller: Caller,
    deadline: Deadline,
    freshness: Freshness,
    request_id: Option<String>,
}

/// What is asked, as far as the answer to an anonymous caller depends on it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    operation: Same,
    /// As JSON, whose keys are in order.
    variables: String,
}

impl Engine {
    /// A field that has not got its value within `answer_within` of its request is given up.
    pub fn new(domain: Domain, limits: QueryConfig, answer_within: Duration) -> Self {
        let schema = Schema::executing(limits.federation, domain);
        let types = Arc::new(Types::read(&schema.sdl()));
        let executor = Executor {
            documents: Documents::new(limits, types.clone()),
            types,
            schema,
            messages: Messages::default(),
        };
        Self {
            executor: Arc::new(executor),
            company: Company::default(),
            kept: Kept::default(),
            answer_within,
        }
    }

    /// Checks all that can be checked before anything is executed. `request_id` is told with each error.
    ///
    /// # Errors
    /// The answer to a request that is not executed.
    pub async fn prepare(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Result<Ready, Answer> {
        let begin = Instant::now();
        let prepared = match self.executor.documents.prepare(&mut request).await {
            Ok(prepared) => prepared,
            Err(errors) => return Err(Answer::refused(errors, request_id)),
        };
        let deadline = match prepared.kind() {
            OperationType::Query | OperationType::Mutation => {
                Deadline::At(begin + self.answer_within)
            }
            OperationType::Subscription => Deadline::Each(self.answer_within),
        };
        let execution = Box::new(Execution {
            executor: Arc::clone(&self.executor),
            request,
            prepared,
            caller,
            deadline,
            freshness: Freshness::Now,
            request_id: request_id.map(str::to_owned),
        });
        Ok(Ready { execution })
    }

    /// Executes a query or a mutation.
    pub async fn execute(&self, ready: Ready, freshness: Freshness) -> Arc<Answer> {
        let mut execution = ready.execution;
        execution.freshness = freshness;
        let Some(question) = execution.question() else {
            let _changing = (execution.prepared.kind() == OperationType::Mutation)
                .then(|| self.kept.changing());
            return Arc::new(execution.run().await);
        };
        let asked = self.kept.moment();
        if freshness == Freshness::OfAMoment
            && let Some(answer) = self.kept.get(&question, asked)
        {
            return answer;
        }
        // Whoever waits for it may be the one who carries it on.
        let run = |execution: Box<Execution>| {
            AssertUnwindSafe(execution.run().in_current_span())
                .catch_unwind()
                .map(|answer| answer.map(Arc::new).map_err(|_| Panicked))
        };
        match self.company.ask(question.clone(), execution, run).await {
            // A fault is logged under the id of the request that it spoils, which is told to its client.
            (Ok(answer), Some(execution)) if !answer.is_ok() => Arc::new(execution.run().await),
            (Ok(answer), Some(_)) => answer,
            (Ok(answer), None) => {
                if answer.is_ok() {
                    self.kept.keep(question, asked, Arc::clone(&answer));
                }
                answer
            }
            (Err(Panicked), Some(execution)) => Arc::new(execution.run().await),
            (Err(Panicked), None) => resume_unwind(Box::new("in an execution for several")),
        }
    }
}

impl Ready {
    pub fn kind(&self) -> OperationType {
        self.execution.prepared.kind()
    }

    /// What it costs, by its text and its variables.
    pub fn cost(&self) -> u64 {
        self.execution.prepared.weighed.requested
    }

    /// How often it tries to buy or to hold tickets.
    pub fn attempts(&self) -> u64 {
        self.execution.prepared.attempts()
    }

    /// Executes a subscription: an answer for each of its events. One that cannot begin has one answer, which was not
    /// executed.
    ///
    /// It is executed by a task of its own, one answer ahead: whoever does not take what they are told must not keep what an
    /// execution has, such as a connection to the database. What is told to many, see [`Relay`], is executed where it is told.
    pub fn subscribe(self) -> impl Stream<Item = Arc<Answer>> + Send + 'static {
        let relay = Relay::default();
        let teller = Teller::of(&self.execution);
        let own = self.execution.subscribe_by_itself(relay.clone());
        let of_many = stream::once(async move { Some(teller.tell(relay.take()?)) })
            .filter_map(ready)
            .flatten();
        own.chain(of_many)
    }
}

impl Execution {
    fn subscribe_by_itself(self, relay: Relay) -> impl Stream<Item = Arc<Answer>> + Send + 'static {
        let (telling, told) = mpsc::channel(1);
        let answering = async move {
            let mut answers = pin!(self.subscribe(relay));
            while let Some(answer) = answers.next().await {
                if telling.send(Arc::new(answer)).await.is_err() {
                    break;
                }
            }
        };
        let answering = by_itself(answering).boxed();
        stream::unfold((answering, told), async |(answering, mut told)| {
            let Some(answer) = told.recv().await else {
                // A panic of it is ours.
                answering.await;
                return None;
            };
            Some((answer, (answering, told)))
        })
    }

    /// What it asks, if anybody may and it changes nothing.
    fn question(&self) -> Option<Question> {
        let is_for_anybody = self.prepared.kind() == OperationType::Query
            && matches!(self.caller, Caller::Anonymous);
        is_for_anybody.then(|| {
            let variables = serde_json::to_string(&self.request.variables);
            Question {
                operation: self.prepared.same(),
                variables: variables.expect("variables came as JSON"),
            }
        })
    }

    /// The request as the engine executes it, and what makes an answer of what the engine answers.
    fn begin(self) -> (Request, Arc<Executor>, Finish) {
        let request = self.prepared.executable(self.request);
        let request = request
            .data(Loaders::default())
            .data(self.caller)
            .data(self.deadline)
            .data(self.freshness);
        let finish = Finish {
            executor: Arc::clone(&self.executor),
            prepared: self.prepared,
            request_id: self.request_id,
        };
        (request, self.executor, finish)
    }

    async fn run(self: Box<Self>) -> Answer {
        let (request, executor, finish) = self.begin();
        finish.answer(executor.schema.execute(request).await)
    }

    fn subscribe(self, relay: Relay) -> impl Stream<Item = Answer> + Send + 'static {
        let (request, executor, finish) = self.begin();
        let request = request.data(relay);
        let mut is_first = true;
        executor
            .schema
            .execute_stream(request)
            .map(move |response| {
                let cannot_begin = is_first && response.data == Value::Null;
                is_first = false;
                let answer = finish.answer(response);
                if cannot_begin {
                    answer.not_executed()
                } else {
                    answer
                }
            })
    }
}

struct Finish {
    executor: Arc<Executor>,
    prepared: Prepared,
    request_id: Option<String>,
}

impl Finish {
    fn answer(&self, mut response: Response) -> Answer {
        let Executor {
            documents, types, ..
        } = &*self.executor;
        documents.veil(&mut response.errors);
        let response = response.extension("cost", self.prepared.weighed.into());
        let shape = &self.prepared.shape;
        Answer::of_engine(response, shape, types, self.request_id.as_deref())
    }
}
