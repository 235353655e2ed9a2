//! Rowlock's database schema, one file per step.
//!
//! A released step is frozen: a later change is a new step, written so that the release before it still runs on the new
//! schema (expand, move, contract). The SQL is the subset that PostgreSQL and SQLite both read, so that both databases
//! get the same tables and the same constraints; the database refuses by itself what the code must never do.

pub use sea_orm_migration::prelude::{MigratorTrait, SchemaManager};

mod m0001_accounts;
mod m0002_catalogue;
mod m0003_tickets;
mod m0004_sales;
mod m0005_holds;
mod m0006_search_copy;
mod m0007_counts;
mod m0008_sold_references;
mod m0009_fewer_indexes;
mod m0010_members;
mod m0011_changes;
mod m0012_slugs;
mod m0013_tickets_of_hold;
mod m0014_seats;
mod m0015_log_in_one_piece;
mod m0016_unnumbered_changes;
mod m0017_catalogue_revision;

use sea_orm_migration::prelude::*;

/// Every step, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_catalogue::Migration),
            Box::new(m0003_tickets::Migration),
            Box::new(m0004_sales::Migration),
            Box::new(m0005_holds::Migration),
            Box::new(m0006_search_copy::Migration),
            Box::new(m0007_counts::Migration),
            Box::new(m0008_sold_references::Migration),
            Box::new(m0009_fewer_indexes::Migration),
            Box::new(m0010_members::Migration),
            Box::new(m0011_changes::Migration),
            Box::new(m0012_slugs::Migration),
            Box::new(m0013_tickets_of_hold::Migration),
            Box::new(m0014_seats::Migration),
            Box::new(m0015_log_in_one_piece::Migration),
            Box::new(m0016_unnumbered_changes::Migration),
            Box::new(m0017_catalogue_revision::Migration),
        ]
    }
}

/// Runs each statement in turn. sqlx's SQLite and PostgreSQL drivers both take several statements in one unprepared
/// text, but then a failure does not say which one failed.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}

/// A step that is not the same for both databases.
async fn run_each(
    manager: &SchemaManager<'_>,
    postgres: &[&str],
    sqlite: &[&str],
) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        sea_orm::DbBackend::Postgres => run(manager, postgres).await,
        _ => run(manager, sqlite).await,
    }
}

/// What SQLite, which keeps a table's shape as it is, has no need of.
async fn run_on_postgres(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    run_each(manager, statements, &[]).await
}
