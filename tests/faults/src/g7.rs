//! Nobody waits behind somebody else's lock, measured: how long buyers of other tickets wait while an operator holds one
//! ticket's row, and how long without.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    caller::{self, Caller, Request},
    history::Answer,
    nemesis::Fault,
    stage::{Setting, Stage},
};

/// Buyers of other tickets, and those who want the locked one.
const BUYERS: usize = 12;
const WAITING: usize = 8;

/// A buyer buys and cancels, and again, with a moment between, so that what is measured is the server and not its queue.
const PAUSE: Duration = Duration::from_millis(20);

const PATIENCE: Duration = Duration::from_secs(20);

/// The p99 may be so many times that without the lock.
const FACTOR_MAX: f64 = 2.0;

#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub time: Duration,
    pub without: Percentiles,
    pub with: Percentiles,
}

#[derive(Clone, Copy, Debug)]
pub struct Percentiles {
    pub len: usize,
    pub p50: Duration,
    pub p99: Duration,
}

impl Measured {
    pub fn is_kept(&self) -> bool {
        self.with.p99.as_secs_f64() <= FACTOR_MAX * self.without.p99.as_secs_f64()
    }

    pub fn words(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        format!(
            "one row locked for {} s: others' p50 and p99, without and with it | {:.1} and {:.1} ms ({} purchases), {:.1} and \
             {:.1} ms ({})",
            self.time.as_secs(),
            ms(self.without.p50),
            ms(self.without.p99),
            self.without.len,
            ms(self.with.p50),
            ms(self.with.p99),
            self.with.len,
        )
    }
}

/// Measures for so long without, and for so long with the lock.
///
/// # Errors
/// When the ticket could not be locked.
pub async fn measure(seed: u64, time: Duration) -> Result<Measured, String> {
    let stage = Arc::new(Stage::open(Setting::Postgres).await?);
    let mut random = StdRng::seed_from_u64(seed);
    // Connections and statements are warm: what is measured is the lock.
    buy_for(&stage, time / 10).await;
    let without = buy_for(&stage, time).await;
    let lock = Fault::LockRow.inject(&stage, &mut random).await?;
    let with = buy_for(&stage, time).await;
    lock.heal(&stage).await?;
    Ok(Measured {
        time,
        without,
        with,
    })
}

/// Buyers of one ticket each, and others who want the first ones, among which one may be locked: how long the former wait.
async fn buy_for(stage: &Arc<Stage>, time: Duration) -> Percentiles {
    let is_over = Arc::new(AtomicBool::new(false));
    let machine = Caller::new("nobody", PATIENCE);
    let of_popular = |n: usize| (n % POPULAR, format!("who wants a popular one {n}"));
    let of_others = |n: usize| (POPULAR + n, format!("buyer {n}"));
    let start = |(place, subject): (usize, String)| {
        let (stage, is_over) = (Arc::clone(stage), Arc::clone(&is_over));
        let caller = machine.with_subject(&subject);
        async move { buy_again_and_again(&stage, &caller, place, &is_over).await }
    };
    let waiting: JoinSet<_> = (0..WAITING).map(of_popular).map(start).collect();
    let buyers: JoinSet<_> = (0..BUYERS).map(of_others).map(start).collect();
    tokio::time::sleep(time).await;
    is_over.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = buyers.join_all().await.into_iter().flatten().collect();
    waiting.join_all().await;
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Percentiles {
        len: times.len(),
        p50: at(50),
        p99: at(99),
    }
}

/// The tickets among which one is locked.
const POPULAR: usize = 4;

/// How long each purchase took that was answered with an order.
async fn buy_again_and_again(
    stage: &Stage,
    caller: &Caller,
    place: usize,
    is_over: &AtomicBool,
) -> Vec<Duration> {
    let event = stage.hall.event;
    let ticket = caller::ticket(event, stage.hall.tickets[place]);
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let key = || format!("{:032x}", rand::random::<u128>());
        let buy = Request {
            mutation: "purchaseTicket",
            input: json!({ "ticketId": ticket, "idempotencyKey": key() }),
            tickets: vec![],
        };
        let url = stage.doors.url(rand::random());
        let begun = Instant::now();
        if let Answer::Order(order) = caller.ask(&url, &buy).await {
            times.push(begun.elapsed());
            let order = caller::order(event, order.id);
            let cancel = Request {
                mutation: "cancelOrder",
                input: json!({ "orderId": order, "idempotencyKey": key() }),
                tickets: vec![],
            };
            caller.ask(&url, &cancel).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    times
}
