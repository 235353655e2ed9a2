//! Creating, changing and publishing events.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    sea_query::Expr,
};

use super::{
    Answer, Refusal,
    organizers::{find_or_create, own_id},
    refused, rules, to_its_end,
};
use crate::{
    auth::Organizer,
    entity::event::{ActiveModel, Column, Entity, Model, Status},
    fault::{Fault, Step},
    ids::EventId,
    store::Store,
    time,
};

/// An event to be created; it starts as a draft.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub venue: String,
    pub currency: String,
    pub time_zone: String,
    pub starts_at: DateTime<Utc>,
    pub sales_open_at: DateTime<Utc>,
    pub sales_close_at: DateTime<Utc>,
    pub tickets_per_order_max: i32,
}

/// A change of an event: what is none stays as it is. The currency stays always, since every price is in it.
#[derive(Clone, Debug, Default)]
pub struct EventChange {
    pub slug: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub venue: Option<String>,
    pub time_zone: Option<String>,
    pub starts_at: Option<DateTime<Utc>>,
    pub sales_open_at: Option<DateTime<Utc>>,
    pub sales_close_at: Option<DateTime<Utc>>,
    pub tickets_per_order_max: Option<i32>,
}

/// Why an event is not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateEventCode {
    SlugTaken,
    InvalidSlug,
    InvalidName,
    InvalidDescription,
    InvalidVenue,
    InvalidCurrency,
    InvalidTimeZone,
    InvalidStart,
    InvalidSalesWindow,
    InvalidTicketsPerOrder,
}

/// Why an event is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateEventCode {
    UnknownEvent,
    Stale,
    SlugTaken,
    InvalidSlug,
    InvalidName,
    InvalidDescription,
    InvalidVenue,
    InvalidTimeZone,
    InvalidStart,
    InvalidSalesWindow,
    InvalidTicketsPerOrder,
}

/// Why an event is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishEventCode {
    UnknownEvent,
    EventCancelled,
}

/// Creates a draft that the organizer alone sees.
pub async fn create_event(
    store: &Arc<Store>,
    organizer: &Organizer,
    new: NewEvent,
) -> Answer<Model, CreateEventCode> {
    let organizer = organizer.clone();
    to_its_end(store, async move |store| {
        let event = match draft(new) {
            Ok(event) => event,
            Err(refusals) => return Ok(Err(refusals)),
        };
        let organizer_id = find_or_create(&store, &organizer).await?;
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
    organizer: &Organizer,
    id: EventId,
    version: i64,
    change: EventChange,
) -> Answer<Model, UpdateEventCode> {
    let organizer = organizer.clone();
    to_its_end(store, async move |store| {
        let Some(event) = own_event(&store, &organizer, id).await? else {
            return refused(Refusal::unknown_event(UpdateEventCode::UnknownEvent));
        };
        if event.version != version {
            return refused(stale());
        }
        let changed = match changed(event, change) {
            Ok(changed) => changed,
            Err(refusals) => return Ok(Err(refusals)),
        };
        let updated = Entity::update_many()
            .set(changed)
            .col_expr(Column::Version, Expr::val(version + 1))
            .col_expr(Column::UpdatedAt, Expr::val(time::now()))
            .filter(Column::Id.eq(id))
            // Whoever changed it since it was read has made this change stale.
            .filter(Column::Version.eq(version))
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
    organizer: &Organizer,
    id: EventId,
) -> Answer<Model, PublishEventCode> {
    let organizer = organizer.clone();
    to_its_end(store, async move |store| {
        let published = Entity::update_many()
            .col_expr(Column::Status, Expr::val("PUBLISHED"))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::val(time::now()))
            .filter(Column::Id.eq(id))
            .filter(Column::OrganizerId.in_subquery(own_id(&organizer)))
            .filter(Column::Status.eq(Status::Draft))
            .exec_with_returning(store.writer())
            .await
            .step("publishing an event")?;
        if let Some(event) = published.into_iter().next() {
            return Ok(Ok(event));
        }
        match own_event(&store, &organizer, id).await? {
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
    organizer: &Organizer,
    id: EventId,
) -> Result<Option<Model>, Fault> {
    Entity::find_by_id(id)
        .filter(Column::OrganizerId.in_subquery(own_id(organizer)))
        .one(store.writer())
        .await
        .step("reading an organizer's event")
}

/// The row of a new event, but for its organizer.
fn draft(new: NewEvent) -> Result<ActiveModel, Vec<Refusal<CreateEventCode>>> {
    use CreateEventCode as Code;
    let mut refusals = vec![];
    let mut check = |code, field: &str, checked: Result<(), String>| {
        refusals.extend(checked.err().map(|text| Refusal::at(code, field, text)));
    };
    check(Code::InvalidSlug, "slug", rules::slug(&new.slug));
    check(
        Code::InvalidName,
        "name",
        rules::line("a name", &new.name, rules::NAME_LEN_MAX),
    );
    check(
        Code::InvalidDescription,
        "description",
        rules::description(&new.description),
    );
    check(
        Code::InvalidVenue,
        "venue",
        rules::line("a venue", &new.venue, rules::NAME_LEN_MAX),
    );
    check(
        Code::InvalidCurrency,
        "currency",
        rules::currency(&new.currency).map(drop),
    );
    check(
        Code::InvalidTimeZone,
        "timeZone",
        rules::time_zone(&new.time_zone),
    );
    check(
        Code::InvalidTicketsPerOrder,
        "ticketsPerOrderMax",
        rules::tickets_per_order(new.tickets_per_order_max),
    );
    let mut instant = |code, field: &str, at| match rules::instant(at) {
        Ok(at) => at,
        Err(text) => {
            check(code, field, Err(text));
            at
        }
    };
    let starts_at = instant(Code::InvalidStart, "startsAt", new.starts_at);
    let open_at = instant(Code::InvalidSalesWindow, "salesOpenAt", new.sales_open_at);
    let close_at = instant(Code::InvalidSalesWindow, "salesCloseAt", new.sales_close_at);
    check(
        Code::InvalidSalesWindow,
        "salesCloseAt",
        rules::sales_window(open_at, close_at),
    );
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let now = time::now();
    Ok(ActiveModel {
        id: Set(EventId::mint()),
        slug: Set(new.slug),
        name: Set(new.name),
        description: Set(new.description),
        venue: Set(new.venue),
        currency: Set(new.currency),
        time_zone: Set(new.time_zone),
        starts_at: Set(starts_at),
        sales_open_at: Set(open_at),
        sales_close_at: Set(close_at),
        tickets_per_order_max: Set(new.tickets_per_order_max),
        status: Set(Status::Draft),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    })
}

/// What a change sets. It is judged together with what stays.
fn changed(
    event: Model,
    change: EventChange,
) -> Result<ActiveModel, Vec<Refusal<UpdateEventCode>>> {
    let whole = NewEvent {
        slug: change.slug.unwrap_or(event.slug),
        name: change.name.unwrap_or(event.name),
        description: change.description.unwrap_or(event.description),
        venue: change.venue.unwrap_or(event.venue),
        currency: event.currency,
        time_zone: change.time_zone.unwrap_or(event.time_zone),
        starts_at: change.starts_at.unwrap_or(event.starts_at),
        sales_open_at: change.sales_open_at.unwrap_or(event.sales_open_at),
        sales_close_at: change.sales_close_at.unwrap_or(event.sales_close_at),
        tickets_per_order_max: change
            .tickets_per_order_max
            .unwrap_or(event.tickets_per_order_max),
    };
    match draft(whole) {
        Ok(row) => Ok(ActiveModel {
            slug: row.slug,
            name: row.name,
            description: row.description,
            venue: row.venue,
            time_zone: row.time_zone,
            starts_at: row.starts_at,
            sales_open_at: row.sales_open_at,
            sales_close_at: row.sales_close_at,
            tickets_per_order_max: row.tickets_per_order_max,
            ..Default::default()
        }),
        Err(refusals) => Err(refusals
            .into_iter()
            .map(|refusal| Refusal {
                code: refusal.code.of_update(),
                message: refusal.message,
                field: refusal.field,
            })
            .collect()),
    }
}

impl CreateEventCode {
    fn of_update(self) -> UpdateEventCode {
        match self {
            Self::SlugTaken => UpdateEventCode::SlugTaken,
            Self::InvalidSlug => UpdateEventCode::InvalidSlug,
            Self::InvalidName => UpdateEventCode::InvalidName,
            Self::InvalidDescription => UpdateEventCode::InvalidDescription,
            Self::InvalidVenue => UpdateEventCode::InvalidVenue,
            Self::InvalidCurrency => {
                unreachable!("an event keeps the currency it was created with")
            }
            Self::InvalidTimeZone => UpdateEventCode::InvalidTimeZone,
            Self::InvalidStart => UpdateEventCode::InvalidStart,
            Self::InvalidSalesWindow => UpdateEventCode::InvalidSalesWindow,
            Self::InvalidTicketsPerOrder => UpdateEventCode::InvalidTicketsPerOrder,
        }
    }
}

fn is_slug_taken(fault: &Fault) -> bool {
    fault.is_unique_violation("events_slug", "events.slug")
}

fn slug_taken<C>(code: C) -> Refusal<C> {
    Refusal::at(code, "slug", "another event has this slug")
}

fn stale() -> Refusal<UpdateEventCode> {
    Refusal::at(
        UpdateEventCode::Stale,
        "version",
        "the event was changed meanwhile: read it again, and repeat the change if it still makes sense",
    )
}
