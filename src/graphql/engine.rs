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
    documents::{Documents, Prepared, Same},
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
    execution: Execution,
}

struct Execution {
    executor: Arc<Executor>,
    request: Request,
    prepared: Prepared,
    caller: Caller,
    deadline: Deadline,
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
    ) -> Arc<Answer> {
        match self.prepare(request, caller, request_id).await {
            Ok(ready) => self.execute(ready).await,
            Err(refused) => Arc::new(refused),
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
        let execution = Execution {
            executor: Arc::clone(&self.executor),
            request,
            prepared,
            caller,
            deadline,
            request_id: request_id.map(str::to_owned),
        };
        Ok(Ready { execution })
    }

    pub async fn execute(&self, ready: Ready) -> Arc<Answer> {
        let execution = ready.execution;
        let Some(question) = execution.question() else {
            return Arc::new(execution.run().await);
        };
        // Whoever waits for it may be the one who carries it on.
        let run = |execution: Execution| {
            AssertUnwindSafe(execution.run().in_current_span())
                .catch_unwind()
                .map(|answer| answer.map(Arc::new).map_err(|_| Panicked))
        };
        match self.company.ask(question, execution, run).await {
            // A fault is logged under the id of the request that it spoils, which is told to its client.
            (Ok(answer), Some(execution)) if !answer.is_ok() => Arc::new(execution.run().await),
            (Ok(answer), _) => answer,
            (Err(Panicked), Some(execution)) => Arc::new(execution.run().await),
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

    async fn run(self) -> Answer {
        let Self {
            executor,
            request,
            prepared,
            caller,
            deadline,
            request_id,
        } = self;
        let request = prepared
            .executable(request)
            .data(Loaders::default())
            .data(caller)
            .data(deadline);
        let mut response = executor.schema.execute(request).await;
        executor.documents.veil(&mut response.errors);
        let response = response.extension("cost", prepared.weighed.into());
        let shape = &prepared.shape;
        Answer::of_engine(response, shape, &executor.types, request_id.as_deref())
    }
}
