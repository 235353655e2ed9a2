//! Nobody waits behind somebody else's lock.
//!
//! PostgreSQL alone: SQLite has one lock, and one process that writes.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};

use crate::harness::{Client, Database, Outcome, Server, eventually, rows, seed};

/// How long somebody holds the row of one ticket.
const LOCKED_FOR: Duration = Duration::from_secs(5);

/// A server that stops in the middle of a batch delays the buyers of another no longer than this: its session is ended
/// after two seconds without a word (`idle_in_transaction_session_timeout`), and what waited is sold in the next batches.
const STOPPED_SERVER_DELAY_MAX: Duration = Duration::from_secs(4);

/// Buyers of each of two servers, who each do one thing at a time.
const BUYERS_OF_EACH: usize = 40;

const WISHES_PER_SEAT: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_ticket_delays_only_who_wants_it() {
    const OTHERS: usize = 1_000;
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), OTHERS + 1).await;
    let (locked, others) = event.tickets.split_first().unwrap();
    let client = server.client();
    let looking = database.look().await;
    // Connections and statements are warm: what is measured is the lock.
    let outcome_of_other = |n: usize| {
        let (buyer, ticket) = (client.customer(&format!("buyer {n}")), others[n].id.clone());
        async move { buyer.purchase_ticket(&ticket, "mine").await }
    };

    let lock = rows::lock_seat(&looking, locked.seat.as_ref().unwrap()).await;
    let begin = Instant::now();
    let waiting = async {
        let outcome = client
            .customer("who waits")
            .purchase_ticket(&locked.id, "mine")
            .await;
        (outcome, begin.elapsed())
    };
    let meanwhile = async {
        let outcomes: Vec<Outcome> = stream::iter(0..OTHERS)
            .map(outcome_of_other)
            .buffer_unordered(200)
            .collect()
            .await;
        (outcomes, begin.elapsed())
    };
    let unlocking = async {
        tokio::time::sleep_until((begin + LOCKED_FOR).into()).await;
        lock.rollback().await.unwrap();
    };
    let ((waited, waited_for), (mut outcomes, others_took), ()) =
        tokio::join!(waiting, meanwhile, unlocking);

    assert!(
        outcomes.iter().all(Outcome::is_sold),
        "{:?}",
        outcomes.iter().find(|outcome| !outcome.is_sold())
    );
    assert!(others_took < LOCKED_FOR, "the others took {others_took:?}");
    assert!(waited.is_sold(), "{waited:?}");
    assert!(
        waited_for >= LOCKED_FOR,
        "it was answered after {waited_for:?}, before the row was unlocked"
    );
    assert!(
        waited_for < LOCKED_FOR + Duration::from_secs(1),
        "it was answered {waited_for:?} after it was asked"
    );
    outcomes.push(waited);
    rows::assert_conserved(&database, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stays_locked_ends_in_a_refusal_that_says_so() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let looking = database.look().await;
    let ada = server.client().customer("ada");
    let ticket = &event.tickets[0];

    let lock = rows::lock_seat(&looking, ticket.seat.as_ref().unwrap()).await;
    let refused = ada.purchase_ticket(&ticket.id, "mine").await;
    assert!(refused.is_refused("CONTENDED"), "{refused:?}");
    lock.rollback().await.unwrap();

    let outcome = ada.purchase_ticket(&ticket.id, "mine").await;
    assert!(outcome.is_sold(), "{outcome:?}");
    rows::assert_conserved(&database, &[outcome]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_delays_the_other_servers_buyers_a_bounded_time() {
    const SEATS: usize = 3_000;
    let database = Database::postgres().await;
    let stopping = Server::start(&database).await;
    let healthy = Server::start(&database).await;
    let event = seed::seats(&healthy.client(), SEATS).await;
    let looking = database.look().await;
    let load = Load {
        tickets: event.ticket_ids(),
        next: AtomicUsize::new(0),
        locked: OnceLock::new(),
        is_over: AtomicBool::new(false),
    };

    let scenario = async {
        eventually("a first sale", Duration::from_secs(10), async || {
            (rows::orders_len(&looking).await > 0).then_some(())
        })
        .await;
        stop_in_the_middle_of_a_batch(&stopping, &looking).await;
        let locked = rows::locked_seats(&looking).await;
        let locked = locked
            .iter()
            .map(|seat| event.seat(seat.parse().unwrap()).id.as_str());
        load.locked.set(locked.collect()).unwrap();
        tokio::time::sleep(STOPPED_SERVER_DELAY_MAX).await;
        load.is_over.store(true, Ordering::Relaxed);
    };
    let buyers_of = |server: &Server, side: &str| {
        join_all((0..BUYERS_OF_EACH).map(|n| load.buyer(server.client(), format!("{side} {n}"))))
    };
    let until_healthy_is_done = async {
        let told = buyers_of(&healthy, "healthy").await;
        // Not before: what the healthy server's buyers waited for must have ended without the stopped one's help.
        stopping.sigcont();
        told
    };
    let (of_stopped, of_healthy, ()) = tokio::join!(
        buyers_of(&stopping, "stopped"),
        until_healthy_is_done,
        scenario,
    );

    let slowest = of_healthy
        .iter()
        .flatten()
        .map(|told| told.took)
        .max()
        .unwrap();
    assert!(
        slowest < STOPPED_SERVER_DELAY_MAX,
        "a buyer of the healthy server waited {slowest:?}"
    );
    assert!(
        slowest > Duration::from_secs(1),
        "nobody wanted what the stopped server had locked: the slowest took {slowest:?}"
    );
    let faults: Vec<_> = of_healthy
        .iter()
        .flatten()
        .filter(|told| matches!(told.outcome, Outcome::Fault(_)))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");

    // Who was left without an answer asks again, under the same key, at either server.
    let mut outcomes = Vec::new();
    for told in of_stopped.into_iter().chain(of_healthy).flatten() {
        outcomes.push(match told.outcome {
            Outcome::Fault(_) => {
                healthy
                    .client()
                    .customer(&told.buyer)
                    .purchase_ticket(told.ticket, &told.key)
                    .await
            }
            answered => answered,
        });
    }
    let faulted = outcomes
        .iter()
        .find(|outcome| matches!(outcome, Outcome::Fault(_)));
    assert_eq!(faulted, None, "a repeat has a definite answer");
    rows::assert_conserved(&database, &outcomes).await;
}

/// Buyers of two servers who want the same seats, one after the other.
struct Load<'a> {
    tickets: Vec<&'a str>,
    /// How many purchases were begun.
    next: AtomicUsize,
    /// Seats that the stopped server had locked when it stopped; from then on they are wanted again.
    locked: OnceLock<Vec<&'a str>>,
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Told<'a> {
    buyer: String,
    ticket: &'a str,
    key: String,
    outcome: Outcome,
    took: Duration,
}

impl<'a> Load<'a> {
    /// Each seat is wanted by a handful of buyers, at about the same time, at both servers.
    fn wish(&self) -> &'a str {
        let wish = self.next.fetch_add(1, Ordering::Relaxed);
        match self.locked.get() {
            Some(locked) if wish.is_multiple_of(2) && !locked.is_empty() => {
                locked[wish / 2 % locked.len()]
            }
            Some(_) | None => self.tickets[wish / WISHES_PER_SEAT % self.tickets.len()],
        }
    }

    async fn buyer(&self, client: Client, name: String) -> Vec<Told<'a>> {
        let client = client.customer(&name);
        let mut told = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let ticket = self.wish();
            let key = format!("purchase {}", told.len());
            let begin = Instant::now();
            let outcome = client.purchase_ticket(ticket, &key).await;
            told.push(Told {
                buyer: name.clone(),
                ticket,
                key,
                outcome,
                took: begin.elapsed(),
            });
        }
        told
    }
}

/// Stops the server at a moment when it has marked tickets sold and not committed.
async fn stop_in_the_middle_of_a_batch(server: &Server, looking: &sea_orm::DatabaseConnection) {
    const TRIES_MAX: usize = 100;
    for _ in 0..TRIES_MAX {
        server.sigstop();
        let begin = Instant::now();
        // Twice the time after which a transaction counts as abandoned.
        while begin.elapsed() < Duration::from_millis(400) {
            if rows::abandoned_sales_len(looking).await > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.sigcont();
        tokio::time::sleep(Duration::from_millis(rand::random_range(5..50))).await;
    }
    panic!("in {TRIES_MAX} tries the server was never stopped in the middle of a batch");
}
