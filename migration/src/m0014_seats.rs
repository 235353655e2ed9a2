//! Each seat of an event once, in a table that no sale writes to. PostgreSQL's alone.
//!
//! PostgreSQL enters every new version of a ticket's row in each index of its table, and a ticket gets one when it is held and
//! one when it is sold. A unique index of seats, whose texts never change, cost a purchase a twelfth of the database's work,
//! and a hold that is bought a sixth (`benches/README.md`). The rows follow the tickets by triggers, so that a seat is
//! refused a second ticket whoever writes it.
//!
//! SQLite enters a row anew only in indexes of what has changed, and keeps the constraint.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Postgres => super::run(manager, UP).await,
            _ => Ok(()),
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Postgres => super::run(manager, DOWN).await,
            _ => Ok(()),
        }
    }
}

const UP: &[&str] = &[
    "CREATE TABLE seats (
        event_id UUID NOT NULL,
        section TEXT NOT NULL,
        row_label TEXT NOT NULL,
        seat_label TEXT NOT NULL,
        CONSTRAINT seats_one_ticket PRIMARY KEY (event_id, section, row_label, seat_label)
    )",
    // Nobody may add or remove a ticket between what is found here and the commit.
    "LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE",
    "INSERT INTO seats (event_id, section, row_label, seat_label)
     SELECT event_id, section, row_label, seat_label FROM tickets WHERE section IS NOT NULL",
    "CREATE FUNCTION take_seats() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO seats (event_id, section, row_label, seat_label)
        SELECT event_id, section, row_label, seat_label FROM added WHERE section IS NOT NULL;
        RETURN NULL;
    END $$",
    // One look into the index for each, whatever the planner knows of the table.
    "CREATE FUNCTION leave_seats() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM seats WHERE ctid = ANY (ARRAY(
            SELECT (
                SELECT seats.ctid FROM seats WHERE seats.event_id = removed.event_id AND seats.section = removed.section
                    AND seats.row_label = removed.row_label AND seats.seat_label = removed.seat_label
            ) FROM removed WHERE section IS NOT NULL
        ));
        RETURN NULL;
    END $$",
    "CREATE FUNCTION change_seat() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM seats WHERE event_id = OLD.event_id AND section = OLD.section
            AND row_label = OLD.row_label AND seat_label = OLD.seat_label;
        INSERT INTO seats (event_id, section, row_label, seat_label)
        SELECT NEW.event_id, NEW.section, NEW.row_label, NEW.seat_label WHERE NEW.section IS NOT NULL;
        RETURN NULL;
    END $$",
    "CREATE FUNCTION leave_all_seats() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        TRUNCATE seats;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER take_seats AFTER INSERT ON tickets REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION take_seats()",
    "CREATE TRIGGER leave_seats AFTER DELETE ON tickets REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION leave_seats()",
    "CREATE TRIGGER change_seat AFTER UPDATE OF event_id, section, row_label, seat_label ON tickets
        FOR EACH ROW EXECUTE FUNCTION change_seat()",
    "CREATE TRIGGER leave_all_seats AFTER TRUNCATE ON tickets
        FOR EACH STATEMENT EXECUTE FUNCTION leave_all_seats()",
    "ALTER TABLE tickets DROP CONSTRAINT tickets_seat",
];

const DOWN: &[&str] = &[
    "ALTER TABLE tickets ADD CONSTRAINT tickets_seat UNIQUE (event_id, section, row_label, seat_label)",
    "ALTER INDEX tickets_seat SET (fillfactor = 50)",
    "DROP TRIGGER leave_all_seats ON tickets",
    "DROP TRIGGER change_seat ON tickets",
    "DROP TRIGGER leave_seats ON tickets",
    "DROP TRIGGER take_seats ON tickets",
    "DROP FUNCTION leave_all_seats()",
    "DROP FUNCTION change_seat()",
    "DROP FUNCTION leave_seats()",
    "DROP FUNCTION take_seats()",
    "DROP TABLE seats",
];
