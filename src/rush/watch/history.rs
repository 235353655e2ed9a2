//! An event as its watchers are told of it: what each of them knows, and what all that they were told has in common.
//!
//! Watchers who know the same and are told the same know the same afterwards, so that a message is understood once, however
//! many hear it: ten thousand of them share a machine with the server that tells them. And whoever knows a version knows the
//! same of it, whichever server told them, in whatever steps.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hdrhistogram::Histogram;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::{
    known::{Known, Unfit},
    message,
};
use crate::rush::record::{latencies, micros};

/// Steps and versions that are remembered, for those who come to them later than others: some seconds of a sale.
const REMEMBERED_MAX: usize = 64;

/// One event, and all who watch it.
pub struct History {
    /// What each watcher knows.
    watchers: Vec<Place>,
    steps: VecDeque<Step>,
    /// How many watchers know each version.
    at: BTreeMap<i64, usize>,
    /// Versions with a sale that not all watchers know of yet, and since when its buyer does.
    awaited: BTreeMap<i64, Instant>,
    newest: Arc<Known>,
    pub tally: Tally,
}

struct Place {
    known: Arc<Known>,
    is_listening: bool,
}

/// A message, and whom it led where.
#[derive(Clone)]
struct Step {
    from: Arc<Known>,
    message: Bytes,
    to: Arc<Known>,
    changes_len: u64,
    /// Since when the first buyer of a seat that is sold by it knows that, where that is known.
    bought_at: Option<Instant>,
}

/// What all watchers of an event were told.
pub struct Tally {
    pub messages: u64,
    pub changes: u64,
    /// From a buyer's answer to a watcher's message, for each watcher, where the answer was there first.
    pub delays: Histogram<u64>,
    /// The same to the last watcher's.
    pub last_delays: Histogram<u64>,
    pub resumptions: u64,
    pub begun_again: u64,
    pub gaps: u64,
    /// Versions of which one watcher was told something else than another.
    pub contradictions: u64,
}

/// What becomes of a watcher who is told something.
pub enum Heard {
    /// They know what has changed.
    Changes,
    /// Something is missing between what they know and what they were told.
    Gap,
    /// There are other tickets than they know of.
    OtherTickets,
    /// What came after what they know is not kept any more.
    TooOld,
    /// The server refuses with this code, or says what nobody understands.
    Refused(String),
}

impl History {
    pub fn new(known: Known, watchers: usize) -> Self {
        let known = Arc::new(known);
        let place = || Place {
            known: Arc::clone(&known),
            is_listening: false,
        };
        Self {
            watchers: (0..watchers).map(|_| place()).collect(),
            steps: VecDeque::new(),
            at: BTreeMap::from([(known.version, watchers)]),
            awaited: BTreeMap::new(),
            newest: known,
            tally: Tally {
                messages: 0,
                changes: 0,
                delays: latencies(),
                last_delays: latencies(),
                resumptions: 0,
                begun_again: 0,
                gaps: 0,
                contradictions: 0,
            },
        }
    }

    pub fn version_of(&self, watcher: usize) -> i64 {
        self.watchers[watcher].known.version
    }

    pub fn listens(&mut self, watcher: usize, is_listening: bool) {
        self.watchers[watcher].is_listening = is_listening;
    }

    /// The last that anybody was told.
    pub fn newest(&self) -> &Arc<Known> {
        &self.newest
    }

    /// The least version that a watcher knows.
    pub fn slowest(&self) -> i64 {
        self.at.keys().next().copied().unwrap_or_default()
    }

    /// Who knows less than this version: how many who listen, and how many who have lost their server.
    pub fn behind(&self, version: i64) -> (u64, u64) {
        let behind = self
            .watchers
            .iter()
            .filter(|place| place.known.version < version);
        behind.fold((0, 0), |(listening, lost), place| {
            match place.is_listening {
                true => (listening + 1, lost),
                false => (listening, lost + 1),
            }
        })
    }

    /// Everything that somebody knows, each once, with how many do.
    pub fn all_known(&self) -> Vec<(Arc<Known>, u64)> {
        let mut all: BTreeMap<*const Known, (Arc<Known>, u64)> = BTreeMap::new();
        for place in &self.watchers {
            let entry = all.entry(Arc::as_ptr(&place.known));
            entry.or_insert_with(|| (Arc::clone(&place.known), 0)).1 += 1;
        }
        all.into_values().collect()
    }

    /// A watcher begins again with a map.
    pub fn begin_again(&mut self, watcher: usize, known: Known) {
        self.tally.begun_again += 1;
        let known = self.agreed(known);
        self.move_to(watcher, known);
    }

    /// A watcher is told something. `bought_at` says since when a seat's buyer knows that it is theirs.
    pub fn told(
        &mut self,
        watcher: usize,
        message: &Bytes,
        bought_at: impl Fn(&str) -> Option<Instant>,
    ) -> Heard {
        let from = Arc::clone(&self.watchers[watcher].known);
        let step = match self.step(&from, message) {
            Some(step) => step.clone(),
            None => match self.understand(from, message, bought_at) {
                Ok(step) => step,
                Err(heard) => return heard,
            },
        };
        let Step {
            to,
            changes_len,
            bought_at,
            ..
        } = step;
        self.tally.messages += 1;
        self.tally.changes += changes_len;
        if let Some(bought_at) = bought_at {
            let delay = Instant::now().saturating_duration_since(bought_at);
            self.tally.delays.saturating_record(micros(delay));
        }
        self.move_to(watcher, to);
        Heard::Changes
    }

    fn step(&self, from: &Arc<Known>, message: &Bytes) -> Option<&Step> {
        let mut steps = self.steps.iter().rev();
        steps.find(|step| Arc::ptr_eq(&step.from, from) && step.message == message)
    }

    /// What nobody was told yet who knew the same.
    fn understand(
        &mut self,
        from: Arc<Known>,
        text: &Bytes,
        bought_at: impl Fn(&str) -> Option<Instant>,
    ) -> Result<Step, Heard> {
        let message = message::read(text)?;
        let to = from.after(&message).map_err(|unfit| match unfit {
            Unfit::Gap => {
                self.tally.gaps += 1;
                Heard::Gap
            }
            Unfit::UnknownSeat => Heard::OtherTickets,
        })?;
        let sold = to.sold_since(&from);
        let bought_at = sold
            .filter_map(|place| bought_at(to.layout.id(place)))
            .min();
        let to = self.agreed(to);
        if let Some(bought_at) = bought_at {
            let awaited = self.awaited.entry(to.version).or_insert(bought_at);
            *awaited = bought_at.min(*awaited);
        }
        let step = Step {
            from,
            message: text.clone(),
            to,
            changes_len: message.tickets.len() as u64,
            bought_at,
        };
        if self.steps.len() == REMEMBERED_MAX {
            self.steps.pop_front();
        }
        self.steps.push_back(step.clone());
        Ok(step)
    }

    /// What is known of this version already, if that is the same.
    fn agreed(&mut self, known: Known) -> Arc<Known> {
        let of_version = self.steps.iter().rev().map(|step| &step.to);
        let mut others = of_version.filter(|other| {
            other.version == known.version && Arc::ptr_eq(&other.layout, &known.layout)
        });
        let mut is_contradicted = false;
        let agreed = others.find(|other| {
            let is_same = other.differences(&known).is_empty();
            is_contradicted |= !is_same;
            is_same
        });
        match agreed {
            Some(agreed) => Arc::clone(agreed),
            None => {
                self.tally.contradictions += u64::from(is_contradicted);
                Arc::new(known)
            }
        }
    }

    fn move_to(&mut self, watcher: usize, known: Arc<Known>) {
        let before = self.slowest();
        let place = &mut self.watchers[watcher];
        let (from, to) = (place.known.version, known.version);
        if to >= self.newest.version {
            self.newest = Arc::clone(&known);
        }
        place.known = known;
        *self.at.entry(to).or_default() += 1;
        if let Some(len) = self.at.get_mut(&from) {
            *len -= 1;
            if *len == 0 {
                self.at.remove(&from);
            }
        }
        let slowest = self.slowest();
        if slowest > before {
            let later = self.awaited.split_off(&(slowest + 1));
            for bought_at in std::mem::replace(&mut self.awaited, later).into_values() {
                let delay = Instant::now().saturating_duration_since(bought_at);
                self.tally.last_delays.saturating_record(micros(delay));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rush::watch::known::Map;

    fn known(version: i64, statuses: &str) -> Known {
        let map: Map = serde_json::from_value(serde_json::json!({
            "version": version,
            "layout": "one row",
            "ticketIds": (0..statuses.len()).map(|n| format!("T{n}")).collect::<Vec<_>>(),
            "statuses": statuses,
        }))
        .unwrap();
        map.into_known(None).unwrap()
    }

    /// Seats that become this.
    fn message(previous: i64, version: i64, seats: &[(&str, &str)]) -> Bytes {
        let tickets: Vec<_> = seats
            .iter()
            .map(|(id, status)| serde_json::json!({ "id": id, "status": status }))
            .collect();
        let changes = serde_json::json!({
            "previousVersion": previous, "version": version, "tickets": tickets,
        });
        serde_json::json!({ "data": { "ticketsChanged": changes } })
            .to_string()
            .into()
    }

    #[test]
    fn whoever_knows_a_version_knows_the_same_in_whatever_steps_it_was_told() {
        let mut history = History::new(known(0, "AA"), 3);
        let nobody = |_: &str| None;
        let steps = [
            (0, message(0, 1, &[("T0", "HELD")])),
            (0, message(1, 2, &[("T0", "SOLD")])),
            (1, message(0, 2, &[("T0", "SOLD")])),
            (2, message(0, 1, &[("T0", "HELD")])),
        ];
        for (watcher, message) in &steps {
            assert!(matches!(
                history.told(*watcher, message, nobody),
                Heard::Changes
            ));
        }
        assert_eq!(history.all_known().len(), 2, "one of version 2, one of 1");
        assert_eq!((history.slowest(), history.newest().version), (1, 2));
        assert_eq!(history.behind(2), (0, 1));
        let tally = &history.tally;
        assert_eq!(
            (tally.messages, tally.changes, tally.contradictions),
            (4, 4, 0)
        );

        let lie = message(1, 2, &[("T1", "SOLD")]);
        history.told(2, &lie, nobody);
        assert_eq!(history.tally.contradictions, 1);
        assert!(matches!(history.told(2, &lie, nobody), Heard::Gap));
        assert_eq!(history.tally.gaps, 1);
    }

    #[test]
    fn a_sale_is_known_by_all_when_the_last_has_heard_of_it() {
        let mut history = History::new(known(0, "AA"), 2);
        let long_ago = Instant::now();
        let bought_at = |id: &str| (id == "T1").then_some(long_ago);
        let nobodys = message(0, 1, &[("T0", "SOLD")]);
        let somebodys = message(1, 2, &[("T1", "SOLD")]);
        let mut delays = Vec::new();
        for (watcher, message) in [
            (0, &nobodys),
            (0, &somebodys),
            (1, &nobodys),
            (1, &somebodys),
        ] {
            history.told(watcher, message, bought_at);
            delays.push((history.tally.delays.len(), history.tally.last_delays.len()));
        }
        assert_eq!(delays, [(0, 0), (1, 0), (1, 0), (2, 1)]);
    }
}
