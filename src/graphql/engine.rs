//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use std::time::Duration;

use async_graphql::{Request, ServerError};
use tokio::time::Instant;

use super::{
    Domain, Loaders, Schema,
    answer::{Answer, Shape, Types},
    deadline::Deadline,
    documents::Documents,
    schema,
};
use crate::auth::Caller;

/// A schema that answers.
pub struct Engine {
    schema: Schema,
    documents: Documents,
    types: Types,
    answer_within: Duration,
}

impl Engine {
    /// A field that has not got its value within `answer_within` of its request is given up.
    pub fn new(domain: Domain, answer_within: Duration) -> Self {
        let schema = schema(domain);
        Self {
            types: Types::of(&schema.sdl()),
            schema,
            documents: Documents::default(),
            answer_within,
        }
    }

    /// Answers a query or a mutation. `request_id` is told with each error.
    pub async fn answer(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Answer {
        let deadline = Deadline(Instant::now() + self.answer_within);
        self.documents.prepare(&mut request);
        let shape = match self.shape(&mut request) {
            Ok(shape) => shape,
            Err(error) => return Answer::unparsed(error, request_id),
        };
        let request = request.data(Loaders::default()).data(caller).data(deadline);
        let response = self.schema.execute(request).await;
        Answer::of_engine(response, &shape, &self.types, request_id)
    }

    /// The engine takes the document with it, so that its shape is read before.
    fn shape(&self, request: &mut Request) -> Result<Shape, ServerError> {
        let variables = std::mem::take(&mut request.variables);
        let operation = request.operation_name.clone();
        let shape = request
            .parsed_query()
            .map(|document| Shape::of(document, operation.as_deref(), &variables, &self.types));
        request.variables = variables;
        shape
    }
}
