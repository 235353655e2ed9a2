//! Every field of every type: who reads it.
//!
//! A field is read by whoever has its object, unless a `!` says that it is asked once more who asks; then a probe shows who
//! gets what.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::ACCEPT;
use serde_json::{Value, json};

use super::{EVERYBODY, House, Who};
use crate::harness::{Database, client::codes};

const TABLE: &str = "
    Query: !event !events !me !order !inventoryAudit !node !nodes !seatMap
    Subscription: !orderUpdated !ticketsChanged !eventAvailability !holdExpiring
    TicketsChanged: previousVersion version tickets
    ChangedTicket: id status
    EventAvailability: ticketTypes
    TicketTypeAvailability: id availability
    SeatMap: version layout ticketIds statuses
    TicketChange: version at from to cause actor staff orderId holdId
    StaffAccount: issuer subject apiKeyId
    Node: id
    Event: id slug name description venue currency timeZone startsAt salesOpenAt salesCloseAt ticketsPerOrderMax \
        holdSeconds holdSecondsMax heldPerCustomerMax ticketsPerCustomerMax cancellableUntil status cancellation isOnSale \
        version organizer ticketTypes tickets
    EventCancellation: cancelledAt reason isDone
    TicketType: id name admission price position availability event version
    Ticket: id status heldUntil !blockReason !history seat isAccessible ticketType event
    Seat: section row seat
    Money: amount currency
    Availability: total available sold held blocked
    Alternative: tickets
    Organizer: id name !members !apiKeys
    Member: issuer subject role createdAt
    ApiKey: id name prefix scopes createdAt expiresAt lastUsedAt revokedAt
    Viewer: issuer subject role !memberships !orders !holds
    Membership: organizer role
    Order: id status placedAt total cancelledTotal event items
    OrderItem: id status unitPrice ticketTypeName seatLabel !admissionCode cancelledAt cancelReason ticket
    Hold: id status heldUntil extendableUntil createdAt event tickets total order
    InventoryAudit: checkedAt isClean isBeingCancelled tickets orders violations
    AuditedTickets: total available held sold blocked
    AuditedOrders: confirmed cancelled
    AuditViolation: kind message count ids
    PageInfo: hasPreviousPage hasNextPage startCursor endCursor
";

/// What only a mutation's answer has, for whoever sent it: what was done or why not. The secret is a new key's.
const OF_PAYLOADS: &str = "addedCount alternatives apiKey event hold isErased member order organizer removedCount secret ticketType \
    tickets userErrors";
const OF_USER_ERRORS: &str = "code field heldUntil hold left message order retryAfter total";
const OF_CONNECTIONS: &str = "cursor edges node nodes pageInfo";

/// What somebody gets: the data at a path, or a fault's code.
enum Got {
    Data(Value),
    Fault(&'static str),
}

struct Probe {
    field: &'static str,
    document: &'static str,
    variables: Value,
    /// Where in the data to look.
    at: &'static str,
    expected: fn(&House, Who) -> Got,
}

fn is_reader(who: Who) -> bool {
    match who {
        Who::Owner
        | Who::Manager
        | Who::BoxOffice
        | Who::Door
        | Who::Reader
        | Who::Key
        | Who::ReadingKey => true,
        Who::Anonymous | Who::Customer | Who::Outsider | Who::ForeignKey => false,
    }
}

fn is_staff(who: Who) -> bool {
    !matches!(who, Who::Anonymous | Who::Customer)
}

/// To readers this, to everybody else nothing.
fn to_readers(who: Who, value: Value) -> Got {
    Got::Data(if is_reader(who) { value } else { Value::Null })
}

/// To customers this, to everybody else that they are none.
fn to_customers(who: Who, value: Value) -> Got {
    match who {
        Who::Customer => Got::Data(value),
        Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
        _ => Got::Fault("FORBIDDEN"),
    }
}

fn to_owners(who: Who, value: Value) -> Got {
    match who {
        Who::Owner => Got::Data(value),
        Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
        _ => Got::Fault("FORBIDDEN"),
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "a table has a line for each of its entries"
)]
fn probes(house: &House) -> Vec<Probe> {
    let by_id = "query($id: ID!) { node(id: $id) { id } }";
    let node = |id: &str, expected: fn(&House, Who) -> Got| Probe {
        field: "Query.node",
        document: by_id,
        variables: json!({ "id": id }),
        at: "/node/id",
        expected,
    };
    vec![
        Probe {
            field: "Query.event",
            document: "query($id: ID!) { event(by: { id: $id }) { id } }",
            variables: json!({ "id": house.draft_id }),
            at: "/event/id",
            expected: |house, who| to_readers(who, json!(house.draft_id)),
        },
        Probe {
            field: "Query.events",
            document: "query($id: ID!) { events(filter: { status: DRAFT, organizerId: $id }) { nodes { id } } }",
            variables: json!({ "id": house.organizer_id }),
            at: "/events/nodes",
            expected: |house, who| {
                let own = json!([{ "id": house.draft_id }]);
                Got::Data(if is_reader(who) { own } else { json!([]) })
            },
        },
        Probe {
            field: "Query.me",
            document: "{ me { role } }",
            variables: json!({}),
            at: "/me/role",
            expected: |_, who| match who {
                Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
                Who::Customer => Got::Data(json!("CUSTOMER")),
                _ => Got::Data(json!("ORGANIZER")),
            },
        },
        Probe {
            field: "Query.order",
            document: "query($id: ID!) { order(id: $id) { id } }",
            variables: json!({ "id": house.order_id }),
            at: "/order",
            expected: |_, who| to_customers(who, Value::Null),
        },
        Probe {
            field: "Query.inventoryAudit",
            document: "query($id: ID!) { inventoryAudit(eventId: $id) { isClean } }",
            variables: json!({ "id": house.draft_id }),
            at: "/inventoryAudit",
            expected: |_, who| match who {
                Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
                Who::Customer => Got::Fault("FORBIDDEN"),
                _ => to_readers(who, json!({ "isClean": true })),
            },
        },
        node(&house.draft_id, |house, who| to_readers(who, json!(house.draft_id))),
        node(&house.draft_type_id, |house, who| to_readers(who, json!(house.draft_type_id))),
        node(&house.draft_ticket_id, |house, who| to_readers(who, json!(house.draft_ticket_id))),
        node(&house.order_id, |_, _| Got::Data(Value::Null)),
        node(&house.key_id, |house, who| {
            let own = json!(house.key_id);
            Got::Data(if who == Who::Owner { own } else { Value::Null })
        }),
        Probe {
            field: "Query.nodes",
            document: "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
            variables: json!({ "ids": [house.draft_id, house.draft_ticket_id, house.order_id] }),
            at: "/nodes",
            expected: |house, who| {
                let own = json!([{ "id": house.draft_id }, { "id": house.draft_ticket_id }, null]);
                Got::Data(if is_reader(who) { own } else { json!([null, null, null]) })
            },
        },
        Probe {
            field: "Ticket.blockReason",
            document: "query($id: ID!) { node(id: $id) { ... on Ticket { blockReason } } }",
            variables: json!({ "id": house.event.ticket_ids()[4] }),
            at: "/node/blockReason",
            expected: |_, who| to_readers(who, json!("the mayor")),
        },
        Probe {
            field: "Ticket.history",
            document: "query($id: ID!) { node(id: $id) { ... on Ticket { history { cause } } } }",
            variables: json!({ "id": house.event.ticket_ids()[3] }),
            at: "/node/history",
            expected: |_, who| to_readers(who, json!([])),
        },
        Probe {
            field: "Query.seatMap",
            document: "query($id: ID!) { seatMap(eventId: $id) { version } }",
            variables: json!({ "id": house.draft_id }),
            at: "/seatMap/version",
            expected: |_, who| to_readers(who, json!(0)),
        },
        Probe {
            field: "Organizer.members",
            document: "query($id: ID!) { node(id: $id) { ... on Organizer { members { role } } } }",
            variables: json!({ "id": house.organizer_id }),
            at: "/node/members",
            expected: |_, who| {
                let roles = ["OWNER", "MANAGER", "BOX_OFFICE", "DOOR", "READER"];
                to_owners(who, roles.iter().map(|role| json!({ "role": role })).collect())
            },
        },
        Probe {
            field: "Organizer.apiKeys",
            document: "query($id: ID!) { node(id: $id) { ... on Organizer { apiKeys { name } } } }",
            variables: json!({ "id": house.organizer_id }),
            at: "/node/apiKeys",
            expected: |_, who| to_owners(who, json!([{ "name": "till" }, { "name": "till" }])),
        },
        Probe {
            field: "Viewer.memberships",
            document: "{ me { memberships { organizer { id } role } } }",
            variables: json!({}),
            at: "/me/memberships",
            expected: |house, who| {
                let of = |role| Got::Data(json!([{ "organizer": { "id": house.organizer_id }, "role": role }]));
                match who {
                    Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
                    Who::Customer => Got::Fault("FORBIDDEN"),
                    Who::Owner => of("OWNER"),
                    Who::Manager => of("MANAGER"),
                    Who::BoxOffice => of("BOX_OFFICE"),
                    Who::Door => of("DOOR"),
                    Who::Reader => of("READER"),
                    Who::Outsider => Got::Data(json!([{ "organizer": { "id": house.foreign_id }, "role": "OWNER" }])),
                    Who::Key | Who::ReadingKey | Who::ForeignKey => Got::Data(json!([])),
                }
            },
        },
        Probe {
            field: "Viewer.orders",
            document: "{ me { orders { nodes { id } } } }",
            variables: json!({}),
            at: "/me/orders/nodes",
            expected: |_, who| to_customers(who, json!([])),
        },
        Probe {
            field: "Viewer.holds",
            document: "{ me { holds { nodes { id } } } }",
            variables: json!({}),
            at: "/me/holds/nodes",
            expected: |_, who| to_customers(who, json!([])),
        },
        // Nobody but the customer has the order to read it of; staff who cancel a part of it see the rest, without its code.
        Probe {
            field: "OrderItem.admissionCode",
            document: "mutation($id: ID!, $item: ID!) { cancelOrder(input: { orderId: $id, idempotencyKey: \"c\", itemIds: [$item], reason: \"x\" }) {
                order { items { status admissionCode } } userErrors { code } } }",
            variables: json!({ "id": house.order_id, "item": house.item_id }),
            at: "/cancelOrder/order/items",
            expected: |_, who| match who {
                Who::Anonymous => Got::Fault("UNAUTHENTICATED"),
                Who::BoxOffice | Who::Door | Who::Reader | Who::ReadingKey => Got::Fault("FORBIDDEN"),
                Who::Customer | Who::Outsider | Who::ForeignKey => Got::Data(Value::Null),
                Who::Owner | Who::Manager | Who::Key => Got::Data(json!([
                    { "status": "CANCELLED", "admissionCode": null }, { "status": "ACTIVE", "admissionCode": null },
                ])),
            },
        },
    ]
}

fn table() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = lines.map(|line| line.split_once(": ").expect("a type and its fields"));
    split
        .map(|(name, fields)| (name, fields.split_whitespace().collect()))
        .collect()
}

on_both_databases! {
    async fn every_field_of_the_schema_has_its_entry(database: Database) {
        let server = crate::harness::Server::start(&database).await;
        let document = "{ __schema { types { name kind fields { name } } } }";
        let data = server.client().data(document, json!({})).await;
        let table = table();
        let among = |list: &'static str, name: &str| list.split_whitespace().any(|it| it == name);
        let mut missing = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for ty in data["__schema"]["types"].as_array().unwrap() {
            let name = ty["name"].as_str().unwrap();
            for field in ty["fields"].as_array().into_iter().flatten() {
                let field = field["name"].as_str().unwrap();
                let is_known = if name.starts_with("__") || name == "Mutation" {
                    true
                } else if name.ends_with("Payload") {
                    among(OF_PAYLOADS, field)
                } else if name.ends_with("UserError") {
                    among(OF_USER_ERRORS, field)
                } else if name.ends_with("Connection") || name.ends_with("Edge") {
                    among(OF_CONNECTIONS, field)
                } else {
                    seen.insert((name.to_owned(), field.to_owned()));
                    let fields = table.get(name).map_or(&[][..], Vec::as_slice);
                    fields.iter().any(|it| it.trim_start_matches('!') == field)
                };
                if !is_known {
                    missing.insert(format!("{name}.{field}"));
                }
            }
        }
        assert!(missing.is_empty(), "a new field says here who reads it: {missing:?}");
        for (name, fields) in table {
            for field in fields {
                let field = field.trim_start_matches('!');
                assert!(seen.contains(&(name.to_owned(), field.to_owned())), "the schema has no {name}.{field}");
            }
        }
    }

    async fn everybody_reads_what_the_table_says(database: Database) {
        let house = House::open(&database).await;
        let block = json!({ "eventId": house.event.id, "ticketIds": [house.event.ticket_ids()[4]], "reason": "the mayor" });
        assert_eq!(codes(&house.client(Who::Owner).ask("blockTickets", "", block).await), Vec::<&str>::new());
        let probes = probes(&house);
        let probed: BTreeSet<&str> = probes.iter().map(|probe| probe.field).collect();
        for (name, fields) in table() {
            for field in fields.iter().filter_map(|field| field.strip_prefix('!')) {
                let name = format!("{name}.{field}");
                // Probed below, over a stream, and where seats are followed.
                assert!(probed.contains(name.as_str()) || name.starts_with("Subscription."), "{name} has no probe");
            }
        }
        for probe in probes {
            for who in EVERYBODY {
                let answer = house.client(who).send(probe.document, probe.variables.clone()).await;
                match (probe.expected)(&house, who) {
                    Got::Fault(code) => {
                        assert_eq!(answer.fault(), Some(code), "{} by {who:?}: {answer:?}", probe.field);
                        assert!(answer.data.pointer(probe.at).is_none_or(Value::is_null), "{} by {who:?}", probe.field);
                    }
                    Got::Data(expected) => {
                        assert_eq!(answer.fault(), None, "{} by {who:?}: {answer:?}", probe.field);
                        let got = answer.data.pointer(probe.at).cloned().unwrap_or_default();
                        assert_eq!(got, expected, "{} by {who:?}", probe.field);
                    }
                }
            }
        }
        // What is public is the same to everybody.
        let public = "query($id: ID!) { event(by: { id: $id }) { id slug name version status isOnSale organizer { id name }
            ticketTypes { id name price { amount } availability { total available sold held blocked } }
            tickets { nodes { id status seat { section row seat } isAccessible ticketType { id } } } } }";
        let id = json!({ "id": house.event.id });
        let to_all = house.client(Who::Anonymous).data(public, id.clone()).await;
        for who in EVERYBODY {
            assert_eq!(house.client(who).data(public, id.clone()).await, to_all, "{who:?}");
        }
        for who in EVERYBODY {
            let document = "subscription($id: ID!) { orderUpdated(id: $id) { id } }";
            let request = house.client(who).request(document, json!({ "id": house.order_id }));
            let answer = request.header(ACCEPT, "text/event-stream").send().await.unwrap().text().await.unwrap();
            let code = match who {
                Who::Anonymous => "UNAUTHENTICATED",
                who if is_staff(who) => "FORBIDDEN",
                // To another customer there is no such order.
                _ => "BAD_USER_INPUT",
            };
            assert!(answer.contains(code), "{who:?}: {answer}");
            assert!(!answer.contains(&house.order_id), "{who:?}: {answer}");
        }
    }
}
