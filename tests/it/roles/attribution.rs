//! Whose name stands under what staff and machines do.

use std::time::Duration;

use rowlock::entity::{customer, order};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use super::{House, Who, create_key};
use crate::harness::{
    Client, Database,
    client::{PURCHASE_TICKET, codes},
    eventually,
};

const TOLD_WITHIN: Duration = Duration::from_secs(20);

const HISTORY: &str = "query($id: ID!) { node(id: $id) { ... on Ticket {
    history { cause actor staff { issuer subject apiKeyId } }
} } }";

/// The changes of a ticket, once there are so many: why, by what kind, and by whom of staff.
async fn history(client: &Client, ticket: &str, len: usize) -> Vec<Value> {
    eventually("the ticket's history", TOLD_WITHIN, async || {
        let data = client.data(HISTORY, json!({ "id": ticket })).await;
        let all = data["node"]["history"].as_array().unwrap().clone();
        (all.len() >= len).then_some(all)
    })
    .await
}

fn by_member(cause: &str, subject: &str) -> Value {
    json!({ "cause": cause, "actor": "ORGANIZER",
        "staff": { "issuer": "rowlock", "subject": subject, "apiKeyId": null } })
}

fn by_customer(cause: &str) -> Value {
    json!({ "cause": cause, "actor": "CUSTOMER", "staff": null })
}

on_both_databases! {
    async fn it_is_written_down_who_of_the_staff_it_was(database: Database) {
        let house = House::open(&database).await;
        let tickets = house.event.ticket_ids();
        let owner = house.client(Who::Owner);
        let (key_id, secret) = create_key(owner, &house.organizer_id, &["SELL"]).await;
        let till = house.client(Who::Anonymous).with_token(&secret);
        let ada = json!({ "issuer": "rowlock", "subject": "ada" });
        let buy = async |client: &Client, ticket: &str| {
            let input = json!({ "ticketId": ticket, "onBehalfOf": ada, "idempotencyKey": ticket });
            client.purchase(PURCHASE_TICKET, "purchaseTicket", input).await.sold()
        };

        buy(&till, tickets[0]).await;
        let mut bought = history(owner, tickets[0], 1).await;
        let staff = bought[0]["staff"].take();
        assert_eq!(bought, [json!({ "cause": "PURCHASE", "actor": "ORGANIZER", "staff": null })]);
        assert_eq!((&staff["issuer"], &staff["apiKeyId"]), (&json!("rowlock:api-key"), &json!(key_id)));

        buy(house.client(Who::BoxOffice), tickets[1]).await;
        let own = house.client(Who::Customer).purchase_ticket(tickets[2], "own").await.sold();
        let cancelled = house.client(Who::Manager).cancel_order(&own.id, None, Some("she asked us to"), "c").await;
        cancelled.sold();
        let held = json!({ "tickets": { "ids": [tickets[3]] }, "onBehalfOf": ada, "idempotencyKey": "h" });
        let held = house.client(Who::BoxOffice).ask("holdTickets", "hold { id }", held).await;
        house.client(Who::Customer).release_hold(held["hold"]["id"].as_str().unwrap(), None, "r").await;
        let blocked = json!({ "eventId": house.event.id, "ticketIds": [tickets[4]], "reason": "a pillar" });
        let blocked = house.client(Who::BoxOffice).ask("blockTickets", "", blocked).await;
        assert_eq!(codes(&blocked), Vec::<&str>::new());

        assert_eq!(history(owner, tickets[1], 1).await, [by_member("PURCHASE", "box office")]);
        assert_eq!(
            history(owner, tickets[2], 2).await,
            [by_customer("PURCHASE"), by_member("ORDER_CANCELLATION", "manager")]
        );
        assert_eq!(history(owner, tickets[3], 2).await, [by_member("HOLD", "box office"), by_customer("RELEASE")]);
        assert_eq!(history(owner, tickets[4], 1).await, [by_member("BLOCK", "box office")]);

        // In the orders too, for whoever asks the database.
        let rows = database.look().await;
        let accounts = customer::Entity::find().all(&rows).await.unwrap();
        let orders = order::Entity::find().all(&rows).await.unwrap();
        rows.close().await.unwrap();
        let name = |id| accounts.iter().find(|account| account.id == id).unwrap().subject.clone();
        let mut placed: Vec<_> = orders.iter().map(|row| (name(row.customer_id), name(row.placed_by))).collect();
        placed.sort_unstable();
        let till = staff["subject"].as_str().unwrap();
        let mut expected = [("ada", till), ("ada", "ada"), ("ada", "box office"), ("bob", "bob")];
        expected.sort_unstable();
        assert_eq!(placed, expected.map(|(customer, by)| (customer.to_owned(), by.to_owned())));

        let over = json!({ "id": house.event.id, "reason": "rain" });
        let over = owner.ask("cancelEvent", "", over).await;
        assert_eq!(codes(&over), Vec::<&str>::new());
        assert_eq!(history(owner, tickets[0], 2).await[1], by_member("EVENT_CANCELLATION", "the hall"));
    }
}
