//! Reading events.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, SelectStatement},
};

use super::{rules, search::Words};
use crate::{
    auth::{Caller, Grant},
    entity::{
        event::{self, Column, Entity, Status},
        ticket_import::EVENT_IS_SHOWN,
    },
    fault::{Fault, Step},
    ids::{EventId, OrganizerId},
    organizers::allowed_ids,
    page::{Direction, Page, Slice},
    store::{
        Store,
        dialect::{has_each_of, is_one_of, is_one_of_texts},
    },
    time,
};

/// Which events a list shows.
#[derive(Clone, Debug)]
pub struct EventFilter {
    pub status: Status,
    pub organizer_id: Option<OrganizerId>,
    /// Whether tickets can be bought at this moment.
    pub is_on_sale: Option<bool>,
    /// Starting at this instant or later …
    pub starts_from: Option<DateTime<Utc>>,
    /// … and before this one.
    pub starts_before: Option<DateTime<Utc>>,
    /// Each of which must occur in the event's texts.
    pub words: Words,
}

/// Where an event stands in lists: by its start, then by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKey {
    pub starts_at: DateTime<Utc>,
    pub id: EventId,
}

/// Whether tickets of the event can be bought at this moment, by the process's clock. What decides a sale is the
/// database's clock.
pub fn is_on_sale(event: &event::Model) -> bool {
    let now = time::now();
    event.status == Status::Published && event.sales_open_at <= now && now < event.sales_close_at
}

/// The events with these ids that the caller may see, in no order.
pub async fn events_by_ids(
    store: &Store,
    caller: &Caller,
    ids: &[EventId],
) -> Result<Vec<event::Model>, Fault> {
    Entity::find()
        .filter(is_one_of(
            store.backend(),
            (Entity, Column::Id),
            ids.iter().map(|id| id.0),
        ))
        .filter(is_visible(caller))
        .all(store.reader())
        .await
        .step("reading events by id")
}

/// The event of this slug, if the caller may see it.
pub async fn event_by_slug(
    store: &Store,
    caller: &Caller,
    slug: &str,
) -> Result<Option<event::Model>, Fault> {
    Ok(events_by_slugs(store, caller, vec![slug]).await?.pop())
}

/// The events of these slugs that the caller may see, one for each slug and in no order: the one that everybody sees; else, of
/// drafts that several of the caller's organizers have, the oldest.
pub async fn events_by_slugs(
    store: &Store,
    caller: &Caller,
    mut slugs: Vec<&str>,
) -> Result<Vec<event::Model>, Fault> {
    // Nor would PostgreSQL take every text for a parameter.
    slugs.retain(|slug| rules::slug(slug).is_ok());
    if slugs.is_empty() {
        return Ok(vec![]);
    }
    let mut events = Entity::find()
        .filter(is_one_of_texts(
            store.backend(),
            (Entity, Column::Slug),
            slugs,
        ))
        .filter(is_visible(caller))
        .all(store.reader())
        .await
        .step("reading events by their slugs")?;
    events.sort_by(|one, other| {
        let rank = |event: &event::Model| (event.status == Status::Draft, event.id);
        one.slug.cmp(&other.slug).then(rank(one).cmp(&rank(other)))
    });
    events.dedup_by(|later, first| later.slug == first.slug);
    Ok(events)
}

/// The organizer's own event of this id, whatever its status.
pub async fn own_event(
    store: &Store,
    grant: &Grant,
    id: EventId,
) -> Result<Option<event::Model>, Fault> {
    Entity::find_by_id(id)
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .one(store.reader())
        .await
        .step("reading an organizer's event")
}

/// A page of events in order of their start.
pub async fn events_page(
    store: &Store,
    caller: &Caller,
    filter: &EventFilter,
    page: &Page<EventKey>,
) -> Result<Slice<event::Model>, Fault> {
    let order = match page.direction {
        Direction::Forward => Order::Asc,
        Direction::Backward => Order::Desc,
    };
    let rows = Entity::find()
        .filter(is_visible(caller))
        .filter(matches(store, filter))
        .apply_if(page.after, |select, key| {
            select.filter(place().gt(place_of(key)))
        })
        .apply_if(page.before, |select, key| {
            select.filter(place().lt(place_of(key)))
        })
        .order_by(Column::StartsAt, order.clone())
        .order_by(Column::Id, order)
        .limit(page.read_max())
        .all(store.reader())
        .await
        .step("reading a page of events")?;
    Ok(page.cut(rows))
}

/// With the status in the text: where all events that PostgreSQL knows have one, it takes none to be different from one that it
/// is told later, and for a few tickets reads all events.
const EVENT_IS_PUBLIC: &str = "events.status <> 'DRAFT'";

/// A draft exists for its own organizer alone.
pub(super) fn is_visible(caller: &Caller) -> Condition {
    let public = Condition::any().add(Expr::cust(EVENT_IS_PUBLIC));
    match caller {
        Caller::Staff(staff) => {
            let own = Condition::all()
                .add(Column::OrganizerId.in_subquery(allowed_ids(&staff.reading())))
                // A copy is a draft that is not shown before it is whole.
                .add(Expr::cust(EVENT_IS_SHOWN));
            public.add(own)
        }
        Caller::Anonymous | Caller::Customer(_) => public,
    }
}

/// The ids of the events that the caller may see, as a subquery.
pub(super) fn visible_ids(caller: &Caller) -> SelectStatement {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(is_visible(caller))
        .into_query()
}

/// The ids of the organizer's own events, as a subquery.
pub(super) fn own_ids(grant: &Grant) -> SelectStatement {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .into_query()
}

fn matches(store: &Store, filter: &EventFilter) -> Condition {
    let now = time::now();
    let words = filter.words.as_strs();
    let words = (!words.is_empty())
        .then(|| has_each_of(store.backend(), (Entity, Column::SearchText), words));
    Condition::all()
        .add(Column::Status.eq(filter.status))
        .add_option(filter.organizer_id.map(|id| Column::OrganizerId.eq(id)))
        // As exact as what they are compared with: SQLite compares the text.
        .add_option(
            filter
                .starts_from
                .map(|from| Column::StartsAt.gte(time::to_micros(from))),
        )
        .add_option(
            filter
                .starts_before
                .map(|to| Column::StartsAt.lt(time::to_micros(to))),
        )
        .add_option(words)
        .add_option(filter.is_on_sale.map(|is_on_sale| {
            let on_sale = Condition::all()
                .add(Column::Status.eq(Status::Published))
                .add(Column::SalesOpenAt.lte(now))
                .add(Column::SalesCloseAt.gt(now));
            if is_on_sale { on_sale } else { on_sale.not() }
        }))
}

fn place() -> Expr {
    Expr::tuple([
        Expr::col((Entity, Column::StartsAt)),
        Expr::col((Entity, Column::Id)),
    ])
}

fn place_of(key: EventKey) -> Expr {
    Expr::tuple([Expr::val(key.starts_at), Expr::val(key.id)])
}
