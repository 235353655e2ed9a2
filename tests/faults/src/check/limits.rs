//! What one customer may have, and refusals that say that there was not enough.
//!
//! When exactly a ticket changed hands is not known, but between which moments. A limit is exceeded when a customer
//! *certainly* had more; a refusal is without reason when not even what customers *possibly* had explains it.

use std::collections::HashMap;

use rowlock::ids::TicketId;

use super::{
    Kind, SLACK, Violation,
    trace::{Became, Reading},
};
use crate::{
    history::{Action, Answer, Command, CommandId, CustomerNo, History, Micros, Purpose},
    tables::Tables,
};

/// A customer has a ticket, as a hold's or an order's.
#[derive(Clone, Copy, Debug)]
struct Claim {
    customer: CustomerNo,
    ticket: TicketId,
    is_held: bool,
    /// Certainly from here …
    sure_from: Micros,
    /// … to here, if that is later.
    sure_to: Micros,
    /// Possibly from here …
    may_from: Micros,
    /// … to here.
    may_to: Micros,
}

pub fn check(history: &History, tables: &Tables) -> Vec<Violation> {
    let reading = Reading::new(history, tables);
    let claims = claims(history, &reading);
    let mut of_customer: HashMap<CustomerNo, Vec<Claim>> = HashMap::new();
    for claim in &claims {
        of_customer.entry(claim.customer).or_default().push(*claim);
    }
    let mut violations = exceeded(history, &of_customer);
    let by_second = BySecond::new(&claims, tables.read_at);
    violations.extend(without_reason(history, &by_second, &of_customer));
    violations
}

fn claims(history: &History, reading: &Reading<'_>) -> Vec<Claim> {
    let ends = Ends::new(history, reading);
    let mut claims = Vec::new();
    for (id, became) in &reading.became {
        let command = &history.commands[id];
        let is_held = match command.action {
            Action::Hold(_) => true,
            Action::Buy(_) | Action::BuyHold { .. } => false,
            Action::Extend { .. } | Action::Release { .. } | Action::Cancel { .. } => continue,
        };
        for ticket in &became.tickets {
            let (sure_to, may_to) = ends.of(*id, *ticket, became);
            claims.push(Claim {
                customer: command.customer,
                ticket: *ticket,
                is_held,
                sure_from: became.to,
                sure_to,
                may_from: became.from,
                may_to,
            });
        }
    }
    claims
}

/// When claims end, by the commands that end them.
struct Ends {
    /// The earliest and the latest moment at which a hold's or an order's ticket may have been given up by a command.
    given_up: HashMap<(CommandId, TicketId), (Micros, Micros)>,
    /// Until when a hold lasts at most, by its last extension.
    until: HashMap<CommandId, Micros>,
}

impl Ends {
    fn new(history: &History, reading: &Reading<'_>) -> Self {
        let mut ends = Self {
            given_up: HashMap::new(),
            until: HashMap::new(),
        };
        for (id, became) in &reading.became {
            let command = &history.commands[id];
            match &command.action {
                Action::Hold(_) => ends.lasts(*id, became),
                Action::Extend { hold } => ends.lasts(*hold, became),
                Action::Release { hold, .. } | Action::BuyHold { hold } => {
                    ends.gives_up(*hold, became);
                }
                Action::Cancel { order, .. } => ends.gives_up(*order, became),
                Action::Buy(_) => {}
            }
        }
        ends
    }

    fn lasts(&mut self, hold: CommandId, became: &Became) {
        let until = self.until.entry(hold).or_insert(Micros::MIN);
        *until = became.until.unwrap_or(Micros::MAX).max(*until);
    }

    fn gives_up(&mut self, claim: CommandId, became: &Became) {
        for ticket in &became.tickets {
            let (earliest, latest) = self
                .given_up
                .entry((claim, *ticket))
                .or_insert((Micros::MAX, Micros::MIN));
            *earliest = became.from.min(*earliest);
            *latest = became.to.max(*latest);
        }
    }

    /// When a claim ends certainly not before, and certainly not after.
    fn of(&self, id: CommandId, ticket: TicketId, became: &Became) -> (Micros, Micros) {
        let given_up = self.given_up.get(&(id, ticket));
        let (earliest, latest) = given_up.copied().unwrap_or((Micros::MAX, Micros::MAX));
        let Some(until) = self.until.get(&id) else {
            return (earliest, latest);
        };
        // Before it was extended it was to end as it was first told.
        let first_until = became.until.unwrap_or(*until);
        (
            earliest.min(first_until - SLACK),
            latest.min(*until + SLACK),
        )
    }
}

/// The most claims that a customer certainly had at one time.
fn most_at_a_time<'c>(claims: impl Iterator<Item = &'c Claim>) -> usize {
    let mut moments = Vec::new();
    for claim in claims.filter(|claim| claim.sure_from < claim.sure_to) {
        moments.push((claim.sure_from, 1));
        moments.push((claim.sure_to, -1));
    }
    moments.sort_unstable();
    let (mut now, mut most) = (0_isize, 0_isize);
    for (_, change) in moments {
        now += change;
        most = most.max(now);
    }
    most.unsigned_abs()
}

fn exceeded(history: &History, of_customer: &HashMap<CustomerNo, Vec<Claim>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (customer, claims) in of_customer {
        let owned_and_held = most_at_a_time(claims.iter());
        let held = most_at_a_time(claims.iter().filter(|claim| claim.is_held));
        let limits = history.limits;
        for (had, max, what) in [
            (
                owned_and_held,
                limits.tickets_per_customer_max,
                "owned and held",
            ),
            (held, limits.held_per_customer_max, "held"),
        ] {
            if had > max {
                let words = format!("customer {} {what} {had} of {max} tickets", customer.0);
                violations.push(Violation::new(Kind::LimitExceeded, words));
            }
        }
    }
    violations
}

fn without_reason(
    history: &History,
    claims: &BySecond<'_>,
    of_customer: &HashMap<CustomerNo, Vec<Claim>>,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (id, command) in &history.commands {
        for attempt in &command.attempts {
            let (Purpose::Do, Answer::Refused(reasons)) = (attempt.purpose, &attempt.answer) else {
                continue;
            };
            let Some(code) = reasons.first().map(|reason| reason.code.as_str()) else {
                continue;
            };
            let during = |claim: &&Claim| {
                claim.may_from <= attempt.answered && claim.may_to >= attempt.asked
            };
            let own = || of_customer.get(&command.customer).into_iter().flatten();
            let wanted = wanted(command);
            let limits = history.limits;
            let is_explained = match code {
                "CUSTOMER_LIMIT" => {
                    own().filter(during).count() + wanted > limits.tickets_per_customer_max
                }
                "TOO_MANY_HELD" => {
                    let held = own().filter(|claim| claim.is_held).filter(during).count();
                    held + wanted > limits.held_per_customer_max
                }
                "NOT_ENOUGH_LEFT" => {
                    let taken = claims.taken(attempt.asked, attempt.answered);
                    history.tickets.len() < taken + wanted
                }
                _ => true,
            };
            if !is_explained {
                let words = format!("command {}: {code}, which cannot have been", id.0);
                violations.push(Violation::new(Kind::RefusedWithoutReason, words));
            }
        }
    }
    violations
}

/// Claims by the seconds in which they may have been, so that few are looked at for each refusal.
struct BySecond<'c>(HashMap<Micros, Vec<&'c Claim>>);

const SECOND: Micros = 1_000_000;

impl<'c> BySecond<'c> {
    fn new(claims: &'c [Claim], end: Micros) -> Self {
        let mut seconds: HashMap<Micros, Vec<&Claim>> = HashMap::new();
        for claim in claims {
            for second in claim.may_from / SECOND..=claim.may_to.min(end) / SECOND {
                seconds.entry(second).or_default().push(claim);
            }
        }
        Self(seconds)
    }

    /// Tickets that somebody may have had meanwhile.
    fn taken(&self, from: Micros, to: Micros) -> usize {
        let mut tickets: Vec<TicketId> = (from / SECOND..=to / SECOND)
            .filter_map(|second| self.0.get(&second))
            .flatten()
            .filter(|claim| claim.may_from <= to && claim.may_to >= from)
            .map(|claim| claim.ticket)
            .collect();
        tickets.sort_unstable();
        tickets.dedup();
        tickets.len()
    }
}

/// How many tickets more a command asks for.
fn wanted(command: &Command) -> usize {
    match &command.action {
        Action::Hold(want) | Action::Buy(want) => want.quantity(),
        // What is bought of a hold is held already.
        Action::BuyHold { .. }
        | Action::Extend { .. }
        | Action::Release { .. }
        | Action::Cancel { .. } => 0,
    }
}
