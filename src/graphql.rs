//! The schema that clients see: a file per subject, resolvers of three thoughts (read the input, call the domain, shape
//! the answer).
//!
//! Knows nothing about HTTP, and decides nothing about tickets. Refusals are data (`userErrors`), faults are top-level
//! errors with a code from [`fault::Code`].

mod catalogue;
pub mod fault;
pub mod global_id;
mod loaders;
mod money;
mod node;
mod page;
mod user_error;

use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, MergedObject, SchemaBuilder};

pub(crate) use loaders::loaders;

use crate::{auth::Caller, store::Store};

/// Rowlock's schema.
pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(catalogue::CatalogueQuery, node::NodeQuery);

/// What can be done. A refusal is data, in the payload's `userErrors`; a top-level error is a fault or a malformed request.
#[derive(MergedObject, Default)]
pub struct Mutation(catalogue::CatalogueMutation);

/// What resolvers call: the same for every request.
#[derive(Clone)]
pub struct Domain {
    pub store: Arc<Store>,
}

/// The schema without anything behind it, enough to print it.
pub fn schema_builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
}

/// The schema in the schema definition language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    schema_builder().finish().sdl()
}

fn domain<'a>(ctx: &Context<'a>) -> &'a Domain {
    ctx.data_unchecked()
}

/// Who sent this request.
fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    ctx.data_unchecked()
}
