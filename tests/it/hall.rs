//! A hall through everything at once: held, abandoned, given back, bought, cancelled and bought again.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rowlock::entity::order_item;
use sea_orm::EntityTrait;

use crate::harness::{Client, Database, Outcome, Server, client::HoldOutcome, rows, seed};

/// How many want how much.
#[derive(Clone, Copy)]
struct Size {
    seats: usize,
    customers: usize,
}

const HALL: Size = Size {
    seats: 2_000,
    customers: 500,
};

/// Sold out within the time of a hold or two also by a server that sells one by one.
const SMALL: Size = Size {
    seats: 200,
    customers: 50,
};

/// What a customer wants at once, side by side.
const GROUP: usize = 4;

/// Every seat changes hands at least so often.
const SALES_MIN: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_hall_is_sold_out_twice_through_two_servers() {
    sell_out_twice_through_two_servers(HALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_hall_is_sold_out_twice_through_two_servers() {
    sell_out_twice_through_two_servers(SMALL).await;
}

async fn sell_out_twice_through_two_servers(size: Size) {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let clients = servers.each_ref().map(Server::client);
    sell_out_twice(&database, &clients, size).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hall_is_sold_out_twice_on_sqlite() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    sell_out_twice(&database, &[server.client()], HALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_hall_is_sold_out_twice_on_sqlite() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    sell_out_twice(&database, &[server.client()], SMALL).await;
}

async fn sell_out_twice(database: &Database, clients: &[Client], size: Size) {
    let event = seed::seats(&clients[0], size.seats).await;
    // Holds end while the hall is being sold: whoever abandons one is in nobody's way for long, and who buys has the time also on a
    // slow machine.
    rows::set_events(
        database,
        "hold_secs = 3, tickets_per_customer_max = 12, cancellable_until = '2999-01-01T00:00:00+00:00'",
    )
    .await;
    let ids = event.ticket_ids();
    let sales: Vec<AtomicUsize> = ids.iter().map(|_| AtomicUsize::new(0)).collect();
    let customers = (0..size.customers).map(|number| {
        let client = clients[number % clients.len()].customer(&format!("customer {number}"));
        visit(client, number, &ids, &sales)
    });
    let told: Vec<Outcome> = join_all(customers).await.into_iter().flatten().collect();

    let rows = database.look().await;
    let items: Vec<order_item::Model> = order_item::Entity::find().all(&rows).await.unwrap();
    rows.close().await.unwrap();
    let mut sold = std::collections::HashMap::new();
    for item in &items {
        *sold.entry(item.ticket_id).or_insert(0) += 1;
    }
    assert_eq!(sold.len(), size.seats);
    assert!(sold.values().all(|times| *times >= SALES_MIN));
    rows::assert_conserved(database, &told).await;
}

/// A customer in the hall until every seat was sold twice. What they own at the end, and what became of the rest.
async fn visit(client: Client, number: usize, ids: &[&str], sales: &[AtomicUsize]) -> Vec<Outcome> {
    let mut random = StdRng::seed_from_u64(number as u64);
    let mut told = Vec::new();
    for visit in 0.. {
        let wanted = |from: usize| {
            let group = from * GROUP..(from + 1) * GROUP;
            sales[group]
                .iter()
                .any(|sold| sold.load(Ordering::Relaxed) < SALES_MIN)
        };
        let begin = random.random_range(0..ids.len() / GROUP);
        let groups = (begin..ids.len() / GROUP).chain(0..begin);
        let Some(from) = groups.into_iter().find(|from| wanted(*from)) else {
            return told;
        };
        let group = from * GROUP..(from + 1) * GROUP;
        let hold = match client
            .hold_tickets(&ids[group.clone()], &format!("hold {visit}"))
            .await
        {
            HoldOutcome::Held(hold) => hold,
            HoldOutcome::Refused(code) => {
                let is_others = [
                    "HELD",
                    "HELD_BY_YOU",
                    "ALREADY_SOLD",
                    "CONTENDED",
                    "TOO_MANY_HELD",
                ];
                assert!(is_others.contains(&&*code), "{code}");
                continue;
            }
            HoldOutcome::Fault(code) => panic!("{code}"),
        };
        match random.random_range(0..10) {
            // The hold ends by itself.
            0 => continue,
            1 => {
                client
                    .release_hold(&hold.id, None, &format!("release {visit}"))
                    .await;
                continue;
            }
            2 => {
                client
                    .extend_hold(&hold.id, &format!("extend {visit}"))
                    .await;
            }
            _ => {}
        }
        let order = match client
            .purchase_hold(&hold.id, &format!("buy {visit}"))
            .await
        {
            Outcome::Sold(order) => order,
            // A busy machine took longer than the hold lasts.
            Outcome::Refused(code) => {
                assert!(["HOLD_EXPIRED", "CONTENDED"].contains(&&*code), "{code}");
                continue;
            }
            Outcome::Fault(code) => panic!("{code}"),
        };
        let times = sales[group]
            .iter()
            .map(|sold| sold.fetch_add(1, Ordering::Relaxed) + 1);
        if times.max() >= Some(SALES_MIN)
            && order.items.len() == GROUP
            && random.random_range(0..3) > 0
        {
            told.push(Outcome::Sold(order));
            // Nobody owns more than the event allows: the rest of the hall is for others.
            if told.len() * GROUP >= 8 {
                return told;
            }
        } else {
            let cancelled = client
                .cancel_order(&order.id, None, None, &format!("cancel {visit}"))
                .await;
            assert!(matches!(cancelled, Outcome::Sold(_)), "{cancelled:?}");
            told.push(cancelled);
        }
    }
    unreachable!("a customer leaves when the hall is sold out twice")
}
