//! Connecting to the database, and what one database needs and the other does not.
//!
//! PostgreSQL gives two kinds of connections: a pool for the catalogue and for reading, and the desk's own sessions, which
//! are set so that they cannot hang. SQLite gives one writer, shared by all who write, and a pool of read-only ones
//! beside it. Knows nothing about tables.

pub mod bulk;
pub mod dialect;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    sqlx::{
        self, Connection,
        postgres::PgListener,
        sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio_util::task::TaskTracker;

/// How long a reader or the catalogue waits for a connection; opening a new one is part of it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for sales: a lane has its connections to itself, so that only an unreachable database makes it wait.
const SALES_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that was idle for longer may have been lost meanwhile.
const UNTRIED_IDLE_MAX: Duration = Duration::from_secs(1);

/// How long SQLite tries for its write lock, which only a process that is not Rowlock can hold.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Readers beside SQLite's one writer.
const SQLITE_READERS: u32 = 4;

/// How long a statement of a command line's own reading may take.
const COMMAND_STATEMENT_MAX: Duration = Duration::from_secs(30);

/// The sessions of the catalogue and of reading. Whoever connects says how long a statement may take there: no longer than
/// somebody waits for its answer.
const READING_SESSION: &[(&str, &str)] = &[
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// The session of an audit, which bounds each of its statements itself and ends when its client has gone.
const AUDIT_SESSION: &[(&str, &str)] = &[
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_connection_check_interval", "1s"),
    // Each statement runs once, and is planned for the event that it is about.
    ("plan_cache_mode", "force_custom_plan"),
    // It compares whole tables. Of one that was last analysed while it was empty the planner would read all of the other
    // table again for each row: minutes where a hash takes a fraction of a second.
    ("enable_nestloop", "off"),
    // Where nothing but a nested loop will do, its plan is priced so high that PostgreSQL would compile it: a second for
    // each statement.
    ("jit", "off"),
];

/// How many of SQLite's virtual machine's instructions, some milliseconds, pass between two looks at a reader's deadline.
const SQLITE_OPS_PER_LOOK: i32 = 100_000;

/// The session that changes the schema: a step may take long, and a second process waits for the first.
const MIGRATING_SESSION: &[(&str, &str)] = &[("lock_timeout", "60s")];

/// The desk's sessions. Each line bounds how long somebody else's misfortune can hold a buyer.
const SALES_SESSION: &[(&str, &str)] = &[
    // An answered sale is on disk.
    ("synchronous_commit", "on"),
    // What SKIP LOCKED does not cover (a table locked by hand, a unique index) stops a batch no longer than this.
    ("lock_timeout", "100ms"),
    ("statement_timeout", "2s"),
    // A process that was stopped in the middle of a batch keeps its rows this long.
    ("idle_in_transaction_session_timeout", "2s"),
    ("client_connection_check_interval", "1s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
    // The sale depends on it, whatever the database's own default is.
    ("default_transaction_isolation", "read committed"),
    // A plan made while a table was small would read it from end to end, and be kept while it grows.
    ("enable_seqscan", "off"),
    // Where there is no index, that prices a plan so high that PostgreSQL would compile it.
    ("jit", "off"),
    // The plan for an array of one is the plan for an array of many: planning each anew costs more than it finds. Each lane has
    // them made anew when they have become old.
    ("plan_cache_mode", "force_generic_plan"),
];

/// Where the database is. Its password is never shown.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: String,
    backend: DbBackend,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseUrl({:?})", self.backend)
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        let (url, backend) = if let Some(rest) = url.strip_prefix("postgresql://") {
            (format!("postgres://{rest}"), DbBackend::Postgres)
        } else if url.starts_with("postgres://") {
            (url.to_owned(), DbBackend::Postgres)
        } else if url.starts_with("sqlite:") {
            (url.to_owned(), DbBackend::Sqlite)
        } else {
            return Err(StoreError::UnknownScheme);
        };
        if backend == DbBackend::Sqlite && url.contains(":memory:") {
            return Err(StoreError::InMemory);
        }
        Ok(Self { url, backend })
    }
}

impl DatabaseUrl {
    pub fn backend(&self) -> DbBackend {
        self.backend
    }

    /// An SQLite file.
    pub fn sqlite_file(path: &Path) -> Self {
        Self {
            url: format!("sqlite://{}", path.display()),
            backend: DbBackend::Sqlite,
        }
    }

    /// The SQLite file, or none for PostgreSQL.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let rest = self.url.strip_prefix("sqlite:")?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        Some(rest.split('?').next().unwrap_or(rest).into())
    }
}

/// Why the database cannot be used. The texts are for the operator who starts the server.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL must begin with postgres:// or sqlite:")]
    UnknownScheme,
    #[error(
        "an SQLite database in memory cannot be shared by a writer and readers; name a file, as in sqlite:rowlock.db"
    )]
    InMemory,
    #[error("another process is writing to {}; SQLite serves one server process, PostgreSQL any number", path.display())]
    InUse { path: PathBuf },
    #[error("the lock file {} cannot be used", path.display())]
    LockFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the database cannot be reached")]
    Connecting(#[source] DbErr),
    #[error("the database's settings cannot be read")]
    Settings(#[source] DbErr),
    #[error(
        "the database has {setting} = {value}: a sale that was answered could be lost in a crash. Set {setting} = on"
    )]
    NotDurable {
        setting: &'static str,
        value: String,
    },
    #[error("the database is a standby and takes no writes; name the primary")]
    Standby,
}

/// One connection to the database, see [`Store::connect_alone`].
pub struct Alone {
    connection: DatabaseConnection,
    _sole_writer: Option<File>,
}

impl Alone {
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Closes the connection, and waits until that is done.
    pub async fn close(self) {
        // There is nothing to be done about a connection that cannot even be closed.
        let _ = self.connection.close().await;
    }
}

/// How many connections a pool has.
#[derive(Clone, Copy, Debug)]
pub struct PoolLen {
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
}

/// The database, connected.
#[derive(Debug)]
pub struct Store {
    url: DatabaseUrl,
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    /// Transactions of the catalogue under way: a request that is given up must not take its transaction with it.
    writes: TaskTracker,
    /// Held as long as this process may write to the SQLite file.
    _sole_writer: Option<File>,
}

impl Store {
    /// A statement of the catalogue or of a reader that takes longer than `statement_max` is ended by PostgreSQL; SQLite
    /// has no such bound, and whoever reads there waits no longer.
    ///
    /// # Errors
    /// When the database cannot be reached or, for SQLite, another process writes to it.
    pub async fn connect(
        url: &DatabaseUrl,
        connections_max: u32,
        statement_max: Duration,
    ) -> Result<Self, StoreError> {
        match url.backend {
            DbBackend::Postgres => {
                let pool = connect_reading(url, connections_max, statement_max).await?;
                Ok(Self {
                    url: url.clone(),
                    reader: pool.clone(),
                    writer: pool,
                    writes: TaskTracker::new(),
                    _sole_writer: None,
                })
            }
            _ => {
                let lock = lock_sqlite_file(url)?;
                let writer = connect_sqlite_writer(url).await?;
                let reader = connect_sqlite(url, SQLITE_READERS, read_only).await?;
                Ok(Self {
                    url: url.clone(),
                    reader,
                    writer,
                    writes: TaskTracker::new(),
                    _sole_writer: Some(lock),
                })
            }
        }
    }

    /// One connection that only reads, also beside a process that writes.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect_reader(url: &DatabaseUrl) -> Result<DatabaseConnection, StoreError> {
        match url.backend {
            DbBackend::Postgres => connect_reading(url, 1, COMMAND_STATEMENT_MAX).await,
            _ => connect_sqlite(url, 1, read_only).await,
        }
    }

    /// One connection for an audit, which only reads, also beside a process that writes, and does so at most until
    /// `deadline`: SQLite keeps to it by itself, on PostgreSQL the audit sets the time that each statement has left.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect_auditor(
        url: &DatabaseUrl,
        deadline: Instant,
    ) -> Result<DatabaseConnection, StoreError> {
        match url.backend {
            DbBackend::Postgres => connect_postgres(url, 1, AUDIT_SESSION).await,
            _ => {
                let mut options = sqlite_options(url, 1, read_only);
                options.map_sqlx_sqlite_pool_opts(move |pool| {
                    pool.after_connect(move |connection, _| {
                        Box::pin(async move {
                            connection
                                .lock_handle()
                                .await?
                                .set_progress_handler(SQLITE_OPS_PER_LOOK, move || {
                                    Instant::now() < deadline
                                });
                            Ok(())
                        })
                    })
                });
                Database::connect(options)
                    .await
                    .map_err(StoreError::Connecting)
            }
        }
    }

    /// One connection and nothing else, to change the schema with.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_alone(url: &DatabaseUrl) -> Result<Alone, StoreError> {
        match url.backend {
            DbBackend::Postgres => {
                let connection = connect_postgres(url, 1, MIGRATING_SESSION).await?;
                Ok(Alone {
                    connection,
                    _sole_writer: None,
                })
            }
            _ => {
                let lock = lock_sqlite_file(url)?;
                let connection = connect_sqlite_writer(url).await?;
                Ok(Alone {
                    connection,
                    _sole_writer: Some(lock),
                })
            }
        }
    }

    /// How many connections there are for reading.
    pub fn reading_connections(&self) -> PoolLen {
        let (open, idle) = match self.backend() {
            DbBackend::Postgres => {
                let pool = self.reader.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            _ => {
                let pool = self.reader.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        PoolLen {
            open,
            idle: u32::try_from(idle).unwrap_or(u32::MAX),
        }
    }

    /// Connections for statements that only read.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Connections for what the catalogue writes. On SQLite it is the one that the desk uses too: a transaction here
    /// makes a sale wait, and must be short.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Begins a transaction that writes. SQLite takes its one lock at once: a transaction that begins by reading and then
    /// writes would fail when another wrote in between.
    pub async fn begin_writing(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: match self.backend() {
                DbBackend::Postgres => None,
                _ => Some(SqliteTransactionMode::Immediate),
            },
            ..TransactionOptions::default()
        };
        self.writer().begin_with_options(options).await
    }

    /// Runs a write to its end, also when its caller stops waiting: a transaction that is dropped half-way could leave its
    /// connection unusable. Every statement of such a write has a timeout; at shutdown the runtime drops it, and what was
    /// not committed never happened. The server's end waits for it, see [`Self::drain`].
    pub async fn to_its_end<T: Send + 'static>(
        &self,
        write: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let task = tracing::Instrument::in_current_span(write);
        match self.writes.spawn(task).await {
            Ok(answer) => answer,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime stops the task, and that stops whoever waits here too.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Runs a write that nobody waits for, but for the server's end.
    pub fn by_the_way(&self, write: impl Future<Output = ()> + Send + 'static) {
        drop(
            self.writes
                .spawn(tracing::Instrument::in_current_span(write)),
        );
    }

    /// Waits until no task writes any more.
    pub async fn drain(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    pub fn backend(&self) -> DbBackend {
        self.url.backend
    }

    /// A connection that hears what is sent to a channel of PostgreSQL's. Beside the pools, which it would never go back to.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached.
    pub async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect(&self.url.url).await?;
        // A lost connection is told: what was sent meanwhile is lost too.
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(listener)
    }

    /// A connection for sales, on the runtime that calls this.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached. On SQLite it is the one writer, which is there already.
    pub async fn connect_sales(&self) -> Result<DatabaseConnection, StoreError> {
        match self.backend() {
            DbBackend::Postgres => connect_postgres(&self.url, 1, SALES_SESSION).await,
            _ => Ok(self.writer.clone()),
        }
    }

    /// Refuses a database that could lose an answered sale.
    ///
    /// # Errors
    /// When `fsync` or `full_page_writes` is off, or the server is a standby.
    pub async fn require_durable(&self) -> Result<(), StoreError> {
        if self.backend() != DbBackend::Postgres {
            return Ok(());
        }
        for setting in ["fsync", "full_page_writes"] {
            let value = self
                .show(&format!("SELECT current_setting('{setting}')"))
                .await?;
            if value != "on" {
                return Err(StoreError::NotDurable { setting, value });
            }
        }
        match self
            .show("SELECT pg_is_in_recovery()::text")
            .await?
            .as_str()
        {
            "false" => Ok(()),
            _ => Err(StoreError::Standby),
        }
    }

    async fn show(&self, sql: &str) -> Result<String, StoreError> {
        self.reader
            .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await
            .and_then(|row| {
                row.ok_or_else(|| DbErr::RecordNotFound(sql.to_owned()))?
                    .try_get_by_index(0)
            })
            .map_err(StoreError::Settings)
    }
}

fn options(url: &DatabaseUrl, connections_max: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(&url.url);
    options
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A ping before every statement would double the round trips; only a connection that was idle is tried first.
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(UNTRIED_IDLE_MAX)
        .sqlx_logging_level(tracing::log::LevelFilter::Debug)
        .record_stmt_in_spans(false);
    options
}

async fn connect_postgres(
    url: &DatabaseUrl,
    connections_max: u32,
    session: &'static [(&'static str, &'static str)],
) -> Result<DatabaseConnection, StoreError> {
    let mut options = options(url, connections_max);
    if session == SALES_SESSION {
        options.acquire_timeout(SALES_ACQUIRE_TIMEOUT);
    }
    open_postgres(options, session, None).await
}

async fn connect_reading(
    url: &DatabaseUrl,
    connections_max: u32,
    statement_max: Duration,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = options(url, connections_max);
    // Nobody waits for a connection longer than for a statement.
    options.acquire_timeout(ACQUIRE_TIMEOUT.min(statement_max));
    open_postgres(options, READING_SESSION, Some(statement_max)).await
}

async fn open_postgres(
    mut options: ConnectOptions,
    session: &'static [(&'static str, &'static str)],
    statement_max: Option<Duration>,
) -> Result<DatabaseConnection, StoreError> {
    options.map_sqlx_postgres_opts(move |options| {
        let bound =
            statement_max.map(|max| ("statement_timeout", format!("{}ms", max.as_millis())));
        options
            .application_name("rowlock")
            .options(session.iter().copied())
            .options(bound)
    });
    Database::connect(options)
        .await
        .map_err(StoreError::Connecting)
}

/// Whether a connection may be used again: only with no transaction open.
///
/// After some errors (a full disk, a failed flush) SQLite rolls a transaction back by itself, which sqlx does not notice.
/// It would take the next `BEGIN` for a nested one and make it a savepoint of a transaction that nobody commits: every
/// later sale would be answered and lost.
async fn is_clean(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A round trip, so that a rollback that is still queued runs first.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Not SQLite's own read-only mode, which cannot open the shared memory of a log that no writer has opened yet.
fn read_only(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.pragma("query_only", "on")
}

async fn connect_sqlite_writer(url: &DatabaseUrl) -> Result<DatabaseConnection, StoreError> {
    connect_sqlite(url, 1, |options| {
        options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
    })
    .await
}

async fn connect_sqlite(
    url: &DatabaseUrl,
    connections_max: u32,
    set: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> Result<DatabaseConnection, StoreError> {
    Database::connect(sqlite_options(url, connections_max, set))
        .await
        .map_err(StoreError::Connecting)
}

fn sqlite_options(
    url: &DatabaseUrl,
    connections_max: u32,
    set: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let mut options = options(url, connections_max);
    options
        // The file is local: an idle connection costs nothing, a new one reads the schema again.
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| Box::pin(is_clean(connection)))
        })
        .map_sqlx_sqlite_opts(move |options| {
            set(options.busy_timeout(SQLITE_BUSY_TIMEOUT).foreign_keys(true))
        });
    options
}

/// Keeps a second process from writing to the same SQLite file, until the returned file is closed.
fn lock_sqlite_file(url: &DatabaseUrl) -> Result<File, StoreError> {
    let database = url.sqlite_path().unwrap_or_default();
    let mut path = database.clone().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| StoreError::LockFile {
            path: path.clone(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: database }),
        Err(TryLockError::Error(source)) => Err(StoreError::LockFile { path, source }),
    }
}
