//! The network between one server, or all of them, and the database.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use super::Fault;
use crate::{proxy::Weather, stage::Stage};

/// What a message takes longer, in milliseconds: another room, to another continent.
const DELAY_MS: std::ops::Range<u64> = 5..150;

pub struct Bad {
    doors: Vec<usize>,
    weather: Weather,
    /// What the proxies had cut before.
    cuts_len: usize,
}

pub fn inject(fault: Fault, stage: &Stage, random: &mut StdRng) -> Result<Bad, String> {
    let weather = match fault {
        Fault::SlowNetwork => Weather::Slow(Duration::from_millis(random.random_range(DELAY_MS))),
        Fault::CutBeforeCommit => Weather::CutBeforeCommit,
        Fault::CutAfterCommit => Weather::CutAfterCommit,
        Fault::BlackHole => Weather::BlackHole,
        _ => unreachable!("{fault:?} is not the network's"),
    };
    let doors = if random.random_ratio(1, 3) {
        (0..stage.doors.len()).collect()
    } else {
        vec![random.random_range(0..stage.doors.len())]
    };
    let bad = Bad {
        cuts_len: cuts_len(stage),
        doors,
        weather,
    };
    bad.set(stage, weather);
    Ok(bad)
}

fn cuts_len(stage: &Stage) -> usize {
    let proxies = stage.doors.iter().filter_map(|door| door.proxy());
    proxies.map(|proxy| proxy.cuts_len()).sum()
}

impl Bad {
    pub fn heal(self, stage: &Stage) -> Result<(), String> {
        self.set(stage, Weather::Fair);
        let is_cutting = matches!(
            self.weather,
            Weather::CutBeforeCommit | Weather::CutAfterCommit
        );
        if is_cutting && cuts_len(stage) == self.cuts_len {
            return Err("nobody said COMMIT meanwhile".to_owned());
        }
        Ok(())
    }

    fn set(&self, stage: &Stage, weather: Weather) {
        for door in &self.doors {
            if let Some(proxy) = stage.doors.get(*door).proxy() {
                proxy.set(weather);
            }
        }
    }
}
