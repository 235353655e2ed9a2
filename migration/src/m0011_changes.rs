//! The change log: every change of a ticket's status, appended by the transaction that makes it.
//!
//! A row is what one transaction changes of one event, as a JSON list: `[ticket, from, to, cause, order, hold]`, ids in
//! hexadecimal, null where there is no order or hold; where it was staff, also who, by the id of their account. Nobody's name is in
//! it: who has an order stands in `orders`.
//!
//! On PostgreSQL a row is born without a version, and with an id that is drawn behind the locks of its tickets, so that of one
//! ticket's changes the later has the greater id. A task of the server gives it its event's next version. On SQLite, whose
//! only writer is the transaction itself, it is born with both, which are the same number.
//!
//! The log is append-only: rows get their version once, and go only when `ticket_changes_forgotten` says that the versions up
//! to theirs may go. To write there is a right of its own.
//!
//! No release has run on the schema before this step: one would change tickets without appending anything.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

const FORGOTTEN: &str = "CREATE TABLE ticket_changes_forgotten (
    event_id UUID NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, &[FORGOTTEN]).await?;
        super::run_each(manager, POSTGRES, SQLITE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                "DROP TABLE ticket_changes",
                "DROP TABLE ticket_changes_forgotten",
            ],
        )
        .await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            super::run(
                manager,
                &[
                    "DROP FUNCTION refuse_change_of_log()",
                    "DROP FUNCTION keep_log_entry()",
                ],
            )
            .await?;
        }
        Ok(())
    }
}

const POSTGRES: &[&str] = &[
    "CREATE TABLE ticket_changes (
        event_id UUID NOT NULL,
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        version BIGINT,
        at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
        changes TEXT NOT NULL,
        PRIMARY KEY (event_id, id),
        CONSTRAINT ticket_changes_version UNIQUE (event_id, version),
        CONSTRAINT ticket_changes_version_positive CHECK (version > 0)
    )",
    // What is to be numbered next.
    "CREATE INDEX ticket_changes_unnumbered ON ticket_changes (id) WHERE version IS NULL",
    // Numbering leaves a dead row for each: it is cleaned after so many, however many live ones there are. What is cleaned is
    // not given back: giving back would keep writers out for a moment.
    "ALTER TABLE ticket_changes SET (
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0,
        vacuum_truncate = off
    )",
    // Nobody may sell between what is found here and the commit.
    "LOCK TABLE tickets IN SHARE MODE",
    // A session keeps a plan that was made while the table was small. So it is born with some pages, which it keeps.
    "INSERT INTO ticket_changes (event_id, changes)
     SELECT gen_random_uuid(), repeat(' ', 200) FROM generate_series(1, 2000)",
    "DELETE FROM ticket_changes",
    // Whoever replays the log begins with tickets that are all available.
    "INSERT INTO ticket_changes (event_id, changes)
     SELECT event_id, json_agg(json_build_array(
         replace(id::text, '-', ''), 'AVAILABLE', status, 'FOUND', NULL, replace(hold_id::text, '-', '')
     ) ORDER BY id)::text
     FROM tickets WHERE status <> 'AVAILABLE' GROUP BY event_id",
    "CREATE FUNCTION refuse_change_of_log() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'ticket_changes is append-only' USING ERRCODE = 'restrict_violation', TABLE = 'ticket_changes';
    END $$",
    "CREATE TRIGGER keep_entries BEFORE UPDATE OF event_id, id, at, changes ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_versions BEFORE UPDATE OF version ON ticket_changes
        FOR EACH ROW WHEN (OLD.version IS NOT NULL) EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_all BEFORE TRUNCATE ON ticket_changes
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE FUNCTION keep_log_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM ticket_changes_forgotten AS forgotten
                WHERE forgotten.event_id = OLD.event_id AND OLD.version <= forgotten.version) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'ticket_changes is append-only' USING ERRCODE = 'restrict_violation', TABLE = 'ticket_changes';
    END $$",
    "CREATE TRIGGER keep_entry BEFORE DELETE ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION keep_log_entry()",
];

const SQLITE: &[&str] = &[
    "CREATE TABLE ticket_changes (
        event_id UUID NOT NULL,
        id BIGINT NOT NULL,
        version BIGINT NOT NULL CHECK (version = id AND version > 0),
        at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00'),
        changes TEXT NOT NULL,
        PRIMARY KEY (event_id, id)
    )",
    "INSERT INTO ticket_changes (event_id, id, version, changes)
     SELECT event_id, 1, 1, json_group_array(json_array(
         lower(hex(id)), 'AVAILABLE', status, 'FOUND', NULL, CASE WHEN hold_id IS NOT NULL THEN lower(hex(hold_id)) END
     ))
     FROM tickets WHERE status <> 'AVAILABLE' GROUP BY event_id",
    "CREATE TRIGGER keep_entries BEFORE UPDATE ON ticket_changes
     BEGIN SELECT RAISE(ABORT, 'ticket_changes is append-only'); END",
    "CREATE TRIGGER keep_entry BEFORE DELETE ON ticket_changes
     WHEN NOT EXISTS (SELECT 1 FROM ticket_changes_forgotten AS forgotten
         WHERE forgotten.event_id = OLD.event_id AND OLD.version <= forgotten.version)
     BEGIN SELECT RAISE(ABORT, 'ticket_changes is append-only'); END",
];
