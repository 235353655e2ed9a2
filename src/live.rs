//! Who waits for what to change, in this process; and word of it between processes.
//!
//! What is passed on is a hint and nothing more: whoever hears it reads what is so now. One that is lost, because a
//! connection was or a queue was full, is made good by hearing that anything may have changed, or by looking every now
//! and then.
//!
//! PostgreSQL carries the hints (`NOTIFY`), sent after the commit and on the connection that listens: inside of a sale it would
//! take a lock that the whole database shares.

mod readers;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{
    DbBackend,
    sqlx::{self, postgres::PgListener},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

pub use self::readers::{Reader, Readers};
use crate::{
    ids::{EventId, OrderId},
    store::Store,
};

/// The channel of the hints.
const CHANNEL: &str = "rowlock_orders";

/// Hints that wait to be sent to other processes; more are dropped, and made good by looking.
const OUTBOX_LEN_MAX: usize = 10_000;

/// Hints of one statement.
const SENT_AT_ONCE_MAX: usize = 500;

/// A message's bytes, of which PostgreSQL carries fewer than 8,000. What a message costs the database, and every process that
/// listens, hardly depends on its length: it has as many hints as have room.
const MESSAGE_LEN_MAX: usize = 7_900;

/// A connection that has heard nothing for so long is asked whether it still lives.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long the database may take for anything here.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Between two attempts to listen.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Of many who are told at once each waits for as many of these as there are before them: all of them read then.
const PACE: Duration = Duration::from_millis(1);

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    Order(EventId, OrderId),
    /// All orders of an event, as when it is cancelled.
    OrdersOf(EventId),
    /// An event's tickets: its log of changes has become longer.
    TicketsOf(EventId),
}

/// The watches of this process, and the way to those of others.
pub struct Live {
    orders: Mutex<Orders>,
    tickets: Mutex<HashMap<EventId, Watched>>,
    /// Events to whose logs this process has appended, for whoever numbers what was appended.
    appended: Mutex<BTreeSet<EventId>>,
    has_appended: Notify,
    /// When another process was last heard to have numbered what was appended to logs.
    numbered_elsewhere: Mutex<Option<Instant>>,
    outbox: mpsc::Sender<Topic>,
}

type Orders = HashMap<EventId, HashMap<OrderId, Watched>>;

/// Something that somebody watches.
struct Watched {
    /// How long to wait before reading, told with each change.
    changed: watch::Sender<Duration>,
    watches: usize,
}

/// A watch of one order.
pub struct OrderWatch {
    live: Arc<Live>,
    event_id: EventId,
    order_id: OrderId,
    changed: watch::Receiver<Duration>,
}

/// A watch of an event's tickets.
pub struct TicketsWatch {
    live: Arc<Live>,
    event_id: EventId,
    changed: watch::Receiver<Duration>,
}

impl Live {
    /// With the hints that are to be sent to other processes, see [`Self::run`].
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Topic>) {
        let (outbox, hints) = mpsc::channel(OUTBOX_LEN_MAX);
        let live = Self {
            orders: Mutex::default(),
            tickets: Mutex::default(),
            appended: Mutex::default(),
            has_appended: Notify::new(),
            numbered_elsewhere: Mutex::default(),
            outbox,
        };
        (Arc::new(live), hints)
    }

    /// Says that something has changed, here and to other processes. Never waits.
    pub fn ring(&self, topic: Topic) {
        self.ring_here(topic);
        // A full outbox loses it for others, who look by themselves every now and then.
        let _ = self.outbox.try_send(topic);
    }

    pub fn watch_order(self: &Arc<Self>, event_id: EventId, order_id: OrderId) -> OrderWatch {
        let mut orders = self.orders();
        let of_event = orders.entry(event_id).or_default();
        let watched = of_event.entry(order_id).or_default();
        watched.watches += 1;
        OrderWatch {
            live: Arc::clone(self),
            event_id,
            order_id,
            changed: watched.changed.subscribe(),
        }
    }

    pub fn watch_tickets(self: &Arc<Self>, event_id: EventId) -> TicketsWatch {
        let mut tickets = self.tickets();
        let watched = tickets.entry(event_id).or_default();
        watched.watches += 1;
        TicketsWatch {
            live: Arc::clone(self),
            event_id,
            changed: watched.changed.subscribe(),
        }
    }

    /// Says that this process has appended to the logs of these events.
    pub fn appended(&self, events: impl IntoIterator<Item = EventId>) {
        let mut appended = lock(&self.appended);
        let before = appended.len();
        appended.extend(events);
        if appended.len() > before {
            self.has_appended.notify_one();
        }
    }

    /// Waits until this process has appended to logs, and takes their events.
    pub async fn next_appended(&self) -> BTreeSet<EventId> {
        loop {
            self.has_appended.notified().await;
            let appended = std::mem::take(&mut *lock(&self.appended));
            if !appended.is_empty() {
                return appended;
            }
        }
    }

    /// When another process was last heard to have numbered what was appended to logs.
    pub fn numbered_elsewhere(&self) -> Option<Instant> {
        *lock(&self.numbered_elsewhere)
    }

    /// Takes a hint of another process.
    pub(crate) fn hear(&self, topic: Topic) {
        if matches!(topic, Topic::TicketsOf(_)) {
            *lock(&self.numbered_elsewhere) = Some(Instant::now());
        }
        self.ring_here(topic);
    }

    fn ring_here(&self, topic: Topic) {
        let orders = self.orders();
        match topic {
            Topic::Order(event_id, order_id) => {
                tell(orders.get(&event_id).and_then(|of| of.get(&order_id)));
            }
            Topic::OrdersOf(event_id) => {
                tell(orders.get(&event_id).into_iter().flat_map(HashMap::values));
            }
            Topic::TicketsOf(event_id) => tell(self.tickets().get(&event_id)),
        }
    }

    /// Anything may have changed.
    fn ring_all(&self) {
        tell(self.orders().values().flat_map(HashMap::values));
        tell(self.tickets().values());
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    fn tickets(&self) -> MutexGuard<'_, HashMap<EventId, Watched>> {
        lock(&self.tickets)
    }

    /// Passes hints on, to other processes and from them, until `closing` is true or its sender is gone.
    pub async fn run(
        self: Arc<Self>,
        store: Arc<Store>,
        mut hints: mpsc::Receiver<Topic>,
        mut closing: watch::Receiver<bool>,
    ) {
        if store.backend() != DbBackend::Postgres {
            // No other process has anything to do with the file.
            hints.close();
            return;
        }
        tokio::select! {
            () = self.pass_on(&store, &mut hints) => {}
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
    }

    async fn pass_on(&self, store: &Store, hints: &mut mpsc::Receiver<Topic>) {
        let (mut has_failed, mut unsent) = (false, Vec::new());
        loop {
            let passed_on = self.pass_on_once(store, hints, &mut unsent, &mut has_failed);
            match passed_on.await {
                Ok(()) => {}
                // Once for an outage.
                Err(error) if !has_failed => {
                    has_failed = true;
                    tracing::warn!(%error, "no word of changes from other processes, nor to them; it is tried again");
                }
                Err(_) => {}
            }
            sleep(RETRY_AFTER).await;
        }
    }

    /// Passes hints on until the connection is lost. What is being sent then is sent again.
    async fn pass_on_once(
        &self,
        store: &Store,
        hints: &mut mpsc::Receiver<Topic>,
        unsent: &mut Vec<Topic>,
        has_failed: &mut bool,
    ) -> Result<(), LinkError> {
        let mut link = within(store.listen(CHANNEL)).await?;
        let own = within(backend(&mut link)).await?;
        if std::mem::take(has_failed) {
            tracing::info!("word of changes from other processes again, and to them");
        }
        // Whatever happened before this was heard by nobody.
        self.ring_all();
        within(send(&mut link, unsent)).await?;
        loop {
            tokio::select! {
                heard = timeout(SILENCE_MAX, link.try_recv()) => match heard {
                    Ok(Ok(Some(hint))) => {
                        // Whoever is here was told before.
                        if hint.process_id() != own {
                            read(hint.payload()).for_each(|topic| self.hear(topic));
                        }
                    }
                    Ok(Ok(None)) => return Ok(()),
                    Ok(Err(error)) => return Err(error.into()),
                    Err(_) => drop(within(backend(&mut link)).await?),
                },
                len = hints.recv_many(unsent, SENT_AT_ONCE_MAX) => {
                    if len == 0 {
                        // Nobody is left who could send any.
                        return std::future::pending().await;
                    }
                    within(send(&mut link, unsent)).await?;
                }
            }
        }
    }
}

/// Each change of what is locked here is whole in itself.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            changed: watch::Sender::new(Duration::ZERO),
            watches: 0,
        }
    }
}

/// Tells all of these.
fn tell<'a>(all: impl IntoIterator<Item = &'a Watched>) {
    for (before, watched) in (0_u32..).zip(all) {
        watched.changed.send_replace(PACE * before);
    }
}

/// What a hint of an event's tickets begins with. A release that knows none takes it for none of ours.
const TICKETS: &str = "tickets";

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("no answer within {WAIT_MAX:?}")]
    Silence,
}

async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LinkError> {
    Ok(timeout(WAIT_MAX, answer)
        .await
        .map_err(|_| LinkError::Silence)??)
}

/// The number by which PostgreSQL knows this connection: from its hints, and a sign that it lives.
async fn backend(link: &mut PgListener) -> Result<u32, sqlx::Error> {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(link)
        .await?;
    Ok(pid.cast_unsigned())
}

/// Sends all of these, which are none then.
async fn send(link: &mut PgListener, unsent: &mut Vec<Topic>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message")
        .bind(CHANNEL)
        .bind(write(unsent))
        .execute(link)
        .await?;
    unsent.clear();
    Ok(())
}

/// The hints as messages, a line for each.
fn write(topics: &[Topic]) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for topic in topics {
        let hint = topic.write();
        match messages.last_mut() {
            Some(message) if message.len() + 1 + hint.len() <= MESSAGE_LEN_MAX => {
                message.push('\n');
                message.push_str(&hint);
            }
            _ => messages.push(hint),
        }
    }
    messages
}

/// The hints of a message.
fn read(message: &str) -> impl Iterator<Item = Topic> {
    message.lines().filter_map(Topic::read)
}

impl Topic {
    fn write(self) -> String {
        match self {
            Self::Order(event, order) => format!("{} {}", event.0, order.0),
            Self::OrdersOf(event) => event.0.to_string(),
            Self::TicketsOf(event) => format!("{TICKETS} {}", event.0),
        }
    }

    /// None for what is none of ours: anybody who may use the database can send.
    fn read(text: &str) -> Option<Self> {
        let id = |text: &str| Uuid::try_parse(text).ok();
        match text.split_once(' ') {
            Some((TICKETS, event)) => Some(Self::TicketsOf(EventId(id(event)?))),
            Some((event, order)) => Some(Self::Order(EventId(id(event)?), OrderId(id(order)?))),
            None => Some(Self::OrdersOf(EventId(id(text)?))),
        }
    }
}

impl OrderWatch {
    /// Waits until the order may have changed since this was last asked, or since the watch began.
    pub async fn changed(&mut self) {
        // Its sender lives as long as there is a watch.
        let _ = self.changed.changed().await;
        let wait = *self.changed.borrow_and_update();
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }
}

impl TicketsWatch {
    /// Waits until the tickets may have changed since this was last asked, or since the watch began.
    pub async fn changed(&mut self) {
        // Its sender lives as long as there is a watch. Who reads for many waits for nobody's turn.
        let _ = self.changed.changed().await;
    }
}

impl Drop for TicketsWatch {
    fn drop(&mut self) {
        let mut tickets = self.live.tickets();
        if let Some(watched) = tickets.get_mut(&self.event_id) {
            watched.watches -= 1;
            if watched.watches == 0 {
                tickets.remove(&self.event_id);
            }
        }
    }
}

impl Drop for OrderWatch {
    fn drop(&mut self) {
        let mut orders = self.live.orders();
        let Some(of_event) = orders.get_mut(&self.event_id) else {
            return;
        };
        if let Some(watched) = of_event.get_mut(&self.order_id) {
            watched.watches -= 1;
            if watched.watches == 0 {
                of_event.remove(&self.order_id);
            }
        }
        if of_event.is_empty() {
            orders.remove(&self.event_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_watch_hears_of_its_order_and_its_event_alone() {
        let (live, _hints) = Live::new();
        let (event, order) = (EventId::mint(), OrderId::mint());
        let mut watch = live.watch_order(event, order);
        let mut heard = |topic| {
            live.ring(topic);
            watch.changed().now_or_never().is_some()
        };
        assert!(!heard(Topic::Order(event, OrderId::mint())));
        assert!(!heard(Topic::OrdersOf(EventId::mint())));
        assert!(heard(Topic::Order(event, order)));
        assert!(heard(Topic::OrdersOf(event)));
        drop(watch);
        assert!(live.orders().is_empty());
    }

    #[test]
    fn who_numbers_elsewhere_is_heard_of_tickets_alone() {
        let (live, _hints) = Live::new();
        live.ring(Topic::TicketsOf(EventId::mint()));
        live.hear(Topic::Order(EventId::mint(), OrderId::mint()));
        assert_eq!(live.numbered_elsewhere(), None);
        live.hear(Topic::TicketsOf(EventId::mint()));
        assert!(live.numbered_elsewhere().is_some());
    }

    #[test]
    fn messages_have_all_hints_and_no_more_than_has_room() {
        let topics: Vec<_> = (0..SENT_AT_ONCE_MAX)
            .map(|_| Topic::Order(EventId::mint(), OrderId::mint()))
            .collect();
        let messages = write(&topics);
        assert!(
            messages
                .iter()
                .all(|message| message.len() <= MESSAGE_LEN_MAX)
        );
        assert!(messages.len() <= 5, "{}", messages.len());
        let heard: Vec<_> = messages.iter().flat_map(|message| read(message)).collect();
        assert_eq!(heard, topics);
        // What is none of ours does not keep the rest from being heard.
        let hint = topics[0].write();
        let heard: Vec<_> = read(&format!("x\n{hint}\n")).collect();
        assert_eq!(heard, topics[..1]);
        assert_eq!(write(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_hint_is_read_as_it_was_written_and_nothing_else_is_one() {
        for topic in [
            Topic::Order(EventId::mint(), OrderId::mint()),
            Topic::OrdersOf(EventId::mint()),
            Topic::TicketsOf(EventId::mint()),
        ] {
            assert_eq!(Topic::read(&topic.write()), Some(topic));
        }
        for text in [
            "",
            " ",
            "x",
            "x y",
            "tickets x",
            &format!("{} ", EventId::mint()),
        ] {
            assert_eq!(Topic::read(text), None, "{text:?}");
        }
    }
}
