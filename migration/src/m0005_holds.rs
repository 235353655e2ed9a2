//! A ticket's whole life: holds, cancellations, and the limits of a customer.
//!
//! Holds refer to nothing by a foreign key, as orders do not: the check would lock rows that others share.
//!
//! No release has run on the schema before this step, so that it may rename a column: a key's result is a hold now, too.

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
                "ALTER TABLE events ADD COLUMN hold_secs INTEGER NOT NULL DEFAULT 600
                    CONSTRAINT events_hold CHECK (hold_secs BETWEEN 1 AND 86400)",
                // The absolute maximum: holds that can be extended for ever are a known abuse.
                "ALTER TABLE events ADD COLUMN hold_secs_max INTEGER NOT NULL DEFAULT 1800
                    CONSTRAINT events_hold_max CHECK (hold_secs_max BETWEEN hold_secs AND 86400)",
                "ALTER TABLE events ADD COLUMN held_per_customer_max INTEGER NOT NULL DEFAULT 10
                    CONSTRAINT events_held_per_customer CHECK (held_per_customer_max BETWEEN 0 AND 1000)",
                "ALTER TABLE events ADD COLUMN tickets_per_customer_max INTEGER
                    CONSTRAINT events_tickets_per_customer CHECK (tickets_per_customer_max BETWEEN 1 AND 1000000)",
                // What no customer was ever allowed to exceed; none when there was a time without a limit.
                "ALTER TABLE events ADD COLUMN tickets_per_customer_ever INTEGER",
                "ALTER TABLE events ADD COLUMN held_per_customer_ever INTEGER NOT NULL DEFAULT 10",
                "ALTER TABLE events ADD COLUMN cancellable_until TIMESTAMPTZ",
                "ALTER TABLE events ADD COLUMN cancelled_at TIMESTAMPTZ",
                "ALTER TABLE events ADD COLUMN cancelled_by UUID",
                "ALTER TABLE events ADD COLUMN cancel_reason TEXT",
                "ALTER TABLE events ADD COLUMN cancellation_done_at TIMESTAMPTZ",
                // Cancelled events whose tickets are still being visited: almost always none.
                "CREATE INDEX events_being_cancelled ON events (id)
                    WHERE status = 'CANCELLED' AND cancellation_done_at IS NULL",
                "ALTER TABLE tickets ADD COLUMN block_reason TEXT",
                "CREATE INDEX tickets_by_hold ON tickets (event_id, hold_id) WHERE status = 'HELD'",
                // The sweeper walks it.
                "CREATE INDEX tickets_hold_ends ON tickets (held_until) WHERE status = 'HELD'",
                // A hold whose time is over stays ACTIVE: time alone ends it, no writer.
                "CREATE TABLE holds (
                    event_id UUID NOT NULL,
                    id UUID NOT NULL,
                    customer_id UUID NOT NULL,
                    status TEXT NOT NULL,
                    held_until TIMESTAMPTZ NOT NULL,
                    extendable_until TIMESTAMPTZ NOT NULL,
                    tickets_len INTEGER NOT NULL,
                    order_id UUID,
                    created_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (event_id, id),
                    CONSTRAINT holds_status CHECK (status IN ('ACTIVE', 'RELEASED', 'PURCHASED')),
                    CONSTRAINT holds_tickets CHECK (tickets_len >= 0),
                    CONSTRAINT holds_order CHECK ((status = 'PURCHASED') = (order_id IS NOT NULL))
                )",
                // A customer's allowance: the live ones are at the end of each customer's range.
                "CREATE INDEX holds_active ON holds (event_id, customer_id, held_until) WHERE status = 'ACTIVE'",
                "CREATE INDEX holds_by_customer ON holds (customer_id, id)",
                "ALTER TABLE order_items ADD COLUMN cancelled_at TIMESTAMPTZ",
                "ALTER TABLE order_items ADD COLUMN cancelled_by UUID",
                "ALTER TABLE order_items ADD COLUMN cancel_reason TEXT",
                // What a customer owns of an event, for the limit: orders that were cancelled do not lengthen the walk.
                "CREATE INDEX orders_of_customer ON orders (event_id, customer_id) WHERE status = 'CONFIRMED'",
                "ALTER TABLE idempotency_keys RENAME COLUMN order_id TO result_id",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                "ALTER TABLE idempotency_keys RENAME COLUMN result_id TO order_id",
                "DROP INDEX orders_of_customer",
                "ALTER TABLE order_items DROP COLUMN cancel_reason",
                "ALTER TABLE order_items DROP COLUMN cancelled_by",
                "ALTER TABLE order_items DROP COLUMN cancelled_at",
                "DROP TABLE holds",
                "DROP INDEX tickets_hold_ends",
                "DROP INDEX tickets_by_hold",
                "ALTER TABLE tickets DROP COLUMN block_reason",
                "DROP INDEX events_being_cancelled",
                "ALTER TABLE events DROP COLUMN cancellation_done_at",
                "ALTER TABLE events DROP COLUMN cancel_reason",
                "ALTER TABLE events DROP COLUMN cancelled_by",
                "ALTER TABLE events DROP COLUMN cancelled_at",
                "ALTER TABLE events DROP COLUMN cancellable_until",
                "ALTER TABLE events DROP COLUMN held_per_customer_ever",
                "ALTER TABLE events DROP COLUMN tickets_per_customer_ever",
                "ALTER TABLE events DROP COLUMN tickets_per_customer_max",
                "ALTER TABLE events DROP COLUMN held_per_customer_max",
                "ALTER TABLE events DROP COLUMN hold_secs_max",
                "ALTER TABLE events DROP COLUMN hold_secs",
            ],
        )
        .await
    }
}
