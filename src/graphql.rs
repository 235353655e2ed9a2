//! The schema that clients see: a file per subject, resolvers of three thoughts (read the input, call the domain, shape
//! the answer).
//!
//! Knows nothing about HTTP, and decides nothing about tickets. Refusals are data (`userErrors`), faults are top-level
//! errors with a code from [`fault::Code`].

mod access;
mod answer;
mod audit;
mod buyer;
mod catalogue;
mod company;
mod deadline;
mod desk;
mod documents;
mod engine;
mod erasure;
pub mod fault;
mod federation;
pub mod global_id;
mod hold;
mod kept;
mod live;
mod loaders;
mod money;
mod node;
mod order;
mod organizer;
mod page;
mod purchase;
mod schema;
mod staff;
mod types;
mod user_error;
mod viewer;

use std::sync::Arc;

use async_graphql::Context;

pub use self::{
    answer::Answer,
    engine::{Engine, Freshness, Ready},
    federation::subgraph_sdl,
    schema::sdl,
};

use self::loaders::Loaders;
use crate::{
    auth::Caller,
    catalogue::watch::Availabilities,
    changes::{maps::SeatMaps, watch::Logs},
    metrics::Metrics,
    sales::Sales,
    store::Store,
};

/// What resolvers call: the same for every request.
#[derive(Clone)]
pub struct Domain {
    pub store: Arc<Store>,
    pub sales: Arc<Sales>,
    /// Those that somebody follows.
    pub logs: Arc<Logs>,
    /// Those that somebody watches.
    pub availabilities: Arc<Availabilities>,
    /// Those that somebody asks for.
    pub seat_maps: Arc<SeatMaps>,
    pub metrics: Arc<Metrics>,
}

impl Domain {
    pub fn new(store: Arc<Store>, sales: Arc<Sales>, metrics: Arc<Metrics>) -> Self {
        let live = sales.live();
        let logs = Arc::new(Logs::new(Arc::clone(&store), Arc::clone(live)));
        Self {
            seat_maps: Arc::new(SeatMaps::new(Arc::clone(&store), Arc::clone(&logs))),
            logs,
            availabilities: Arc::new(Availabilities::new(Arc::clone(&store), Arc::clone(live))),
            store,
            sales,
            metrics,
        }
    }
}

fn domain<'a>(ctx: &Context<'a>) -> &'a Domain {
    ctx.data_unchecked()
}

/// Who sent this request.
fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    ctx.data_unchecked()
}
