//! Whether a ticket is linearizable: whether there is an order of everything that was answered about it, in agreement with
//! real time, in which each answer was right.
//!
//! The search is Lowe's just-in-time linearization (Testing for linearizability, 2017): it walks through the beginnings and
//! ends of operations in real time and keeps every configuration, the ticket's state with the operations under way that
//! have taken effect; at an end, those are kept in which that operation has. What changes nothing is taken as soon as it is
//! true, which loses no order. A ticket's owners have names of their own, so that few configurations are left at a time.

use std::collections::{HashMap, HashSet};

use rowlock::ids::TicketId;

use super::{Kind, SLACK, Violation};
use crate::history::{CommandId, CustomerNo, Micros};

/// Operations of one ticket that are under way at the same time, those in doubt among them: the bits of a word.
const UNDER_WAY_MAX: usize = 128;

/// Configurations at a time. A history of hundreds of thousands of operations has some dozens.
const CONFIGURATIONS_MAX: usize = 50_000;

/// So many operations are told of a ticket that is not linearizable.
const TOLD_MAX: usize = 12;

/// What a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Free,
    Held {
        hold: CommandId,
        customer: CustomerNo,
        until: Micros,
    },
    Sold {
        order: CommandId,
    },
}

/// Something that happened to a ticket, or was seen of it, at one moment from `from` to `to`.
#[derive(Clone, Debug)]
pub struct Operation {
    pub command: CommandId,
    pub from: Micros,
    pub to: Micros,
    pub effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Hold {
        customer: CustomerNo,
        until: Micros,
    },
    /// `is_told` if the ticket was told as the hold's, so that the hold certainly had it.
    Extend {
        hold: CommandId,
        until: Micros,
        is_told: bool,
    },
    /// Given back; `is_named` if the ticket was, so that the hold certainly had it.
    Release {
        hold: CommandId,
        is_named: bool,
    },
    BuyHold {
        hold: CommandId,
    },
    Buy,
    /// Harmless where it is cancelled already.
    Cancel {
        order: CommandId,
    },
    SeenSold,
    /// By somebody else than this customer.
    SeenHeldByOther(CustomerNo),
    SeenHeldBy(CustomerNo),
    /// The hold has ended, or never had the ticket.
    SeenWithout {
        hold: CommandId,
    },
    /// What it is when all is over.
    Is(State),
}

/// Everything that happened to each ticket.
pub type Trace = HashMap<TicketId, Vec<Operation>>;

pub fn check(trace: &Trace) -> Vec<Violation> {
    let mut tickets: Vec<&TicketId> = trace.keys().collect();
    tickets.sort_unstable();
    tickets
        .into_iter()
        .filter_map(|ticket| {
            let contradiction = linearize(&trace[ticket]).err()?;
            let words = format!("ticket {ticket}: {}", contradiction.words);
            Some(Violation::new(contradiction.kind, words))
        })
        .collect()
}

struct Contradiction {
    kind: Kind,
    words: String,
}

/// The ticket's state, and which operations under way have taken effect, by their places.
type Configuration = (State, u128);

/// Beginnings come before ends of the same time: it is not known which was first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Begin,
    End,
}

fn linearize(operations: &[Operation]) -> Result<(), Contradiction> {
    let mut moments: Vec<(Micros, Moment, usize)> = Vec::with_capacity(operations.len() * 2);
    for (n, operation) in operations.iter().enumerate() {
        moments.push((operation.from, Moment::Begin, n));
        moments.push((operation.to.max(operation.from), Moment::End, n));
    }
    moments.sort_unstable();

    let mut places: Vec<Option<usize>> = Vec::new();
    let mut configurations: HashSet<Configuration> = HashSet::from([(State::Free, 0)]);
    for (now, moment, n) in moments {
        let operation = &operations[n];
        match moment {
            Moment::Begin => {
                let free = places.iter().position(Option::is_none);
                match free {
                    Some(place) => places[place] = Some(n),
                    None => places.push(Some(n)),
                }
                if places.len() > UNDER_WAY_MAX {
                    return Err(undecided("too many operations under way", operation));
                }
            }
            Moment::End => {
                let place = places
                    .iter()
                    .position(|it| *it == Some(n))
                    .expect("what ends has begun");
                let after = take_effect(&configurations, &places, operations, place, now)
                    .ok_or_else(|| undecided("too many orders are possible", operation))?;
                if after.is_empty() {
                    return Err(no_order(operations, n, &configurations));
                }
                places[place] = None;
                let bit = 1 << place;
                configurations = after
                    .into_iter()
                    .map(|(state, done)| (state, done & !bit))
                    .collect();
            }
        }
    }
    Ok(())
}

/// Every configuration in which the operation at `wanted` has taken effect by now. None when there are too many.
fn take_effect(
    configurations: &HashSet<Configuration>,
    places: &[Option<usize>],
    operations: &[Operation],
    wanted: usize,
    now: Micros,
) -> Option<HashSet<Configuration>> {
    let mut found = HashSet::new();
    let mut seen: HashSet<Configuration> = HashSet::new();
    let mut open: Vec<Configuration> = configurations.iter().copied().collect();
    while let Some((state, mut done)) = open.pop() {
        let mut writes = Vec::new();
        for (place, n) in places.iter().enumerate() {
            let Some(n) = n else { continue };
            if done & (1 << place) != 0 {
                continue;
            }
            match state.after(&operations[*n], now) {
                Some(next) if next == state => done |= 1 << place,
                Some(next) => writes.push((place, next)),
                None => {}
            }
        }
        if !seen.insert((state, done)) {
            continue;
        }
        if done & (1 << wanted) != 0 {
            found.insert((state, done));
            continue;
        }
        if seen.len() > CONFIGURATIONS_MAX {
            return None;
        }
        open.extend(
            writes
                .into_iter()
                .map(|(place, next)| (next, done | (1 << place))),
        );
    }
    Some(found)
}

impl State {
    /// What the ticket is after an operation that takes effect by `now`. None where it cannot.
    fn after(self, operation: &Operation, now: Micros) -> Option<Self> {
        let is_over = |until: Micros| until <= now + SLACK;
        let is_free = match self {
            Self::Free => true,
            Self::Held { until, .. } => is_over(until),
            Self::Sold { .. } => false,
        };
        // A hold that is alive at some moment of the operation.
        let alive = match self {
            Self::Held {
                hold,
                customer,
                until,
            } if operation.from < until + SLACK => Some((hold, customer, until)),
            Self::Held { .. } | Self::Free | Self::Sold { .. } => None,
        };
        let has = |wanted: CommandId| alive.filter(|(hold, ..)| *hold == wanted);
        let seen = |is_so: bool| is_so.then_some(self);
        match operation.effect {
            Effect::Hold { customer, until } => is_free.then_some(Self::Held {
                hold: operation.command,
                customer,
                until,
            }),
            Effect::Buy => is_free.then_some(Self::Sold {
                order: operation.command,
            }),
            Effect::Extend {
                hold,
                until,
                is_told,
            } => match has(hold) {
                Some((hold, customer, before)) => Some(Self::Held {
                    hold,
                    customer,
                    until: until.max(before),
                }),
                None => seen(!is_told),
            },
            Effect::Release { hold, is_named } => match has(hold) {
                Some(_) => Some(Self::Free),
                None => seen(!is_named),
            },
            Effect::BuyHold { hold } => has(hold).map(|_| Self::Sold {
                order: operation.command,
            }),
            Effect::Cancel { order } => Some(match self {
                Self::Sold { order: sold } if sold == order => Self::Free,
                Self::Sold { .. } | Self::Held { .. } | Self::Free => self,
            }),
            Effect::SeenSold => seen(matches!(self, Self::Sold { .. })),
            Effect::SeenHeldByOther(by) => seen(alive.is_some_and(|(_, it, _)| it != by)),
            Effect::SeenHeldBy(by) => seen(alive.is_some_and(|(_, it, _)| it == by)),
            Effect::SeenWithout { hold: wanted } => seen(match self {
                Self::Held { hold, until, .. } => hold != wanted || is_over(until),
                Self::Free | Self::Sold { .. } => true,
            }),
            Effect::Is(Self::Free) => seen(is_free),
            Effect::Is(state @ Self::Sold { .. }) => seen(self == state),
            Effect::Is(Self::Held { hold: wanted, .. }) => {
                seen(matches!(self, Self::Held { hold, .. } if hold == wanted))
            }
        }
    }
}

fn undecided(why: &str, operation: &Operation) -> Contradiction {
    Contradiction {
        kind: Kind::Undecided,
        words: format!("{why} at command {}", operation.command.0),
    }
}

/// Says which answer has no place in any order, what the ticket may have been, and what was asked of it around that time.
fn no_order(
    operations: &[Operation],
    failed: usize,
    before: &HashSet<Configuration>,
) -> Contradiction {
    let failing = &operations[failed];
    let mut around: Vec<&Operation> = operations
        .iter()
        .filter(|it| it.from <= failing.to && it.changes())
        .collect();
    around.sort_by_key(|it| it.to);
    let told = around.iter().rev().take(TOLD_MAX).rev();
    let told: Vec<String> = told.map(|it| it.words(failing.from)).collect();
    let mut states: Vec<String> = before
        .iter()
        .map(|(state, _)| format!("{state:?}"))
        .collect();
    states.sort();
    states.dedup();
    states.truncate(TOLD_MAX);
    Contradiction {
        kind: Kind::NotLinearizable,
        words: format!(
            "no order explains {}; by then the ticket was one of [{}]; before, in microseconds: {}",
            failing.words(failing.from),
            states.join(", "),
            told.join("; ")
        ),
    }
}

impl Operation {
    /// Whether it may have changed the ticket, rather than only seen it.
    fn changes(&self) -> bool {
        match self.effect {
            Effect::Hold { .. }
            | Effect::Extend { .. }
            | Effect::Release { .. }
            | Effect::BuyHold { .. }
            | Effect::Buy
            | Effect::Cancel { .. } => true,
            Effect::SeenSold
            | Effect::SeenHeldByOther(_)
            | Effect::SeenHeldBy(_)
            | Effect::SeenWithout { .. }
            | Effect::Is(_) => false,
        }
    }

    fn words(&self, since: Micros) -> String {
        format!(
            "command {} {:?} [{}..{}]",
            self.command.0,
            self.effect,
            self.from - since,
            self.to - since
        )
    }
}
