//! Documents, from their text to what may be executed: counted, parsed, measured, compared with the schema, weighed; and
//! kept, since clients send the same few, each thousands of times.
//!
//! What looks at a document's size comes first and takes time in proportion to the text, whatever it says; only then does
//! anything recursive or anything that follows fragments see it. Everything that depends on a request's variables is
//! checked for each request, and before anything is executed.

mod attempts;
mod cost;
mod errors;
mod judge;
mod roots;
mod size;
mod tokens;
mod values;
mod written;

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use async_graphql::{
    Name, Positioned, Request, ServerError, Value, Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};
use quick_cache::{Weighter, sync::Cache};

use self::{
    cost::Cost,
    errors::{does_not_fit, does_not_parse, position, reason, refusal, refusal_at},
    judge::Judge,
    size::too_many,
    tokens::Unterminated,
    values::shortened,
};
use super::{
    answer::{Fragments, Shape},
    fault::Code,
    types::Types,
};
use crate::config::QueryConfig;

/// Documents that are kept; a shop's frontend has some dozens.
const DOCUMENTS_MAX: usize = 1_000;

/// Text of all the documents that are kept. Parsed, a document takes some ten times its text.
const DOCUMENTS_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A longer document is checked every time. The introspection query of the usual tools is well within.
const DOCUMENT_LEN_MAX: usize = 16 * 1024;

/// The longest name. The engine's validation repeats names with each of a document's errors, of which there may be
/// thousands before ten of them are told.
const NAME_LEN_MAX: u64 = 256;

/// What a kept document takes for each of its selections, with its fragments in their places, in bytes of text.
const SELECTION_WEIGHT: u64 = 32;

/// Checks documents, and keeps those that passed.
pub struct Documents {
    limits: QueryConfig,
    types: Arc<Types>,
    judge: Judge,
    checked: Cache<String, Arc<Document>, ByText>,
}

/// A document that passed.
struct Document {
    operations: HashMap<Option<Name>, Arc<Operation>>,
    fragments: Fragments,
    /// With its fragments in their places.
    selections: u64,
}

struct Operation {
    definition: Positioned<OperationDefinition>,
    cost: Cost,
    /// To buy or to hold tickets.
    attempts: u64,
    /// None where it depends on variables.
    shape: Option<Arc<Shape>>,
}

/// What is known of a request that may be executed.
#[derive(Clone)]
pub struct Prepared {
    pub shape: Arc<Shape>,
    pub weighed: Weighed,
    document: Arc<Document>,
    operation: Arc<Operation>,
}

/// An operation by which one it is: two are the same if they are of the same text, as long as that is kept.
#[derive(Clone)]
pub struct Same(Arc<Operation>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Prepared {
    /// The operation, to be told from others.
    pub fn same(&self) -> Same {
        Same(Arc::clone(&self.operation))
    }

    /// Whether it selects the same whatever its variables are.
    pub fn is_of_one_shape(&self) -> bool {
        self.operation.shape.is_some()
    }

    /// How often it tries to buy or to hold tickets.
    pub fn attempts(&self) -> u64 {
        self.operation.attempts
    }

    pub fn kind(&self) -> OperationType {
        self.operation.definition.node.ty
    }

    /// The request as the engine executes it, with its one operation parsed. The engine wants a copy of its own.
    pub fn executable(&self, mut request: Request) -> Request {
        request.set_parsed_query(ExecutableDocument {
            operations: DocumentOperations::Single(self.operation.definition.clone()),
            fragments: self.document.fragments.clone(),
        });
        // There is one operation left, whatever its name.
        request.operation_name = None;
        request
    }
}

/// What a request costs, and the most that one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    pub requested: u64,
    pub max: u64,
}

#[derive(Clone)]
struct ByText;

impl Weighter<String, Arc<Document>> for ByText {
    fn weight(&self, text: &String, document: &Arc<Document>) -> u64 {
        // The cache bounds the sum alone: so that it bounds the number too, no document weighs less than its share.
        (text.len() as u64)
            .max(document.selections.saturating_mul(SELECTION_WEIGHT))
            .max(DOCUMENTS_BYTES_MAX / DOCUMENTS_MAX as u64)
    }
}

impl Documents {
    pub fn new(limits: QueryConfig, types: Arc<Types>) -> Self {
        Self {
            judge: Judge::new(limits.federation),
            limits,
            types,
            checked: Cache::with_weighter(DOCUMENTS_MAX, DOCUMENTS_BYTES_MAX, ByText),
        }
    }

    /// Checks everything that can be checked before execution, and gives the request its parsed operation.
    ///
    /// # Errors
    /// Request errors, at least one: nothing may be executed.
    pub async fn prepare(&self, request: &mut Request) -> Result<Prepared, Vec<ServerError>> {
        let document = self.find(&request.query).await?;
        let name = request.operation_name.as_deref();
        let operation = document.operation(name).map_err(|error| vec![error])?;
        // Whatever else was sent would be kept as long as a subscription is.
        operation.retain_declared(&mut request.variables);
        request.extensions.clear();
        request
            .variables
            .values_mut()
            .for_each(values::read_whole_numbers);
        self.check_variables(&operation, &request.variables)?;
        operation.add_defaults(&mut request.variables);
        let weighed = self.weigh(&operation, &request.variables)?;
        let shape = match &operation.shape {
            Some(shape) => shape.clone(),
            None => Arc::new(document.shape(&operation, &request.variables, &self.types)),
        };
        Ok(Prepared {
            shape,
            weighed,
            document,
            operation,
        })
    }

    /// The document with this text, from those that are kept or checked now.
    async fn find(&self, text: &str) -> Result<Arc<Document>, Vec<ServerError>> {
        if text.len() > DOCUMENT_LEN_MAX {
            return self.check_apart(text).await.map(Arc::new);
        }
        if let Some(document) = self.checked.get(text) {
            return Ok(document);
        }
        let document = Arc::new(self.check_apart(text).await?);
        self.checked.insert(text.to_owned(), Arc::clone(&document));
        Ok(document)
    }

    /// Most documents are known: no request has room for checking one while it waits for something else.
    fn check_apart(
        &self,
        text: &str,
    ) -> impl Future<Output = Result<Document, Vec<ServerError>>> + Send {
        Box::pin(self.check(text))
    }

    async fn check(&self, text: &str) -> Result<Document, Vec<ServerError>> {
        let document = self.parse(text).map_err(|error| vec![error])?;
        let size = size::check(&document, &self.limits).map_err(|error| vec![error])?;
        if size.introspects && !self.limits.is_introspection_on() {
            return Err(vec![does_not_fit()]);
        }
        self.validate(text, &document)
            .await
            .map_err(|errors| self.veiled(errors))?;
        Document::new(&self.types, document, size.selections).map_err(|error| vec![error])
    }

    fn parse(&self, text: &str) -> Result<ExecutableDocument, ServerError> {
        let tokens = tokens::count(text).map_err(|Unterminated(at)| {
            does_not_parse("a string does not end", position(text, at))
        })?;
        too_many("tokens", tokens.number, self.limits.query_tokens, "tokens")?;
        too_many(
            "levels of selections",
            tokens.depth,
            self.limits.query_depth,
            "depth",
        )?;
        too_many(
            "levels of lists and input objects",
            tokens.value_depth,
            self.limits.query_value_depth,
            "value-depth",
        )?;
        if tokens.name_len > NAME_LEN_MAX {
            return Err(refusal(
                Code::QueryTooLarge,
                format!(
                    "the document has a name of {} characters, and the most is {NAME_LEN_MAX}",
                    tokens.name_len
                ),
            ));
        }
        parse_query(text).map_err(|error| {
            let pos = error.positions().next().unwrap_or_default();
            does_not_parse(&reason(&error), pos)
        })
    }

    async fn validate(
        &self,
        text: &str,
        document: &ExecutableDocument,
    ) -> Result<(), Vec<ServerError>> {
        written::check_declarations(&self.types, document).map_err(|error| vec![error])?;
        self.judge.judge(text, document.clone()).await?;
        let errors = written::errors(&self.types, document);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn check_variables(
        &self,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<(), Vec<ServerError>> {
        let problems =
            values::problems_of_variables(&self.types, &operation.definition.node, variables);
        if problems.is_empty() {
            return Ok(());
        }
        let errors = problems
            .into_iter()
            .map(|problem| refusal_at(Code::BadUserInput, problem.message, problem.pos))
            .collect();
        Err(self.veiled(errors))
    }

    fn weigh(
        &self,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<Weighed, Vec<ServerError>> {
        let definitions = &operation.definition.node.variable_definitions;
        let requested = operation.cost.with(&|name| {
            let definition = definitions
                .iter()
                .find(|definition| definition.node.name.node == name);
            variables
                .get(name)
                .or_else(|| definition.and_then(|definition| definition.node.default_value()))
        });
        let weighed = Weighed {
            requested,
            max: self.limits.query_cost,
        };
        if requested <= weighed.max {
            return Ok(weighed);
        }
        let mut error = refusal(
            Code::QueryTooCostly,
            format!(
                "the answer may have {requested} fields, and the most is {} (--query-cost): ask for shorter pages with \
                 first or last",
                weighed.max
            ),
        );
        error
            .extensions
            .get_or_insert_default()
            .set("cost", weighed);
        Err(vec![error])
    }

    /// The engine's own errors of an execution, which name the types that a value was read as.
    pub fn veil(&self, errors: &mut [ServerError]) {
        let is_coded = |error: &ServerError| {
            let extensions = error.extensions.as_ref();
            extensions.is_some_and(|extensions| extensions.get("code").is_some())
        };
        if !self.limits.is_introspection_on() {
            for error in errors.iter_mut().filter(|error| !is_coded(error)) {
                error.message = "a value is not what it should be".to_owned();
            }
        }
    }

    /// What a document does not fit tells what the schema has.
    fn veiled(&self, errors: Vec<ServerError>) -> Vec<ServerError> {
        if self.limits.is_introspection_on() {
            errors
        } else {
            vec![does_not_fit()]
        }
    }
}

impl Document {
    /// # Errors
    /// When a key at an operation's root cannot be executed once, see [`roots::merge`].
    fn new(
        types: &Types,
        document: ExecutableDocument,
        selections: u64,
    ) -> Result<Self, ServerError> {
        let mut operations = HashMap::new();
        for (name, definition) in document.operations.iter() {
            let mut definition = definition.clone();
            // As it is written: what repeats itself is asked for again.
            let cost = Cost::of(types, &document, &definition.node);
            let attempts = attempts::count(&document, &definition.node);
            roots::merge(&document.fragments, &mut definition.node)?;
            // Most documents have one shape whatever their variables are.
            let no_variables = Variables::default();
            let shape = Shape::of(&document.fragments, &definition.node, &no_variables, types);
            let operation = Operation {
                definition,
                cost,
                attempts,
                shape: (!shape.is_conditional()).then(|| Arc::new(shape)),
            };
            operations.insert(name.cloned(), Arc::new(operation));
        }
        Ok(Self {
            operations,
            fragments: document.fragments,
            selections,
        })
    }

    fn shape(&self, operation: &Operation, variables: &Variables, types: &Types) -> Shape {
        Shape::of(
            &self.fragments,
            &operation.definition.node,
            variables,
            types,
        )
    }

    /// After GraphQL's section 6.1 (GetOperation).
    fn operation(&self, name: Option<&str>) -> Result<Arc<Operation>, ServerError> {
        let found = match name {
            Some(name) => self.operations.get(&Some(Name::new(name))),
            None if self.operations.len() == 1 => self.operations.values().next(),
            None => {
                return Err(refusal(
                    Code::BadUserInput,
                    "the document has several operations: say which by operationName".to_owned(),
                ));
            }
        };
        found.cloned().ok_or_else(|| {
            let name = shortened(name.unwrap_or_default());
            refusal(
                Code::BadUserInput,
                format!("the document has no operation of the name {name:?}"),
            )
        })
    }
}

impl Operation {
    fn retain_declared(&self, variables: &mut Variables) {
        let declared = &self.definition.node.variable_definitions;
        variables.retain(|name, _| declared.iter().any(|one| one.node.name.node == *name));
    }

    /// The engine knows a variable's default at an argument, and not at `@skip` and `@include`.
    fn add_defaults(&self, variables: &mut Variables) {
        for definition in &self.definition.node.variable_definitions {
            let definition = &definition.node;
            if let Some(default) = &definition.default_value {
                variables
                    .entry(definition.name.node.clone())
                    .or_insert_with(|| default.node.clone());
            }
        }
    }
}

impl From<Weighed> for Value {
    fn from(weighed: Weighed) -> Self {
        async_graphql::value!({ "requested": weighed.requested, "max": weighed.max })
    }
}

#[cfg(test)]
mod tests;
