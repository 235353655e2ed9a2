//! Nobody waits behind somebody else's lock.
//!
//! PostgreSQL alone: SQLite has one lock, and one process that writes.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::harness::{Database, Outcome, Server, eventually, rows, seed};

/// How long somebody holds the row of one ticket.
const LOCKED_FOR: Duration = Duration::from_secs(5);

/// A server that stops in the middle of a batch delays the buyers of another no longer than this: its session is ended
/// after two seconds without a word (`idle_in_transaction_session_timeout`), and what waited is sold in the next batches.
const STOPPED_SERVER_DELAY_MAX: Duration = Duration::from_secs(4);

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
    const SEATS: usize = 400;
    let database = Database::postgres().await;
    let stopping = Server::start(&database).await;
    let healthy = Server::start(&database).await;
    let event = seed::seats(&healthy.client(), SEATS).await;
    let looking = database.look().await;
    let (contested, others) = event.tickets.split_at(SEATS / 2);

    let of_stopped = Burst::begin(&stopping, contested, "stopped");
    let stop = stop_in_the_middle_of_a_batch(&stopping, &looking);
    let begin_with_healthy = async {
        stop.await;
        let locked = rows::locked_seats(&looking).await.len();
        assert!(locked > 0, "the stopped server holds rows");
        // Each seat that the stopped server may hold is wanted again, and so are those that nobody holds.
        let waiting = Burst::begin(&healthy, contested, "healthy").end();
        let free = Burst::begin(&healthy, others, "elsewhere").end();
        let told = tokio::join!(waiting, free);
        // Not before: what the healthy server's buyers waited for must have ended without the stopped one's help.
        stopping.sigcont();
        told
    };
    let (of_stopped, (of_healthy, elsewhere)) = tokio::join!(of_stopped.end(), begin_with_healthy);

    let slowest = |told: &[Told]| told.iter().map(|told| told.took).max().unwrap();
    let (waited, undisturbed) = (slowest(&of_healthy), slowest(&elsewhere));
    assert!(
        waited < STOPPED_SERVER_DELAY_MAX,
        "a buyer of the healthy server waited {waited:?}"
    );
    assert!(
        waited > Duration::from_secs(1),
        "nobody wanted what the stopped server had locked: the slowest took {waited:?}"
    );
    assert!(
        undisturbed < waited,
        "who wanted nothing of the stopped server's waited {undisturbed:?}"
    );
    for told in of_healthy.iter().chain(&elsewhere) {
        assert!(!matches!(told.outcome, Outcome::Fault(_)), "{told:?}");
    }

    // Who was left without an answer asks again, under the same key, at the other server.
    let mut outcomes = Vec::new();
    for told in of_stopped.into_iter().chain(of_healthy).chain(elsewhere) {
        outcomes.push(match told.outcome {
            Outcome::Fault(_) => {
                let buyer = healthy.client().customer(&told.buyer);
                buyer.purchase_ticket(&told.ticket, "mine").await
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

/// Buyers who each want one ticket, at once.
struct Burst(tokio::task::JoinSet<Told>);

#[derive(Debug)]
struct Told {
    buyer: String,
    ticket: String,
    outcome: Outcome,
    took: Duration,
}

impl Burst {
    fn begin(server: &Server, tickets: &[seed::Ticket], side: &str) -> Self {
        let buyers = tickets.iter().enumerate().map(|(number, ticket)| {
            let (buyer, ticket) = (format!("{side} {number}"), ticket.id.clone());
            let client = server.client().customer(&buyer);
            async move {
                let begin = Instant::now();
                let outcome = client.purchase_ticket(&ticket, "mine").await;
                let took = begin.elapsed();
                Told {
                    buyer,
                    ticket,
                    outcome,
                    took,
                }
            }
        });
        Self(buyers.collect())
    }

    async fn end(self) -> Vec<Told> {
        self.0.join_all().await
    }
}

/// Stops the server when it has locked tickets and not committed: a table lock, taken first, makes its batch wait before
/// it writes an order. When that lock is let go, the stopped server's statement runs to its end, and its transaction stays.
async fn stop_in_the_middle_of_a_batch(server: &Server, looking: &sea_orm::DatabaseConnection) {
    eventually(
        "a server stopped in the middle of a batch",
        Duration::from_secs(20),
        async || {
            let table = rows::lock_orders(looking).await;
            let is_waiting =
                async || (rows::waiting_for_locks_len(looking).await > 0).then_some(());
            eventually("a batch", Duration::from_secs(10), is_waiting).await;
            server.sigstop();
            table.rollback().await.unwrap();
            // The batch gives up after 100 ms of waiting; if it was stopped later than that, the next one is tried.
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(500) {
                if rows::idle_sales_len(looking).await > 0 {
                    return Some(());
                }
            }
            server.sigcont();
            None
        },
    )
    .await;
}
