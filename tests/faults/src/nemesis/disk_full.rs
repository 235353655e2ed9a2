//! The disk with the database is full, and then it is not any more. PostgreSQL may end of it: whoever keeps it running starts
//! it again.

use crate::stage::{Ground, Stage};

pub fn inject(stage: &Stage) -> Result<(), String> {
    let disk = stage.ground.disk();
    disk.ok_or("no small disk can be mounted here")?.fill();
    Ok(())
}

pub async fn heal(stage: &Stage) {
    if let Some(disk) = stage.ground.disk() {
        disk.empty();
    }
    match &stage.ground {
        Ground::Postgres { cluster, .. } => cluster.lock().await.start().await,
        Ground::Pair(_) | Ground::Sqlite { .. } => {}
    }
}
