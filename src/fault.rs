//! A fault: a step that failed through nobody's choice.
//!
//! A refusal ("sold out") is a value and never comes here; a bug is an assertion. A fault names the step that failed and
//! keeps its source for the log. It has no `Display` on purpose: `?` in a resolver would otherwise carry SQL text to the
//! client.

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The step that failed, and why.
#[derive(Debug)]
pub struct Fault {
    /// What was being done, as in "reading tickets".
    pub step: &'static str,
    pub source: DbErr,
}

/// Names the step that a database call was.
pub trait Step<T> {
    /// `step` completes the sentence "… failed".
    fn step(self, step: &'static str) -> Result<T, Fault>;
}

impl<T> Step<T> for Result<T, DbErr> {
    fn step(self, step: &'static str) -> Result<T, Fault> {
        self.map_err(|source| Fault { step, source })
    }
}

impl Fault {
    /// The SQLSTATE of PostgreSQL, or SQLite's extended result code, where the database itself said no.
    pub fn database_code(&self) -> Option<String> {
        database_error(&self.source).and_then(|e| e.code().map(|c| c.into_owned()))
    }

    /// Whether the database could not be reached, or the connection was lost, or did not answer in time.
    pub fn is_unreachable(&self) -> bool {
        if self
            .database_code()
            .is_some_and(|code| is_going_away(&code))
        {
            return true;
        }
        let runtime = match &self.source {
            // Whatever the reason, no connection is none.
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return true,
            DbErr::Exec(e) | DbErr::Query(e) => e,
            _ => return false,
        };
        let RuntimeErr::SqlxError(error) = runtime else {
            return false;
        };
        matches!(
            **error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        )
    }

    /// Whether the database ended the statement at its `statement_timeout`, or at its `lock_timeout`. It is within reach,
    /// but slow.
    pub fn is_timed_out(&self) -> bool {
        self.database_code()
            .is_some_and(|code| TIMED_OUT.contains(&code.as_str()))
    }

    /// Whether the database refused the write because of the unique index or constraint of this name.
    ///
    /// SQLite names the columns instead of the constraint: `columns` is its text, as in `events.slug`.
    pub fn is_unique_violation(&self, constraint: &str, columns: &str) -> bool {
        database_error(&self.source).is_some_and(|e| {
            e.is_unique_violation()
                && match e.constraint() {
                    Some(name) => name == constraint,
                    None => e.message().ends_with(columns),
                }
        })
    }
}

/// PostgreSQL's codes for a statement that was ended by its timeout, `query_canceled`, and for one that got no lock in
/// time, `lock_not_available`.
const TIMED_OUT: [&str; 2] = ["57014", "55P03"];

/// Connection exceptions, insufficient resources and operator intervention (PostgreSQL's appendix A): the last words of
/// a session that somebody ended, or of a server that takes no more of them. SQLite's codes are shorter.
fn is_going_away(code: &str) -> bool {
    code.len() == 5
        && ["08", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class))
}

fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    match error {
        DbErr::Conn(e) | DbErr::Exec(e) | DbErr::Query(e) => match e {
            RuntimeErr::SqlxError(e) => e.as_database_error(),
            RuntimeErr::Internal(_) => None,
        },
        _ => None,
    }
}
