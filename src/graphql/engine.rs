//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use async_graphql::{Request, Response, Value};

use super::{Domain, Loaders, Schema, answer, documents::Documents, schema};
use crate::auth::Caller;

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
    pub fn new(domain: Domain) -> Self {
        Self {
            schema: schema(domain),
            documents: Documents::default(),
        }
    }

    /// Answers a query or a mutation. `request_id` is told with each error.
    pub async fn answer(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Answer {
        self.documents.prepare(&mut request);
        let request = request.data(Loaders::default()).data(caller);
        let mut response = self.schema.execute(request).await;
        answer::complete(&mut response, request_id);
        let is_executed = response.is_ok() || response.data != Value::Null;
        Answer {
            response,
            is_executed,
        }
    }
}
