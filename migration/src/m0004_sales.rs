//! What was sold, to whom, and under which idempotency key.
//!
//! Foreign keys, each decided: an item refers to its order and its ticket, rows that its own transaction has written or
//! locked, so that the check waits for nobody. Orders do not refer to events or customers by a foreign key: the check
//! would lock a row that all buyers of an event share, and a lock that somebody else holds on it would stop the batch.

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
                "CREATE TABLE orders (
                    event_id UUID NOT NULL,
                    id UUID NOT NULL,
                    customer_id UUID NOT NULL,
                    placed_by UUID NOT NULL,
                    status TEXT NOT NULL,
                    total_minor BIGINT NOT NULL,
                    currency TEXT NOT NULL,
                    placed_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (event_id, id),
                    CONSTRAINT orders_status CHECK (status IN ('CONFIRMED', 'CANCELLED')),
                    CONSTRAINT orders_total CHECK (total_minor >= 0)
                )",
                "CREATE INDEX orders_by_customer ON orders (customer_id, id)",
                "CREATE TABLE order_items (
                    event_id UUID NOT NULL,
                    id UUID NOT NULL,
                    order_id UUID NOT NULL,
                    ticket_id UUID NOT NULL,
                    status TEXT NOT NULL,
                    unit_price_minor BIGINT NOT NULL,
                    currency TEXT NOT NULL,
                    ticket_type_name TEXT NOT NULL,
                    seat_label TEXT,
                    admission_code TEXT NOT NULL,
                    PRIMARY KEY (event_id, id),
                    CONSTRAINT order_items_order FOREIGN KEY (event_id, order_id)
                        REFERENCES orders (event_id, id),
                    CONSTRAINT order_items_ticket FOREIGN KEY (event_id, ticket_id)
                        REFERENCES tickets (event_id, id),
                    CONSTRAINT order_items_status CHECK (status IN ('ACTIVE', 'CANCELLED')),
                    CONSTRAINT order_items_price CHECK (unit_price_minor >= 0)
                )",
                // The guarantee's second wall: whatever the code or a hand at the console does, the database itself
                // refuses a second owner of a ticket.
                "CREATE UNIQUE INDEX order_items_one_owner ON order_items (event_id, ticket_id)
                    WHERE status = 'ACTIVE'",
                "CREATE INDEX order_items_by_order ON order_items (event_id, order_id)",
                // Removing a ticket asks, here and for the foreign key, whether an order refers to it, also a cancelled
                // one; without this every removed ticket would read all items of the event.
                "CREATE INDEX order_items_by_ticket ON order_items (event_id, ticket_id)",
                "CREATE TABLE idempotency_keys (
                    event_id UUID NOT NULL,
                    customer_id UUID NOT NULL,
                    key TEXT NOT NULL,
                    kind TEXT NOT NULL,
                    fingerprint BYTEA NOT NULL,
                    order_id UUID NOT NULL,
                    created_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (event_id, customer_id, key),
                    CONSTRAINT idempotency_keys_length CHECK (length(key) BETWEEN 1 AND 128)
                )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                "DROP TABLE idempotency_keys",
                "DROP TABLE order_items",
                "DROP TABLE orders",
            ],
        )
        .await
    }
}
