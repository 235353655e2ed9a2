//! The one way from a request to its answer, whatever transport it came by: what is checked here is checked everywhere.

use async_graphql::{
    Request, Response, Value,
    parser::types::{DocumentOperations, ExecutableDocument, OperationType},
};

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

/// The operation is a mutation, where nothing may change.
pub struct NotAQuery;

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
        // Only what is executed has a place in the answer: an error of the root's may leave null for data.
        let is_executed = response.is_ok()
            || response.data != Value::Null
            || response.errors.iter().any(|error| !error.path.is_empty());
        Answer {
            response,
            is_executed,
        }
    }

    /// Answers a query, and refuses a mutation: for requests that must change nothing, such as a GET.
    ///
    /// # Errors
    /// When the operation that would be executed is a mutation.
    pub async fn answer_query(
        &self,
        mut request: Request,
        caller: Caller,
        request_id: Option<&str>,
    ) -> Result<Answer, NotAQuery> {
        self.documents.prepare(&mut request);
        let name = request.operation_name.clone();
        // A document that does not parse executes nothing, and the engine says why.
        let is_mutation = request
            .parsed_query()
            .is_ok_and(|document| executes_a_mutation(document, name.as_deref()));
        if is_mutation {
            return Err(NotAQuery);
        }
        Ok(self.answer(request, caller, request_id).await)
    }
}

/// Without a name the engine executes a document's only operation, and refuses to choose among several.
fn executes_a_mutation(document: &ExecutableDocument, name: Option<&str>) -> bool {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(_), None) => None,
    };
    operation.is_some_and(|operation| operation.node.ty == OperationType::Mutation)
}
