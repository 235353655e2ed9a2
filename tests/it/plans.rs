//! PostgreSQL's plans: none reads a table whole that was empty when it was last analysed.

use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use crate::harness::{Client, Database, Server, eventually, rows, seed};

/// A plan's age at most, see `sales/lane.rs`, and a moment more.
const PLAN_AGE: Duration = Duration::from_millis(1_200);

/// PostgreSQL's sessions tell what they have read when they are idle, after ten seconds.
const COUNTED_WITHIN: Duration = Duration::from_secs(30);

const HOLDS: i64 = 20_000;

/// More than are numbered by one statement.
const CHANGES: i64 = 3_000;

/// What two holds and their purchases may read of the indexes of holds and of what is held.
const READ_MAX: i64 = 100;

async fn hold_and_purchase(buyer: &Client, ticket: &str) {
    let hold = buyer.hold_tickets(&[ticket], "hold").await.held();
    let outcome = buyer.purchase_hold(&hold.id, "purchase").await;
    assert!(outcome.is_sold(), "{outcome:?}");
}

/// An on-sale that begins on a new database holds thousands of seats before PostgreSQL analyses its tables for the first time. A
/// plan from its beginning, or one for which they are still as they were, reads all of them for every purchase of one.
#[tokio::test]
async fn a_hold_is_bought_by_looking_at_no_other_however_many_there_are_now() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 2).await;
    let hand = database.connect().await;
    hand.execute_unprepared("ANALYZE holds, tickets")
        .await
        .unwrap();
    let ids = event.ticket_ids();
    hold_and_purchase(&server.client().customer("ada"), ids[0]).await;

    let many = format!(
        "INSERT INTO holds (event_id, id, customer_id, status, held_until, extendable_until, tickets_len, created_at)
         SELECT event_id, gen_random_uuid(), gen_random_uuid(), 'RELEASED', held_until, extendable_until, 0, created_at
         FROM (SELECT * FROM holds LIMIT 1) AS hold CROSS JOIN generate_series(1, {HOLDS})"
    );
    hand.execute_unprepared(&many).await.unwrap();
    let many = format!(
        "INSERT INTO tickets (event_id, id, ticket_type_id, status, hold_id, held_until, is_accessible)
         SELECT event_id, gen_random_uuid(), ticket_type_id, 'HELD', gen_random_uuid(), now() + interval '1 hour', false
         FROM (SELECT * FROM tickets LIMIT 1) AS ticket CROSS JOIN generate_series(1, {HOLDS})"
    );
    hand.execute_unprepared(&many).await.unwrap();
    tokio::time::sleep(PLAN_AGE).await;
    hold_and_purchase(&server.client().customer("bob"), ids[1]).await;

    eventually("both purchases to be counted", COUNTED_WITHIN, async || {
        let changed = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'holds'";
        (rows::count(&hand, changed).await == 2).then_some(())
    })
    .await;
    let read = "SELECT SUM(idx_tup_read)::BIGINT FROM pg_stat_user_indexes
                WHERE relname = 'holds' OR indexrelname IN ('tickets_held', 'tickets_by_hold')";
    let read = rows::count(&hand, read).await;
    assert!(read <= READ_MAX, "{read} entries of indexes were read");
    hand.close().await.unwrap();
}

/// As many events as buyers in one minute: what their sales append to the log is numbered by looking at each row once.
#[tokio::test]
async fn changes_of_many_events_are_numbered_by_looking_at_no_other() {
    let database = Database::postgres().await;
    let hand = database.connect().await;
    hand.execute_unprepared("VACUUM ANALYZE ticket_changes, ticket_changes_unnumbered")
        .await
        .unwrap();
    let tables = "relname IN ('ticket_changes', 'ticket_changes_unnumbered')";
    let read_by_index =
        format!("SELECT SUM(idx_tup_read)::BIGINT FROM pg_stat_user_indexes WHERE {tables}");
    let read_whole =
        format!("SELECT SUM(seq_tup_read)::BIGINT FROM pg_stat_user_tables WHERE {tables}");
    let whole_before = rows::count(&hand, &read_whole).await;
    let inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'ticket_changes'";
    let inserted_before = rows::count(&hand, inserted).await;
    let _server = Server::start(&database).await;
    let many = format!(
        "INSERT INTO ticket_changes_unnumbered (event_id, changes)
         SELECT gen_random_uuid(), '[]' FROM generate_series(1, {CHANGES})"
    );
    hand.execute_unprepared(&many).await.unwrap();

    eventually(
        "all to be numbered and counted",
        COUNTED_WITHIN,
        async || {
            let inserted = rows::count(&hand, inserted).await - inserted_before;
            (inserted >= CHANGES).then_some(())
        },
    )
    .await;
    let whole = rows::count(&hand, &read_whole).await - whole_before;
    assert!(whole <= 2 * CHANGES, "{whole} rows were read");
    // Six statements and some looks after them, each of which may come across all that was numbered just before.
    let entries = rows::count(&hand, &read_by_index).await;
    assert!(entries <= 20 * CHANGES, "{entries} entries were read");
    let numbered = "SELECT COUNT(*) FROM ticket_changes WHERE version = 1";
    assert_eq!(rows::count(&hand, numbered).await, CHANGES);
    hand.close().await.unwrap();
}

/// Where all events have one status, a plan for a status that is told later takes no event to have another one, and reads all of
/// them once for all that is wanted, however much that is.
#[tokio::test]
async fn tickets_are_read_by_looking_at_no_other_event_than_theirs() {
    const EVENTS: i64 = 500;
    const TICKETS: i64 = 20_000;
    const READS: usize = 100;
    /// Tickets of one read.
    const LEN: usize = 10;
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), READS + LEN).await;
    let hand = database.connect().await;
    let many = format!(
        "INSERT INTO tickets (event_id, id, ticket_type_id, status, is_accessible)
         SELECT event_id, gen_random_uuid(), ticket_type_id, 'AVAILABLE', false
         FROM (SELECT * FROM tickets LIMIT 1) AS ticket CROSS JOIN generate_series(1, {TICKETS})"
    );
    hand.execute_unprepared(&many).await.unwrap();
    let many = format!(
        "INSERT INTO events SELECT (jsonb_populate_record(events,
             jsonb_build_object('id', gen_random_uuid(), 'slug', 'event-' || n))).*
         FROM events CROSS JOIN generate_series(1, {EVENTS}) AS n"
    );
    hand.execute_unprepared(&many).await.unwrap();
    hand.execute_unprepared("ANALYZE").await.unwrap();
    let count = async |of: &str| rows::count(&hand, &format!("SELECT {of}")).await;
    let read = "SUM(seq_tup_read)::BIGINT FROM pg_stat_user_tables WHERE relname = 'events'";
    let before = count(read).await;

    let client = server.client();
    for ids in event.ticket_ids().windows(LEN) {
        let document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        client.data(document, json!({ "ids": ids })).await;
    }
    // Sessions that end tell at once what they have read.
    server.kill();
    let scans = "(seq_scan + idx_scan)::BIGINT FROM pg_stat_user_tables WHERE relname = 'tickets'";
    let reads = i64::try_from(READS).unwrap();
    eventually("all reads to be counted", COUNTED_WITHIN, async || {
        (count(scans).await >= reads).then_some(())
    })
    .await;
    let read = count(read).await - before;
    assert!(read <= 2 * EVENTS, "{read} events were read");
    hand.close().await.unwrap();
}

/// A session that has removed a ticket when there were few seats removes others when there are many.
#[tokio::test]
async fn seats_are_left_by_looking_at_no_other() {
    const REMOVED: i64 = 50;
    let database = Database::postgres().await;
    {
        let server = Server::start(&database).await;
        seed::seats(&server.client(), 2).await;
    }
    let hand = database.connect().await;
    hand.execute_unprepared(
        "ALTER TABLE seats SET (autovacuum_enabled = off); ANALYZE seats, tickets",
    )
    .await
    .unwrap();
    let session = hand.begin().await.unwrap();
    let add = |seats: i64| {
        format!(
            "INSERT INTO tickets (event_id, id, ticket_type_id, status, section, row_label, seat_label, row_index, seat_index,
                 is_accessible)
             SELECT event_id, gen_random_uuid(), ticket_type_id, 'AVAILABLE', 'Many', '{seats}', place, 1, place, false
             FROM (SELECT * FROM tickets LIMIT 1) AS ticket CROSS JOIN generate_series(1, {seats}) AS place"
        )
    };
    let remove = |seats: i64| {
        format!("DELETE FROM tickets WHERE section = 'Many' AND seat_index <= {seats}")
    };
    for statement in [add(1), remove(1), add(HOLDS), remove(REMOVED)] {
        session.execute_unprepared(&statement).await.unwrap();
    }
    session.commit().await.unwrap();

    eventually("all to be counted", COUNTED_WITHIN, async || {
        let left = "SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'seats'";
        (rows::count(&hand, left).await == REMOVED + 1).then_some(())
    })
    .await;
    let read =
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'seats'";
    let read = rows::count(&hand, read).await;
    assert!(read <= READ_MAX, "{read} seats were read");
    hand.close().await.unwrap();
}

/// Who asks for a section that has few tickets, or none, has few read.
#[tokio::test]
async fn a_section_is_read_by_looking_at_no_other() {
    const FEW: usize = 3;
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), FEW).await;
    let hand = database.connect().await;
    let many = format!(
        "INSERT INTO tickets (event_id, id, ticket_type_id, status, section, row_label, seat_label, row_index, seat_index,
             is_accessible)
         SELECT event_id, gen_random_uuid(), ticket_type_id, 'SOLD', 'Many', '1', place, 1, place, false
         FROM (SELECT * FROM tickets LIMIT 1) AS ticket CROSS JOIN generate_series(1, {HOLDS}) AS place"
    );
    hand.execute_unprepared(&many).await.unwrap();
    hand.execute_unprepared("ANALYZE").await.unwrap();
    let tickets = "SELECT (seq_tup_read + idx_tup_fetch)::BIGINT FROM pg_stat_user_tables WHERE relname = 'tickets'";
    let document = "query ($id: ID!, $section: String!) { event(by: { id: $id }) { tickets(filter: { section: $section }, first: 50) {
        nodes { seat { section } } } } }";
    for (section, len) in [("Parkett", FEW), ("Unknown", 0), ("Many", 50)] {
        let variables = serde_json::json!({ "id": event.id, "section": section });
        let data = server.client().data(document, variables).await;
        let nodes = data["event"]["tickets"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), len, "{section}");
    }

    // A session tells all that it has read when it ends, of both tables at once.
    drop(server);
    eventually(
        "three reads of seats to be counted",
        COUNTED_WITHIN,
        async || {
            let reads = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'seats'";
            (rows::count(&hand, reads).await >= 3).then_some(())
        },
    )
    .await;
    let read = rows::count(&hand, tickets).await;
    assert!(read <= READ_MAX, "{read} tickets were read");
    hand.close().await.unwrap();
}
