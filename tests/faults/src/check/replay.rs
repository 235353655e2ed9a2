//! The change log, replayed from tickets that are all available, is what the tickets are.

use std::collections::HashMap;

use rowlock::{entity::ticket::Status, ids::TicketId};

use super::{Kind, Violation};
use crate::tables::Tables;

pub fn check(tables: &Tables) -> Vec<Violation> {
    let mut statuses: HashMap<TicketId, Status> = HashMap::new();
    let mut violations = Vec::new();
    let mut differs = |words: String| violations.push(Violation::new(Kind::LogDiffers, words));
    for change in &tables.log {
        let status = statuses.entry(change.ticket).or_insert(Status::Available);
        if *status != change.from {
            differs(format!(
                "ticket {} becomes {:?} from {:?}, and was {status:?} by the log",
                change.ticket, change.to, change.from
            ));
        }
        *status = change.to;
    }
    for (ticket, row) in &tables.tickets {
        let status = statuses.get(ticket).copied().unwrap_or(Status::Available);
        if status != row.status {
            differs(format!(
                "ticket {ticket} is {:?}, and {status:?} by the log",
                row.status
            ));
        }
    }
    violations
}
