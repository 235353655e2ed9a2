//! Purchases that are refused: each by its name, at the field that is to blame, and nothing is written.

use chrono::{TimeDelta, Utc};
use rowlock::{
    graphql::global_id::GlobalId,
    ids::{EventId, HoldId, OrderId, TicketId, TicketTypeId},
};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Server, client::codes, rows, seed};

const ORDER: &str = "order { id }";

async fn ticket(buyer: &Client, input: Value) -> Value {
    buyer.ask("purchaseTicket", ORDER, input).await
}

async fn tickets(buyer: &Client, selection: Value, key: &str) -> Value {
    buyer
        .ask(
            "purchaseTickets",
            ORDER,
            json!({ "tickets": selection, "idempotencyKey": key }),
        )
        .await
}

fn assert_refused(payload: &Value, expected: &[&str], field: Value) {
    assert_eq!(codes(payload), expected, "{payload}");
    assert_eq!(payload["order"], Value::Null);
    assert_eq!(payload["userErrors"][0]["field"], field, "{payload}");
    assert!(
        payload["userErrors"][0]["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{payload}"
    );
}

on_both_databases! {
    async fn what_names_no_ticket_is_refused(database: Database) {
        let server = Server::start(&database).await;
        let (event, other) = (seed::seats(&server.client(), 3).await, seed::seats(&server.client(), 1).await);
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");

        for id in ["x", &event.id, &event.ticket_type_id] {
            let payload = ticket(&ada, json!({ "ticketId": id, "idempotencyKey": "k" })).await;
            assert_refused(&payload, &["UNKNOWN_TICKET"], json!("ticketId"));
        }
        let selection = json!({ "ids": [ids[0], "x", ids[1], other.id] });
        assert_refused(&tickets(&ada, selection, "k").await, &["UNKNOWN_TICKET", "UNKNOWN_TICKET"], json!("tickets.ids.1"));
        let selection = json!({ "ids": [ids[0], ids[1], ids[0]] });
        assert_refused(&tickets(&ada, selection, "k").await, &["DUPLICATE_TICKET"], json!("tickets.ids.2"));
        let selection = json!({ "ids": [ids[0], other.tickets[0].id] });
        assert_refused(&tickets(&ada, selection, "k").await, &["MIXED_EVENTS"], json!("tickets.ids.1"));
        assert_refused(&tickets(&ada, json!({ "ids": [] }), "k").await, &["NO_TICKETS"], json!("tickets.ids"));
        for id in ["x", &event.id, ids[0]] {
            let payload = tickets(&ada, json!({ "anyOf": { "ticketTypeId": id, "quantity": 1 } }), "k").await;
            assert_refused(&payload, &["UNKNOWN_TICKET_TYPE"], json!("tickets.anyOf.ticketTypeId"));
        }
        for quantity in [0, -1, i32::MIN] {
            let payload = tickets(&ada, json!({ "anyOf": { "ticketTypeId": event.ticket_type_id, "quantity": quantity } }), "k").await;
            assert_eq!(codes(&payload), ["NO_TICKETS"], "{quantity}");
        }
        rows::assert_conserved(&database, &[]).await;
    }

    async fn what_is_of_an_event_that_is_none_is_as_unknown(database: Database) {
        let server = Server::start(&database).await;
        let ada = server.client().customer("ada");
        let event = EventId::mint();
        let id = |id: GlobalId| id.encode().to_string();
        let ticket = id(GlobalId::Ticket(event, TicketId::mint()));
        let ticket_type = id(GlobalId::TicketType(event, TicketTypeId::mint()));
        let hold = id(GlobalId::Hold(event, HoldId::mint()));
        let order = id(GlobalId::Order(event, OrderId::mint()));
        let item = id(GlobalId::OrderItem(event, OrderId::mint().item(0).unwrap()));
        let any = json!({ "ticketTypeId": ticket_type, "quantity": 1 });
        for (name, input, code, field) in [
            ("purchaseTicket", json!({ "ticketId": ticket }), "UNKNOWN_TICKET", "ticketId"),
            ("purchaseTickets", json!({ "tickets": { "ids": [ticket] } }), "UNKNOWN_TICKET", "tickets.ids.0"),
            ("purchaseTickets", json!({ "tickets": { "anyOf": any } }), "UNKNOWN_TICKET_TYPE", "tickets.anyOf.ticketTypeId"),
            ("holdTickets", json!({ "tickets": { "ids": [ticket] } }), "UNKNOWN_TICKET", "tickets.ids.0"),
            ("holdTickets", json!({ "tickets": { "anyOf": any } }), "UNKNOWN_TICKET_TYPE", "tickets.anyOf.ticketTypeId"),
            ("extendHold", json!({ "holdId": hold }), "UNKNOWN_HOLD", "holdId"),
            ("releaseHold", json!({ "holdId": hold, "ticketIds": [ticket] }), "UNKNOWN_HOLD", "holdId"),
            ("purchaseHold", json!({ "holdId": hold }), "UNKNOWN_HOLD", "holdId"),
            ("cancelOrder", json!({ "orderId": order, "itemIds": [item] }), "UNKNOWN_ORDER", "orderId"),
        ] {
            let mut input = input;
            input["idempotencyKey"] = json!("k");
            assert_refused(&ada.ask(name, "", input).await, &[code], json!(field));
        }
        rows::assert_conserved(&database, &[]).await;
    }

    async fn an_order_has_no_more_tickets_than_its_event_allows(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 12).await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        assert_refused(&tickets(&ada, json!({ "ids": ids[..11] }), "k").await, &["TOO_MANY_TICKETS"], json!("tickets.ids"));
        let any = |quantity: i32| json!({ "anyOf": { "ticketTypeId": event.ticket_type_id, "quantity": quantity } });
        for quantity in [11, 1_001, i32::MAX] {
            assert_eq!(codes(&tickets(&ada, any(quantity), "k").await), ["TOO_MANY_TICKETS"], "{quantity}");
        }
        let outcomes = [ada.purchase_tickets(&ids[..10], "k").await, ada.purchase_tickets(&ids[10..], "l").await];
        rows::assert_conserved(&database, &outcomes).await;
        assert_eq!(rows::orders(&outcomes).len(), 2);
    }

    async fn a_key_is_1_to_128_printable_characters(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ada = server.client().customer("ada");
        for key in ["", &"x".repeat(129), "a\nb", "a\u{0}b", "\u{7f}"] {
            let payload = ticket(&ada, json!({ "ticketId": event.tickets[0].id, "idempotencyKey": key })).await;
            assert_refused(&payload, &["INVALID_IDEMPOTENCY_KEY"], json!("idempotencyKey"));
        }
        let missing = ada.send("mutation($id: ID!) { purchaseTicket(input: { ticketId: $id }) { order { id } } }", json!({ "id": event.tickets[0].id })).await;
        assert_eq!(missing.fault(), Some("BAD_USER_INPUT"));
        rows::assert_conserved(&database, &[]).await;
        for (ticket, key) in event.tickets.iter().zip(["x", &"x".repeat(128)]) {
            ada.purchase_ticket(&ticket.id, key).await.sold();
        }
    }

    async fn nothing_is_sold_outside_the_sales_window(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let organizer = server.client().organizer("the hall");
        let ada = server.client().customer("ada");
        let now = Utc::now();
        let mut version = 2;
        let mut move_window = async |open: TimeDelta, close: TimeDelta| {
            let change = json!({ "id": event.id, "version": version, "salesOpenAt": now + open, "salesCloseAt": now + close });
            let payload = organizer.ask("updateEvent", "event { version isOnSale }", change).await;
            version = payload["event"]["version"].as_i64().unwrap_or_else(|| panic!("{payload}"));
            payload["event"]["isOnSale"].as_bool().unwrap()
        };
        let day = TimeDelta::days(1);
        let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "k" });

        assert!(!move_window(day, day * 2).await);
        assert_refused(&ticket(&ada, input.clone()).await, &["NOT_ON_SALE_YET"], Value::Null);
        assert!(!move_window(-day * 2, -day).await);
        assert_refused(&ticket(&ada, input.clone()).await, &["SALE_OVER"], Value::Null);
        rows::assert_conserved(&database, &[]).await;
        assert!(move_window(-day, day).await);
        let outcome = ada.purchase_ticket(&event.tickets[0].id, "k").await;
        assert!(outcome.is_sold(), "the refusals have not bound the key: {outcome:?}");
        // Who has bought hears so also after the sale.
        move_window(-day * 2, -day).await;
        assert_eq!(ada.purchase_ticket(&event.tickets[0].id, "k").await, outcome);
    }

    async fn a_changed_price_is_told_with_what_it_is_now(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let document = "mutation($input: PurchaseTicketsInput!) { purchaseTickets(input: $input) {
            order { total { amount } } userErrors { code field retryAfter total { amount currency } } } }";
        let buy = async |expected: &str| {
            let input = json!({ "tickets": { "ids": ids[..2] }, "idempotencyKey": "k", "expectedTotal": expected });
            ada.data(document, json!({ "input": input })).await["purchaseTickets"].take()
        };
        let error = json!({ "code": "PRICE_CHANGED", "field": "expectedTotal", "retryAfter": null,
            "total": { "amount": "25.00", "currency": "EUR" } });
        for expected in ["24.99", "12.50", "0", "-25"] {
            assert_eq!(buy(expected).await, json!({ "order": null, "userErrors": [error] }), "{expected}");
        }
        assert_eq!(buy("25").await, json!({ "order": { "total": { "amount": "25.00" } }, "userErrors": [] }));
    }

    async fn every_ticket_that_is_to_blame_is_named(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 4).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (server.client().customer("ada"), server.client().customer("bob"));
        let outcomes = [ada.purchase_tickets(&[ids[1], ids[3]], "mine").await];
        let payload = tickets(&bob, json!({ "ids": ids }), "all").await;
        assert_refused(&payload, &["ALREADY_SOLD", "ALREADY_SOLD"], json!("tickets.ids.1"));
        assert_eq!(payload["userErrors"][1]["field"], "tickets.ids.3");
        rows::assert_conserved(&database, &outcomes).await;
    }
}
