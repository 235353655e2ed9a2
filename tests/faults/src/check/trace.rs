//! What happened to each ticket, by the answers; of what stayed in doubt, by the tables.

use std::collections::HashMap;

use rowlock::{
    entity::ticket::Status,
    ids::{HoldId, OrderId, TicketId},
};
use uuid::Uuid;

use super::{
    fate::{self, Fate},
    register::{Effect, Operation, State, Trace},
};
use crate::{
    history::{Action, Answer, Command, CommandId, History, Micros, Purpose, Reason, Want},
    tables::Tables,
};

/// What a command became, as far as tickets are concerned.
pub struct Became {
    pub from: Micros,
    pub to: Micros,
    /// The order or the hold.
    pub id: Uuid,
    /// Of a purchase those of the order, of a hold those that it began with, of what changes a hold or an order those that it
    /// changed.
    pub tickets: Vec<TicketId>,
    /// Of what is answered with a hold.
    pub until: Option<Micros>,
    /// By an answer, not by the tables.
    pub is_told: bool,
}

/// A history with what its tables tell of what was in doubt.
pub struct Reading<'h> {
    history: &'h History,
    tables: &'h Tables,
    pub became: HashMap<CommandId, Became>,
}

pub fn of(history: &History, tables: &Tables) -> Trace {
    let reading = Reading::new(history, tables);
    let mut trace: Trace = history.tickets.iter().map(|id| (*id, vec![])).collect();
    let mut add = |ticket: TicketId, operation: Operation| {
        trace.entry(ticket).or_default().push(operation);
    };
    for (id, command) in &history.commands {
        if let Some(became) = reading.became.get(id) {
            for ticket in &became.tickets {
                if let Some(effect) = effect(command, became, *ticket) {
                    let operation = Operation {
                        command: *id,
                        from: became.from,
                        to: became.to,
                        effect,
                    };
                    add(*ticket, operation);
                }
            }
        }
        for (ticket, operation) in reading.seen(*id, command) {
            add(ticket, operation);
        }
    }
    for (ticket, state) in reading.ends() {
        let operation = Operation {
            command: CommandId(usize::MAX),
            from: tables.read_at,
            to: tables.read_at,
            effect: Effect::Is(state),
        };
        add(ticket, operation);
    }
    trace
}

fn effect(command: &Command, became: &Became, ticket: TicketId) -> Option<Effect> {
    let customer = command.customer;
    Some(match &command.action {
        Action::Hold(_) => Effect::Hold {
            customer,
            until: became.until?,
        },
        Action::Extend { hold } => Effect::Extend {
            hold: *hold,
            until: became.until?,
            is_told: became.is_told,
        },
        Action::Release { hold, tickets } => Effect::Release {
            hold: *hold,
            is_named: tickets
                .as_ref()
                .is_some_and(|named| named.contains(&ticket)),
        },
        Action::BuyHold { hold } => Effect::BuyHold { hold: *hold },
        Action::Buy(_) => Effect::Buy,
        Action::Cancel { order, .. } => Effect::Cancel { order: *order },
    })
}

impl<'h> Reading<'h> {
    pub fn new(history: &'h History, tables: &'h Tables) -> Self {
        let mut reading = Self {
            history,
            tables,
            became: HashMap::new(),
        };
        // A command comes after those that it speaks of.
        for (id, command) in &history.commands {
            if let Some(became) = reading.read(command) {
                reading.became.insert(*id, became);
            }
        }
        reading
    }

    fn read(&self, command: &Command) -> Option<Became> {
        match fate::of(command) {
            Fate::Done { answer, from, to } => Some(self.told(command, answer, from, to)),
            Fate::InDoubt { from } => self.found(command, from),
            Fate::NotDone => None,
        }
    }

    fn told(&self, command: &Command, answer: &Answer, from: Micros, to: Micros) -> Became {
        let (id, told, until) = match answer {
            Answer::Order(order) => {
                let tickets = order.items.iter().map(|item| item.ticket).collect();
                (order.id.0, tickets, None)
            }
            Answer::Hold(hold) => (hold.id.0, hold.tickets.clone(), Some(hold.until)),
            Answer::Refused(_) | Answer::Nothing(_) | Answer::Unknown(_) => {
                unreachable!("what is done was answered with an order or a hold")
            }
        };
        let tickets = match &command.action {
            Action::Hold(want) => self.held(want, told, HoldId(id)),
            // Asked for again, a hold is told as it is by then: what it has then it had before too.
            Action::Extend { .. } | Action::BuyHold { .. } | Action::Buy(_) => told,
            Action::Release { hold, tickets } => self.released(*hold, tickets.as_deref(), &told),
            Action::Cancel { tickets, .. } => tickets.clone().unwrap_or(told),
        };
        Became {
            from,
            to,
            id,
            tickets,
            until,
            is_told: true,
        }
    }

    /// What was in doubt, if its key did something after all.
    fn found(&self, command: &Command, from: Micros) -> Option<Became> {
        let key = (command.customer, command.key.clone());
        let id = *self.tables.keys.get(&key)?;
        let order = || {
            let items = self.tables.orders.get(&OrderId(id));
            let tickets = items.map(|order| order.items.iter().map(|item| item.ticket).collect());
            tickets.unwrap_or_default()
        };
        let tickets = match &command.action {
            Action::Hold(want) => self.held(want, vec![], HoldId(id)),
            Action::Extend { hold } => self.released(*hold, None, &[]),
            Action::Release { hold, tickets } => self.released(*hold, tickets.as_deref(), &[]),
            Action::BuyHold { .. } | Action::Buy(_) => order(),
            Action::Cancel { tickets, .. } => tickets.clone().unwrap_or_else(order),
        };
        Some(Became {
            from,
            to: self.tables.read_at,
            id,
            tickets,
            until: self.tables.holds.get(&HoldId(id)).map(|hold| hold.until),
            is_told: false,
        })
    }

    /// What a hold began with. One that has ended by the time when it is told has no tickets any more, and which those were
    /// that it picked is in the log alone.
    fn held(&self, want: &Want, told: Vec<TicketId>, id: HoldId) -> Vec<TicketId> {
        match want {
            Want::Tickets(named) => named.clone(),
            Want::Any(quantity) if told.len() == *quantity => told,
            Want::Any(_) => {
                let taken = self
                    .tables
                    .log
                    .iter()
                    .filter(|change| change.to == Status::Held && change.hold == Some(id));
                taken.map(|change| change.ticket).collect()
            }
        }
    }

    /// What a release may have given back: what it named, or whatever the hold began with and has no more.
    fn released(
        &self,
        hold: CommandId,
        named: Option<&[TicketId]>,
        kept: &[TicketId],
    ) -> Vec<TicketId> {
        if let Some(named) = named {
            return named.to_vec();
        }
        let had = self.became.get(&hold);
        let had = had.iter().flat_map(|became| &became.tickets);
        had.filter(|ticket| !kept.contains(ticket))
            .copied()
            .collect()
    }

    /// What refusals say of tickets.
    fn seen(&self, id: CommandId, command: &'h Command) -> Vec<(TicketId, Operation)> {
        let mut seen = Vec::new();
        for attempt in &command.attempts {
            let (Purpose::Do, Answer::Refused(reasons)) = (attempt.purpose, &attempt.answer) else {
                continue;
            };
            for (ticket, effect) in reasons
                .iter()
                .flat_map(|reason| self.seen_by(command, reason))
            {
                let operation = Operation {
                    command: id,
                    from: attempt.asked,
                    to: attempt.answered,
                    effect,
                };
                seen.push((ticket, operation));
            }
        }
        seen
    }

    fn seen_by(&self, command: &Command, reason: &Reason) -> Vec<(TicketId, Effect)> {
        let customer = command.customer;
        let of_ticket = |effect| reason.ticket.map(|ticket| (ticket, effect));
        let named = match reason.code.as_str() {
            "ALREADY_SOLD" => of_ticket(Effect::SeenSold),
            "HELD" => of_ticket(Effect::SeenHeldByOther(customer)),
            "HELD_BY_YOU" => of_ticket(Effect::SeenHeldBy(customer)),
            _ => None,
        };
        if let Some(named) = named {
            return vec![named];
        }
        let hold = match (&command.action, reason.code.as_str()) {
            (
                Action::Extend { hold } | Action::Release { hold, .. } | Action::BuyHold { hold },
                "HOLD_EXPIRED" | "HOLD_RELEASED" | "HOLD_PURCHASED",
            ) => *hold,
            _ => return vec![],
        };
        let had = self.became.get(&hold);
        had.iter()
            .flat_map(|became| &became.tickets)
            .map(|ticket| (*ticket, Effect::SeenWithout { hold }))
            .collect()
    }

    /// What each ticket is at the end, by its row. An owner or holder that no command has become is told by
    /// [`super::promises`].
    fn ends(&self) -> Vec<(TicketId, State)> {
        let maker_of: HashMap<Uuid, CommandId> = self
            .became
            .iter()
            .filter(|(id, _)| match self.history.commands[id].action {
                Action::Hold(_) | Action::Buy(_) | Action::BuyHold { .. } => true,
                Action::Extend { .. } | Action::Release { .. } | Action::Cancel { .. } => false,
            })
            .map(|(id, became)| (became.id, *id))
            .collect();
        let mut owner_of: HashMap<TicketId, Uuid> = HashMap::new();
        for (order, row) in &self.tables.orders {
            let active = row.items.iter().filter(|item| item.is_active);
            owner_of.extend(active.map(|item| (item.ticket, order.0)));
        }
        let maker = |id: Option<Uuid>| id.and_then(|id| maker_of.get(&id).copied());
        self.history
            .tickets
            .iter()
            .filter_map(|ticket| {
                let row = self.tables.tickets.get(ticket)?;
                let state = match row.status {
                    Status::Available => State::Free,
                    Status::Held => {
                        let hold = maker(row.hold.map(|hold| hold.0))?;
                        State::Held {
                            hold,
                            customer: self.history.commands[&hold].customer,
                            until: row.held_until?,
                        }
                    }
                    Status::Sold => State::Sold {
                        order: maker(owner_of.get(ticket).copied())?,
                    },
                    Status::Blocked => return None,
                };
                Some((*ticket, state))
            })
            .collect()
    }
}
