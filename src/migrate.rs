//! Bringing the database's schema up to date, safely also when two processes do it at once.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::store::{DatabaseUrl, Store, StoreError};

/// sea-orm-migration takes no lock: two processes that migrate at once would both create the same tables. This one is
/// PostgreSQL's advisory lock; on SQLite the store's own lock file keeps a second process out.
const ADVISORY_KEY: i64 = 0x0072_6f77_6c6f_636b;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("another process has been migrating this database for too long")]
    Locking(#[source] DbErr),
    #[error("the schema could not be changed; what one step did was rolled back")]
    Running(#[source] DbErr),
}

/// A step of the schema, and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepStatus {
    pub name: String,
    pub is_applied: bool,
}

/// Applies every step that is missing.
///
/// # Errors
/// When the database cannot be reached or a step fails; that step is rolled back, those before it stay.
pub async fn up(url: &DatabaseUrl) -> Result<(), MigrateError> {
    let db = Store::connect_alone(url).await?;
    if db.connection().get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_lock({ADVISORY_KEY})");
        db.connection()
            .execute_unprepared(&lock)
            .await
            .map_err(MigrateError::Locking)?;
    }
    let done = Migrator::up(db.connection(), None)
        .await
        .map_err(MigrateError::Running);
    // The lock is the session's: closing the connection gives it back, also after an error.
    db.close().await;
    done
}

/// Every step, oldest first.
///
/// # Errors
/// When the database cannot be read.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<StepStatus>, DbErr> {
    let applied = applied(db).await?;
    Ok(Migrator::migrations()
        .iter()
        .map(|step| StepStatus {
            name: step.name().to_owned(),
            is_applied: applied.iter().any(|name| name == step.name()),
        })
        .collect())
}

/// Whether no step is missing. Steps of a later release do no harm: they only add.
///
/// # Errors
/// When the database cannot be read.
pub async fn is_current(db: &DatabaseConnection) -> Result<bool, DbErr> {
    Ok(status(db).await?.iter().all(|step| step.is_applied))
}

/// Read by hand: sea-orm-migration's own way creates its table, which a reader must not.
async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let table = match backend {
        DbBackend::Postgres => {
            "SELECT tablename FROM pg_tables WHERE tablename = 'seaql_migrations' AND schemaname = ANY (current_schemas(false))"
        }
        _ => "SELECT name FROM sqlite_master WHERE name = 'seaql_migrations'",
    };
    if db
        .query_one_raw(Statement::from_string(backend, table))
        .await?
        .is_none()
    {
        return Ok(Vec::new());
    }
    db.query_all_raw(Statement::from_string(
        backend,
        "SELECT version FROM seaql_migrations",
    ))
    .await?
    .iter()
    .map(|row| row.try_get_by_index(0))
    .collect()
}
