//! HAProxy, as in front of two PostgreSQLs: it sends everybody to the one that is the primary.
//!
//! It asks each by HTTP whether it is, as it would ask Patroni; here [`PrimaryCheck`] answers.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Stdio},
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{find_program, free_port, postgres};

pub struct Haproxy {
    address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

/// Says whether a PostgreSQL is a primary: 200 if it takes writes, 503 if it does not or does not answer.
pub struct PrimaryCheck {
    address: SocketAddr,
    _server: JoinSet<()>,
}

impl PrimaryCheck {
    pub async fn start(postgres: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    answer(client, postgres).await;
                }
            }
        });
        Self {
            address,
            _server: server,
        }
    }
}

async fn answer(mut client: TcpStream, postgres: SocketAddr) {
    let mut request = [0; 1024];
    let _ = client.read(&mut request).await;
    let status = if is_primary(postgres).await {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let answer = format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
    let _ = client.write_all(answer.as_bytes()).await;
}

async fn is_primary(address: SocketAddr) -> bool {
    let url = postgres::url(address, "postgres", postgres::OPERATOR);
    let Ok(connection) = postgres::connect(&url).await else {
        return false;
    };
    let asked = Statement::from_string(DbBackend::Postgres, "SELECT NOT pg_is_in_recovery()");
    let row = connection.query_one_raw(asked).await;
    let is_primary = row
        .ok()
        .flatten()
        .and_then(|row| row.try_get_by_index(0).ok());
    let _ = connection.close().await;
    is_primary.unwrap_or(false)
}

impl Haproxy {
    /// In front of these PostgreSQLs, each with its check.
    ///
    /// # Errors
    /// When it is not installed; the text is for the report.
    pub fn start(backends: &[(SocketAddr, &PrimaryCheck)]) -> Result<Self, String> {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let servers: String = backends
            .iter()
            .enumerate()
            .map(|(n, (postgres, check))| {
                let port = check.address.port();
                format!("    server postgres{n} {postgres} check port {port}\n")
            })
            .collect();
        let config = format!(
            "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1h\n    timeout server 1h\n\
             listen postgres\n    bind {address}\n    option httpchk\n    http-check expect status 200\n    \
             default-server inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}"
        );
        Self::run(address, &config)
    }

    /// With a configuration of the caller's own, which binds this address.
    ///
    /// # Errors
    /// When it is not installed; the text is for the report.
    pub fn run(address: SocketAddr, config: &str) -> Result<Self, String> {
        let program =
            find_program("haproxy").ok_or("HAProxy is not installed: apt-get install haproxy")?;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, config).unwrap();
        let process = std::process::Command::new("/usr/bin/setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .arg("-db")
            .arg("-f")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("HAProxy does not run: {error}"))?;
        Ok(Self {
            address,
            process,
            _directory: directory,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
