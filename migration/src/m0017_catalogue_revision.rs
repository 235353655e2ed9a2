//! Whether anything of the catalogue has changed. PostgreSQL's alone: SQLite is in this process, and asking it is no round trip.
//!
//! A sale must not rest on what an event was before: behind its locks it read each event and ticket type of its batch. They
//! change seldom, and with a thousand events on sale a twentieth of PostgreSQL's work was to read what had not changed
//! (`benches/README.md`). So whoever changes any of them, through Rowlock or by hand, gives the whole catalogue another
//! revision by the same commit, and who knows an event as of the revision that the catalogue still has need not read it
//! again.
//!
//! A revision is drawn by chance and says nothing but whether it is the same: a number would come back with another
//! meaning when the database is restored, or fails over to a replica that missed the last one. It is given at the very end of
//! a transaction, which then waits for nobody while others wait for it. Without the row, which is born with the first
//! event, nothing counts as known.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run_on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run_on_postgres(manager, DOWN).await
    }
}

const UP: &[&str] = &[
    "CREATE TABLE catalogue_revision (
        is_only BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (is_only),
        revision UUID NOT NULL
    )",
    // Once for a transaction, however many rows it changes.
    "CREATE FUNCTION revise_catalogue() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        IF current_setting('rowlock.catalogue_revised_in', TRUE) IS DISTINCT FROM pg_current_xact_id()::text THEN
            INSERT INTO catalogue_revision (revision) VALUES (gen_random_uuid())
            ON CONFLICT (is_only) DO UPDATE SET revision = excluded.revision;
            PERFORM set_config('rowlock.catalogue_revised_in', pg_current_xact_id()::text, TRUE);
        END IF;
        RETURN NULL;
    END $$",
    "CREATE CONSTRAINT TRIGGER revise_catalogue AFTER INSERT OR UPDATE OR DELETE ON events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION revise_catalogue()",
    "CREATE CONSTRAINT TRIGGER revise_catalogue AFTER INSERT OR UPDATE OR DELETE ON ticket_types
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION revise_catalogue()",
    "CREATE TRIGGER revise_catalogue_emptied AFTER TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION revise_catalogue()",
    "CREATE TRIGGER revise_catalogue_emptied AFTER TRUNCATE ON ticket_types
        FOR EACH STATEMENT EXECUTE FUNCTION revise_catalogue()",
    // Also where changes come by replication, which fires no other trigger.
    "ALTER TABLE events ENABLE ALWAYS TRIGGER revise_catalogue, ENABLE ALWAYS TRIGGER revise_catalogue_emptied",
    "ALTER TABLE ticket_types ENABLE ALWAYS TRIGGER revise_catalogue, ENABLE ALWAYS TRIGGER revise_catalogue_emptied",
    "INSERT INTO catalogue_revision (revision) SELECT gen_random_uuid() WHERE EXISTS (SELECT 1 FROM events)",
];

const DOWN: &[&str] = &[
    "DROP TRIGGER revise_catalogue_emptied ON ticket_types",
    "DROP TRIGGER revise_catalogue_emptied ON events",
    "DROP TRIGGER revise_catalogue ON ticket_types",
    "DROP TRIGGER revise_catalogue ON events",
    "DROP FUNCTION revise_catalogue()",
    "DROP TABLE catalogue_revision",
];
