//! Rows of the change log are stored as they are, up to a page. PostgreSQL's alone.
//!
//! What a batch of thirty changes takes some two and a half kilobytes, and from two on PostgreSQL compresses a row, which took
//! longer than everything else about it: a twentieth of the statement that writes the batch (`benches/README.md`). Its
//! versions and its readers have to take it apart again.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let step = "ALTER TABLE ticket_changes SET (toast_tuple_target = 8160)";
        super::run_on_postgres(manager, &[step]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let step = "ALTER TABLE ticket_changes RESET (toast_tuple_target)";
        super::run_on_postgres(manager, &[step]).await
    }
}
