//! What goes wrong, and how it is made right again: a file for each kind.
//!
//! What is injected is drawn from the round's seed; when it happens exactly, the machine decides. An injection that found
//! nothing to break, as when the database is away for another reason, is no injection.

mod clock_off;
mod connections;
mod disk_full;
mod fail_over;
mod kill_postgres;
mod kill_server;
mod network;
mod row_lock;
mod second_process;
mod sessions;
mod stop_server;

use std::time::Duration;

use rand::rngs::StdRng;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::stage::{Setting, Stage};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    KillServer,
    StopServer,
    KillPostgres,
    TerminateSessions,
    SlowNetwork,
    CutBeforeCommit,
    CutAfterCommit,
    BlackHole,
    TakeAllConnections,
    LockRow,
    ClockOff,
    FillDisk,
    FailOver,
    SecondProcess,
}

/// What is broken, and has to be healed.
pub enum Wound {
    Server(kill_server::Killed),
    Stopped(stop_server::Stopped),
    Postgres,
    /// It heals by itself.
    None,
    Network(network::Bad),
    Connections(connections::Taken),
    Row(row_lock::Locked),
    Clock(clock_off::Off),
    Disk,
    Primary,
}

impl Fault {
    pub const ALL: &[Self] = &[
        Self::KillServer,
        Self::StopServer,
        Self::KillPostgres,
        Self::TerminateSessions,
        Self::SlowNetwork,
        Self::CutBeforeCommit,
        Self::CutAfterCommit,
        Self::BlackHole,
        Self::TakeAllConnections,
        Self::LockRow,
        Self::ClockOff,
        Self::FillDisk,
        Self::FailOver,
        Self::SecondProcess,
    ];

    /// As the report calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::KillServer => "server killed in the middle of a batch",
            Self::StopServer => "server stopped that holds locks",
            Self::KillPostgres => "PostgreSQL killed, started again",
            Self::TerminateSessions => "sessions terminated",
            Self::SlowNetwork => "network delays",
            Self::CutBeforeCommit => "connections cut before COMMIT",
            Self::CutAfterCommit => "connections cut after COMMIT",
            Self::BlackHole => "network swallows everything",
            Self::TakeAllConnections => "no connection left",
            Self::LockRow => "ticket locked by an operator",
            Self::ClockOff => "server's clock an hour off",
            Self::FillDisk => "disk full",
            Self::FailOver => "fail-over to the standby",
            Self::SecondProcess => "second process on the file",
        }
    }

    /// What can be done on a stage.
    pub fn of(setting: Setting) -> &'static [Self] {
        match setting {
            Setting::Postgres => &[
                Self::KillServer,
                Self::StopServer,
                Self::KillPostgres,
                Self::TerminateSessions,
                Self::SlowNetwork,
                Self::CutBeforeCommit,
                Self::CutAfterCommit,
                Self::BlackHole,
                Self::TakeAllConnections,
                Self::LockRow,
                Self::ClockOff,
            ],
            Setting::SmallDisk => &[Self::FillDisk, Self::KillServer, Self::TerminateSessions],
            Setting::Pair => &[Self::FailOver, Self::KillServer, Self::StopServer],
            Setting::Sqlite => &[Self::KillServer, Self::FillDisk, Self::SecondProcess],
        }
    }

    /// How long it is left broken, at least and at most.
    pub fn lasts(self) -> (Duration, Duration) {
        let (least, most) = match self {
            Self::KillServer
            | Self::KillPostgres
            | Self::TerminateSessions
            | Self::FailOver
            | Self::SecondProcess => (0, 500),
            // Longer than a session may be idle in a transaction, and longer than a customer waits.
            Self::StopServer | Self::BlackHole => (2_500, 6_000),
            Self::SlowNetwork
            | Self::CutBeforeCommit
            | Self::CutAfterCommit
            | Self::TakeAllConnections
            | Self::FillDisk => (1_000, 3_000),
            Self::LockRow => (3_000, 9_000),
            Self::ClockOff => (2_000, 4_000),
        };
        (Duration::from_millis(least), Duration::from_millis(most))
    }

    /// Whether service comes back before anything is healed.
    pub fn is_survived(self) -> bool {
        match self {
            Self::FailOver => true,
            Self::KillServer
            | Self::StopServer
            | Self::KillPostgres
            | Self::TerminateSessions
            | Self::SlowNetwork
            | Self::CutBeforeCommit
            | Self::CutAfterCommit
            | Self::BlackHole
            | Self::TakeAllConnections
            | Self::LockRow
            | Self::ClockOff
            | Self::FillDisk
            | Self::SecondProcess => false,
        }
    }

    /// Breaks something.
    ///
    /// # Errors
    /// When there was nothing to break; the text is for the report.
    pub async fn inject(self, stage: &Stage, random: &mut StdRng) -> Result<Wound, String> {
        match self {
            Self::KillServer => kill_server::inject(stage, random).await.map(Wound::Server),
            Self::StopServer => stop_server::inject(stage, random).await.map(Wound::Stopped),
            Self::KillPostgres => kill_postgres::inject(stage).await.map(|()| Wound::Postgres),
            Self::TerminateSessions => sessions::terminate(stage, random)
                .await
                .map(|()| Wound::None),
            Self::SlowNetwork | Self::CutBeforeCommit | Self::CutAfterCommit | Self::BlackHole => {
                network::inject(self, stage, random).map(Wound::Network)
            }
            Self::TakeAllConnections => connections::take(stage).await.map(Wound::Connections),
            Self::LockRow => row_lock::inject(stage, random).await.map(Wound::Row),
            Self::ClockOff => clock_off::inject(stage, random).await.map(Wound::Clock),
            Self::FillDisk => disk_full::inject(stage).map(|()| Wound::Disk),
            Self::FailOver => fail_over::inject(stage).await.map(|()| Wound::Primary),
            Self::SecondProcess => second_process::inject(stage).await.map(|()| Wound::None),
        }
    }
}

impl Wound {
    /// Makes right what does not come right by itself: what whoever keeps processes running, and frees disks, would do.
    ///
    /// # Errors
    /// When that does not succeed, or what was to be broken was not; the text is for the report.
    pub async fn heal(self, stage: &Stage) -> Result<(), String> {
        match self {
            Self::Server(killed) => killed.heal(stage).await,
            Self::Stopped(stopped) => {
                stopped.heal(stage).await;
                Ok(())
            }
            Self::Postgres => {
                kill_postgres::heal(stage).await;
                Ok(())
            }
            Self::None => Ok(()),
            Self::Network(bad) => bad.heal(stage),
            Self::Connections(taken) => {
                taken.heal().await;
                Ok(())
            }
            Self::Row(locked) => {
                locked.heal().await;
                Ok(())
            }
            Self::Clock(off) => off.heal(stage).await,
            Self::Disk => {
                disk_full::heal(stage).await;
                Ok(())
            }
            Self::Primary => {
                fail_over::heal(stage).await;
                Ok(())
            }
        }
    }
}

/// A connection for an injection.
async fn console(stage: &Stage) -> Result<DatabaseConnection, String> {
    let connected = stage.connect().await;
    connected.map_err(|error| format!("the database does not answer: {error}"))
}

/// A number that PostgreSQL says.
async fn count(db: &DatabaseConnection, sql: String) -> Result<i64, DbErr> {
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    row.expect("a count has a row").try_get_by_index(0)
}

/// Sessions of a server that have a sale under way which has locked tickets.
fn sales_under_way(user: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity AS session WHERE usename = '{user}'
             AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = session.pid
                 AND relation = 'tickets'::regclass AND mode IN ('RowShareLock', 'RowExclusiveLock'))"
    )
}
