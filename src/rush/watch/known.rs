//! What somebody knows of an event's seats at a version. Pure: a map or a message in, what is known then out.

use std::{borrow::Cow, collections::HashMap, ops::AddAssign, sync::Arc};

use serde::Deserialize;

use crate::rush::answers::is_plain_id;

/// What a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Available,
    Held,
    Sold,
    Blocked,
}

/// Seats by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub available: u64,
    pub held: u64,
    pub sold: u64,
    pub blocked: u64,
}

/// Which seats there are, each at its place.
#[derive(Debug)]
pub struct Layout {
    name: String,
    ids: Vec<String>,
    places: HashMap<String, u32>,
}

/// All seats, as they are at a version.
#[derive(Debug)]
pub struct Known {
    pub version: i64,
    pub layout: Arc<Layout>,
    statuses: Vec<Status>,
    pub counts: Counts,
}

/// A seat map as a server answers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Map {
    pub version: i64,
    layout: String,
    ticket_ids: Vec<String>,
    statuses: String,
}

/// A message of changes as a server pushes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    pub previous_version: i64,
    pub version: i64,
    #[serde(borrow)]
    pub tickets: Vec<Changed<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Changed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    status: Status,
}

/// Why a message leads on from nothing that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Something between what is known and what is told was not told.
    Gap,
    /// A ticket is new.
    UnknownSeat,
}

impl Status {
    /// As a seat map has it.
    fn of_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'A' => Self::Available,
            'H' => Self::Held,
            'S' => Self::Sold,
            'B' => Self::Blocked,
            _ => return None,
        })
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "AVAILABLE" => Self::Available,
            "HELD" => Self::Held,
            "SOLD" => Self::Sold,
            "BLOCKED" => Self::Blocked,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Sold => "sold",
            Self::Blocked => "blocked",
        }
    }
}

impl Counts {
    fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Available => &mut self.available,
            Status::Held => &mut self.held,
            Status::Sold => &mut self.sold,
            Status::Blocked => &mut self.blocked,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.available += other.available;
        self.held += other.held;
        self.sold += other.sold;
        self.blocked += other.blocked;
    }
}

impl Layout {
    /// None where an id is there twice, or is none.
    fn new(name: String, ids: Vec<String>) -> Option<Self> {
        let places: HashMap<String, u32> = ids.iter().cloned().zip(0..).collect();
        let is_good = places.len() == ids.len() && ids.iter().all(|id| is_plain_id(id));
        is_good.then_some(Self { name, ids, places })
    }

    pub fn id(&self, place: u32) -> &str {
        &self.ids[place as usize]
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }
}

impl Map {
    /// What is known by it. Who knows this layout already need not have another one. None where the map makes no sense.
    pub fn into_known(self, layout: Option<&Arc<Layout>>) -> Option<Known> {
        let is_same =
            |known: &&Arc<Layout>| known.name == self.layout && known.ids == self.ticket_ids;
        let layout = match layout.filter(is_same) {
            Some(layout) => Arc::clone(layout),
            None => Arc::new(Layout::new(self.layout, self.ticket_ids)?),
        };
        let statuses: Option<Vec<Status>> = self.statuses.chars().map(Status::of_letter).collect();
        let statuses = statuses.filter(|statuses| statuses.len() == layout.ids.len())?;
        let mut counts = Counts::default();
        for status in &statuses {
            *counts.of(*status) += 1;
        }
        Some(Known {
            version: self.version,
            layout,
            statuses,
            counts,
        })
    }
}

impl Known {
    /// What is known after a message.
    pub fn after(&self, message: &Message<'_>) -> Result<Self, Unfit> {
        let leads_on = message.previous_version == self.version && message.version >= self.version;
        if !leads_on {
            return Err(Unfit::Gap);
        }
        let mut known = Self {
            version: message.version,
            layout: Arc::clone(&self.layout),
            statuses: self.statuses.clone(),
            counts: self.counts,
        };
        for changed in &message.tickets {
            let place = self.layout.places.get(&*changed.id);
            let place = *place.ok_or(Unfit::UnknownSeat)? as usize;
            *known.counts.of(known.statuses[place]) -= 1;
            *known.counts.of(changed.status) += 1;
            known.statuses[place] = changed.status;
        }
        Ok(known)
    }

    pub fn status(&self, place: u32) -> Status {
        self.statuses[place as usize]
    }

    /// Where the two differ; of another layout they have nothing in common.
    pub fn differences(&self, other: &Self) -> Vec<u32> {
        let both = self.statuses.iter().zip(&other.statuses);
        (0..)
            .zip(both)
            .filter(|(_, (one, another))| one != another)
            .map(|(place, _)| place)
            .collect()
    }

    /// The seats that are sold now and were not before.
    pub fn sold_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let both = self.statuses.iter().zip(&before.statuses);
        let newly = |(now, before): &(&Status, &Status)| **now == Status::Sold && now != before;
        (0..)
            .zip(both)
            .filter(move |(_, both)| newly(both))
            .map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(version: i64, statuses: &str) -> Map {
        Map {
            version,
            layout: "one row".to_owned(),
            ticket_ids: (0..statuses.len()).map(|n| format!("T{n}")).collect(),
            statuses: statuses.to_owned(),
        }
    }

    fn known(version: i64, statuses: &str) -> Known {
        map(version, statuses).into_known(None).unwrap()
    }

    fn message(text: &str) -> Message<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_message_leads_from_one_version_to_the_next_and_its_counts_are_kept() {
        let before = known(3, "AHSB");
        let told = r#"{"previousVersion":3,"version":5,"tickets":[{"id":"T0","status":"HELD"},{"id":"T1","status":"SOLD"}]}"#;
        let after = before.after(&message(told)).unwrap();
        assert_eq!(after.version, 5);
        assert!(after.differences(&known(5, "HSSB")).is_empty());
        assert_eq!(after.counts, known(5, "HSSB").counts);
        assert_eq!(after.differences(&before), [0, 1]);
        assert_eq!(after.sold_since(&before).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_leads_on_from_something_else_is_a_gap_and_a_new_seat_is_not_known() {
        let before = known(3, "AA");
        for (previous, version) in [(2, 4), (4, 5), (3, 2)] {
            let told =
                format!(r#"{{"previousVersion":{previous},"version":{version},"tickets":[]}}"#);
            assert_eq!(before.after(&message(&told)).unwrap_err(), Unfit::Gap);
        }
        let told = r#"{"previousVersion":3,"version":4,"tickets":[{"id":"T9","status":"SOLD"}]}"#;
        assert_eq!(
            before.after(&message(told)).unwrap_err(),
            Unfit::UnknownSeat
        );
    }

    #[test]
    fn a_map_that_makes_no_sense_is_none() {
        let mut twice = map(1, "AA");
        twice.ticket_ids[1] = twice.ticket_ids[0].clone();
        let mut short = map(1, "AA");
        short.statuses.pop();
        for garbage in [twice, short, map(1, "AX")] {
            assert!(garbage.into_known(None).is_none());
        }
    }
}
