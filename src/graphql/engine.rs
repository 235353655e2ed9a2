//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use async_graphql::{Request, Response};

use super::{Domain, Loaders, Schema, answer, documents::Documents, schema};
use crate::{auth::Caller, config::QueryConfig};

/// A schema that answers.
pub struct Engine {
    schema: Schema,
    documents: Documents,
}

/// What became of a request.
pub struct Answer {
    pub response: Response,
    /// False for a request error: nothing was executed, and there is no data, not even null.
    pub is_executed: bool,
}

impl Engine {
    pub fn new(domain: Domain, limits: QueryConfig) -> Self {
        Self {
            schema: schema(domain),
            documents: Documents::new(limits),
        }
    }

    /// Answers a query or a mutation. `request_id` is told with each error.
    pub async fn answer(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Answer {
        let (mut response, is_executed) = match self.documents.prepare(&mut request).await {
            Ok(weighed) => {
                let request = request.data(Loaders::default()).data(caller);
                let mut response = self.schema.execute(request).await;
                self.documents.veil(&mut response.errors);
                (response.extension("cost", weighed.into()), true)
            }
            Err(errors) => (Response::from_errors(errors), false),
        };
        answer::complete(&mut response, request_id);
        Answer {
            response,
            is_executed,
        }
    }
}
