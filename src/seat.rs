//! How a seat is named in one line.

use crate::entity::ticket;

/// Section, row and seat as a person reads them, e.g. `Stalls · Row C · Seat 12`; none for general admission.
pub fn label(ticket: &ticket::Model) -> Option<String> {
    let (section, row, seat) = (
        ticket.section.as_ref()?,
        ticket.row_label.as_ref()?,
        ticket.seat_label.as_ref()?,
    );
    Some(format!("{section} · Row {row} · Seat {seat}"))
}
