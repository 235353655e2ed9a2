//! The statements of [`super::bulk`]: arrays on PostgreSQL, `json_each` on SQLite, so that a statement's text does not
//! depend on how many tickets it writes.
//!
//! A new ticket is `AVAILABLE`; no statement here changes the status of one that is there. What is added, removed, hidden
//! or shown is appended to the counts of tickets in the same transaction: hidden tickets are not counted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, Value};

use super::seats::PlacedSeat;
use crate::{
    counts::Deltas,
    entity::{ticket::Status, ticket_import::IS_SHOWN_SQLITE},
    fault::{Fault, Step},
    ids::{EventId, ImportId, TicketId, TicketTypeId},
    store::{
        Store,
        dialect::{clock, uuid_list},
    },
};

/// PostgreSQL's `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Whether somebody else kept a lock for longer than the session waits.
pub(super) fn is_lock_timeout(fault: &Fault) -> bool {
    fault.database_code().as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// Adds a ticket for each seat.
pub(super) async fn insert_seats(
    tx: &DatabaseTransaction,
    (event_id, ticket_type_id): (EventId, TicketTypeId),
    import: Option<ImportId>,
    seats: &[(TicketId, PlacedSeat)],
) -> Result<(), Fault> {
    let (sql, lists) = match tx.get_database_backend() {
        DbBackend::Postgres => (
            "INSERT INTO tickets (event_id, ticket_type_id, import_id, status, id, section, row_label, seat_label,
                row_index, seat_index, is_accessible)
            SELECT $1, $2, $3, 'AVAILABLE', seat.*
            FROM unnest($4, $5, $6, $7, $8, $9, $10) AS seat",
            seat_arrays(seats),
        ),
        _ => (
            "INSERT INTO tickets (event_id, ticket_type_id, import_id, status, id, section, row_label, seat_label,
                row_index, seat_index, is_accessible)
            SELECT $1, $2, $3, 'AVAILABLE', unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                value ->> 5, value ->> 6
            FROM json_each($4)",
            vec![seats_json(seats)],
        ),
    };
    let keys = [
        event_id.0.into(),
        ticket_type_id.0.into(),
        import.map(|id| id.0).into(),
    ];
    let len = run(tx, sql, keys.into_iter().chain(lists), "adding seats").await?;
    count_added(tx, (event_id, ticket_type_id), import, len).await
}

/// Counts tickets that were added, unless they are hidden.
async fn count_added(
    tx: &DatabaseTransaction,
    key: (EventId, TicketTypeId),
    import: Option<ImportId>,
    len: usize,
) -> Result<(), Fault> {
    let mut deltas = Deltas::default();
    if import.is_none() {
        deltas.add(
            key,
            Status::Available,
            i64::try_from(len).unwrap_or(i64::MAX),
        );
    }
    append(tx, &deltas).await
}

/// Appends what changes in the counts of tickets.
pub(super) async fn append(tx: &DatabaseTransaction, deltas: &Deltas) -> Result<(), Fault> {
    if deltas.is_empty() {
        return Ok(());
    }
    let statement = deltas.append(tx.get_database_backend());
    let step = "appending to the counts of tickets";
    tx.execute_raw(statement).await.step(step)?;
    Ok(())
}

fn seat_arrays(seats: &[(TicketId, PlacedSeat)]) -> Vec<Value> {
    fn array<T>(seats: &[(TicketId, PlacedSeat)], of: impl Fn(&PlacedSeat) -> T) -> Value
    where
        Vec<T>: Into<Value>,
    {
        seats
            .iter()
            .map(|(_, seat)| of(seat))
            .collect::<Vec<_>>()
            .into()
    }
    vec![
        seats.iter().map(|(id, _)| id.0).collect::<Vec<_>>().into(),
        array(seats, |seat| seat.section.clone()),
        array(seats, |seat| seat.row.clone()),
        array(seats, |seat| seat.seat.clone()),
        array(seats, |seat| seat.row_index),
        array(seats, |seat| seat.seat_index),
        array(seats, |seat| seat.is_accessible),
    ]
}

fn seats_json(seats: &[(TicketId, PlacedSeat)]) -> Value {
    let rows: Vec<_> = seats
        .iter()
        .map(|(id, seat)| {
            (
                id.0.simple().to_string(),
                &seat.section,
                &seat.row,
                &seat.seat,
                seat.row_index,
                seat.seat_index,
                seat.is_accessible,
            )
        })
        .collect();
    serde_json::json!(rows).to_string().into()
}

/// Adds a ticket without a seat for each id.
pub(super) async fn insert_places(
    tx: &DatabaseTransaction,
    (event_id, ticket_type_id): (EventId, TicketTypeId),
    import: Option<ImportId>,
    ids: &[TicketId],
) -> Result<(), Fault> {
    let backend = tx.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "INSERT INTO tickets (event_id, ticket_type_id, import_id, status, id, is_accessible)
            SELECT $1, $2, $3, 'AVAILABLE', place.id, FALSE FROM unnest($4) AS place (id)"
        }
        _ => {
            "INSERT INTO tickets (event_id, ticket_type_id, import_id, status, id, is_accessible)
            SELECT $1, $2, $3, 'AVAILABLE', unhex(value), FALSE FROM json_each($4)"
        }
    };
    let values = [
        event_id.0.into(),
        ticket_type_id.0.into(),
        import.map(|id| id.0).into(),
        uuid_list(backend, ids.iter().map(|id| id.0)),
    ];
    let len = run(tx, sql, values, "adding places").await?;
    count_added(tx, (event_id, ticket_type_id), import, len).await
}

/// Free tickets of the type, the newest first, at most `len`: not sold, held or blocked, and never in an order.
/// PostgreSQL locks them and passes over those that a sale has locked.
pub(super) async fn free_of_type(
    db: &impl ConnectionTrait,
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    len: i64,
) -> Result<Vec<TicketId>, Fault> {
    let backend = db.get_database_backend();
    let is_free = is_available(backend);
    let (shown, lock) = match backend {
        DbBackend::Postgres => ("TRUE", "FOR UPDATE OF tickets SKIP LOCKED"),
        _ => (IS_SHOWN_SQLITE, ""),
    };
    let sql = format!(
        "SELECT id FROM tickets
        WHERE event_id = $1 AND ticket_type_id = $2 AND {is_free} AND {shown}
            AND {NEVER_ORDERED}
        ORDER BY id DESC LIMIT $3 {lock}"
    );
    ids(
        db,
        &sql,
        [event_id.0.into(), ticket_type_id.0.into(), len.into()],
        "choosing tickets to remove",
    )
    .await
}

/// What is known of a ticket that is to be removed.
pub(super) struct Candidate {
    pub id: TicketId,
    /// Available or blocked.
    pub is_unsold: bool,
    pub was_ordered: bool,
}

/// The tickets with these ids. PostgreSQL locks them first, in the order of their ids, as every sale does.
pub(super) async fn candidates(
    db: &impl ConnectionTrait,
    event_id: EventId,
    wanted: &[TicketId],
) -> Result<Vec<Candidate>, Fault> {
    let backend = db.get_database_backend();
    let list = || uuid_list(backend, wanted.iter().map(|id| id.0));
    let is_free = is_removable(backend);
    let (in_list, shown) = match backend {
        DbBackend::Postgres => {
            let lock = "SELECT id FROM tickets WHERE event_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE";
            ids(
                db,
                lock,
                [event_id.0.into(), list()],
                "locking tickets to remove",
            )
            .await?;
            ("= ANY($2)", "TRUE")
        }
        _ => (
            "IN (SELECT unhex(value) FROM json_each($2))",
            IS_SHOWN_SQLITE,
        ),
    };
    let sql = format!(
        "SELECT id, {is_free} AS is_unsold,
            NOT {NEVER_ORDERED} AS was_ordered
        FROM tickets WHERE event_id = $1 AND id {in_list} AND {shown}"
    );
    let statement = Statement::from_sql_and_values(backend, sql, [event_id.0.into(), list()]);
    let rows = db
        .query_all_raw(statement)
        .await
        .step("reading tickets to remove")?;
    rows.into_iter()
        .map(|row| {
            Ok(Candidate {
                id: row.try_get("", "id")?,
                is_unsold: row.try_get("", "is_unsold")?,
                was_ordered: row.try_get("", "was_ordered")?,
            })
        })
        .collect::<Result<_, _>>()
        .step("reading tickets to remove")
}

/// Hides those of the tickets that are still unsold and unheld, under an import that is listed. SQLite only.
pub(super) async fn hide(
    tx: &DatabaseTransaction,
    event_id: EventId,
    import: ImportId,
    ids: &[TicketId],
) -> Result<usize, Fault> {
    let backend = tx.get_database_backend();
    let is_free = is_removable(backend);
    let sql = format!(
        "UPDATE tickets SET import_id = $2
        WHERE event_id = $1 AND id IN (SELECT unhex(value) FROM json_each($3)) AND {is_free}
        RETURNING ticket_type_id, status, 1 AS len"
    );
    let list = uuid_list(backend, ids.iter().map(|id| id.0));
    let values = [event_id.0.into(), import.0.into(), list];
    let hidden = counted(tx, &sql, values, "hiding tickets").await?;
    let mut deltas = Deltas::default();
    for row in &hidden {
        deltas.add((event_id, row.ticket_type_id), row.status, -row.len);
    }
    append(tx, &deltas).await?;
    Ok(hidden.len())
}

/// What is to be appended when the tickets that an import hides are shown. Hidden, they keep their status, so that this
/// can be counted beside the writer. SQLite only.
pub(super) async fn deltas_of_hidden(
    store: &Store,
    event_id: EventId,
    import: ImportId,
) -> Result<Deltas, Fault> {
    let rows = counted(
        // A reader's snapshot begins after the last chunk was committed.
        store.reader(),
        "SELECT ticket_type_id, status, COUNT(*) AS len FROM tickets
        WHERE event_id = $1 AND import_id = $2 GROUP BY ticket_type_id, status",
        [event_id.0.into(), import.0.into()],
        "counting hidden tickets",
    )
    .await?;
    let mut deltas = Deltas::default();
    for row in rows {
        deltas.add((event_id, row.ticket_type_id), row.status, row.len);
    }
    Ok(deltas)
}

/// So many tickets of a type and a status.
#[derive(FromQueryResult)]
struct Counted {
    ticket_type_id: TicketTypeId,
    status: Status,
    len: i64,
}

async fn counted(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
    step: &'static str,
) -> Result<Vec<Counted>, Fault> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await.step(step)?;
    rows.iter()
        .map(|row| Counted::from_query_result(row, ""))
        .collect::<Result<_, _>>()
        .step(step)
}

/// Tickets that an import hides and that can be removed, at most `len`. SQLite only.
pub(super) async fn hidden(
    store: &Store,
    event_id: EventId,
    import: ImportId,
    len: u64,
) -> Result<Vec<TicketId>, Fault> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    ids(
        // What the last chunk has committed must be seen; a reader's snapshot begins after it.
        store.reader(),
        &format!("SELECT id FROM tickets WHERE event_id = $1 AND import_id = $2 AND {NEVER_ORDERED} LIMIT $3"),
        [event_id.0.into(), import.0.into(), len.into()],
        "looking for hidden tickets",
    )
    .await
}

/// Removes those of the tickets that nobody has and nobody ever had. The transaction has locked them. PostgreSQL only.
pub(super) async fn delete(
    tx: &DatabaseTransaction,
    event_id: EventId,
    ids: &[TicketId],
) -> Result<usize, Fault> {
    let is_free = is_removable(DbBackend::Postgres);
    // Joined, not `= ANY`: with an array of thousands and no statistics yet, the planner would compare every ticket of
    // the event with every element. The counts are appended in the same statement, since the rows may be many.
    let sql = format!(
        "WITH gone AS (
            DELETE FROM tickets WHERE event_id = $1 AND id IN (SELECT unnest($2)) AND {is_free} AND {NEVER_ORDERED}
            RETURNING ticket_type_id, status
        ), appended AS (
            INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
            SELECT $1, ticket_type_id, gen_random_uuid(),
                -COUNT(*) FILTER (WHERE status = 'AVAILABLE'), -COUNT(*) FILTER (WHERE status = 'HELD'),
                -COUNT(*) FILTER (WHERE status = 'SOLD'), -COUNT(*) FILTER (WHERE status = 'BLOCKED')
            FROM gone GROUP BY ticket_type_id
        )
        SELECT COUNT(*) FROM gone"
    );
    let list = uuid_list(DbBackend::Postgres, ids.iter().map(|id| id.0));
    let step = "removing tickets";
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, sql, [event_id.0.into(), list]);
    let row = tx.query_one_raw(statement).await.step(step)?;
    let len: i64 = row
        .expect("a COUNT answers one row")
        .try_get_by_index(0)
        .step(step)?;
    Ok(usize::try_from(len).unwrap_or(usize::MAX))
}

/// Removes those of the tickets that the import hides and nobody ever had. Hidden, they are not counted. SQLite only.
pub(super) async fn delete_hidden(
    tx: &DatabaseTransaction,
    event_id: EventId,
    import: ImportId,
    ids: &[TicketId],
) -> Result<(), Fault> {
    let backend = tx.get_database_backend();
    let is_free = is_removable(backend);
    // Found again here, since what is hidden cannot have been sold after it was.
    let sql = format!(
        "DELETE FROM tickets WHERE event_id = $1 AND id IN (SELECT unhex(value) FROM json_each($2)) AND import_id = $3
             AND {is_free} AND {NEVER_ORDERED}"
    );
    let list = uuid_list(backend, ids.iter().map(|id| id.0));
    let values = [event_id.0.into(), list, import.0.into()];
    run(tx, &sql, values, "removing tickets").await?;
    Ok(())
}

/// No order has ever referred to the ticket. Each status by itself, for the index that has the items of that status.
const NEVER_ORDERED: &str = "(NOT EXISTS (SELECT 1 FROM order_items WHERE order_items.event_id = tickets.event_id \
         AND order_items.ticket_id = tickets.id AND order_items.status = 'ACTIVE') \
     AND NOT EXISTS (SELECT 1 FROM order_items WHERE order_items.event_id = tickets.event_id \
         AND order_items.ticket_id = tickets.id AND order_items.status = 'CANCELLED'))";

/// Removes what is counted of an event whose ticket types are gone.
pub(super) async fn forget_counts(
    tx: &DatabaseTransaction,
    event_id: EventId,
) -> Result<(), Fault> {
    for table in ["ticket_counts", "ticket_count_deltas"] {
        let sql = format!("DELETE FROM {table} WHERE event_id = $1");
        run(
            tx,
            &sql,
            [event_id.0.into()],
            "removing the counts of tickets",
        )
        .await?;
    }
    Ok(())
}

/// Can be bought now.
fn is_available(backend: DbBackend) -> String {
    let now = clock(backend);
    format!("(status = 'AVAILABLE' OR (status = 'HELD' AND held_until <= {now}))")
}

/// Nobody has it: what staff withhold from sale may be removed as well.
fn is_removable(backend: DbBackend) -> String {
    let now = clock(backend);
    format!("(status IN ('AVAILABLE', 'BLOCKED') OR (status = 'HELD' AND held_until <= {now}))")
}

async fn run(
    tx: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
    step: &'static str,
) -> Result<usize, Fault> {
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let done = tx.execute_raw(statement).await.step(step)?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

async fn ids(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
    step: &'static str,
) -> Result<Vec<TicketId>, Fault> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await.step(step)?;
    rows.into_iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()
        .step(step)
}
