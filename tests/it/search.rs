//! Finding events by their words.

use migration::{Migrator, MigratorTrait};
use serde_json::{Value, json};

use crate::{
    catalogue::{id, with},
    harness::{Client, Database, Server, client::codes, seed},
};

async fn add(organizer: &Client, slug: &str, texts: Value) -> String {
    let input = with(
        with(seed::event_input(), texts),
        json!({ "slug": slug, "venue": "V" }),
    );
    let payload = organizer.ask("createEvent", "event { id }", input).await;
    assert_eq!(codes(&payload), Vec::<&str>::new(), "{slug}");
    id(&payload["event"]).to_owned()
}

/// The slugs of what is found, sorted.
async fn find_of(client: &Client, status: &str, search: &str) -> Vec<String> {
    let document = "query($search: String, $status: EventStatus) {
        events(search: $search, filter: { status: $status }, first: 100) { nodes { slug } } }";
    let data = client
        .data(document, json!({ "search": search, "status": status }))
        .await;
    let mut slugs: Vec<_> = data["events"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["slug"].as_str().unwrap().to_owned())
        .collect();
    slugs.sort();
    slugs
}

async fn find(client: &Client, search: &str) -> Vec<String> {
    find_of(client, "PUBLISHED", search).await
}

on_both_databases! {
    async fn every_word_must_occur_whatever_its_capitals_and_accents(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        for (slug, name, description) in [
            ("giselle", "Жизель", "Балет. Ёлка."),
            ("dvorak", "Antonín Dvořák", "Symphonie Nr. 9, Große Halle"),
            ("percent", "100% Pure_Jazz", "back\\slash"),
            ("thousand", "1000 Pure Jazz", "nothing"),
        ] {
            let event_id = add(&organizer, slug, json!({ "name": name, "description": description })).await;
            seed::publish(&organizer, &event_id).await;
        }
        let client = server.client();
        for (search, found) in [
            ("жизель", vec!["giselle"]), ("ЖИЗЕЛЬ", vec!["giselle"]), ("елка БАЛЕТ", vec!["giselle"]), ("жизель dvorak", vec![]),
            ("dvorak", vec!["dvorak"]), ("DVOŘÁK antonin", vec!["dvorak"]), ("dvor\u{30c}a\u{301}k", vec!["dvorak"]),
            ("GROSSE große", vec!["dvorak"]), ("vor", vec!["dvorak"]), ("pure", vec!["percent", "thousand"]),
            ("jazz 1000", vec!["thousand"]), ("thousand", vec!["thousand"]),
            // What LIKE and regular expressions read as more than itself.
            ("100%", vec!["percent"]), ("%", vec!["percent"]), ("_", vec!["percent"]), ("pure_", vec!["percent"]),
            ("\\", vec!["percent"]), (".*", vec![]), ("'", vec![]), ("\"", vec![]), ("?", vec![]), ("$1", vec![]),
            ("pure\u{0}jazz", vec!["percent", "thousand"]),
            ("", vec!["dvorak", "giselle", "percent", "thousand"]), (" \n\u{a0}", vec!["dvorak", "giselle", "percent", "thousand"]),
        ] {
            assert_eq!(find(&client, search).await, found, "{search:?}");
        }
        let document = "{ events(search: null) { nodes { id } } }";
        assert_eq!(client.data(document, json!({})).await["events"]["nodes"].as_array().unwrap().len(), 4);
    }

    async fn a_changed_event_is_found_by_its_new_words_and_the_beginning_of_its_text(database: Database) {
        let server = Server::start(&database).await;
        let (client, organizer) = (server.client(), server.client().organizer("the hall"));
        let text = |word: &str, before: usize| format!("{}{word}", "x".repeat(before));
        let event_id = add(&organizer, "old-slug", json!({ "name": "Old", "description": text("edge", 1_996) })).await;
        seed::publish(&organizer, &event_id).await;
        assert_eq!(find(&client, "edge").await, ["old-slug"]);
        let change = json!({ "id": event_id, "version": 2, "name": "New", "venue": "Théâtre", "slug": "new-slug", "description": text("edge", 1_997) });
        assert_eq!(codes(&organizer.ask("updateEvent", "event { id }", change).await), Vec::<&str>::new());
        assert_eq!(find(&client, "new theatre new-slug").await, ["new-slug"]);
        for gone in ["old", "edge"] {
            assert_eq!(find(&client, gone).await, Vec::<String>::new(), "{gone}");
        }
        // No word is found half in one text and half in the next.
        assert_eq!(find(&client, "newth").await, Vec::<String>::new());
    }

    async fn a_draft_is_found_by_its_own_organizer_alone(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the hall");
        let event_id = add(&organizer, "secret", json!({ "name": "Secret" })).await;
        let others = [client.clone(), client.customer("ada"), client.customer("the hall"), client.organizer("another hall")];
        for other in &others {
            assert_eq!(find_of(other, "DRAFT", "secret").await, Vec::<String>::new());
        }
        assert_eq!(find_of(&organizer, "DRAFT", "secret").await, ["secret"]);
        assert_eq!(find(&organizer, "secret").await, Vec::<String>::new());
        seed::publish(&organizer, &event_id).await;
        for caller in others.iter().chain([&organizer]) {
            assert_eq!(find(caller, "secret").await, ["secret"]);
        }
    }

    async fn a_search_is_bounded_and_pages_like_every_list(database: Database) {
        let server = Server::start(&database).await;
        let (client, organizer) = (server.client(), server.client().organizer("the hall"));
        for n in 0..9 {
            let name = if n % 2 == 0 { "Matinée" } else { "Soirée" };
            let event_id = add(&organizer, &format!("event-{n}"), json!({ "name": name })).await;
            seed::publish(&organizer, &event_id).await;
        }
        for (ask, end, goes_on) in [("first: 2, after: $cursor", "endCursor", "hasNextPage"), ("last: 2, before: $cursor", "startCursor", "hasPreviousPage")] {
            let document = format!("query($cursor: String) {{ events(search: \"matinee\", {ask}) {{ nodes {{ name slug }} pageInfo {{ {end} {goes_on} }} }} }}");
            let (mut slugs, mut cursor) = (Vec::new(), Value::Null);
            loop {
                let page = client.data(&document, json!({ "cursor": cursor })).await["events"].take();
                for node in page["nodes"].as_array().unwrap() {
                    assert_eq!(node["name"], "Matinée");
                    slugs.push(node["slug"].as_str().unwrap().to_owned());
                }
                if page["pageInfo"][goes_on] != true {
                    break;
                }
                cursor = page["pageInfo"][end].clone();
            }
            slugs.sort();
            assert_eq!(slugs, ["event-0", "event-2", "event-4", "event-6", "event-8"]);
        }
        let document = "query($search: String) { events(search: $search) { nodes { id } } }";
        let words = |len: usize| (0..len).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        for (search, fault) in [
            ("é".repeat(200), None), ("é".repeat(201), Some("BAD_USER_INPUT")), (words(10), None), (words(11), Some("BAD_USER_INPUT")),
        ] {
            assert_eq!(client.send(document, json!({ "search": search })).await.fault(), fault, "{search:.20}");
        }
    }

    async fn events_from_before_there_was_a_search_are_found(database: Database) {
        let server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = add(&organizer, "dvorak", json!({ "name": "Antonín DVOŘÁK – Жизель", "description": "Große\nHalle" })).await;
        seed::publish(&organizer, &event_id).await;
        drop(server);
        let hand = database.connect().await;
        let steps = Migrator::migrations();
        let step = steps.iter().position(|step| step.name().contains("m0006")).unwrap();
        let back = u32::try_from(steps.len() - step).unwrap();
        Migrator::down(&hand, Some(back)).await.unwrap();
        Migrator::up(&hand, None).await.unwrap();
        hand.close().await.unwrap();
        let server = Server::start(&database).await;
        for search in ["dvorak antonin", "ЖИЗЕЛЬ", "grosse halle", "dvořák v"] {
            assert_eq!(find(&server.client(), search).await, ["dvorak"], "{search}");
        }
    }
}
