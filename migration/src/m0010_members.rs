//! Who may act for an organizer: its members with their roles, and its keys for machines.
//!
//! An account is a row of `customers`, whether it buys or sells: issuer and subject stand there and nowhere else. The account of
//! an organizer's own row stays where it is: it is whose first event has founded the organizer, and the release before this
//! step reads it still.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let bytes = match manager.get_database_backend() {
            DbBackend::Postgres => "BYTEA",
            _ => "BLOB",
        };
        super::run(
            manager,
            &[
                "CREATE TABLE members (
                    organizer_id UUID NOT NULL REFERENCES organizers (id),
                    account_id UUID NOT NULL REFERENCES customers (id),
                    role TEXT NOT NULL,
                    created_at TIMESTAMPTZ NOT NULL,
                    PRIMARY KEY (organizer_id, account_id),
                    CONSTRAINT members_role CHECK (role IN ('OWNER', 'MANAGER', 'BOX_OFFICE', 'DOOR', 'READER'))
                )",
                "CREATE INDEX members_by_account ON members (account_id)",
                &format!(
                    "CREATE TABLE api_keys (
                        id UUID PRIMARY KEY,
                        organizer_id UUID NOT NULL REFERENCES organizers (id),
                        name TEXT NOT NULL,
                        prefix TEXT NOT NULL,
                        secret_hash {bytes} NOT NULL,
                        scopes TEXT NOT NULL,
                        created_at TIMESTAMPTZ NOT NULL,
                        created_by UUID NOT NULL REFERENCES customers (id),
                        expires_at TIMESTAMPTZ,
                        last_used_at TIMESTAMPTZ,
                        revoked_at TIMESTAMPTZ,
                        CONSTRAINT api_keys_prefix UNIQUE (prefix),
                        CONSTRAINT api_keys_secret_hash CHECK (length(secret_hash) = 32)
                    )"
                ),
                "CREATE INDEX api_keys_by_organizer ON api_keys (organizer_id, id)",
                // Whoever has an organizer by now owns it. Its id serves as the account's too, where that has none yet.
                "INSERT INTO customers (id, issuer, subject, created_at)
                    SELECT id, issuer, subject, created_at FROM organizers WHERE true
                    ON CONFLICT (issuer, subject) DO NOTHING",
                "INSERT INTO members (organizer_id, account_id, role, created_at)
                    SELECT organizers.id, customers.id, 'OWNER', organizers.created_at
                    FROM organizers JOIN customers
                        ON customers.issuer = organizers.issuer AND customers.subject = organizers.subject",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, &["DROP TABLE api_keys", "DROP TABLE members"]).await
    }
}
