//! Numbering: what transactions have appended to the change log gets its versions, and only then is it read.
//!
//! No sale depends on it or waits for it. Every process looks by itself, so that what one has appended and not numbered,
//! because it was stopped or killed, another one numbers when it looks next: after [`LOOK_AGAIN_AFTER`] and a pause at the
//! latest. One at a time does it; see [`sql::number_changes`] for why nobody can be stopped in its midst. While one is heard
//! to do it, the others leave it to that one. Whoever follows the log hears of it after the commit.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    commit::numbering,
    failure::{Cause, Failure, Outage},
    lane::{DATABASE_WAIT_MAX, Lane, bounded},
    sql::{self, NumberedRow},
};
use crate::{
    fault::Step,
    ids::EventId,
    live::{Live, Topic},
};

/// What another process has appended and not numbered is found after so long.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Between two looks while sales go on: what they append meanwhile is numbered together. While something holds an old snapshot,
/// a look goes through all that was numbered since; so it is as long as the last look took, up to [`LOOK_AGAIN_AFTER`].
const PACE: Duration = Duration::from_millis(50);

/// Who has heard another process number looks when nothing was heard of one for so long: at [`PACE`] that one's next turn comes
/// first.
const OTHERS_PACE: Duration = PACE.saturating_mul(2);

/// Rows of one statement: some milliseconds, unless they are of thousands of tickets each. Fewer after it has failed again, so that
/// what takes too long does not stay so.
const ROWS_MAX: i64 = 500;

/// Between two looks while the database is out of reach, at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

const NUMBERING: &str = "numbering changes of tickets";

/// Numbers until `closing` is true or nobody is left to make it so.
pub async fn run(mut lane: Lane, live: Arc<Live>, mut closing: watch::Receiver<bool>) {
    loop {
        let rounds = AssertUnwindSafe(rounds(&mut lane, &live)).catch_unwind();
        tokio::select! {
            // Sales go on without it, so that it must not end the server.
            Err(_) = rounds => tracing::error!("the numbering broke down; it begins anew"),
            _ = closing.wait_for(|is_closing| *is_closing) => return,
        }
        lane.discard();
        sleep(RETRY_AFTER_MAX).await;
    }
}

async fn rounds(lane: &mut Lane, live: &Live) -> std::convert::Infallible {
    let mut outage = Outage::default();
    let mut rows_max = ROWS_MAX;
    loop {
        match round(lane, live, rows_max).await {
            Ok(took) => {
                outage.is_over(NUMBERING);
                rows_max = (rows_max * 2).min(ROWS_MAX);
                sleep(took.clamp(PACE, LOOK_AGAIN_AFTER)).await;
            }
            Err(failure) => {
                if failure.cause == Cause::Lost {
                    lane.discard();
                }
                let failures = outage.goes_on(&failure);
                if failures > 1 {
                    rows_max = (rows_max / 2).max(1);
                }
                sleep((LOOK_AGAIN_AFTER * failures).min(RETRY_AFTER_MAX)).await;
            }
        }
    }
}

/// Waits for something to number, and numbers all there is. How long that took.
async fn round(lane: &mut Lane, live: &Live, rows_max: i64) -> Result<Duration, Failure> {
    let appended = timeout(LOOK_AGAIN_AFTER, live.next_appended()).await;
    if lane.backend() != DbBackend::Postgres {
        // What SQLite's only writer has appended it has numbered.
        tell(live, appended.unwrap_or_default());
        return Ok(Duration::ZERO);
    }
    leave_to_others(live).await;
    let began = Instant::now();
    loop {
        let db = lane.connection().await?;
        let rows = number(&db, rows_max).await?;
        let len: i64 = rows.iter().map(|row| row.len).sum();
        tell(live, rows.into_iter().map(|row| row.event_id).collect());
        if len < rows_max {
            return Ok(began.elapsed());
        }
    }
}

/// Waits while another process is heard to number all there is, and no longer than what that one passes over may wait.
async fn leave_to_others(live: &Live) {
    let until = Instant::now() + LOOK_AGAIN_AFTER;
    while let Some(turn) = next_turn(live.numbered_elsewhere(), until, Instant::now()) {
        sleep_until(turn).await;
    }
}

/// When to look for oneself after another process was heard; none if that is now.
fn next_turn(heard: Option<Instant>, until: Instant, now: Instant) -> Option<Instant> {
    let turn = until.min(heard? + OTHERS_PACE);
    (turn > now).then_some(turn)
}

fn tell(live: &Live, events: BTreeSet<EventId>) {
    for event_id in events {
        live.ring(Topic::TicketsOf(event_id));
    }
}

async fn number(db: &DatabaseConnection, rows_max: i64) -> Result<Vec<NumberedRow>, Failure> {
    let statement = sql::number_changes(numbering(), rows_max);
    let rows = bounded(
        DbBackend::Postgres,
        DATABASE_WAIT_MAX,
        NUMBERING,
        db.query_all_raw(statement),
    );
    let rows: Result<Vec<_>, _> = rows
        .await?
        .iter()
        .map(|row| NumberedRow::from_query_result(row, ""))
        .collect();
    Ok(rows.step(NUMBERING)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_numbers_is_left_to_it_for_as_long_as_it_is_heard() {
        let began = Instant::now();
        let until = began + LOOK_AGAIN_AFTER;
        assert_eq!(next_turn(None, until, began), None);
        let turn = began + OTHERS_PACE;
        assert_eq!(next_turn(Some(began), until, began), Some(turn));
        assert_eq!(next_turn(Some(began), until, turn), None, "silent since");
        let heard = until - PACE;
        assert_eq!(next_turn(Some(heard), until, heard), Some(until));
        assert_eq!(next_turn(Some(until), until, until), None, "long enough");
    }

    #[tokio::test]
    async fn who_has_heard_another_process_number_waits_for_its_next_turn() {
        let (live, _hints) = Live::new();
        let nobody = leave_to_others(&live).now_or_never();
        assert!(nobody.is_some(), "it waits for nobody");
        let heard = Instant::now();
        live.hear(Topic::TicketsOf(EventId(uuid::Uuid::nil())));
        leave_to_others(&live).await;
        assert!(heard.elapsed() >= OTHERS_PACE);
        assert!(leave_to_others(&live).now_or_never().is_some());
    }
}
