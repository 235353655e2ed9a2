//! An account that is erased is nobody whom the server knows.

use rowlock::entity::{customer, organizer};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use super::{House, Who, set_member};
use crate::harness::{Database, client::codes};

on_both_databases! {
    async fn whoever_is_erased_is_nowhere_and_what_they_bought_stays(database: Database) {
        let house = House::open(&database).await;
        let ada = house.client(Who::Customer);
        let tickets = house.event.ticket_ids();
        let order = ada.purchase_ticket(tickets[0], "a").await.sold();
        let export = "{ me { issuer subject orders { nodes { id total { amount } items { seatLabel admissionCode } } } holds { nodes { id } } } }";
        let data = ada.data(export, json!({})).await;
        assert_eq!(data["me"]["subject"], "ada");
        assert_eq!(data["me"]["orders"]["nodes"][0]["id"], json!(order.id));

        let wrong = ada.ask("eraseAccount", "isErased", json!({ "subject": "bob" })).await;
        assert_eq!((codes(&wrong), &wrong["isErased"]), (vec!["OTHER_ACCOUNT"], &json!(false)));
        for _ in 0..2 {
            let erased = ada.ask("eraseAccount", "isErased", json!({ "subject": "ada" })).await;
            assert_eq!((codes(&erased), &erased["isErased"]), (vec![], &json!(true)), "also twice");
        }
        let look = database.look().await;
        for row in customer::Entity::find().all(&look).await.unwrap() {
            assert_ne!(row.subject, "ada");
        }
        let data = ada.data(export, json!({})).await;
        assert_eq!(data["me"]["orders"]["nodes"], json!([]));
        // Whoever comes back is somebody new, with the same keys.
        let new = ada.purchase_ticket(tickets[1], "a").await.sold();
        assert_ne!(new.id, order.id);
        assert!(ada.purchase_ticket(tickets[0], "b").await.is_refused("ALREADY_SOLD"));
    }

    async fn whoever_acts_for_an_organizer_is_let_go_first(database: Database) {
        let house = House::open(&database).await;
        let (owner, client) = (house.client(Who::Owner), house.client(Who::Anonymous));
        let erase = async |subject: &str| {
            client.customer(subject).ask("eraseAccount", "", json!({ "subject": subject })).await
        };
        for member in ["the hall", "reader"] {
            assert_eq!(codes(&erase(member).await), ["IS_MEMBER"]);
        }
        set_member(owner, &house.organizer_id, "manager", "OWNER").await;
        let input = json!({ "organizerId": house.organizer_id, "subject": "the hall" });
        assert_eq!(codes(&house.client(Who::Manager).ask("removeMember", "", input).await), Vec::<&str>::new());
        assert_eq!(codes(&erase("the hall").await), Vec::<&str>::new());
        let look = database.look().await;
        for row in organizer::Entity::find().all(&look).await.unwrap() {
            assert_ne!(row.subject, "the hall");
        }
        let data = house.client(Who::Manager).data("query($id: ID!) { event(by: { id: $id }) { organizer { id } } }",
            json!({ "id": house.event.id })).await;
        assert_eq!(data["event"]["organizer"]["id"], json!(house.organizer_id));
        assert_ne!(data["event"]["organizer"]["id"], Value::Null);
    }
}
