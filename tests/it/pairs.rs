//! Two do something with one ticket at the same instant, in every combination: what both are told, and what becomes of the
//! ticket, is what one after the other would have made of it.

use futures_util::{future::join, future::join_all};
use serde_json::json;

use crate::harness::{
    Client, Database, Outcome, Server,
    client::{Hold, HoldOutcome, Order, codes},
    rows, seed,
};

/// How often each pair meets, all of them at once.
const ROUNDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// By somebody who has nothing yet.
    Hold,
    Buy,
    /// By the one who had the ticket first.
    Extend,
    Release,
    Cancel,
    /// By staff.
    Block,
}

const ACTS: [Act; 6] = [
    Act::Hold,
    Act::Buy,
    Act::Extend,
    Act::Release,
    Act::Cancel,
    Act::Block,
];

/// What is so of a ticket and of its first holder's hold and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    ticket: &'static str,
    hold: &'static str,
}

impl State {
    /// What the act is told, and what is so afterwards.
    fn after(self, act: Act) -> (&'static str, Self) {
        let with = |ticket, hold| ("DONE", Self { ticket, hold });
        match (act, self.ticket, self.hold) {
            (Act::Hold, "AVAILABLE", hold) => with("HELD", hold),
            (Act::Buy, "AVAILABLE", hold) => with("SOLD", hold),
            (Act::Block, "AVAILABLE" | "BLOCKED", hold) => with("BLOCKED", hold),
            (Act::Hold | Act::Buy | Act::Block, "HELD", _) => ("HELD", self),
            (Act::Hold | Act::Buy, "BLOCKED", _) => ("BLOCKED", self),
            (Act::Hold | Act::Buy | Act::Block, _, _) => ("ALREADY_SOLD", self),
            (Act::Extend, ..) if self.hold == "ACTIVE" => ("DONE", self),
            (Act::Release, ..) if self.hold == "ACTIVE" => with("AVAILABLE", "RELEASED"),
            (Act::Extend | Act::Release, _, "RELEASED") => ("HOLD_RELEASED", self),
            (Act::Extend | Act::Release, ..) => ("HOLD_PURCHASED", self),
            (Act::Cancel, _, "PURCHASED") => with("AVAILABLE", "CANCELLED"),
            // Harmless the second time, whoever has the ticket by then.
            (Act::Cancel, ..) => ("DONE", self),
        }
    }
}

on_both_databases! {
    async fn any_two_acts_at_once_end_as_one_after_the_other(database: Database) {
        let server = Server::start(&database).await;
        meet(&[&server, &server], &database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_acts_at_once_at_two_servers_end_as_one_after_the_other() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    meet(&[&servers[0], &servers[1]], &database).await;
}

async fn meet(servers: &[&Server; 2], database: &Database) {
    let pairs: Vec<(Act, Act)> = ACTS
        .iter()
        .flat_map(|first| ACTS.map(|second| (*first, second)))
        .collect();
    let event = seed::seats(&servers[0].client(), pairs.len() * ROUNDS).await;
    rows::set_events(database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
    let clients = [servers[0].client(), servers[1].client()];
    let met = event.tickets.iter().enumerate().map(|(n, ticket)| {
        let (first, second) = pairs[n % pairs.len()];
        meet_at(n, &clients, (&event.id, &ticket.id), first, second)
    });
    let orders: Vec<Outcome> = join_all(met).await.into_iter().flatten().collect();
    rows::assert_conserved(database, &orders).await;
}

/// Two acts at one ticket. Gives the orders that were made, as they are afterwards.
async fn meet_at(
    n: usize,
    clients: &[Client; 2],
    ticket: (&str, &str),
    first: Act,
    second: Act,
) -> Vec<Outcome> {
    let (event, ticket) = ticket;
    let ada = clients
        .each_ref()
        .map(|client| client.customer(&format!("ada {n}")));
    let before = ada[0].hold_tickets(&[ticket], "hold").await.held();
    let mut start = State {
        ticket: "HELD",
        hold: "ACTIVE",
    };
    let mut order = None;
    if [first, second].contains(&Act::Cancel) {
        order = Some(ada[0].purchase_hold(&before.id, "buy").await.sold());
        start = State {
            ticket: "SOLD",
            hold: "PURCHASED",
        };
    } else if ![first, second]
        .iter()
        .any(|act| [Act::Extend, Act::Release].contains(act))
    {
        ada[0].release_hold(&before.id, None, "back").await.held();
        start = State {
            ticket: "AVAILABLE",
            hold: "RELEASED",
        };
    }
    let other = |place: usize| clients[place].customer(&format!("other {n} {place}"));
    let (told_first, told_second) = join(
        act(
            first,
            &ada[0],
            &other(0),
            (event, ticket),
            &before,
            order.as_ref(),
            "first",
        ),
        act(
            second,
            &ada[1],
            &other(1),
            (event, ticket),
            &before,
            order.as_ref(),
            "second",
        ),
    )
    .await;

    let document = "query($id: ID!) { node(id: $id) { ... on Ticket { status } } }";
    let data = clients[0].data(document, json!({ "id": ticket })).await;
    let seen = (
        told_first.0.as_str(),
        told_second.0.as_str(),
        data["node"]["status"].as_str().unwrap(),
    );
    let one_after_the_other = {
        let (first_told, between) = start.after(first);
        let (second_told, end) = between.after(second);
        (first_told, second_told, end.ticket)
    };
    let the_other_way = {
        let (second_told, between) = start.after(second);
        let (first_told, end) = between.after(first);
        (first_told, second_told, end.ticket)
    };
    assert!(
        [one_after_the_other, the_other_way].contains(&seen),
        "{first:?} and {second:?}: {seen:?}, but {one_after_the_other:?} or {the_other_way:?} is possible"
    );

    let cancelled = [&told_first.1, &told_second.1]
        .into_iter()
        .flatten()
        .find(|made| Some(&made.id) == order.as_ref().map(|order| &order.id))
        .cloned();
    let bought = [told_first.1, told_second.1]
        .into_iter()
        .flatten()
        .filter(|made| Some(&made.id) != order.as_ref().map(|order| &order.id));
    bought.chain(cancelled).map(Outcome::Sold).collect()
}

/// What it was told, and the order if there is one.
async fn act(
    act: Act,
    ada: &Client,
    other: &Client,
    (event, ticket): (&str, &str),
    hold: &Hold,
    order: Option<&Order>,
    key: &str,
) -> (String, Option<Order>) {
    let of_hold = |outcome: HoldOutcome| match outcome {
        HoldOutcome::Held(_) => ("DONE".to_owned(), None),
        HoldOutcome::Refused(code) | HoldOutcome::Fault(code) => (code, None),
    };
    let of_order = |outcome: Outcome| match outcome {
        Outcome::Sold(order) => ("DONE".to_owned(), Some(order)),
        Outcome::Refused(code) | Outcome::Fault(code) => (code, None),
    };
    match act {
        Act::Hold => of_hold(other.hold_tickets(&[ticket], key).await),
        Act::Buy => of_order(other.purchase_ticket(ticket, key).await),
        Act::Extend => of_hold(ada.extend_hold(&hold.id, key).await),
        Act::Release => of_hold(ada.release_hold(&hold.id, None, key).await),
        Act::Cancel => {
            let order = order.expect("who cancels has bought");
            of_order(ada.cancel_order(&order.id, None, None, key).await)
        }
        Act::Block => {
            let input = json!({ "eventId": event, "ticketIds": [ticket], "reason": key });
            let staff = other.organizer("the hall");
            let payload = staff.ask("blockTickets", "tickets { id }", input).await;
            let code = codes(&payload).first().copied().unwrap_or("DONE");
            (code.to_owned(), None)
        }
    }
}
