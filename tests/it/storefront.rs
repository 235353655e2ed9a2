//! What many read at once: everybody is told what they may see, and lists of tickets are whole.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::{
    catalogue::{add_seats, id, range, row},
    harness::{Client, Database, Server, eventually, rows, seed},
};

const REQUESTS: usize = 24;

/// A logged line is there soon after its answer; the machine may be busy elsewhere.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// The tickets of an event that a filter shows, page by page from one end: id, status, type and section.
async fn walk(client: &Client, event_id: &str, filter: &Value, is_forward: bool) -> Vec<Value> {
    let (page, place) = match is_forward {
        true => ("first: 3, after: $at", "hasNextPage endCursor"),
        false => ("last: 3, before: $at", "hasPreviousPage startCursor"),
    };
    let document = format!(
        "query($id: ID!, $filter: TicketFilter, $at: String) {{ event(by: {{ id: $id }}) {{
            tickets(filter: $filter, {page}) {{ nodes {{ id status isAccessible seat {{ section }} ticketType {{ id }} }}
            pageInfo {{ {place} }} }} }} }}"
    );
    let (mut found, mut at) = (vec![], Value::Null);
    loop {
        let variables = json!({ "id": event_id, "filter": filter, "at": at });
        let mut data = client.data(&document, variables).await;
        let tickets = &mut data["event"]["tickets"];
        let Value::Array(nodes) = tickets["nodes"].take() else {
            panic!("a page has nodes")
        };
        let mut place = place
            .split(' ')
            .map(|field| tickets["pageInfo"][field].take());
        let has_more = place.next().unwrap() == true;
        at = place.next().unwrap();
        match is_forward {
            true => found.extend(nodes),
            false => found = [nodes, found].concat(),
        }
        if !has_more {
            return found;
        }
    }
}

on_both_databases! {
    async fn a_list_of_one_status_has_each_ticket_of_it_in_its_place(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let hall = client.organizer("the hall");
        let event = seed::seats(&client, 6).await;
        let balcony = seed::create_ticket_type_named(&hall, &event.id, "SEATED", "Balcony").await;
        let places = seed::create_ticket_type_named(&hall, &event.id, "GENERAL", "Standing").await;
        // The types stand in turns.
        for n in 2..5 {
            let ticket_type = [&balcony, &event.ticket_type_id][n % 2];
            let seats = json!([row(["Balcony", "Parkett"][n % 2], &n.to_string(), range(1, 5))]);
            add_seats(&hall, ticket_type, seats).await;
            seed::set_capacity(&hall, &places, n * 2).await;
        }
        let hand = database.connect().await;
        let held = |seat: u32, until: &str| {
            let id = match &database {
                Database::Postgres { .. } => "gen_random_uuid()",
                Database::Sqlite { .. } => "randomblob(16)",
            };
            format!("UPDATE tickets SET status = 'HELD', hold_id = {id}, held_until = '{until}' WHERE seat_label = '{seat}'")
        };
        for change in [
            held(2, "2999-01-01T00:00:00+00:00"),
            held(3, "2001-01-01T00:00:00+00:00"),
            "UPDATE tickets SET status = 'BLOCKED' WHERE seat_label = '4'".to_owned(),
            "UPDATE tickets SET status = 'SOLD' WHERE seat_label = '5'".to_owned(),
        ] {
            hand.execute_unprepared(&change).await.unwrap();
        }
        rows::recount(&hand).await;
        hand.close().await.unwrap();

        let all = walk(&client, &event.id, &Value::Null, true).await;
        assert_eq!(all.len(), 6 + 15 + 8);
        for status in ["AVAILABLE", "HELD", "SOLD", "BLOCKED"] {
            for narrow in [
                json!({}),
                json!({ "ticketTypeId": balcony }),
                json!({ "ticketTypeId": places }),
                json!({ "section": "Parkett" }),
                json!({ "isAccessible": true }),
                json!({ "ticketTypeId": event.ticket_type_id, "section": "Parkett", "isAccessible": false }),
            ] {
                let is_asked = |ticket: &&Value| {
                    let is = |field: &str, value: &Value| narrow[field].is_null() || &narrow[field] == value;
                    ticket["status"] == status && is("ticketTypeId", &ticket["ticketType"]["id"])
                        && is("section", &ticket["seat"]["section"]) && is("isAccessible", &ticket["isAccessible"])
                };
                let expected: Vec<Value> = all.iter().filter(is_asked).cloned().collect();
                let mut filter = narrow.clone();
                filter["status"] = json!(status);
                assert_eq!(walk(&client, &event.id, &filter, true).await, expected, "{filter}");
                assert_eq!(walk(&client, &event.id, &filter, false).await, expected, "{filter} backward");
            }
        }
    }

    async fn who_asks_at_the_same_time_sees_no_more_of_a_draft_for_it(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let hall = client.organizer("the hall");
        let draft = seed::create_event(&hall).await;
        let ticket_type = seed::create_ticket_type(&hall, &draft, "GENERAL").await;
        seed::set_capacity(&hall, &ticket_type, 3).await;
        let document = "query($id: ID!, $type: ID!) { event(by: { id: $id }) { id slug ticketTypes { id availability { total } } }
            node(id: $type) { id } }";
        let variables = json!({ "id": draft, "type": ticket_type });
        let slug = hall.data(document, variables.clone()).await["event"]["slug"].clone();
        let by_slug = "query($slug: String!) { event(by: { slug: $slug }) { id } }";

        let strangers = [client.clone(), client.customer("ada"), client.organizer("the meadow")];
        let asked = (0..REQUESTS).map(async |n| {
            let is_own = n % 2 == 0;
            let who = if is_own { &hall } else { &strangers[n / 2 % strangers.len()] };
            let data = who.data(document, variables.clone()).await;
            let named = who.data(by_slug, json!({ "slug": slug })).await;
            if is_own {
                assert_eq!(id(&data["event"]), draft);
                assert_eq!(data["event"]["ticketTypes"], json!([{ "id": ticket_type, "availability": { "total": 3 } }]));
                assert_eq!(id(&data["node"]), ticket_type);
                assert_eq!(id(&named["event"]), draft);
            } else {
                assert_eq!(data, json!({ "event": null, "node": null }));
                assert_eq!(named, json!({ "event": null }));
            }
        });
        join_all(asked).await;
    }

    /// Their requests are answered together, and never by what was read before they asked.
    async fn who_asks_after_a_sale_sees_it_however_many_ask(database: Database) {
        const SALES: usize = 30;
        const LOOKING: usize = 12;
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, SALES).await;
        let document = "query($id: ID!) { event(by: { id: $id }) { ticketTypes { availability { available sold } } } }";
        let variables = json!({ "id": event.id });
        let look = async || {
            let data = client.data(document, variables.clone()).await;
            let availability = &data["event"]["ticketTypes"][0]["availability"];
            let number = |field: &str| availability[field].as_u64().unwrap();
            assert_eq!(number("available") + number("sold"), SALES as u64, "{availability}");
            number("sold")
        };
        let sold = AtomicU64::new(0);
        let refresh = (0..LOOKING).map(async |_| {
            while sold.load(Ordering::SeqCst) < SALES as u64 {
                let sold_before = sold.load(Ordering::SeqCst);
                assert!(look().await >= sold_before);
            }
        });
        let sell = async {
            for ticket in &event.tickets {
                let buyer = client.customer("ada");
                buyer.purchase_ticket(&ticket.id, &ticket.id).await.sold();
                let sold = sold.fetch_add(1, Ordering::SeqCst) + 1;
                assert_eq!(look().await, sold);
            }
        };
        tokio::join!(join_all(refresh), sell);
    }

    async fn a_fault_that_spoils_many_requests_is_found_under_the_id_of_each(database: Database) {
        let server = Server::builder(&database).arg("--log-format").arg("json").start().await;
        let client = server.client();
        let event = seed::places(&client, 1).await;
        let hand = database.connect().await;
        hand.execute_unprepared("ALTER TABLE ticket_counts RENAME TO lost_counts").await.unwrap();
        hand.close().await.unwrap();
        let document = "query($id: ID!) { event(by: { id: $id }) { ticketTypes { availability { total } } } }";
        let variables = json!({ "id": event.id });
        let asked = (0..REQUESTS).map(|_| client.send(document, variables.clone()));
        for answer in join_all(asked).await {
            assert_eq!(answer.fault(), Some("INTERNAL"));
            let told = answer.errors[0].to_string();
            assert!(!told.contains("ticket_counts"), "{told}");
            eventually("the fault's log line", LOGGED_WITHIN, async || {
                let is_of_it = |line: &String| line.contains("\"ERROR\"") && line.contains(answer.request_id());
                server.log().iter().any(is_of_it).then_some(())
            }).await;
        }
    }
}
