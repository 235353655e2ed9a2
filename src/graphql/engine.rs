//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use std::{sync::Arc, time::Duration};

use async_graphql::Request;
use tokio::time::Instant;

use super::{
    Domain, Loaders, Schema,
    answer::Answer,
    deadline::Deadline,
    documents::{Documents, Prepared},
    schema,
    types::Types,
};
use crate::{auth::Caller, config::QueryConfig};

/// A schema that answers.
pub struct Engine {
    schema: Schema,
    documents: Documents,
    types: Arc<Types>,
    answer_within: Duration,
}

impl Engine {
    /// A field that has not got its value within `answer_within` of its request is given up.
    pub fn new(domain: Domain, limits: QueryConfig, answer_within: Duration) -> Self {
        let schema = schema(domain);
        let types = Arc::new(Types::read(&schema.sdl()));
        Self {
            documents: Documents::new(limits, types.clone()),
            types,
            schema,
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
        let Prepared { shape, weighed } = match self.documents.prepare(&mut request).await {
            Ok(prepared) => prepared,
            Err(errors) => return Answer::refused(errors, request_id),
        };
        let request = request.data(Loaders::default()).data(caller).data(deadline);
        let mut response = self.schema.execute(request).await;
        self.documents.veil(&mut response.errors);
        let response = response.extension("cost", weighed.into());
        Answer::of_engine(response, &shape, &self.types, request_id)
    }
}
