//! What a customer asks for next: drawn by lot, from what they have.

use rand::{RngExt, rngs::StdRng};
use rowlock::ids::TicketId;

use super::{Hall, Mine};
use crate::history::{Action, Want};

/// More tickets are never asked for at once.
pub const TICKETS_MAX: usize = 3;

/// Half of what is named is among so many tickets, which so become the ones that everybody wants.
const POPULAR: usize = 6;

/// Chances in a hundred, of those who have a hold or an order, to do something with it.
const OF_HOLD_PERCENT: u32 = 70;
const OF_ORDER_PERCENT: u32 = 55;

pub fn action(random: &mut StdRng, mine: &Mine, hall: &Hall) -> Action {
    if !mine.holds.is_empty() && random.random_ratio(OF_HOLD_PERCENT, 100) {
        return of_hold(random, mine);
    }
    if !mine.orders.is_empty() && random.random_ratio(OF_ORDER_PERCENT, 100) {
        return of_order(random, mine);
    }
    if random.random_ratio(1, 2) {
        Action::Hold(want(random, hall))
    } else {
        Action::Buy(want(random, hall))
    }
}

fn of_hold(random: &mut StdRng, mine: &Mine) -> Action {
    let hold = &mine.holds[random.random_range(0..mine.holds.len())];
    let made_by = hold.made_by;
    match random.random_range(0..100) {
        0..45 => Action::BuyHold { hold: made_by },
        45..65 => Action::Extend { hold: made_by },
        65..85 => Action::Release {
            hold: made_by,
            tickets: None,
        },
        _ => Action::Release {
            hold: made_by,
            tickets: one_of(random, hold.tickets.iter().copied()).map(|ticket| vec![ticket]),
        },
    }
}

fn of_order(random: &mut StdRng, mine: &Mine) -> Action {
    let order = &mine.orders[random.random_range(0..mine.orders.len())];
    let is_whole = random.random_ratio(2, 3);
    let item = one_of(random, order.items.iter().map(|(_, ticket)| *ticket));
    Action::Cancel {
        order: order.made_by,
        tickets: item.filter(|_| !is_whole).map(|ticket| vec![ticket]),
    }
}

fn want(random: &mut StdRng, hall: &Hall) -> Want {
    let quantity = random.random_range(1..=TICKETS_MAX);
    if random.random_ratio(1, 4) {
        return Want::Any(quantity);
    }
    let among = if random.random_ratio(1, 2) {
        &hall.tickets[..POPULAR.min(hall.tickets.len())]
    } else {
        &hall.tickets[..]
    };
    let mut tickets = Vec::new();
    for _ in 0..quantity {
        tickets.extend(one_of(random, among.iter().copied()));
    }
    tickets.sort_unstable();
    tickets.dedup();
    Want::Tickets(tickets)
}

fn one_of(
    random: &mut StdRng,
    tickets: impl ExactSizeIterator<Item = TicketId>,
) -> Option<TicketId> {
    let len = tickets.len();
    let mut tickets = tickets;
    (len > 0).then(|| tickets.nth(random.random_range(0..len)))?
}
