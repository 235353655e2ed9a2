//! Several statements in one round trip, for PostgreSQL: each is time in which a batch holds its locks.

use sea_orm::{DbBackend, FromQueryResult, Statement, Value, Values};

/// A statement that reads, and its columns in their order, of which the first is never null.
pub struct Read {
    pub statement: Statement,
    pub columns: &'static str,
}

/// Several reads as one. A row is of the read that its [`PART`] says, with that read's columns behind [`prefix`]. All of
/// them see what was committed before the first, and none may need what another locks.
pub fn together(reads: Vec<Read>) -> Statement {
    let mut values: Vec<Value> = Vec::new();
    let (mut tables, mut parts) = (Vec::new(), Vec::new());
    for (n, Read { statement, columns }) in reads.into_iter().enumerate() {
        let sql = renumbered(&statement.sql, values.len());
        let prefix = prefix(n);
        let names: Vec<String> = columns
            .split(',')
            .map(|name| format!("{prefix}{}", name.trim()))
            .collect();
        parts.push(format!("WHEN {} IS NOT NULL THEN {n}", names[0]));
        tables.push(format!("({sql}) AS read{n} ({})", names.join(", ")));
        values.extend(
            statement
                .values
                .into_iter()
                .flat_map(|Values(values)| values),
        );
    }
    let sql = format!(
        "SELECT CASE {} END AS {PART}, * FROM {}",
        parts.join(" "),
        // Every row of each, beside nulls for the others' columns.
        join_all(&tables)
    );
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn join_all(tables: &[String]) -> String {
    let mut joined = tables.join(" FULL JOIN ");
    joined.push_str(&" ON FALSE".repeat(tables.len().saturating_sub(1)));
    joined
}

/// The column that says which read a row is of.
pub const PART: &str = "part";

/// What the names of a read's columns begin with.
pub fn prefix(part: usize) -> String {
    format!("read{part}_")
}

/// Several writes as one statement: each works on the database as it was before all of them, so that no two may touch the
/// same row. It answers with one [`TouchedRow`].
pub fn at_once(writes: Vec<Statement>) -> Statement {
    let mut values: Vec<Value> = Vec::new();
    let (mut parts, mut counts) = (Vec::new(), Vec::new());
    for (n, write) in writes.into_iter().enumerate() {
        let sql = renumbered(&write.sql, values.len());
        parts.push(format!("w{n} AS ({sql} RETURNING 1)"));
        counts.push(format!("(SELECT count(*) FROM w{n})"));
        values.extend(write.values.into_iter().flat_map(|Values(values)| values));
    }
    let sql = format!(
        "WITH {} SELECT ARRAY[{}] AS touched",
        parts.join(", "),
        counts.join(", ")
    );
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// How many rows each write touched, in the order in which they were given.
#[derive(FromQueryResult)]
pub struct TouchedRow {
    pub touched: Vec<i64>,
}

/// The statement with its parameters counted from after `offset`. Our statements have a `$` for nothing else.
fn renumbered(sql: &str, offset: usize) -> String {
    let mut pieces = sql.split('$');
    let mut renumbered = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = piece.split_at(digits);
        let number: usize = number.parse().expect("a parameter has a number");
        renumbered.push_str(&format!("${}{rest}", number + offset));
    }
    renumbered
}
