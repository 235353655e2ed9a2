//! The log by its rows: what the database itself refuses, and in which order it is numbered.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};

use super::{Follower, TOLD_WITHIN, logged};
use crate::harness::{Database, Server, eventually, rows, seed};

/// The advisory lock of those who number, in SQL.
pub const GATE: &str = "('x' || encode(substring(sha256(
         'rowlock'::bytea || '\\x00'::bytea || 'numbering'::bytea || decode(repeat('00', 32), 'hex')
     ) FROM 1 FOR 8), 'hex'))::bit(64)::bigint";

on_both_databases! {
    async fn the_log_is_append_only(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        server.client().customer("ada").purchase_ticket(&event.tickets[0].id, "k").await.sold();
        let hand = database.connect().await;
        let before = eventually("a version", TOLD_WITHIN, async || {
            let logged = logged(&hand).await;
            (!logged.is_empty()).then_some(logged)
        })
        .await;
        let mut writes = vec![
            "UPDATE ticket_changes SET changes = '[]'",
            "UPDATE ticket_changes SET version = version + 1",
            "UPDATE ticket_changes SET at = at, version = NULL",
            "DELETE FROM ticket_changes",
            "INSERT INTO ticket_changes_forgotten SELECT event_id, 0 FROM ticket_changes; DELETE FROM ticket_changes",
        ];
        if database.backend() == DbBackend::Postgres {
            writes.extend(["TRUNCATE ticket_changes", "TRUNCATE ticket_changes_unnumbered"]);
        }
        for write in writes {
            let refused = hand.execute_unprepared(write).await.unwrap_err().to_string();
            assert!(refused.contains("append-only") || refused.contains("NOT NULL"), "{write}: {refused}");
        }
        assert_eq!(logged(&hand).await, before);
        hand.close().await.unwrap();
    }

    /// As when two forget at once, and the one that has seen less comes last: versions are never given twice.
    async fn what_is_forgotten_is_never_less_than_before(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let ada = server.client().customer("ada");
        let hand = database.connect().await;
        ada.purchase_ticket(&event.tickets[0].id, "one").await.sold();
        eventually("a version", TOLD_WITHIN, async || (!logged(&hand).await.is_empty()).then_some(())).await;
        hand.execute_unprepared("INSERT INTO ticket_changes_forgotten SELECT id, 5 FROM events").await.unwrap();
        drop(server);
        let printed = Server::command(&["forget-changes", "--of-events-before", "2999-01-01T00:00:00Z"])
            .env("ROWLOCK_DATABASE_URL", &database.url())
            .print();
        assert_eq!(printed, "forgot 1 commits\n");
        let server = Server::start(&database).await;
        let ada = server.client().customer("ada");
        ada.purchase_ticket(&event.tickets[1].id, "two").await.sold();
        let version = eventually("the next version", TOLD_WITHIN, async || {
            logged(&hand).await.first().map(|(version, _)| *version)
        })
        .await;
        assert_eq!(version, 6);
        hand.close().await.unwrap();
    }
}

/// Ids are drawn before the commit: who commits late has a lesser one than what is numbered already, and must neither be
/// left out nor stand before it.
#[tokio::test(flavor = "multi_thread")]
async fn who_commits_late_is_numbered_late_and_never_left_out() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 3).await;
    let mut follower = Follower::begin(&server, &event.id).await;
    follower.hear().await;

    let hand = database.connect().await;
    let late = hand.begin().await.unwrap();
    for sql in [
        "UPDATE tickets SET status = 'BLOCKED', block_reason = 'by hand' WHERE seat_label = '1'",
        "INSERT INTO ticket_changes_unnumbered (event_id, changes)
         SELECT event_id, json_build_array(json_build_array(
             replace(id::text, '-', ''), 'AVAILABLE', 'BLOCKED', 'BLOCK', NULL, NULL))::text
         FROM tickets WHERE seat_label = '1'",
        "INSERT INTO ticket_count_deltas
         SELECT event_id, ticket_type_id, gen_random_uuid(), -1, 0, 0, 1 FROM tickets WHERE seat_label = '1'",
    ] {
        late.execute_unprepared(sql).await.unwrap();
    }
    let ada = server.client().customer("ada");
    for seat in [2, 3] {
        ada.purchase_ticket(&event.seat(seat).id, &format!("seat {seat}"))
            .await
            .sold();
    }
    follower.hear_up_to(2).await;
    late.commit().await.unwrap();
    follower.hear_up_to(3).await;
    assert_eq!(follower.statuses[&event.seat(1).id], "BLOCKED");
    let first = "SELECT version FROM ticket_changes WHERE changes LIKE '%BLOCKED%'";
    assert_eq!(
        rows::count(&hand, first).await,
        3,
        "the first that was written"
    );
    hand.close().await.unwrap();
    rows::assert_clean(&database).await;
}

/// Whoever has the lock of those who number keeps changes from being told, and nobody from buying.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_others_from_numbering_keeps_nobody_from_buying() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 5).await;
    let mut follower = Follower::begin(&server, &event.id).await;
    follower.hear().await;
    let hand = database.connect().await;
    let gate = hand.begin().await.unwrap();
    gate.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({GATE})"))
        .await
        .unwrap();
    let ada = server.client().customer("ada");
    for ticket in &event.tickets {
        ada.purchase_ticket(&ticket.id, &ticket.id).await.sold();
    }
    assert!(
        follower
            .socket
            .is_silent_for(Duration::from_millis(800))
            .await
    );
    // What has no version is not in the snapshot of a version either.
    let map = super::seat_map(&server.client(), &event.id).await;
    assert_eq!((map.0, &map.1), (0, &follower.statuses));
    gate.rollback().await.unwrap();
    follower.hear_up_to(5).await;
    assert!(follower.statuses.values().all(|status| status == "SOLD"));
    hand.close().await.unwrap();
    rows::assert_clean(&database).await;
}

/// What was appended leaves the table of what has no version by getting one, whoever deletes it, and however long it is.
#[tokio::test]
async fn nothing_is_lost_by_deleting_what_has_no_version() {
    let database = Database::postgres().await;
    let hand = database.connect().await;
    let append = |event: u128, text: &str| {
        let event = uuid::Uuid::from_u128(event);
        format!(
            "INSERT INTO ticket_changes_unnumbered (event_id, changes) VALUES ('{event}', '{text}')"
        )
    };
    // More than a page also when it is compressed.
    let long: String = (0..3_000)
        .map(|_| uuid::Uuid::now_v7().simple().to_string())
        .collect();
    for sql in [
        append(1, "first"),
        append(2, "another"),
        append(1, &long),
        append(1, "third"),
    ] {
        hand.execute_unprepared(&sql).await.unwrap();
    }
    let apart = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'ticket_changes_unnumbered'::regclass";
    assert!(
        rows::count(&hand, apart).await > 0,
        "the long one is kept apart"
    );
    let refused = hand
        .execute_unprepared("UPDATE ticket_changes_unnumbered SET changes = '[]'")
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("append-only"), "{refused}");

    for which in ["changes LIKE 'first'", "TRUE", "TRUE"] {
        let sql = format!("DELETE FROM ticket_changes_unnumbered WHERE {which}");
        hand.execute_unprepared(&sql).await.unwrap();
    }
    let statement = Statement::from_string(
        DbBackend::Postgres,
        "SELECT version, changes FROM ticket_changes ORDER BY event_id, version",
    );
    let rows = hand.query_all_raw(statement).await.unwrap();
    let numbered: Vec<(i64, String)> = rows
        .iter()
        .map(|row| {
            (
                row.try_get_by_index(0).unwrap(),
                row.try_get_by_index(1).unwrap(),
            )
        })
        .collect();
    let expected = [(1, "first"), (2, &*long), (3, "third"), (1, "another")];
    assert_eq!(
        numbered,
        expected.map(|(version, text)| (version, text.to_owned()))
    );
    hand.close().await.unwrap();
}

/// A statement that the database ends, because it takes too long, is not repeated as it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_to_number_is_numbered_in_lesser_parts() {
    const NUMBERED_WITHIN: Duration = Duration::from_secs(40);
    let database = Database::postgres().await;
    let hand = database.connect().await;
    for sql in [
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.006); RETURN NEW; END $$",
        "CREATE TRIGGER slowly BEFORE INSERT ON ticket_changes FOR EACH ROW EXECUTE FUNCTION slowly()",
        "INSERT INTO ticket_changes_unnumbered (event_id, changes)
         SELECT gen_random_uuid(), '[]' FROM generate_series(1, 500)",
    ] {
        hand.execute_unprepared(sql).await.unwrap();
    }
    let _server = Server::start(&database).await;
    eventually("all to be numbered", NUMBERED_WITHIN, async || {
        let unnumbered = "SELECT count(*) FROM ticket_changes_unnumbered";
        (rows::count(&hand, unnumbered).await == 0).then_some(())
    })
    .await;
    hand.close().await.unwrap();
}
