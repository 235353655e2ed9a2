//! What was acknowledged is in the tables, all of it, and nothing else is; and keys do what they promise.

use std::collections::{BTreeSet, HashMap, HashSet};

use rowlock::ids::{HoldId, OrderId};
use uuid::Uuid;

use super::{
    Kind, Violation,
    fate::{self, Fate},
};
use crate::{
    history::{
        Action, Answer, Attempt, Command, CommandId, CustomerNo, History, Purpose, ToldHold,
        ToldOrder,
    },
    tables::Tables,
};

/// Refusals that deny what this customer was told to have, or what the event has.
const DENIALS: &[&str] = &[
    "NOT_YOUR_HOLD",
    "UNKNOWN_HOLD",
    "UNKNOWN_ITEM",
    "UNKNOWN_ORDER",
    "UNKNOWN_TICKET",
    "UNKNOWN_TICKET_TYPE",
];

pub fn check(history: &History, tables: &Tables) -> Vec<Violation> {
    let mut found = Found {
        tables,
        cancelled: cancelled(history),
        violations: vec![],
    };
    for (id, command) in &history.commands {
        found.answers(*id, command);
        found.repeats(*id, command);
        found.key(*id, command);
    }
    found.nothing_else(history);
    found.no_dead_hold();
    found.violations
}

struct Found<'h> {
    tables: &'h Tables,
    /// Whose cancellation was asked for, whatever came of it.
    cancelled: HashSet<CommandId>,
    violations: Vec<Violation>,
}

fn cancelled(history: &History) -> HashSet<CommandId> {
    let orders = history
        .commands
        .values()
        .filter_map(|command| match command.action {
            Action::Cancel { order, .. } => Some(order),
            Action::Hold(_)
            | Action::Extend { .. }
            | Action::Release { .. }
            | Action::BuyHold { .. }
            | Action::Buy(_) => None,
        });
    orders.collect()
}

impl Found<'_> {
    fn say(&mut self, kind: Kind, id: CommandId, words: &str) {
        let words = format!("command {}: {words}", id.0);
        self.violations.push(Violation::new(kind, words));
    }

    /// Everything that was acknowledged is there, and nothing was denied.
    fn answers(&mut self, id: CommandId, command: &Command) {
        for attempt in &command.attempts {
            match &attempt.answer {
                Answer::Order(order) => self.order(id, command, order),
                Answer::Hold(hold) => self.hold(id, command, hold),
                Answer::Refused(reasons) => {
                    let denial = reasons
                        .iter()
                        .find(|reason| DENIALS.contains(&reason.code.as_str()));
                    if let (Some(denial), Purpose::Do) = (denial, attempt.purpose) {
                        let words = format!("{} of what was acknowledged", denial.code);
                        self.say(Kind::AcknowledgedLost, id, &words);
                    }
                }
                Answer::Nothing(_) | Answer::Unknown(_) => {}
            }
        }
    }

    fn order(&mut self, id: CommandId, command: &Command, told: &ToldOrder) {
        let Some(row) = self.tables.orders.get(&told.id) else {
            return self.say(Kind::AcknowledgedLost, id, "its order is not there");
        };
        if row.customer != command.customer {
            self.say(Kind::AcknowledgedLost, id, "its order is somebody else's");
        }
        for item in &told.items {
            let Some(kept) = row.items.iter().find(|row| row.ticket == item.ticket) else {
                self.say(Kind::AcknowledgedLost, id, "a ticket of its order is gone");
                continue;
            };
            if item.code.as_ref().is_some_and(|code| *code != kept.code) {
                self.say(Kind::AcknowledgedLost, id, "an admission code is another");
            }
            if item.code.is_none() && kept.is_active {
                let words = "a cancelled ticket of its order is active again";
                self.say(Kind::AcknowledgedLost, id, words);
            }
            let is_bought = matches!(command.action, Action::Buy(_) | Action::BuyHold { .. });
            if is_bought && !kept.is_active && !self.cancelled.contains(&id) {
                let words = "a ticket of its order is cancelled, and nobody asked for that";
                self.say(Kind::AcknowledgedLost, id, words);
            }
        }
        if told.items.len() != row.items.len() {
            self.say(Kind::NotAllOrNothing, id, "its order has other tickets");
        }
        if let Action::Buy(want) = &command.action
            && want.quantity() != row.items.len()
        {
            let words = format!(
                "{} tickets were asked for and {} were sold",
                want.quantity(),
                row.items.len()
            );
            self.say(Kind::NotAllOrNothing, id, &words);
        }
    }

    fn hold(&mut self, id: CommandId, command: &Command, told: &ToldHold) {
        match self.tables.holds.get(&told.id) {
            None => self.say(Kind::AcknowledgedLost, id, "its hold is not there"),
            Some(row) if row.customer != command.customer => {
                self.say(Kind::AcknowledgedLost, id, "its hold is somebody else's");
            }
            // A hold that is bought has no end any more: an extension that was decided together with the purchase is not in its
            // row.
            Some(row) if row.order.is_none() && row.until < told.until => {
                let words = format!(
                    "its hold ends {} microseconds earlier than told: {command:?}",
                    told.until - row.until
                );
                self.say(Kind::AcknowledgedLost, id, &words);
            }
            Some(_) => {}
        }
    }

    /// A key that has done something answers with that, and does nothing else.
    fn repeats(&mut self, id: CommandId, command: &Command) {
        let mut first = None;
        for Attempt {
            purpose, answer, ..
        } in &command.attempts
        {
            match (purpose, answer) {
                (Purpose::ReuseKey, Answer::Order(_) | Answer::Hold(_)) => {
                    self.say(
                        Kind::ReusedKeyTaken,
                        id,
                        "its key did something else after it",
                    );
                }
                (Purpose::ReuseKey, Answer::Refused(reasons)) => {
                    let is_refused = |code: &str| code == "IDEMPOTENCY_KEY_REUSED" || code == BUSY;
                    if !reasons.iter().all(|reason| is_refused(&reason.code)) {
                        let words = format!("its key was looked at for something else: {answer:?}");
                        self.say(Kind::ReusedKeyTaken, id, &words);
                    }
                }
                (Purpose::Do | Purpose::Repeat, Answer::Order(_) | Answer::Hold(_)) => {
                    let told = told_id(answer);
                    if first.is_some_and(|first| Some(first) != told) {
                        self.say(Kind::RepeatDiffers, id, "its key was answered twice");
                    }
                    first = first.or(told);
                }
                (Purpose::Repeat, Answer::Refused(reasons)) => {
                    if reasons.iter().any(|reason| reason.code != BUSY) {
                        let words = format!("asked again, it was refused: {reasons:?}");
                        self.say(Kind::RepeatRefused, id, &words);
                    }
                }
                (Purpose::Do, Answer::Refused(_))
                | (_, Answer::Nothing(_) | Answer::Unknown(_)) => {}
            }
        }
    }

    /// Its key is bound to what was told, and to nothing if nothing can have happened.
    fn key(&mut self, id: CommandId, command: &Command) {
        let key = (command.customer, command.key.clone());
        let bound = self.tables.keys.get(&key);
        match (fate::of(command), bound) {
            (Fate::Done { answer, .. }, Some(bound)) => {
                if told_id(answer) != Some(*bound) {
                    self.say(
                        Kind::RepeatDiffers,
                        id,
                        "its key is bound to something else",
                    );
                }
            }
            (Fate::Done { .. }, None) => {
                self.say(Kind::AcknowledgedLost, id, "its key is bound to nothing");
            }
            (Fate::NotDone, Some(_)) => {
                self.say(Kind::Unasked, id, "it was refused, and done all the same");
            }
            (Fate::NotDone, None) | (Fate::InDoubt { .. }, _) => {}
        }
    }

    /// Every order and hold is what some command's key is bound to.
    fn nothing_else(&mut self, history: &History) {
        let mut asked: HashMap<Uuid, BTreeSet<CustomerNo>> = HashMap::new();
        for command in history.commands.values() {
            let key = (command.customer, command.key.clone());
            if let Some(id) = self.tables.keys.get(&key) {
                asked.entry(*id).or_default().insert(command.customer);
            }
        }
        let unasked = |id: Uuid, customer: CustomerNo| {
            !asked.get(&id).is_some_and(|by| by.contains(&customer))
        };
        let orders = self.tables.orders.iter();
        let orders = orders
            .filter(|(id, row)| unasked(id.0, row.customer))
            .map(|(OrderId(id), row)| format!("order {id} of customer {}", row.customer.0));
        let holds = self.tables.holds.iter();
        let holds = holds
            .filter(|(id, row)| unasked(id.0, row.customer))
            .map(|(HoldId(id), row)| format!("hold {id} of customer {}", row.customer.0));
        let mut words: Vec<String> = orders.chain(holds).collect();
        words.sort();
        let unasked = words.into_iter().map(|words| {
            Violation::new(Kind::Unasked, format!("{words} is no key's, or nobody's"))
        });
        self.violations.extend(unasked);
    }

    fn no_dead_hold(&mut self) {
        for (id, hold) in &self.tables.holds {
            let order = hold.order.and_then(|order| self.tables.orders.get(&order));
            if let Some(order) = order
                && order.placed_at >= hold.until
            {
                let words = format!(
                    "hold {id} was over for {} microseconds",
                    order.placed_at - hold.until
                );
                self.violations
                    .push(Violation::new(Kind::DeadHoldSold, words));
            }
        }
    }
}

/// Others were busy with this for too long: it says nothing of the key.
const BUSY: &str = "CONTENDED";

fn told_id(answer: &Answer) -> Option<Uuid> {
    match answer {
        Answer::Order(order) => Some(order.id.0),
        Answer::Hold(hold) => Some(hold.id.0),
        Answer::Refused(_) | Answer::Nothing(_) | Answer::Unknown(_) => None,
    }
}
