//! What PostgreSQL and SQLite say differently in any statement. Both texts of a thing stand side by side.

use sea_orm::{
    DbBackend, Value,
    sea_query::{Expr, IntoColumnRef},
};
use uuid::Uuid;

/// Whether a column of UUIDs is one of `ids`: one parameter however many they are, so that the statement's text is
/// always the same and its plan is kept.
pub fn is_one_of(
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
pub fn is_one_of_texts(backend: DbBackend, column: impl IntoColumnRef, texts: Vec<&str>) -> Expr {
    let sql = match backend {
        DbBackend::Postgres => "$1 = ANY($2)",
        _ => "? IN (SELECT value FROM json_each(?))",
    };
    Expr::cust_with_exprs(
        sql,
        [Expr::col(column), Expr::val(text_list(backend, texts))],
    )
}

/// Whether each of `texts` occurs in a column of text, character for character: unlike `LIKE` it knows no wildcards, and
/// on both databases no letter is another's capital.
pub fn has_each_of(backend: DbBackend, column: impl IntoColumnRef, texts: Vec<&str>) -> Expr {
    let sql = match backend {
        DbBackend::Postgres => {
            "NOT EXISTS (SELECT 1 FROM unnest($1) AS part WHERE strpos($2, part) = 0)"
        }
        _ => "NOT EXISTS (SELECT 1 FROM json_each(?) WHERE instr(?, value) = 0)",
    };
    Expr::cust_with_exprs(
        sql,
        [Expr::val(text_list(backend, texts)), Expr::col(column)],
    )
}

/// Many texts as one parameter.
fn text_list(backend: DbBackend, texts: Vec<&str>) -> Value {
    match backend {
        DbBackend::Postgres => {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            texts.into()
        }
        _ => serde_json::json!(texts).to_string().into(),
    }
}

/// Many UUIDs as one parameter.
pub fn uuid_list(backend: DbBackend, ids: impl IntoIterator<Item = Uuid>) -> Value {
    match backend {
        DbBackend::Postgres => ids.into_iter().collect::<Vec<_>>().into(),
        _ => {
            let hex: Vec<String> = ids.into_iter().map(|id| id.simple().to_string()).collect();
            serde_json::json!(hex).to_string().into()
        }
    }
}

/// The database's time when a statement runs, the same for all of its rows. Never `now()`, which on PostgreSQL is the time
/// at which the transaction began, before it waited. On SQLite it is text that compares with the stored instants, as fine
/// as its clock: a millisecond.
pub fn clock(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(SELECT clock_timestamp())",
        _ => "(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00')",
    }
}
