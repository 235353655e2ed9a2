//! What went wrong with a batch, and so what is to be done about it.

use sea_orm::DbErr;

use crate::fault::Fault;

/// A batch that failed.
#[derive(Debug)]
pub struct Failure {
    pub fault: Fault,
    pub cause: Cause,
    /// The failure came while committing: perhaps it all happened.
    pub is_commit_unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The connection is lost or in doubt, or the database is going down: repeat the batch on a new one.
    Lost,
    /// A deadlock or a serialization failure: repeat the batch.
    Conflict,
    /// A lock that SKIP LOCKED does not cover, or a statement that took too long.
    TimedOut,
    /// The database refused a second owner of a ticket.
    SecondOwner,
    /// The batch is larger than it looked.
    TooLarge,
    /// The database refused the data, or the code is wrong: find the command that did it.
    Data,
}

impl Failure {
    pub fn of(fault: Fault) -> Self {
        let cause = cause_of(&fault);
        Self {
            fault,
            cause,
            is_commit_unknown: false,
        }
    }

    /// A failed COMMIT whose connection is gone may have happened; one that the database refused has not.
    pub fn at_commit(fault: Fault) -> Self {
        let failure = Self::of(fault);
        Self {
            is_commit_unknown: failure.cause == Cause::Lost,
            ..failure
        }
    }

    pub fn too_large(step: &'static str) -> Self {
        let source = DbErr::Custom("the batch has too many tickets".to_owned());
        Self {
            fault: Fault { step, source },
            cause: Cause::TooLarge,
            is_commit_unknown: false,
        }
    }

    pub fn bug(step: &'static str) -> Self {
        let source = DbErr::Custom("the code contradicts itself; this is a bug".to_owned());
        Self {
            fault: Fault { step, source },
            cause: Cause::Data,
            is_commit_unknown: false,
        }
    }
}

fn cause_of(fault: &Fault) -> Cause {
    if fault.is_unique_violation(
        "order_items_one_owner",
        "order_items.event_id, order_items.ticket_id",
    ) {
        return Cause::SecondOwner;
    }
    match fault.database_code() {
        // Starting up, shutting down, too many connections, or a password that was changed: no connection is none.
        Some(_) if matches!(fault.source, DbErr::Conn(_)) => Cause::Lost,
        Some(code) => cause_of_code(&code),
        None if fault.is_unreachable() => Cause::Lost,
        None => Cause::Data,
    }
}

/// By SQLSTATE (PostgreSQL's appendix A) or SQLite's extended result code.
fn cause_of_code(code: &str) -> Cause {
    match code {
        "40001" | "40P01" => Cause::Conflict,
        // lock_not_available, query_canceled.
        "55P03" | "57014" => Cause::TimedOut,
        // A session ended by a timeout; a fail-over that left us on a standby; a cached statement that a migration has
        // outdated, which a new session prepares anew.
        "25P03" | "25006" | "0A000" | "26000" => Cause::Lost,
        // Connection exceptions, insufficient resources, operator intervention, system errors.
        _ if ["08", "53", "57", "58"]
            .iter()
            .any(|class| code.len() == 5 && code.starts_with(class)) =>
        {
            Cause::Lost
        }
        _ => cause_of_sqlite_code(code),
    }
}

/// SQLite's codes have fewer digits than a SQLSTATE; the primary code is in the low byte.
fn cause_of_sqlite_code(code: &str) -> Cause {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => match number & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED.
            5 | 6 => Cause::TimedOut,
            // SQLITE_IOERR, SQLITE_FULL: what a failed flush has left on disk is not known.
            10 | 13 => Cause::Lost,
            _ => Cause::Data,
        },
        Ok(_) | Err(_) => Cause::Data,
    }
}

/// Failures in a row of what is tried again and again: the log is told of the first one, and of the end.
#[derive(Default)]
pub struct Outage {
    failures: u32,
}

impl Outage {
    /// It has failed once more; so often in a row.
    pub fn goes_on(&mut self, failure: &Failure) -> u32 {
        if self.failures == 0 {
            tracing::warn!(
                cause = ?failure.cause, error = %failure.fault.source,
                "{} failed; it is tried again", failure.fault.step
            );
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// It has not failed.
    pub fn is_over(&mut self, what: &str) {
        if self.failures > 0 {
            tracing::info!("{what} goes on after {} failures", self.failures);
        }
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_to_do() {
        for (code, cause) in [
            ("40P01", Cause::Conflict),
            ("55P03", Cause::TimedOut),
            ("57014", Cause::TimedOut),
            ("57P01", Cause::Lost),
            ("08006", Cause::Lost),
            ("53300", Cause::Lost),
            ("22021", Cause::Data),
            ("23514", Cause::Data),
            ("0A000", Cause::Lost),
            ("5", Cause::TimedOut),
            ("517", Cause::TimedOut),
            ("13", Cause::Lost),
            ("1034", Cause::Lost),
            ("2067", Cause::Data),
            ("275", Cause::Data),
        ] {
            assert_eq!(cause_of_code(code), cause, "{code}");
        }
    }
}
