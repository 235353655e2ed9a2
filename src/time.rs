//! Times in UTC to the microsecond, which is as fine as PostgreSQL keeps them.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// The process's clock. A sale never asks it: what decides is the database's time.
pub fn now() -> DateTime<Utc> {
    to_micros(Utc::now())
}

/// Cuts off what the database would not keep, so that both databases give back what was written.
pub fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(time)
}
