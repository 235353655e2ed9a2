//! Creating, changing and publishing events.

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    QuerySelect, sea_query::Expr,
};

use super::{
    Answer, Refusal,
    draft::{CreateEventCode, EventChange, NewEvent, UpdateEventCode, changed, draft},
    refused, to_its_end,
};
use crate::{
    auth::Grant,
    entity::{
        event::{ActiveModel, Column, Entity, Model, Status},
        ticket_import::EVENT_IS_SHOWN,
    },
    fault::{Fault, Step},
    ids::{EventId, OrganizerId},
    organizers::{NoOrganizer, allowed_ids, found, organizer_for},
    store::Store,
    time,
};

/// Why an event is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishEventCode {
    UnknownEvent,
    EventCancelled,
    SlugTaken,
}

/// Creates a draft that the organizer's members alone see: of the one that is asked for, or of the only one there is.
pub async fn create_event(
    store: &Arc<Store>,
    grant: &Grant,
    asked: Option<OrganizerId>,
    new: NewEvent,
) -> Answer<Model, CreateEventCode> {
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let organizer_id = match organizer_for(&store, &grant, asked).await? {
            Ok(organizer_id) => organizer_id,
            Err(none) => return Ok(Err(vec![no_organizer(none)])),
        };
        let event = match draft(new) {
            Ok(event) => event,
            Err(refusals) => return Ok(Err(refusals)),
        };
        if is_shown_under(&store, event.slug.as_ref()).await? {
            return refused(slug_taken(CreateEventCode::SlugTaken));
        }
        let organizer_id = match organizer_id {
            Some(organizer_id) => organizer_id,
            None => match found(&store, &grant).await? {
                Ok(organizer_id) => organizer_id,
                Err(none) => return Ok(Err(vec![no_organizer(none)])),
            },
        };
        let inserted = ActiveModel {
            organizer_id: Set(organizer_id),
            ..event
        }
        .insert(store.writer())
        .await
        .step("creating an event");
        match inserted {
            Ok(event) => Ok(Ok(event)),
            Err(fault) if is_slug_taken(&fault) => refused(slug_taken(CreateEventCode::SlugTaken)),
            Err(fault) => Err(fault),
        }
    })
    .await
}

/// Changes an event that is still as it was at `version`.
pub async fn update_event(
    store: &Arc<Store>,
    grant: &Grant,
    id: EventId,
    version: i64,
    change: EventChange,
) -> Answer<Model, UpdateEventCode> {
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let Some(event) = own_event(&store, &grant, id).await? else {
            return refused(Refusal::unknown_event(UpdateEventCode::UnknownEvent));
        };
        if event.version != version {
            return refused(stale());
        }
        let new_slug = change.slug.clone().filter(|slug| *slug != event.slug);
        let status = event.status;
        let (held, owned) = (
            change.held_per_customer_max,
            change.tickets_per_customer_max,
        );
        let changed = match changed(event, change) {
            Ok(changed) => changed,
            Err(refusals) => return Ok(Err(refusals)),
        };
        if let Some(slug) = new_slug
            && is_shown_under(&store, &slug).await?
        {
            return refused(slug_taken(UpdateEventCode::SlugTaken));
        }
        let mut update = Entity::update_many().set(changed);
        if let Some(max) = held {
            update = update.col_expr(Column::HeldPerCustomerEver, held_ever(max));
        }
        if let Some(max) = owned {
            update = update.col_expr(Column::TicketsPerCustomerEver, owned_ever(max));
        }
        let updated = update
            .col_expr(Column::Version, Expr::val(version + 1))
            .col_expr(Column::UpdatedAt, Expr::val(time::now()))
            .filter(Column::Id.eq(id))
            // Whoever changed it since it was read has made this change stale.
            .filter(Column::Version.eq(version))
            // Whoever was let go since then changes nothing.
            .filter(Column::OrganizerId.in_subquery(allowed_ids(&grant)))
            // What may be changed depends on it.
            .filter(Column::Status.eq(status))
            .exec_with_returning(store.writer())
            .await
            .step("changing an event");
        match updated {
            Ok(rows) => match rows.into_iter().next() {
                Some(event) => Ok(Ok(event)),
                None => refused(stale()),
            },
            Err(fault) if is_slug_taken(&fault) => refused(slug_taken(UpdateEventCode::SlugTaken)),
            Err(fault) => Err(fault),
        }
    })
    .await
}

/// Shows a draft to everybody. Publishing a published event changes nothing.
pub async fn publish_event(
    store: &Arc<Store>,
    grant: &Grant,
    id: EventId,
) -> Answer<Model, PublishEventCode> {
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let published = Entity::update_many()
            .col_expr(Column::Status, Expr::val("PUBLISHED"))
            // From now on customers buy, and these are the limits they keep to.
            .col_expr(
                Column::HeldPerCustomerEver,
                Expr::col(Column::HeldPerCustomerMax),
            )
            .col_expr(
                Column::TicketsPerCustomerEver,
                Expr::col(Column::TicketsPerCustomerMax),
            )
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::val(time::now()))
            .filter(Column::Id.eq(id))
            .filter(Column::OrganizerId.in_subquery(allowed_ids(&grant)))
            .filter(Expr::cust(EVENT_IS_SHOWN))
            .filter(Column::Status.eq(Status::Draft))
            .exec_with_returning(store.writer())
            .await
            .step("publishing an event");
        let published = match published {
            Ok(rows) => rows,
            Err(fault) if is_slug_taken(&fault) => {
                return refused(Refusal::new(
                    PublishEventCode::SlugTaken,
                    "an event that everybody sees has this slug: give this one another",
                ));
            }
            Err(fault) => return Err(fault),
        };
        if let Some(event) = published.into_iter().next() {
            return Ok(Ok(event));
        }
        match own_event(&store, &grant, id).await? {
            None => refused(Refusal::unknown_event(PublishEventCode::UnknownEvent)),
            Some(event) => match event.status {
                Status::Published => Ok(Ok(event)),
                Status::Cancelled => refused(Refusal::new(
                    PublishEventCode::EventCancelled,
                    "the event is cancelled",
                )),
                // Nothing makes a draft of a published event; it can only have been created in between.
                Status::Draft => refused(Refusal::unknown_event(PublishEventCode::UnknownEvent)),
            },
        }
    })
    .await
}

/// The organizer's own event. Another organizer's is as unknown as one that is not there.
pub(super) async fn own_event(
    store: &Store,
    grant: &Grant,
    id: EventId,
) -> Result<Option<Model>, Fault> {
    Entity::find_by_id(id)
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .filter(Expr::cust(EVENT_IS_SHOWN))
        .one(store.writer())
        .await
        .step("reading an organizer's event")
}

/// The highest number of tickets that a customer could ever hold, once this one is set. Computed from the row as it is
/// when it is written: a limit that another process has raised meanwhile must not be forgotten.
fn held_ever(max: i32) -> Expr {
    let ever = || Expr::col(Column::HeldPerCustomerEver);
    let is_higher = is_published().and(ever().gt(max));
    Expr::case(is_higher, ever()).finally(max).into()
}

/// The same for the tickets that a customer could own; none once there was no limit.
fn owned_ever(max: Option<i32>) -> Expr {
    let ever = || Expr::col(Column::TicketsPerCustomerEver);
    let Some(max) = max else {
        return Expr::val(None::<i32>);
    };
    let is_higher = is_published().and(ever().is_null().or(ever().gt(max)));
    Expr::case(is_higher, ever()).finally(max).into()
}

/// A draft sells nothing: what its limits were before does not count.
fn is_published() -> Expr {
    Expr::col(Column::Status).eq("PUBLISHED")
}

fn no_organizer(none: NoOrganizer) -> Refusal<CreateEventCode> {
    use CreateEventCode as Code;
    match none {
        NoOrganizer::Unknown => Refusal::at(
            Code::UnknownOrganizer,
            "organizerId",
            "there is no such organizer of yours",
        ),
        NoOrganizer::Unsaid => Refusal::at(
            Code::OrganizerMissing,
            "organizerId",
            "you own several organizers or none: say for which one",
        ),
    }
}

/// Whether everybody finds an event under this slug. A draft of another organizer takes none: nobody is to learn of it.
///
/// What is published in the next moment is met by the database's constraint, by whoever publishes later.
pub(super) async fn is_shown_under(store: &Store, slug: &str) -> Result<bool, Fault> {
    let shown = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Slug.eq(slug))
        .filter(Column::Status.ne(Status::Draft))
        .into_tuple::<EventId>()
        .one(store.writer())
        .await
        .step("looking for an event of a slug")?;
    Ok(shown.is_some())
}

/// Whether an event that everybody sees has the slug, or another one of the organizer's.
pub(super) fn is_slug_taken(fault: &Fault) -> bool {
    fault.is_unique_violation("events_slug", "events.slug")
        || fault.is_unique_violation(
            "events_slug_of_organizer",
            "events.slug, events.organizer_id",
        )
}

pub(super) fn slug_taken<C>(code: C) -> Refusal<C> {
    Refusal::at(
        code,
        "slug",
        "an event that everybody sees has this slug, or another one of yours",
    )
}

fn stale() -> Refusal<UpdateEventCode> {
    Refusal::at(
        UpdateEventCode::Stale,
        "version",
        "the event was changed meanwhile: read it again, and repeat the change if it still makes sense",
    )
}
