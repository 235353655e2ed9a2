//! What was asked, and what was answered: nothing here comes from the database.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rowlock::ids::{HoldId, OrderId, OrderItemId, TicketId};

/// Microseconds since 1970, by a clock that never goes back.
pub type Micros = i64;

/// The clock of a history: the machine's, read once, and what has passed since. The database on this machine, by whose clock
/// holds end, agrees with it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Micros,
}

/// A command of a history, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub usize);

/// A customer, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerNo(pub usize);

/// Everything that customers asked of one event, and what they were told.
#[derive(Clone, Debug)]
pub struct History {
    pub limits: Limits,
    /// The event's tickets, all of one type.
    pub tickets: Vec<TicketId>,
    pub commands: BTreeMap<CommandId, Command>,
}

/// What the event allows one customer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub tickets_per_customer_max: usize,
    pub held_per_customer_max: usize,
}

/// Something that a customer wants done once, under one key, however often it is asked for.
#[derive(Clone, Debug)]
pub struct Command {
    pub customer: CustomerNo,
    pub key: String,
    pub action: Action,
    /// In the order in which they were made; none begins before the one before has ended.
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Hold(Want),
    Extend {
        hold: CommandId,
    },
    Release {
        hold: CommandId,
        /// None for all.
        tickets: Option<Vec<TicketId>>,
    },
    BuyHold {
        hold: CommandId,
    },
    Buy(Want),
    Cancel {
        /// What placed the order.
        order: CommandId,
        /// None for all.
        tickets: Option<Vec<TicketId>>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    Tickets(Vec<TicketId>),
    Any(usize),
}

/// One request, and its answer.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub purpose: Purpose,
    pub asked: Micros,
    /// When the answer was there, or the customer gave up.
    pub answered: Micros,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To have it done.
    Do,
    /// It was done, and is asked for again: nothing may come of it but the same answer.
    Repeat,
    /// The key of what was done, with something else: nothing may come of it at all.
    ReuseKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Order(ToldOrder),
    Hold(ToldHold),
    /// Nothing happened, and why.
    Refused(Vec<Reason>),
    /// Nothing happened, by the code of a fault.
    Nothing(String),
    /// Nobody knows yet: it may have happened, and may still.
    Unknown(String),
}

/// An order as its customer was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldOrder {
    pub id: OrderId,
    pub items: Vec<ToldItem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldItem {
    pub id: OrderItemId,
    pub ticket: TicketId,
    /// None once it is cancelled.
    pub code: Option<String>,
}

/// A hold as its customer was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldHold {
    pub id: HoldId,
    pub until: Micros,
    pub tickets: Vec<TicketId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: String,
    /// The ticket that is to blame, if one is.
    pub ticket: Option<TicketId>,
}

impl Clock {
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            began: Instant::now(),
            began_at: Micros::try_from(since.as_micros()).unwrap(),
        }
    }

    pub fn now(&self) -> Micros {
        self.began_at + Micros::try_from(self.began.elapsed().as_micros()).unwrap()
    }
}

impl History {
    /// Every request that was made.
    pub fn attempts_len(&self) -> usize {
        self.commands.values().map(|it| it.attempts.len()).sum()
    }
}

impl Want {
    pub fn quantity(&self) -> usize {
        match self {
            Self::Tickets(tickets) => tickets.len(),
            Self::Any(quantity) => *quantity,
        }
    }
}

impl Action {
    /// The mutation's name.
    pub fn mutation(&self) -> &'static str {
        match self {
            Self::Hold(_) => "holdTickets",
            Self::Extend { .. } => "extendHold",
            Self::Release { .. } => "releaseHold",
            Self::BuyHold { .. } => "purchaseHold",
            Self::Buy(Want::Tickets(tickets)) if tickets.len() == 1 => "purchaseTicket",
            Self::Buy(_) => "purchaseTickets",
            Self::Cancel { .. } => "cancelOrder",
        }
    }

    /// Whether it is answered with a hold; an order otherwise.
    pub fn is_of_hold(&self) -> bool {
        match self {
            Self::Hold(_) | Self::Extend { .. } | Self::Release { .. } => true,
            Self::BuyHold { .. } | Self::Buy(_) | Self::Cancel { .. } => false,
        }
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        match self {
            Self::Order(_) | Self::Hold(_) => true,
            Self::Refused(_) | Self::Nothing(_) | Self::Unknown(_) => false,
        }
    }

    /// What the report counts it as.
    pub fn word(&self) -> &str {
        match self {
            Self::Order(_) | Self::Hold(_) => "done",
            Self::Refused(reasons) => reasons.first().map_or("refused", |reason| &reason.code),
            Self::Nothing(code) | Self::Unknown(code) => code,
        }
    }
}
