//! Watchers: an event's seats followed as they change, at every server, while the buyers buy; and in the end what was pushed,
//! replayed, against what there is.
//!
//! They have no token: what is on sale is everybody's to see, and a caller could not listen as often as thousands do.

mod agree;
mod audience;
mod history;
mod known;
mod message;

use std::{collections::HashMap, sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};

pub use self::known::{Counts, Status};
use self::{
    audience::{Audience, Untold, Watcher},
    history::Tally,
};
use super::{
    RushError,
    audit::{Difference, Findings},
    progress::Progress,
    record::latencies,
    report::Latency,
    run::{CONNECT_AT_ONCE, Run, joined},
};
use crate::store::{DatabaseUrl, Store};

/// How long the watchers have, after everything was read back, to hear what there was: longer than a lost hint or a lost
/// connection costs.
const CATCH_UP_MAX: Duration = Duration::from_secs(15);

/// All watchers of a rehearsal, as long as it is kept.
pub struct Watch {
    run: Arc<Run>,
    audiences: Vec<Arc<Audience>>,
    watching: JoinSet<()>,
}

/// The tickets that buyers want by their ids.
struct Tickets(HashMap<String, u32>);

/// What watchers were told.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    pub watchers: u64,
    /// Of all watchers together, and the changes in them.
    pub messages: u64,
    pub changes: u64,
    /// How often a watcher listened again, from the last version they knew.
    pub resumptions: u64,
    /// How often one had to begin again with a seat map.
    pub begun_again: u64,
    /// From a buyer's answer to a watcher's message that the ticket is sold, for each watcher; null where no message came after
    /// the answer, or buyers do not name their tickets.
    pub delay_ms: Option<Latency>,
    /// The same to the last watcher's message.
    pub last_delay_ms: Option<Latency>,
    /// Everything that was pushed was compared with what there is.
    pub is_complete: bool,
}

impl Tickets {
    fn place(&self, id: &str) -> Option<u32> {
        self.0.get(id).copied()
    }
}

impl Watch {
    /// Begins to watch: every event at every server, and as many as were asked for.
    pub async fn begin(
        run: &Arc<Run>,
        watchers: Option<u32>,
        progress: &mut Progress,
    ) -> Result<Self, RushError> {
        let (events, servers) = (run.events.len(), run.servers.len());
        let asked = watchers.map_or(0, |len| usize::try_from(len).unwrap_or(usize::MAX));
        let len = asked.max(events * servers);
        progress.say(&format!("{len} watchers come in"));
        let places = run.tickets.iter().cloned().zip(0..);
        let tickets = Arc::new(Tickets(places.collect()));
        let mut audiences = Vec::new();
        for event in 0..events {
            let of_event = (len - event).div_ceil(events);
            let audience = Audience::new(run, Arc::clone(&tickets), event, of_event);
            audiences.push(Arc::new(audience.await?));
        }
        let watchers = (0..len).map(|number| {
            let (event, of_event) = (number % events, number / events);
            Watcher::new(&audiences[event], of_event, of_event % servers)
        });
        let mut watching = JoinSet::new();
        for watcher in listening(watchers, len).await? {
            watching.spawn(watcher.watch());
        }
        Ok(Self {
            run: Arc::clone(run),
            audiences,
            watching,
        })
    }

    /// The seats of all events, by the last that anybody was told.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for audience in &self.audiences {
            counts += audience.history().newest().counts;
        }
        counts
    }

    /// Waits until everything was pushed, and compares it with what there is: with the rows too, where a database is named.
    pub async fn end(self, database: Option<&DatabaseUrl>, findings: &mut Findings) -> Watched {
        let deadline = Instant::now() + CATCH_UP_MAX;
        let compared = match database {
            Some(url) => match Store::connect_reader(url).await {
                Ok(db) => {
                    let compared = self.compare(Some(&db), deadline, findings).await;
                    // It only read.
                    let _ = db.close().await;
                    compared
                }
                Err(error) => Err(format!("the database could not be asked: {error}")),
            },
            None => self.compare(None, deadline, findings).await,
        };
        let is_complete = compared.is_ok();
        if let Err(sentence) = compared {
            self.run.add_problem(sentence);
        }
        self.watched(is_complete, findings)
    }

    async fn compare(
        &self,
        db: Option<&DatabaseConnection>,
        deadline: Instant,
        findings: &mut Findings,
    ) -> Result<(), String> {
        for audience in &self.audiences {
            agree::agree(&self.run, audience, db, deadline, findings).await?;
        }
        Ok(())
    }

    fn watched(&self, is_complete: bool, findings: &mut Findings) -> Watched {
        let (mut delays, mut last_delays) = (latencies(), latencies());
        let mut watched = Watched {
            watchers: self.watching.len() as u64,
            messages: 0,
            changes: 0,
            resumptions: 0,
            begun_again: 0,
            delay_ms: None,
            last_delay_ms: None,
            is_complete,
        };
        for audience in &self.audiences {
            let history = audience.history();
            let Tally {
                messages,
                changes,
                delays: of_each,
                last_delays: of_last,
                resumptions,
                begun_again,
                gaps,
                contradictions,
            } = &history.tally;
            watched.messages += messages;
            watched.changes += changes;
            watched.resumptions += resumptions;
            watched.begun_again += begun_again;
            delays += of_each;
            last_delays += of_last;
            let slug = &audience.event().slug;
            findings.add(Difference::VersionGap, *gaps, slug);
            findings.add(Difference::ToldDifferently, *contradictions, slug);
        }
        let known = |delays| Some(Latency::of(delays)).filter(|latency| latency.count > 0);
        watched.delay_ms = known(&delays);
        watched.last_delay_ms = known(&last_delays);
        watched
    }
}

/// All of them, each with a server that tells them.
async fn listening(
    watchers: impl Iterator<Item = Watcher>,
    len: usize,
) -> Result<Vec<Watcher>, RushError> {
    let mut listening = Vec::with_capacity(len);
    let mut beginning: JoinSet<Result<Watcher, Untold>> = JoinSet::new();
    let refused = |listening: usize, untold: &Untold| RushError::NotWatching {
        watching: listening,
        watchers: len,
        reason: untold.sentence(),
    };
    for mut watcher in watchers {
        if beginning.len() >= CONNECT_AT_ONCE
            && let Some(begun) = joined(&mut beginning).await
        {
            listening.push(begun.map_err(|untold| refused(listening.len(), &untold))?);
        }
        beginning.spawn(async move { watcher.begin().await.map(|()| watcher) });
    }
    while let Some(begun) = joined(&mut beginning).await {
        listening.push(begun.map_err(|untold| refused(listening.len(), &untold))?);
    }
    Ok(listening)
}
