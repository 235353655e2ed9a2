//! Rowlock as a subgraph of a federation: a router that joins several servers' schemas asks for objects by type and id.
//!
//! The subgraph specification: <https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec>.
//! async-graphql's own `_entities` tells errors without the index of their object, and fails for all when one is unknown.

use std::fmt::Write;

use async_graphql::{
    Any, Context, Object, OutputType, Result, SimpleObject, Union, Value, indexmap::IndexMap,
};

use super::{
    catalogue::{Event, Ticket, TicketType},
    fault::Code,
    hold::Hold,
    node::{NODES_MAX, Node, find},
    order::{Order, OrderItem},
    organizer::{ApiKey, Organizer},
    schema::sdl,
};

/// What another server may know an object by, and extend.
const ENTITIES: [&str; 8] = [
    "Organizer",
    "Event",
    "TicketType",
    "Ticket",
    "Order",
    "OrderItem",
    "Hold",
    "ApiKey",
];

/// The schema as a router composes it with others: without what only the router asks, and with the keys.
pub fn subgraph_sdl() -> String {
    // Every Relay server has the same. The directive is for the fields of its own declaration, so that an extension would not
    // do.
    let mut subgraph = sdl().replace("type PageInfo {", "type PageInfo @shareable {");
    subgraph.push_str(
        "\nextend schema @link(url: \"https://specs.apollo.dev/federation/v2.3\", import: [\"@key\", \"@shareable\"])\n",
    );
    for entity in ENTITIES {
        // Infallible for a string.
        let _ = writeln!(subgraph, "\nextend type {entity} @key(fields: \"id\")");
    }
    subgraph
}

/// An object that other servers may extend.
#[derive(Union)]
#[graphql(name = "_Entity")]
enum Entity {
    Organizer(Organizer),
    Event(Event),
    TicketType(TicketType),
    Ticket(Ticket),
    Order(Order),
    OrderItem(OrderItem),
    Hold(Hold),
    ApiKey(ApiKey),
}

/// What a router is told of this server.
#[derive(SimpleObject)]
#[graphql(name = "_Service")]
struct Service {
    /// The schema to compose.
    sdl: String,
}

/// What a router asks.
#[derive(Default)]
pub struct FederationQuery;

#[Object]
impl FederationQuery {
    /// For a router: the objects that are represented, in the same order, each null when there is none or it is not for
    /// you.
    #[graphql(name = "_entities")]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Up to 100 objects, each with its `__typename` and its `id`.")]
        representations: Vec<Any>,
    ) -> Result<Vec<Option<Result<Entity>>>> {
        if representations.len() > NODES_MAX {
            return Err(Code::BadUserInput.error(format!(
                "_entities takes at most {NODES_MAX} representations"
            )));
        }
        // Together, so that the loaders read each kind in one statement.
        let found = representations.iter().map(|any| entity(ctx, &any.0));
        let found = futures_util::future::join_all(found).await;
        Ok(found.into_iter().map(Result::transpose).collect())
    }

    /// For a router: this server.
    #[graphql(name = "_service")]
    async fn service(&self) -> Service {
        Service {
            sdl: subgraph_sdl(),
        }
    }
}

async fn entity(ctx: &Context<'_>, representation: &Value) -> Result<Option<Entity>> {
    let Value::Object(members) = representation else {
        return Err(malformed());
    };
    let name = text(members, "__typename")?;
    if !ENTITIES.contains(&name) {
        return Err(Code::BadUserInput.error("an object of this type has no key here"));
    }
    let id = text(members, "id")?.into();
    let found = find(ctx, &id).await?.map(Entity::from);
    // An id of another type's object is none of this type.
    Ok(found.filter(|entity| entity.introspection_type_name() == name))
}

fn text<'a>(members: &'a IndexMap<async_graphql::Name, Value>, name: &str) -> Result<&'a str> {
    match members.get(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(malformed()),
    }
}

fn malformed() -> async_graphql::Error {
    Code::BadUserInput.error("a representation is an object with a `__typename` and an `id`")
}

impl From<Node> for Entity {
    fn from(node: Node) -> Self {
        match node {
            Node::Organizer(organizer) => Self::Organizer(organizer),
            Node::Event(event) => Self::Event(event),
            Node::TicketType(ticket_type) => Self::TicketType(ticket_type),
            Node::Ticket(ticket) => Self::Ticket(ticket),
            Node::Order(order) => Self::Order(order),
            Node::OrderItem(item) => Self::OrderItem(item),
            Node::Hold(hold) => Self::Hold(hold),
            Node::ApiKey(key) => Self::ApiKey(key),
        }
    }
}
