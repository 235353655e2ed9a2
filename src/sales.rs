//! Selling: the only writer of a ticket's status.
//!
//! A purchase is read in this order: the resolver makes a [`Command`] and calls [`Sales::carry_out`]; [`desk`] gathers it
//! with others into a batch; [`commit`] takes the batch through one transaction (gate, lock, read, decide, write, commit), in which [`decide`] says who gets what; what somebody else's lock keeps from being settled goes to
//! [`waiting`]. A task of the desk owns the transaction; a request owns only its reply slot.
//!
//! What staff ask for in bulk ([`cancel_event`], [`block`]) goes through transactions of its own, [`staff`]; what a server
//! does unasked, tidying, folding the counts of tickets and carrying out cancellations, is [`upkeep`]. What is
//! changed is written down in a [`journal`], for those who count tickets and those who follow them: [`number`] gives the latter
//! its order.

mod admission;
mod block;
mod cancel_event;
pub mod command;
mod commit;
mod counter;
mod customers;
pub mod decide;
mod desk;
mod entry;
mod erasure;
mod failure;
mod fold;
mod holds;
mod journal;
mod lane;
mod minted;
mod number;
mod orders;
mod reception;
mod slow;
mod sql;
mod staff;
mod sweep;
mod times;
mod upkeep;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use self::{
    admission::Admission,
    customers::Customers,
    desk::Desk,
    entry::{Arrival, Entry},
    lane::Lane,
    reception::Reception,
    staff::Staff,
};
pub use self::{
    admission::Full,
    block::{BlockRefusal, TicketBlock},
    cancel_event::{CancelEventRefusal, EventCancellation},
    command::{Action, Command, Malformed, Want},
    decide::{Done, HeldTickets, HoldEnd, PlacedOrder, Refusal},
    desk::Limits,
    erasure::EraseCode,
    holds::Standing,
    minted::Minted,
};
use crate::{
    live::{Live, Topic},
    metrics::Metrics,
    store::Store,
};

/// Seconds after which a refusal for want of a lock or of room may be tried again.
pub const RETRY_AFTER_SECS: u32 = 1;

/// A command that names no more tickets than this is small: it takes nothing from the room of the large ones.
const SMALL_COMMAND_TICKETS: usize = 10;

/// What the room of the large commands may be at most: some 160 MB of ids.
const ROOM_MAX: usize = 10_000_000;

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Done(Done),
    /// The idempotency key did this before: this is the order or the hold, as it is now.
    Repeated(Done),
    Refused(Vec<Refusal>),
    /// Somebody else had locked what was wanted for too long. Nothing happened.
    Contended,
}

/// Why a command has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleFault {
    /// Too many wait already. Nothing happened.
    Overloaded,
    /// The database is out of reach. Nothing happened.
    Unavailable,
    /// The connection was lost while committing, and the answer could not be found out in time: repeat with the same key.
    OutcomeUnknown,
    /// The database refuses to write this. Nothing happened.
    Internal,
}

/// A handle to the desk.
pub struct Sales {
    /// A permit for each ticket by which a command is large: many large orders must not fill the memory, nor keep small
    /// ones out.
    room: Arc<Semaphore>,
    /// For whom it is known who they are.
    queue: mpsc::Sender<Entry>,
    /// For everybody else.
    arrivals: mpsc::Sender<Arrival>,
    limits: Limits,
    admission: Arc<Admission>,
    /// Its own thread owns it: when that breaks down, whoever waits there must be told.
    desk: Weak<Desk>,
    store: Arc<Store>,
    customers: Arc<Customers>,
    staff: Arc<Staff>,
    close: Mutex<Option<oneshot::Sender<()>>>,
    ended: watch::Receiver<bool>,
    /// Ends the upkeep, also by being dropped.
    close_upkeep: watch::Sender<bool>,
    upkeep_ended: watch::Receiver<bool>,
    live: Arc<Live>,
}

impl Sales {
    /// Opens the desk and begins the upkeep: starts a thread for each.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn open(
        store: Arc<Store>,
        limits: Limits,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel(limits.queue_len_max);
        let (arrivals, callers) = mpsc::channel(limits.queue_len_max);
        let (close, closed) = oneshot::channel();
        let (close_desk, desk_closed) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let (live, hints) = Live::new();
        let customers = Arc::new(Customers::new());
        let reception = Reception::new(Arc::clone(&customers), queue.clone());
        let at_reception = Lane::new(Arc::clone(&store));
        let admission = Arc::new(Admission::new(limits.queue_wait_max, limits.batch_len_max));
        let desk = Desk::new(
            limits.clone(),
            Arc::clone(&admission),
            Arc::clone(&store),
            Arc::clone(&live),
            Arc::clone(metrics),
        );
        let at_desk = Arc::downgrade(&desk);
        let lanes = desk::lanes(&store);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || {
                // Dropped at the end, also when that is a panic: then the server must not go on as if it could sell.
                let _ending = Ending(ending);
                runtime.block_on(async {
                    tokio::join!(
                        reception.serve(at_reception, callers, closed, close_desk),
                        desk.serve(lanes, commands, desk_closed),
                    )
                });
            })?;
        let (close_upkeep, upkeep_closed) = watch::channel(false);
        Ok(Self {
            upkeep_ended: begin_upkeep(&store, &live, hints, upkeep_closed)?,
            close_upkeep,
            staff: Staff::new(Arc::clone(&store), Arc::clone(&customers)),
            room: Arc::new(Semaphore::new(room_len(&limits))),
            queue,
            arrivals,
            limits,
            admission,
            desk: at_desk,
            store,
            customers,
            close: Mutex::new(Some(close)),
            ended,
            live,
        })
    }

    /// Whether whoever comes now is served in time: to be asked before anything is done for them.
    ///
    /// # Errors
    /// When they would wait too long.
    pub fn admit(&self) -> Result<(), Full> {
        self.admission.admit(self.queued())
    }

    /// Commands that wait for a batch.
    pub fn queued(&self) -> usize {
        let queued = self.limits.queue_len_max - self.queue.capacity();
        let arriving = self.limits.queue_len_max - self.arrivals.capacity();
        queued + arriving
    }

    /// Commands that wait for what somebody else has locked.
    pub fn waiting_for_locks(&self) -> usize {
        self.desk.upgrade().map_or(0, |desk| desk.waiting.len())
    }

    /// Takes a command to its end. Dropping the future ends only the wait, not the sale.
    ///
    /// # Errors
    /// See [`SaleFault`].
    pub async fn carry_out(&self, command: Command) -> Result<Outcome, SaleFault> {
        if !command.gives_back() {
            self.admit().map_err(|_| SaleFault::Overloaded)?;
        }
        let excess = command.named_len().saturating_sub(SMALL_COMMAND_TICKETS);
        let excess = u32::try_from(excess).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(excess)
            .map_err(|_| SaleFault::Overloaded)?;
        let deadline = Instant::now() + self.limits.deadline;
        let (arrival, place, mut answer) = Arrival::new(command, deadline, room);
        match arrival.ids(|account| self.customers.known(account)) {
            Some(ids) => send(&self.queue, arrival.of(ids)),
            None => send(&self.arrivals, arrival),
        }?;
        let reply = match timeout_at(deadline, &mut answer).await {
            Ok(reply) => reply,
            // The desk is at a batch that takes long: what has not begun need not wait for it.
            Err(_) if place.withdraw() => return Err(SaleFault::Overloaded),
            // What has begun runs to its end.
            Err(_) => answer.await,
        };
        // The desk drops a slot only when it breaks down with the command in hand.
        reply.unwrap_or(Err(SaleFault::OutcomeUnknown))
    }

    /// Takes no new commands; [`Self::ended`] tells when those it has are answered. The upkeep is left to others at once.
    pub fn close(&self) {
        self.close_upkeep.send_replace(true);
        if let Some(close) = self
            .close
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            let _ = close.send(());
        }
    }

    /// Returns when the desk has ended, after [`Self::close`] or because it broke down, and with it the upkeep.
    pub async fn ended(&self) {
        for ended in [&self.ended, &self.upkeep_ended] {
            // An error means that the sender is gone, and so the thread.
            let _ = ended.clone().wait_for(|is_over| *is_over).await;
            self.close_upkeep.send_replace(true);
        }
    }

    /// Where to wait for what sales change.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub fn is_open(&self) -> bool {
        !*self.ended.borrow() && !self.queue.is_closed()
    }
}

/// Starts the thread of the upkeep. When that has ended is told by what is returned.
fn begin_upkeep(
    store: &Arc<Store>,
    live: &Arc<Live>,
    hints: mpsc::Receiver<Topic>,
    closing: watch::Receiver<bool>,
) -> std::io::Result<watch::Receiver<bool>> {
    let (ending, ended) = watch::channel(false);
    let lane = Lane::new(Arc::clone(store));
    let passing_on = Arc::clone(live).run(Arc::clone(store), hints, closing.clone());
    let numbering = number::run(
        Lane::new(Arc::clone(store)),
        Arc::clone(live),
        closing.clone(),
    );
    let live = Arc::clone(live);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("upkeep".to_owned())
        .spawn(move || {
            let _ending = Ending(ending);
            // They end with the runtime, which is this thread's.
            let mut beside = JoinSet::new();
            beside.spawn_on(passing_on, runtime.handle());
            beside.spawn_on(numbering, runtime.handle());
            upkeep::run(&runtime, lane, &live, closing);
        })?;
    Ok(ended)
}

/// Puts a command into a queue, if there is room.
fn send<T>(queue: &mpsc::Sender<T>, command: T) -> Result<(), SaleFault> {
    queue.try_send(command).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => SaleFault::Overloaded,
        mpsc::error::TrySendError::Closed(_) => SaleFault::Unavailable,
    })
}

/// Room for as many tickets as all commands would name if all were small, and for one order of any size.
fn room_len(limits: &Limits) -> usize {
    let commands = limits.queue_len_max.saturating_add(limits.waiting_len_max);
    commands
        .saturating_mul(SMALL_COMMAND_TICKETS)
        .clamp(command::TICKETS_PER_ORDER_MAX, ROOM_MAX)
}

struct Ending(watch::Sender<bool>);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.send(true);
    }
}
