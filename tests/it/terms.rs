//! The terms on which an event is sold, and what changing them leaves alone.

use chrono::{TimeDelta, Utc};
use rowlock::entity::event;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};

use crate::{
    catalogue::{add_seats, cancel_by_hand, id, range, remove, row, with},
    harness::{Client, Database, Server, client::codes, seed},
};

const TERMS: &str = "event { id version holdSeconds holdSecondsMax heldPerCustomerMax ticketsPerCustomerMax cancellableUntil }";

async fn create(organizer: &Client, change: Value) -> Value {
    let input = with(seed::event_input(), change);
    organizer.ask("createEvent", TERMS, input).await
}

/// Changes the event as it is now.
async fn update(organizer: &Client, event_id: &str, change: Value) -> Value {
    let document = "query($id: ID!) { event(by: { id: $id }) { version } }";
    let version =
        organizer.data(document, json!({ "id": event_id })).await["event"]["version"].take();
    let input = with(json!({ "id": event_id, "version": version }), change);
    organizer.ask("updateEvent", TERMS, input).await
}

/// Highest limits ever in force: held, and owned and held.
async fn ever(database: &Database) -> (i32, Option<i32>) {
    let rows = database.look().await;
    let event = event::Entity::find().one(&rows).await.unwrap().unwrap();
    rows.close().await.unwrap();
    (
        event.held_per_customer_ever,
        event.tickets_per_customer_ever,
    )
}

on_both_databases! {
    async fn terms_have_bounds_and_both_ends_are_allowed(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let drafted = create(&organizer, json!({})).await;
        let (hold, held) = (&drafted["event"]["holdSeconds"], &drafted["event"]["heldPerCustomerMax"]);
        assert_eq!((hold, &drafted["event"]["holdSecondsMax"], held), (&json!(600), &json!(1800), &json!(10)));
        assert_eq!(drafted["event"]["ticketsPerCustomerMax"], Value::Null);
        assert_eq!(drafted["event"]["cancellableUntil"], Value::Null);
        let event_id = id(&drafted["event"]).to_owned();

        for allowed in [
            json!({ "holdSeconds": 1, "holdSecondsMax": 1 }),
            json!({ "holdSeconds": 86400, "holdSecondsMax": 86400 }),
            json!({ "holdSeconds": 600, "holdSecondsMax": 600 }),
            json!({ "heldPerCustomerMax": 0 }),
            json!({ "heldPerCustomerMax": 1000 }),
            json!({ "ticketsPerCustomerMax": 1 }),
            json!({ "ticketsPerCustomerMax": 1_000_000 }),
            json!({ "cancellableUntil": "1970-01-01T00:00:00Z" }),
            json!({ "cancellableUntil": "9999-12-31T23:59:59.999999Z" }),
        ] {
            for payload in [create(&organizer, allowed.clone()).await, update(&organizer, &event_id, allowed.clone()).await] {
                assert_eq!(codes(&payload), Vec::<&str>::new(), "{allowed}");
                for (field, value) in allowed.as_object().unwrap() {
                    let same = value.as_str().map_or(value.clone(), |text| json!(text.replace('Z', "+00:00")));
                    let read = &payload["event"][field];
                    assert!(read == value || read == &same, "{field}: {read}, not {value}");
                }
            }
        }
        for (refused, code, field) in [
            (json!({ "holdSeconds": 0 }), "INVALID_HOLD_LENGTH", "holdSeconds"),
            (json!({ "holdSeconds": 86401 }), "INVALID_HOLD_LENGTH", "holdSeconds"),
            (json!({ "holdSeconds": 600, "holdSecondsMax": 599 }), "INVALID_HOLD_LENGTH", "holdSecondsMax"),
            (json!({ "holdSecondsMax": 86401 }), "INVALID_HOLD_LENGTH", "holdSecondsMax"),
            (json!({ "heldPerCustomerMax": -1 }), "INVALID_HELD_PER_CUSTOMER", "heldPerCustomerMax"),
            (json!({ "heldPerCustomerMax": 1001 }), "INVALID_HELD_PER_CUSTOMER", "heldPerCustomerMax"),
            (json!({ "ticketsPerCustomerMax": 0 }), "INVALID_TICKETS_PER_CUSTOMER", "ticketsPerCustomerMax"),
            (json!({ "ticketsPerCustomerMax": 1_000_001 }), "INVALID_TICKETS_PER_CUSTOMER", "ticketsPerCustomerMax"),
            (json!({ "cancellableUntil": "1969-12-31T23:59:59Z" }), "INVALID_CANCELLABLE_UNTIL", "cancellableUntil"),
        ] {
            for payload in [create(&organizer, refused.clone()).await, update(&organizer, &event_id, refused.clone()).await] {
                assert_eq!((codes(&payload), &payload["userErrors"][0]["field"]), (vec![code], &json!(field)), "{refused}");
                assert_eq!(payload["event"], Value::Null);
            }
        }
        // A longer hold needs no maximum of its own when it is created.
        assert_eq!(create(&organizer, json!({ "holdSeconds": 3600 })).await["event"]["holdSecondsMax"], 3600);
    }

    async fn what_is_absent_stays_and_null_lifts(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let until = "2027-01-01T00:00:00Z";
        let drafted = create(&organizer, json!({ "ticketsPerCustomerMax": 4, "cancellableUntil": until })).await;
        let event_id = id(&drafted["event"]);
        let renamed = update(&organizer, event_id, json!({ "name": "Renamed" })).await;
        assert_eq!(renamed["event"], with(drafted["event"].clone(), json!({ "version": 2 })));
        let lifted = update(&organizer, event_id, json!({ "ticketsPerCustomerMax": null })).await;
        assert_eq!(lifted["event"], with(drafted["event"].clone(), json!({ "version": 3, "ticketsPerCustomerMax": null })));
        let closed = update(&organizer, event_id, json!({ "cancellableUntil": null })).await;
        assert_eq!(closed["event"], with(lifted["event"].clone(), json!({ "version": 4, "cancellableUntil": null })));
        // Null says nothing where there is no "without".
        let same = update(&organizer, event_id, json!({ "holdSeconds": null, "heldPerCustomerMax": null })).await;
        assert_eq!(same["event"], with(closed["event"].clone(), json!({ "version": 5 })));
    }

    async fn the_highest_limit_that_customers_ever_had_is_remembered(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let drafted = create(&organizer, json!({ "heldPerCustomerMax": 50, "ticketsPerCustomerMax": 50 })).await;
        let event_id = id(&drafted["event"]);
        let set = async |held: i32, owned: Option<i32>| {
            let change = json!({ "heldPerCustomerMax": held, "ticketsPerCustomerMax": owned });
            assert_eq!(codes(&update(&organizer, event_id, change).await), Vec::<&str>::new());
            ever(&database).await
        };
        assert_eq!(ever(&database).await, (50, Some(50)));
        assert_eq!(set(60, None).await, (60, None), "a draft's limits bind nobody");
        assert_eq!(set(5, Some(6)).await, (5, Some(6)));
        seed::publish(&organizer, event_id).await;
        assert_eq!(ever(&database).await, (5, Some(6)));
        assert_eq!(set(7, Some(8)).await, (7, Some(8)));
        assert_eq!(set(0, Some(1)).await, (7, Some(8)), "what was allowed once may be there");
        assert_eq!(codes(&update(&organizer, event_id, json!({ "name": "Renamed" })).await), Vec::<&str>::new());
        assert_eq!(ever(&database).await, (7, Some(8)));
        assert_eq!(set(9, None).await, (9, None));
        assert_eq!(set(8, Some(1_000_000)).await, (9, None), "there was a time without a limit");
    }

    async fn of_a_cancelled_event_only_the_texts_can_be_changed(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 2).await;
        let organizer = server.client().organizer("the hall");
        cancel_by_hand(&database).await;
        for refused in [
            json!({ "startsAt": "2030-01-01T00:00:00Z" }), json!({ "salesOpenAt": "2020-01-01T00:00:00Z" }),
            json!({ "salesCloseAt": "2030-01-01T00:00:00Z" }), json!({ "ticketsPerOrderMax": 1 }), json!({ "holdSeconds": 1 }),
            json!({ "holdSecondsMax": 1800 }), json!({ "heldPerCustomerMax": 1 }), json!({ "ticketsPerCustomerMax": null }),
            json!({ "cancellableUntil": null }), json!({ "name": "Renamed", "ticketsPerCustomerMax": 1 }),
        ] {
            let payload = update(&organizer, &seeded.id, refused.clone()).await;
            assert_eq!(codes(&payload), ["EVENT_CANCELLED"], "{refused}");
            let field = payload["userErrors"][0]["field"].as_str().unwrap();
            assert!(refused.get(field).is_some() && field != "name", "{field}");
        }
        let texts = json!({ "slug": "called-off", "name": "Called off", "description": "Refunds at the box office.", "venue": "None" });
        assert_eq!(codes(&update(&organizer, &seeded.id, texts).await), Vec::<&str>::new());

        let price = json!({ "id": seeded.ticket_type_id, "version": 1, "price": "1" });
        assert_eq!(codes(&organizer.ask("updateTicketType", "ticketType { id }", price).await), ["EVENT_CANCELLED"]);
        assert_eq!(codes(&remove(&organizer, &seeded.id, &seeded.ticket_ids()).await), ["EVENT_CANCELLED"]);
        let rows = json!([row("S", "Z", range(1, 1))]);
        assert_eq!(codes(&add_seats(&organizer, &seeded.ticket_type_id, rows).await), ["EVENT_CANCELLED"]);
    }

    async fn prices_and_windows_change_on_sale_and_what_is_sold_stays(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 3).await;
        let organizer = server.client().organizer("the hall");
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let before = ada.purchase_ticket(&seeded.tickets[0].id, "before").await.sold();
        let document = "query($id: ID!) { order(id: $id) { status placedAt total { amount }
            items { status ticketTypeName seatLabel admissionCode unitPrice { amount } } } }";
        let order = async || ada.data(document, json!({ "id": before.id })).await;
        let as_sold = order().await;
        assert_eq!(as_sold["order"]["items"][0]["unitPrice"]["amount"], "12.50");
        assert_eq!(as_sold["order"]["items"][0]["ticketTypeName"], "Regular");

        let change = json!({ "id": seeded.ticket_type_id, "version": 1, "price": "99", "name": "Late" });
        assert_eq!(codes(&organizer.ask("updateTicketType", "ticketType { id }", change).await), Vec::<&str>::new());
        let after = bob.purchase_ticket(&seeded.tickets[1].id, "after").await.sold();
        assert_eq!(after.total.amount, "99.00");
        let late = bob.data(document, json!({ "id": after.id })).await;
        assert_eq!(late["order"]["items"][0]["ticketTypeName"], "Late");

        let now = Utc::now();
        let window = |opens: i64, closes: i64| json!({ "salesOpenAt": now + TimeDelta::hours(opens), "salesCloseAt": now + TimeDelta::hours(closes) });
        for (change, refusal) in [(window(1, 2), "NOT_ON_SALE_YET"), (window(-2, -1), "SALE_OVER")] {
            assert_eq!(codes(&update(&organizer, &seeded.id, change).await), Vec::<&str>::new());
            let refused = bob.purchase_ticket(&seeded.tickets[2].id, "window").await;
            assert!(refused.is_refused(refusal), "{refused:?}");
        }
        assert_eq!(ada.purchase_ticket(&seeded.tickets[0].id, "before").await.sold(), before, "the key still answers");
        assert_eq!(codes(&update(&organizer, &seeded.id, window(-2, 1)).await), Vec::<&str>::new());
        bob.purchase_ticket(&seeded.tickets[2].id, "window").await.sold();
        assert_eq!(order().await, as_sold);
    }

    async fn a_ticket_says_until_when_it_is_held_and_to_its_organizer_why_it_is_blocked(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let seeded = seed::seats(&client, 4).await;
        let hand = database.connect().await;
        let hold = |seat: usize, until: &str| {
            let hold_id = match database {
                Database::Postgres { .. } => "gen_random_uuid()",
                Database::Sqlite { .. } => "randomblob(16)",
            };
            format!("UPDATE tickets SET status = 'HELD', hold_id = {hold_id}, held_until = '{until}' WHERE seat_label = '{seat}'")
        };
        for statement in [
            hold(1, "2999-01-01T00:00:00+00:00"),
            // Long over; whether it was tidied already makes no difference.
            hold(2, "2001-01-01T00:00:00+00:00"),
            "UPDATE tickets SET status = 'BLOCKED', block_reason = 'camera' WHERE seat_label = '3'".to_owned(),
        ] {
            hand.execute_unprepared(&statement).await.unwrap();
        }
        hand.close().await.unwrap();
        let document = "query($id: ID!, $ids: [ID!]!) { event(by: { id: $id }) { tickets { nodes { status heldUntil blockReason } } }
            nodes(ids: $ids) { ... on Ticket { status heldUntil blockReason } } }";
        let look = async |caller: &Client| {
            let data = caller.data(document, json!({ "id": seeded.id, "ids": seeded.ticket_ids() })).await;
            assert_eq!(data["event"]["tickets"]["nodes"], data["nodes"]);
            data["nodes"].clone()
        };
        let free = json!({ "status": "AVAILABLE", "heldUntil": null, "blockReason": null });
        let held = json!({ "status": "HELD", "heldUntil": "2999-01-01T00:00:00+00:00", "blockReason": null });
        let blocked = |why: Value| json!({ "status": "BLOCKED", "heldUntil": null, "blockReason": why });
        let others = [client.clone(), client.customer("ada"), client.customer("the hall"), client.organizer("another hall")];
        for other in &others {
            assert_eq!(look(other).await, json!([held, free, blocked(Value::Null), free]));
        }
        assert_eq!(look(&client.organizer("the hall")).await, json!([held, free, blocked(json!("camera")), free]));
    }
}
