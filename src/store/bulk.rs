//! Many rows in one statement of constant shape: arrays on PostgreSQL, one JSON text on SQLite.
//!
//! A multi-row `VALUES` would be a new statement for every number of rows, and be parsed, planned and cached anew.

use data_encoding::HEXLOWER;
use sea_orm::{
    DbBackend, Statement, Value,
    sea_query::{ArrayType, Expr},
};
use serde_json::json;
use uuid::Uuid;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Text,
    /// Text that may be null. No such column holds an empty text, which is what stands for null on the way to PostgreSQL:
    /// the driver's arrays have no nulls.
    TextOrNull,
    Integer,
    BigInt,
    Boolean,
    Time,
    Bytes,
}

impl Kind {
    fn postgres(self) -> (&'static str, ArrayType) {
        match self {
            Self::Uuid => ("uuid", ArrayType::Uuid),
            Self::Text | Self::TextOrNull => ("text", ArrayType::String),
            Self::Integer => ("int", ArrayType::Int),
            Self::BigInt => ("bigint", ArrayType::BigInt),
            Self::Boolean => ("boolean", ArrayType::Bool),
            Self::Time => ("timestamptz", ArrayType::ChronoDateTimeUtc),
            Self::Bytes => ("bytea", ArrayType::Bytes),
        }
    }

    /// How field `index` of a JSON array becomes a value of this kind.
    fn sqlite(self, index: usize) -> String {
        match self {
            Self::Uuid | Self::Bytes => format!("unhex(value ->> {index})"),
            Self::Text
            | Self::TextOrNull
            | Self::Integer
            | Self::BigInt
            | Self::Boolean
            | Self::Time => {
                format!("value ->> {index}")
            }
        }
    }
}

/// Inserts `rows`, each with a value for each of `columns`.
pub fn insert(
    backend: DbBackend,
    table: &str,
    columns: &[(&str, Kind)],
    rows: Vec<Vec<Value>>,
) -> Statement {
    let names = columns
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ");
    let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
    let (source, values) = rows_source(backend, &kinds, rows);
    Statement::from_sql_and_values(
        backend,
        format!("INSERT INTO {table} ({names}) {source}"),
        values,
    )
}

/// The condition that the pair of columns is one of `pairs`.
pub fn is_one_of_pairs(
    backend: DbBackend,
    columns: (&str, &str),
    pairs: impl IntoIterator<Item = (Uuid, Uuid)>,
) -> Expr {
    let rows = pairs
        .into_iter()
        .map(|(a, b)| vec![a.into(), b.into()])
        .collect();
    let (source, values) = rows_source(backend, &[Kind::Uuid, Kind::Uuid], rows);
    let (first, second) = columns;
    Expr::cust_with_values(format!("({first}, {second}) IN ({source})"), values)
}

/// A subquery that yields `rows`, and the parameters it needs.
pub fn rows_source(
    backend: DbBackend,
    kinds: &[Kind],
    rows: Vec<Vec<Value>>,
) -> (String, Vec<Value>) {
    match backend {
        DbBackend::Postgres => {
            let numbers = 1..=kinds.len();
            let arguments: Vec<String> = numbers
                .clone()
                .zip(kinds)
                .map(|(n, kind)| format!("${n}::{}[]", kind.postgres().0))
                .collect();
            let names: Vec<String> = numbers.clone().map(|n| format!("c{n}")).collect();
            let fields: Vec<String> = numbers
                .zip(kinds)
                .map(|(n, kind)| match kind {
                    Kind::TextOrNull => format!("NULLIF(c{n}, '')"),
                    _ => format!("c{n}"),
                })
                .collect();
            let mut arrays: Vec<Vec<Value>> = kinds
                .iter()
                .map(|_| Vec::with_capacity(rows.len()))
                .collect();
            for row in rows {
                debug_assert_eq!(
                    row.len(),
                    kinds.len(),
                    "every row has a value for each column"
                );
                for (array, value) in arrays.iter_mut().zip(row) {
                    array.push(without_null(value));
                }
            }
            let values = arrays
                .into_iter()
                .zip(kinds)
                .map(|(array, kind)| Value::Array(kind.postgres().1, Some(Box::new(array))))
                .collect();
            (
                format!(
                    "SELECT {} FROM unnest({}) AS source ({})",
                    fields.join(", "),
                    arguments.join(", "),
                    names.join(", ")
                ),
                values,
            )
        }
        _ => {
            let fields: Vec<String> = (0..).zip(kinds).map(|(i, kind)| kind.sqlite(i)).collect();
            let rows: Vec<serde_json::Value> = rows
                .iter()
                .map(|row| row.iter().map(to_json).collect())
                .collect();
            (
                format!("SELECT {} FROM json_each(?)", fields.join(", ")),
                vec![serde_json::Value::Array(rows).to_string().into()],
            )
        }
    }
}

/// An empty text for a null, see [`Kind::TextOrNull`].
fn without_null(value: Value) -> Value {
    match value {
        Value::String(None) => Value::String(Some(String::new())),
        other => other,
    }
}

/// A value as SQLite's JSON functions give it back, in the form in which sqlx writes that type.
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Uuid(Some(uuid)) => json!(uuid.simple().to_string()),
        Value::Bytes(Some(bytes)) => json!(HEXLOWER.encode(bytes)),
        Value::String(Some(text)) => json!(text),
        Value::Int(Some(number)) => json!(number),
        Value::BigInt(Some(number)) => json!(number),
        Value::Bool(Some(flag)) => json!(i32::from(*flag)),
        Value::ChronoDateTimeUtc(Some(time)) => {
            json!(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false))
        }
        // What is left are the nulls of these types; no other type is a `Kind`.
        _ => serde_json::Value::Null,
    }
}
