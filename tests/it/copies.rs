//! Events copied with their seats: whole, hidden until then, or not at all.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use rowlock::entity::{event, ticket, ticket_import, ticket_type};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::{
    catalogue::{add_seats, availability, cancel_by_hand, counts, id, range, row, with},
    harness::{Client, Database, Outcome, Server, client::codes, eventually, rows, seed},
};

/// What a copy takes over.
const TAKEN_OVER: &str = "description venue currency timeZone ticketsPerOrderMax holdSeconds holdSecondsMax heldPerCustomerMax
    ticketsPerCustomerMax organizer { id }";

const PURCHASES_BESIDE: usize = 40;

/// For a machine that is busy elsewhere.
const WITHIN: Duration = Duration::from_secs(30);

fn copy_input(event_id: &str, slug: &str) -> Value {
    let now = Utc::now();
    json!({ "id": event_id, "slug": slug, "startsAt": now + TimeDelta::days(60),
        "salesOpenAt": now - TimeDelta::days(1), "salesCloseAt": now + TimeDelta::days(59) })
}

async fn copy(organizer: &Client, input: Value) -> Value {
    organizer
        .ask(
            "copyEvent",
            "event { id name status version cancellableUntil ticketTypes { id } }",
            input,
        )
        .await
}

/// Its texts, ticket types and tickets, but no ids.
async fn contents(client: &Client, event_id: &str) -> Value {
    let document = format!(
        "query($id: ID!) {{ event(by: {{ id: $id }}) {{ {TAKEN_OVER}
            ticketTypes {{ name admission price {{ amount }} position }}
            tickets(first: 100) {{ nodes {{ seat {{ section row seat }} isAccessible ticketType {{ name }} }} }} }} }}"
    );
    client.data(&document, json!({ "id": event_id })).await["event"].take()
}

/// Events, ticket types, tickets and imports in the database.
async fn lens(rows: &DatabaseConnection) -> [u64; 4] {
    [
        event::Entity::find().count(rows).await.unwrap(),
        ticket_type::Entity::find().count(rows).await.unwrap(),
        ticket::Entity::find().count(rows).await.unwrap(),
        ticket_import::Entity::find().count(rows).await.unwrap(),
    ]
}

/// An event with `rows_len` rows of a thousand seats.
async fn hall(organizer: &Client, rows_len: usize) -> (String, String) {
    let event_id = seed::create_event(organizer).await;
    let ticket_type = seed::create_ticket_type(organizer, &event_id, "SEATED").await;
    let rows: Vec<Value> = (1..=rows_len)
        .map(|n| row("Arena", &n.to_string(), range(1, 1_000)))
        .collect();
    let payload = add_seats(organizer, &ticket_type, json!(rows)).await;
    assert_eq!(codes(&payload), Vec::<&str>::new());
    (event_id, ticket_type)
}

on_both_databases! {
    async fn a_copy_is_a_draft_in_which_everything_is_available(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the hall");
        let seeded = seed::seats(&client, 6).await;
        let places = seed::create_ticket_type_named(&organizer, &seeded.id, "GENERAL", "Standing").await;
        seed::set_capacity(&organizer, &places, 3).await;
        let balcony = with(row("Balcony", "B", range(1, 2)), json!({ "accessible": ["2"] }));
        add_seats(&organizer, &seeded.ticket_type_id, json!([balcony, row("Parkett", "1", range(7, 8))])).await;
        let terms = json!({ "id": seeded.id, "version": 2, "holdSeconds": 61, "holdSecondsMax": 99, "heldPerCustomerMax": 3,
            "ticketsPerCustomerMax": 5, "cancellableUntil": "2027-01-01T00:00:00Z" });
        assert_eq!(codes(&organizer.ask("updateEvent", "event { id }", terms).await), Vec::<&str>::new());
        let outcome = client.customer("ada").purchase_ticket(&seeded.tickets[0].id, "k").await;
        assert!(outcome.is_sold(), "{outcome:?}");
        let hand = database.connect().await;
        hand.execute_unprepared("UPDATE tickets SET status = 'BLOCKED', block_reason = 'camera' WHERE seat_label = '2' AND section = 'Parkett'").await.unwrap();
        rows::recount(&hand).await;
        hand.close().await.unwrap();

        let made = copy(&organizer, copy_input(&seeded.id, "again")).await;
        assert_eq!(codes(&made), Vec::<&str>::new());
        let made = &made["event"];
        assert_eq!((&made["status"], &made["version"], &made["cancellableUntil"]), (&json!("DRAFT"), &json!(1), &Value::Null));
        assert_eq!(made["name"], "The Tests' Own Concert");
        let copied = contents(&organizer, id(made)).await;
        let mut original = contents(&organizer, &seeded.id).await;
        // A row that was continued later is one row of the copy; places come last.
        let nodes = original["tickets"]["nodes"].as_array_mut().unwrap();
        nodes.sort_by_key(|node| match node["seat"]["section"].as_str() {
            Some("Parkett") => 0,
            Some(_) => 1,
            None => 2,
        });
        assert_eq!(copied, original);
        let of_types: Vec<Value> = {
            let mut found = vec![];
            for ticket_type in made["ticketTypes"].as_array().unwrap() {
                found.push(availability(&organizer, id(ticket_type)).await);
            }
            found
        };
        assert_eq!(of_types, [counts(10, 10, 0), counts(3, 3, 0)]);
        let ids = "query($id: ID!) { event(by: { id: $id }) { tickets(first: 100) { nodes { id status heldUntil blockReason } } } }";
        let tickets = organizer.data(ids, json!({ "id": made["id"] })).await;
        for ticket in tickets["event"]["tickets"]["nodes"].as_array().unwrap() {
            assert!(!seeded.ticket_ids().contains(&id(ticket)));
            assert_eq!(ticket["blockReason"], Value::Null);
        }

        // A draft like any other: hidden from others, found, published, sold.
        let unseen = client.data("{ event(by: { slug: \"again\" }) { id } }", json!({})).await;
        assert_eq!(unseen["event"], Value::Null);
        seed::publish(&organizer, id(made)).await;
        let found = client.data("{ events(search: \"again concert\") { nodes { id } } }", json!({})).await;
        assert_eq!(found["events"]["nodes"], json!([{ "id": made["id"] }]));
        let ticket = &tickets["event"]["tickets"]["nodes"][0];
        let second = client.customer("ada").purchase_ticket(id(ticket), "k").await;
        rows::assert_conserved(&database, &[outcome, second]).await;
        // A cancelled event too, under another name.
        cancel_by_hand(&database).await;
        let input = with(copy_input(&seeded.id, "moved"), json!({ "name": "Moved", "cancellableUntil": "2027-02-01T00:00:00Z" }));
        let moved = copy(&organizer, input).await;
        assert_eq!((&moved["event"]["name"], &moved["event"]["status"]), (&json!("Moved"), &json!("DRAFT")));
        assert!(moved["event"]["cancellableUntil"].is_string());
    }

    async fn what_is_wrong_with_a_copy_is_said_and_nothing_is_made(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let seeded = seed::seats(&server.client(), 2).await;
        let taken = seed::event_input();
        organizer.ask("createEvent", "event { id }", taken.clone()).await;
        let rows = database.look().await;
        let before = lens(&rows).await;
        for (change, code, field) in [
            (json!({ "slug": taken["slug"] }), "SLUG_TAKEN", json!("slug")),
            (json!({ "slug": "Not a slug" }), "INVALID_SLUG", json!("slug")),
            (json!({ "name": "" }), "INVALID_NAME", json!("name")),
            (json!({ "startsAt": "1969-12-31T23:59:59Z" }), "INVALID_START", json!("startsAt")),
            (json!({ "salesOpenAt": "2999-01-01T00:00:00Z" }), "INVALID_SALES_WINDOW", json!("salesCloseAt")),
            (json!({ "cancellableUntil": "1969-12-31T23:59:59Z" }), "INVALID_CANCELLABLE_UNTIL", json!("cancellableUntil")),
            (json!({ "id": "garbage" }), "UNKNOWN_EVENT", Value::Null),
            (json!({ "id": seeded.ticket_type_id }), "UNKNOWN_EVENT", Value::Null),
        ] {
            let payload = copy(&organizer, with(copy_input(&seeded.id, "fresh"), change.clone())).await;
            assert_eq!((codes(&payload), &payload["userErrors"][0]["field"]), (vec![code], &field), "{change}");
            assert_eq!(payload["event"], Value::Null);
        }
        let other = server.client().organizer("another hall");
        assert_eq!(codes(&copy(&other, copy_input(&seeded.id, "mine")).await), ["UNKNOWN_EVENT"]);
        assert_eq!(lens(&rows).await, before);
        // Of those who copy it under one name at once, one does.
        let at_once = futures_util::future::join_all((0..6).map(|_| copy(&organizer, copy_input(&seeded.id, "fresh")))).await;
        assert_eq!(at_once.iter().filter(|payload| payload["event"].is_object()).count(), 1);
        assert_eq!(at_once.iter().filter(|payload| codes(payload) == ["SLUG_TAKEN"]).count(), 5);
        assert_eq!(lens(&rows).await, [before[0] + 1, before[1] + 1, before[2] + 2, 0]);
    }

    /// How long the copy and the purchases beside it took is printed, not asserted: machines differ.
    async fn eighty_thousand_seats_are_copied_in_one_go_and_others_buy_meanwhile(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the stadium");
        let (event_id, _) = hall(&organizer, 80).await;
        let elsewhere = seed::places(&client, PURCHASES_BESIDE).await;
        let begin = Instant::now();
        let copying = async {
            let payload = copy(&organizer, copy_input(&event_id, "copy")).await;
            (payload, begin.elapsed())
        };
        let buying = async {
            let mut waits = Vec::new();
            let mut outcomes = Vec::new();
            for n in 0..PURCHASES_BESIDE {
                let asked = Instant::now();
                let buyer = client.customer(&format!("buyer {n}"));
                outcomes.push(buyer.purchase_any(&elsewhere.ticket_type_id, 1, "mine").await);
                waits.push(asked.elapsed());
                // Whole or not at all, at every moment, also for its own organizer.
                let document = "{ event(by: { slug: \"copy\" }) { ticketTypes { availability { total } } } }";
                let seen = organizer.data(document, json!({})).await["event"].take();
                assert!(seen.is_null() || seen["ticketTypes"] == json!([{ "availability": { "total": 80_000 } }]), "{seen}");
            }
            (outcomes, waits)
        };
        let ((payload, took), (outcomes, mut waits)) = tokio::join!(copying, buying);
        assert_eq!(codes(&payload), Vec::<&str>::new());
        let ticket_type = id(&payload["event"]["ticketTypes"][0]);
        assert_eq!(availability(&organizer, ticket_type).await, counts(80_000, 80_000, 0));
        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
        waits.sort_unstable();
        eprintln!(
            "{:?}: 80,000 seats copied in {took:?}; purchases beside it took {:?} in the middle, {:?} at most",
            database.backend(), waits[waits.len() / 2], waits.last().unwrap_or(&Duration::ZERO),
        );
    }

    async fn a_copy_that_fails_half_way_leaves_nothing_behind(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let (event_id, _) = hall(&organizer, 2).await;
        let hand = database.connect().await;
        let before = lens(&hand).await;
        let (make, unmake): (&[&str], &str) = match database {
            Database::Postgres { .. } => (
                &[
                    "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stop'; END $$",
                    "CREATE TRIGGER stop BEFORE INSERT ON tickets FOR EACH ROW
                        WHEN (NEW.row_label = '2' AND NEW.seat_label = '900') EXECUTE FUNCTION stop()",
                ],
                "DROP TRIGGER stop ON tickets",
            ),
            Database::Sqlite { .. } => (
                &["CREATE TRIGGER stop BEFORE INSERT ON tickets WHEN NEW.row_label = '2' AND NEW.seat_label = '900'
                    BEGIN SELECT RAISE(ABORT, 'stop'); END"],
                "DROP TRIGGER stop",
            ),
        };
        for statement in make {
            hand.execute_unprepared(statement).await.unwrap();
        }
        let document = "mutation($input: CopyEventInput!) { copyEvent(input: $input) { event { id } userErrors { code } } }";
        let answer = organizer.send(document, json!({ "input": copy_input(&event_id, "copy") })).await;
        assert_eq!(answer.fault(), Some("INTERNAL"), "{answer:?}");
        assert_eq!(lens(&hand).await, before);
        hand.execute_unprepared(unmake).await.unwrap();
        let again = copy(&organizer, copy_input(&event_id, "copy")).await;
        assert_eq!(codes(&again), Vec::<&str>::new(), "its slug is free again");
        assert_eq!(lens(&hand).await, [before[0] + 1, before[1] + 1, before[2] + 2_000, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_copy_leaves_nothing_behind() {
    for database in [Database::sqlite().await, Database::postgres().await] {
        let mut server = Server::start(&database).await;
        let organizer = server.client().organizer("the stadium");
        let (event_id, _) = hall(&organizer, 30).await;
        let rows = database.look().await;
        let before = lens(&rows).await;
        let document =
            "mutation($input: CopyEventInput!) { copyEvent(input: $input) { event { id } } }";
        let input = json!({ "input": copy_input(&event_id, "copy") });
        let copying = organizer.try_send(document, input);
        let crashing = async {
            if let Database::Sqlite { .. } = &database {
                // Some of it is written, and the writing goes on.
                eventually("a part of the copy", WITHIN, async || {
                    let now = lens(&rows).await;
                    (now[3] == 1 && now[2] > before[2]).then_some(())
                })
                .await;
            }
            server.kill();
        };
        let (answer, ()) = tokio::join!(copying, crashing);
        assert!(answer.is_err(), "{answer:?}");
        server.wait_exit(WITHIN).await;
        let server = Server::start(&database).await;
        // PostgreSQL rolls back when it notices that its client is gone.
        eventually("the end of what was begun", WITHIN, async || {
            (lens(&rows).await == before).then_some(())
        })
        .await;
        rows.close().await.unwrap();
        let again = copy(
            &server.client().organizer("the stadium"),
            copy_input(&event_id, "copy"),
        )
        .await;
        assert_eq!(codes(&again), Vec::<&str>::new());
    }
}
