//! What is on sale: events and their ticket types.

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
                "CREATE TABLE events (
                    id UUID PRIMARY KEY,
                    organizer_id UUID NOT NULL REFERENCES organizers (id),
                    slug TEXT NOT NULL,
                    name TEXT NOT NULL,
                    description TEXT NOT NULL,
                    venue TEXT NOT NULL,
                    currency TEXT NOT NULL,
                    time_zone TEXT NOT NULL,
                    starts_at TIMESTAMPTZ NOT NULL,
                    sales_open_at TIMESTAMPTZ NOT NULL,
                    sales_close_at TIMESTAMPTZ NOT NULL,
                    tickets_per_order_max INTEGER NOT NULL,
                    status TEXT NOT NULL,
                    version BIGINT NOT NULL,
                    created_at TIMESTAMPTZ NOT NULL,
                    updated_at TIMESTAMPTZ NOT NULL,
                    CONSTRAINT events_slug UNIQUE (slug),
                    CONSTRAINT events_status CHECK (status IN ('DRAFT', 'PUBLISHED', 'CANCELLED')),
                    CONSTRAINT events_currency CHECK (length(currency) = 3),
                    CONSTRAINT events_sales_window CHECK (sales_open_at < sales_close_at),
                    CONSTRAINT events_tickets_per_order CHECK (tickets_per_order_max BETWEEN 1 AND 1000)
                )",
                // The storefront's list: published events by date.
                "CREATE INDEX events_by_start ON events (status, starts_at, id)",
                "CREATE INDEX events_by_organizer ON events (organizer_id, starts_at, id)",
                "CREATE TABLE ticket_types (
                    event_id UUID NOT NULL REFERENCES events (id),
                    id UUID NOT NULL,
                    name TEXT NOT NULL,
                    admission TEXT NOT NULL,
                    price_minor BIGINT NOT NULL,
                    position INTEGER NOT NULL,
                    version BIGINT NOT NULL,
                    created_at TIMESTAMPTZ NOT NULL,
                    updated_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (event_id, id),
                    CONSTRAINT ticket_types_name UNIQUE (event_id, name),
                    CONSTRAINT ticket_types_admission CHECK (admission IN ('SEATED', 'GENERAL')),
                    CONSTRAINT ticket_types_price CHECK (price_minor BETWEEN 0 AND 1000000000000000)
                )",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, &["DROP TABLE ticket_types", "DROP TABLE events"]).await
    }
}
