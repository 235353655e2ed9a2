//! The index of a hold's tickets, so that no plan can prefer another one to it.
//!
//! On a table that was last analysed while nothing was held, PostgreSQL takes every index of what is held for as small as the
//! other, and looked for a hold's tickets among all that are held of its event. What names a hold and no status can be
//! answered from this one alone: that a ticket with a hold is held is the table's own check.

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
                "DROP INDEX tickets_by_hold",
                "CREATE INDEX tickets_by_hold ON tickets (event_id, hold_id) WHERE hold_id IS NOT NULL",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                "DROP INDEX tickets_by_hold",
                "CREATE INDEX tickets_by_hold ON tickets (event_id, hold_id) WHERE status = 'HELD'",
            ],
        )
        .await
    }
}
