//! A server ends with no warning, in the middle of a batch.

use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

use super::{console, count, sales_under_way};
use crate::stage::Stage;

/// With so many customers there is a batch long before.
const BATCH_WITHIN: Duration = Duration::from_secs(3);

pub struct Killed {
    door: usize,
}

pub async fn inject(stage: &Stage, random: &mut StdRng) -> Result<Killed, String> {
    let door = random.random_range(0..stage.doors.len());
    let server = stage.doors.get(door);
    if stage.ground.is_postgres() {
        let console = console(stage).await?;
        let begun = Instant::now();
        let sales = sales_under_way(&server.user());
        while count(&console, sales.clone())
            .await
            .map_err(|error| error.to_string())?
            == 0
        {
            if begun.elapsed() > BATCH_WITHIN {
                return Err("the server had no batch".to_owned());
            }
        }
        server.kill().await;
        // Its sessions may end in their own time.
        let _ = console.close().await;
    } else {
        // Nobody but the server knows what it is at: the lot decides, and most of its time it is at a batch.
        let moment = Duration::from_millis(random.random_range(0..200));
        tokio::time::sleep(moment).await;
        server.kill().await;
    }
    Ok(Killed { door })
}

impl Killed {
    pub async fn heal(self, stage: &Stage) -> Result<(), String> {
        stage.doors.get(self.door).start(&[]).await
    }
}
