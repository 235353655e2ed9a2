//! Customers who want, hold, extend, give back, buy and cancel at random, and ask again under the same key until they know
//! what became of it.
//!
//! What a customer asks for next is drawn from the seed and from what they were told so far. Each is recorded with every
//! attempt; nothing is judged here.

mod draw;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rowlock::ids::{EventId, HoldId, OrderId, OrderItemId, TicketId, TicketTypeId};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    caller::{self, Caller, Request},
    history::{
        Action, Answer, Attempt, Clock, Command, CommandId, CustomerNo, History, Limits, Purpose,
        Want,
    },
    stage::Doors,
    tables::subject_of,
};

/// A customer waits no longer for an answer: less than a stopped or cut off server may take, so that the same key comes again
/// while the first request is still on its way.
const PATIENCE: Duration = Duration::from_secs(4);

/// A command whose outcome is unknown is asked for again for so long, and after that it stays in doubt. Whatever is broken is
/// healed sooner.
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// Between two attempts, at most.
const PAUSE_MAX: Duration = Duration::from_millis(800);

/// Between two commands of one customer, at most.
const THINKING_MAX: Duration = Duration::from_millis(20);

/// Of what was done, so many in a hundred are asked for again, and so many keys are tried with something else.
const REPEATED_PERCENT: u32 = 8;
const REUSED_PERCENT: u32 = 3;

/// So many in a hundred ask for two things at once.
const SIDE_BY_SIDE_PERCENT: u32 = 15;

/// What is sold.
#[derive(Clone, Debug)]
pub struct Hall {
    pub event: EventId,
    pub ticket_type: TicketTypeId,
    pub tickets: Vec<TicketId>,
    pub limits: Limits,
}

/// Customers at work, until they are told to stop.
pub struct Workload {
    crowd: Arc<Crowd>,
    customers: JoinSet<Vec<(CommandId, Command)>>,
}

/// What the customers share.
struct Crowd {
    hall: Hall,
    doors: Arc<Doors>,
    clock: Clock,
    commands_len: AtomicUsize,
    attempts_len: AtomicUsize,
    is_over: AtomicBool,
}

/// What a customer was told to have.
#[derive(Clone, Debug, Default)]
struct Mine {
    holds: Vec<MyHold>,
    orders: Vec<MyOrder>,
}

#[derive(Clone, Debug)]
struct MyHold {
    made_by: CommandId,
    id: HoldId,
    tickets: Vec<TicketId>,
}

#[derive(Clone, Debug)]
struct MyOrder {
    made_by: CommandId,
    id: OrderId,
    items: Vec<(OrderItemId, TicketId)>,
}

struct Customer {
    number: CustomerNo,
    caller: Caller,
    crowd: Arc<Crowd>,
    mine: Mine,
    done: Vec<(CommandId, Command)>,
}

impl Workload {
    pub fn start(seed: u64, customers: usize, hall: Hall, doors: Arc<Doors>, clock: Clock) -> Self {
        let crowd = Arc::new(Crowd {
            hall,
            doors,
            clock,
            commands_len: AtomicUsize::new(0),
            attempts_len: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let machine = Caller::new("nobody", PATIENCE);
        let customers = (0..customers).map(|number| {
            let number = CustomerNo(number);
            let customer = Customer {
                number,
                caller: machine.with_subject(&subject_of(number)),
                crowd: Arc::clone(&crowd),
                mine: Mine::default(),
                done: Vec::new(),
            };
            let random = StdRng::seed_from_u64(seed ^ ((number.0 as u64) << 32));
            customer.visit(random)
        });
        Self {
            customers: customers.collect(),
            crowd,
        }
    }

    /// Requests so far.
    pub fn attempts_len(&self) -> usize {
        self.crowd.attempts_len.load(Ordering::Relaxed)
    }

    /// Lets the customers settle what they have begun, and gives everything that was asked and answered.
    pub async fn end(self) -> History {
        self.crowd.is_over.store(true, Ordering::Relaxed);
        let done = self.customers.join_all().await;
        let commands: BTreeMap<CommandId, Command> = done.into_iter().flatten().collect();
        History {
            limits: self.crowd.hall.limits,
            tickets: self.crowd.hall.tickets.clone(),
            commands,
        }
    }
}

impl Customer {
    async fn visit(mut self, mut random: StdRng) -> Vec<(CommandId, Command)> {
        while !self.crowd.is_over.load(Ordering::Relaxed) {
            let is_side_by_side = random.random_ratio(SIDE_BY_SIDE_PERCENT, 100);
            let first = draw::action(&mut random, &self.mine, &self.crowd.hall);
            if is_side_by_side {
                let second = draw::action(&mut random, &self.mine, &self.crowd.hall);
                let mut beside = StdRng::seed_from_u64(random.random());
                let both = tokio::join!(
                    self.carry_out(&mut random, first),
                    self.carry_out(&mut beside, second)
                );
                self.remember(both.0);
                self.remember(both.1);
            } else {
                let done = self.carry_out(&mut random, first).await;
                self.remember(done);
            }
            let thinking = THINKING_MAX.mul_f64(random.random());
            tokio::time::sleep(thinking).await;
        }
        self.done
    }

    /// Has something done once, however often it takes.
    async fn carry_out(&self, random: &mut StdRng, action: Action) -> (CommandId, Command) {
        let id = CommandId(self.crowd.commands_len.fetch_add(1, Ordering::Relaxed));
        let mut command = Command {
            customer: self.number,
            key: format!("{}", id.0),
            action,
            attempts: Vec::new(),
        };
        let request = self.request(&command.action, &command.key);
        let begun = Instant::now();
        let mut is_in_doubt = false;
        let mut pauses = 0;
        loop {
            let attempt = self.attempt(random, Purpose::Do, &request).await;
            let is_over = match &attempt.answer {
                Answer::Order(_) | Answer::Hold(_) => true,
                Answer::Refused(reasons) => {
                    !is_in_doubt || reasons.iter().all(|reason| reason.code != "CONTENDED")
                }
                Answer::Nothing(_) => !is_in_doubt,
                Answer::Unknown(_) => {
                    is_in_doubt = true;
                    false
                }
            };
            let is_done = attempt.answer.is_success();
            command.attempts.push(attempt);
            if is_over || begun.elapsed() > SETTLE_MAX {
                if is_done {
                    self.try_key(random, &mut command, &request).await;
                }
                return (id, command);
            }
            pauses += 1;
            let pause = Duration::from_millis(40) * pauses;
            tokio::time::sleep(pause.min(PAUSE_MAX).mul_f64(random.random_range(0.5..1.0))).await;
        }
    }

    /// Asks again for what was done, or for something else under its key.
    async fn try_key(&self, random: &mut StdRng, command: &mut Command, request: &Request) {
        if random.random_ratio(REPEATED_PERCENT, 100) {
            let repeat = self.attempt(random, Purpose::Repeat, request).await;
            command.attempts.push(repeat);
        }
        if random.random_ratio(REUSED_PERCENT, 100) {
            // Nobody can buy so many at once, and nobody has asked for it.
            let other = Action::Buy(Want::Any(draw::TICKETS_MAX + 1));
            let other = self.request(&other, &command.key);
            let reuse = self.attempt(random, Purpose::ReuseKey, &other).await;
            command.attempts.push(reuse);
        }
    }

    async fn attempt(&self, random: &mut StdRng, purpose: Purpose, request: &Request) -> Attempt {
        let door = self.crowd.doors.url(random.random());
        let asked = self.crowd.clock.now();
        let answer = self.caller.ask(&door, request).await;
        self.crowd.attempts_len.fetch_add(1, Ordering::Relaxed);
        Attempt {
            purpose,
            asked,
            answered: self.crowd.clock.now(),
            answer,
        }
    }

    fn request(&self, action: &Action, key: &str) -> Request {
        let Hall {
            event, ticket_type, ..
        } = self.crowd.hall;
        let ids = |tickets: &[TicketId]| -> Vec<String> {
            let ids = tickets.iter();
            ids.map(|ticket| caller::ticket(event, *ticket)).collect()
        };
        let mut named = Vec::new();
        let mut input = match action {
            Action::Buy(Want::Tickets(tickets)) if tickets.len() == 1 => {
                named.clone_from(tickets);
                json!({ "ticketId": caller::ticket(event, tickets[0]) })
            }
            Action::Buy(Want::Tickets(tickets)) | Action::Hold(Want::Tickets(tickets)) => {
                named.clone_from(tickets);
                json!({ "tickets": { "ids": ids(tickets) } })
            }
            Action::Buy(Want::Any(quantity)) | Action::Hold(Want::Any(quantity)) => {
                let ticket_type = caller::ticket_type(event, ticket_type);
                json!({ "tickets": { "anyOf": { "ticketTypeId": ticket_type, "quantity": quantity } } })
            }
            Action::Extend { hold } | Action::BuyHold { hold } => {
                json!({ "holdId": self.hold_id(*hold) })
            }
            Action::Release { hold, tickets } => {
                named = tickets.clone().unwrap_or_default();
                json!({ "holdId": self.hold_id(*hold), "ticketIds": tickets.as_deref().map(ids) })
            }
            Action::Cancel { order, tickets } => {
                let mine = self.order(*order);
                let items = tickets.as_ref().map(|tickets| -> Vec<String> {
                    let items = mine.items.iter().filter(|(_, it)| tickets.contains(it));
                    items
                        .map(|(item, _)| caller::order_item(event, *item))
                        .collect()
                });
                json!({ "orderId": caller::order(event, mine.id), "itemIds": items })
            }
        };
        input["idempotencyKey"] = Value::from(key);
        Request {
            mutation: action.mutation(),
            input,
            tickets: named,
        }
    }

    fn hold_id(&self, made_by: CommandId) -> String {
        let hold = self.mine.holds.iter().find(|hold| hold.made_by == made_by);
        let hold = hold.expect("a customer speaks of a hold that they were told of");
        caller::hold(self.crowd.hall.event, hold.id)
    }

    fn order(&self, made_by: CommandId) -> &MyOrder {
        let mut orders = self.mine.orders.iter();
        let order = orders.find(|order| order.made_by == made_by);
        order.expect("a customer speaks of an order that they were told of")
    }

    /// Keeps what was told, and forgets what is given up.
    fn remember(&mut self, (id, command): (CommandId, Command)) {
        let answers = command
            .attempts
            .iter()
            .filter(|it| it.purpose == Purpose::Do);
        let told = answers.map(|it| &it.answer).next_back();
        match (&command.action, told) {
            (Action::Hold(_), Some(Answer::Hold(hold))) => self.mine.holds.push(MyHold {
                made_by: id,
                id: hold.id,
                tickets: hold.tickets.clone(),
            }),
            (Action::Buy(_), Some(Answer::Order(order))) => self.mine.has_bought(id, order),
            (Action::BuyHold { hold }, Some(Answer::Order(order))) => {
                self.mine.holds.retain(|mine| mine.made_by != *hold);
                self.mine.has_bought(id, order);
            }
            (Action::Release { hold, tickets }, Some(Answer::Hold(_))) => {
                for mine in &mut self.mine.holds {
                    if mine.made_by == *hold {
                        let given_up = |ticket: &TicketId| {
                            tickets.as_ref().is_none_or(|them| them.contains(ticket))
                        };
                        mine.tickets.retain(|ticket| !given_up(ticket));
                    }
                }
                self.mine.holds.retain(|mine| !mine.tickets.is_empty());
            }
            (Action::Cancel { order, tickets }, Some(Answer::Order(_))) => {
                for mine in &mut self.mine.orders {
                    if mine.made_by == *order {
                        let cancelled = |ticket: &TicketId| {
                            tickets.as_ref().is_none_or(|them| them.contains(ticket))
                        };
                        mine.items.retain(|(_, ticket)| !cancelled(ticket));
                    }
                }
                self.mine.orders.retain(|mine| !mine.items.is_empty());
            }
            // The hold is over.
            (
                Action::Extend { hold } | Action::Release { hold, .. } | Action::BuyHold { hold },
                Some(Answer::Refused(reasons)),
            ) if reasons
                .iter()
                .any(|reason| reason.code.starts_with("HOLD_EXP")) =>
            {
                self.mine.holds.retain(|mine| mine.made_by != *hold);
            }
            _ => {}
        }
        self.done.push((id, command));
    }
}

impl Mine {
    fn has_bought(&mut self, made_by: CommandId, order: &crate::history::ToldOrder) {
        self.orders.push(MyOrder {
            made_by,
            id: order.id,
            items: order.items.iter().map(|it| (it.id, it.ticket)).collect(),
        });
    }
}
