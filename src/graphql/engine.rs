//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use async_graphql::{Request, parser::types::OperationType};
use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Domain, Loaders, Schema,
    answer::Answer,
    company::Company,
    deadline::Deadline,
    documents::{Documents, Prepared},
    schema,
    types::Types,
};
use crate::{auth::Caller, config::QueryConfig};

/// A schema that answers.
pub struct Engine {
    executor: Arc<Executor>,
    /// Those who ask the same thing, which anybody may, at the same time: thousands, when an on-sale opens.
    company: Company<Question, Result<Arc<Answer>, Panicked>>,
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
}

/// A request that may be executed.
pub struct Ready {
    /// What it asks, if anybody may and it changes nothing.
    question: Option<Question>,
    execution: Execution,
}

struct Execution {
    executor: Arc<Executor>,
    request: Request,
    prepared: Prepared,
    request_id: Option<String>,
}

/// What is asked, as far as the answer to an anonymous caller depends on it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    document: String,
    operation: Option<String>,
    /// As JSON, whose keys are in order.
    variables: String,
}

impl Engine {
    /// A field that has not got its value within `answer_within` of its request is given up.
    pub fn new(domain: Domain, limits: QueryConfig, answer_within: Duration) -> Self {
        let schema = schema(domain);
        let types = Arc::new(Types::read(&schema.sdl()));
        let executor = Executor {
            documents: Documents::new(limits, types.clone()),
            types,
            schema,
        };
        Self {
            executor: Arc::new(executor),
            company: Company::default(),
            answer_within,
        }
    }

    /// Answers a query or a mutation. `request_id` is told with each error.
    pub async fn answer(
        &self,
        request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Answer {
        match self.prepare(request, caller, request_id).await {
            Ok(ready) => self.execute(ready).await,
            Err(refused) => refused,
        }
    }

    /// Checks all that can be checked before anything is executed.
    ///
    /// # Errors
    /// The answer to a request that is not executed.
    pub async fn prepare(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Result<Ready, Answer> {
        let deadline = Deadline(Instant::now() + self.answer_within);
        let prepared = match self.executor.documents.prepare(&mut request).await {
            Ok(prepared) => prepared,
            Err(errors) => return Err(Answer::refused(errors, request_id)),
        };
        let is_for_anybody =
            prepared.kind() == OperationType::Query && matches!(caller, Caller::Anonymous);
        let question = is_for_anybody.then(|| Question::of(&request));
        let execution = Execution {
            executor: Arc::clone(&self.executor),
            request: request.data(Loaders::default()).data(caller).data(deadline),
            prepared,
            request_id: request_id.map(str::to_owned),
        };
        Ok(Ready {
            question,
            execution,
        })
    }

    pub async fn execute(&self, ready: Ready) -> Answer {
        let Ready {
            question,
            execution,
        } = ready;
        let Some(question) = question else {
            return execution.run().await;
        };
        // Whoever waits for it may be the one who carries it on.
        let run = |execution: Execution| {
            AssertUnwindSafe(execution.run().in_current_span())
                .catch_unwind()
                .map(|answer| answer.map(Arc::new).map_err(|_| Panicked))
        };
        match self.company.ask(question, execution, run).await {
            // A fault is logged under the id of the request that it spoils, which is told to its client.
            (Ok(answer), Some(execution)) if answer.response.is_err() => execution.run().await,
            (Ok(answer), _) => Arc::try_unwrap(answer).unwrap_or_else(|answer| answer.again()),
            (Err(Panicked), Some(execution)) => execution.run().await,
            (Err(Panicked), None) => resume_unwind(Box::new("in an execution for several")),
        }
    }
}

impl Ready {
    /// Whether it changes nothing.
    pub fn is_query(&self) -> bool {
        self.execution.prepared.kind() == OperationType::Query
    }
}

impl Execution {
    async fn run(self) -> Answer {
        let Self {
            executor,
            request,
            prepared,
            request_id,
        } = self;
        let request = prepared.executable(request);
        let mut response = executor.schema.execute(request).await;
        executor.documents.veil(&mut response.errors);
        let response = response.extension("cost", prepared.weighed.into());
        let shape = &prepared.shape;
        Answer::of_engine(response, shape, &executor.types, request_id.as_deref())
    }
}

impl Question {
    fn of(request: &Request) -> Self {
        let variables = serde_json::to_string(&request.variables);
        Self {
            document: request.query.clone(),
            operation: request.operation_name.clone(),
            variables: variables.expect("variables came as JSON"),
        }
    }
}
