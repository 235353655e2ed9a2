//! What a change of tickets changes in their counts.
//!
//! How many tickets of a type there are by the status in their rows is kept in `ticket_counts`, which no sale touches, and
//! in `ticket_count_deltas`, to which every transaction that changes, adds or removes tickets appends. The counts of a type
//! are the sum of both, at every commit. `sales/fold.rs` moves deltas into the counts; the catalogue reads them; the audit
//! holds them against the rows. Knows nothing of what a status means.

use std::collections::BTreeMap;

use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::{
    entity::ticket::Status,
    ids::{EventId, TicketTypeId},
    store::bulk::{self, Kind},
};

/// How much more, or less, there is of each type in each status.
#[derive(Clone, Debug, Default)]
pub struct Deltas(BTreeMap<(EventId, TicketTypeId), Delta>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Delta {
    available: i64,
    held: i64,
    sold: i64,
    blocked: i64,
}

impl Deltas {
    /// So many tickets more of this status; fewer if it is negative.
    pub fn add(&mut self, key: (EventId, TicketTypeId), status: Status, len: i64) {
        let delta = self.0.entry(key).or_default();
        *match status {
            Status::Available => &mut delta.available,
            Status::Held => &mut delta.held,
            Status::Sold => &mut delta.sold,
            Status::Blocked => &mut delta.blocked,
        } += len;
    }

    /// One ticket goes from a status to another, or stays.
    pub fn change(&mut self, key: (EventId, TicketTypeId), from: Status, to: Status) {
        self.add(key, from, -1);
        self.add(key, to, 1);
    }

    /// How many rows they are: one for each type of which something changes.
    pub fn len(&self) -> usize {
        self.changed().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn changed(&self) -> impl Iterator<Item = (&(EventId, TicketTypeId), &Delta)> {
        let nothing = Delta::default();
        self.0.iter().filter(move |(_, delta)| **delta != nothing)
    }

    /// Appends them, a row for each type.
    pub fn append(&self, backend: DbBackend) -> Statement {
        let rows = self.changed().map(|((event_id, ticket_type_id), delta)| {
            vec![
                event_id.0.into(),
                ticket_type_id.0.into(),
                Uuid::now_v7().into(),
                delta.available.into(),
                delta.held.into(),
                delta.sold.into(),
                delta.blocked.into(),
            ]
        });
        bulk::insert(
            backend,
            "ticket_count_deltas",
            &[
                ("event_id", Kind::Uuid),
                ("ticket_type_id", Kind::Uuid),
                ("id", Kind::Uuid),
                ("available", Kind::BigInt),
                ("held", Kind::BigInt),
                ("sold", Kind::BigInt),
                ("blocked", Kind::BigInt),
            ],
            rows.collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_within_a_batch_appends_nothing() {
        let key = (EventId::mint(), TicketTypeId::mint());
        let mut deltas = Deltas::default();
        deltas.change(key, Status::Held, Status::Held);
        deltas.change(key, Status::Available, Status::Sold);
        assert_eq!(deltas.len(), 1);
        deltas.change(key, Status::Sold, Status::Available);
        assert!(deltas.is_empty());
    }
}
