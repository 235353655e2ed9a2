//! The schema's roots, and the schema as a whole: by itself, or as a subgraph with a query of its own.

use async_graphql::{
    MergedObject, MergedSubscription, ObjectType, Request, Response, SDLExportOptions,
    SchemaBuilder, ValidationMode, connection::Connection, extensions::ExtensionFactory,
};
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use super::{
    Domain, audit,
    catalogue::{self, Event, Ticket},
    erasure, federation,
    hold::{self, Hold},
    live, loaders, node,
    order::{self, Order},
    organizer,
    page::Cursor,
    purchase, staff, viewer,
};
use crate::{
    catalogue::EventKey,
    config::Switch,
    ids::{HoldId, OrderId, TicketId},
};

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    catalogue::CatalogueQuery,
    viewer::ViewerQuery,
    audit::AuditQuery,
    live::SeatMapQuery,
    node::NodeQuery,
);

/// What can be read, also by a router.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct SubgraphQuery(
    catalogue::CatalogueQuery,
    viewer::ViewerQuery,
    audit::AuditQuery,
    live::SeatMapQuery,
    node::NodeQuery,
    federation::FederationQuery,
);

/// What can be done. A refusal is data, in the payload's `userErrors`; a top-level error is a fault or a malformed request.
#[derive(MergedObject, Default)]
pub struct Mutation(
    purchase::PurchaseMutation,
    hold::HoldMutation,
    order::CancelMutation,
    catalogue::CatalogueMutation,
    staff::StaffMutation,
    organizer::OrganizerMutation,
    erasure::ErasureMutation,
);

/// What is told as it happens. Over WebSocket (`graphql-transport-ws`), server-sent events or `multipart/mixed`.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    order::OrderSubscription,
    live::LiveSubscription,
    hold::HoldSubscription,
);

type Rooted<Q> = async_graphql::Schema<Q, Mutation, Subscription>;

/// Rowlock's schema.
pub enum Schema {
    Alone(Rooted<Query>),
    Subgraph(Rooted<SubgraphQuery>),
}

impl Schema {
    /// One that executes what [`super::Engine`] has checked, and checks nothing itself.
    pub fn executing(federation: Switch, domain: Domain) -> Self {
        match federation {
            Switch::Off => Self::Alone(executing(Query::default(), domain)),
            Switch::On => Self::Subgraph(executing(SubgraphQuery::default(), domain)),
        }
    }

    /// One that checks documents, which `end` ends before they are executed, and says what may have been meant where it
    /// `suggests`.
    pub fn judging(federation: Switch, end: impl ExtensionFactory, suggests: bool) -> Self {
        match federation {
            Switch::Off => Self::Alone(judging(Query::default(), end, suggests)),
            Switch::On => Self::Subgraph(judging(SubgraphQuery::default(), end, suggests)),
        }
    }

    /// Executes a query or a mutation.
    pub async fn execute(&self, request: Request) -> Response {
        match self {
            Self::Alone(schema) => schema.execute(request).await,
            Self::Subgraph(schema) => schema.execute(request).await,
        }
    }

    /// Executes a subscription.
    pub fn execute_stream(&self, request: Request) -> BoxStream<'static, Response> {
        match self {
            Self::Alone(schema) => schema.execute_stream(request),
            Self::Subgraph(schema) => schema.execute_stream(request),
        }
    }

    /// All of it in the schema definition language.
    pub fn sdl(&self) -> String {
        match self {
            Self::Alone(schema) => schema.sdl(),
            Self::Subgraph(schema) => schema.sdl(),
        }
    }
}

/// The schema in the schema definition language, as `schema.graphql` holds it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    builder(Query::default()).finish().sdl_with_options(options)
}

fn executing<Q: ObjectType + 'static>(query: Q, domain: Domain) -> Rooted<Q> {
    let shared = loaders::Shared::new(domain.store.clone());
    builder(query)
        .validation_mode(ValidationMode::Fast)
        .data(domain)
        .data(shared)
        .finish()
}

fn judging<Q: ObjectType + 'static>(
    query: Q,
    end: impl ExtensionFactory,
    suggests: bool,
) -> Rooted<Q> {
    let builder = builder(query).extension(end);
    if suggests {
        builder.finish()
    } else {
        builder.disable_suggestions().finish()
    }
}

fn builder<Q: ObjectType + 'static>(query: Q) -> SchemaBuilder<Q, Mutation, Subscription> {
    async_graphql::Schema::build(query, Mutation::default(), Subscription::default())
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
