//! What a request asks of the database, counted in the server's own log.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Client, Database, Server, client::Answer, eventually, rows, seed};

/// An answered request is in the log at once; this is for a machine that is busy elsewhere.
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// What the transaction of one purchase may ask of PostgreSQL: gate with lock, key with event and ticket type, and one write.
const OF_A_PURCHASE_MAX: usize = 3;

pub async fn start(database: &Database) -> Server {
    Server::builder(database)
        .env(
            "ROWLOCK_LOG",
            "sqlx::query=debug,rowlock::http=debug,rowlock::sales::upkeep=info",
        )
        .arg("--log-format")
        .arg("json")
        .start()
        .await
}

/// The statements that were logged for a request, once its answer was logged too.
pub async fn statements_of(server: &Server, answer: &Answer) -> Vec<String> {
    let id = answer.request_id();
    let lines = eventually("the answer's log line", LOGGED_WITHIN, async || {
        let lines: Vec<Value> = log(server)
            .into_iter()
            .filter(|line| is_of(line, id))
            .collect();
        lines
            .iter()
            .any(|line| line["fields"]["message"] == "answered")
            .then_some(lines)
    })
    .await;
    lines.iter().filter_map(statement).collect()
}

fn log(server: &Server) -> Vec<Value> {
    server
        .log()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_of(line: &Value, request_id: &str) -> bool {
    line["spans"]
        .as_array()
        .is_some_and(|spans| spans.iter().any(|span| span["request.id"] == request_id))
}

fn statement(line: &Value) -> Option<String> {
    if line["target"] != "sqlx::query" {
        return None;
    }
    // The whole text where the summary is shortened.
    let fields = &line["fields"];
    let text = match fields["db.statement"].as_str() {
        Some(text) if !text.trim().is_empty() => text,
        _ => fields["summary"].as_str()?,
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // How SQLite's driver opens a connection: a pool that grows during a request says so in its span.
    let is_opening = text.starts_with("PRAGMA") || text == "SELECT sqlite_version()";
    (!is_opening).then_some(text)
}

/// How often a query is sent to find out what it costs. Loaders gather what is asked for within a millisecond, and a
/// machine that is busy elsewhere cuts that in two: what a query costs is the least that was counted.
const TRIES: usize = 20;

/// Sends the query and counts; it must have read `len` objects, so that a count of nothing proves nothing.
async fn count(
    server: &Server,
    client: &Client,
    document: &str,
    variables: Value,
    len: usize,
) -> usize {
    let mut least = usize::MAX;
    for _ in 0..TRIES {
        let answer = client.send(document, variables.clone()).await;
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        let ids = answer.data.to_string().matches("\"id\"").count();
        assert_eq!(ids, len, "objects read by {document}");
        let statements = statements_of(server, &answer).await;
        assert!(!statements.is_empty(), "nothing was logged for {document}");
        least = least.min(statements.len());
    }
    eprintln!("{least} statements for {len} objects");
    least
}

/// Two fields of different depth that want the same kind of object are read together or not, as time has it. A list that
/// were read row by row would cost a statement more for each of its rows, and all lists here grow by more than this.
const BY_CHANCE_MAX: usize = 2;

fn assert_no_growth(one: usize, many: usize) {
    assert!(
        many <= one + BY_CHANCE_MAX,
        "{one} statements for a short list, {many} for a long one"
    );
}

on_both_databases! {
    async fn a_list_of_events_costs_the_same_whatever_its_length(database: Database) {
        const EVENTS: &str = "{ events(first: 50) { nodes {
            id organizer { id name } ticketTypes { id price { amount } availability { available } event { id } }
        } } }";
        let server = start(&database).await;
        let client = server.client();
        let organizer = client.organizer("the hall");
        let add_event = async |types: &[&str]| {
            let event_id = seed::create_event(&organizer).await;
            for name in types {
                let ticket_type = seed::create_ticket_type_named(&organizer, &event_id, "GENERAL", name).await;
                seed::set_capacity(&organizer, &ticket_type, 3).await;
            }
            seed::publish(&organizer, &event_id).await;
        };
        add_event(&["A"]).await;
        let one = count(&server, &client, EVENTS, json!({}), 4).await;
        for _ in 0..6 {
            add_event(&["A", "B", "C"]).await;
        }
        let many = count(&server, &client, EVENTS, json!({}), 4 + 6 * 8).await;
        assert_no_growth(one, many);
    }

    async fn a_page_of_tickets_costs_the_same_whatever_its_length(database: Database) {
        const TICKETS: &str = "query($id: ID!, $first: Int!) { event(by: { id: $id }) { id tickets(first: $first) { nodes {
            id status ticketType { id price { amount } availability { available } } event { id }
        } } } }";
        let server = start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, 4).await;
        let organizer = client.organizer("the hall");
        for n in 0..5 {
            let name = format!("Type {n}");
            let ticket_type = seed::create_ticket_type_named(&organizer, &event.id, "SEATED", &name).await;
            seed::add_row(&organizer, &ticket_type, &name, 4).await;
        }
        let one = count(&server, &client, TICKETS, json!({ "id": event.id, "first": 1 }), 1 + 3).await;
        let many = count(&server, &client, TICKETS, json!({ "id": event.id, "first": 24 }), 1 + 24 * 3).await;
        assert_no_growth(one, many);
    }

    async fn ones_orders_cost_the_same_however_many_they_are(database: Database) {
        const ORDERS: &str = "query($first: Int!) { me { orders(first: $first) { nodes {
            id event { id } items { id ticket { id ticketType { id } } }
        } } } }";
        let server = start(&database).await;
        let client = server.client();
        let ada = client.customer("ada");
        // Of several events, so that each kind of object is read more than once.
        for n in 0..4 {
            let event = seed::seats(&client, 4).await;
            let ids = event.ticket_ids();
            ada.purchase_ticket(ids[0], &format!("one of {n}")).await.sold();
            ada.purchase_tickets(&ids[1..], &format!("three of {n}")).await.sold();
        }
        // The latest is of three tickets; eight in all are of sixteen.
        let one = count(&server, &ada, ORDERS, json!({ "first": 1 }), 2 + 3 * 3).await;
        let many = count(&server, &ada, ORDERS, json!({ "first": 100 }), 8 * 2 + 16 * 3).await;
        assert_no_growth(one, many);
    }

    async fn nodes_of_a_kind_are_read_together(database: Database) {
        const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        let server = start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, 50).await;
        let ids = event.ticket_ids();
        let one = count(&server, &client, NODES, json!({ "ids": ids[..1] }), 1).await;
        let many = count(&server, &client, NODES, json!({ "ids": ids }), 50).await;
        assert_no_growth(one, many);
    }

    async fn an_introspection_asks_the_database_nothing(database: Database) {
        let server = start(&database).await;
        let answer = server.client().send("{ __schema { types { name } } }", json!({})).await;
        assert_eq!(statements_of(&server, &answer).await, Vec::<String>::new());
    }
}

/// A sale runs in the desk's own task, outside every request's span: what counts is what the log has more afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_locks_its_ticket_in_a_handful_of_statements() {
    let database = Database::postgres().await;
    let server = start(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let ada = server.client().customer("ada");
    // The first purchase of a customer creates them, and the first statement of each connection is prepared.
    let mut outcomes = vec![ada.purchase_ticket(&event.tickets[0].id, "first").await];

    let before = server.log().len();
    let outcome = ada.purchase_ticket(&event.tickets[1].id, "second").await;
    outcomes.push(outcome);
    // What belongs to the request is in the log when a later one is answered.
    let later = ada.send("{ __typename }", json!({})).await;
    statements_of(&server, &later).await;
    let is_of_a_request = |line: &Value| {
        line["spans"]
            .as_array()
            .is_some_and(|spans| !spans.is_empty())
    };
    let statements: Vec<String> = log(&server)[before..]
        .iter()
        .filter(|line| !is_of_a_request(line))
        .filter_map(statement)
        .filter(|statement| !["BEGIN", "COMMIT"].contains(&statement.as_str()))
        .collect();

    let sequence = statements.join("\n");
    let position = |word: &str| {
        statements
            .iter()
            .position(|statement| statement.contains(word))
            .unwrap_or_else(|| panic!("no {word} in\n{sequence}"))
    };
    assert!(
        statements.len() <= OF_A_PURCHASE_MAX,
        "{} statements:\n{sequence}",
        statements.len()
    );
    let lock = position("FOR UPDATE");
    assert!(statements[lock].contains("tickets"), "{sequence}");
    // Each ticket is looked for once the gate of who wants it has answered.
    assert_eq!(position("pg_try_advisory_xact_lock"), lock, "{sequence}");
    assert!(
        position("FROM idempotency_keys") > lock,
        "the key is read behind the gate:\n{sequence}"
    );
    let clock = statements
        .iter()
        .rposition(|statement| statement.contains("clock_timestamp()"));
    let clock = clock.unwrap_or_else(|| panic!("no clock in\n{sequence}"));
    assert!(lock < clock, "the time is read after the lock:\n{sequence}");
    for written in [
        "UPDATE tickets",
        "INSERT INTO orders",
        "INSERT INTO order_items",
        "INSERT INTO idempotency_keys",
        "INSERT INTO ticket_count_deltas",
        "INSERT INTO ticket_changes",
    ] {
        let plain: Vec<String> = statements
            .iter()
            .map(|statement| statement.replace('"', ""))
            .collect();
        let write = plain
            .iter()
            .position(|statement| statement.to_uppercase().contains(&written.to_uppercase()));
        assert!(
            write.is_some_and(|write| write > clock),
            "{written} after the decision:\n{sequence}"
        );
    }
    rows::assert_conserved(&database, &outcomes).await;
}

/// A batch whose gates are all closed reads nothing; it must not leave the next one without the time by which its tickets
/// can be locked at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_gate_costs_the_next_sale_nothing() {
    const GATE: &str = "SELECT pg_advisory_xact_lock(('x' || encode(substring(sha256(
             'rowlock'::bytea || '\\x00'::bytea || 'gate'::bytea || uuid_send(orders.event_id) || uuid_send(orders.customer_id)
         ) FROM 1 FOR 8), 'hex'))::bit(64)::bigint) FROM orders";
    let database = Database::postgres().await;
    let server = start(&database).await;
    let event = seed::seats(&server.client(), 4).await;
    let (ada, bob) = (
        server.client().customer("ada"),
        server.client().customer("bob"),
    );
    let mut outcomes = vec![ada.purchase_ticket(&event.tickets[0].id, "first").await];
    let rows = database.connect().await;
    let gate = rows.begin().await.unwrap();
    gate.execute_unprepared(GATE).await.unwrap();
    outcomes.push(bob.purchase_ticket(&event.tickets[1].id, "first").await);

    let (again, id) = (ada.clone(), event.tickets[2].id.clone());
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { again.purchase_ticket(&id, "second").await });
    eventually("a wait for the gate", LOGGED_WITHIN, async || {
        let is_waiting = |line: &Value| {
            statement(line).is_some_and(|sql| sql.contains("pg_advisory_xact_lock("))
        };
        log(&server).iter().any(is_waiting).then_some(())
    })
    .await;
    let before = server.log().len();
    outcomes.push(bob.purchase_ticket(&event.tickets[3].id, "second").await);
    let of_a_sale =
        |line: &Value| statement(line).filter(|sql| !sql.contains("pg_advisory_xact_lock("));
    let sequence: Vec<String> = log(&server)[before..]
        .iter()
        .filter_map(of_a_sale)
        .collect();
    gate.rollback().await.unwrap();
    outcomes.extend(waiting.join_all().await);
    let gate_with_lock =
        |sql: &String| sql.contains("pg_try_advisory_xact_lock") && sql.contains("FOR UPDATE");
    assert!(sequence.iter().any(gate_with_lock), "{sequence:#?}");
    rows.close().await.unwrap();
    rows::assert_conserved(&database, &outcomes).await;
}

/// Who names a ticket of an event that does not exist must not cost the buyers of the same batch their short way.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_event_costs_its_neighbours_nothing() {
    let (database, elsewhere) = (Database::postgres().await, Database::postgres().await);
    let server = start(&database).await;
    let event = seed::seats(&server.client(), 3).await;
    let foreign = {
        let other = Server::start(&elsewhere).await;
        seed::seats(&other.client(), 1).await.tickets.remove(0).id
    };
    let rows = database.connect().await;
    for sql in [
        "CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.seat_label LIKE '%Seat 2' THEN PERFORM pg_sleep(0.5); END IF;
             RETURN NEW;
         END $$",
        "CREATE TRIGGER hinder BEFORE INSERT ON order_items FOR EACH ROW EXECUTE FUNCTION hinder()",
    ] {
        rows.execute_unprepared(sql).await.unwrap();
    }
    let buy = |buyer: &str, id: &str, after_ms: u64| {
        let (client, id) = (server.client().customer(buyer), id.to_owned());
        async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            client.purchase_ticket(&id, &id).await
        }
    };
    let first = buy("ada", &event.seat(1).id, 0).await;
    let before = server.log().len();
    // While the first is written, the others gather.
    let (slow, unknown, sold) = tokio::join!(
        buy("ada", &event.seat(2).id, 0),
        buy("bob", &foreign, 150),
        buy("eve", &event.seat(3).id, 150)
    );
    assert!(!unknown.is_sold(), "{unknown:?}");
    let sequence: Vec<String> = log(&server)[before..]
        .iter()
        .filter_map(statement)
        .collect();
    // The slow one's own, and that of the batch after it.
    let gate_with_lock =
        |sql: &&String| sql.contains("pg_try_advisory_xact_lock") && sql.contains("FOR UPDATE");
    let batches = sequence.iter().filter(gate_with_lock).count();
    assert!(batches >= 2, "{sequence:#?}");
    rows.close().await.unwrap();
    rows::assert_conserved(&database, &[first, slow, sold]).await;
}

/// A table that was analysed while it was empty is one row for the planner, and a session keeps its plan: it must not read
/// all the keys there are for each purchase, however many they become.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_costs_one_look_whatever_the_planner_knows_of_the_table() {
    const PURCHASES: u8 = 60;
    let database = Database::postgres().await;
    let rows = database.connect().await;
    rows.execute_unprepared("VACUUM ANALYZE").await.unwrap();
    let mut server = Server::start(&database).await;
    let event = seed::seats(&server.client(), PURCHASES.into()).await;
    let ada = server.client().customer("ada");
    for (n, ticket) in event.tickets.iter().enumerate() {
        ada.purchase_ticket(&ticket.id, &format!("key {n}"))
            .await
            .sold();
    }
    // A session tells what it has read when it ends, at the latest.
    server.terminate();
    server.wait_exit(LOGGED_WITHIN).await;
    let sql = "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'idempotency_keys_pkey'";
    let read = eventually("the index's statistics", LOGGED_WITHIN, async || {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = rows.query_one_raw(statement).await.unwrap().unwrap();
        let scans: i64 = row.try_get_by_index(0).unwrap();
        let read: i64 = row.try_get_by_index(1).unwrap();
        (scans >= i64::from(PURCHASES)).then_some(read)
    })
    .await;
    assert!(read < i64::from(PURCHASES), "{read} keys read");
    rows.close().await.unwrap();
}
