//! What the database holds, asked without the server.

use std::{collections::HashSet, time::Duration};

use rowlock::{
    audit::{Audit, Which, audit},
    entity::{order, order_item, ticket},
    ids::TicketId,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, EntityTrait,
    PaginatorTrait, QueryFilter, QuerySelect, Statement, TransactionTrait,
    sea_query::{LockBehavior, LockType},
};

use super::{Database, Order, Outcome};

pub async fn orders_len(rows: &DatabaseConnection) -> u64 {
    order::Entity::find().count(rows).await.unwrap()
}

pub async fn active_items(rows: &DatabaseConnection) -> Vec<order_item::Model> {
    order_item::Entity::find()
        .filter(order_item::Column::Status.eq(order_item::Status::Active))
        .all(rows)
        .await
        .unwrap()
}

pub async fn sold_tickets_len(rows: &DatabaseConnection) -> u64 {
    ticket::Entity::find()
        .filter(ticket::Column::Status.eq(ticket::Status::Sold))
        .count(rows)
        .await
        .unwrap()
}

/// The id, in the database, of the only ticket with this seat label.
pub async fn ticket_of_seat(rows: &DatabaseConnection, seat: &str) -> TicketId {
    let tickets = ticket::Entity::find()
        .filter(ticket::Column::SeatLabel.eq(seat))
        .all(rows)
        .await
        .unwrap();
    assert_eq!(tickets.len(), 1, "one seat {seat}");
    tickets[0].id
}

/// The orders that buyers were told of.
pub fn orders(outcomes: &[Outcome]) -> Vec<&Order> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Sold(order) => Some(order),
            Outcome::Refused(_) | Outcome::Fault(_) => None,
        })
        .collect()
}

/// No audit of a test's database takes longer.
const AUDIT_MAX: Duration = Duration::from_secs(60);

/// What `rowlock audit` finds, made here.
pub async fn audited(database: &Database) -> Audit {
    let url = database.url().parse().unwrap();
    audit(&url, &Which::All, AUDIT_MAX).await.unwrap()
}

/// Nothing in the database contradicts the promise.
pub async fn assert_clean(database: &Database) {
    let audit = audited(database).await;
    assert!(audit.is_clean(), "{}", rowlock::audit::text(&audit));
}

/// The database holds exactly the sales that buyers were told of, no ticket twice, and its audit is clean.
pub async fn assert_conserved(database: &Database, outcomes: &[Outcome]) {
    let rows = database.look().await;
    let told = orders(outcomes);
    let told_orders: HashSet<&str> = told.iter().map(|order| order.id.as_str()).collect();
    let told_codes: HashSet<&str> = told
        .iter()
        .flat_map(|order| &order.items)
        .filter_map(|item| item.admission_code.as_deref())
        .collect();
    let items = active_items(&rows).await;
    let codes: HashSet<&str> = items
        .iter()
        .map(|item| item.admission_code.as_str())
        .collect();
    let tickets: HashSet<_> = items.iter().map(|item| item.ticket_id).collect();
    assert_eq!(
        codes, told_codes,
        "every sale was told, and nothing else was"
    );
    assert_eq!(orders_len(&rows).await, told_orders.len() as u64, "orders");
    assert_eq!(tickets.len(), items.len(), "no ticket has two owners");
    assert_eq!(
        sold_tickets_len(&rows).await,
        items.len() as u64,
        "a ticket is sold if it has an owner"
    );
    rows.close().await.unwrap();
    assert_clean(database).await;
}

/// Sets columns of all events, as in `hold_secs = 1`, by hand: where a test is not about the API that sets them.
pub async fn set_events(database: &Database, assignments: &str) {
    let rows = database.connect().await;
    rows.execute_unprepared(&format!("UPDATE events SET {assignments}"))
        .await
        .unwrap();
    rows.close().await.unwrap();
}

/// Puts the kept counts and the log of changes right after tickets were changed by hand.
pub async fn recount(rows: &DatabaseConnection) {
    let backend = rows.get_database_backend();
    for sql in [recounting(backend, "TRUE"), relogging(backend, "TRUE")] {
        rows.execute_unprepared(&sql).await.unwrap();
    }
}

/// Appends what the log of changes lacks, of the events of this condition; beside running servers too.
pub fn relogging(backend: DbBackend, which: &str) -> String {
    let (appended, number, id, id_text, changes, list, aggregate) = match backend {
        DbBackend::Postgres => (
            "ticket_changes_unnumbered (event_id, changes)",
            "",
            "CAST(change.value ->> 0 AS UUID)",
            "replace(id::text, '-', '')",
            "json_array_elements(log.changes::json) AS change (value)",
            "json_build_array",
            "json_agg",
        ),
        _ => (
            "ticket_changes (event_id, changes, version)",
            ", 1 + COALESCE(last_version, 0)",
            "unhex(change.value ->> 0)",
            "lower(hex(id))",
            "json_each(log.changes) AS change",
            "json_array",
            "json_group_array",
        ),
    };
    format!(
        "INSERT INTO {appended}
         SELECT event_id, {aggregate}({list}({id_text}, before, status, 'FOUND', NULL, NULL)){number} FROM (
             SELECT tickets.event_id, tickets.id, tickets.status, COALESCE(last.after, 'AVAILABLE') AS before,
                 (SELECT MAX(version) FROM ticket_changes AS log WHERE log.event_id = tickets.event_id) AS last_version
             FROM tickets LEFT JOIN (
                 SELECT log.event_id, {id} AS ticket_id, change.value ->> 2 AS after,
                     ROW_NUMBER() OVER (PARTITION BY log.event_id, change.value ->> 0
                         ORDER BY log.version DESC, log.id DESC) AS place
                 FROM (
                     SELECT event_id, version, 0 AS id, changes FROM ticket_changes
                     UNION ALL SELECT event_id, {}, id, changes FROM ticket_changes_unnumbered
                 ) AS log CROSS JOIN {changes}
             ) AS last ON last.event_id = tickets.event_id AND last.ticket_id = tickets.id AND last.place = 1
             WHERE tickets.event_id IN (SELECT event_id FROM tickets WHERE {which})
         ) AS missing WHERE status <> before GROUP BY event_id",
        i64::MAX
    )
}

/// Appends what the kept counts lack, of the events of this condition; beside running servers too.
pub fn recounting(backend: DbBackend, which: &str) -> String {
    let id = match backend {
        DbBackend::Postgres => "gen_random_uuid()",
        _ => "randomblob(16)",
    };
    let kept = |table: &str| {
        format!(
            "SELECT event_id, ticket_type_id, -available, -held, -sold, -blocked FROM {table} WHERE {which}"
        )
    };
    let (folded, deltas) = (kept("ticket_counts"), kept("ticket_count_deltas"));
    format!(
        "INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
         SELECT event_id, ticket_type_id, {id}, SUM(available), SUM(held), SUM(sold), SUM(blocked) FROM (
             SELECT event_id, ticket_type_id, COUNT(*) FILTER (WHERE status = 'AVAILABLE') AS available,
                 COUNT(*) FILTER (WHERE status = 'HELD') AS held, COUNT(*) FILTER (WHERE status = 'SOLD') AS sold,
                 COUNT(*) FILTER (WHERE status = 'BLOCKED') AS blocked
             FROM tickets WHERE {which} GROUP BY event_id, ticket_type_id
             UNION ALL {folded} UNION ALL {deltas}
         ) AS missing GROUP BY event_id, ticket_type_id"
    )
}

/// Locks the row of a seat, as a hand at the console or another program would, until the transaction is ended.
pub async fn lock_seat(rows: &DatabaseConnection, seat: &str) -> DatabaseTransaction {
    let ticket_id = ticket_of_seat(rows, seat).await;
    let tx = rows.begin().await.unwrap();
    let locked = ticket::Entity::find()
        .filter(ticket::Column::Id.eq(ticket_id))
        .lock_exclusive()
        .all(&tx)
        .await
        .unwrap();
    assert_eq!(locked.len(), 1);
    tx
}

/// Sessions of this PostgreSQL database that wait for somebody's lock.
pub async fn waiting_for_locks_len(rows: &DatabaseConnection) -> i64 {
    count(
        rows,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    .await
}

/// Sessions of this PostgreSQL database that have a sale under way and wait for their client.
pub async fn idle_sales_len(rows: &DatabaseConnection) -> i64 {
    count(
        rows,
        "SELECT count(*) FROM pg_stat_activity AS session WHERE datname = current_database()
             AND state = 'idle in transaction'
             AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = session.pid
                 AND relation = 'orders'::regclass AND mode = 'RowExclusiveLock')",
    )
    .await
}

/// Keeps everybody from writing orders, until the transaction is ended.
pub async fn lock_orders(rows: &DatabaseConnection) -> DatabaseTransaction {
    let tx = rows.begin().await.unwrap();
    tx.execute_unprepared("LOCK TABLE orders IN SHARE MODE")
        .await
        .unwrap();
    tx
}

/// The seats whose rows somebody has locked at this moment, among those that are not sold.
pub async fn locked_seats(rows: &DatabaseConnection) -> Vec<String> {
    let open =
        || ticket::Entity::find().filter(ticket::Column::Status.eq(ticket::Status::Available));
    let tx = rows.begin().await.unwrap();
    let free = open()
        .lock_with_behavior(LockType::Share, LockBehavior::SkipLocked)
        .all(&tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let free: HashSet<TicketId> = free.iter().map(|ticket| ticket.id).collect();
    let open = open().all(rows).await.unwrap();
    open.into_iter()
        .filter(|ticket| !free.contains(&ticket.id))
        .filter_map(|ticket| ticket.seat_label)
        .collect()
}

pub async fn count(rows: &impl ConnectionTrait, sql: &str) -> i64 {
    let row = rows
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await
        .unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Ends the connections that listen for what changes at other processes.
pub async fn end_listeners(rows: &DatabaseConnection) {
    let ended = count(
        rows,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND query ~ '^(LISTEN|SELECT pg_backend_pid|SELECT pg_notify)'",
    )
    .await;
    assert!(ended > 0, "somebody listens");
}
