//! The sellable units: one row per numbered seat or general-admission place. This row is what a sale locks.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                // The foreign key costs a sale nothing: it is checked when a ticket is added, and a sale never
                // changes its columns.
                "CREATE TABLE tickets (
                    event_id UUID NOT NULL,
                    id UUID NOT NULL,
                    ticket_type_id UUID NOT NULL,
                    status TEXT NOT NULL,
                    hold_id UUID,
                    held_until TIMESTAMPTZ,
                    section TEXT,
                    row_label TEXT,
                    seat_label TEXT,
                    row_index INTEGER,
                    seat_index INTEGER,
                    is_accessible BOOLEAN NOT NULL,
                    import_id UUID,
                    PRIMARY KEY (event_id, id),
                    CONSTRAINT tickets_type FOREIGN KEY (event_id, ticket_type_id)
                        REFERENCES ticket_types (event_id, id),
                    CONSTRAINT tickets_seat UNIQUE (event_id, section, row_label, seat_label),
                    CONSTRAINT tickets_status CHECK (status IN ('AVAILABLE', 'HELD', 'SOLD', 'BLOCKED')),
                    CONSTRAINT tickets_hold CHECK (
                        (status = 'HELD' AND hold_id IS NOT NULL AND held_until IS NOT NULL)
                        OR (status <> 'HELD' AND hold_id IS NULL AND held_until IS NULL)
                    ),
                    CONSTRAINT tickets_place CHECK (
                        (section IS NULL AND row_label IS NULL AND seat_label IS NULL
                            AND row_index IS NULL AND seat_index IS NULL)
                        OR (section IS NOT NULL AND row_label IS NOT NULL AND seat_label IS NOT NULL
                            AND row_index IS NOT NULL AND seat_index IS NOT NULL)
                    )
                )",
                // 'Any n of this type' walks the first, and when that is not enough the holds that have ended.
                "CREATE INDEX tickets_available ON tickets (event_id, ticket_type_id, id)
                    WHERE status = 'AVAILABLE'",
                "CREATE INDEX tickets_held ON tickets (event_id, ticket_type_id, held_until)
                    WHERE status = 'HELD'",
                // Tickets added in several transactions (SQLite only) are hidden while their import is listed here.
                "CREATE TABLE ticket_imports (
                    event_id UUID NOT NULL,
                    id UUID NOT NULL,
                    created_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (event_id, id)
                )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &["DROP TABLE ticket_imports", "DROP TABLE tickets"],
        )
        .await
    }
}
