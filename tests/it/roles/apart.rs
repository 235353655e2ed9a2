//! Whoever is of another organizer learns nothing from how they are refused: what is there and what is not are answered with
//! the same words, by the same statements.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{House, Who, mutations};
use crate::{
    harness::{Database, Server, client::mutation},
    statements::{start, statements_of},
};

/// Ids that are there are replaced by ids of the same kind that name nothing.
fn made_up(input: &Value, ids: &[(&str, String)]) -> Value {
    let mut text = input.to_string();
    for (id, other) in ids {
        text = text.replace(*id, other);
    }
    serde_json::from_str(&text).unwrap()
}

/// An id of this kind that names nothing; those of one event become those of another one.
fn other(id: &str) -> String {
    let mut bytes = BASE64URL_NOPAD.decode(id.as_bytes()).unwrap();
    for uuid in bytes[1..].chunks_mut(16) {
        uuid[15] ^= 0x5a;
    }
    BASE64URL_NOPAD.encode(&bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_organizers_is_told_as_what_is_not_there() {
    let database = Database::postgres().await;
    let house = House::open_on(start(&database).await).await;
    let ids: Vec<(&str, String)> = [
        &house.event.id,
        &house.organizer_id,
        &house.event.ticket_type_id,
        &house.order_id,
        &house.draft_id,
    ]
    .into_iter()
    .map(|id| (id.as_str(), other(id)))
    .collect();
    let server: &Server = &house.server;
    for who in [Who::Outsider, Who::ForeignKey] {
        for row in mutations(&house) {
            // A ticket's id carries its event's: only the whole is made up.
            let mut ids = ids.clone();
            for ticket in house.event.ticket_ids() {
                ids.push((ticket, other(ticket)));
            }
            let send = async |input: &Value| {
                let answer = house
                    .client(who)
                    .send(&mutation(row.mutation, ""), json!({ "input": input }))
                    .await;
                let mut statements = statements_of(server, &answer).await;
                // A key's use is noted by the way, now and then, whatever it is used for.
                statements.retain(|statement| !statement.starts_with("UPDATE \"api_keys\""));
                let told = (
                    answer.status,
                    answer.data.to_string(),
                    answer.errors.clone(),
                );
                let errors: Vec<_> = told
                    .2
                    .iter()
                    .map(|error| {
                        (
                            error["message"].clone(),
                            error["extensions"]["code"].clone(),
                        )
                    })
                    .collect();
                ((told.0, told.1, errors), statements)
            };
            // What the first one has looked up may be known to the next.
            send(&row.input).await;
            let of_theirs = send(&row.input).await;
            let of_nothing = send(&made_up(&row.input, &ids)).await;
            assert_eq!(of_theirs.0, of_nothing.0, "{} by {who:?}", row.mutation);
            assert_eq!(of_theirs.1, of_nothing.1, "{} by {who:?}", row.mutation);
        }
    }
    for (field, at) in [
        ("node(id: $id) { id }", "/node"),
        ("event(by: { id: $id }) { id }", "/event"),
        (
            "inventoryAudit(eventId: $id) { isClean }",
            "/inventoryAudit",
        ),
    ] {
        let document = format!("query($id: ID!) {{ {field} }}");
        let read = async |id: &str| {
            let answer = house
                .client(Who::Outsider)
                .send(&document, json!({ "id": id }))
                .await;
            assert_eq!(answer.fault(), None);
            assert_eq!(answer.data.pointer(at), Some(&Value::Null));
            statements_of(server, &answer).await
        };
        assert_eq!(
            read(&house.draft_id).await,
            read(&other(&house.draft_id)).await,
            "{field}"
        );
    }
}
