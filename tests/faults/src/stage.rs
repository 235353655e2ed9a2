//! What a round happens on: server processes, the network to their database, and the database.

mod doors;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use rand::RngExt;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::Mutex, task::JoinSet};

pub use self::doors::{Door, Doors};
use crate::{
    caller::{self, Caller, Request},
    clusters::{
        disk::SmallDisk,
        pair::Pair,
        postgres::{self, DATABASE, OPERATOR, Postgres},
    },
    harness::{Client, seed},
    history::{Answer, Limits},
    workload::Hall,
};

/// Servers of a round.
const SERVERS: usize = 3;

/// Three servers' connections, with those of an operator, and few enough that all can be taken.
pub const CONNECTIONS_MAX: u16 = 120;

/// Room for a cluster, for what a round writes, and for PostgreSQL's own spare log; and few enough to be filled in a second.
const DISK_POSTGRES_MB: u32 = 400;
const DISK_SQLITE_MB: u32 = 64;

/// The event that a round is about.
const SEATS: usize = 40;
const LIMITS: Limits = Limits {
    tickets_per_customer_max: 6,
    held_per_customer_max: 4,
};
/// Holds end within a round, and while something is broken.
const HOLD_SECS: u32 = 2;
const HOLD_SECS_MAX: u32 = 5;

/// Places of the event that is bought from to see whether there is service.
const PROBES_MAX: usize = 2_000;

/// A probe is asked for again after so long.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// Service that is not back by then does not come back by itself.
pub const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// What a round may happen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Three servers, each behind a proxy of its own, on one PostgreSQL.
    Postgres,
    /// The same on a disk that can be filled.
    SmallDisk,
    /// Three servers on a primary with a synchronous standby, behind HAProxy.
    Pair,
    /// One server on a file, on a disk that can be filled.
    Sqlite,
}

pub struct Stage {
    pub doors: Arc<Doors>,
    pub hall: Hall,
    pub ground: Ground,
    probe: Probe,
}

/// Where the tickets are.
pub enum Ground {
    Postgres {
        cluster: Mutex<Postgres>,
        disk: Option<SmallDisk>,
        _directory: TempDir,
    },
    Pair(Box<Mutex<Pair>>),
    Sqlite {
        file: PathBuf,
        disk: Option<SmallDisk>,
        _directory: TempDir,
    },
}

/// Somebody who buys only to see whether there is service.
struct Probe {
    caller: Caller,
    ticket_type: String,
}

impl Stage {
    /// # Errors
    /// When this machine cannot have it; the text is for the report.
    pub async fn open(setting: Setting) -> Result<Self, String> {
        let ground = Ground::open(setting).await?;
        let connection = ground.connect().await.unwrap();
        Migrator::up(&connection, None).await.unwrap();
        for user in Doors::users(&ground) {
            let create = format!("CREATE ROLE {user} SUPERUSER LOGIN");
            connection.execute_unprepared(&create).await.unwrap();
        }
        let doors = Arc::new(Doors::open(&ground).await);

        let client = Client::new(&doors.url(0));
        let event = seed::seats(&client, SEATS).await;
        let probed = seed::places(&client, PROBES_MAX).await;
        let hall = Hall {
            event: caller::event_id(&event.id),
            ticket_type: caller::ticket_type_id(&event.ticket_type_id),
            tickets: event
                .tickets
                .iter()
                .map(|ticket| caller::ticket_id(&ticket.id))
                .collect(),
            limits: LIMITS,
        };
        let Limits {
            tickets_per_customer_max: owned,
            held_per_customer_max: held,
        } = LIMITS;
        let slug = "(SELECT event_id FROM tickets WHERE seat_label IS NOT NULL)";
        let limits = format!(
            "UPDATE events SET hold_secs = {HOLD_SECS}, hold_secs_max = {HOLD_SECS_MAX},
                 tickets_per_customer_max = {owned}, tickets_per_customer_ever = {owned},
                 held_per_customer_max = {held}, held_per_customer_ever = {held},
                 cancellable_until = '2999-01-01T00:00:00+00:00'
             WHERE id IN {slug}"
        );
        connection.execute_unprepared(&limits).await.unwrap();
        connection.close().await.unwrap();
        Ok(Self {
            doors,
            hall,
            ground,
            probe: Probe {
                caller: Caller::new("who looks whether there is service", PROBE_PATIENCE),
                ticket_type: probed.ticket_type_id,
            },
        })
    }

    /// A connection past every proxy.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn connect(&self) -> Result<DatabaseConnection, DbErr> {
        self.ground.connect().await
    }

    /// How long after `since` a ticket can be bought through every server again.
    ///
    /// # Errors
    /// When that takes too long; the text is a violation's.
    pub async fn recovery(&self, since: Instant) -> Result<Duration, String> {
        let mut probes: JoinSet<Result<(), String>> = (0..self.doors.len())
            .map(|door| {
                let (doors, probe) = (Arc::clone(&self.doors), self.probe.clone());
                async move { probe.until_served(&doors, door, since).await }
            })
            .collect();
        while let Some(probed) = probes.join_next().await {
            probed.unwrap()?;
        }
        Ok(since.elapsed())
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            ticket_type: self.ticket_type.clone(),
        }
    }
}

impl Probe {
    async fn until_served(&self, doors: &Doors, door: usize, since: Instant) -> Result<(), String> {
        let key = format!("probe {:032x}", rand::rng().random::<u128>());
        let any = json!({ "ticketTypeId": self.ticket_type, "quantity": 1 });
        let request = Request {
            mutation: "purchaseTickets",
            input: json!({ "tickets": { "anyOf": any }, "idempotencyKey": key }),
            tickets: vec![],
        };
        loop {
            let answer = self.caller.ask(&doors.get(door).url(), &request).await;
            if answer.is_success() {
                return Ok(());
            }
            if since.elapsed() > RECOVERY_MAX {
                let server = doors.get(door).words().await;
                return Err(format!(
                    "server {door} sells nothing {RECOVERY_MAX:?} later: {}; {server}",
                    answer.word()
                ));
            }
            if let Answer::Refused(reasons) = &answer
                && reasons
                    .iter()
                    .any(|reason| reason.code == "NOT_ENOUGH_LEFT")
            {
                return Err("the event of the probes is sold out".to_owned());
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }
}

impl Ground {
    async fn open(setting: Setting) -> Result<Self, String> {
        let connections = format!("max_connections={CONNECTIONS_MAX}");
        let settings = [
            connections.as_str(),
            "max_wal_size=64MB",
            "wal_keep_size=64MB",
        ];
        let directory = tempfile::Builder::new()
            .prefix("rowlock-faults-")
            .tempdir()
            .unwrap();
        let cluster_in = async |path: &Path| {
            let path = path.join("postgres");
            std::fs::create_dir(&path).unwrap();
            Mutex::new(Postgres::create(&path, &settings).await)
        };
        // PostgreSQL's own user must come through.
        open_to_all(directory.path());
        Ok(match setting {
            Setting::Postgres => Self::Postgres {
                cluster: cluster_in(directory.path()).await,
                disk: None,
                _directory: directory,
            },
            Setting::SmallDisk => {
                let disk = SmallDisk::mount(DISK_POSTGRES_MB)?;
                open_to_all(disk.path().parent().unwrap());
                Self::Postgres {
                    cluster: cluster_in(disk.path()).await,
                    disk: Some(disk),
                    _directory: directory,
                }
            }
            Setting::Pair => Self::Pair(Box::new(Mutex::new(Pair::create(&settings).await?))),
            Setting::Sqlite => {
                // Without a small disk everything else can be done all the same.
                let disk = SmallDisk::mount(DISK_SQLITE_MB).ok();
                let path = disk.as_ref().map_or(directory.path(), SmallDisk::path);
                Self::Sqlite {
                    file: path.join("rowlock.db"),
                    disk,
                    _directory: directory,
                }
            }
        })
    }

    pub async fn connect(&self) -> Result<DatabaseConnection, DbErr> {
        match self {
            Self::Postgres { cluster, .. } => cluster.lock().await.connect(DATABASE).await,
            Self::Pair(pair) => pair.lock().await.connect().await,
            Self::Sqlite { .. } => {
                let mut options = ConnectOptions::new(format!("{}?mode=rwc", self.url().await));
                options.max_connections(1).sqlx_logging(false);
                sea_orm::Database::connect(options).await
            }
        }
    }

    /// The database's URL, past every proxy.
    pub async fn url(&self) -> String {
        match self {
            Self::Postgres { cluster, .. } => {
                let address = cluster.lock().await.address();
                postgres::url(address, DATABASE, OPERATOR)
            }
            Self::Pair(pair) => postgres::url(pair.lock().await.address(), DATABASE, OPERATOR),
            Self::Sqlite { file, .. } => format!("sqlite://{}", file.display()),
        }
    }

    pub fn is_postgres(&self) -> bool {
        match self {
            Self::Postgres { .. } | Self::Pair(_) => true,
            Self::Sqlite { .. } => false,
        }
    }

    pub fn disk(&self) -> Option<&SmallDisk> {
        match self {
            Self::Postgres { disk, .. } | Self::Sqlite { disk, .. } => disk.as_ref(),
            Self::Pair(_) => None,
        }
    }
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;

    // The system's own directory of temporary files is open already, and nobody else's to change.
    let mode = std::fs::metadata(directory).unwrap().permissions().mode();
    if mode & 0o011 != 0o011 {
        let open = std::fs::Permissions::from_mode(mode | 0o011);
        std::fs::set_permissions(directory, open).unwrap();
    }
}
