//! Any object by its global id, as Relay's caches want it.

use async_graphql::{Context, Error, ID, Interface, Object, Result};

use super::{
    catalogue::{Event, Ticket, TicketType},
    fault::Code,
    global_id::GlobalId,
    hold::Hold,
    loaders::{load, load_own},
    order::{Order, OrderItem},
    organizer::{self, ApiKey, Organizer},
};

/// How many objects one `nodes` reads at most, as many as the longest page has.
pub const NODES_MAX: usize = 100;

/// An object with an id that is unique among all objects.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Unique among all objects, and opaque: do not take it apart."
))]
pub enum Node {
    Organizer(Organizer),
    Event(Event),
    TicketType(TicketType),
    Ticket(Ticket),
    Order(Order),
    OrderItem(OrderItem),
    Hold(Hold),
    ApiKey(ApiKey),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id; null when there is none, or it is not for you.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An id that this server made.")] id: ID,
    ) -> Option<Result<Node>> {
        find(ctx, &id).await.transpose()
    }

    /// The objects with these ids, in the same order, each null when there is none or it is not for you.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Up to 100 ids that this server made.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Result<Node>>>> {
        if ids.len() > NODES_MAX {
            return Err(Code::BadUserInput.error(format!("nodes takes at most {NODES_MAX} ids")));
        }
        // Together, so that the loaders read each kind in one statement.
        let found = futures_util::future::join_all(ids.iter().map(|id| find(ctx, id))).await;
        Ok(found.into_iter().map(Result::transpose).collect())
    }
}

pub async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, Error> {
    let load = load(ctx);
    Ok(match GlobalId::require(id)? {
        GlobalId::Organizer(id) => load
            .load_one(id)
            .await?
            .map(|row| Node::Organizer(row.into())),
        GlobalId::Event(id) => load.load_one(id).await?.map(|row| Node::Event(row.into())),
        GlobalId::TicketType(event, id) => load
            .load_one((event, id))
            .await?
            .map(|row| Node::TicketType(row.into())),
        GlobalId::Ticket(event, id) => load
            .load_one((event, id))
            .await?
            .map(|row| Node::Ticket(row.into())),
        GlobalId::Order(event, id) => load_own(ctx)
            .load_one((event, id))
            .await?
            .map(|row| Node::Order(row.into())),
        GlobalId::OrderItem(event, id) => load_own(ctx)
            .load_one((event, id))
            .await?
            .map(|row| Node::OrderItem(row.into())),
        GlobalId::Hold(event, id) => load_own(ctx)
            .load_one((event, id))
            .await?
            .map(|held| Node::Hold(held.into())),
        GlobalId::ApiKey(id) => organizer::find_key(ctx, id).await?.map(Node::ApiKey),
    })
}
