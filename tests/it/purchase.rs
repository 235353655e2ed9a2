//! Crowds at the same tickets: nobody shares one, and everybody is answered.

use futures_util::{StreamExt, future::join_all, stream};

use crate::harness::{Database, Outcome, Server, client::Money, rows, seed};

/// Requests in flight at once; as many open files as an ordinary shell allows a process must be enough.
const BUYERS_AT_ONCE_MAX: usize = 400;

on_both_databases! {
    async fn last_seat_goes_to_exactly_one_of_500_buyers(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let seat = event.tickets[0].id.as_str();

        let client = server.client();
        let buyers: Vec<_> = (0..500).map(|n| client.customer(&format!("buyer {n}"))).collect();
        let outcomes = join_all(buyers.iter().map(|buyer| buyer.purchase_ticket(seat, "the seat"))).await;

        assert_eq!(rows::orders(&outcomes).len(), 1);
        let refused = outcomes.iter().filter(|outcome| outcome.is_refused("ALREADY_SOLD")).count();
        assert_eq!(refused, 499, "{:?}", others(&outcomes, "ALREADY_SOLD"));
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn an_order_says_what_was_bought_and_for_how_much(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ids = event.ticket_ids();

        let order = server.client().customer("ada").purchase_tickets(&ids, "both").await.sold();

        assert_eq!(order.status, "CONFIRMED");
        assert_eq!(order.total, Money { amount: "25.00".into(), currency: "EUR".into() });
        let mut bought: Vec<&str> = order.items.iter().map(|item| item.ticket.id.as_str()).collect();
        bought.sort_unstable();
        let mut asked = ids.clone();
        asked.sort_unstable();
        assert_eq!(bought, asked);
    }

    async fn an_order_gets_all_of_its_tickets_or_none(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let mut outcomes = vec![ada.purchase_ticket(ids[0], "one").await];

        let refused = bob.purchase_tickets(&ids, "both").await;
        assert!(refused.is_refused("ALREADY_SOLD"), "{refused:?}");

        outcomes.push(bob.purchase_ticket(ids[1], "the other").await);
        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn places_are_sold_to_the_last_and_no_further(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 50).await;

        let client = server.client();
        let buyers: Vec<_> = (0..40).map(|n| client.customer(&format!("buyer {n}"))).collect();
        let outcomes =
            join_all(buyers.iter().map(|buyer| buyer.purchase_any(&event.ticket_type_id, 2, "two"))).await;

        assert_eq!(rows::orders(&outcomes).len(), 25);
        let refused = outcomes.iter().filter(|outcome| outcome.is_refused("NOT_ENOUGH_LEFT")).count();
        assert_eq!(refused, 15, "{:?}", others(&outcomes, "NOT_ENOUGH_LEFT"));
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn another_price_than_expected_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let ada = server.client().customer("ada");
        let buy = async |expected: &str| {
            let input = serde_json::json!({
                "ticketId": event.tickets[0].id, "idempotencyKey": expected, "expectedTotal": expected,
            });
            ada.purchase(crate::harness::client::PURCHASE_TICKET, "purchaseTicket", input).await
        };

        let dearer = buy("12.49").await;
        assert!(dearer.is_refused("PRICE_CHANGED"), "{dearer:?}");
        buy("12.5").await.sold();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_database_sell_every_seat_once() {
    const SEATS: usize = 100;
    const BUYERS: usize = 2_000;
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), SEATS).await;

    let clients = [servers[0].client(), servers[1].client()];
    let wishes: Vec<usize> = (0..BUYERS).map(|_| rand::random_range(0..SEATS)).collect();
    let outcomes: Vec<Outcome> = stream::iter(wishes.iter().enumerate())
        .map(|(n, &seat)| {
            let buyer = clients[n % 2].customer(&format!("buyer {n}"));
            let ticket = &event.tickets[seat].id;
            async move { buyer.purchase_ticket(ticket, "mine").await }
        })
        .buffer_unordered(BUYERS_AT_ONCE_MAX)
        .collect()
        .await;

    let sold = rows::orders(&outcomes).len();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Refused(_)))
        .count();
    assert_eq!(
        sold + refused,
        BUYERS,
        "{:?}",
        others(&outcomes, "ALREADY_SOLD")
    );
    let wished: std::collections::HashSet<_> = wishes.iter().collect();
    assert_eq!(sold, wished.len(), "every seat that was asked for was sold");
    rows::assert_conserved(&database, &outcomes).await;
}

/// The answers that are neither sales nor the expected refusal, for the message of a failed test.
fn others<'a>(outcomes: &'a [Outcome], expected: &str) -> Vec<&'a Outcome> {
    outcomes
        .iter()
        .filter(|outcome| !outcome.is_sold() && !outcome.is_refused(expected))
        .take(5)
        .collect()
}
