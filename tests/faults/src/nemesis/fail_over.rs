//! The primary is killed and its standby takes over; then it gets another standby.

use crate::stage::{Ground, Stage};

pub async fn inject(stage: &Stage) -> Result<(), String> {
    match &stage.ground {
        Ground::Pair(pair) => {
            pair.lock().await.fail_over().await;
            Ok(())
        }
        Ground::Postgres { .. } | Ground::Sqlite { .. } => Err("there is no standby".to_owned()),
    }
}

pub async fn heal(stage: &Stage) {
    if let Ground::Pair(pair) = &stage.ground {
        pair.lock().await.complete().await;
    }
}
