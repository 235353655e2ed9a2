//! Looks for keys again: by itself every so often, and when a token names one that is not known.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{
    Tokens,
    source::{Source, TriedFor},
};

/// A provider that did not give its keys is asked again so soon.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The tasks that look, one for each source that can change; they end when this is dropped. They hold nothing that must be
/// finished.
pub struct Upkeep {
    _tasks: JoinSet<()>,
}

impl Upkeep {
    pub(super) fn start(tokens: &Arc<Tokens>) -> Self {
        let mut tasks = JoinSet::new();
        for (n, issuer) in tokens.issuers().iter().enumerate() {
            for (m, source) in issuer.sources.iter().enumerate() {
                let Some(every) = source.every() else {
                    continue;
                };
                let tokens = Arc::clone(tokens);
                tasks.spawn(async move {
                    let issuer = &tokens.issuers()[n];
                    keep(&issuer.name, &issuer.sources[m], every).await;
                });
            }
        }
        Self { _tasks: tasks }
    }
}

async fn keep(issuer: &str, source: &Source, every: Duration) {
    let mut wait = every;
    loop {
        match source.look() {
            Some(look) => tokio::select! {
                () = sleep(wait) => {}
                () = look.asked() => {}
            },
            None => sleep(wait).await,
        }
        wait = match source.renew(issuer, TriedFor::Change).await {
            Ok(()) => every,
            Err(_) => every.min(AGAIN_AFTER),
        };
    }
}
