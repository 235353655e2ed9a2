//! What one customer may have of an event, also when they ask for everything at once.

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::harness::{Client, Database, Outcome, Server, client::codes, rows, seed};

/// Requests in flight at once.
const AT_ONCE_MAX: usize = 100;

on_both_databases! {
    async fn owned_and_held_tickets_count_together_and_cancelling_gives_the_allowance_back(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        rows::set_events(&database, "tickets_per_customer_max = 4, cancellable_until = '2999-01-01T00:00:00+00:00'").await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let order = ada.purchase_tickets(&ids[..2], "two").await.sold();
        let hold = ada.hold_tickets(&ids[2..3], "one").await.held();

        for name in ["purchaseTickets", "holdTickets"] {
            let input = json!({ "tickets": { "ids": ids[4..6] }, "idempotencyKey": "k" });
            let payload = ada.ask(name, "refused: userErrors { left field }", input).await;
            assert_eq!(codes(&payload), ["CUSTOMER_LIMIT"], "{name}");
            assert_eq!(payload["refused"], json!([{ "left": 1, "field": "tickets.ids" }]), "{name}");
        }
        // What is held counts once when it is bought.
        let last = ada.purchase_ticket(ids[3], "last").await;
        let held = ada.purchase_hold(&hold.id, "buy").await;
        assert!(held.is_sold(), "{held:?}");
        let refused = ada.purchase_ticket(ids[4], "more").await;
        assert!(refused.is_refused("CUSTOMER_LIMIT"), "{refused:?}");

        let one = [order.items[0].id.as_str()];
        let left = ada.cancel_order(&order.id, Some(&one), None, "cancel").await;
        let more = ada.purchase_ticket(ids[4], "more").await;
        assert!(more.is_sold(), "{more:?}");
        rows::assert_conserved(&database, &[left, last, held, more]).await;
    }

    async fn nobody_holds_more_at_a_time_than_the_event_allows(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 6).await;
        rows::set_events(&database, "held_per_customer_max = 3").await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let hold = ada.hold_tickets(&ids[..2], "two").await.held();

        let input = json!({ "tickets": { "ids": ids[2..4] }, "idempotencyKey": "k" });
        let payload = ada.ask("holdTickets", "refused: userErrors { left field }", input).await;
        assert_eq!(codes(&payload), ["TOO_MANY_HELD"]);
        assert_eq!(payload["refused"], json!([{ "left": 1, "field": "tickets.ids" }]));
        ada.release_hold(&hold.id, Some(&ids[..1]), "one back").await.held();
        ada.hold_tickets(&ids[2..4], "k").await.held();
        let outcome = ada.purchase_tickets(&ids[4..], "buying is another thing").await;
        rows::assert_conserved(&database, &[outcome]).await;
    }

    async fn a_limit_holds_when_everything_is_asked_for_at_once(database: Database) {
        let server = Server::start(&database).await;
        fire_at(&[&server], &database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_when_two_servers_are_asked_at_once() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    fire_at(&[&servers[0], &servers[1]], &database).await;
}

/// One customer asks for 200 tickets at once, each in an order of its own, and may have four.
async fn fire_at(servers: &[&Server], database: &Database) {
    const ASKED: usize = 200;
    const MAX: usize = 4;
    let event = seed::seats(&servers[0].client(), ASKED).await;
    rows::set_events(database, &format!("tickets_per_customer_max = {MAX}")).await;
    let ada: Vec<Client> = servers
        .iter()
        .map(|server| server.client().customer("ada"))
        .collect();
    let mut outcomes: Vec<Outcome> = stream::iter(event.tickets.iter().enumerate())
        .map(|(n, ticket)| {
            let ada = &ada[n % ada.len()];
            async move { ada.purchase_ticket(&ticket.id, &format!("key {n}")).await }
        })
        .buffer_unordered(AT_ONCE_MAX)
        .collect()
        .await;
    assert_eq!(rows::orders(&outcomes).len(), MAX);
    let is_strange =
        |outcome: &&Outcome| !outcome.is_sold() && !outcome.is_refused("CUSTOMER_LIMIT");
    let others: Vec<_> = outcomes.iter().filter(is_strange).collect();
    assert!(others.is_empty(), "{others:?}");
    outcomes.retain(Outcome::is_sold);
    rows::assert_conserved(database, &outcomes).await;
}
