//! The database's schema goes up, down and up again.

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::harness::{Database, Server};

/// sea-orm-migration's own table, which stays.
const LEDGER: &str = "seaql_migrations";

#[tokio::test]
async fn up_down_and_up_again_on_postgres() {
    up_down_and_up_again(Database::empty_postgres().await).await;
}

#[tokio::test]
async fn up_down_and_up_again_on_sqlite() {
    up_down_and_up_again(Database::empty_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_at_once_all_succeed() {
    let database = Database::empty_postgres().await;
    let up = || {
        Server::command(&["migrate", "up"])
            .env("ROWLOCK_DATABASE_URL", &database.url())
            .print()
    };
    std::thread::scope(|scope| {
        let processes: Vec<_> = (0..4).map(|_| scope.spawn(up)).collect();
        for process in processes {
            assert_all(&process.join().unwrap(), "applied");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn status_lists_every_step_before_and_after() {
    for database in [Database::empty_postgres().await, Database::empty_sqlite()] {
        let migrate = |action: &str| {
            Server::command(&["migrate", action])
                .env("ROWLOCK_DATABASE_URL", &database.url())
                .print()
        };
        if let Database::Sqlite { .. } = &database {
            // To look is not to create: the file is there, and empty.
            database.connect().await.close().await.unwrap();
        }
        assert_all(&migrate("status"), "pending");
        assert_all(&migrate("up"), "applied");
        assert_all(&migrate("status"), "applied");
        let again = migrate("up");
        assert_all(&again, "applied");
    }
}

#[test]
fn status_of_a_file_that_is_not_there_is_refused_and_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nothing.db");
    let said = Server::command(&["migrate", "status"])
        .env(
            "ROWLOCK_DATABASE_URL",
            &format!("sqlite:{}", file.display()),
        )
        .refusal();
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(!file.exists());
}

/// Every step is listed, each as `expected`.
fn assert_all(printed: &str, expected: &str) {
    let steps: Vec<String> = Migrator::migrations()
        .iter()
        .map(|step| format!("{expected}  {}", step.name()))
        .collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), steps);
}

async fn up_down_and_up_again(database: Database) {
    let connection = database.connect().await;
    Migrator::up(&connection, None).await.unwrap();
    let first = objects(&connection).await;
    assert!(
        first
            .iter()
            .any(|object| object.contains("order_items_one_owner")),
        "{first:?}"
    );

    Migrator::down(&connection, None).await.unwrap();
    let left = objects(&connection).await;
    assert!(
        left.iter().all(|object| object.contains(LEDGER)),
        "{left:?}"
    );

    // One step at a time, as releases come.
    for _ in Migrator::migrations() {
        Migrator::up(&connection, Some(1)).await.unwrap();
    }
    assert_eq!(objects(&connection).await, first);
    assert!(
        Migrator::get_pending_migrations(&connection)
            .await
            .unwrap()
            .is_empty()
    );
}

/// SQLite writes the events' table anew where a constraint changes, and everything else refers to it.
#[tokio::test]
async fn events_and_what_refers_to_them_outlive_a_table_that_is_written_anew() {
    const BEFORE_SLUGS: u32 = 11;
    let (organizer, events) = ("X'01'", ["X'02'", "X'03'"]);
    let database = Database::empty_sqlite();
    let connection = database.connect().await;
    Migrator::up(&connection, Some(BEFORE_SLUGS)).await.unwrap();
    let run = async |sql: &str| connection.execute_unprepared(sql).await;
    run(&format!(
        "INSERT INTO organizers (id, issuer, subject, name, created_at) VALUES ({organizer}, 'i', 's', 'n', 'now')"
    ))
    .await
    .unwrap();
    let event = |id: &str, slug: &str, status: &str| {
        format!(
            "INSERT INTO events (id, organizer_id, slug, name, description, venue, currency, time_zone, starts_at,
                sales_open_at, sales_close_at, tickets_per_order_max, status, version, created_at, updated_at)
             VALUES ({id}, {organizer}, '{slug}', '007', '', '1e3', 'EUR', 'UTC', 'now', '1', '2', 1, '{status}', 1, 'a', 'b')"
        )
    };
    for (id, slug) in events.into_iter().zip(["1", "2"]) {
        run(&event(id, slug, "PUBLISHED")).await.unwrap();
        for kind in ["X'04'", "X'05'"] {
            run(&format!(
                "INSERT INTO ticket_types (event_id, id, name, admission, price_minor, position, version, created_at, updated_at)
                 VALUES ({id}, {kind}, hex({kind}), 'SEATED', 1, 1, 1, 'a', 'b')"
            ))
            .await
            .unwrap();
        }
    }
    let rows = async || {
        let sql = "SELECT hex(id) || slug || name || venue || starts_at || sales_open_at || typeof(sales_open_at) AS line
            FROM events ORDER BY id";
        let rows = connection
            .query_all_raw(Statement::from_string(DbBackend::Sqlite, sql))
            .await
            .unwrap();
        rows.iter()
            .map(|row| row.try_get_by_index::<String>(0).unwrap())
            .collect::<Vec<_>>()
    };
    let before = rows().await;
    assert_eq!(before.len(), 2);
    for _ in 0..2 {
        Migrator::up(&connection, None).await.unwrap();
        assert_eq!(rows().await, before);
        // Still a reference, in both directions.
        run("DELETE FROM events").await.unwrap_err();
        run("UPDATE ticket_types SET event_id = X'09'")
            .await
            .unwrap_err();
        // And what the constraints are now.
        run(&event("X'06'", "1", "PUBLISHED")).await.unwrap_err();
        run(&event("X'06'", "1", "DRAFT")).await.unwrap_err();
        Migrator::down(&connection, Some(1)).await.unwrap();
        assert_eq!(rows().await, before);
    }
}

/// A seat that was taken before seats had a table of their own is taken after it, and after the way back.
#[tokio::test]
async fn seats_stay_taken_when_they_get_a_table() {
    const BEFORE_SEATS: u32 = 13;
    let database = Database::empty_postgres().await;
    let connection = database.connect().await;
    let (one, two) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    let add = async |id: uuid::Uuid, seat: &str| {
        let sql = format!(
            "INSERT INTO tickets (event_id, id, ticket_type_id, status, section, row_label, seat_label, row_index, seat_index, is_accessible)
             VALUES ('{one}', '{id}', '{one}', 'AVAILABLE', {seat}, FALSE)"
        );
        connection.execute_unprepared(&sql).await
    };
    Migrator::up(&connection, Some(BEFORE_SEATS)).await.unwrap();
    // What a ticket refers to is none of this test's business.
    connection
        .execute_unprepared("ALTER TABLE tickets DROP CONSTRAINT tickets_type")
        .await
        .unwrap();
    add(one, "'S', 'A', '1', 1, 1").await.unwrap();
    add(two, "NULL, NULL, NULL, NULL, NULL").await.unwrap();
    for _ in 0..2 {
        Migrator::up(&connection, None).await.unwrap();
        let refused = add(uuid::Uuid::now_v7(), "'S', 'A', '1', 1, 1").await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("seats_one_ticket"), "{refused}");

        let since = u32::try_from(Migrator::migrations().len()).unwrap() - BEFORE_SEATS;
        Migrator::down(&connection, Some(since)).await.unwrap();
        let refused = add(uuid::Uuid::now_v7(), "'S', 'A', '1', 1, 1").await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("tickets_seat"), "{refused}");
    }
}

/// What has its version keeps it, and what has none comes after it, in its order.
#[tokio::test]
async fn the_log_outlives_that_what_is_unnumbered_gets_a_table() {
    const BEFORE: u32 = 15;
    for database in [Database::empty_postgres().await, Database::empty_sqlite()] {
        let connection = database.connect().await;
        let backend = connection.get_database_backend();
        let event = match backend {
            DbBackend::Postgres => "'00000000-0000-0000-0000-000000000001'",
            _ => "X'00000000000000000000000000000001'",
        };
        let texts = async |of: &str| {
            let sql = format!("SELECT changes || ' at ' || at FROM {of}");
            let statement = Statement::from_string(backend, sql);
            let rows = connection.query_all_raw(statement).await.unwrap();
            let text = |row: &sea_orm::QueryResult| row.try_get_by_index::<String>(0).unwrap();
            rows.iter().map(text).collect::<Vec<_>>()
        };
        Migrator::up(&connection, Some(BEFORE)).await.unwrap();
        let columns = match backend {
            DbBackend::Postgres => "event_id, version, at, changes",
            _ => "event_id, id, version, at, changes",
        };
        // The later it is written, the lesser its version.
        for version in (1..=20).rev() {
            let versions = match backend {
                DbBackend::Postgres => format!("{version}"),
                _ => format!("{version}, {version}"),
            };
            let sql = format!(
                "INSERT INTO ticket_changes ({columns}) VALUES ({event}, {versions}, '2026-01-01T00:00:{version:02}+00:00', 'version {version}')"
            );
            connection.execute_unprepared(&sql).await.unwrap();
        }
        if backend == DbBackend::Postgres {
            connection
                .execute_unprepared(&format!(
                    "INSERT INTO ticket_changes (event_id, changes) SELECT {event}, 'none ' || n FROM generate_series(1, 50) AS n"
                ))
                .await
                .unwrap();
        }
        let before = texts("ticket_changes ORDER BY version, id").await;
        for _ in 0..2 {
            Migrator::up(&connection, None).await.unwrap();
            let mut after = texts("ticket_changes ORDER BY version").await;
            after.extend(texts("ticket_changes_unnumbered ORDER BY id").await);
            assert_eq!(after, before);
            let since = u32::try_from(Migrator::migrations().len()).unwrap() - BEFORE;
            Migrator::down(&connection, Some(since)).await.unwrap();
            assert_eq!(texts("ticket_changes ORDER BY id").await, before);
        }
    }
}

/// Tables with their storage, indexes, constraints, triggers and functions, as the database describes them.
async fn objects(connection: &DatabaseConnection) -> BTreeSet<String> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT 'table ' || tablename FROM pg_tables WHERE schemaname = 'public'
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                 WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
             UNION ALL SELECT 'storage ' || relname || array_to_string(reloptions, ' ') FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL"
        }
        _ => {
            "SELECT name || ' ' || coalesce(sql, '') FROM sqlite_master WHERE tbl_name NOT LIKE 'sqlite_%'"
        }
    };
    let rows = connection
        .query_all_raw(Statement::from_string(backend, sql))
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}
