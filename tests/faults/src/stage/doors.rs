//! The servers, each behind its door: where customers find it, whichever process it is at the moment.

use std::{
    net::SocketAddr,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{Ground, SERVERS};
use crate::{
    clusters::postgres::{self, DATABASE},
    harness::Server,
    proxy::Proxy,
};

/// A server that does not start, as while its database is away, is started again, as whoever keeps it running would.
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);
const START_MAX: Duration = Duration::from_secs(90);

/// Connections of a server for reading, of which there is little here.
const READING_CONNECTIONS: &str = "4";

pub struct Doors(Vec<Door>);

pub struct Door {
    number: usize,
    database_url: String,
    /// The network to the database; none for SQLite.
    proxy: Option<Proxy>,
    url: RwLock<String>,
    server: Mutex<Option<Server>>,
}

impl Doors {
    /// Starts the servers. On SQLite there is one.
    pub async fn open(ground: &Ground) -> Self {
        let mut doors = Vec::new();
        for number in 0..servers_len(ground) {
            doors.push(Door::open(number, ground).await);
        }
        Self(doors)
    }

    /// The servers' users in the database.
    pub fn users(ground: &Ground) -> Vec<String> {
        if ground.is_postgres() {
            (0..servers_len(ground)).map(user).collect()
        } else {
            vec![]
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, number: usize) -> &Door {
        &self.0[number]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Door> {
        self.0.iter()
    }

    /// Where the server is that this lot falls on.
    pub fn url(&self, lot: u32) -> String {
        self.0[lot as usize % self.0.len()].url()
    }
}

fn servers_len(ground: &Ground) -> usize {
    if ground.is_postgres() { SERVERS } else { 1 }
}

impl Door {
    async fn open(number: usize, ground: &Ground) -> Self {
        let target: Option<SocketAddr> = match ground {
            Ground::Postgres { cluster, .. } => Some(cluster.lock().await.address()),
            Ground::Pair(pair) => Some(pair.lock().await.address()),
            Ground::Sqlite { .. } => None,
        };
        let proxy = match target {
            Some(target) => Some(Proxy::start(target).await),
            None => None,
        };
        let database_url = match &proxy {
            Some(proxy) => postgres::url(proxy.address(), DATABASE, &user(number)),
            None => ground.url().await,
        };
        let door = Self {
            number,
            database_url,
            proxy,
            url: RwLock::default(),
            server: Mutex::new(None),
        };
        door.start(&[]).await.unwrap();
        door
    }

    pub fn url(&self) -> String {
        let url = self.url.read().unwrap_or_else(PoisonError::into_inner);
        url.clone()
    }

    /// As whom the server connects: its sessions are told from others' by that.
    pub fn user(&self) -> String {
        user(self.number)
    }

    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Starts the server, with these variables, until it runs.
    ///
    /// # Errors
    /// When it does not for long.
    pub async fn start(&self, environment: &[(String, String)]) -> Result<(), String> {
        let begun = Instant::now();
        let mut server = self.server.lock().await;
        *server = None;
        loop {
            let mut builder = Server::serving(&self.database_url)
                .env("ROWLOCK_DATABASE_CONNECTIONS", READING_CONNECTIONS);
            for (variable, value) in environment {
                builder = builder.env(variable, value);
            }
            match builder.try_start().await {
                Ok(started) => {
                    let mut url = self.url.write().unwrap_or_else(PoisonError::into_inner);
                    started.url().clone_into(&mut url);
                    *server = Some(started);
                    return Ok(());
                }
                Err(why) if begun.elapsed() > START_MAX => return Err(why),
                Err(_) => tokio::time::sleep(START_AGAIN_AFTER).await,
            }
        }
    }

    /// Ends the server with no warning.
    pub async fn kill(&self) {
        // Dropped, it is killed and waited for.
        *self.server.lock().await = None;
    }

    pub async fn has_server(&self) -> bool {
        self.server.lock().await.is_some()
    }

    /// Stops the server where it is.
    pub async fn stop(&self) {
        if let Some(server) = &*self.server.lock().await {
            server.sigstop();
        }
    }

    pub async fn go_on(&self) {
        if let Some(server) = &*self.server.lock().await {
            server.sigcont();
        }
    }

    /// The last lines of the server's log.
    pub async fn words(&self) -> String {
        match &*self.server.lock().await {
            Some(server) => {
                let log = server.log();
                log[log.len().saturating_sub(20)..].join("\n")
            }
            None => "it does not run".to_owned(),
        }
    }
}

fn user(number: usize) -> String {
    format!("rowlock_{number}")
}
