//! All who watch one event: what they share, and how each of them goes on when a connection breaks.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hyper::body::Bytes;
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Tickets,
    history::{Heard, History},
    known::{Known, Layout},
    message::{self, SEAT_MAP, TICKETS_CHANGED},
};
use crate::rush::{
    RushError,
    answers::{NOT_UNDERSTOOD, request},
    client::{self, Events, Line, Listened, Trouble},
    event::{Event, ask},
    run::{Run, lock},
};

/// Between two attempts to listen, doubled each time up to the second.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

/// Everybody who watches an event.
pub struct Audience {
    run: Arc<Run>,
    tickets: Arc<Tickets>,
    event: usize,
    history: Mutex<History>,
    has_heard: Notify,
}

/// One of them.
pub struct Watcher {
    audience: Arc<Audience>,
    number: usize,
    line: Line,
    /// What tells them, while anything does.
    events: Option<Events>,
}

/// Why a watcher is told nothing.
#[derive(Debug)]
pub enum Untold {
    Trouble(Trouble),
    /// By this code.
    Refused(String),
}

impl Untold {
    pub fn sentence(&self) -> String {
        match self {
            Self::Trouble(trouble) => trouble.sentence().to_owned(),
            Self::Refused(code) => format!("the server answers {code}"),
        }
    }
}

impl Audience {
    /// With the seats as they are now.
    pub async fn new(
        run: &Arc<Run>,
        tickets: Arc<Tickets>,
        event: usize,
        watchers: usize,
    ) -> Result<Self, RushError> {
        let mut line = Line::new(Arc::clone(&run.servers), 0, run.answer_wait);
        let known = read_map(&mut line, &run.events[event], None).await?;
        Ok(Self {
            run: Arc::clone(run),
            tickets,
            event,
            history: Mutex::new(History::new(known, watchers)),
            has_heard: Notify::new(),
        })
    }

    pub fn event(&self) -> &Event {
        &self.run.events[self.event]
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// The seats as a server says that they are.
    pub async fn map(&self, line: &mut Line) -> Result<Known, RushError> {
        let layout = Arc::clone(&self.history().newest().layout);
        read_map(line, self.event(), Some(&layout)).await
    }

    /// Waits until everybody knows this version or a later one. Whether that is before the deadline.
    pub async fn reach(&self, version: i64, deadline: Instant) -> bool {
        loop {
            let heard = self.has_heard.notified();
            if self.history().slowest() >= version {
                return true;
            }
            if timeout_at(deadline, heard).await.is_err() {
                return false;
            }
        }
    }

    fn told(&self, watcher: usize, message: &Bytes) -> Heard {
        let heard = self.history().told(watcher, message, |id| {
            let place = self.tickets.place(id)?;
            self.run.recorder().bought_at.get(&place).copied()
        });
        self.has_heard.notify_waiters();
        heard
    }
}

async fn read_map(
    line: &mut Line,
    event: &Event,
    layout: Option<&Arc<Layout>>,
) -> Result<Known, RushError> {
    let data = ask(line, None, SEAT_MAP, json!({ "id": event.id })).await?;
    let map = message::map(data).ok_or(RushError::StrangeAnswer)?;
    map.into_known(layout).ok_or(RushError::StrangeAnswer)
}

impl Watcher {
    /// At the server at `home`, counted round.
    pub fn new(audience: &Arc<Audience>, number: usize, home: usize) -> Self {
        let run = &audience.run;
        Self {
            line: Line::new(Arc::clone(&run.servers), home, run.answer_wait),
            audience: Arc::clone(audience),
            number,
            events: None,
        }
    }

    /// Begins to listen, and hears the first message, which comes at once.
    pub async fn begin(&mut self) -> Result<(), Untold> {
        self.listen().await?;
        match self.hear().await {
            Ok(Heard::Changes) => Ok(()),
            Ok(Heard::Refused(code)) => Err(Untold::Refused(code)),
            // It can be made good, as later.
            Ok(Heard::Gap | Heard::OtherTickets | Heard::TooOld) => self.begin_again().await,
            Err(trouble) => Err(Untold::Trouble(trouble)),
        }
    }

    /// Hears all that is told, for ever.
    pub async fn watch(mut self) {
        let mut pause = AGAIN_AFTER;
        loop {
            let went_on = match self.hear().await {
                Ok(Heard::Changes) => {
                    pause = AGAIN_AFTER;
                    continue;
                }
                Ok(Heard::Gap | Heard::OtherTickets | Heard::TooOld) => self.begin_again().await,
                Ok(Heard::Refused(code)) => Err(Untold::Refused(code)),
                Err(trouble) => Err(Untold::Trouble(trouble)),
            };
            self.lose();
            if went_on.is_err() {
                sleep(pause).await;
                pause = (pause * 2).min(AGAIN_AFTER_MAX);
            }
            if self.listen().await.is_ok() {
                self.audience.history().tally.resumptions += 1;
            }
        }
    }

    /// Listens to what comes after what is known.
    async fn listen(&mut self) -> Result<(), Untold> {
        let since = self.audience.history().version_of(self.number);
        let variables = json!({ "id": self.audience.event().id, "since": since });
        let listened = self.line.listen(&request(TICKETS_CHANGED, variables)).await;
        match listened.map_err(Untold::Trouble)? {
            Listened::Events(events) => {
                self.events = Some(events);
                self.audience.history().listens(self.number, true);
                Ok(())
            }
            Listened::Reply(reply) => Err(Untold::Refused(match message::read(&reply.body) {
                Err(Heard::Refused(code)) => code,
                Ok(_) | Err(_) => NOT_UNDERSTOOD.to_owned(),
            })),
        }
    }

    fn lose(&mut self) {
        self.events = None;
        self.audience.history().listens(self.number, false);
    }

    async fn hear(&mut self) -> Result<Heard, Trouble> {
        let events = self.events.as_mut().ok_or(Trouble::Lost)?;
        match events.next().await? {
            client::Heard::Next(answer) => Ok(self.audience.told(self.number, &answer)),
            // What is followed has no end.
            client::Heard::Complete => Err(Trouble::Lost),
        }
    }

    /// With the seats as they are now.
    async fn begin_again(&mut self) -> Result<(), Untold> {
        let known = self.audience.map(&mut self.line).await;
        let known = known.map_err(|error| match error {
            RushError::Asking { code, .. } => Untold::Refused(code),
            RushError::NoServer { trouble, .. } => Untold::Trouble(trouble),
            _ => Untold::Refused(NOT_UNDERSTOOD.to_owned()),
        })?;
        self.audience.history().begin_again(self.number, known);
        Ok(())
    }
}
