//! The schema that clients see: a file per subject, resolvers of three thoughts (read the input, call the domain, shape
//! the answer).
//!
//! Knows nothing about HTTP, and decides nothing about tickets. Refusals are data (`userErrors`), faults are top-level
//! errors with a code from [`fault::Code`].

mod answer;
mod audit;
mod catalogue;
mod company;
mod deadline;
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
mod types;
mod user_error;
mod viewer;

use std::sync::Arc;

use async_graphql::{
    Context, EmptySubscription, MergedObject, SDLExportOptions, SchemaBuilder, ValidationMode,
    connection::Connection,
};
use chrono::{DateTime, Utc};

pub use self::{answer::Answer, engine::Engine};

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

/// What resolvers call: the same for every request.
#[derive(Clone)]
pub struct Domain {
    pub store: Arc<Store>,
    pub sales: Arc<Sales>,
}

/// The schema with what its resolvers call. It executes what [`Engine`] has checked, and checks nothing itself.
fn schema(domain: Domain) -> Schema {
    let shared = loaders::Shared::new(domain.store.clone());
    schema_builder()
        .validation_mode(ValidationMode::Fast)
        .data(domain)
        .data(shared)
        .finish()
}

fn schema_builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        // The engine has a limit of its own, which follows fragments; ours is checked before.
        .limit_recursive_depth(usize::MAX)
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

#[cfg(test)]
mod tests {
    use async_graphql::ContainerType;

    use super::{Mutation, Query};

    /// Thousands wait for the desk at once, each with such a future; that of a field is as large as the largest field's.
    const FUTURE_LEN_MAX: usize = 4 * 1024;

    #[test]
    fn who_waits_takes_little_memory() {
        fn len<'a, T: 'a, C: 'a, F>(_: impl Fn(&'a T, &'a C) -> F) -> usize {
            size_of::<F>()
        }
        let mutation = len(<Mutation as ContainerType>::resolve_field);
        let query = len(<Query as ContainerType>::resolve_field);
        assert!(
            mutation <= FUTURE_LEN_MAX && query <= FUTURE_LEN_MAX,
            "{mutation} and {query} bytes: put what is large on the heap, as `deadline` does"
        );
    }
}
