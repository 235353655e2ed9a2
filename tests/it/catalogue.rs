//! Events, ticket types and seats: what organizers write and buyers read.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Outcome, Server,
    client::codes,
    rows,
    seed::{
        self, add_row, create_event, create_ticket_type, create_ticket_type_named, publish,
        set_capacity,
    },
};

const EVENT: &str =
    "event { id slug name description venue currency timeZone startsAt salesOpenAt salesCloseAt
    ticketsPerOrderMax status isOnSale version organizer { id name } }";

const TICKET_TYPE: &str =
    "ticketType { id name admission price { amount currency } position version event { id }
    availability { total available sold held blocked } }";

/// A purchase of another event must not notice more of a large write than this (SQLite's one writer is shared).
const PURCHASES_BESIDE: usize = 40;

pub fn with(mut input: Value, change: Value) -> Value {
    for (field, value) in change.as_object().expect("a change is an object") {
        input[field] = value.clone();
    }
    input
}

pub fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an object has an id")
}

fn instant(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().expect("a time is a string");
    let instant =
        DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(instant.offset().local_minus_utc(), 0, "{text} is in UTC");
    instant.into()
}

async fn event(client: &Client, id: &str) -> Value {
    let document = format!(
        "query($id: ID!) {{ event(by: {{ id: $id }}) {}",
        EVENT.trim_start_matches("event")
    );
    client
        .data(&format!("{document} }}"), json!({ "id": id }))
        .await["event"]
        .take()
}

pub async fn availability(client: &Client, ticket_type_id: &str) -> Value {
    let document = "query($id: ID!) { node(id: $id) { ... on TicketType { availability { total available sold held blocked } } } }";
    client.data(document, json!({ "id": ticket_type_id })).await["node"]["availability"].take()
}

pub fn counts(total: usize, available: usize, sold: usize) -> Value {
    json!({ "total": total, "available": available, "sold": sold, "held": 0, "blocked": 0 })
}

/// Section, row, seat and accessibility of every ticket, as the event lists them.
async fn seats(client: &Client, event_id: &str) -> Vec<(String, String, String, bool)> {
    let document = "query($id: ID!) { event(by: { id: $id }) { tickets(first: 100) {
        nodes { seat { section row seat } isAccessible } pageInfo { hasNextPage } } } }";
    let data = client.data(document, json!({ "id": event_id })).await;
    let tickets = &data["event"]["tickets"];
    assert_eq!(tickets["pageInfo"]["hasNextPage"], false);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tickets["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ticket| {
            let seat = &ticket["seat"];
            (
                text(&seat["section"]),
                text(&seat["row"]),
                text(&seat["seat"]),
                ticket["isAccessible"].as_bool().unwrap(),
            )
        })
        .collect()
}

async fn seat_labels(client: &Client, event_id: &str) -> Vec<String> {
    seats(client, event_id)
        .await
        .into_iter()
        .map(|(_, row, seat, _)| format!("{row}{seat}"))
        .collect()
}

pub fn row(section: &str, row: &str, seats: Value) -> Value {
    json!({ "section": section, "row": row, "seats": seats })
}

pub fn range(from: i32, to: i32) -> Value {
    json!({ "range": { "from": from, "to": to } })
}

pub async fn add_seats(organizer: &Client, ticket_type_id: &str, rows: Value) -> Value {
    let input = json!({ "ticketTypeId": ticket_type_id, "rows": rows });
    organizer
        .ask("addSeats", "addedCount ticketType { id }", input)
        .await
}

async fn capacity(organizer: &Client, ticket_type_id: &str, capacity: i64) -> Value {
    let input = json!({ "ticketTypeId": ticket_type_id, "capacity": capacity });
    organizer.ask("setCapacity", TICKET_TYPE, input).await
}

pub async fn remove(organizer: &Client, event_id: &str, ticket_ids: &[&str]) -> Value {
    let input = json!({ "eventId": event_id, "ticketIds": ticket_ids });
    organizer
        .ask("removeTickets", "removedCount event { id }", input)
        .await
}

pub async fn cancel_by_hand(database: &Database) {
    let hand = database.connect().await;
    hand.execute_unprepared("UPDATE events SET status = 'CANCELLED'")
        .await
        .unwrap();
    hand.close().await.unwrap();
}

on_both_databases! {
    async fn an_event_reads_back_as_it_was_created(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let starts_at = Utc::now() + TimeDelta::days(30);
        let input = with(seed::event_input(), json!({
            "slug": "hamlet-2026", "name": "Hamlet – Жизель", "description": "Two\nlines.", "currency": "JPY",
            "timeZone": "Asia/Tokyo", "startsAt": starts_at, "ticketsPerOrderMax": 4,
        }));

        let mut payload = organizer.ask("createEvent", EVENT, input.clone()).await;
        assert_eq!(codes(&payload), Vec::<&str>::new());
        let created = payload["event"].take();

        for field in ["slug", "name", "description", "venue", "currency", "timeZone", "ticketsPerOrderMax"] {
            assert_eq!(created[field], input[field], "{field}");
        }
        for field in ["startsAt", "salesOpenAt", "salesCloseAt"] {
            let asked: DateTime<Utc> = input[field].as_str().unwrap().parse().unwrap();
            assert_eq!(instant(&created[field]), asked.trunc_subsecs(6), "{field}, to the microsecond");
        }
        assert_eq!(created["status"], "DRAFT");
        assert_eq!((&created["version"], &created["isOnSale"]), (&json!(1), &json!(false)));
        assert_eq!(created["organizer"]["name"], "the hall");
        assert_eq!(event(&organizer, id(&created)).await, created);
    }

    async fn money_has_its_currencys_digits(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        for (currency, given, read) in [("EUR", "12.5", "12.50"), ("EUR", "0", "0.00"), ("JPY", "1250", "1250"), ("KWD", "1.5", "1.500")] {
            let slug = format!("{}-{}", currency.to_lowercase(), given.replace('.', "-"));
            let input = with(seed::event_input(), json!({ "slug": slug, "currency": currency }));
            let event = organizer.ask("createEvent", EVENT, input).await;
            let input = json!({ "eventId": id(&event["event"]), "name": "Regular", "admission": "GENERAL", "price": given });
            let payload = organizer.ask("createTicketType", TICKET_TYPE, input).await;
            assert_eq!(payload["ticketType"]["price"], json!({ "amount": read, "currency": currency }));
        }
    }

    async fn what_is_wrong_with_an_event_is_said_field_by_field(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        for (change, code, field) in [
            (json!({ "slug": "Not a slug" }), "INVALID_SLUG", "slug"),
            (json!({ "name": "" }), "INVALID_NAME", "name"),
            (json!({ "name": "two\nlines" }), "INVALID_NAME", "name"),
            (json!({ "description": "a\u{0}b" }), "INVALID_DESCRIPTION", "description"),
            (json!({ "venue": " edge" }), "INVALID_VENUE", "venue"),
            (json!({ "currency": "XXX" }), "INVALID_CURRENCY", "currency"),
            (json!({ "timeZone": "Vienna" }), "INVALID_TIME_ZONE", "timeZone"),
            (json!({ "salesCloseAt": "2020-01-01T00:00:00Z" }), "INVALID_SALES_WINDOW", "salesCloseAt"),
            (json!({ "ticketsPerOrderMax": 0 }), "INVALID_TICKETS_PER_ORDER", "ticketsPerOrderMax"),
            (json!({ "ticketsPerOrderMax": 1001 }), "INVALID_TICKETS_PER_ORDER", "ticketsPerOrderMax"),
        ] {
            let payload = organizer.ask("createEvent", EVENT, with(seed::event_input(), change.clone())).await;
            assert_eq!(codes(&payload), [code], "{change}");
            assert_eq!(payload["userErrors"][0]["field"], field);
            assert_eq!(payload["event"], Value::Null);
        }
        let several = with(seed::event_input(), json!({ "name": "", "venue": "", "slug": "-" }));
        let payload = organizer.ask("createEvent", EVENT, several).await;
        assert_eq!(codes(&payload), ["INVALID_SLUG", "INVALID_NAME", "INVALID_VENUE"], "all at once");
    }

    async fn a_slug_names_one_event(database: Database) {
        let server = Server::start(&database).await;
        let (one, other) = (server.client().organizer("one"), server.client().organizer("other"));
        let named = |slug: &str| with(seed::event_input(), json!({ "slug": slug }));
        let first = one.ask("createEvent", EVENT, named("hamlet")).await;
        assert_eq!(codes(&first), Vec::<&str>::new());

        let again = one.ask("createEvent", EVENT, named("hamlet")).await;
        assert_eq!((codes(&again), &again["userErrors"][0]["field"]), (vec!["SLUG_TAKEN"], &json!("slug")));
        // A draft of others is nobody's business: it takes no slug, and each finds their own under it.
        let theirs = other.ask("createEvent", EVENT, named("hamlet")).await;
        assert_eq!(codes(&theirs), Vec::<&str>::new());
        let second = other.ask("createEvent", EVENT, named("macbeth")).await;
        let change = |slug: &str| json!({ "id": id(&second["event"]), "version": 1, "slug": slug });
        assert_eq!(codes(&other.ask("updateEvent", EVENT, change("hamlet")).await), ["SLUG_TAKEN"]);
        let document = "query($slug: String!) { event(by: { slug: $slug }) { id } }";
        let found = async |client: &Client| client.data(document, json!({ "slug": "hamlet" })).await["event"]["id"].clone();
        let anyone = server.client();
        assert_eq!(found(&one).await, first["event"]["id"]);
        assert_eq!(found(&other).await, theirs["event"]["id"]);
        assert_eq!(found(&anyone).await, Value::Null);

        // Who publishes first has it, and the others are told so.
        let publish = async |client: &Client, draft: &Value| {
            client.ask("publishEvent", EVENT, json!({ "id": id(&draft["event"]) })).await
        };
        let (ours, lost) = tokio::join!(publish(&one, &first), publish(&other, &theirs));
        let (winner, loser, draft) = match (codes(&ours).as_slice(), codes(&lost).as_slice()) {
            ([], ["SLUG_TAKEN"]) => (&first, &other, &theirs),
            (["SLUG_TAKEN"], []) => (&theirs, &one, &first),
            both => panic!("one is published: {both:?}"),
        };
        for client in [&one, &other, &anyone] {
            assert_eq!(found(client).await, winner["event"]["id"], "the event that everybody sees");
        }
        assert_eq!(codes(&publish(loser, draft).await), ["SLUG_TAKEN"], "again");
        let renamed = json!({ "id": id(&draft["event"]), "version": draft["event"]["version"], "slug": "hamlet-again" });
        assert_eq!(codes(&loser.ask("updateEvent", EVENT, renamed).await), Vec::<&str>::new());
        assert_eq!(codes(&publish(loser, draft).await), Vec::<&str>::new());
        let third = server.client().organizer("third");
        assert_eq!(codes(&third.ask("createEvent", EVENT, named("hamlet")).await), ["SLUG_TAKEN"]);
        assert_eq!(codes(&third.ask("createEvent", EVENT, named("macbeth")).await), Vec::<&str>::new());

        let at_once = join_all((0..8).map(|_| one.ask("createEvent", EVENT, named("lear")))).await;
        assert_eq!(at_once.iter().filter(|payload| payload["event"].is_object()).count(), 1);
        assert_eq!(at_once.iter().filter(|payload| codes(payload) == ["SLUG_TAKEN"]).count(), 7);
    }

    async fn a_draft_is_its_organizers_alone(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the hall");
        let slug = "not-yet-for-you";
        let draft = organizer.ask("createEvent", EVENT, with(seed::event_input(), json!({ "slug": slug }))).await;
        let event_id = id(&draft["event"]).to_owned();
        let ticket_type = create_ticket_type(&organizer, &event_id, "SEATED").await;
        add_row(&organizer, &ticket_type, "A", 2).await;
        let document = "query($id: ID!) { event(by: { id: $id }) { tickets { nodes { id } } } }";
        let tickets = organizer.data(document, json!({ "id": event_id })).await;
        let ticket_id = id(&tickets["event"]["tickets"]["nodes"][0]).to_owned();

        let look = async |caller: &Client| {
            let document = "query($id: ID!, $slug: String!, $ids: [ID!]!, $of: EventFilter) {
                byId: event(by: { id: $id }) { id } bySlug: event(by: { slug: $slug }) { id }
                node(id: $id) { id } nodes(ids: $ids) { id }
                drafts: events(filter: { status: DRAFT }) { nodes { id } } public: events(filter: $of) { nodes { id } }
            }";
            let ids = [&event_id, &ticket_type, &ticket_id];
            caller.data(document, json!({ "id": event_id, "slug": slug, "ids": ids })).await
        };
        let it = json!({ "id": event_id });
        let all = json!([it, { "id": ticket_type }, { "id": ticket_id }]);
        let others = [client.clone(), client.customer("ada"), client.organizer("another hall"), client.customer("the hall")];

        let nothing = json!({ "byId": null, "bySlug": null, "node": null, "nodes": [null, null, null],
            "drafts": { "nodes": [] }, "public": { "nodes": [] } });
        for other in &others {
            assert_eq!(look(other).await, nothing);
        }
        let own = json!({ "byId": it, "bySlug": it, "node": it, "nodes": all, "drafts": { "nodes": [it] }, "public": { "nodes": [] } });
        assert_eq!(look(&organizer).await, own);
        let refused = client.customer("ada").purchase_ticket(&ticket_id, "k").await;
        assert!(refused.is_refused("UNKNOWN_TICKET"), "{refused:?}");
        let refused = client.customer("ada").purchase_any(&ticket_type, 1, "k").await;
        assert!(refused.is_refused("UNKNOWN_TICKET_TYPE"), "{refused:?}");

        let published = organizer.ask("publishEvent", EVENT, it.clone()).await;
        assert_eq!(published["event"]["status"], "PUBLISHED");
        assert_eq!(published["event"]["isOnSale"], true);
        assert_eq!(published["event"]["version"], 2);
        assert_eq!(organizer.ask("publishEvent", EVENT, it.clone()).await, published, "twice changes nothing");
        let public = json!({ "byId": it, "bySlug": it, "node": it, "nodes": all, "drafts": { "nodes": [] }, "public": { "nodes": [it] } });
        for caller in others.iter().chain([&organizer]) {
            assert_eq!(look(caller).await, public);
        }
    }

    async fn a_change_is_based_on_the_version_it_names(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let rename = async |version: i64, name: &str| {
            organizer.ask("updateEvent", EVENT, json!({ "id": event_id, "version": version, "name": name })).await
        };
        let before = event(&organizer, &event_id).await;
        let changed = rename(1, "Renamed").await;
        assert_eq!(changed["event"], with(before, json!({ "name": "Renamed", "version": 2 })), "and nothing else");

        let stale = rename(1, "Too late").await;
        assert_eq!((codes(&stale), &stale["event"]), (vec!["STALE"], &Value::Null));
        assert_eq!(codes(&rename(3, "Too early").await), ["STALE"]);
        assert_eq!(event(&organizer, &event_id).await["name"], "Renamed");

        let names: Vec<String> = (0..8).map(|n| format!("Name {n}")).collect();
        let at_once = join_all(names.iter().map(|name| rename(2, name))).await;
        let winners: Vec<&Value> = at_once.iter().filter(|payload| payload["event"].is_object()).collect();
        assert_eq!(winners.len(), 1, "one of those who change it at once");
        assert_eq!(at_once.iter().filter(|payload| codes(payload) == ["STALE"]).count(), 7);
        assert_eq!(event(&organizer, &event_id).await, winners[0]["event"]);
    }

    async fn a_changed_event_is_judged_as_a_whole(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let opens_after_it_closes = json!({ "id": event_id, "version": 1, "salesOpenAt": Utc::now() + TimeDelta::days(99) });
        assert_eq!(codes(&organizer.ask("updateEvent", EVENT, opens_after_it_closes).await), ["INVALID_SALES_WINDOW"]);
        let both = json!({ "id": event_id, "version": 1,
            "salesOpenAt": Utc::now() + TimeDelta::days(99), "salesCloseAt": Utc::now() + TimeDelta::days(100) });
        assert_eq!(organizer.ask("updateEvent", EVENT, both).await["event"]["version"], 2);
    }

    async fn a_ticket_type_is_changed_by_its_version_and_what_is_sold_keeps_its_price(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::places(&server.client(), 2).await;
        let organizer = server.client().organizer("the meadow");
        let ada = server.client().customer("ada");
        let sold = ada.purchase_any(&seeded.ticket_type_id, 1, "before").await.sold();

        let change = json!({ "id": seeded.ticket_type_id, "version": 1, "price": "20", "name": "Late" });
        let changed = organizer.ask("updateTicketType", TICKET_TYPE, change.clone()).await;
        assert_eq!(changed["ticketType"]["price"]["amount"], "20.00");
        assert_eq!(changed["ticketType"]["version"], 2);
        let stale = organizer.ask("updateTicketType", TICKET_TYPE, change).await;
        assert_eq!((codes(&stale), &stale["ticketType"]), (vec!["STALE"], &Value::Null));

        assert_eq!(ada.purchase_any(&seeded.ticket_type_id, 1, "after").await.sold().total.amount, "20.00");
        assert_eq!(ada.purchase_any(&seeded.ticket_type_id, 1, "before").await.sold(), sold);
        assert_eq!(sold.total.amount, "12.50");
    }

    async fn ticket_types_stand_where_the_organizer_put_them(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let create = async |name: &str, price: &str, position: Option<i32>| {
            let input = json!({ "eventId": event_id, "name": name, "admission": "GENERAL", "price": price, "position": position });
            organizer.ask("createTicketType", TICKET_TYPE, input).await
        };
        create("Second", "1", Some(2)).await;
        create("First", "1", Some(1)).await;
        let last = create("Last", "1", None).await;
        assert_eq!(last["ticketType"]["availability"], counts(0, 0, 0));
        let document = "query($id: ID!) { event(by: { id: $id }) { ticketTypes { name } } }";
        let names = async || organizer.data(document, json!({ "id": event_id })).await["event"]["ticketTypes"].take();
        assert_eq!(names().await, json!([{ "name": "First" }, { "name": "Second" }, { "name": "Last" }]));

        for (name, price, position, code, field) in [
            ("First", "1", None, "NAME_TAKEN", "name"),
            ("", "1", None, "INVALID_NAME", "name"),
            ("A", "-1", None, "INVALID_PRICE", "price"),
            ("A", "1.005", None, "INVALID_PRICE", "price"),
            ("A", "99999999999", None, "INVALID_PRICE", "price"),
            ("A", "1", Some(-1), "INVALID_POSITION", "position"),
        ] {
            let payload = create(name, price, position).await;
            assert_eq!((codes(&payload), &payload["userErrors"][0]["field"]), (vec![code], &json!(field)), "{name} {price}");
        }
        let second = json!({ "id": id(&last["ticketType"]), "version": 1, "name": "First" });
        assert_eq!(codes(&organizer.ask("updateTicketType", TICKET_TYPE, second).await), ["NAME_TAKEN"]);
        assert_eq!(names().await.as_array().unwrap().len(), 3);
    }

    async fn another_organizers_event_is_as_unknown_as_none(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 2).await;
        let organizer = server.client().organizer("the hall");
        let other = server.client().organizer("another hall");
        // Somebody with events of their own, not somebody whom the database does not know at all.
        create_event(&other).await;
        let before = event(&organizer, &seeded.id).await;

        let new_type = json!({ "eventId": seeded.id, "name": "A", "admission": "GENERAL", "price": "1" });
        let ticket_ids = seeded.ticket_ids();
        for (mutation, selection, input, code) in [
            ("updateEvent", "event { id }", json!({ "id": seeded.id, "version": 2, "name": "Mine" }), "UNKNOWN_EVENT"),
            ("publishEvent", "event { id }", json!({ "id": seeded.id }), "UNKNOWN_EVENT"),
            ("createTicketType", "ticketType { id }", new_type, "UNKNOWN_EVENT"),
            ("updateTicketType", "ticketType { id }", json!({ "id": seeded.ticket_type_id, "version": 1, "price": "0" }), "UNKNOWN_TICKET_TYPE"),
            ("addSeats", "ticketType { id }", json!({ "ticketTypeId": seeded.ticket_type_id, "rows": [row("S", "Z", range(1, 1))] }), "UNKNOWN_TICKET_TYPE"),
            ("setCapacity", "ticketType { id }", json!({ "ticketTypeId": seeded.ticket_type_id, "capacity": 0 }), "UNKNOWN_TICKET_TYPE"),
            ("removeTickets", "event { id }", json!({ "eventId": seeded.id, "ticketIds": ticket_ids }), "UNKNOWN_EVENT"),
        ] {
            let payload = other.ask(mutation, selection, input).await;
            assert_eq!(codes(&payload), [code], "{mutation}: {payload}");
            let result = selection.split(' ').next().unwrap();
            assert_eq!(payload[result], Value::Null, "{mutation}");
        }
        assert_eq!(event(&organizer, &seeded.id).await, before);
        assert_eq!(availability(&organizer, &seeded.ticket_type_id).await, counts(2, 2, 0));
    }

    async fn a_cancelled_event_is_public_but_nothing_is_written_or_sold(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 2).await;
        let organizer = server.client().organizer("the hall");
        let general = create_ticket_type_named(&organizer, &seeded.id, "GENERAL", "Standing").await;
        cancel_by_hand(&database).await;

        assert_eq!(event(&server.client(), &seeded.id).await["status"], "CANCELLED");
        assert_eq!(event(&server.client(), &seeded.id).await["isOnSale"], false);
        let rows = json!([row("S", "Z", range(1, 1))]);
        assert_eq!(codes(&add_seats(&organizer, &seeded.ticket_type_id, rows).await), ["EVENT_CANCELLED"]);
        assert_eq!(codes(&capacity(&organizer, &general, 1).await), ["EVENT_CANCELLED"]);
        assert_eq!(codes(&organizer.ask("publishEvent", "event { id }", json!({ "id": seeded.id })).await), ["EVENT_CANCELLED"]);
        let new_type = json!({ "eventId": seeded.id, "name": "A", "admission": "GENERAL", "price": "1" });
        assert_eq!(codes(&organizer.ask("createTicketType", "ticketType { id }", new_type).await), ["EVENT_CANCELLED"]);
        let refused = server.client().customer("ada").purchase_ticket(&seeded.tickets[0].id, "k").await;
        assert!(refused.is_refused("EVENT_CANCELLED"), "{refused:?}");
    }

    async fn seats_are_listed_as_they_were_added(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let ticket_type = create_ticket_type(&organizer, &event_id, "SEATED").await;

        let rows = json!([
            with(row("Stalls", "B", range(9, 11)), json!({ "accessible": ["9", "11"] })),
            row("Stalls", "A", json!({ "labels": ["1", "1a", "Loge"] })),
            row("Circle", "A", range(1, 1)),
        ]);
        let payload = add_seats(&organizer, &ticket_type, rows).await;
        assert_eq!((codes(&payload), &payload["addedCount"]), (vec![], &json!(7)));

        let expected = [
            ("Stalls", "B", "9", true), ("Stalls", "B", "10", false), ("Stalls", "B", "11", true),
            ("Stalls", "A", "1", false), ("Stalls", "A", "1a", false), ("Stalls", "A", "Loge", false),
            ("Circle", "A", "1", false),
        ];
        let expected = expected.map(|(section, row, seat, accessible)| (section.to_owned(), row.to_owned(), seat.to_owned(), accessible));
        assert_eq!(seats(&organizer, &event_id).await, expected);
        assert_eq!(availability(&organizer, &ticket_type).await, counts(7, 7, 0));
    }

    async fn a_seat_is_added_once(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let ticket_type = create_ticket_type(&organizer, &event_id, "SEATED").await;
        let other_type = create_ticket_type_named(&organizer, &event_id, "SEATED", "Reduced").await;
        let general = create_ticket_type_named(&organizer, &event_id, "GENERAL", "Standing").await;
        add_row(&organizer, &ticket_type, "A", 3).await;

        let far = json!({ "section": "Parkett", "row": "A", "seats": { "labels": ["x"] }, "position": 2 });
        let unknown = with(row("Parkett", "B", range(1, 2)), json!({ "accessible": ["3"] }));
        for (rows, code, field) in [
            (json!([row("Parkett", "B", range(1, 3)), row("Parkett", "A", range(3, 4))]), "SEAT_EXISTS", json!("rows.1")),
            (json!([row("Parkett", "B", range(1, 3)), row("Parkett", "B", range(3, 3))]), "SEAT_TWICE", json!("rows.1")),
            (json!([row("Parkett", "B", json!({ "labels": ["1", "1"] }))]), "SEAT_TWICE", json!("rows.0")),
            (json!([far]), "POSITION_TAKEN", json!("rows.0")),
            (json!([unknown]), "UNKNOWN_ACCESSIBLE_SEAT", json!("rows.0.accessible")),
            (json!([row("Parkett", "B", range(2, 1))]), "INVALID_RANGE", json!("rows.0.seats")),
            (json!([row("", "B", range(1, 2))]), "INVALID_LABEL", json!("rows.0.section")),
            (json!([]), "NO_SEATS", json!("rows")),
            (json!([row("Parkett", "B", range(1, 99_999)), row("Parkett", "C", range(1, 2))]), "TOO_MANY_SEATS", json!("rows")),
        ] {
            let payload = add_seats(&organizer, &ticket_type, rows.clone()).await;
            assert_eq!((codes(&payload), &payload["userErrors"][0]["field"]), (vec![code], &field), "{rows}");
            assert_eq!((&payload["addedCount"], &payload["ticketType"]), (&json!(0), &Value::Null));
        }
        // A seat is a seat of the hall, whatever it costs.
        let payload = add_seats(&organizer, &other_type, json!([row("Parkett", "A", range(1, 1))])).await;
        assert_eq!(codes(&payload), ["SEAT_EXISTS"]);
        assert_eq!(codes(&add_seats(&organizer, &general, json!([row("S", "A", range(1, 1))])).await), ["NOT_SEATED"]);
        assert_eq!(seat_labels(&organizer, &event_id).await, ["A1", "A2", "A3"], "all of them or none");
    }

    async fn one_of_those_who_add_the_same_seats_at_once_adds_them(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let ticket_type = create_ticket_type(&organizer, &event_id, "SEATED").await;
        let rows = || json!([row("Parkett", "A", range(1, 50))]);
        let payloads = join_all((0..6).map(|_| add_seats(&organizer, &ticket_type, rows()))).await;
        assert_eq!(payloads.iter().filter(|payload| payload["addedCount"] == 50).count(), 1, "{payloads:?}");
        let others = payloads.iter().filter(|payload| ["SEAT_EXISTS", "BUSY"].contains(&codes(payload).first().copied().unwrap_or_default()));
        assert_eq!(others.count(), 5, "{payloads:?}");
        assert_eq!(seat_labels(&organizer, &event_id).await.len(), 50);
    }

    /// How long the addition and the purchases beside it took is printed, not asserted: machines differ.
    async fn eighty_thousand_seats_are_a_few_kilobytes_and_others_buy_meanwhile(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the stadium");
        let event_id = create_event(&organizer).await;
        let ticket_type = create_ticket_type(&organizer, &event_id, "SEATED").await;
        publish(&organizer, &event_id).await;
        let elsewhere = seed::places(&client, PURCHASES_BESIDE).await;

        let rows: Vec<Value> = (1..=80).map(|n| row("Arena", &n.to_string(), range(1, 1_000))).collect();
        let input_len = json!(rows).to_string().len();
        assert!(input_len < 8 * 1024, "{input_len} bytes");

        let begin = Instant::now();
        let adding = async {
            let payload = add_seats(&organizer, &ticket_type, json!(rows)).await;
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
                // All at once or not at all, at every moment.
                let total = availability(&client, &ticket_type).await["total"].as_u64().unwrap();
                assert!(total == 0 || total == 80_000, "{total} seats are seen");
            }
            (outcomes, waits)
        };
        let ((payload, took), (outcomes, mut waits)) = tokio::join!(adding, buying);

        assert_eq!((codes(&payload), &payload["addedCount"]), (vec![], &json!(80_000)));
        assert_eq!(availability(&client, &ticket_type).await, counts(80_000, 80_000, 0));
        assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
        waits.sort_unstable();
        eprintln!(
            "{:?}: 80,000 seats in {took:?}; purchases beside it took {:?} in the middle, {:?} at most",
            database.backend(), waits[waits.len() / 2], waits.last().unwrap_or(&Duration::ZERO),
        );
    }

    async fn a_capacity_is_a_total(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::places(&server.client(), 5).await;
        let organizer = server.client().organizer("the meadow");
        let ticket_type = seeded.ticket_type_id.as_str();
        let document = "query($id: ID!) { event(by: { id: $id }) { tickets(first: 100) { nodes { id } } } }";
        let tickets = async || organizer.data(document, json!({ "id": seeded.id })).await["event"]["tickets"]["nodes"].take();
        let before = tickets().await;

        let repeat = capacity(&organizer, ticket_type, 5).await;
        assert_eq!((codes(&repeat), &repeat["ticketType"]["availability"]), (vec![], &counts(5, 5, 0)));
        assert_eq!(tickets().await, before, "a repeat changes nothing");

        assert_eq!(capacity(&organizer, ticket_type, 8).await["ticketType"]["availability"], counts(8, 8, 0));
        let outcomes = [server.client().customer("ada").purchase_any(ticket_type, 3, "three").await];
        let below = capacity(&organizer, ticket_type, 2).await;
        assert_eq!((codes(&below), &below["userErrors"][0]["field"]), (vec!["BELOW_SOLD"], &json!("capacity")));
        assert_eq!(availability(&organizer, ticket_type).await, counts(8, 5, 3));
        assert_eq!(capacity(&organizer, ticket_type, 3).await["ticketType"]["availability"], counts(3, 0, 3));
        assert_eq!(capacity(&organizer, ticket_type, 4).await["ticketType"]["availability"], counts(4, 1, 3));

        assert_eq!(codes(&capacity(&organizer, ticket_type, -1).await), ["INVALID_CAPACITY"]);
        assert_eq!(codes(&capacity(&organizer, ticket_type, 250_001).await), ["TOO_MANY_TICKETS"]);
        let seated = create_ticket_type_named(&organizer, &seeded.id, "SEATED", "Seats").await;
        assert_eq!(codes(&capacity(&organizer, &seated, 1).await), ["NOT_GENERAL"]);
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn unsold_tickets_are_removed_all_or_none(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 4).await;
        let other = seed::seats(&server.client(), 1).await;
        let organizer = server.client().organizer("the hall");
        let ids = seeded.ticket_ids();
        let outcomes = [server.client().customer("ada").purchase_ticket(ids[0], "mine").await];

        let sold = remove(&organizer, &seeded.id, &[ids[1], ids[0]]).await;
        assert_eq!((codes(&sold), &sold["userErrors"][0]["field"]), (vec!["SOLD_OR_HELD"], &json!("ticketIds.1")));
        assert_eq!((&sold["removedCount"], &sold["event"]), (&json!(0), &Value::Null));
        let foreign = remove(&organizer, &seeded.id, &[ids[1], &other.tickets[0].id, "garbage"]).await;
        assert_eq!(codes(&foreign), ["UNKNOWN_TICKET", "UNKNOWN_TICKET"]);
        assert_eq!(codes(&remove(&organizer, &seeded.id, &[]).await), ["NO_TICKETS"]);
        assert_eq!(codes(&remove(&organizer, &seeded.id, &vec![ids[1]; 1_001]).await), ["TOO_MANY_TICKETS"]);
        assert_eq!(availability(&organizer, &seeded.ticket_type_id).await, counts(4, 3, 1));

        let removed = remove(&organizer, &seeded.id, &[ids[1], ids[2], ids[1]]).await;
        assert_eq!((codes(&removed), &removed["removedCount"]), (vec![], &json!(2)));
        assert_eq!(availability(&organizer, &seeded.ticket_type_id).await, counts(2, 1, 1));
        assert_eq!(codes(&remove(&organizer, &seeded.id, &[ids[1]]).await), ["UNKNOWN_TICKET"]);
        let gone = server.client().customer("bob").purchase_ticket(ids[1], "mine").await;
        assert!(gone.is_refused("UNKNOWN_TICKET"), "{gone:?}");
        // Its place is free for another seat of the same name.
        assert_eq!(codes(&add_seats(&organizer, &seeded.ticket_type_id, json!([row("Parkett", "1", range(2, 2))])).await), Vec::<&str>::new());
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_ticket_whose_order_was_cancelled_is_on_sale_but_stays(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 1).await;
        let organizer = server.client().organizer("the hall");
        server.client().customer("ada").purchase_ticket(&seeded.tickets[0].id, "mine").await.sold();
        let hand = database.connect().await;
        for statement in [
            "UPDATE order_items SET status = 'CANCELLED'",
            "UPDATE orders SET status = 'CANCELLED'",
            "UPDATE tickets SET status = 'AVAILABLE'",
        ] {
            hand.execute_unprepared(statement).await.unwrap();
        }
        rows::recount(&hand).await;
        assert_eq!(codes(&remove(&organizer, &seeded.id, &seeded.ticket_ids()).await), ["WAS_SOLD"]);
        server.client().customer("bob").purchase_ticket(&seeded.tickets[0].id, "mine").await.sold();
    }

    async fn availability_counts_every_status_and_a_hold_only_while_it_lives(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 6).await;
        let (client, ticket_type) = (server.client(), seeded.ticket_type_id.as_str());
        let sold = client.customer("ada").purchase_ticket(&seeded.seat(1).id, "mine").await;
        assert!(sold.is_sold(), "{sold:?}");
        let hand = database.connect().await;
        let hold = |seat: usize, until: &str| {
            let hold_id = match database {
                Database::Postgres { .. } => "gen_random_uuid()",
                Database::Sqlite { .. } => "randomblob(16)",
            };
            format!("UPDATE tickets SET status = 'HELD', hold_id = {hold_id}, held_until = '{until}' WHERE seat_label = '{seat}'")
        };
        for statement in [
            hold(2, "2999-01-01T00:00:00+00:00"),
            hold(3, "2001-01-01T00:00:00+00:00"),
            "UPDATE tickets SET status = 'BLOCKED' WHERE seat_label = '4'".to_owned(),
        ] {
            hand.execute_unprepared(&statement).await.unwrap();
        }
        rows::recount(&hand).await;

        let expected = json!({ "total": 6, "available": 3, "sold": 1, "held": 1, "blocked": 1 });
        assert_eq!(availability(&client, ticket_type).await, expected);
        let document = "query($id: ID!, $status: TicketStatus!) { event(by: { id: $id }) {
            tickets(filter: { status: $status }) { nodes { status seat { seat } } } } }";
        for (status, seats) in [("SOLD", vec!["1"]), ("HELD", vec!["2"]), ("AVAILABLE", vec!["3", "5", "6"]), ("BLOCKED", vec!["4"])] {
            let data = client.data(document, json!({ "id": seeded.id, "status": status })).await;
            let expected: Vec<Value> = seats.iter().map(|seat| json!({ "status": status, "seat": { "seat": seat } })).collect();
            assert_eq!(data["event"]["tickets"]["nodes"], json!(expected));
        }
        let bob = client.customer("bob");
        assert!(bob.purchase_ticket(&seeded.seat(2).id, "held").await.is_refused("HELD"));
        assert!(bob.purchase_ticket(&seeded.seat(4).id, "blocked").await.is_refused("BLOCKED"));
        bob.purchase_ticket(&seeded.seat(3).id, "its hold has ended").await.sold();
    }

    async fn pages_forward_and_backward_cover_the_list_once(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let seeded = seed::seats(&client, 23).await;
        let organizer = client.organizer("the hall");
        for n in 0..11 {
            // Several that start at the same instant: the key has to tell them apart.
            let starts_at = format!("2027-01-0{}T20:00:00Z", 1 + n % 3);
            let input = with(seed::event_input(), json!({ "startsAt": starts_at, "slug": format!("event-number-{n}") }));
            publish(&organizer, id(&organizer.ask("createEvent", EVENT, input).await["event"])).await;
        }
        let ada = client.customer("ada");
        for ticket in &seeded.tickets[..9] {
            ada.purchase_ticket(&ticket.id, &ticket.id).await.sold();
        }

        let tickets = format!("event(by: {{ id: \"{}\" }})", seeded.id);
        for (caller, list, len) in [(&client, "events", 12), (&client, tickets.as_str(), 23), (&ada, "me", 9)] {
            let forward = walk(caller, list, 4, true).await;
            assert_eq!(forward.len(), len, "{list}");
            let distinct: std::collections::HashSet<_> = forward.iter().collect();
            assert_eq!(distinct.len(), len, "{list}");
            let mut backward = walk(caller, list, 4, false).await;
            backward.reverse();
            assert_eq!(backward, forward, "{list}");
            assert_eq!(walk(caller, list, 100, true).await, forward, "{list}");
        }
        let starts = client.data("{ events(first: 100) { nodes { startsAt } } }", json!({})).await;
        let starts: Vec<_> = starts["events"]["nodes"].as_array().unwrap().iter().map(|event| instant(&event["startsAt"])).collect();
        assert!(starts.is_sorted(), "{starts:?}");
    }

    async fn a_page_between_two_cursors_holds_what_is_between_them(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 6).await;
        let document = "query($id: ID!, $after: String, $before: String, $first: Int, $last: Int) { event(by: { id: $id }) {
            tickets(first: $first, last: $last, after: $after, before: $before) { edges { cursor node { seat { seat } } } pageInfo { hasNextPage hasPreviousPage } } } }";
        let read = async |arguments: Value| {
            let data = server.client().data(document, with(arguments, json!({ "id": seeded.id }))).await;
            data["event"]["tickets"].clone()
        };
        let labels = |page: &Value| -> Vec<String> {
            page["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["seat"]["seat"].as_str().unwrap().to_owned()).collect()
        };
        let all = read(json!({})).await;
        assert_eq!(labels(&all), ["1", "2", "3", "4", "5", "6"]);
        let cursor = |n: usize| all["edges"][n]["cursor"].clone();
        assert_eq!(labels(&read(json!({ "after": cursor(0), "before": cursor(5) })).await), ["2", "3", "4", "5"]);
        assert_eq!(labels(&read(json!({ "after": cursor(0), "before": cursor(5), "first": 2 })).await), ["2", "3"]);
        assert_eq!(labels(&read(json!({ "after": cursor(0), "before": cursor(5), "last": 2 })).await), ["4", "5"]);
        assert_eq!(labels(&read(json!({ "after": cursor(5) })).await), Vec::<String>::new());
    }

    async fn what_is_no_page_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let seeded = seed::seats(&client, 2).await;
        let ada = client.customer("ada");
        ada.purchase_ticket(&seeded.tickets[0].id, "k").await.sold();
        let document = "query($id: ID!) { events { edges { cursor } } event(by: { id: $id }) { tickets { edges { cursor } } } me { orders { edges { cursor } } } }";
        let data = ada.data(document, json!({ "id": seeded.id })).await;
        let of_events = data["events"]["edges"][0]["cursor"].as_str().unwrap();
        let of_tickets = data["event"]["tickets"]["edges"][0]["cursor"].as_str().unwrap();
        let of_orders = data["me"]["orders"]["edges"][0]["cursor"].as_str().unwrap();

        let tickets = format!("event(by: {{ id: \"{}\" }}) {{ tickets", seeded.id);
        for (list, own, others) in [
            ("events", of_events, [of_tickets, of_orders]),
            (tickets.as_str(), of_tickets, [of_events, of_orders]),
            ("me { orders", of_orders, [of_events, of_tickets]),
        ] {
            let close = if list.contains('{') && list != "events" { "}" } else { "" };
            let send = async |arguments: &str| {
                let document = format!("{{ {list}({arguments}) {{ nodes {{ id }} }} {close} }}");
                ada.send(&document, json!({})).await
            };
            assert_eq!(send(&format!("after: \"{own}\"")).await.fault(), None, "{list}");
            let mut refused: Vec<String> = ["first: 0", "first: -1", "first: 101", "last: 0", "last: 101", "first: 1, last: 1", "after: \"\"", "before: \"garbage\""]
                .map(str::to_owned).to_vec();
            refused.extend(others.map(|cursor| format!("after: \"{cursor}\"")));
            refused.extend(others.map(|cursor| format!("before: \"{cursor}\"")));
            for arguments in refused {
                assert_eq!(send(&arguments).await.fault(), Some("BAD_USER_INPUT"), "{list}({arguments})");
            }
        }
    }

    async fn events_are_filtered_by_what_is_given(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let (hall, meadow) = (client.organizer("the hall"), client.organizer("the meadow"));
        let now = Utc::now();
        let mut organizers = Vec::new();
        for (organizer, slug, starts_in, opens_in) in [(&hall, "soon", 10, -1), (&hall, "later", 20, 5), (&meadow, "far", 30, -1)] {
            let input = with(seed::event_input(), json!({
                "slug": slug, "startsAt": now + TimeDelta::days(starts_in), "salesOpenAt": now + TimeDelta::days(opens_in),
            }));
            let payload = organizer.ask("createEvent", EVENT, input).await;
            organizers.push(id(&payload["event"]["organizer"]).to_owned());
            publish(organizer, id(&payload["event"])).await;
        }
        assert_eq!(organizers[0], organizers[1]);
        let slugs = async |filter: Value| -> Vec<String> {
            let document = "query($filter: EventFilter) { events(filter: $filter) { nodes { slug } } }";
            let data = client.data(document, json!({ "filter": filter })).await;
            data["events"]["nodes"].as_array().unwrap().iter().map(|event| event["slug"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(slugs(Value::Null).await, ["soon", "later", "far"]);
        assert_eq!(slugs(json!({})).await, ["soon", "later", "far"]);
        assert_eq!(slugs(json!({ "isOnSale": true })).await, ["soon", "far"]);
        assert_eq!(slugs(json!({ "isOnSale": false })).await, ["later"]);
        assert_eq!(slugs(json!({ "organizerId": organizers[0] })).await, ["soon", "later"]);
        assert_eq!(slugs(json!({ "organizerId": organizers[0], "isOnSale": true })).await, ["soon"]);
        let later = now + TimeDelta::days(20);
        assert_eq!(slugs(json!({ "startsFrom": later })).await, ["later", "far"], "at the instant or after it");
        assert_eq!(slugs(json!({ "startsBefore": later })).await, ["soon"], "before the instant");
        assert_eq!(slugs(json!({ "status": "CANCELLED" })).await, Vec::<String>::new());
        let document = "{ events(filter: { organizerId: \"x\" }) { nodes { id } } }";
        assert_eq!(client.send(document, json!({})).await.fault(), Some("BAD_USER_INPUT"));
    }

    async fn tickets_are_filtered_by_what_is_given(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = create_event(&organizer).await;
        let stalls = create_ticket_type_named(&organizer, &event_id, "SEATED", "Stalls").await;
        let circle = create_ticket_type_named(&organizer, &event_id, "SEATED", "Circle").await;
        let foreign = seed::seats(&server.client(), 1).await.ticket_type_id;
        add_seats(&organizer, &stalls, json!([with(row("Stalls", "A", range(1, 2)), json!({ "accessible": ["1"] })), row("Side", "B", range(1, 1))])).await;
        add_seats(&organizer, &circle, json!([with(row("Circle", "C", range(1, 2)), json!({ "accessible": ["2"] }))])).await;

        let document = "query($id: ID!, $filter: TicketFilter) { event(by: { id: $id }) { tickets(filter: $filter) { nodes { seat { row seat } } } } }";
        let send = async |filter: Value| organizer.send(document, json!({ "id": event_id, "filter": filter })).await;
        let labels = async |filter: Value| -> Vec<String> {
            let answer = send(filter).await;
            let tickets = answer.data["event"]["tickets"]["nodes"].as_array().unwrap().clone();
            tickets.iter().map(|ticket| format!("{}{}", ticket["seat"]["row"].as_str().unwrap(), ticket["seat"]["seat"].as_str().unwrap())).collect()
        };
        assert_eq!(labels(Value::Null).await, ["A1", "A2", "B1", "C1", "C2"]);
        assert_eq!(labels(json!({ "ticketTypeId": stalls })).await, ["A1", "A2", "B1"]);
        assert_eq!(labels(json!({ "section": "Stalls" })).await, ["A1", "A2"]);
        assert_eq!(labels(json!({ "section": "stalls" })).await, Vec::<String>::new(), "by its exact name");
        assert_eq!(labels(json!({ "section": "Stalls\u{0}" })).await, Vec::<String>::new(), "no section has such a name");
        assert_eq!(labels(json!({ "isAccessible": true })).await, ["A1", "C2"]);
        assert_eq!(labels(json!({ "isAccessible": true, "ticketTypeId": circle })).await, ["C2"]);
        for wrong in [event_id.as_str(), foreign.as_str(), "x"] {
            assert_eq!(send(json!({ "ticketTypeId": wrong })).await.fault(), Some("BAD_USER_INPUT"));
        }
    }

    async fn every_object_is_found_again_by_its_id(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::seats(&server.client(), 1).await;
        let ada = server.client().customer("ada");
        let order = ada.purchase_ticket(&seeded.tickets[0].id, "k").await.sold();
        let organizer_id = id(&event(&ada, &seeded.id).await["organizer"]).to_owned();
        let kinds = [
            ("Event", seeded.id.as_str()), ("TicketType", &seeded.ticket_type_id), ("Ticket", &seeded.tickets[0].id),
            ("Organizer", &organizer_id), ("Order", &order.id), ("OrderItem", &order.items[0].id),
        ];
        let ids = kinds.map(|(_, id)| id);
        let expected = kinds.map(|(kind, id)| json!({ "__typename": kind, "id": id }));
        let data = ada.data("query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", json!({ "ids": ids })).await;
        assert_eq!(data["nodes"], json!(expected));
        for ((_, id), expected) in kinds.iter().zip(expected) {
            let data = ada.data("query($id: ID!) { node(id: $id) { __typename id } }", json!({ "id": id })).await;
            assert_eq!(data["node"], expected);
        }
    }

    async fn ids_of_nothing_are_null_and_what_is_no_id_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let seeded = seed::seats(&client, 1).await;
        let other = seed::seats(&client, 1).await;
        // A ticket of one event under another event's name.
        let mixed = {
            let decode = |id: &str| data_encoding::BASE64URL_NOPAD.decode(id.as_bytes()).unwrap();
            let mut bytes = decode(&seeded.tickets[0].id);
            bytes[17..].copy_from_slice(&decode(&other.tickets[0].id)[17..]);
            data_encoding::BASE64URL_NOPAD.encode(&bytes)
        };
        let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        let ids = json!([mixed, seeded.id, mixed]);
        let data = client.data(document, json!({ "ids": ids })).await;
        assert_eq!(data["nodes"], json!([null, { "id": seeded.id }, null]));

        for garbage in ["", "x", "1", "AAAA", &"A".repeat(10_000)] {
            let answer = client.send("query($id: ID!) { node(id: $id) { id } }", json!({ "id": garbage })).await;
            assert_eq!(answer.fault(), Some("BAD_USER_INPUT"), "{garbage:.20}");
            let answer = client.send("query($id: ID!) { event(by: { id: $id }) { id } }", json!({ "id": garbage })).await;
            assert_eq!(answer.fault(), Some("BAD_USER_INPUT"), "{garbage:.20}");
        }
        let hundred = vec![&seeded.id; 100];
        assert_eq!(client.send(document, json!({ "ids": hundred })).await.fault(), None);
        let more = vec![&seeded.id; 101];
        assert_eq!(client.send(document, json!({ "ids": more })).await.fault(), Some("BAD_USER_INPUT"));
        for slug in ["", "\u{0}", "Not a slug", &"a".repeat(10_000)] {
            let data = client.data("query($slug: String!) { event(by: { slug: $slug }) { id } }", json!({ "slug": slug })).await;
            assert_eq!(data["event"], Value::Null, "{slug:.20}");
        }
        // An id of another kind names no event.
        let data = client.data("query($id: ID!) { event(by: { id: $id }) { id } }", json!({ "id": seeded.tickets[0].id })).await;
        assert_eq!(data["event"], Value::Null);
    }

    async fn a_capacity_that_shrinks_in_a_burst_loses_no_sale(database: Database) {
        let server = Server::start(&database).await;
        let seeded = seed::places(&server.client(), 60).await;
        let organizer = server.client().organizer("the meadow");
        let client = server.client();
        let buyers: Vec<Client> = (0..40).map(|n| client.customer(&format!("buyer {n}"))).collect();
        let buying = join_all(buyers.iter().map(|buyer| buyer.purchase_any(&seeded.ticket_type_id, 1, "mine")));
        let shrinking = async {
            for to in [50, 40, 30, 20] {
                let payload = capacity(&organizer, &seeded.ticket_type_id, to).await;
                let refused = codes(&payload);
                assert!(refused.is_empty() || ["BUSY", "BELOW_SOLD"].contains(&refused[0]), "{payload}");
            }
        };
        let (outcomes, ()) = tokio::join!(buying, shrinking);
        let sold = rows::orders(&outcomes).len();
        let refused = outcomes.iter().filter(|outcome| outcome.is_refused("NOT_ENOUGH_LEFT")).count();
        assert_eq!(sold + refused, 40, "{outcomes:?}");
        assert!(sold >= 20, "{sold}");
        rows::assert_conserved(&database, &outcomes).await;
        set_capacity(&organizer, &seeded.ticket_type_id, sold).await;
        assert_eq!(availability(&client, &seeded.ticket_type_id).await, counts(sold, 0, sold));
    }
}

/// The ids of a list, read in pages of `len` from one of its ends, in the order in which they came.
async fn walk(client: &Client, list: &str, len: usize, is_forward: bool) -> Vec<String> {
    let (ask, cursor_of, goes_on) = match is_forward {
        true => ("first: $len, after: $cursor", "endCursor", "hasNextPage"),
        false => (
            "last: $len, before: $cursor",
            "startCursor",
            "hasPreviousPage",
        ),
    };
    let connection = format!(
        "({ask}) {{ nodes {{ id }} edges {{ cursor node {{ id }} }} pageInfo {{ {goes_on} {cursor_of} }} }}"
    );
    let (path, document) = match list {
        "events" => (vec!["events"], format!("events{connection}")),
        "me" => (vec!["me", "orders"], format!("me {{ orders{connection} }}")),
        event => (
            vec!["event", "tickets"],
            format!("{event} {{ tickets{connection} }}"),
        ),
    };
    let document = format!("query($len: Int!, $cursor: String) {{ {document} }}");
    let mut ids = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let data = client
            .data(&document, json!({ "len": len, "cursor": cursor }))
            .await;
        let page = path.iter().fold(&data, |value, field| &value[*field]);
        let nodes: Vec<String> = page["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| id(node).to_owned())
            .collect();
        let edges: Vec<&str> = page["edges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|edge| id(&edge["node"]))
            .collect();
        assert_eq!(nodes, edges);
        assert!(nodes.len() <= len);
        if is_forward {
            ids.extend(nodes);
        } else {
            ids.extend(nodes.into_iter().rev());
        }
        if page["pageInfo"][goes_on] != true {
            return ids;
        }
        cursor = page["pageInfo"][cursor_of].clone();
    }
}
