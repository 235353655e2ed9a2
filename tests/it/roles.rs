//! Who may do what, from tables that know every field and every mutation of the schema: one that is new and not entered here
//! fails.

mod apart;
mod attribution;
mod erasure;
mod fields;
mod keys;
mod members;

use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Server,
    client::{Answer, codes, mutation},
    seed,
};

/// Somebody who sends requests, as the tables call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    Customer,
    Owner,
    Manager,
    BoxOffice,
    Door,
    Reader,
    /// The owner of another organizer.
    Outsider,
    /// A key of the organizer's, of every scope.
    Key,
    /// A key of the organizer's, of a scope that allows to read only.
    ReadingKey,
    /// A key of another organizer, of every scope.
    ForeignKey,
}

const EVERYBODY: [Who; 11] = [
    Who::Anonymous,
    Who::Customer,
    Who::Owner,
    Who::Manager,
    Who::BoxOffice,
    Who::Door,
    Who::Reader,
    Who::Outsider,
    Who::Key,
    Who::ReadingKey,
    Who::ForeignKey,
];

/// An organizer with members and keys, an event of it that is on sale, one that is a draft, and somebody else's organizer.
struct House {
    server: Server,
    callers: Vec<(Who, Client)>,
    organizer_id: String,
    /// The outsider's.
    foreign_id: String,
    event: seed::Event,
    draft_id: String,
    draft_type_id: String,
    draft_ticket_id: String,
    /// An order of a customer who is none of the callers.
    order_id: String,
    /// One of its two.
    item_id: String,
    key_id: String,
}

const ALL_SCOPES: [&str; 5] = ["READ", "SELL", "BLOCK", "CATALOGUE", "CANCEL"];

impl House {
    async fn open(database: &Database) -> Self {
        Self::open_on(Server::start(database).await).await
    }

    async fn open_on(server: Server) -> Self {
        let client = server.client();
        let event = seed::seats(&client, 7).await;
        let owner = client.organizer("the hall");
        let organizer_id = organizer_of(&owner).await;
        for (name, role) in [
            ("manager", "MANAGER"),
            ("box office", "BOX_OFFICE"),
            ("door", "DOOR"),
            ("reader", "READER"),
        ] {
            set_member(&owner, &organizer_id, name, role).await;
        }
        let draft_id = seed::create_event(&owner).await;
        let draft_type_id = seed::create_ticket_type(&owner, &draft_id, "SEATED").await;
        seed::add_row(&owner, &draft_type_id, "1", 1).await;
        let draft_ticket_id = first_ticket(&owner, &draft_id).await;
        let outsider = client.organizer("the club next door");
        seed::create_event(&outsider).await;
        let foreign_id = organizer_of(&outsider).await;
        let (key_id, key) = create_key(&owner, &organizer_id, &ALL_SCOPES).await;
        let (_, reading_key) = create_key(&owner, &organizer_id, &["READ"]).await;
        let (_, foreign_key) = create_key(&outsider, &foreign_id, &ALL_SCOPES).await;
        let bob = client.customer("bob");
        let bought = bob
            .purchase_tickets(&event.ticket_ids()[5..], "bob's")
            .await
            .sold();
        let (order_id, item_id) = (bought.id, bought.items[0].id.clone());
        let callers = vec![
            (Who::Anonymous, client.clone()),
            (Who::Customer, client.customer("ada")),
            (Who::Owner, owner),
            (Who::Manager, client.organizer("manager")),
            (Who::BoxOffice, client.organizer("box office")),
            (Who::Door, client.organizer("door")),
            (Who::Reader, client.organizer("reader")),
            (Who::Outsider, outsider),
            (Who::Key, client.with_token(&key)),
            (Who::ReadingKey, client.with_token(&reading_key)),
            (Who::ForeignKey, client.with_token(&foreign_key)),
        ];
        Self {
            server,
            callers,
            organizer_id,
            foreign_id,
            event,
            draft_id,
            draft_type_id,
            draft_ticket_id,
            order_id,
            item_id,
            key_id,
        }
    }

    fn client(&self, who: Who) -> &Client {
        let mut callers = self.callers.iter();
        &callers.find(|(caller, _)| *caller == who).unwrap().1
    }
}

/// The organizer that an account has founded or joined first.
async fn organizer_of(client: &Client) -> String {
    let document = "{ me { memberships { organizer { id } } } }";
    let data = client.data(document, json!({})).await;
    text(&data["me"]["memberships"][0]["organizer"]["id"])
}

async fn set_member(owner: &Client, organizer_id: &str, subject: &str, role: &str) {
    let input = json!({ "organizerId": organizer_id, "subject": subject, "role": role });
    let payload = owner
        .ask("setMember", "member { subject role }", input)
        .await;
    assert_eq!(codes(&payload), Vec::<&str>::new());
    assert_eq!(
        payload["member"],
        json!({ "subject": subject, "role": role })
    );
}

/// The key's id and the key.
async fn create_key(owner: &Client, organizer_id: &str, scopes: &[&str]) -> (String, String) {
    let input = json!({ "organizerId": organizer_id, "name": "till", "scopes": scopes });
    let payload = owner
        .ask("createApiKey", "apiKey { id prefix scopes } secret", input)
        .await;
    assert_eq!(codes(&payload), Vec::<&str>::new());
    assert_eq!(payload["apiKey"]["scopes"], json!(scopes));
    let secret = text(&payload["secret"]);
    assert!(secret.starts_with(payload["apiKey"]["prefix"].as_str().unwrap()));
    (text(&payload["apiKey"]["id"]), secret)
}

async fn first_ticket(client: &Client, event_id: &str) -> String {
    let document =
        "query($id: ID!) { event(by: { id: $id }) { tickets(first: 1) { nodes { id } } } }";
    let data = client.data(document, json!({ "id": event_id })).await;
    text(&data["event"]["tickets"]["nodes"][0]["id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// What somebody is told by a mutation: the code of its fault, or those of its refusal.
fn told(name: &str, answer: &Answer) -> String {
    match answer.fault() {
        Some(code) => code.to_owned(),
        None => codes(&answer.data[name]).join(" "),
    }
}

/// What each mutation tells whom. `input` is such that nobody changes anything: whoever may is told by the last code what is
/// wrong with it.
struct Row {
    mutation: &'static str,
    input: Value,
    /// Those who may.
    allowed: &'static [Who],
    /// Told to them.
    reached: &'static str,
    /// Told to staff of other organizers.
    unknown: &'static str,
    /// Told to the customer.
    customer: &'static str,
}

const OWNERS: &[Who] = &[Who::Owner];
const MANAGERS: &[Who] = &[Who::Owner, Who::Manager, Who::Key];
const SELLERS: &[Who] = &[Who::Owner, Who::Manager, Who::BoxOffice, Who::Key];

fn mutations(house: &House) -> Vec<Row> {
    let (event, organizer) = (&house.event.id, &house.organizer_id);
    let (ticket, of_type) = (house.event.ticket_ids()[0], &house.event.ticket_type_id);
    let at = "2030-01-01T00:00:00Z";
    let of_catalogue = |mutation, reached, unknown, input| Row {
        mutation,
        input,
        allowed: MANAGERS,
        reached,
        unknown,
        customer: "FORBIDDEN",
    };
    let of_owners = |mutation, reached, unknown, input| Row {
        allowed: OWNERS,
        ..of_catalogue(mutation, reached, unknown, input)
    };
    // In a customer's name; a customer has none but their own.
    let of_sellers = |mutation, reached, unknown, mut input: Value| {
        input["onBehalfOf"] = json!({ "subject": "walk-in" });
        input["idempotencyKey"] = json!("");
        Row {
            allowed: SELLERS,
            ..of_catalogue(mutation, reached, unknown, input)
        }
    };
    let bad_key = "INVALID_IDEMPOTENCY_KEY";
    let hold = hold_id(event);
    let no_hold = json!({ "holdId": hold });
    let mut created = seed::event_input();
    created["organizerId"] = json!(organizer);
    created["slug"] = json!("NO SLUG");
    vec![
        of_sellers(
            "purchaseTicket",
            bad_key,
            "UNKNOWN_TICKET",
            json!({ "ticketId": ticket }),
        ),
        of_sellers(
            "purchaseTickets",
            bad_key,
            "UNKNOWN_TICKET",
            json!({ "tickets": { "ids": [ticket] } }),
        ),
        of_sellers(
            "holdTickets",
            bad_key,
            "UNKNOWN_TICKET",
            json!({ "tickets": { "ids": [ticket] } }),
        ),
        of_sellers("extendHold", bad_key, "UNKNOWN_HOLD", no_hold.clone()),
        of_sellers("releaseHold", bad_key, "UNKNOWN_HOLD", no_hold.clone()),
        of_sellers("purchaseHold", bad_key, "UNKNOWN_HOLD", no_hold),
        Row {
            customer: "UNKNOWN_ORDER",
            ..of_catalogue(
                "cancelOrder",
                "REASON_REQUIRED",
                "UNKNOWN_ORDER",
                json!({ "orderId": house.order_id, "idempotencyKey": "k" }),
            )
        },
        of_catalogue("createEvent", "INVALID_SLUG", "UNKNOWN_ORGANIZER", created),
        of_catalogue(
            "updateEvent",
            "STALE",
            "UNKNOWN_EVENT",
            json!({ "id": event, "version": 99 }),
        ),
        of_catalogue(
            "copyEvent",
            "INVALID_SLUG",
            "UNKNOWN_EVENT",
            json!({ "id": event, "slug": "NO SLUG",
            "startsAt": at, "salesOpenAt": "2029-01-01T00:00:00Z", "salesCloseAt": at }),
        ),
        // It is published already.
        of_catalogue("publishEvent", "", "UNKNOWN_EVENT", json!({ "id": event })),
        of_catalogue(
            "createTicketType",
            "INVALID_NAME",
            "UNKNOWN_EVENT",
            json!({ "eventId": event, "name": "", "admission": "SEATED", "price": "1" }),
        ),
        of_catalogue(
            "updateTicketType",
            "STALE",
            "UNKNOWN_TICKET_TYPE",
            json!({ "id": of_type, "version": 99 }),
        ),
        of_catalogue(
            "addSeats",
            "SEAT_EXISTS",
            "UNKNOWN_TICKET_TYPE",
            json!({ "ticketTypeId": of_type,
            "rows": [{ "section": "Parkett", "row": "1", "seats": { "range": { "from": 1, "to": 1 } } }] }),
        ),
        of_catalogue(
            "setCapacity",
            "NOT_GENERAL",
            "UNKNOWN_TICKET_TYPE",
            json!({ "ticketTypeId": of_type, "capacity": 1 }),
        ),
        of_catalogue(
            "removeTickets",
            "UNKNOWN_TICKET",
            "UNKNOWN_EVENT",
            json!({ "eventId": event, "ticketIds": [house.draft_ticket_id] }),
        ),
        of_catalogue(
            "cancelEvent",
            "STALE",
            "UNKNOWN_EVENT",
            json!({ "id": event, "version": 99, "reason": "fire" }),
        ),
        Row {
            allowed: SELLERS,
            ..of_catalogue(
                "blockTickets",
                "ALREADY_SOLD",
                "UNKNOWN_EVENT",
                json!({ "eventId": event, "ticketIds": [house.event.ticket_ids()[5]], "reason": "fire" }),
            )
        },
        Row {
            allowed: SELLERS,
            ..of_catalogue(
                "unblockTickets",
                "",
                "UNKNOWN_EVENT",
                json!({ "eventId": event, "ticketIds": [ticket] }),
            )
        },
        of_owners(
            "updateOrganizer",
            "INVALID_NAME",
            "UNKNOWN_ORGANIZER",
            json!({ "id": organizer, "name": "" }),
        ),
        of_owners(
            "setMember",
            "LAST_OWNER",
            "UNKNOWN_ORGANIZER",
            json!({ "organizerId": organizer, "subject": "the hall", "role": "READER" }),
        ),
        of_owners(
            "removeMember",
            "LAST_OWNER",
            "UNKNOWN_ORGANIZER",
            json!({ "organizerId": organizer, "subject": "the hall" }),
        ),
        of_owners(
            "createApiKey",
            "NO_SCOPES",
            "UNKNOWN_ORGANIZER",
            json!({ "organizerId": organizer, "name": "till", "scopes": [] }),
        ),
        Row {
            mutation: "eraseAccount",
            input: json!({ "subject": "somebody else" }),
            allowed: &[],
            reached: "",
            unknown: "FORBIDDEN",
            customer: "OTHER_ACCOUNT",
        },
        of_owners(
            "revokeApiKey",
            "UNKNOWN_KEY",
            "UNKNOWN_KEY",
            json!({ "id": organizer }),
        ),
    ]
}

/// A hold's id of this event, which names none.
fn hold_id(event_id: &str) -> String {
    use rowlock::{
        graphql::global_id::GlobalId,
        ids::{EventId, HoldId},
    };
    let event = GlobalId::decode(&event_id.into()).and_then(GlobalId::event);
    let EventId(event) = event.unwrap();
    GlobalId::Hold(EventId(event), HoldId(event)).encode().0
}

impl Row {
    /// What it tells this caller.
    fn expected(&self, who: Who) -> &'static str {
        match who {
            Who::Anonymous => "UNAUTHENTICATED",
            Who::Customer => self.customer,
            _ if self.allowed.contains(&who) => self.reached,
            // Nor do keys administer.
            Who::ForeignKey | Who::Key if self.allowed == OWNERS => "FORBIDDEN",
            Who::Outsider | Who::ForeignKey => self.unknown,
            // Of a key there is no other owner's key to be told of.
            Who::Owner
            | Who::Manager
            | Who::BoxOffice
            | Who::Door
            | Who::Reader
            | Who::Key
            | Who::ReadingKey => "FORBIDDEN",
        }
    }
}

/// What a customer does without naming another, with what is wrong about it.
fn own_mutations(house: &House) -> Vec<(&'static str, Value)> {
    let ticket = house.event.ticket_ids()[0];
    let hold = json!({ "holdId": hold_id(&house.event.id), "idempotencyKey": "" });
    let tickets = json!({ "tickets": { "ids": [ticket] }, "idempotencyKey": "" });
    vec![
        (
            "purchaseTicket",
            json!({ "ticketId": ticket, "idempotencyKey": "" }),
        ),
        ("purchaseTickets", tickets.clone()),
        ("holdTickets", tickets),
        ("extendHold", hold.clone()),
        ("releaseHold", hold.clone()),
        ("purchaseHold", hold),
    ]
}

on_both_databases! {
    async fn nobody_but_a_customer_buys_for_themselves(database: Database) {
        let house = House::open(&database).await;
        for (name, input) in own_mutations(&house) {
            for who in EVERYBODY {
                let answer = house.client(who).send(&mutation(name, ""), json!({ "input": input })).await;
                let expected = match who {
                    Who::Anonymous => "UNAUTHENTICATED",
                    Who::Customer => "INVALID_IDEMPOTENCY_KEY",
                    _ => "FORBIDDEN",
                };
                assert_eq!(told(name, &answer), expected, "{name} by {who:?}: {answer:?}");
            }
        }
    }

    async fn every_mutation_tells_everybody_what_its_table_says(database: Database) {
        let house = House::open(&database).await;
        let rows = mutations(&house);
        let document = "{ __schema { mutationType { fields { name } } } }";
        let schema = house.client(Who::Anonymous).data(document, json!({})).await;
        let fields = schema["__schema"]["mutationType"]["fields"].as_array().unwrap();
        let mut of_schema: Vec<_> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
        let mut of_table: Vec<_> = rows.iter().map(|row| row.mutation).collect();
        of_schema.sort_unstable();
        of_table.sort_unstable();
        assert_eq!(of_schema, of_table, "a new mutation says here who may send it");
        for row in rows {
            for who in EVERYBODY {
                let answer = house.client(who)
                    .send(&mutation(row.mutation, ""), json!({ "input": row.input })).await;
                let mut expected = row.expected(who);
                // A key's owner is asked by the key's id alone.
                if row.mutation == "revokeApiKey" && matches!(who, Who::Manager | Who::BoxOffice | Who::Door | Who::Reader) {
                    expected = "UNKNOWN_KEY";
                }
                assert_eq!(told(row.mutation, &answer), expected, "{} by {who:?}: {answer:?}", row.mutation);
            }
        }
        // Nothing of it has changed anything.
        let state = "query($id: ID!) { event(by: { id: $id }) { version status tickets { nodes { status } } } }";
        let data = house.client(Who::Anonymous).data(state, json!({ "id": house.event.id })).await;
        let statuses: Vec<_> = data["event"]["tickets"]["nodes"].as_array().unwrap()
            .iter().map(|ticket| ticket["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["AVAILABLE", "AVAILABLE", "AVAILABLE", "AVAILABLE", "AVAILABLE", "SOLD", "SOLD"]);
    }
}
