//! A second server on the same file: it must be refused with a sentence, and do no harm.

use crate::{
    harness::Server,
    stage::{Ground, Stage},
};

pub async fn inject(stage: &Stage) -> Result<(), String> {
    let Ground::Sqlite { .. } = &stage.ground else {
        return Err("any number of servers may write there".to_owned());
    };
    // Killed meanwhile, it would leave the file to the second.
    if !stage.doors.get(0).has_server().await {
        return Err("there is no first process".to_owned());
    }
    let second = Server::serving(stage.doors.get(0).database_url());
    let said = tokio::task::spawn_blocking(|| second.refusal())
        .await
        .unwrap();
    assert!(
        said.contains("another process is writing to"),
        "the second process was refused with: {said}"
    );
    Ok(())
}
