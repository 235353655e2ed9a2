//! A database of a test's own, gone with the test.

use std::path::PathBuf;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend};
use tempfile::TempDir;
use uuid::Uuid;

use super::postgres;

/// Direct connections of one test at a time; the servers' own come on top.
const CONNECTIONS_MAX: u32 = 4;

/// One test's database.
pub enum Database {
    Postgres { name: String },
    Sqlite { directory: TempDir },
}

impl Database {
    /// A migrated database on the tests' PostgreSQL.
    pub async fn postgres() -> Self {
        Self::empty_postgres().await.migrated().await
    }

    /// A migrated SQLite file.
    pub async fn sqlite() -> Self {
        Self::empty_sqlite().migrated().await
    }

    pub async fn empty_postgres() -> Self {
        let name = format!("rowlock_test_{}", Uuid::now_v7().simple());
        let admin = admin().await;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        Self::Postgres { name }
    }

    pub fn empty_sqlite() -> Self {
        Self::Sqlite {
            directory: tempfile::Builder::new()
                .prefix("rowlock-test-")
                .tempdir()
                .unwrap(),
        }
    }

    async fn migrated(self) -> Self {
        let connection = self.connect().await;
        Migrator::up(&connection, None).await.unwrap();
        connection.close().await.unwrap();
        self
    }

    pub fn backend(&self) -> DbBackend {
        match self {
            Self::Postgres { .. } => DbBackend::Postgres,
            Self::Sqlite { .. } => DbBackend::Sqlite,
        }
    }

    /// What a server is given as `ROWLOCK_DATABASE_URL`.
    pub fn url(&self) -> String {
        match self {
            Self::Postgres { name } => {
                let (server, _) = postgres::admin_url()
                    .rsplit_once('/')
                    .expect("the URL names a database");
                format!("{server}/{name}")
            }
            Self::Sqlite { directory } => format!("sqlite://{}", sqlite_file(directory).display()),
        }
    }

    /// A connection that may write, beside the server or without one.
    pub async fn connect(&self) -> DatabaseConnection {
        match self {
            Self::Postgres { .. } => connect(&self.url()).await,
            Self::Sqlite { .. } => connect(&format!("{}?mode=rwc", self.url())).await,
        }
    }

    /// A connection for looking at rows beside a running server.
    pub async fn look(&self) -> DatabaseConnection {
        match self {
            Self::Postgres { .. } => connect(&self.url()).await,
            Self::Sqlite { .. } => connect(&format!("{}?mode=ro", self.url())).await,
        }
    }
}

fn sqlite_file(directory: &TempDir) -> PathBuf {
    directory.path().join("rowlock.db")
}

/// A superuser's connection to the tests' PostgreSQL, outside every test's own database.
pub async fn admin() -> DatabaseConnection {
    connect(postgres::admin_url()).await
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(CONNECTIONS_MAX).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

impl Drop for Database {
    fn drop(&mut self) {
        let Self::Postgres { name } = self else {
            return;
        };
        let drop_database = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // A runtime of its own: the test's own may be the one that is unwinding.
        let dropped = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime
                        .block_on(async { admin().await.execute_unprepared(&drop_database).await })
                })
                .join()
        });
        if !matches!(dropped, Ok(Ok(_))) {
            eprintln!("the test's database {name} could not be dropped");
        }
    }
}
