//! Several processes on one PostgreSQL, some of which are lost.

use std::{collections::BTreeMap, time::Instant};

use futures_util::future::join_all;
use rowlock::graphql::global_id::GlobalId;
use tokio::task::JoinSet;

use super::{Follower, Statuses, TOLD_WITHIN, logged, seat_map};
use crate::harness::{Client, Database, Server, eventually, rows, seed};

const SEATS: usize = 12;
const BUYERS: usize = 10;
const ROUNDS: usize = 24;

/// Buyers hold, give back, buy and cancel the same few seats through two processes. One of these is killed in the midst of it,
/// and so is the connection by which the other hears of what it does.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_everybody_knows_each_version_as_the_log_has_it() {
    let database = Database::postgres().await;
    let mut servers = vec![
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), SEATS).await;
    rows::set_events(
        &database,
        "cancellable_until = '2999-01-01T00:00:00+00:00', hold_secs = 1",
    )
    .await;
    let mut followers = Vec::new();
    for server in [&servers[0], &servers[0], &servers[1]] {
        followers.push(Follower::begin(server, &event.id).await);
    }
    let hand = database.connect().await;
    let mut buyers = JoinSet::new();
    for n in 0..BUYERS {
        let client = servers[n % 2].client().customer(&format!("buyer {n}"));
        let seats = event.tickets.iter().map(|ticket| ticket.id.clone());
        buyers.spawn(buy_and_give_back(client, seats.collect(), n));
    }
    // The one that is lost comes back through the other with what it knew last, and has missed nothing.
    let mut lost = followers.remove(2);
    lost.hear_up_to_any(6).await;
    rows::end_listeners(&hand).await;
    lost.hear_up_to_any(12).await;
    servers.remove(1).kill();
    lost.come_back(&servers[0]).await;
    followers.push(lost);
    buyers.join_all().await;

    // Until every hold is over, and everything has its version.
    let last = eventually("the end of all that goes on", TOLD_WITHIN, async || {
        let open = rows::count(
            &hand,
            "SELECT (SELECT count(*) FROM tickets WHERE status = 'HELD')
                 + (SELECT count(*) FROM ticket_changes_unnumbered)",
        );
        (open.await == 0).then_some(())?;
        Some(seat_map(&servers[0].client(), &event.id).await)
    })
    .await;
    join_all(followers.iter_mut().map(|each| each.hear_up_to(last.0))).await;

    let replayed = replay(&followers[0].known[0].1, &logged(&hand).await);
    for follower in &followers {
        assert_eq!(follower.statuses, last.1);
        assert!(
            follower.known.len() > 5,
            "{} messages",
            follower.known.len()
        );
        for (version, known) in &follower.known {
            assert_eq!(known, &replayed[version], "at version {version}");
        }
    }
    hand.close().await.unwrap();
    rows::assert_clean(&database).await;
}

/// What a process has sold and not numbered, because it was stopped or killed, another one numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_or_killed_keeps_nobody_from_being_told() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), 4).await;
    let mut follower = Follower::begin(&servers[0], &event.id).await;
    follower.hear().await;
    let buyers = servers
        .each_ref()
        .map(|server| server.client().customer("ada"));

    servers[1].sigstop();
    let begin = Instant::now();
    buyers[0]
        .purchase_ticket(&event.tickets[0].id, "0")
        .await
        .sold();
    follower.hear_up_to(1).await;
    assert!(begin.elapsed() < TOLD_WITHIN);
    servers[1].sigcont();

    buyers[1]
        .purchase_ticket(&event.tickets[1].id, "1")
        .await
        .sold();
    servers[1].sigstop();
    follower.hear_up_to(2).await;
    servers[1].sigcont();
    buyers[1]
        .purchase_ticket(&event.tickets[2].id, "2")
        .await
        .sold();
    servers[1].kill();
    follower.hear_up_to(3).await;
    let sold = |status: &&String| *status == "SOLD";
    assert_eq!(follower.statuses.values().filter(sold).count(), 3);
    rows::assert_clean(&database).await;
}

/// As often as there are rounds: holds a seat, gives it back, buys it or lets it go, and cancels what was bought.
async fn buy_and_give_back(client: Client, seats: Vec<String>, n: usize) {
    for round in 0..ROUNDS {
        let key = |what: &str| format!("{what} {round}");
        let seat = &seats[(n * 5 + round * 7) % seats.len()];
        // Somebody else may have it, and the server may be gone.
        if (n + round).is_multiple_of(3) {
            let bought = client.purchase_ticket(seat, &key("buy")).await;
            if bought.is_sold() {
                let order = bought.sold().id;
                client
                    .cancel_order(&order, None, None, &key("cancel"))
                    .await;
            }
            continue;
        }
        let held = client.hold_tickets(&[seat], &key("hold")).await;
        if !held.is_held() {
            continue;
        }
        let hold = held.held().id;
        if round.is_multiple_of(2) {
            client.release_hold(&hold, None, &key("release")).await;
        }
    }
}

/// What is so at each version.
fn replay(first: &Statuses, log: &[(i64, Vec<(String, String)>)]) -> BTreeMap<i64, Statuses> {
    let by_digits: BTreeMap<String, &String> = first
        .keys()
        .map(|id| match GlobalId::decode(&id.as_str().into()) {
            Some(GlobalId::Ticket(_, ticket)) => (ticket.0.simple().to_string(), id),
            other => panic!("no ticket: {other:?}"),
        })
        .collect();
    let mut statuses = first.clone();
    let mut replayed = BTreeMap::from([(0, statuses.clone())]);
    for (place, (version, changes)) in (1..).zip(log) {
        assert_eq!(*version, place, "the log has no gaps");
        for (id, status) in changes {
            statuses.insert(by_digits[id].clone(), status.clone());
        }
        replayed.insert(*version, statuses.clone());
    }
    replayed
}

impl Follower {
    /// Hears until it knows this version or a later one.
    async fn hear_up_to_any(&mut self, version: i64) {
        while self.version < version {
            self.hear().await;
        }
    }
}
