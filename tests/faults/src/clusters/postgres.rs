//! A PostgreSQL that one may kill and start again.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr};

use super::{as_server_user, free_port};

/// Recovery after a crash takes no longer with what a run writes.
const START_MAX: Duration = Duration::from_secs(60);

const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The name of the database that a run sells from.
pub const DATABASE: &str = "rowlock";

/// Whoever is not a server.
pub const OPERATOR: &str = "postgres";

pub struct Postgres {
    binaries: PathBuf,
    data: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Postgres {
    /// A new cluster in this directory, which runs, with an empty database. Settings are as in `max_connections=100`.
    pub async fn create(directory: &Path, settings: &[&str]) -> Self {
        let mut cluster = Self::at(directory, settings);
        let arguments = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ];
        cluster.run("initdb", arguments);
        cluster.start().await;
        let admin = cluster.connect("postgres").await.unwrap();
        admin
            .execute_unprepared(&format!("CREATE DATABASE {DATABASE}"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        cluster
    }

    /// A standby of this cluster, in a directory and at a port of its own, which follows it as `name`.
    pub async fn create_standby(&self, directory: &Path, port: u16, name: &str) -> Self {
        let mut standby = Self::at(directory, &[]);
        standby.port = port;
        standby.settings.clone_from(&self.settings);
        let primary = format!(
            "host=127.0.0.1 port={} user=postgres application_name={name}",
            self.port
        );
        let arguments = [
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
            "--dbname",
            &primary,
        ];
        standby.run("pg_basebackup", arguments);
        // What else the primary was told for itself is not the standby's.
        fs::write(
            standby.data.join("postgresql.auto.conf"),
            format!("primary_conninfo = '{primary}'\n"),
        )
        .unwrap();
        standby.start().await;
        standby
    }

    fn at(directory: &Path, settings: &[&str]) -> Self {
        let data = directory.join("data");
        if rustix::process::geteuid().is_root() {
            give_to_server_user(directory);
        }
        Self {
            binaries: binaries(),
            data,
            port: free_port(),
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
            process: None,
        }
    }

    /// Runs one of PostgreSQL's programs that make a data directory.
    fn run<'a>(&self, program: &str, arguments: impl IntoIterator<Item = &'a str>) {
        let output = as_server_user(&self.binaries.join(program), arguments)
            .arg("--pgdata")
            .arg(&self.data)
            .current_dir(self.data.parent().unwrap())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts it, or finds it running, and waits until it answers. After a crash the ended one's processes must have gone
    /// first.
    pub async fn start(&mut self) {
        let begun = Instant::now();
        loop {
            if !self.is_running() {
                self.spawn();
            }
            if let Ok(connection) = self.connect("postgres").await {
                connection.close().await.unwrap();
                return;
            }
            assert!(
                begun.elapsed() < START_MAX,
                "PostgreSQL does not start; its last words: {}",
                self.last_words()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn spawn(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let data = self.data.to_str().unwrap();
        let port = format!("port={}", self.port);
        let own = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            &port,
        ];
        let settings = own
            .into_iter()
            .chain(self.settings.iter().map(String::as_str));
        let arguments = ["-D", data]
            .into_iter()
            .chain(settings.flat_map(|setting| ["-c", setting]));
        let child = as_server_user(&self.binaries.join("postgres"), arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    pub fn is_running(&mut self) -> bool {
        match &mut self.process {
            Some(process) => matches!(process.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// Ends it with no warning; its sessions' processes find out and end too.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            let pid = Pid::from_child(&process);
            // One that has ended already cannot be killed, and that is well.
            let _ = kill_process(pid, signal);
            let _ = process.wait();
        }
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A superuser's connection.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(&self, database: &str) -> Result<DatabaseConnection, DbErr> {
        connect(&url(self.address(), database, OPERATOR)).await
    }

    fn log_file(&self) -> PathBuf {
        self.data.parent().unwrap().join("server.log")
    }

    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What it holds is thrown away.
        self.end(Signal::QUIT);
    }
}

/// The URL of a user, through whatever listens at this address. TLS the proxies do not understand.
pub fn url(address: SocketAddr, database: &str, user: &str) -> String {
    format!("postgres://{user}@{address}/{database}?sslmode=disable")
}

/// One connection, or why there is none, before long.
///
/// # Errors
/// When nothing answers there.
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .acquire_timeout(CONNECT_MAX)
        .connect_timeout(CONNECT_MAX)
        .sqlx_logging(false);
    match tokio::time::timeout(CONNECT_MAX, sea_orm::Database::connect(options)).await {
        Ok(connected) => connected,
        Err(_) => Err(DbErr::Custom(format!("no answer within {CONNECT_MAX:?}"))),
    }
}

const CONNECT_MAX: Duration = Duration::from_secs(2);

fn give_to_server_user(directory: &Path) {
    let status = Command::new("chown")
        .arg("postgres:")
        .arg(directory)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "PostgreSQL does not run as root and there is no user postgres: apt-get install postgresql"
    );
}

/// The newest that is installed.
fn binaries() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    versions.sort();
    let (_, newest) = versions
        .pop()
        .expect("PostgreSQL's server is not installed: apt-get install postgresql");
    newest
}
