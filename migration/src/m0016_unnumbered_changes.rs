//! What is appended to the change log has a table of its own until it has its version.
//!
//! A row that was born without a version had three index entries at its birth and two more when it got one; now it has one
//! and one. With a thousand events on sale, where each sale appends its own row, that is an eighth of PostgreSQL's work for a
//! sale (`benches/README.md`). And the log has no row that ever changes.
//!
//! On PostgreSQL rows are appended to `ticket_changes_unnumbered`, with an id that is drawn behind the locks of their tickets,
//! so that of one ticket's changes the later has the greater id. **To delete a row there is to number it**: a trigger appends
//! what is deleted to `ticket_changes` with its event's next version, so that nothing can be lost on the way. It looks for the last
//! version after the rows are deleted, and so sees what an overlapping transaction has numbered that deleted others before.
//!
//! On SQLite a row is born with its version, and nothing is ever without one: there the table is a view of nothing. The
//! key is the event and the version, which had no index before: each sale read its event's whole log to find its last version.
//!
//! No release has run on the schema before this step: one would append to the log itself.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run_each(manager, UP, UP_SQLITE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run_each(manager, DOWN, DOWN_SQLITE).await
    }
}

const UP: &[&str] = &[
    // Nobody may append or number between what is found here and the commit.
    "LOCK TABLE ticket_changes IN ACCESS EXCLUSIVE MODE",
    // The table gets its name.
    "ALTER INDEX ticket_changes_unnumbered RENAME TO ticket_changes_unnumbered_before",
    "CREATE TABLE ticket_changes_unnumbered (
        event_id UUID NOT NULL,
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
        changes TEXT NOT NULL,
        PRIMARY KEY (event_id, id)
    )",
    // All of its rows die young: it is cleaned after so many, however many it has, and at once. What is cleaned is not given back:
    // giving back would keep writers out for a moment.
    "ALTER TABLE ticket_changes_unnumbered SET (
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0,
        vacuum_truncate = off,
        toast_tuple_target = 8160
    )",
    // A session keeps a plan that was made while the table was small. So it is born with some pages, which it keeps.
    "INSERT INTO ticket_changes_unnumbered (event_id, changes)
     SELECT gen_random_uuid(), repeat(' ', 200) FROM generate_series(1, 2000)",
    "DELETE FROM ticket_changes_unnumbered",
    // In their order: they get new ids.
    "INSERT INTO ticket_changes_unnumbered (event_id, at, changes)
     SELECT event_id, at, changes FROM ticket_changes WHERE version IS NULL ORDER BY id",
    "DROP TRIGGER keep_entry ON ticket_changes",
    "DROP TRIGGER keep_versions ON ticket_changes",
    "DROP TRIGGER keep_entries ON ticket_changes",
    "DELETE FROM ticket_changes WHERE version IS NULL",
    "DROP INDEX ticket_changes_unnumbered_before",
    "ALTER TABLE ticket_changes DROP CONSTRAINT ticket_changes_pkey",
    "ALTER TABLE ticket_changes DROP CONSTRAINT ticket_changes_version",
    "ALTER TABLE ticket_changes DROP COLUMN id",
    "ALTER TABLE ticket_changes ALTER COLUMN at DROP DEFAULT",
    "ALTER TABLE ticket_changes ADD PRIMARY KEY (event_id, version)",
    // It grows, and nothing in it dies: it is cleaned by how much it has grown, as other tables are.
    "ALTER TABLE ticket_changes RESET (
        autovacuum_vacuum_scale_factor,
        autovacuum_vacuum_threshold,
        autovacuum_vacuum_cost_delay
    )",
    "CREATE TRIGGER keep_entries BEFORE UPDATE ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_entry BEFORE DELETE ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION keep_log_entry()",
    "CREATE FUNCTION number_changes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
        SET enable_seqscan = off AS $$
    BEGIN
        INSERT INTO ticket_changes (event_id, version, at, changes)
        SELECT event_id, COALESCE(
            (SELECT MAX(log.version) FROM ticket_changes AS log WHERE log.event_id = removed.event_id),
            (SELECT forgotten.version FROM ticket_changes_forgotten AS forgotten WHERE forgotten.event_id = removed.event_id),
            0) + ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY id), at, changes
        FROM removed;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER number_changes AFTER DELETE ON ticket_changes_unnumbered REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION number_changes()",
    "CREATE TRIGGER keep_entries BEFORE UPDATE ON ticket_changes_unnumbered
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_all BEFORE TRUNCATE ON ticket_changes_unnumbered
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_log()",
];

const DOWN: &[&str] = &[
    "LOCK TABLE ticket_changes, ticket_changes_unnumbered IN ACCESS EXCLUSIVE MODE",
    "DROP TRIGGER keep_entry ON ticket_changes",
    "DROP TRIGGER keep_entries ON ticket_changes",
    "ALTER TABLE ticket_changes DROP CONSTRAINT ticket_changes_pkey",
    "ALTER TABLE ticket_changes ALTER COLUMN version DROP NOT NULL",
    "ALTER TABLE ticket_changes ALTER COLUMN at SET DEFAULT clock_timestamp()",
    "ALTER TABLE ticket_changes ADD COLUMN id BIGINT",
    // Of one event's, the later version has the greater id, and that is all that an id says.
    "UPDATE ticket_changes SET id = version",
    "ALTER TABLE ticket_changes ALTER COLUMN id SET NOT NULL",
    "ALTER TABLE ticket_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
    "SELECT setval(pg_get_serial_sequence('ticket_changes', 'id'), COALESCE((SELECT MAX(id) FROM ticket_changes), 0) + 1)",
    "INSERT INTO ticket_changes (event_id, at, changes)
     SELECT event_id, at, changes FROM ticket_changes_unnumbered ORDER BY id",
    "DROP TABLE ticket_changes_unnumbered",
    "DROP FUNCTION number_changes()",
    "ALTER TABLE ticket_changes ADD PRIMARY KEY (event_id, id)",
    "ALTER TABLE ticket_changes ADD CONSTRAINT ticket_changes_version UNIQUE (event_id, version)",
    "CREATE INDEX ticket_changes_unnumbered ON ticket_changes (id) WHERE version IS NULL",
    "ALTER TABLE ticket_changes SET (
        autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0
    )",
    "CREATE TRIGGER keep_entries BEFORE UPDATE OF event_id, id, at, changes ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_versions BEFORE UPDATE OF version ON ticket_changes
        FOR EACH ROW WHEN (OLD.version IS NOT NULL) EXECUTE FUNCTION refuse_change_of_log()",
    "CREATE TRIGGER keep_entry BEFORE DELETE ON ticket_changes
        FOR EACH ROW EXECUTE FUNCTION keep_log_entry()",
];

const UP_SQLITE: &[&str] = &[
    "ALTER TABLE ticket_changes RENAME TO ticket_changes_before",
    "CREATE TABLE ticket_changes (
        event_id UUID NOT NULL,
        version BIGINT NOT NULL CHECK (version > 0),
        at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00'),
        changes TEXT NOT NULL,
        PRIMARY KEY (event_id, version)
    )",
    "INSERT INTO ticket_changes (event_id, version, at, changes)
     SELECT event_id, version, at, changes FROM ticket_changes_before",
    // With its triggers.
    "DROP TABLE ticket_changes_before",
    KEEP_ENTRIES_SQLITE,
    KEEP_ENTRY_SQLITE,
    "CREATE VIEW ticket_changes_unnumbered AS
     SELECT event_id, version AS id, at, changes FROM ticket_changes WHERE FALSE",
];

const DOWN_SQLITE: &[&str] = &[
    "DROP VIEW ticket_changes_unnumbered",
    "ALTER TABLE ticket_changes RENAME TO ticket_changes_after",
    "CREATE TABLE ticket_changes (
        event_id UUID NOT NULL,
        id BIGINT NOT NULL,
        version BIGINT NOT NULL CHECK (version = id AND version > 0),
        at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '+00:00'),
        changes TEXT NOT NULL,
        PRIMARY KEY (event_id, id)
    )",
    "INSERT INTO ticket_changes (event_id, id, version, at, changes)
     SELECT event_id, version, version, at, changes FROM ticket_changes_after",
    "DROP TABLE ticket_changes_after",
    KEEP_ENTRIES_SQLITE,
    KEEP_ENTRY_SQLITE,
];

const KEEP_ENTRIES_SQLITE: &str = "CREATE TRIGGER keep_entries BEFORE UPDATE ON ticket_changes
     BEGIN SELECT RAISE(ABORT, 'ticket_changes is append-only'); END";

const KEEP_ENTRY_SQLITE: &str = "CREATE TRIGGER keep_entry BEFORE DELETE ON ticket_changes
     WHEN NOT EXISTS (SELECT 1 FROM ticket_changes_forgotten AS forgotten
         WHERE forgotten.event_id = OLD.event_id AND OLD.version <= forgotten.version)
     BEGIN SELECT RAISE(ABORT, 'ticket_changes is append-only'); END";
