//! A primary with a synchronous standby, and HAProxy in front. What is committed is on both.

use std::{net::SocketAddr, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use tempfile::TempDir;

use super::{
    free_port,
    haproxy::{Haproxy, PrimaryCheck},
    postgres::{DATABASE, Postgres},
};
use crate::harness::eventually;

/// A standby has caught up by then.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(60);

/// The name under which a standby follows.
const STANDBY: &str = "standby";

pub struct Pair {
    members: [Member; 2],
    /// Which of the two it is.
    primary: usize,
    _checks: [PrimaryCheck; 2],
    haproxy: Haproxy,
}

struct Member {
    postgres: Postgres,
    _directory: TempDir,
}

impl Pair {
    /// # Errors
    /// When HAProxy is not installed; the text is for the report.
    pub async fn create(settings: &[&str]) -> Result<Self, String> {
        let directory = new_directory();
        let primary = Member {
            postgres: Postgres::create(directory.path(), settings).await,
            _directory: directory,
        };
        let standby = follow(&primary.postgres, free_port()).await;
        let members = [primary, standby];
        let addresses = members.each_ref().map(|member| member.postgres.address());
        let checks = [
            PrimaryCheck::start(addresses[0]).await,
            PrimaryCheck::start(addresses[1]).await,
        ];
        let haproxy = Haproxy::start(&[(addresses[0], &checks[0]), (addresses[1], &checks[1])])?;
        Ok(Self {
            members,
            primary: 0,
            _checks: checks,
            haproxy,
        })
    }

    /// Where servers connect: the primary, whichever it is.
    pub fn address(&self) -> SocketAddr {
        self.haproxy.address()
    }

    /// A superuser's connection to the primary.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(&self) -> Result<DatabaseConnection, DbErr> {
        self.members[self.primary].postgres.connect(DATABASE).await
    }

    /// Kills the primary and promotes the standby, which has everything that was acknowledged. It has no standby of its own
    /// then, see [`Self::complete`].
    pub async fn fail_over(&mut self) {
        self.members[self.primary].postgres.kill();
        self.primary = 1 - self.primary;
        let standby = &self.members[self.primary].postgres;
        let standby = standby.connect("postgres").await.unwrap();
        let promote = "SELECT pg_promote(wait => true, wait_seconds => 30)";
        standby.execute_unprepared(promote).await.unwrap();
        standby.close().await.unwrap();
    }

    /// Gives the new primary a standby, at the place of the one that was killed.
    pub async fn complete(&mut self) {
        let gone = 1 - self.primary;
        let port = self.members[gone].postgres.port();
        self.members[gone] = follow(&self.members[self.primary].postgres, port).await;
    }
}

/// A standby of this primary, which from now on waits for it at each commit.
async fn follow(primary: &Postgres, port: u16) -> Member {
    let directory = new_directory();
    let postgres = primary
        .create_standby(directory.path(), port, STANDBY)
        .await;
    let admin = primary.connect("postgres").await.unwrap();
    for sql in [
        &format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"),
        "SELECT pg_reload_conf()",
    ] {
        admin.execute_unprepared(sql).await.unwrap();
    }
    let asked = || {
        Statement::from_string(
            DbBackend::Postgres,
            "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'",
        )
    };
    eventually("a synchronous standby", CAUGHT_UP_MAX, async || {
        admin.query_one_raw(asked()).await.unwrap()
    })
    .await;
    admin.close().await.unwrap();
    Member {
        postgres,
        _directory: directory,
    }
}

fn new_directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("rowlock-faults-pair-")
        .tempdir()
        .unwrap()
}
