//! Members: who they are, and what becomes of it at once.

use serde_json::json;

use super::{House, Who, set_member, told};
use crate::harness::{
    Database, Server,
    client::{codes, mutation},
    seed,
};

const MEMBERS: &str = "query($id: ID!) { node(id: $id) { ... on Organizer { name members { issuer subject role } } } }";

on_both_databases! {
    async fn an_organizer_is_founded_by_its_first_event_and_named_by_its_owner(database: Database) {
        let house = House::open(&database).await;
        let owner = house.client(Who::Owner);
        let id = json!({ "id": house.organizer_id });
        let data = owner.data(MEMBERS, id.clone()).await;
        assert_eq!(data["node"]["name"], "the hall");
        let member = |subject, role| json!({ "issuer": "rowlock", "subject": subject, "role": role });
        assert_eq!(data["node"]["members"], json!([
            member("the hall", "OWNER"), member("manager", "MANAGER"), member("box office", "BOX_OFFICE"),
            member("door", "DOOR"), member("reader", "READER"),
        ]), "oldest first");

        let input = json!({ "id": house.organizer_id, "name": "The Grand Hall" });
        let renamed = owner.ask("updateOrganizer", "organizer { name }", input).await;
        assert_eq!(renamed["organizer"]["name"], "The Grand Hall");
        // Everybody reads the name, and nobody but owners who the members are.
        let of_event = "query($id: ID!) { event(by: { id: $id }) { organizer { name } } }";
        let event = json!({ "id": house.event.id });
        let data = house.client(Who::Anonymous).data(of_event, event).await;
        assert_eq!(data["event"]["organizer"]["name"], "The Grand Hall");
    }

    async fn a_member_acts_by_the_role_of_the_moment(database: Database) {
        let house = House::open(&database).await;
        let (owner, reader) = (house.client(Who::Owner), house.client(Who::Reader));
        let stale = json!({ "id": house.event.id, "version": 99 });
        let update = async || {
            let answer = reader.send(&mutation("updateEvent", ""), json!({ "input": stale })).await;
            told("updateEvent", &answer)
        };
        assert_eq!(update().await, "FORBIDDEN");
        set_member(owner, &house.organizer_id, "reader", "MANAGER").await;
        assert_eq!(update().await, "STALE");
        let draft = "query($id: ID!) { event(by: { id: $id }) { id } }";
        let id = json!({ "id": house.draft_id });
        assert_eq!(reader.data(draft, id.clone()).await["event"]["id"], json!(house.draft_id));

        let input = json!({ "organizerId": house.organizer_id, "subject": "reader" });
        let removed = owner.ask("removeMember", "organizer { id }", input.clone()).await;
        assert_eq!(removed["organizer"]["id"], json!(house.organizer_id));
        assert_eq!(update().await, "UNKNOWN_EVENT");
        assert_eq!(reader.data(draft, id).await["event"], json!(null));
        assert_eq!(codes(&owner.ask("removeMember", "", input).await), ["UNKNOWN_MEMBER"]);
    }

    async fn an_organizer_keeps_an_owner(database: Database) {
        let house = House::open(&database).await;
        let owner = house.client(Who::Owner);
        let id = &house.organizer_id;
        let own = json!({ "organizerId": id, "subject": "the hall" });
        assert_eq!(codes(&owner.ask("removeMember", "", own.clone()).await), ["LAST_OWNER"]);
        set_member(owner, id, "manager", "OWNER").await;
        // Two owners who remove each other at once: one of them stays.
        let manager = house.client(Who::Manager);
        let other = json!({ "organizerId": id, "subject": "manager" });
        let (one, two) = tokio::join!(owner.ask("removeMember", "", other), manager.ask("removeMember", "", own));
        let mut told = [codes(&one).join(" "), codes(&two).join(" ")];
        told.sort_unstable();
        assert_eq!(told[0], "", "{told:?}");
        assert!(["UNKNOWN_ORGANIZER", "LAST_OWNER", "FORBIDDEN"].contains(&told[1].as_str()), "{told:?}");
    }

    async fn whoever_acts_for_several_says_for_which(database: Database) {
        let house = House::open(&database).await;
        let (owner, outsider) = (house.client(Who::Owner), house.client(Who::Outsider));
        set_member(owner, &house.organizer_id, "the club next door", "MANAGER").await;
        let create = async |organizer: Option<&str>| {
            let mut input = seed::event_input();
            if let Some(id) = organizer {
                input["organizerId"] = json!(id);
            }
            outsider.ask("createEvent", "event { organizer { id } }", input).await
        };
        assert_eq!(codes(&create(None).await), ["ORGANIZER_MISSING"]);
        let created = create(Some(&house.organizer_id)).await;
        assert_eq!(created["event"]["organizer"]["id"], json!(house.organizer_id));
        // What is no organizer's id is one that is not there.
        assert_eq!(codes(&create(Some(&house.event.id)).await), ["UNKNOWN_ORGANIZER"]);

        let reader = house.client(Who::Reader);
        let refused = reader.ask("createEvent", "", seed::event_input()).await;
        assert_eq!(codes(&refused), ["NOT_MANAGER"], "and founds nothing");
    }

    async fn two_first_events_at_once_found_one_organizer(database: Database) {
        let server = Server::start(&database).await;
        let founder = server.client().organizer("a new hall");
        let create = || founder.ask("createEvent", "event { organizer { id } }", seed::event_input());
        let (one, two, three) = tokio::join!(create(), create(), create());
        assert_eq!(one["event"]["organizer"], two["event"]["organizer"]);
        assert_eq!(one["event"]["organizer"], three["event"]["organizer"]);
        let document = "{ me { memberships { role } } }";
        let data = founder.data(document, json!({})).await;
        assert_eq!(data["me"]["memberships"], json!([{ "role": "OWNER" }]));
    }

    async fn what_no_token_speaks_for_is_no_member(database: Database) {
        let house = House::open(&database).await;
        let owner = house.client(Who::Owner);
        let long = "x".repeat(256);
        for (issuer, subject) in [("rowlock", ""), ("", "ada"), ("rowlock:api-key", "ada"), ("rowlock", &long), ("row\nlock", "ada")] {
            let input = json!({ "organizerId": house.organizer_id, "issuer": issuer, "subject": subject, "role": "OWNER" });
            assert_eq!(codes(&owner.ask("setMember", "", input).await), ["INVALID_ACCOUNT"], "{issuer:?} {subject:?}");
        }
    }
}
