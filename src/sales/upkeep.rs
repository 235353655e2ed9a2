//! What a server does unasked: it tidies tickets whose hold has ended, folds the counts of tickets, and carries out
//! cancellations of events.
//!
//! One task on a thread and a connection of its own, beside the desk, in every process: any of them goes on with what
//! another one has left. No sale depends on it. It is owned by [`super::Sales`] and ends with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    cancel_event::visit::Visits,
    failure::{Cause, Failure, Outage},
    fold::fold,
    lane::Lane,
    sweep::sweep,
};
use crate::live::Live;

/// How often it looks for work.
const INTERVAL: Duration = Duration::from_millis(500);

/// Between two looks while the database is out of reach, at most.
const INTERVAL_MAX: Duration = Duration::from_secs(5);

/// How long cancellations go on before tickets are tidied again.
const VISITS_SLICE: Duration = Duration::from_millis(250);

/// Does its rounds until `closing` is true or nobody is left to make it so.
pub fn run(
    runtime: &tokio::runtime::Runtime,
    mut lane: Lane,
    live: &Live,
    mut closing: watch::Receiver<bool>,
) {
    // So that its statements in the log are told from those of sales.
    let _span = tracing::info_span!("upkeep").entered();
    loop {
        let rounds = AssertUnwindSafe(|| runtime.block_on(rounds(&mut lane, live, &mut closing)));
        match catch_unwind(rounds) {
            Ok(()) => return,
            // Sales go on without it, so that it must not end the server.
            Err(_) => {
                tracing::error!("the upkeep broke down; it begins anew");
                lane.discard();
                if runtime.block_on(is_closed_within(&mut closing, INTERVAL_MAX)) {
                    return;
                }
            }
        }
    }
}

async fn rounds(lane: &mut Lane, live: &Live, closing: &mut watch::Receiver<bool>) {
    let mut visits = Visits::default();
    let mut outage = Outage::default();
    loop {
        let connected = tokio::select! {
            connected = lane.connection() => connected,
            () = closed(closing) => return,
        };
        let done = match connected {
            Ok(db) => round(&db, &mut visits, live).await,
            Err(fault) => Err(fault.into()),
        };
        let pause = match done {
            Ok(has_more) => {
                outage.is_over("the upkeep");
                if has_more { Duration::ZERO } else { INTERVAL }
            }
            Err(failure) => {
                if failure.cause == Cause::Lost {
                    lane.discard();
                }
                (INTERVAL * outage.goes_on(&failure)).min(INTERVAL_MAX)
            }
        };
        if is_closed_within(closing, pause).await {
            return;
        }
    }
}

/// Whether there is more to do at once.
async fn round(
    db: &sea_orm::DatabaseConnection,
    visits: &mut Visits,
    live: &Live,
) -> Result<bool, Failure> {
    // What fails by itself, as at one row, does not keep the rest from being done.
    let swept = sweep(db).await;
    if is_lost(&swept) {
        return swept;
    }
    let folded = fold(db).await;
    if is_lost(&folded) {
        return folded;
    }
    let until = Instant::now() + VISITS_SLICE;
    let visited = visits.advance(db, live, until).await?;
    Ok(swept? | folded? | visited)
}

fn is_lost<T>(done: &Result<T, Failure>) -> bool {
    matches!(done, Err(failure) if failure.cause == Cause::Lost)
}

async fn is_closed_within(closing: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::time::timeout(pause, closed(closing)).await.is_ok()
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and so whoever could close.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}
