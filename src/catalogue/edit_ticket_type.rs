//! Creating and changing ticket types.

use std::sync::Arc;

use iso_currency::Currency;
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};

use super::{Answer, Refusal, phrases::begin, refused, rules, to_its_end};
use crate::{
    auth::Grant,
    entity::{
        event,
        ticket_import::EVENT_IS_SHOWN,
        ticket_type::{ActiveModel, Admission, Column, Entity, Model},
    },
    fault::{Fault, Step},
    ids::{EventId, TicketTypeId},
    organizers::allowed_ids,
    store::Store,
    time,
};

/// An event shows all of its ticket types at once, in one list.
pub const TICKET_TYPES_PER_EVENT_MAX: u64 = 100;

/// A ticket type to be created.
#[derive(Clone, Debug)]
pub struct NewTicketType {
    pub name: String,
    pub admission: Admission,
    /// A decimal amount in the event's currency.
    pub price: String,
    /// Where it stands in the event's list; none puts it last.
    pub position: Option<i32>,
}

/// A change of a ticket type: what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct TicketTypeChange {
    pub name: Option<String>,
    pub price: Option<String>,
    pub position: Option<i32>,
}

/// Why a ticket type is not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateTicketTypeCode {
    UnknownEvent,
    EventCancelled,
    NameTaken,
    InvalidName,
    InvalidPrice,
    InvalidPosition,
    TooManyTicketTypes,
}

/// Why a ticket type is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateTicketTypeCode {
    UnknownTicketType,
    EventCancelled,
    Stale,
    NameTaken,
    InvalidName,
    InvalidPrice,
    InvalidPosition,
}

/// Creates a ticket type without tickets.
pub async fn create_ticket_type(
    store: &Arc<Store>,
    grant: &Grant,
    event_id: EventId,
    new: NewTicketType,
) -> Answer<Model, CreateTicketTypeCode> {
    use CreateTicketTypeCode as Code;
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let tx = begin(&store).await?;
        let Some(event) = lock_own_event(&tx, &grant, event_id).await? else {
            return refused(Refusal::unknown_event(Code::UnknownEvent));
        };
        if event.status == event::Status::Cancelled {
            return refused(Refusal::event_cancelled(Code::EventCancelled));
        }
        let price_minor = match judge(
            Some(&new.name),
            Some(&new.price),
            new.position,
            currency_of(&event),
        ) {
            Ok(price_minor) => price_minor.expect("a price was given"),
            Err(refusals) => return Ok(Err(refusals)),
        };
        let siblings = Entity::find()
            .filter(Column::EventId.eq(event_id))
            .count(&tx)
            .await
            .step("counting an event's ticket types")?;
        if siblings >= TICKET_TYPES_PER_EVENT_MAX {
            return refused(Refusal::new(
                Code::TooManyTicketTypes,
                format!("an event has at most {TICKET_TYPES_PER_EVENT_MAX} ticket types"),
            ));
        }
        let now = time::now();
        let last = i32::try_from(siblings).expect("bounded by the limit above");
        let inserted = ActiveModel {
            event_id: Set(event_id),
            id: Set(TicketTypeId::mint()),
            name: Set(new.name),
            admission: Set(new.admission),
            price_minor: Set(price_minor),
            position: Set(new.position.unwrap_or(last)),
            version: Set(1),
            created_at: Set(now),
            updated_at: Set(now),
        }
        .insert(&tx)
        .await
        .step("creating a ticket type");
        match inserted {
            Ok(ticket_type) => {
                tx.commit().await.step("creating a ticket type")?;
                Ok(Ok(ticket_type))
            }
            Err(fault) if is_name_taken(&fault) => refused(name_taken(Code::NameTaken)),
            Err(fault) => Err(fault),
        }
    })
    .await
}

/// Changes a ticket type that is still as it was at `version`. What is sold already keeps its price.
pub async fn update_ticket_type(
    store: &Arc<Store>,
    grant: &Grant,
    (event_id, id): (EventId, TicketTypeId),
    version: i64,
    change: TicketTypeChange,
) -> Answer<Model, UpdateTicketTypeCode> {
    use UpdateTicketTypeCode as Code;
    let grant = grant.clone();
    to_its_end(store, async move |store| {
        let Some((ticket_type, event)) = own_ticket_type(&store, &grant, event_id, id).await?
        else {
            return refused(Refusal::unknown_ticket_type(Code::UnknownTicketType));
        };
        if event.status == event::Status::Cancelled {
            return refused(Refusal::event_cancelled(Code::EventCancelled));
        }
        if ticket_type.version != version {
            return refused(stale());
        }
        let price_minor = match judge(
            change.name.as_deref(),
            change.price.as_deref(),
            change.position,
            currency_of(&event),
        ) {
            Ok(price_minor) => price_minor,
            Err(refusals) => {
                return Ok(Err(refusals
                    .into_iter()
                    .map(|refusal| refusal.with_code(CreateTicketTypeCode::of_update))
                    .collect()));
            }
        };
        let updated = Entity::update_many()
            .set(ActiveModel {
                name: Set(change.name.unwrap_or(ticket_type.name)),
                price_minor: Set(price_minor.unwrap_or(ticket_type.price_minor)),
                position: Set(change.position.unwrap_or(ticket_type.position)),
                version: Set(version + 1),
                updated_at: Set(time::now()),
                ..Default::default()
            })
            .filter(Column::EventId.eq(event_id))
            .filter(Column::Id.eq(id))
            // Whoever changed it since it was read has made this change stale.
            .filter(Column::Version.eq(version))
            .exec_with_returning(store.writer())
            .await
            .step("changing a ticket type");
        match updated {
            Ok(rows) => match rows.into_iter().next() {
                Some(ticket_type) => Ok(Ok(ticket_type)),
                None => refused(stale()),
            },
            Err(fault) if is_name_taken(&fault) => refused(name_taken(Code::NameTaken)),
            Err(fault) => Err(fault),
        }
    })
    .await
}

/// The organizer's own event, locked against every other write that adds to it.
///
/// `FOR NO KEY UPDATE`, because the stronger lock would stop every insert that refers to the event. A sale does not lock
/// the event at all. SQLite's transaction is the lock.
pub(super) async fn lock_own_event(
    tx: &impl ConnectionTrait,
    grant: &Grant,
    id: EventId,
) -> Result<Option<event::Model>, Fault> {
    let mut select = event::Entity::find_by_id(id)
        .filter(event::Column::OrganizerId.in_subquery(allowed_ids(grant)))
        .filter(Expr::cust(EVENT_IS_SHOWN));
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock(LockType::NoKeyUpdate);
    }
    select.one(tx).await.step("locking an organizer's event")
}

async fn own_ticket_type(
    store: &Store,
    grant: &Grant,
    event_id: EventId,
    id: TicketTypeId,
) -> Result<Option<(Model, event::Model)>, Fault> {
    let Some(event) = super::edit_event::own_event(store, grant, event_id).await? else {
        return Ok(None);
    };
    let ticket_type = Entity::find_by_id((event_id, id))
        .one(store.writer())
        .await
        .step("reading an organizer's ticket type")?;
    Ok(ticket_type.map(|ticket_type| (ticket_type, event)))
}

/// Everything that speaks against these values; otherwise the price in minor units.
fn judge(
    name: Option<&str>,
    price: Option<&str>,
    position: Option<i32>,
    currency: Currency,
) -> Result<Option<i64>, Vec<Refusal<CreateTicketTypeCode>>> {
    use CreateTicketTypeCode as Code;
    let name = name.map_or(Ok(()), |name| {
        rules::line("a name", name, rules::NAME_LEN_MAX)
    });
    let position = position.map_or(Ok(()), rules::position);
    let price_minor = price.map(|price| rules::price(price, currency)).transpose();
    let refusals: Vec<_> = [
        (Code::InvalidName, "name", name.err()),
        (Code::InvalidPosition, "position", position.err()),
        (Code::InvalidPrice, "price", price_minor.clone().err()),
    ]
    .into_iter()
    .filter_map(|(code, field, text)| text.map(|text| Refusal::at(code, field, text)))
    .collect();
    match price_minor {
        Ok(price_minor) if refusals.is_empty() => Ok(price_minor),
        Ok(_) | Err(_) => Err(refusals),
    }
}

impl CreateTicketTypeCode {
    fn of_update(self) -> UpdateTicketTypeCode {
        match self {
            Self::NameTaken => UpdateTicketTypeCode::NameTaken,
            Self::InvalidName => UpdateTicketTypeCode::InvalidName,
            Self::InvalidPrice => UpdateTicketTypeCode::InvalidPrice,
            Self::InvalidPosition => UpdateTicketTypeCode::InvalidPosition,
            Self::UnknownEvent | Self::EventCancelled | Self::TooManyTicketTypes => {
                unreachable!("values are judged here, not the event")
            }
        }
    }
}

fn currency_of(event: &event::Model) -> Currency {
    Currency::from_code(&event.currency).expect("an event is only stored with an ISO 4217 currency")
}

fn is_name_taken(fault: &Fault) -> bool {
    fault.is_unique_violation(
        "ticket_types_name",
        "ticket_types.event_id, ticket_types.name",
    )
}

fn name_taken<C>(code: C) -> Refusal<C> {
    Refusal::at(code, "name", "the event has a ticket type of this name")
}

fn stale() -> Refusal<UpdateTicketTypeCode> {
    Refusal::at(
        UpdateTicketTypeCode::Stale,
        "version",
        "the ticket type was changed meanwhile: read it again, and repeat the change if it still makes sense",
    )
}
