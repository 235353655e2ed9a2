//! Somebody else takes every connection that the database allows, those of the servers too.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::console;
use crate::{
    clusters::postgres,
    stage::{CONNECTIONS_MAX, Stage},
};

/// The servers' sessions are ended so often: each time somebody else, who keeps trying, has the place before they do.
const TIMES: usize = 4;
const PAUSE: Duration = Duration::from_millis(300);

pub struct Taken(Vec<DatabaseConnection>);

pub async fn take(stage: &Stage) -> Result<Taken, String> {
    let operator = console(stage).await?;
    let url = stage.ground.url().await;
    let everybody = join_all((0..CONNECTIONS_MAX).map(|_| postgres::connect(&url)));
    let ending = async {
        for _ in 0..TIMES {
            operator
                .execute_unprepared(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE usename ~ '^rowlock_'",
                )
                .await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<_, DbErr>(())
    };
    let (connected, ended) = tokio::join!(everybody, ending);
    ended.map_err(|error| error.to_string())?;
    let mut taken: Vec<DatabaseConnection> = connected.into_iter().flatten().collect();
    taken.push(operator);
    Ok(Taken(taken))
}

impl Taken {
    pub async fn heal(self) {
        join_all(self.0.into_iter().map(DatabaseConnection::close)).await;
    }
}
