//! As a subgraph: a router finds objects by type and id, and the schema without the switch is as before.

use serde_json::{Value, json};

use crate::harness::{Database, Server, seed};

const ENTITIES: &str =
    "query($representations: [_Any!]!) { _entities(representations: $representations) {
    __typename
    ... on Event { id name ticketTypes { name } }
    ... on Ticket { id status }
    ... on Order { id status }
} }";

async fn subgraph(database: &Database) -> Server {
    Server::builder(database)
        .env("ROWLOCK_FEDERATION", "on")
        .start()
        .await
}

on_both_databases! {
    async fn a_router_finds_what_it_may_see_each_in_its_place(database: Database) {
        let server = subgraph(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let [ticket, other] = event.ticket_ids()[..] else { panic!("there are two") };
        let ada = server.client().customer("ada");
        let order = ada.purchase_ticket(ticket, "one").await.sold();
        let representations = json!([
            { "__typename": "Order", "id": order.id },
            { "__typename": "Ticket", "id": ticket },
            { "__typename": "Event", "id": other },
            { "__typename": "Event", "id": event.id },
            { "__typename": "Ticket", "id": other, "more": { "that": ["is", "ignored"] } },
        ]);
        let variables = json!({ "representations": representations });

        let data = ada.data(ENTITIES, variables.clone()).await;
        let found = data["_entities"].as_array().unwrap();
        assert_eq!(found[0], json!({ "__typename": "Order", "id": order.id, "status": "CONFIRMED" }));
        assert_eq!(found[1], json!({ "__typename": "Ticket", "id": ticket, "status": "SOLD" }));
        assert_eq!(found[2], Value::Null, "a ticket is no event");
        assert_eq!(found[3]["id"], event.id);
        assert_eq!(found[3]["ticketTypes"].as_array().map(Vec::len), Some(1));
        assert_eq!(found[4], json!({ "__typename": "Ticket", "id": other, "status": "AVAILABLE" }));

        let ben = server.client().customer("ben");
        let of_ben = ben.data(ENTITIES, variables).await;
        assert_eq!(of_ben["_entities"][0], Value::Null, "nobody sees another's order");
        assert_eq!(of_ben["_entities"][1]["status"], "SOLD");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_representation_is_an_error_at_its_place() {
    let database = Database::sqlite().await;
    let server = subgraph(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let representations = json!([
        { "__typename": "Event", "id": event.id },
        { "__typename": "Money", "id": event.id },
        { "__typename": "Event" },
        { "id": event.id },
        { "__typename": "Event", "id": "not one of ours" },
        "Event",
    ]);
    let variables = json!({ "representations": representations });
    let answer = server.client().send(ENTITIES, variables).await;
    let found = answer.data["_entities"].as_array().unwrap();
    assert_eq!(found[0]["id"], event.id);
    assert_eq!(found[1..], vec![Value::Null; 5]);
    let errors = answer.errors;
    let paths: Vec<_> = errors.iter().map(|error| &error["path"]).collect();
    let expected: Vec<_> = (1..6).map(|at| json!(["_entities", at])).collect();
    assert_eq!(paths, expected.iter().collect::<Vec<_>>());
    for error in errors {
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    }

    let many = vec![json!({ "__typename": "Event", "id": event.id }); 101];
    let answer = server
        .client()
        .send(ENTITIES, json!({ "representations": many }))
        .await;
    assert_eq!(answer.fault(), Some("BAD_USER_INPUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_is_told_the_schema_unless_nobody_is() {
    let database = Database::sqlite().await;
    let printed = Server::command(&["schema", "--federation"]).print();
    assert!(printed.contains("extend type Event @key(fields: \"id\")"));
    assert!(printed.contains("type PageInfo @shareable {"));
    assert!(!printed.contains("_entities"));

    let query = "{ _service { sdl } }";
    let server = subgraph(&database).await;
    let data = server.client().data(query, json!({})).await;
    assert_eq!(data["_service"]["sdl"], printed);
    drop(server);

    let secret = Server::builder(&database)
        .env("ROWLOCK_FEDERATION", "on")
        .env("ROWLOCK_INTROSPECTION", "off")
        .start()
        .await;
    let answer = secret.client().send(query, json!({})).await;
    assert_eq!(answer.fault(), Some("GRAPHQL_VALIDATION_FAILED"));
    drop(secret);

    let alone = Server::start(&database).await;
    let answer = alone.client().send(query, json!({})).await;
    assert_eq!(answer.fault(), Some("GRAPHQL_VALIDATION_FAILED"));
}
