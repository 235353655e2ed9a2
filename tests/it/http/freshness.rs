//! What a moment ago was true is told once more, but never to who has changed it since, or asks for what is so now.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Database, Server, eventually, rows, seed};

const NAME: &str = "query($id: ID!) { event(by: { id: $id }) { name } }";
const LEFT: &str =
    "query($id: ID!) { event(by: { id: $id }) { ticketTypes { availability { available } } } }";

async fn name(client: &Client, event_id: &str) -> Value {
    let data = client.data(NAME, json!({ "id": event_id })).await;
    data["event"]["name"].clone()
}

async fn left(client: &Client, event_id: &str) -> Value {
    let data = client.data(LEFT, json!({ "id": event_id })).await;
    data["event"]["ticketTypes"][0]["availability"]["available"].clone()
}

on_both_databases! {
    async fn what_is_changed_behind_a_server_is_seen_a_moment_later_and_at_once_by_who_asks_for_it(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let (page, strict) = (server.client().like_a_page(), server.client());
        let mut is_kept = false;
        for n in 0..200 {
            let before = name(&page, &event.id).await;
            rows::set_events(&database, &format!("name = 'the {n}th'")).await;
            let now = json!(format!("the {n}th"));
            is_kept |= name(&page, &event.id).await == before;
            assert_eq!(name(&strict, &event.id).await, now);
            eventually("the new name", Duration::from_secs(5), async || {
                (name(&page, &event.id).await == now).then_some(())
            })
            .await;
            if is_kept {
                return;
            }
        }
        panic!("nothing was kept");
    }

    async fn who_has_bought_reads_that_it_is_sold(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 20).await;
        let (page, ada) = (server.client().like_a_page(), server.client().customer("ada"));
        for (n, ticket) in event.ticket_ids().into_iter().enumerate() {
            assert_eq!(left(&page, &event.id).await, json!(20 - n));
            ada.purchase_ticket(ticket, ticket).await.sold();
        }
        assert_eq!(left(&page, &event.id).await, json!(0));
    }
}
