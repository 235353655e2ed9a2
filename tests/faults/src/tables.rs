//! What the database holds of an event when all is over.

use std::collections::HashMap;

use rowlock::{
    entity::{customer, hold, idempotency_key, order, order_item, ticket},
    ids::{CustomerId, EventId, HoldId, OrderId, TicketId},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, Statement,
};
use uuid::Uuid;

use crate::history::{CustomerNo, Micros};

/// An event's rows, and when they were read.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub read_at: Micros,
    pub tickets: HashMap<TicketId, TicketRow>,
    pub orders: HashMap<OrderId, OrderRow>,
    pub holds: HashMap<HoldId, HoldRow>,
    /// What each customer's keys are bound to.
    pub keys: HashMap<(CustomerNo, String), Uuid>,
    /// What changed of which ticket, oldest first.
    pub log: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRow {
    pub status: ticket::Status,
    pub hold: Option<HoldId>,
    pub held_until: Option<Micros>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub customer: CustomerNo,
    pub placed_at: Micros,
    pub items: Vec<ItemRow>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRow {
    pub ticket: TicketId,
    pub is_active: bool,
    pub code: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldRow {
    pub customer: CustomerNo,
    pub until: Micros,
    pub order: Option<OrderId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub ticket: TicketId,
    pub from: ticket::Status,
    pub to: ticket::Status,
    pub hold: Option<HoldId>,
}

/// What the history's customers are called by their tokens.
pub fn subject_of(customer: CustomerNo) -> String {
    format!("customer {}", customer.0)
}

fn customer_of(subject: &str) -> Option<CustomerNo> {
    let number = subject.strip_prefix("customer ")?;
    number.parse().ok().map(CustomerNo)
}

/// Reads an event's rows. Nothing may write meanwhile.
///
/// # Errors
/// When the database cannot be read.
pub async fn read(
    db: &DatabaseConnection,
    event: EventId,
    read_at: Micros,
) -> Result<Tables, DbErr> {
    let customers: HashMap<CustomerId, CustomerNo> = customer::Entity::find()
        .all(db)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.id, customer_of(&row.subject)?)))
        .collect();
    // Whoever is not of the history's customers is somebody else than any of them.
    let number = |id: CustomerId| customers.get(&id).copied().unwrap_or(NOBODY);
    let tickets = ticket::Entity::find().filter(ticket::Column::EventId.eq(event));
    let orders = order::Entity::find().filter(order::Column::EventId.eq(event));
    let items = order_item::Entity::find().filter(order_item::Column::EventId.eq(event));
    let holds = hold::Entity::find().filter(hold::Column::EventId.eq(event));
    let keys = idempotency_key::Entity::find().filter(idempotency_key::Column::EventId.eq(event));

    let mut items_of: HashMap<OrderId, Vec<ItemRow>> = HashMap::new();
    for row in items.all(db).await? {
        items_of.entry(row.order_id).or_default().push(ItemRow {
            ticket: row.ticket_id,
            is_active: row.status == order_item::Status::Active,
            code: row.admission_code,
        });
    }
    Ok(Tables {
        read_at,
        tickets: tickets
            .all(db)
            .await?
            .into_iter()
            .map(|row| {
                let ticket = TicketRow {
                    status: row.status,
                    hold: row.hold_id,
                    held_until: row.held_until.map(|until| until.timestamp_micros()),
                };
                (row.id, ticket)
            })
            .collect(),
        orders: orders
            .all(db)
            .await?
            .into_iter()
            .map(|row| {
                let order = OrderRow {
                    customer: number(row.customer_id),
                    placed_at: row.placed_at.timestamp_micros(),
                    items: items_of.remove(&row.id).unwrap_or_default(),
                };
                (row.id, order)
            })
            .collect(),
        holds: holds
            .all(db)
            .await?
            .into_iter()
            .map(|row| {
                let hold = HoldRow {
                    customer: number(row.customer_id),
                    until: row.held_until.timestamp_micros(),
                    order: row.order_id,
                };
                (row.id, hold)
            })
            .collect(),
        keys: keys
            .all(db)
            .await?
            .into_iter()
            .map(|row| ((number(row.customer_id), row.key), row.result_id))
            .collect(),
        log: read_log(db, event).await?,
    })
}

/// A customer that no history has.
const NOBODY: CustomerNo = CustomerNo(usize::MAX);

/// As `[ticket, from, to, cause, order, hold]`, see `migration/src/m0011_changes.rs`: read here without the server's own code.
type LoggedChange = (Uuid, String, String, String, Option<Uuid>, Option<Uuid>);

async fn read_log(db: &DatabaseConnection, event: EventId) -> Result<Vec<Change>, DbErr> {
    use sea_orm::ActiveEnum;

    let backend = db.get_database_backend();
    let place = match backend {
        sea_orm::DbBackend::Postgres => "$1",
        _ => "?",
    };
    let sql = format!(
        "SELECT changes FROM (
             SELECT event_id, version, 0 AS id, changes FROM ticket_changes
             UNION ALL SELECT event_id, {}, id, changes FROM ticket_changes_unnumbered
         ) AS log WHERE event_id = {place} ORDER BY version, id",
        i64::MAX
    );
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(backend, sql, [event.into()]))
        .await?;
    let mut log = Vec::new();
    for row in rows {
        let text: String = row.try_get_by_index(0)?;
        let changes: Vec<LoggedChange> =
            serde_json::from_str(&text).map_err(|error| DbErr::Type(error.to_string()))?;
        for (ticket, from, to, _cause, _order, hold) in changes {
            log.push(Change {
                ticket: TicketId(ticket),
                from: ticket::Status::try_from_value(&from)?,
                to: ticket::Status::try_from_value(&to)?,
                hold: hold.map(HoldId),
            });
        }
    }
    Ok(log)
}
