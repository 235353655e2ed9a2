//! The checkout: tickets are held, and the hold is extended, given back, bought, or its time is over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Outcome, Server,
    client::{HOLD, Hold, HoldOutcome, ORDER, codes},
    eventually, rows, seed,
};

/// For a hold of a second or two to end.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

on_both_databases! {
    async fn what_is_held_is_bought_by_its_holder_alone(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));

        let input = json!({ "tickets": { "ids": ids[..2] }, "idempotencyKey": "seats" });
        let payload = ada.ask("holdTickets", "hold { id status total { amount currency } event { id } order { id } }", input).await;
        let hold = &payload["hold"];
        let id = hold["id"].as_str().unwrap();
        assert_eq!(hold, &json!({ "id": id, "status": "ACTIVE", "total": { "amount": "25.00", "currency": "EUR" },
            "event": { "id": event.id }, "order": null }));

        // A page that was reloaded finds it; nobody else does.
        assert_eq!(holds_of(&ada).await, [id]);
        assert_eq!(holds_of(&bob).await, Vec::<String>::new());
        assert_eq!(read(&bob, id).await, None);
        let status = "query($id: ID!) { node(id: $id) { ... on Ticket { status } } }";
        let seen = bob.data(status, json!({ "id": ids[0] })).await;
        assert_eq!(seen["node"]["status"], "HELD");
        let until = read(&ada, id).await.unwrap().held_until;
        for name in ["purchaseTickets", "holdTickets"] {
            let input = json!({ "tickets": { "ids": [ids[2], ids[1]] }, "idempotencyKey": "k" });
            let result = if name == "holdTickets" { "hold" } else { "order" };
            let selection = format!("{result} {{ id }} alternatives {{ tickets {{ id }} }} refused: userErrors {{ field heldUntil }}");
            let payload = bob.ask(name, &selection, input).await;
            assert_eq!(codes(&payload), ["HELD"], "{payload}");
            assert_eq!(payload["refused"][0]["field"], "tickets.ids.1");
            assert_eq!(instant(&payload["refused"][0]["heldUntil"]), until);
            assert!(payload["alternatives"].is_array(), "{payload}");
        }

        let dearer = json!({ "holdId": id, "idempotencyKey": "buy", "expectedTotal": "24" });
        let payload = ada.ask("purchaseHold", "order { id } refused: userErrors { field total { amount } }", dearer).await;
        assert_eq!(payload["refused"], json!([{ "field": "expectedTotal", "total": { "amount": "25.00" } }]));
        let input = json!({ "holdId": id, "idempotencyKey": "buy", "expectedTotal": "25.00" });
        let payload = ada.ask("purchaseHold", ORDER, input).await;
        assert_eq!(codes(&payload), Vec::<&str>::new(), "{payload}");
        assert_eq!(payload["order"]["total"]["amount"], "25.00");

        let hold = read(&ada, id).await.unwrap();
        assert_eq!((hold.status.as_str(), hold.tickets.len()), ("PURCHASED", 0));
        assert_eq!(holds_of(&ada).await, Vec::<String>::new());
        // Who has lost the answer and the key finds the order in the refusal, also when the sale is over.
        rows::set_events(&database, "sales_open_at = '2000-01-01T00:00:00+00:00', sales_close_at = '2000-01-02T00:00:00+00:00'").await;
        let input = json!({ "holdId": id, "idempotencyKey": "another" });
        for name in ["purchaseHold", "extendHold", "releaseHold"] {
            let again = ada.ask(name, "refused: userErrors { order { id } }", input.clone()).await;
            assert_eq!(codes(&again), ["HOLD_PURCHASED"], "{name}");
            assert_eq!(again["refused"][0]["order"]["id"], payload["order"]["id"], "{name}");
        }
        let order = serde_json::from_value(payload["order"].clone()).unwrap();
        rows::assert_conserved(&database, &[Outcome::Sold(order)]).await;
    }

    async fn the_ticket_of_a_hold_that_is_over_is_bought_at_once_and_not_before(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        rows::set_events(&database, "hold_secs = 1, hold_secs_max = 1").await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let hold = ada.hold_tickets(&ids, "seats").await.held();

        let bought = eventually("the end of the hold", ENDED_WITHIN, async || {
            let input = json!({ "ticketId": ids[0], "idempotencyKey": "mine" });
            let payload = bob.ask("purchaseTicket", "order { placedAt id status total { amount currency } items { id status admissionCode ticket { id } } }", input).await;
            assert!(["HELD"] == codes(&payload)[..] || codes(&payload).is_empty(), "{payload}");
            payload["order"].is_object().then(|| payload["order"].clone())
        }).await;
        assert!(instant(&bought["placedAt"]) >= hold.held_until, "{bought} before {}", hold.held_until);

        for outcome in [ada.extend_hold(&hold.id, "a").await, ada.release_hold(&hold.id, None, "b").await] {
            assert!(outcome.is_refused("HOLD_EXPIRED"), "{outcome:?}");
        }
        let outcome = ada.purchase_hold(&hold.id, "c").await;
        assert!(outcome.is_refused("HOLD_EXPIRED"), "{outcome:?}");
        let shown = read(&ada, &hold.id).await.unwrap();
        assert_eq!((shown.status.as_str(), shown.tickets.len()), ("EXPIRED", 0));
        // A repeat of the hold tells how it stands by now.
        let repeated = ada.hold_tickets(&ids, "seats").await.held();
        assert_eq!(repeated, shown);
        assert_eq!(holds_of(&ada).await, Vec::<String>::new());
        let order = serde_json::from_value(bought).unwrap();
        rows::assert_conserved(&database, &[Outcome::Sold(order)]).await;
    }

    async fn a_hold_is_extended_to_its_maximum_and_no_further(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        rows::set_events(&database, "hold_secs = 20, hold_secs_max = 21").await;
        let ada = server.client().customer("ada");
        let hold = ada.hold_tickets(&event.ticket_ids(), "seats").await.held();
        assert!(hold.held_until < hold.extendable_until);

        let (mut until, mut extensions) = (hold.held_until, 0);
        eventually("the hold's maximum", ENDED_WITHIN, async || {
            match ada.extend_hold(&hold.id, &format!("extension {extensions}")).await {
                HoldOutcome::Held(hold) => {
                    extensions += 1;
                    assert!(hold.held_until > until || hold.held_until == hold.extendable_until, "{hold:?}");
                    until = hold.held_until;
                    None
                }
                refused => {
                    assert!(refused.is_refused("HOLD_AT_MAXIMUM"), "{refused:?}");
                    Some(())
                }
            }
        }).await;
        assert_eq!(until, hold.extendable_until);
        assert!(extensions > 0);
        let input = json!({ "holdId": hold.id, "idempotencyKey": "k" });
        let payload = ada.ask("extendHold", "refused: userErrors { heldUntil }", input).await;
        assert_eq!(instant(&payload["refused"][0]["heldUntil"]), until);
        let outcome = ada.purchase_hold(&hold.id, "buy").await;
        rows::assert_conserved(&database, &[outcome]).await;
    }

    /// Asked at once, most of them are decided together.
    async fn an_extension_that_was_told_is_kept_by_a_hold_that_is_bought_at_the_same_time(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 16).await;
        rows::set_events(&database, "hold_secs = 600, hold_secs_max = 3600").await;
        let pairs = event.ticket_ids().into_iter().enumerate().map(async |(n, id)| {
            let customer = server.client().customer(&format!("customer {n}"));
            let hold = customer.hold_tickets(&[id], "seat").await.held();
            let (extended, bought) =
                tokio::join!(customer.extend_hold(&hold.id, "longer"), customer.purchase_hold(&hold.id, "buy"));
            let told = match extended {
                HoldOutcome::Held(extended) => extended.held_until,
                refused => {
                    assert!(refused.is_refused("HOLD_PURCHASED"), "{refused:?}");
                    hold.held_until
                }
            };
            assert_eq!(read(&customer, &hold.id).await.unwrap().held_until, told);
            bought
        });
        let bought = futures_util::future::join_all(pairs).await;
        rows::assert_conserved(&database, &bought).await;
    }

    async fn what_is_given_back_is_bought_at_once_and_the_rest_stays_held(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let hold = ada.hold_tickets(&ids, "seats").await.held();

        let rest = ada.release_hold(&hold.id, Some(&ids[..1]), "one").await.held();
        assert_eq!((rest.status.as_str(), rest.ticket_ids()), ("ACTIVE", ids[1..].to_vec()));
        let mut outcomes = vec![bob.purchase_ticket(ids[0], "mine").await];
        let again = ada.release_hold(&hold.id, Some(&ids[..2]), "two").await;
        assert!(again.is_refused("NOT_IN_HOLD"), "{again:?}");
        // All that is left becomes one order: there is no buying a part.
        outcomes.push(ada.purchase_hold(&hold.id, "buy").await);
        assert_eq!(rows::orders(&outcomes)[1].items.len(), 2);

        let event = seed::seats(&server.client(), 1).await;
        let hold = ada.hold_tickets(&event.ticket_ids(), "seats").await.held();
        let over = ada.release_hold(&hold.id, None, "all").await.held();
        assert_eq!((over.status.as_str(), over.tickets.len()), ("RELEASED", 0));
        let outcome = ada.purchase_hold(&hold.id, "too late").await;
        assert!(outcome.is_refused("HOLD_RELEASED"), "{outcome:?}");
        outcomes.push(bob.purchase_ticket(&event.tickets[0].id, "mine").await);
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_repeat_does_it_once_and_another_input_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 4).await;
        let ada = server.client().customer("ada");
        let reused = |outcome: &HoldOutcome| outcome.is_refused("IDEMPOTENCY_KEY_REUSED");

        let hold = ada.hold_any(&event.ticket_type_id, 2, "hold").await;
        assert_eq!(ada.hold_any(&event.ticket_type_id, 2, "hold").await, hold);
        assert!(reused(&ada.hold_any(&event.ticket_type_id, 1, "hold").await));
        let hold = hold.held();
        let other = ada.hold_any(&event.ticket_type_id, 1, "other").await.held();

        let extended = ada.extend_hold(&hold.id, "extend").await;
        assert!(extended.is_held(), "{extended:?}");
        assert_eq!(ada.extend_hold(&hold.id, "extend").await, extended);
        assert!(reused(&ada.extend_hold(&other.id, "extend").await));
        assert!(reused(&ada.release_hold(&hold.id, None, "extend").await));

        let some = [hold.tickets[0].id.as_str()];
        let released = ada.release_hold(&hold.id, Some(&some), "release").await;
        assert_eq!(ada.release_hold(&hold.id, Some(&some), "release").await, released);
        assert!(reused(&ada.release_hold(&hold.id, None, "release").await));
        assert_eq!(released.held().ticket_ids(), [hold.tickets[1].id.as_str()]);

        let bought = ada.purchase_hold(&hold.id, "buy").await;
        assert_eq!(ada.purchase_hold(&hold.id, "buy").await, bought);
        let reused = ada.purchase_hold(&other.id, "buy").await;
        assert!(reused.is_refused("IDEMPOTENCY_KEY_REUSED"), "{reused:?}");
        // What the first key did is told as it stands by now.
        let repeated = ada.hold_any(&event.ticket_type_id, 2, "hold").await.held();
        assert_eq!(repeated.status, "PURCHASED");
        rows::assert_conserved(&database, &[bought]).await;
    }

    async fn somebody_elses_hold_is_nobodys_business(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let hold = ada.hold_tickets(&event.ticket_ids(), "seats").await.held();

        for outcome in [bob.extend_hold(&hold.id, "a").await, bob.release_hold(&hold.id, None, "b").await] {
            assert!(outcome.is_refused("NOT_YOUR_HOLD"), "{outcome:?}");
        }
        let outcome = bob.purchase_hold(&hold.id, "c").await;
        assert!(outcome.is_refused("NOT_YOUR_HOLD"), "{outcome:?}");
        // One's own hold is named, and found from the ticket.
        let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });
        let payload = ada.ask("purchaseTicket", "refused: userErrors { hold { id } }", input).await;
        assert_eq!(codes(&payload), ["HELD_BY_YOU"]);
        assert_eq!(payload["refused"][0]["hold"]["id"], hold.id);
        rows::assert_conserved(&database, &[]).await;
        assert_eq!(read(&ada, &hold.id).await, Some(hold));
    }

    async fn a_hold_that_is_none_and_tickets_that_are_none_are_refused_by_name(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let other = seed::seats(&server.client(), 1).await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let hold = ada.hold_tickets(&ids, "seats").await.held();
        let long = "x".repeat(129);

        for id in ["", "x", &event.id, ids[0], "AAAA"] {
            for name in ["extendHold", "releaseHold", "purchaseHold"] {
                let input = json!({ "holdId": id, "idempotencyKey": "k" });
                assert_refused(&ada.ask(name, "", input).await, &["UNKNOWN_HOLD"], json!("holdId"));
            }
        }
        for name in ["extendHold", "releaseHold", "purchaseHold"] {
            for key in ["", &long, "a\nb"] {
                let input = json!({ "holdId": hold.id, "idempotencyKey": key });
                assert_refused(&ada.ask(name, "", input).await, &["INVALID_IDEMPOTENCY_KEY"], json!("idempotencyKey"));
            }
        }
        let many = vec![ids[0]; 1_001];
        for (tickets, expected, field) in [
            (json!([]), "NO_TICKETS", "ticketIds"),
            (json!([ids[0], "x"]), "UNKNOWN_TICKET", "ticketIds.1"),
            (json!([event.id]), "UNKNOWN_TICKET", "ticketIds.0"),
            (json!([ids[0], ids[1], ids[0]]), "DUPLICATE_TICKET", "ticketIds.2"),
            (json!([ids[0], other.tickets[0].id]), "NOT_IN_HOLD", "ticketIds.1"),
            (json!(many), "TOO_MANY_TICKETS", "ticketIds"),
        ] {
            let input = json!({ "holdId": hold.id, "ticketIds": tickets, "idempotencyKey": "k" });
            assert_refused(&ada.ask("releaseHold", "", input).await, &[expected], json!(field));
        }
        for (tickets, expected, field) in [
            (json!({ "ids": [] }), "NO_TICKETS", "tickets.ids"),
            (json!({ "ids": ["x"] }), "UNKNOWN_TICKET", "tickets.ids.0"),
            (json!({ "ids": [hold.id] }), "UNKNOWN_TICKET", "tickets.ids.0"),
            (json!({ "ids": [ids[0], other.tickets[0].id] }), "MIXED_EVENTS", "tickets.ids.1"),
            (json!({ "ids": many }), "TOO_MANY_TICKETS", "tickets.ids"),
            (json!({ "anyOf": { "ticketTypeId": "x", "quantity": 1 } }), "UNKNOWN_TICKET_TYPE", "tickets.anyOf.ticketTypeId"),
            (json!({ "anyOf": { "ticketTypeId": event.ticket_type_id, "quantity": -1 } }), "NO_TICKETS", "tickets.anyOf.quantity"),
            (json!({ "anyOf": { "ticketTypeId": event.ticket_type_id, "quantity": i32::MAX } }), "TOO_MANY_TICKETS", "tickets.anyOf.quantity"),
            (json!({ "anyOf": { "ticketTypeId": event.ticket_type_id, "quantity": 1 } }), "NOT_ENOUGH_LEFT", "tickets.anyOf.quantity"),
        ] {
            let input = json!({ "tickets": tickets, "idempotencyKey": "k" });
            assert_refused(&ada.ask("holdTickets", "", input).await, &[expected], json!(field));
        }
        rows::assert_conserved(&database, &[]).await;
    }
}

/// On PostgreSQL the moment can be chosen: the holder's purchase waits for the row when the hold ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_ends_while_its_purchase_waits_is_over() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    rows::set_events(&database, "hold_secs = 2, hold_secs_max = 2").await;
    let looking = database.look().await;
    let (ada, bob) = (
        server.client().customer("ada"),
        server.client().customer("bob"),
    );
    let ticket = &event.tickets[0];
    let hold = ada.hold_tickets(&[&ticket.id], "seat").await.held();

    let lock = rows::lock_seat(&looking, ticket.seat.as_ref().unwrap()).await;
    let waiting = async {
        let is_waiting = async || (rows::waiting_for_locks_len(&looking).await > 0).then_some(());
        eventually("the purchase's wait", ENDED_WITHIN, is_waiting).await;
        let is_over = async || (Utc::now() > hold.held_until).then_some(());
        eventually("the end of the hold", ENDED_WITHIN, is_over).await;
        lock.rollback().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(ada.purchase_hold(&hold.id, "buy"), waiting);

    assert!(outcome.is_refused("HOLD_EXPIRED"), "{outcome:?}");
    let outcome = bob.purchase_ticket(&ticket.id, "mine").await;
    rows::assert_conserved(&database, &[outcome]).await;
}

fn assert_refused(payload: &Value, expected: &[&str], field: Value) {
    assert_eq!(codes(payload), expected, "{payload}");
    assert_eq!(payload["userErrors"][0]["field"], field, "{payload}");
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// The ids of what the customer holds, latest first.
async fn holds_of(customer: &Client) -> Vec<String> {
    let document = "{ me { holds { nodes { id } } } }";
    let data = customer.data(document, json!({})).await;
    let holds = data["me"]["holds"]["nodes"].as_array().unwrap();
    holds
        .iter()
        .map(|hold| hold["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A hold by its id, as the customer sees it.
async fn read(customer: &Client, id: &str) -> Option<Hold> {
    let fields = HOLD.strip_prefix("hold").unwrap();
    let document = format!("query($id: ID!) {{ node(id: $id) {{ ... on Hold {fields} }} }}");
    let mut data = customer.data(&document, json!({ "id": id })).await;
    serde_json::from_value(data["node"].take()).unwrap()
}
