//! What PostgreSQL and SQLite say differently. Both texts of a thing stand side by side.

use sea_orm::{
    Condition, DatabaseTransaction, DbBackend, TransactionTrait, Value,
    sea_query::{Expr, IntoColumnRef},
    {SqliteTransactionMode, TransactionOptions},
};
use uuid::Uuid;

use crate::{
    fault::{Fault, Step},
    store::Store,
};

/// Whether a column of UUIDs is one of `ids`: one parameter however many they are, so that the statement's text is
/// always the same and its plan is kept.
pub(super) fn is_one_of(
    backend: DbBackend,
    column: impl IntoColumnRef,
    ids: impl IntoIterator<Item = Uuid>,
) -> Expr {
    let sql = match backend {
        DbBackend::Postgres => "$1 = ANY($2)",
        _ => "? IN (SELECT unhex(value) FROM json_each(?))",
    };
    Expr::cust_with_exprs(sql, [Expr::col(column), Expr::val(uuid_list(backend, ids))])
}

/// Whether a column of text is one of `texts`, in the same way.
pub(super) fn is_one_of_texts(
    backend: DbBackend,
    column: impl IntoColumnRef,
    texts: Vec<&str>,
) -> Expr {
    let (sql, list): (_, Value) = match backend {
        DbBackend::Postgres => {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            ("$1 = ANY($2)", texts.into())
        }
        _ => (
            "? IN (SELECT value FROM json_each(?))",
            serde_json::json!(texts).to_string().into(),
        ),
    };
    Expr::cust_with_exprs(sql, [Expr::col(column), Expr::val(list)])
}

/// Many UUIDs as one parameter.
pub(super) fn uuid_list(backend: DbBackend, ids: impl IntoIterator<Item = Uuid>) -> Value {
    match backend {
        DbBackend::Postgres => ids.into_iter().collect::<Vec<_>>().into(),
        _ => {
            let hex: Vec<String> = ids.into_iter().map(|id| id.simple().to_string()).collect();
            serde_json::json!(hex).to_string().into()
        }
    }
}

/// The database's time, read once per statement. On SQLite it is text that compares with the stored instants.
pub(super) fn database_now(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(SELECT clock_timestamp())",
        _ => "(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00')",
    }
}

/// The status that a ticket has for everybody who looks now: a hold that is over is no hold.
pub(super) fn effective_status(backend: DbBackend) -> String {
    let now = database_now(backend);
    format!("CASE WHEN status = 'HELD' AND held_until <= {now} THEN 'AVAILABLE' ELSE status END")
}

/// Leaves out the tickets of additions that are not finished. PostgreSQL adds in one transaction and has none.
pub(super) fn is_shown(backend: DbBackend) -> Condition {
    match backend {
        DbBackend::Postgres => Condition::all(),
        _ => Condition::all().add(Expr::cust(IS_SHOWN_SQLITE)),
    }
}

/// SQLite's own words of [`is_shown`].
pub(super) const IS_SHOWN_SQLITE: &str = "(import_id IS NULL OR NOT EXISTS (SELECT 1 FROM ticket_imports \
     WHERE ticket_imports.event_id = tickets.event_id AND ticket_imports.id = tickets.import_id))";

/// Begins a transaction that writes. SQLite takes its one lock at once: a transaction that begins by reading and then
/// writes would fail when another wrote in between.
pub(super) async fn begin(store: &Store) -> Result<DatabaseTransaction, Fault> {
    store
        .writer()
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: match store.backend() {
                DbBackend::Postgres => None,
                _ => Some(SqliteTransactionMode::Immediate),
            },
            ..TransactionOptions::default()
        })
        .await
        .step("beginning a transaction of the catalogue")
}
