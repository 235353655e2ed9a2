//! The engine's validation, apart from its execution.
//!
//! A document is judged once, without variables, and then kept; the schema that executes judges nothing. Only the schemas
//! here have an extension: with one, an engine resolves every field the slow way.

use std::sync::Arc;

use async_graphql::{
    Request, ServerError, ValidationResult,
    async_trait::async_trait,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
    parser::types::ExecutableDocument,
};

use crate::{config::Switch, graphql::schema::Schema};

/// What is suggested costs time in proportion to the text times the schema's names.
const SUGGESTIONS_LEN_MAX: usize = 16 * 1024;

/// So many errors of a document are told.
const ERRORS_MAX: usize = 10;

pub struct Judge {
    plain: Schema,
    /// Says what may have been meant.
    suggesting: Schema,
}

impl Judge {
    pub fn new(federation: Switch) -> Self {
        Self {
            plain: Schema::judging(federation, EndAfterValidation, false),
            suggesting: Schema::judging(federation, EndAfterValidation, true),
        }
    }

    /// # Errors
    /// What does not fit the schema.
    pub async fn judge(
        &self,
        text: &str,
        document: ExecutableDocument,
    ) -> Result<(), Vec<ServerError>> {
        let mut request = Request::new("");
        request.set_parsed_query(document);
        let schema = if text.len() <= SUGGESTIONS_LEN_MAX {
            &self.suggesting
        } else {
            &self.plain
        };
        let mut errors = schema.execute(request).await.errors;
        if let [only] = &errors[..]
            && only.source::<Valid>().is_some()
        {
            return Ok(());
        }
        errors.truncate(ERRORS_MAX);
        Err(errors)
    }
}

/// What a valid document ends with here.
struct Valid;

pub struct EndAfterValidation;

impl ExtensionFactory for EndAfterValidation {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for EndAfterValidation {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(ctx).await?;
        let mut end = ServerError::new("valid", None);
        end.source = Some(Arc::new(Valid));
        Err(vec![end])
    }
}
