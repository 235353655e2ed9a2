//! Each seat of an event once, in a table that no sale writes to. PostgreSQL's alone.
//!
//! PostgreSQL enters every new version of a ticket's row in each index of its table, and a ticket gets one when it is held and
//! one when it is sold. A unique index of seats, whose texts never change, cost a purchase a tenth of the database's work,
//! and a hold that is bought an eighth (`benches/README.md`). The rows follow the tickets by triggers, so that a seat is
//! refused a second ticket whoever writes it.
//!
//! SQLite enters a row anew only in indexes of what has changed, and keeps the constraint.

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
    // Nobody may add or remove a ticket between what is found here and the commit. The last statement needs it all: a lesser
    // lock that became this one would meet those who read tickets before they add some.
    "LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE seats (
        event_id UUID NOT NULL,
        section TEXT NOT NULL,
        row_label TEXT NOT NULL,
        seat_label TEXT NOT NULL,
        ticket_id UUID NOT NULL
    )",
    "INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id)
     SELECT event_id, section, row_label, seat_label, id FROM tickets WHERE section IS NOT NULL",
    "ALTER TABLE seats ADD CONSTRAINT seats_one_ticket PRIMARY KEY (event_id, section, row_label, seat_label)",
    // A section's tickets in the order in which they are listed.
    "ALTER TABLE seats ADD CONSTRAINT seats_by_section UNIQUE (event_id, section, ticket_id)",
    "CREATE FUNCTION take_seats() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id)
        SELECT event_id, section, row_label, seat_label, id FROM added WHERE section IS NOT NULL;
        RETURN NULL;
    END $$",
    // A session keeps a function's plans, and a join that was planned when there were few seats would read all of them. So each seat
    // is looked up by itself, and by an index.
    "CREATE FUNCTION leave_seats() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
        SET enable_seqscan = off AS $$
    BEGIN
        DELETE FROM seats WHERE ctid = ANY (ARRAY(
            SELECT (
                SELECT seats.ctid FROM seats WHERE seats.event_id = removed.event_id AND seats.section = removed.section
                    AND seats.row_label = removed.row_label AND seats.seat_label = removed.seat_label
                    AND seats.ticket_id = removed.id
            ) FROM removed WHERE section IS NOT NULL
        ));
        RETURN NULL;
    END $$",
    "CREATE FUNCTION change_seat() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
        SET enable_seqscan = off AS $$
    BEGIN
        DELETE FROM seats WHERE event_id = OLD.event_id AND section = OLD.section
            AND row_label = OLD.row_label AND seat_label = OLD.seat_label AND ticket_id = OLD.id;
        INSERT INTO seats (event_id, section, row_label, seat_label, ticket_id)
        SELECT NEW.event_id, NEW.section, NEW.row_label, NEW.seat_label, NEW.id WHERE NEW.section IS NOT NULL;
        RETURN NULL;
    END $$",
    "CREATE FUNCTION leave_all_seats() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        TRUNCATE seats;
        RETURN NULL;
    END $$",
    "CREATE TRIGGER take_seats AFTER INSERT ON tickets REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION take_seats()",
    "CREATE TRIGGER leave_seats AFTER DELETE ON tickets REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION leave_seats()",
    "CREATE TRIGGER change_seat AFTER UPDATE OF event_id, id, section, row_label, seat_label ON tickets
        FOR EACH ROW EXECUTE FUNCTION change_seat()",
    "CREATE TRIGGER leave_all_seats AFTER TRUNCATE ON tickets
        FOR EACH STATEMENT EXECUTE FUNCTION leave_all_seats()",
    "ALTER TABLE tickets DROP CONSTRAINT tickets_seat",
];

const DOWN: &[&str] = &[
    "ALTER TABLE tickets ADD CONSTRAINT tickets_seat UNIQUE (event_id, section, row_label, seat_label)
        WITH (fillfactor = 50)",
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
