//! After the sale: orders are cancelled, whole or in part, and their tickets sold again.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Outcome, Server,
    client::{ORDER, Order, codes},
    rows, seed,
};

on_both_databases! {
    /// The search for any free ticket begins after the one that was picked last, and must come round.
    async fn whoever_wants_any_ticket_gets_one_that_came_back_behind_the_last_pick(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 6).await;
        cancellable_for(&database, TimeDelta::hours(1)).await;
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let mut outcomes = Vec::new();
        for n in 0..6 {
            outcomes.push(ada.purchase_any(&event.ticket_type_id, 1, &format!("{n}")).await);
        }
        assert!(bob.purchase_any(&event.ticket_type_id, 1, "none").await.is_refused("NOT_ENOUGH_LEFT"));
        for (n, key) in [(1, "second"), (4, "fifth"), (0, "first")] {
            let order = rows::orders(&outcomes)[n].clone();
            ada.cancel_order(&order.id, None, None, key).await.sold();
            let again = bob.purchase_any(&event.ticket_type_id, 1, key).await.sold();
            assert_eq!(again.items[0].ticket.id, order.items[0].ticket.id);
        }
        assert!(bob.purchase_any(&event.ticket_type_id, 1, "none").await.is_refused("NOT_ENOUGH_LEFT"));
        let two = bob.hold_any(&event.ticket_type_id, 2, "two").await;
        assert!(two.is_refused("NOT_ENOUGH_LEFT"), "{two:?}");
    }

    async fn a_cancelled_orders_ticket_is_sold_again_with_another_code(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        cancellable_for(&database, TimeDelta::hours(1)).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let first = ada.purchase_tickets(&ids, "seats").await.sold();

        let selection = "order { id status total { amount currency } cancelledTotal { amount }
            items { id status admissionCode cancelledAt cancelReason ticket { id status } } }";
        let input = json!({ "orderId": first.id, "reason": "cannot come", "idempotencyKey": "cancel" });
        let payload = ada.ask("cancelOrder", selection, input).await;
        let order = &payload["order"];
        assert_eq!(order["status"], "CANCELLED", "{payload}");
        // What was paid and what is given back.
        assert_eq!((&order["total"]["amount"], &order["cancelledTotal"]["amount"]), (&json!("25.00"), &json!("25.00")));
        for item in order["items"].as_array().unwrap() {
            assert_eq!((&item["status"], &item["admissionCode"]), (&json!("CANCELLED"), &Value::Null));
            assert_eq!((&item["cancelReason"], &item["ticket"]["status"]), (&json!("cannot come"), &json!("AVAILABLE")));
            assert!(item["cancelledAt"].is_string());
        }
        let cancelled: Order = serde_json::from_value(order.clone()).unwrap();

        let again = bob.purchase_tickets(&ids, "seats").await;
        let codes_of = |order: &Order| order.items.iter().map(|item| item.admission_code.clone().unwrap()).collect::<Vec<_>>();
        let (old, new) = (codes_of(&first), codes_of(rows::orders(std::slice::from_ref(&again))[0]));
        assert!(new.iter().all(|code| !old.contains(code)), "the old codes are dead");
        // The purchase repeated shows the order as it is now.
        assert_eq!(ada.purchase_tickets(&ids, "seats").await, Outcome::Sold(cancelled.clone()));
        rows::assert_conserved(&database, &[Outcome::Sold(cancelled), again]).await;
    }

    async fn customers_cancel_only_as_long_as_their_event_allows_it(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let ada = server.client().customer("ada");
        let outcome = ada.purchase_ticket(&event.tickets[0].id, "seat").await;
        let order = outcome.clone().sold();

        let never = ada.cancel_order(&order.id, None, None, "k").await;
        assert!(never.is_refused("NOT_CANCELLABLE"), "{never:?}");
        cancellable_for(&database, -TimeDelta::seconds(1)).await;
        let too_late = ada.cancel_order(&order.id, None, None, "k").await;
        assert!(too_late.is_refused("NOT_CANCELLABLE"), "{too_late:?}");
        rows::assert_conserved(&database, &[outcome]).await;

        cancellable_for(&database, TimeDelta::hours(1)).await;
        let cancelled = ada.cancel_order(&order.id, None, None, "k").await;
        assert_eq!(rows::orders(std::slice::from_ref(&cancelled))[0].status, "CANCELLED");
        // Cancelling twice is harmless, under the same key and under another, also when the time is over.
        cancellable_for(&database, -TimeDelta::seconds(1)).await;
        for key in ["k", "l"] {
            assert_eq!(ada.cancel_order(&order.id, None, None, key).await, cancelled);
        }
        let reused = ada.cancel_order(&order.id, None, Some("because"), "k").await;
        assert!(reused.is_refused("IDEMPOTENCY_KEY_REUSED"), "{reused:?}");
        rows::assert_conserved(&database, &[cancelled]).await;
    }

    async fn staff_cancel_at_any_time_and_say_why(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        // An event of another organizer, so that they are one.
        let _other = seed::places(&server.client(), 1).await;
        let client = server.client();
        let (ada, staff) = (client.customer("ada"), client.organizer("the hall"));
        let outcome = ada.purchase_tickets(&event.ticket_ids(), "seats").await;
        let order = outcome.clone().sold();

        for other in [client.customer("bob"), client.organizer("the meadow"), client.organizer("ada")] {
            let refused = other.cancel_order(&order.id, None, Some("why not"), "k").await;
            assert!(refused.is_refused("UNKNOWN_ORDER"), "{refused:?}");
        }
        assert_refused(&cancel(&staff, json!({ "orderId": order.id })).await, "REASON_REQUIRED", "reason");
        rows::assert_conserved(&database, &[outcome]).await;

        let one = [order.items[0].id.as_str()];
        let left = staff.cancel_order(&order.id, Some(&one), Some("the seat is broken"), "k").await.sold();
        assert_eq!(left.status, "CONFIRMED");
        assert_eq!(left.items[0].status, "CANCELLED");
        assert_eq!((left.items[1].status.as_str(), &left.items[1].admission_code), ("ACTIVE", &None),
            "what the door scans is for the customer alone");
        let mine = ada.purchase_tickets(&event.ticket_ids(), "seats").await;
        assert_eq!(rows::orders(std::slice::from_ref(&mine))[0].items[1].admission_code, order.items[1].admission_code);
        rows::assert_conserved(&database, &[mine]).await;
    }

    async fn an_order_is_cancelled_item_by_item(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        cancellable_for(&database, TimeDelta::hours(1)).await;
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let order = ada.purchase_tickets(&event.ticket_ids(), "seats").await.sold();
        let items: Vec<&str> = order.items.iter().map(|item| item.id.as_str()).collect();

        let input = json!({ "orderId": order.id, "itemIds": items[..1], "idempotencyKey": "one" });
        let selection = "order { status total { amount } cancelledTotal { amount } items { status } }";
        let payload = ada.ask("cancelOrder", selection, input).await;
        assert_eq!(payload["order"], json!({ "status": "CONFIRMED", "total": { "amount": "37.50" },
            "cancelledTotal": { "amount": "12.50" },
            "items": [{ "status": "CANCELLED" }, { "status": "ACTIVE" }, { "status": "ACTIVE" }] }));
        let bought = bob.purchase_ticket(&order.items[0].ticket.id, "mine").await;
        // One that is cancelled already among those that are not: the second owner keeps the ticket.
        let left = ada.cancel_order(&order.id, Some(&items[..2]), None, "two").await.sold();
        assert_eq!(left.status, "CONFIRMED");
        rows::assert_conserved(&database, &[Outcome::Sold(left), bought.clone()]).await;
        let nothing = ada.cancel_order(&order.id, None, None, "all").await.sold();
        assert_eq!(nothing.status, "CANCELLED");
        rows::assert_conserved(&database, &[Outcome::Sold(nothing), bought]).await;
    }

    async fn what_names_no_order_and_no_item_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let other = seed::seats(&server.client(), 1).await;
        cancellable_for(&database, TimeDelta::hours(1)).await;
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let outcomes = [
            ada.purchase_ticket(&event.tickets[0].id, "seat").await,
            bob.purchase_ticket(&event.tickets[1].id, "seat").await,
            ada.purchase_ticket(&other.tickets[0].id, "seat").await,
        ];
        let [mine, bobs, elsewhere] = rows::orders(&outcomes)[..] else { panic!("{outcomes:?}") };
        let item = &mine.items[0].id;

        for id in ["", "x", &event.id, item, &bobs.id] {
            assert_refused(&cancel(&ada, json!({ "orderId": id })).await, "UNKNOWN_ORDER", "orderId");
        }
        for (items, code, field) in [
            (json!([]), "NO_ITEMS", "itemIds"),
            (json!([item, "x"]), "UNKNOWN_ITEM", "itemIds.1"),
            (json!([mine.id]), "UNKNOWN_ITEM", "itemIds.0"),
            (json!([item, bobs.items[0].id]), "UNKNOWN_ITEM", "itemIds.1"),
            (json!([item, elsewhere.items[0].id]), "UNKNOWN_ITEM", "itemIds.1"),
            (json!([item, item]), "DUPLICATE_ITEM", "itemIds.1"),
            (json!(vec![item; 1_001]), "TOO_MANY_ITEMS", "itemIds"),
        ] {
            assert_refused(&cancel(&ada, json!({ "orderId": mine.id, "itemIds": items })).await, code, field);
        }
        for reason in ["", "  ", "two\nlines", &"x".repeat(501), &"x".repeat(100_000)] {
            assert_refused(&cancel(&ada, json!({ "orderId": mine.id, "reason": reason })).await, "INVALID_REASON", "reason");
        }
        for key in ["", &"x".repeat(129)] {
            let input = json!({ "orderId": mine.id, "idempotencyKey": key });
            assert_refused(&cancel(&ada, input).await, "INVALID_IDEMPOTENCY_KEY", "idempotencyKey");
        }
        rows::assert_conserved(&database, &outcomes).await;
    }
}

/// Customers may cancel for so long from now, or could so long ago.
async fn cancellable_for(database: &Database, time: TimeDelta) {
    let until = (Utc::now() + time).format("%Y-%m-%dT%H:%M:%S%.6f+00:00");
    rows::set_events(database, &format!("cancellable_until = '{until}'")).await;
}

async fn cancel(caller: &Client, mut input: Value) -> Value {
    if input["idempotencyKey"].is_null() {
        input["idempotencyKey"] = json!("k");
    }
    caller.ask("cancelOrder", ORDER, input).await
}

fn assert_refused(payload: &Value, code: &str, field: &str) {
    assert_eq!(codes(payload), [code], "{payload}");
    assert_eq!(payload["userErrors"][0]["field"], field, "{payload}");
    assert_eq!(payload["order"], Value::Null);
}
