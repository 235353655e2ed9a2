//! PostgreSQL ends with no warning, and is started again.

use crate::stage::{Ground, Stage};

pub async fn inject(stage: &Stage) -> Result<(), String> {
    match &stage.ground {
        Ground::Postgres { cluster, .. } => {
            let mut cluster = cluster.lock().await;
            if !cluster.is_running() {
                return Err("PostgreSQL does not run".to_owned());
            }
            cluster.kill();
            Ok(())
        }
        Ground::Pair(_) | Ground::Sqlite { .. } => Err("it is not the only PostgreSQL".to_owned()),
    }
}

pub async fn heal(stage: &Stage) {
    if let Ground::Postgres { cluster, .. } = &stage.ground {
        cluster.lock().await.start().await;
    }
}
