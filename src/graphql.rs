//! The schema that clients see: a file per subject, resolvers of three thoughts (read the input, call the domain, shape
//! the answer).
//!
//! Knows nothing about HTTP, and decides nothing about tickets. Refusals are data (`userErrors`), faults are top-level
//! errors with a code from [`fault::Code`].

mod answer;
mod audit;
mod catalogue;
mod desk;
mod documents;
mod engine;
pub mod fault;
pub mod global_id;
mod hold;
mod loaders;
mod money;
mod node;
mod order;
mod page;
mod purchase;
mod staff;
mod user_error;
mod viewer;

use std::sync::Arc;

use async_graphql::{
    Context, EmptySubscription, MergedObject, SDLExportOptions, SchemaBuilder,
    connection::Connection,
};
use chrono::{DateTime, Utc};

pub use self::{
    documents::Documents,
    engine::{Answer, Engine, NotAQuery},
};

use self::{
    catalogue::{Event, Ticket},
    hold::Hold,
    loaders::Loaders,
    order::Order,
    page::Cursor,
};
use crate::{
    auth::Caller,
    catalogue::EventKey,
    ids::{HoldId, OrderId, TicketId},
    sales::Sales,
    store::Store,
};

/// Rowlock's schema.
pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    catalogue::CatalogueQuery,
    viewer::ViewerQuery,
    audit::AuditQuery,
    node::NodeQuery,
);

/// What can be done. A refusal is data, in the payload's `userErrors`; a top-level error is a fault or a malformed request.
#[derive(MergedObject, Default)]
pub struct Mutation(
    purchase::PurchaseMutation,
    hold::HoldMutation,
    order::CancelMutation,
    catalogue::CatalogueMutation,
    staff::StaffMutation,
);

/// How deep a selection may nest. The introspection query of GraphiQL needs 15.
const DEPTH_MAX: usize = 20;

/// How many fields a request may select, a page's items counted each.
const COMPLEXITY_MAX: usize = 10_000;

/// What resolvers call: the same for every request.
#[derive(Clone)]
pub struct Domain {
    pub store: Arc<Store>,
    pub sales: Arc<Sales>,
}

/// The schema with what its resolvers call.
pub fn schema(domain: Domain) -> Schema {
    let shared = loaders::Shared::new(domain.store.clone());
    schema_builder().data(domain).data(shared).finish()
}

fn schema_builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_depth(DEPTH_MAX)
        .limit_complexity(COMPLEXITY_MAX)
        // What the engine brings along it describes for its own users, or not at all.
        .override_output_type_description::<DateTime<Utc>>(
            "An instant in RFC 3339, such as `\"2026-12-31T22:30:00Z\"`; answers are in UTC, to the microsecond.",
        )
        .override_output_type_description::<Connection<Cursor<EventKey>, Event>>(
            "A page of events, and where it stands in the whole list.",
        )
        .override_output_type_description::<Connection<Cursor<TicketId>, Ticket>>(
            "A page of tickets, and where it stands in the whole list.",
        )
        .override_output_type_description::<Connection<Cursor<OrderId>, Order>>(
            "A page of orders, and where it stands in the whole list.",
        )
        .override_output_type_description::<Connection<Cursor<HoldId>, Hold>>(
            "A page of holds, and where it stands in the whole list.",
        )
}

/// The schema in the schema definition language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    schema_builder().finish().sdl_with_options(options)
}

fn domain<'a>(ctx: &Context<'a>) -> &'a Domain {
    ctx.data_unchecked()
}

/// Who sent this request.
fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    ctx.data_unchecked()
}
