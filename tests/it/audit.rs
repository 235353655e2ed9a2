//! The audit finds what it claims to find, and nothing else.

use std::{collections::BTreeMap, process::Output, time::Duration};

use futures_util::future::join_all;
use rowlock::{
    audit::{Audit, AuditError, EventAudit, Kind, Which, audit},
    entity::{event, ticket},
    graphql::global_id::GlobalId,
    ids::{EventId, TicketId},
    sales::{Action, command::Canceller},
};
use sea_orm::{ConnectionTrait, EntityTrait, TransactionTrait};
use serde_json::{Value, json};

use self::scene::{Desk, Scene, scratch};
use crate::harness::{Client, Database, Server, eventually, rows, seed};

mod scene;

/// Corruptions of a scene, what they must be found as, and nothing else. Names in braces are ids of the scene.
const CORRUPTIONS: &[(Kind, &str)] = &[
    (Kind::TwoOwners, "INSERT INTO order_items (event_id, id, order_id, ticket_id, status, unit_price_minor, currency,
            ticket_type_name, admission_code)
        SELECT event_id, {unknown}, {bought}, ticket_id, status, 0, currency, ticket_type_name, 'TWICE'
        FROM order_items WHERE id = {item}"),
    (Kind::SoldWithoutOwner, "UPDATE tickets SET status = 'SOLD' WHERE id = {free}"),
    (Kind::OwnedButNotSold, "UPDATE tickets SET status = 'AVAILABLE' WHERE id = {sold}"),
    (Kind::HeldWithoutHold, "UPDATE tickets SET held_until = NULL WHERE id = {expired}"),
    (Kind::HeldWithoutHold, "UPDATE tickets SET hold_id = NULL WHERE id = {expired}"),
    (Kind::HoldWithoutHeld, "UPDATE tickets SET hold_id = {ended_hold} WHERE id = {free}"),
    (Kind::HoldWithoutHeld, "UPDATE tickets SET held_until = (SELECT held_until FROM holds WHERE id = {hold})
        WHERE id = {free}"),
    (Kind::HeldByUnknownHold, "UPDATE tickets SET hold_id = {unknown} WHERE id = {expired}"),
    (Kind::HeldByEndedHold, "UPDATE tickets SET status = 'HELD', hold_id = {ended_hold},
        held_until = (SELECT held_until FROM holds WHERE id = {ended_hold}) WHERE id = {free}"),
    (Kind::HeldUntilDiffers, "UPDATE tickets SET held_until = (SELECT created_at FROM holds WHERE id = {hold})
        WHERE id = {expired}"),
    (Kind::HoldTicketsDiffer, "UPDATE tickets SET status = 'AVAILABLE', hold_id = NULL, held_until = NULL
        WHERE id = {held}"),
    (Kind::HoldTicketsDiffer, "UPDATE holds SET tickets_len = 0 WHERE id = {expired_hold}"),
    (Kind::HoldOrderDiffers, "UPDATE holds SET order_id = {order} WHERE id = {bought_hold}"),
    (Kind::HoldOrderDiffers, "UPDATE holds SET order_id = {unknown} WHERE id = {bought_hold}"),
    (Kind::HoldOrderDiffers, "UPDATE holds SET order_id = NULL WHERE id = {bought_hold}"),
    (Kind::HoldOrderDiffers, "UPDATE holds SET order_id = {order} WHERE id = {ended_hold}"),
    (Kind::OrderWithoutItems, "DELETE FROM order_items WHERE id = {cancelled_item}"),
    (Kind::ConfirmedWithoutActiveItem, "UPDATE orders SET status = 'CONFIRMED' WHERE id = {cancelled}"),
    (Kind::CancelledWithActiveItem, "UPDATE orders SET status = 'CANCELLED' WHERE id = {bought}"),
    (Kind::ItemWithoutOrder, "INSERT INTO order_items (event_id, id, order_id, ticket_id, status, unit_price_minor,
            currency, ticket_type_name, admission_code, cancelled_at)
        SELECT event_id, {unknown}, {unknown}, ticket_id, status, 0, currency, ticket_type_name, 'ASTRAY', cancelled_at
        FROM order_items WHERE id = {cancelled_item}"),
    (Kind::ItemWithoutTicket, "UPDATE order_items SET ticket_id = {unknown} WHERE id = {cancelled_item}"),
    (Kind::CancellationUntimed, "UPDATE order_items SET cancelled_at = NULL WHERE id = {cancelled_item}"),
    (Kind::CancellationUntimed, "UPDATE order_items SET cancelled_at = (SELECT placed_at FROM orders WHERE id = {order})
        WHERE id = {item}"),
    (Kind::TotalDiffers, "UPDATE orders SET total_minor = total_minor + 1 WHERE id = {cancelled}"),
    (Kind::TotalDiffers, "UPDATE order_items SET unit_price_minor = 0 WHERE id = {cancelled_item}"),
    (Kind::CurrencyDiffers, "UPDATE order_items SET currency = 'USD' WHERE id = {cancelled_item}"),
    (Kind::CurrencyDiffers, "UPDATE events SET currency = 'USD' WHERE id = {event}"),
    (Kind::KeptCountsDiffer, "INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
        SELECT event_id, id, {unknown}, -1, 0, 1, 0 FROM ticket_types WHERE event_id = {event}"),
    // Of a type that has no tickets.
    (Kind::KeptCountsDiffer, "INSERT INTO ticket_counts (event_id, ticket_type_id, available, held, sold, blocked)
        VALUES ({event}, {unknown}, 1, 0, 0, 0)"),
    // The database refuses such a status, and nothing counts it.
    (Kind::CountsDiffer, "UPDATE tickets SET status = 'LOST' WHERE id = {free}"),
    (Kind::TicketsPerCustomerExceeded, "UPDATE events SET tickets_per_customer_ever = 3 WHERE id = {event}"),
    (Kind::HeldPerCustomerExceeded, "UPDATE events SET held_per_customer_ever = 1 WHERE id = {event}"),
    (Kind::KeyWithoutResult, "UPDATE idempotency_keys SET result_id = {unknown} WHERE key = 'buy' AND event_id = {event}"),
    (Kind::KeyWithoutResult, "UPDATE idempotency_keys SET result_id = {unknown} WHERE key = 'cancel' AND event_id = {event}"),
    // An order where a hold belongs.
    (Kind::KeyWithoutResult, "UPDATE idempotency_keys SET result_id = {order} WHERE key = 'hold' AND event_id = {event}"),
    (Kind::KeyOfAnotherCustomer, "UPDATE idempotency_keys SET result_id = {bought} WHERE key = 'buy' AND event_id = {event}"),
    (Kind::KeyOfAnotherCustomer, "UPDATE idempotency_keys SET result_id = {expired_hold}
        WHERE key = 'hold' AND event_id = {event}"),
    (Kind::CodeTwice, "UPDATE order_items SET admission_code =
        (SELECT twin.admission_code FROM order_items AS twin WHERE twin.id = {item}) WHERE id = {cancelled_item}"),
    (Kind::UnknownTicketType, "UPDATE tickets SET ticket_type_id = {unknown} WHERE id = {free}"),
    (Kind::OrderOfUnknownCustomer, "UPDATE orders SET customer_id = {unknown} WHERE id = {cancelled}"),
    (Kind::HoldOfUnknownCustomer, "UPDATE holds SET customer_id = {unknown} WHERE id = {expired_hold}"),
    (Kind::CancelledEventNotEmpty, "UPDATE events SET status = 'CANCELLED', cancellation_done_at = created_at
        WHERE id = {event}"),
    (Kind::LogDiffers, "UPDATE ticket_changes SET changes = replace(changes, '\"BLOCKED\"', '\"SOLD\"') WHERE event_id = {event}"),
    (Kind::LogDiffers, "UPDATE ticket_changes SET changes = '[]' WHERE event_id = {event}"),
    (Kind::LogBroken, "UPDATE ticket_changes SET changes = replace(changes, '\"AVAILABLE\"', '\"BLOCKED\"')
        WHERE event_id = {event}"),
    (Kind::LogIncomplete, "UPDATE ticket_changes SET version = 7 WHERE event_id = {event}"),
];

/// Where a seat has a ticket too many, or is kept as another one's: SQLite's own index of seats excludes both. And a change that
/// has no version yet, which on SQLite none is without.
const CORRUPTED_ON_POSTGRES: &[(Kind, &[&str])] = &[
    (Kind::LogBroken, &["INSERT INTO ticket_changes_unnumbered (event_id, changes) SELECT {event},
        json_build_array(json_build_array(replace({free}::text, '-', ''), 'BLOCKED', 'AVAILABLE', 'UNBLOCK', NULL, NULL))::text"]),
    (Kind::SeatTwice, &[
        "UPDATE tickets SET section = 'S', row_label = 'A', seat_label = '1', row_index = 1, seat_index = 1 WHERE id = {free}",
        "INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id) VALUES ({event}, 'S', 'A', '1', {free})",
        "UPDATE tickets SET section = 'S', row_label = 'A', seat_label = '1', row_index = 1, seat_index = 1 WHERE id = {held}",
        "INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id) VALUES ({event}, 'S', 'A', '1', {held})",
    ]),
    (Kind::SeatAstray, &["UPDATE tickets SET section = 'S', row_label = 'A', seat_label = '1', row_index = 1, seat_index = 1
        WHERE id = {free}"]),
    (Kind::SeatAstray, &["INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id)
        VALUES ({event}, 'S', 'A', '1', {free})"]),
    (Kind::SeatAstray, &[
        "UPDATE tickets SET section = 'S', row_label = 'A', seat_label = '1', row_index = 1, seat_index = 1 WHERE id = {free}",
        "INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id) VALUES ({event}, 'S', 'A', '2', {free})",
    ]),
];

/// One audit of a scene takes no longer.
const AUDIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_on_postgres_alone_is_found_where_it_is_wrong() {
    let database = Database::postgres().await;
    let scratch = scratch(&database).await;
    for (kind, corruptions) in CORRUPTED_ON_POSTGRES {
        let scene = Scene::insert(&scratch).await;
        for corruption in *corruptions {
            scene.corrupt(&scratch, corruption).await;
        }
        let found = one(&database, scene.event).await;
        assert_eq!(kinds(&found), [*kind], "{corruptions:?}");
    }
}

on_both_databases! {
    async fn each_corruption_is_found_as_what_it_is_and_as_nothing_else(database: Database) {
        let scratch = scratch(&database).await;
        let mut expected: BTreeMap<EventId, Vec<Kind>> = BTreeMap::new();
        for (kind, corruption) in CORRUPTIONS {
            let scene = Scene::insert(&scratch).await;
            assert_eq!(kinds(&one(&database, scene.event).await), [], "the scene itself");
            match kind {
                Kind::KeptCountsDiffer | Kind::LogDiffers | Kind::LogBroken | Kind::LogIncomplete => {
                    scene.miscount(&scratch, corruption).await;
                }
                _ => scene.corrupt(&scratch, corruption).await,
            }
            assert_eq!(kinds(&one(&database, scene.event).await), [*kind], "{corruption}");
            expected.insert(scene.event, vec![*kind]);
        }
        let clean = Scene::insert(&scratch).await;
        expected.insert(clean.event, vec![]);

        // All at once, each event has its own, and what belongs to no event is told apart.
        let scene = Scene::insert(&scratch).await;
        scene.corrupt(&scratch, "UPDATE idempotency_keys SET event_id = {unknown} WHERE key = 'later' AND event_id = {event}").await;
        expected.insert(scene.event, vec![]);
        let all = rows::audited(&database).await;
        let found: BTreeMap<EventId, Vec<Kind>> = all.events.iter().map(|event| (event.id, kinds(event))).collect();
        assert_eq!(found, expected);
        let strays: Vec<_> = all.strays.iter().map(|stray| (stray.kind, stray.count, stray.ids.clone())).collect();
        assert_eq!(strays, [(Kind::UnknownEvent, 1, vec![scene.unknown])]);

        for kind in Kind::ALL {
            let is_tried = *kind == Kind::UnknownEvent
                || CORRUPTIONS.iter().any(|(tried, _)| tried == kind)
                || CORRUPTED_ON_POSTGRES.iter().any(|(tried, _)| tried == kind);
            assert!(is_tried, "{} is claimed and never tried", kind.as_str());
        }
    }

    async fn violations_name_their_rows_and_count_those_they_do_not_name(database: Database) {
        let scratch = scratch(&database).await;
        let scene = Scene::insert(&scratch).await;
        scene.corrupt(&scratch, "UPDATE tickets SET status = 'SOLD' WHERE id = {free}").await;
        let event = one(&database, scene.event).await;
        let violation = &event.violations[0];
        assert_eq!((violation.count, &violation.ids), (1, &vec![scene.id("free")]));

        let crowd: Vec<TicketId> = (0..30).map(|_| TicketId::mint()).collect();
        for id in &crowd {
            scene.insert_ticket(&scratch, *id, ticket::Status::Sold, None).await;
        }
        rows::recount(&scratch).await;
        let event = one(&database, scene.event).await;
        let violation = &event.violations[0];
        assert_eq!(violation.count, 31);
        // Ids are made in order.
        let first: Vec<_> = [scene.id("free")].into_iter().chain(crowd.iter().map(|id| id.0)).take(20).collect();
        assert_eq!(violation.ids, first);
    }

    async fn a_hold_that_is_over_and_not_tidied_up_is_correct(database: Database) {
        let scratch = scratch(&database).await;
        let scene = Scene::insert(&scratch).await;
        let event = one(&database, scene.event).await;
        assert_eq!(kinds(&event), []);
        let tickets = event.tickets;
        // Of three tickets with the status HELD, one is of a hold that is over.
        assert_eq!((tickets.available, tickets.held, tickets.sold, tickets.blocked), (4, 2, 3, 1));
        assert_eq!((event.orders.confirmed, event.orders.cancelled), (2, 1));
    }

    async fn a_cancellation_under_way_is_a_note_and_two_owners_are_not(database: Database) {
        let scratch = scratch(&database).await;
        let scene = Scene::insert(&scratch).await;
        for half_way in [
            "UPDATE events SET status = 'CANCELLED' WHERE id = {event}",
            "UPDATE orders SET status = 'CONFIRMED' WHERE id = {cancelled}",
            "UPDATE tickets SET status = 'AVAILABLE', hold_id = NULL, held_until = NULL WHERE id = {held}",
        ] {
            scene.corrupt(&scratch, half_way).await;
            assert_eq!(kinds(&one(&database, scene.event).await), [], "{half_way}");
        }
        let audit = rows::audited(&database).await;
        assert!(audit.events[0].is_being_cancelled);
        assert!(rowlock::audit::text(&audit).contains("cancellation under way"));

        for kind in [Kind::TwoOwners, Kind::SoldWithoutOwner] {
            let (_, corruption) = CORRUPTIONS.iter().find(|(of, _)| *of == kind).unwrap();
            scene.corrupt(&scratch, corruption).await;
        }
        assert_eq!(kinds(&one(&database, scene.event).await), [Kind::TwoOwners, Kind::SoldWithoutOwner]);
    }

    async fn after_a_whole_life_of_tickets_the_audit_is_clean(database: Database) {
        {
            let server = Server::start(&database).await;
            seed::places(&server.client(), 10).await;
        }
        let desk = Desk::open(&database).await;
        let bought = desk.buy("ada", 3).await;
        let staying = desk.hold("ada", 2).await;
        desk.done("ada", "extend", Action::ExtendHold { hold_id: staying.hold.id }).await;
        let given_back = desk.hold("bob", 3).await;
        let part = Some(vec![given_back.tickets[0]]);
        desk.done("bob", "part", Action::ReleaseHold { hold_id: given_back.hold.id, tickets: part }).await;
        rows::assert_clean(&database).await;
        desk.done("bob", "rest", Action::ReleaseHold { hold_id: given_back.hold.id, tickets: None }).await;
        let becoming = desk.hold("bob", 2).await;
        desk.done("bob", "checkout", Action::PurchaseHold { hold_id: becoming.hold.id, expected_total: None }).await;
        let cancel = |items| Action::CancelOrder {
            order_id: bought.order.id,
            items,
            by: Canceller::Staff { customer_id: bought.order.customer_id },
            reason: Some("rained off".to_owned()),
        };
        desk.done("staff", "cancel one", cancel(Some(vec![bought.items[0].id]))).await;
        let audit = rows::audited(&database).await;
        assert!(audit.is_clean(), "{}", rowlock::audit::text(&audit));
        let tickets = audit.events[0].tickets;
        assert_eq!((tickets.available, tickets.held, tickets.sold, tickets.blocked), (4, 2, 4, 0));
        desk.done("staff", "cancel all", cancel(None)).await;
        rows::assert_clean(&database).await;

        // A hold ends by time alone: its tickets are counted as free without anybody touching them.
        desk.shorten_holds().await;
        desk.hold("carl", 2).await;
        eventually("the hold's end", Duration::from_secs(20), async || {
            let audit = rows::audited(&database).await;
            assert!(audit.is_clean(), "{}", rowlock::audit::text(&audit));
            (audit.events[0].tickets.held == 2).then_some(())
        }).await;
        desk.buy("dora", 6).await;
        let audit = rows::audited(&database).await;
        assert!(audit.is_clean(), "{}", rowlock::audit::text(&audit));
        let tickets = audit.events[0].tickets;
        assert_eq!((tickets.available, tickets.held, tickets.sold, tickets.blocked), (0, 2, 8, 0));
        desk.close().await;
    }

    async fn beside_a_server_under_load_every_audit_is_clean(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 300).await;
        let buyers = (0..150).map(|number| {
            let buyer = server.client().customer(&format!("buyer {number}"));
            let ticket_type_id = &event.ticket_type_id;
            async move { buyer.purchase_any(ticket_type_id, 3, "one").await }
        });
        let selling = join_all(buyers);
        let auditing = async {
            let mut sold = Vec::new();
            loop {
                let audit = rows::audited(&database).await;
                assert!(audit.is_clean(), "{}", rowlock::audit::text(&audit));
                sold.push(audit.events[0].tickets.sold);
                if audit.events[0].tickets.available == 0 {
                    return sold;
                }
            }
        };
        let (outcomes, sold) = tokio::join!(selling, auditing);
        assert!(sold.is_sorted(), "{sold:?}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_sold()).count(), 100);
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn the_command_line_says_what_it_found(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let ids = event.ticket_ids();
        server.client().customer("ada").purchase_ticket(ids[0], "one").await.sold();
        let scratch = scratch(&database).await;
        let row = event::Entity::find().one(&scratch).await.unwrap().unwrap();

        // Beside the running server.
        let clean = command(&database, &[]);
        let said = String::from_utf8_lossy(&clean.stdout).into_owned();
        assert_eq!(clean.status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("The Tests' Own Concert ({}, {})", row.slug, row.id)), "{said}");
        assert!(said.contains("tickets  3: 2 available, 0 held, 1 sold, 0 blocked"), "{said}");
        assert!(said.contains("orders   1 confirmed, 0 cancelled"), "{said}");
        assert!(said.ends_with("\n1 event, 3 tickets: everything agrees\n"), "{said}");
        for name in [&row.slug, &row.id.to_string(), &event.id] {
            let one = command(&database, &["--event", name]);
            assert_eq!(one.status.code(), Some(0), "{name}");
        }

        scratch.execute_unprepared("UPDATE tickets SET status = 'AVAILABLE'").await.unwrap();
        rows::recount(&scratch).await;
        let broken = command(&database, &[]);
        let said = String::from_utf8_lossy(&broken.stdout).into_owned();
        assert_eq!(broken.status.code(), Some(1), "{said}");
        let ticket = GlobalId::decode(&ids[0].into()).and_then(GlobalId::ticket).unwrap().1;
        let expected = format!("OWNED_BUT_NOT_SOLD, 1 ticket: A ticket has an active order item, but is not sold.\n             {ticket}\n");
        assert!(said.contains(&expected), "{said}");
        assert!(said.ends_with("\n1 event, 3 tickets: 1 violation\n"), "{said}");

        let broken = command(&database, &["--format", "json"]);
        assert_eq!(broken.status.code(), Some(1));
        let found: Value = serde_json::from_slice(&broken.stdout).unwrap();
        assert_eq!(found["isClean"], false);
        assert_eq!(found["violationsOfNoEvent"], json!([]));
        assert_eq!(found["events"][0]["tickets"]["available"], 3);
        assert_eq!(found["events"][0]["violations"], json!([{
            "kind": "OWNED_BUT_NOT_SOLD",
            "message": "A ticket has an active order item, but is not sold.",
            "count": 1,
            "ids": [ticket.to_string()],
        }]));
        scratch.close().await.unwrap();

        let unknown = command(&database, &["--event", "no-such-event"]);
        assert_eq!(unknown.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&unknown.stderr),
            "rowlock: there is no event \"no-such-event\": name it by its slug or its id\n");
    }

    async fn the_organizer_audits_their_event_and_nobody_else_does(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 3).await;
        let client = server.client();
        let (organizer, ada) = (client.organizer("the hall"), client.customer("ada"));
        ada.purchase_ticket(event.ticket_ids()[0], "one").await.sold();

        let clean = inventory(&organizer, &event.id).await;
        assert_eq!(clean["isClean"], true);
        assert_eq!(clean["isBeingCancelled"], false);
        assert_eq!(clean["tickets"], json!({ "total": 3, "available": 2, "held": 0, "sold": 1, "blocked": 0 }));
        assert_eq!(clean["orders"], json!({ "confirmed": 1, "cancelled": 0 }));
        assert_eq!(clean["violations"], json!([]));

        // Others are told what they are told of an event that is not there.
        let unknown = GlobalId::Event(EventId::mint()).encode();
        assert_eq!(inventory(&organizer, &unknown).await, Value::Null);
        assert_eq!(inventory(&organizer, event.ticket_ids()[0]).await, Value::Null);
        assert_eq!(inventory(&client.organizer("another hall"), &event.id).await, Value::Null);
        for (caller, code) in [(&ada, "FORBIDDEN"), (&client, "UNAUTHENTICATED")] {
            for id in [event.id.as_str(), unknown.as_str()] {
                let answer = caller.send(INVENTORY, json!({ "id": id })).await;
                assert_eq!((answer.fault(), &answer.data["inventoryAudit"]), (Some(code), &Value::Null));
            }
        }
        assert_eq!(organizer.send(INVENTORY, json!({ "id": "no id" })).await.fault(), Some("BAD_USER_INPUT"));
        // One request asks for one audit.
        let twice = "query($id: ID!) { a: inventoryAudit(eventId: $id) { isClean } b: inventoryAudit(eventId: $id) { isClean } }";
        let answer = organizer.send(twice, json!({ "id": event.id })).await;
        assert_eq!(answer.fault(), Some("QUERY_TOO_COSTLY"));

        let scratch = scratch(&database).await;
        scratch.execute_unprepared("UPDATE tickets SET status = 'SOLD'").await.unwrap();
        rows::recount(&scratch).await;
        let broken = inventory(&organizer, &event.id).await;
        assert_eq!(broken["isClean"], false);
        assert_eq!(broken["violations"][0]["kind"], "SOLD_WITHOUT_OWNER");
        assert_eq!(broken["violations"][0]["count"], 2);
        assert_eq!(broken["violations"][0]["ids"].as_array().unwrap().len(), 2);
        scratch.close().await.unwrap();
    }

    async fn what_cannot_be_audited_is_said_and_ends_with_2(database: Database) {
        let empty = match &database {
            Database::Postgres { .. } => Database::empty_postgres().await,
            Database::Sqlite { .. } => {
                let empty = Database::empty_sqlite();
                // The file is there, and empty.
                empty.connect().await.close().await.unwrap();
                empty
            }
        };
        let unmigrated = command(&empty, &[]);
        assert_eq!(unmigrated.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&unmigrated.stderr),
            "rowlock: the database's schema is not up to date; run: rowlock migrate up\n");
        let unnamed = Server::command(&["audit"]).output();
        assert_eq!(unnamed.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&unnamed.stderr).contains("ROWLOCK_DATABASE_URL"));

        let url = database.url().parse().unwrap();
        let late = audit(&url, &Which::All, Duration::ZERO).await;
        assert!(matches!(late, Err(AuditError::TooLong)), "{late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_cannot_be_audited() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nothing.db");
    for url in [
        format!("sqlite:{}", file.display()),
        "postgres://nobody@127.0.0.1:1/nothing".to_owned(),
    ] {
        let output = Server::command(&["audit"])
            .env("ROWLOCK_DATABASE_URL", &url)
            .output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the database cannot be reached"), "{said}");
    }
    assert!(!file.exists(), "to look is not to create");
}

/// An audit waits behind a hand at the console that has locked a whole table, and no longer than its time.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_takes_too_long_is_ended() {
    let database = Database::postgres().await;
    let scratch = database.connect().await;
    let locked = scratch.begin().await.unwrap();
    locked
        .execute_unprepared("LOCK TABLE order_items IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let url = database.url().parse().unwrap();
    let late = audit(&url, &Which::All, Duration::from_millis(300)).await;
    assert!(matches!(late, Err(AuditError::TooLong)), "{late:?}");
    locked.rollback().await.unwrap();
    rows::assert_clean(&database).await;
}

/// SQLite has no timeout of its own: the connection interrupts what runs when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_an_sqlite_file_that_takes_too_long_is_interrupted() {
    let database = Database::sqlite().await;
    let rows = scratch(&database).await;
    let scene = Scene::insert(&rows).await;
    let crowd = "INSERT INTO tickets (event_id, id, ticket_type_id, status, is_accessible)
        WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 200000)
        SELECT event_id, randomblob(16), ticket_type_id, 'SOLD', FALSE FROM tickets, many WHERE id = {free}";
    scene.run(&rows, crowd).await;
    let url = database.url().parse().unwrap();
    let late = audit(&url, &Which::All, Duration::from_millis(50)).await;
    assert!(matches!(late, Err(AuditError::TooLong)), "{late:?}");
}

const INVENTORY: &str = "query($id: ID!) { inventoryAudit(eventId: $id) {
    checkedAt isClean isBeingCancelled tickets { total available held sold blocked } orders { confirmed cancelled }
    violations { kind message count ids }
} }";

async fn inventory(caller: &Client, id: &str) -> Value {
    caller.data(INVENTORY, json!({ "id": id })).await["inventoryAudit"].take()
}

fn command(database: &Database, arguments: &[&str]) -> Output {
    let command = Server::command(&[&["audit"], arguments].concat());
    command
        .env("ROWLOCK_DATABASE_URL", &database.url())
        .output()
}

async fn one(database: &Database, id: EventId) -> EventAudit {
    let url = database.url().parse().unwrap();
    let found: Audit = audit(&url, &Which::One(id), AUDIT_MAX).await.unwrap();
    assert!(found.strays.is_empty());
    found.events.into_iter().next().unwrap()
}

fn kinds(event: &EventAudit) -> Vec<Kind> {
    event
        .violations
        .iter()
        .map(|violation| violation.kind)
        .collect()
}
