//! Sessions of the servers end by the word of an operator, at random.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use super::{console, count};
use crate::stage::Stage;

/// So often, with a moment between.
const TIMES: usize = 8;

pub async fn terminate(stage: &Stage, random: &mut StdRng) -> Result<(), String> {
    let console = console(stage).await?;
    let mut ended = 0;
    for _ in 0..TIMES {
        let some = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE usename ~ '^rowlock_' AND random() < 0.4";
        ended += count(&console, some.to_owned())
            .await
            .map_err(|error| error.to_string())?;
        let moment = Duration::from_millis(random.random_range(10..150));
        tokio::time::sleep(moment).await;
    }
    let _ = console.close().await;
    if ended == 0 {
        return Err("the servers had no sessions".to_owned());
    }
    Ok(())
}
