//! Reading by key, in batches: what many fields of one answer ask for is read in one statement.
//!
//! Made anew for every request and without a cache, so that no request sees what another one may see, and a field that
//! is read after a mutation sees what it did.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Context, Error,
    dataloader::{DataLoader, Loader},
};
use tracing::Instrument;

use super::Domain;
use crate::{
    auth::Caller,
    catalogue::{self, Availability, Ticket},
    entity::{event, organizer, ticket_type},
    ids::{EventId, OrganizerId, TicketId, TicketTypeId},
    sales::Sales,
    store::Store,
};

/// Reads what one caller may see. A key that is missing in the answer is not there, or not for this caller.
///
/// A subject adds its own keys by implementing [`Loader`] for this type in its own file.
pub struct Reader {
    pub(super) store: Arc<Store>,
    pub(super) sales: Arc<Sales>,
    pub(super) caller: Caller,
}

/// What belongs in every request's data, beside the caller.
pub(crate) type Loaders = DataLoader<Reader>;

/// The loaders of one request.
#[expect(
    clippy::disallowed_methods,
    reason = "async-graphql's loader owns its batch: a read that its request waits for and the database bounds"
)]
pub(crate) fn loaders(domain: &Domain, caller: &Caller) -> Loaders {
    let reader = Reader {
        store: domain.store.clone(),
        sales: domain.sales.clone(),
        caller: caller.clone(),
    };
    // A batch is read in a task of its own, which would otherwise lose the request's span.
    DataLoader::new(
        reader,
        |batch: futures_util::future::BoxFuture<'static, ()>| tokio::spawn(batch.in_current_span()),
    )
}

/// The loaders of the request that is being answered.
pub(super) fn load<'a>(ctx: &Context<'a>) -> &'a Loaders {
    ctx.data_unchecked()
}

/// Key of all ticket types of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TypesOf(pub EventId);

/// Key of a ticket type's availability.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AvailabilityOf(pub EventId, pub TicketTypeId);

impl Loader<EventId> for Reader {
    type Value = event::Model;
    type Error = Error;

    async fn load(&self, ids: &[EventId]) -> Result<HashMap<EventId, event::Model>, Error> {
        let rows = catalogue::events_by_ids(&self.store, &self.caller, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

impl Loader<OrganizerId> for Reader {
    type Value = organizer::Model;
    type Error = Error;

    async fn load(
        &self,
        ids: &[OrganizerId],
    ) -> Result<HashMap<OrganizerId, organizer::Model>, Error> {
        let rows = catalogue::organizers_by_ids(&self.store, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

impl Loader<TypesOf> for Reader {
    type Value = Vec<ticket_type::Model>;
    type Error = Error;

    async fn load(
        &self,
        keys: &[TypesOf],
    ) -> Result<HashMap<TypesOf, Vec<ticket_type::Model>>, Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = catalogue::ticket_types_of_events(&self.store, &self.caller, &ids).await?;
        let mut types = HashMap::<_, Vec<_>>::new();
        for row in rows {
            types.entry(TypesOf(row.event_id)).or_default().push(row);
        }
        Ok(types)
    }
}

impl Loader<(EventId, TicketTypeId)> for Reader {
    type Value = ticket_type::Model;
    type Error = Error;

    async fn load(
        &self,
        keys: &[(EventId, TicketTypeId)],
    ) -> Result<HashMap<(EventId, TicketTypeId), ticket_type::Model>, Error> {
        let rows = catalogue::ticket_types_by_ids(&self.store, &self.caller, keys).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}

impl Loader<AvailabilityOf> for Reader {
    type Value = Availability;
    type Error = Error;

    async fn load(
        &self,
        keys: &[AvailabilityOf],
    ) -> Result<HashMap<AvailabilityOf, Availability>, Error> {
        let keys: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let counts = catalogue::availability(&self.store, &keys).await?;
        Ok(counts
            .into_iter()
            .map(|((event, id), count)| (AvailabilityOf(event, id), count))
            .collect())
    }
}

impl Loader<(EventId, TicketId)> for Reader {
    type Value = Ticket;
    type Error = Error;

    async fn load(
        &self,
        keys: &[(EventId, TicketId)],
    ) -> Result<HashMap<(EventId, TicketId), Ticket>, Error> {
        let rows = catalogue::tickets_by_ids(&self.store, &self.caller, keys).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}
