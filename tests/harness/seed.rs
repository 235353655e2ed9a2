//! Events to sell, made as an organizer makes them: through the API.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;

/// The price of every seeded ticket, in euro.
pub const PRICE: &str = "12.50";

/// An event that is on sale.
pub struct Event {
    pub id: String,
    pub ticket_type_id: String,
    pub tickets: Vec<Ticket>,
}

#[derive(Clone, Debug)]
pub struct Ticket {
    pub id: String,
    /// The seat's label; none of a general-admission place. Seats are numbered from 1.
    pub seat: Option<String>,
}

impl Event {
    pub fn ticket_ids(&self) -> Vec<&str> {
        self.tickets
            .iter()
            .map(|ticket| ticket.id.as_str())
            .collect()
    }

    /// The ticket of the seat with this number.
    pub fn seat(&self, number: usize) -> &Ticket {
        let label = number.to_string();
        self.tickets
            .iter()
            .find(|ticket| ticket.seat.as_ref() == Some(&label))
            .expect("the seat was seeded")
    }
}

/// A published event with `seats` numbered seats in one row.
pub async fn seats(client: &Client, seats: usize) -> Event {
    let organizer = client.organizer("the hall");
    let event_id = create_event(&organizer).await;
    let ticket_type_id = create_ticket_type(&organizer, &event_id, "SEATED").await;
    add_row(&organizer, &ticket_type_id, "1", seats).await;
    on_sale(&organizer, event_id, ticket_type_id, seats).await
}

/// A published event with `places` places of general admission.
pub async fn places(client: &Client, places: usize) -> Event {
    let organizer = client.organizer("the meadow");
    let event_id = create_event(&organizer).await;
    let ticket_type_id = create_ticket_type(&organizer, &event_id, "GENERAL").await;
    set_capacity(&organizer, &ticket_type_id, places).await;
    on_sale(&organizer, event_id, ticket_type_id, places).await
}

const CREATE_EVENT: &str = "mutation($input: CreateEventInput!) { createEvent(input: $input) {
    event { id } userErrors { code message field }
} }";

const CREATE_TICKET_TYPE: &str =
    "mutation($input: CreateTicketTypeInput!) { createTicketType(input: $input) {
    ticketType { id } userErrors { code message field }
} }";

const ADD_SEATS: &str = "mutation($input: AddSeatsInput!) { addSeats(input: $input) {
    ticketType { id } userErrors { code message field }
} }";

const SET_CAPACITY: &str = "mutation($input: SetCapacityInput!) { setCapacity(input: $input) {
    ticketType { id } userErrors { code message field }
} }";

const PUBLISH_EVENT: &str = "mutation($input: PublishEventInput!) { publishEvent(input: $input) {
    event { id } userErrors { code message field }
} }";

const TICKETS: &str = "query($id: ID!, $after: String) { event(by: { id: $id }) {
    tickets(first: 100, after: $after) { nodes { id seat { seat } } pageInfo { hasNextPage endCursor } }
} }";

/// An event that is on sale once it is published.
pub fn event_input() -> Value {
    let now = Utc::now();
    json!({
        "slug": format!("event-{}", Uuid::now_v7().simple()),
        "name": "The Tests' Own Concert",
        "description": "Nobody plays.",
        "venue": "Nowhere",
        "currency": "EUR",
        "timeZone": "Europe/Vienna",
        "startsAt": now + TimeDelta::days(30),
        "salesOpenAt": now - TimeDelta::days(1),
        "salesCloseAt": now + TimeDelta::days(29),
        "ticketsPerOrderMax": 10,
    })
}

/// A draft. Gives its id.
pub async fn create_event(organizer: &Client) -> String {
    let input = event_input();
    id_of(&organizer.done("createEvent", CREATE_EVENT, input).await["event"])
}

/// A ticket type without tickets. Gives its id.
pub async fn create_ticket_type(organizer: &Client, event_id: &str, admission: &str) -> String {
    create_ticket_type_named(organizer, event_id, admission, "Regular").await
}

pub async fn create_ticket_type_named(
    organizer: &Client,
    event_id: &str,
    admission: &str,
    name: &str,
) -> String {
    let input =
        json!({ "eventId": event_id, "name": name, "admission": admission, "price": PRICE });
    id_of(
        &organizer
            .done("createTicketType", CREATE_TICKET_TYPE, input)
            .await["ticketType"],
    )
}

pub async fn publish(organizer: &Client, event_id: &str) {
    let input = json!({ "id": event_id });
    organizer.done("publishEvent", PUBLISH_EVENT, input).await;
}

/// Adds seats 1 to `to` of one row.
pub async fn add_row(organizer: &Client, ticket_type_id: &str, row: &str, to: usize) {
    let range = json!({ "from": 1, "to": to });
    let rows = json!([{ "section": "Parkett", "row": row, "seats": { "range": range } }]);
    let input = json!({ "ticketTypeId": ticket_type_id, "rows": rows });
    organizer.done("addSeats", ADD_SEATS, input).await;
}

pub async fn set_capacity(organizer: &Client, ticket_type_id: &str, capacity: usize) {
    let input = json!({ "ticketTypeId": ticket_type_id, "capacity": capacity });
    organizer.done("setCapacity", SET_CAPACITY, input).await;
}

async fn on_sale(
    organizer: &Client,
    event_id: String,
    ticket_type_id: String,
    tickets_len: usize,
) -> Event {
    publish(organizer, &event_id).await;
    let mut tickets = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = organizer
            .data(TICKETS, json!({ "id": event_id, "after": after }))
            .await;
        let page = &page["event"]["tickets"];
        tickets.extend(
            page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|ticket| Ticket {
                    id: id_of(ticket),
                    seat: ticket["seat"]["seat"].as_str().map(str::to_owned),
                }),
        );
        if page["pageInfo"]["hasNextPage"] != true {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(tickets.len(), tickets_len, "all seeded tickets are listed");
    Event {
        id: event_id,
        ticket_type_id,
        tickets,
    }
}

fn id_of(object: &Value) -> String {
    object["id"]
        .as_str()
        .expect("an object has an id")
        .to_owned()
}
