//! A server stops where it is, with rows and gates locked, and goes on when everybody else has gone on without it.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use super::{console, count, sales_under_way};
use crate::stage::Stage;

/// Most of the time a busy server has a transaction open: of so many tries one meets it there.
const TRIES_MAX: usize = 100;

/// A statement that was under way when the server was stopped has ended by then, and the transaction has not.
const STATEMENT_MAX: Duration = Duration::from_millis(30);

pub struct Stopped {
    door: usize,
}

pub async fn inject(stage: &Stage, random: &mut StdRng) -> Result<Stopped, String> {
    let door = random.random_range(0..stage.doors.len());
    let server = stage.doors.get(door);
    let console = console(stage).await?;
    let sales = sales_under_way(&server.user());
    for _ in 0..TRIES_MAX {
        server.stop().await;
        tokio::time::sleep(STATEMENT_MAX).await;
        let has_locks = count(&console, sales.clone()).await;
        if has_locks.as_ref().is_ok_and(|len| *len > 0) {
            let _ = console.close().await;
            return Ok(Stopped { door });
        }
        server.go_on().await;
        has_locks.map_err(|error| error.to_string())?;
        let moment = Duration::from_millis(random.random_range(0..20));
        tokio::time::sleep(moment).await;
    }
    Err("the server was never met with locks".to_owned())
}

impl Stopped {
    pub async fn heal(self, stage: &Stage) {
        stage.doors.get(self.door).go_on().await;
    }
}
