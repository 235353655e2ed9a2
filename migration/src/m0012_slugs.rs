//! A slug is taken by the event that everybody sees under it. Among drafts, each organizer has its own: that somebody else
//! plans an event of this name is nobody's business.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, Statement},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// As `m0002_catalogue` wrote it.
const OF_ALL: &str = "CONSTRAINT events_slug UNIQUE (slug)";

/// The slug first, so that an event is found by it, whatever its status.
const OF_ORGANIZER: &str = "CONSTRAINT events_slug_of_organizer UNIQUE (slug, organizer_id)";

/// Under the name that the release before knows for a slug that is taken.
const SHOWN: &str = "CREATE UNIQUE INDEX events_slug ON events (slug) WHERE status <> 'DRAFT'";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            let own = format!("ALTER TABLE events ADD {OF_ORGANIZER}");
            super::run(
                manager,
                &[
                    "ALTER TABLE events DROP CONSTRAINT events_slug",
                    SHOWN,
                    &own,
                ],
            )
            .await
        } else {
            write_anew(manager, OF_ALL, OF_ORGANIZER).await?;
            super::run(manager, &[SHOWN]).await
        }
    }

    /// Fails where two events have a slug meanwhile.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, &["DROP INDEX events_slug"]).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let all = format!("ALTER TABLE events ADD {OF_ALL}");
            super::run(
                manager,
                &[
                    "ALTER TABLE events DROP CONSTRAINT events_slug_of_organizer",
                    &all,
                ],
            )
            .await
        } else {
            write_anew(manager, OF_ORGANIZER, OF_ALL).await
        }
    }
}

/// SQLite changes no constraint of a table: the table goes and comes back with another. What refers to an event is checked at
/// the end of the transaction, when all of them are back; each that comes back under the table's own name settles its share.
async fn write_anew(manager: &SchemaManager<'_>, from: &str, to: &str) -> Result<(), DbErr> {
    let table = read(manager, "type = 'table'").await?;
    let indexes = read(manager, "type = 'index' AND sql IS NOT NULL").await?;
    let [table] = table.as_slice() else {
        return Err(DbErr::Custom("there is no one table events".to_owned()));
    };
    if !table.contains(from) {
        return Err(DbErr::Custom(format!("events has no {from}")));
    }
    let table = table.replacen(from, to, 1);
    super::run(
        manager,
        &[
            "PRAGMA defer_foreign_keys = ON",
            "CREATE TABLE events_kept AS SELECT * FROM events",
            "DROP TABLE events",
            &table,
            "INSERT INTO events SELECT * FROM events_kept",
            "DROP TABLE events_kept",
        ],
    )
    .await?;
    for index in &indexes {
        super::run(manager, &[index]).await?;
    }
    Ok(())
}

/// How the table or its indexes were made, as SQLite keeps it.
async fn read(manager: &SchemaManager<'_>, condition: &str) -> Result<Vec<String>, DbErr> {
    let db = manager.get_connection();
    let sql = format!("SELECT sql FROM sqlite_master WHERE tbl_name = 'events' AND {condition}");
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    rows.iter().map(|row| row.try_get("", "sql")).collect()
}
