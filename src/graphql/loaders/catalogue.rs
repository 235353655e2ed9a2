//! Reading the catalogue by key: events, their organizers, ticket types and tickets.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;

use super::CatalogueReader;
use crate::{
    catalogue::{self, Availability, Ticket},
    entity::{event, organizer, ticket_type},
    fault::Fault,
    ids::{EventId, OrganizerId, TicketId, TicketTypeId},
    organizers,
};

/// Key of an event by its slug.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::graphql) struct BySlug(pub String);

/// Key of all ticket types of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::graphql) struct TypesOf(pub EventId);

/// Key of a ticket type's availability.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::graphql) struct AvailabilityOf(pub EventId, pub TicketTypeId);

/// Key of the availability of all ticket types of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::graphql) struct AvailabilitiesOf(pub EventId);

impl Loader<EventId> for CatalogueReader {
    type Value = event::Model;
    type Error = Arc<Fault>;

    async fn load(&self, ids: &[EventId]) -> Result<HashMap<EventId, event::Model>, Arc<Fault>> {
        let rows = catalogue::events_by_ids(&self.store, &self.caller, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

impl Loader<BySlug> for CatalogueReader {
    type Value = event::Model;
    type Error = Arc<Fault>;

    async fn load(&self, keys: &[BySlug]) -> Result<HashMap<BySlug, event::Model>, Arc<Fault>> {
        let slugs = keys.iter().map(|key| key.0.as_str()).collect();
        let rows = catalogue::events_by_slugs(&self.store, &self.caller, slugs).await?;
        let by_slug = rows.into_iter().map(|row| (BySlug(row.slug.clone()), row));
        Ok(by_slug.collect())
    }
}

impl Loader<OrganizerId> for CatalogueReader {
    type Value = organizer::Model;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        ids: &[OrganizerId],
    ) -> Result<HashMap<OrganizerId, organizer::Model>, Arc<Fault>> {
        let rows = organizers::organizers_by_ids(&self.store, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }
}

impl Loader<TypesOf> for CatalogueReader {
    type Value = Vec<ticket_type::Model>;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        keys: &[TypesOf],
    ) -> Result<HashMap<TypesOf, Vec<ticket_type::Model>>, Arc<Fault>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = catalogue::ticket_types_of_events(&self.store, &self.caller, &ids).await?;
        let mut types = HashMap::<_, Vec<_>>::new();
        for row in rows {
            types.entry(TypesOf(row.event_id)).or_default().push(row);
        }
        Ok(types)
    }
}

impl Loader<(EventId, TicketTypeId)> for CatalogueReader {
    type Value = ticket_type::Model;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        keys: &[(EventId, TicketTypeId)],
    ) -> Result<HashMap<(EventId, TicketTypeId), ticket_type::Model>, Arc<Fault>> {
        let rows = catalogue::ticket_types_by_ids(&self.store, &self.caller, keys).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}

impl Loader<AvailabilityOf> for CatalogueReader {
    type Value = Availability;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        keys: &[AvailabilityOf],
    ) -> Result<HashMap<AvailabilityOf, Availability>, Arc<Fault>> {
        let keys: Vec<_> = keys.iter().map(|key| (key.0, key.1)).collect();
        let counts = catalogue::availability(&self.store, &keys).await?;
        Ok(counts
            .into_iter()
            .map(|((event, id), count)| (AvailabilityOf(event, id), count))
            .collect())
    }
}

impl Loader<AvailabilitiesOf> for CatalogueReader {
    type Value = HashMap<TicketTypeId, Availability>;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        keys: &[AvailabilitiesOf],
    ) -> Result<HashMap<AvailabilitiesOf, HashMap<TicketTypeId, Availability>>, Arc<Fault>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut by_event = HashMap::<_, HashMap<_, _>>::new();
        for ((event, id), count) in catalogue::availability_of_events(&self.store, &ids).await? {
            by_event
                .entry(AvailabilitiesOf(event))
                .or_default()
                .insert(id, count);
        }
        Ok(by_event)
    }
}

impl Loader<(EventId, TicketId)> for CatalogueReader {
    type Value = Ticket;
    type Error = Arc<Fault>;

    async fn load(
        &self,
        keys: &[(EventId, TicketId)],
    ) -> Result<HashMap<(EventId, TicketId), Ticket>, Arc<Fault>> {
        let rows = catalogue::tickets_by_ids(&self.store, &self.caller, keys).await?;
        Ok(rows
            .into_iter()
            .map(|row| ((row.event_id, row.id), row))
            .collect())
    }
}
