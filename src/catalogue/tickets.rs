//! Reading tickets.
//!
//! An event's tickets are listed by id. The key needs no index of its own, never changes under a cursor, has no holes
//! for places without a seat, and still reads in the order of the seats, since an addition mints its ids in that order.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, FromQueryResult, JoinType, Order,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Query, SelectStatement, UnionType},
};

use super::{
    events::{own_ids, visible_ids},
    phrases::{effective_status, has_status, is_shown},
    seats,
};
use crate::{
    auth::Caller,
    entity::{
        seat,
        ticket::{Column, Entity, Status},
        ticket_type,
    },
    fault::{Fault, Step},
    ids::{EventId, TicketId, TicketTypeId},
    page::{Direction, Page, Slice},
    store::{Store, bulk::is_one_of_pairs, dialect::clock},
};

/// A ticket as everybody may see it: whether it is held, but not by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub event_id: EventId,
    pub id: TicketId,
    pub ticket_type_id: TicketTypeId,
    /// `Held` only while the hold is alive.
    pub status: Status,
    /// When the hold ends; only while it is alive.
    pub held_until: Option<DateTime<Utc>>,
    /// Why staff withhold it, for the event's own organizer alone.
    pub block_reason: Option<String>,
    /// None for general admission.
    pub seat: Option<Seat>,
    pub is_accessible: bool,
}

/// A numbered seat, by the labels that are printed on the ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub section: String,
    pub row: String,
    pub seat: String,
}

/// Which tickets of an event a list shows.
#[derive(Clone, Debug, Default)]
pub struct TicketFilter {
    pub ticket_type_id: Option<TicketTypeId>,
    pub status: Option<Status>,
    pub section: Option<String>,
    pub is_accessible: Option<bool>,
}

/// A page of an event's tickets; empty when the caller may not see the event.
pub async fn tickets_page(
    store: &Store,
    caller: &Caller,
    event_id: EventId,
    filter: &TicketFilter,
    page: &Page<TicketId>,
) -> Result<Slice<Ticket>, Fault> {
    let is_label = |section: &String| seats::is_section(section);
    if !filter.section.as_ref().is_none_or(is_label) {
        return Ok(page.cut(vec![]));
    }
    let order = match page.direction {
        Direction::Forward => Order::Asc,
        Direction::Backward => Order::Desc,
    };
    let among = matches(event_id, filter, page);
    let with_status = match (filter.status, store.backend()) {
        (None, _) => Condition::all(),
        (Some(Status::Available), DbBackend::Postgres) => {
            let first = first_available(event_id, &among, &order, page.read_max());
            Condition::all().add(Column::Id.in_subquery(first))
        }
        (Some(status), backend) => Condition::all().add(has_status(backend, status)),
    };
    let in_section = match (&filter.section, store.backend()) {
        (Some(section), DbBackend::Postgres) if filter.status != Some(Status::Available) => {
            Condition::all().add(Column::Id.in_subquery(seated_in(event_id, section, page)))
        }
        _ => Condition::all(),
    };
    let rows = visible(store, caller)
        .filter(among)
        .filter(with_status)
        .filter(in_section)
        .order_by(Column::Id, order)
        .limit(page.read_max())
        .into_model::<Row>()
        .all(store.reader())
        .await
        .step("reading a page of tickets")?;
    Ok(page.cut(rows.into_iter().map(Row::into_ticket).collect()))
}

/// The tickets with these ids that the caller may see, in no order.
pub async fn tickets_by_ids(
    store: &Store,
    caller: &Caller,
    keys: &[(EventId, TicketId)],
) -> Result<Vec<Ticket>, Fault> {
    let pairs = keys.iter().map(|(event, id)| (event.0, id.0));
    let rows = visible(store, caller)
        .filter(is_one_of_pairs(
            store.backend(),
            ("tickets.event_id", "tickets.id"),
            pairs,
        ))
        .into_model::<Row>()
        .all(store.reader())
        .await
        .step("reading tickets by id")?;
    Ok(rows.into_iter().map(Row::into_ticket).collect())
}

fn visible(store: &Store, caller: &Caller) -> Select<Entity> {
    let block_reason = match caller {
        Caller::Staff(staff) => {
            let is_own = Column::EventId.in_subquery(own_ids(&staff.reading()));
            Expr::case(is_own, Expr::col((Entity, Column::BlockReason))).into()
        }
        Caller::Anonymous | Caller::Customer(_) => no_text(),
    };
    shown(store.backend(), block_reason).filter(Column::EventId.in_subquery(visible_ids(caller)))
}

/// What everybody may see of tickets, as a select of [`Row`]s. Named, so that a new column stays private until somebody
/// decides otherwise.
pub(super) fn public(backend: DbBackend) -> Select<Entity> {
    shown(backend, no_text())
}

fn shown(backend: DbBackend, block_reason: Expr) -> Select<Entity> {
    Entity::find()
        .select_only()
        .columns([
            Column::EventId,
            Column::Id,
            Column::TicketTypeId,
            Column::HeldUntil,
            Column::Section,
            Column::RowLabel,
            Column::SeatLabel,
            Column::RowIndex,
            Column::SeatIndex,
            Column::IsAccessible,
        ])
        .expr_as(Expr::cust(effective_status(backend)), "status")
        .expr_as(block_reason, "block_reason")
        .filter(is_shown(backend))
}

fn no_text() -> Expr {
    Expr::cust("CAST(NULL AS TEXT)")
}

/// All that is asked but the status.
fn matches(event_id: EventId, filter: &TicketFilter, page: &Page<TicketId>) -> Condition {
    Condition::all()
        .add(Column::EventId.eq(event_id))
        .add_option(filter.ticket_type_id.map(|id| Column::TicketTypeId.eq(id)))
        .add_option(filter.section.as_ref().map(|s| Column::Section.eq(s)))
        .add_option(filter.is_accessible.map(|is| Column::IsAccessible.eq(is)))
        .add_option(page.after.map(|id| Column::Id.gt(id)))
        .add_option(page.before.map(|id| Column::Id.lt(id)))
}

/// The ids of a section's tickets on that side of the cursor. Without it PostgreSQL walks the event's tickets in their order,
/// all of them where no section has that name.
fn seated_in(event_id: EventId, section: &str, page: &Page<TicketId>) -> SelectStatement {
    seat::Entity::find()
        .select_only()
        .column(seat::Column::TicketId)
        .filter(seat::Column::EventId.eq(event_id))
        .filter(seat::Column::Section.eq(section))
        .filter(
            Condition::all()
                .add_option(page.after.map(|id| seat::Column::TicketId.gt(id)))
                .add_option(page.before.map(|id| seat::Column::TicketId.lt(id))),
        )
        .into_query()
}

/// The ids of the first so many tickets `among` those of an event that can be had now: from the index of available tickets,
/// which has those of a type in their order, and from that of held ones. Asked plainly, PostgreSQL walks the event's tickets
/// in their order, and when nearly all are sold that is all of them. SQLite, which has no LATERAL, is asked plainly.
fn first_available(
    event_id: EventId,
    among: &Condition,
    order: &Order,
    len: u64,
) -> SelectStatement {
    let first = |which: Expr| {
        Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(which)
            .filter(among.clone())
            .order_by(Column::Id, order.clone())
            .limit(len)
            .into_query()
    };
    let of_type = Expr::cust(
        "tickets.event_id = ticket_types.event_id AND tickets.ticket_type_id = ticket_types.id
            AND tickets.status = 'AVAILABLE'",
    );
    let clock = clock(DbBackend::Postgres);
    let over = Expr::cust(format!(
        "tickets.status = 'HELD' AND tickets.held_until <= {clock}"
    ));
    let mut either = Query::select()
        .column(("of_type", Column::Id))
        .from(ticket_type::Entity)
        .join_lateral(
            JoinType::InnerJoin,
            first(of_type),
            "of_type",
            Expr::cust("TRUE"),
        )
        .and_where(Expr::col((ticket_type::Entity, ticket_type::Column::EventId)).eq(event_id))
        .to_owned();
    either.union(UnionType::All, first(over));
    Query::select()
        .column(("either", Column::Id))
        .from_subquery(either, "either")
        .order_by(("either", Column::Id), order.clone())
        .limit(len)
        .to_owned()
}

/// A ticket as it is read.
#[derive(FromQueryResult)]
pub(super) struct Row {
    event_id: EventId,
    id: TicketId,
    ticket_type_id: TicketTypeId,
    status: Status,
    held_until: Option<DateTime<Utc>>,
    block_reason: Option<String>,
    section: Option<String>,
    row_label: Option<String>,
    seat_label: Option<String>,
    row_index: Option<i32>,
    seat_index: Option<i32>,
    is_accessible: bool,
}

impl Row {
    /// Where the seat stands in its section: row and place in the row. None for general admission.
    pub(super) fn place(&self) -> Option<(&str, i32, i32)> {
        Some((self.section.as_deref()?, self.row_index?, self.seat_index?))
    }

    pub(super) fn into_ticket(self) -> Ticket {
        let seat = match (self.section, self.row_label, self.seat_label) {
            (Some(section), Some(row), Some(seat)) => Some(Seat { section, row, seat }),
            // The database holds all three or none.
            _ => None,
        };
        Ticket {
            event_id: self.event_id,
            id: self.id,
            ticket_type_id: self.ticket_type_id,
            status: self.status,
            // By the status, which the same statement has read: the clock is not asked twice.
            held_until: self.held_until.filter(|_| self.status == Status::Held),
            block_reason: self.block_reason.filter(|_| self.status == Status::Blocked),
            seat,
            is_accessible: self.is_accessible,
        }
    }
}
