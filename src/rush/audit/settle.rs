//! Purchases whose answer was lost: repeated under their keys until there is one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Settled, joined, lines};
use crate::rush::{
    answers::{Told, told},
    client::Line,
    record::{Sale, Unsettled},
    run::Run,
};

/// For all of them together: longer than a server that was restarted needs.
const SETTLE_MAX: Duration = Duration::from_secs(30);

const AGAIN_AFTER: Duration = Duration::from_millis(300);

type Queue = Arc<Mutex<VecDeque<Unsettled>>>;

/// Repeats what is unsettled. What stays so is given back to the recorder.
pub async fn settle(run: &Arc<Run>) -> Settled {
    let unsettled: VecDeque<Unsettled> = std::mem::take(&mut run.recorder().unsettled).into();
    if unsettled.is_empty() {
        return Settled::default();
    }
    let lines_len = unsettled.len();
    let queue: Queue = Arc::new(Mutex::new(unsettled));
    let deadline = Instant::now() + SETTLE_MAX;
    let mut settling = JoinSet::new();
    for line in lines(run).take(lines_len) {
        settling.spawn(work(Arc::clone(run), line, Arc::clone(&queue), deadline));
    }
    let mut settled = Settled::default();
    while let Some(part) = joined(&mut settling).await {
        settled.sold += part.sold;
        settled.refused += part.refused;
    }
    let open = std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
    settled.open = open.len() as u64;
    run.recorder().unsettled = open.into();
    settled
}

async fn work(run: Arc<Run>, mut line: Line, queue: Queue, deadline: Instant) -> Settled {
    let mut settled = Settled::default();
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    while let Some(purchase) = next() {
        let caller = run.customers()[purchase.customer].caller.clone();
        let outcome = repeat(&mut line, &caller, &purchase, deadline).await;
        match outcome {
            Some(Told::Order { id, items }) => {
                settled.sold += 1;
                run.recorder().sales.push(Sale {
                    customer: purchase.customer,
                    order: id,
                    items,
                    want: purchase.want,
                });
            }
            Some(Told::Refused(_)) => settled.refused += 1,
            Some(Told::Hold(_) | Told::Done | Told::Fault(_)) | None => {
                // Others may have more luck with what is left of the time, but not this line.
                queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_back(purchase);
                return settled;
            }
        }
    }
    settled
}

/// None when there was no definite answer in time.
async fn repeat(
    line: &mut Line,
    caller: &hyper::header::HeaderValue,
    purchase: &Unsettled,
    deadline: Instant,
) -> Option<Told> {
    loop {
        match told(line.post(Some(caller), &purchase.body).await) {
            sold @ Told::Order { .. } => return Some(sold),
            // Nothing happened now; what happened the first time is not known by that.
            Told::Refused(code) if code == "CONTENDED" => {}
            refused @ Told::Refused(_) => return Some(refused),
            Told::Fault(fault) if fault.is_unreachable() => return None,
            Told::Fault(_) | Told::Hold(_) | Told::Done => {}
        }
        if Instant::now() + AGAIN_AFTER > deadline {
            return None;
        }
        sleep(AGAIN_AFTER).await;
    }
}
