//! Who waits, and for what: bookkeeping without a database.

use std::collections::{HashMap, hash_map};

use tokio::time::Instant;

use crate::{
    ids::{EventId, TicketId},
    sales::{
        command::Want,
        commit::{Blocker, Wait},
        desk::BATCH_TICKETS_MAX,
        entry::{Entry, Late},
    },
};

/// Who waits together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Blocked(Blocker),
    /// A batch that failed as a whole.
    Batch(u64),
}

pub(super) struct Group {
    pub members: Vec<Entry>,
    pub late: Late,
}

#[derive(Default)]
pub(super) struct Room {
    pub groups: HashMap<Key, Group>,
    pub len: usize,
    pub len_by_event: HashMap<EventId, usize>,
    pub batches_ever: u64,
}

impl Room {
    /// Adds a member; true when the group is new and needs a task.
    pub fn join(&mut self, key: Key, entry: Entry, late: Late) -> bool {
        self.len += 1;
        *self.len_by_event.entry(entry.command.event_id).or_default() += 1;
        match self.groups.entry(key) {
            hash_map::Entry::Occupied(mut group) => {
                group.get_mut().members.push(entry);
                false
            }
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Group {
                    members: vec![entry],
                    late,
                });
                true
            }
        }
    }

    pub fn leave(&mut self, event_id: EventId) {
        self.len -= 1;
        if let hash_map::Entry::Occupied(mut count) = self.len_by_event.entry(event_id) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Takes members out of a group, in order of arrival: as many as a batch may have.
    pub fn take(&mut self, key: &Key, len_max: usize) -> Vec<Entry> {
        let Some(group) = self.groups.get_mut(key) else {
            return Vec::new();
        };
        let mut tickets = 0;
        let len = group
            .members
            .iter()
            .take(len_max)
            .take_while(|entry| {
                let is_within = tickets < BATCH_TICKETS_MAX;
                tickets += entry.command.tickets_len();
                is_within
            })
            .count();
        let taken: Vec<Entry> = group.members.drain(..len).collect();
        for entry in &taken {
            self.leave(entry.command.event_id);
        }
        taken
    }

    /// Empties a group.
    pub fn remove(&mut self, key: &Key) {
        let Some(group) = self.groups.remove(key) else {
            return;
        };
        for entry in &group.members {
            self.leave(entry.command.event_id);
        }
    }

    /// How often the attempts of a group's members have failed on the database's side.
    pub fn failures(&self, key: &Key) -> u32 {
        let members = self
            .groups
            .get(key)
            .into_iter()
            .flat_map(|group| &group.members);
        members.map(|entry| entry.failures).max().unwrap_or(0)
    }

    /// Says what members of a group that are too late are told.
    pub fn set_late(&mut self, key: &Key, late: Late) {
        if let Some(group) = self.groups.get_mut(key) {
            group.late = late;
        }
    }

    /// The tickets that every member of a group wants, that is `blocker` at least: waiting for more would hold what others
    /// wait for. And whether a member claims them as its own.
    pub fn wanted_by_all(&self, key: &Key, blocker: TicketId) -> (Vec<TicketId>, bool) {
        let members = || {
            self.groups
                .get(key)
                .into_iter()
                .flat_map(|group| &group.members)
        };
        let wants = members();
        let is_claimed = members().any(|entry| entry.command.want().is_none());
        let blocker = [blocker];
        let mut wants = wants.map(|entry| match entry.command.want() {
            Some(Want::Tickets(ids)) => ids.as_slice(),
            // What a hold or an order has is known to the transaction alone.
            Some(Want::AnyOf { .. }) | None => &blocker,
        });
        let Some(first) = wants.next() else {
            return (Vec::new(), is_claimed);
        };
        // Ids are in order in every command.
        let common = wants.fold(first.to_vec(), |mut common, ids| {
            common.retain(|id| ids.binary_search(id).is_ok());
            common
        });
        (common, is_claimed)
    }

    /// The lost session of a batch had all its gates: when the first is free, so are the others.
    pub fn first_gate(&self, key: &Key) -> Option<Wait> {
        let first = self.groups.get(key)?.members.first()?;
        Some(Wait::Gate(first.command.event_id, first.customer_id))
    }

    /// Removes members whose deadline has passed, and the group itself when none is left. The next deadline of the others.
    pub fn prune(&mut self, key: &Key) -> (Vec<Entry>, Late, Option<Instant>) {
        let Some(group) = self.groups.get_mut(key) else {
            return (Vec::new(), Late::Contended, None);
        };
        let (late, now) = (group.late, Instant::now());
        let (too_late, in_time): (Vec<Entry>, Vec<Entry>) = group
            .members
            .drain(..)
            .partition(|entry| entry.deadline <= now);
        let next = in_time.iter().map(|entry| entry.deadline).min();
        group.members = in_time;
        if next.is_none() {
            self.groups.remove(key);
        }
        for entry in &too_late {
            self.leave(entry.command.event_id);
        }
        (too_late, late, next)
    }
}
