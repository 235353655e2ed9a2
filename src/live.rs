//! Who waits for what to change, in this process; and word of it between processes.
//!
//! What is passed on is a hint and nothing more: whoever hears it reads what is so now. One that is lost, because a
//! connection was or a queue was full, is made good by hearing that anything may have changed, or by looking every now
//! and then.
//!
//! PostgreSQL carries the hints (`NOTIFY`), sent after the commit and on a connection of its own: inside of a sale it would
//! take a lock that the whole database shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbBackend, Statement, sqlx::postgres::PgListener};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use uuid::Uuid;

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

/// A connection that has heard nothing for so long is asked whether it still lives.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long the database may take for anything here.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Between two attempts to listen.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    Order(EventId, OrderId),
    /// All orders of an event, as when it is cancelled.
    OrdersOf(EventId),
}

/// The watches of this process, and the way to those of others.
pub struct Live {
    orders: Mutex<HashMap<EventId, HashMap<OrderId, watch::Sender<()>>>>,
    outbox: mpsc::Sender<Topic>,
}

/// A watch of one order.
pub struct OrderWatch {
    live: Arc<Live>,
    event_id: EventId,
    order_id: OrderId,
    changed: watch::Receiver<()>,
}

impl Live {
    /// With the hints that are to be sent to other processes, see [`Self::run`].
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Topic>) {
        let (outbox, hints) = mpsc::channel(OUTBOX_LEN_MAX);
        let live = Self {
            orders: Mutex::default(),
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
        let sender = of_event
            .entry(order_id)
            .or_insert_with(|| watch::Sender::new(()));
        OrderWatch {
            live: Arc::clone(self),
            event_id,
            order_id,
            changed: sender.subscribe(),
        }
    }

    fn ring_here(&self, topic: Topic) {
        let orders = self.orders();
        match topic {
            Topic::Order(event_id, order_id) => {
                if let Some(order) = orders.get(&event_id).and_then(|of| of.get(&order_id)) {
                    order.send_replace(());
                }
            }
            Topic::OrdersOf(event_id) => {
                let of_event = orders.get(&event_id).into_iter().flat_map(HashMap::values);
                of_event.for_each(|order| order.send_replace(()));
            }
        }
    }

    /// Anything may have changed.
    fn ring_all(&self) {
        for order in self.orders().values().flat_map(HashMap::values) {
            order.send_replace(());
        }
    }

    fn orders(&self) -> MutexGuard<'_, HashMap<EventId, HashMap<OrderId, watch::Sender<()>>>> {
        // Each change is whole in itself.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
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
            () = self.listen(&store) => {}
            () = send(&store, &mut hints) => {}
            _ = closing.wait_for(|is_closing| *is_closing) => {}
        }
    }

    async fn listen(&self, store: &Store) {
        let mut has_failed = false;
        loop {
            match self.listen_once(store, &mut has_failed).await {
                Ok(()) => {}
                // Once for an outage.
                Err(error) if !has_failed => {
                    has_failed = true;
                    tracing::warn!(%error, "listening for changes at other processes failed; it is tried again");
                }
                Err(_) => {}
            }
            sleep(RETRY_AFTER).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen_once(&self, store: &Store, has_failed: &mut bool) -> Result<(), ListenError> {
        let mut listener = within(store.listen(CHANNEL)).await?;
        if std::mem::take(has_failed) {
            tracing::info!("listening for changes at other processes again");
        }
        // Whatever happened before this was heard by nobody.
        self.ring_all();
        loop {
            match timeout(SILENCE_MAX, listener.try_recv()).await {
                Ok(Ok(Some(hint))) => {
                    if let Some(topic) = Topic::read(hint.payload()) {
                        self.ring_here(topic);
                    }
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => within(is_alive(&mut listener)).await?,
            }
        }
    }
}

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(transparent)]
    Database(#[from] sea_orm::sqlx::Error),
    #[error("no answer within {WAIT_MAX:?}")]
    Silence,
}

async fn within<T>(
    answer: impl Future<Output = Result<T, sea_orm::sqlx::Error>>,
) -> Result<T, ListenError> {
    Ok(timeout(WAIT_MAX, answer)
        .await
        .map_err(|_| ListenError::Silence)??)
}

async fn is_alive(listener: &mut PgListener) -> Result<(), sea_orm::sqlx::Error> {
    sea_orm::sqlx::query("SELECT 1").execute(listener).await?;
    Ok(())
}

/// Sends hints to other processes; what cannot be sent is lost.
async fn send(store: &Store, hints: &mut mpsc::Receiver<Topic>) {
    let mut some = Vec::new();
    while hints.recv_many(&mut some, SENT_AT_ONCE_MAX).await > 0 {
        let texts = some.drain(..).map(|topic| topic.write().into()).collect();
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify($1, hint) FROM unnest($2::text[]) AS hint",
            [
                CHANNEL.into(),
                sea_orm::Value::Array(sea_orm::sea_query::ArrayType::String, Some(Box::new(texts))),
            ],
        );
        let sent = timeout(WAIT_MAX, store.writer().execute_raw(statement)).await;
        if let Ok(Err(error)) = sent {
            tracing::debug!(%error, "hints for other processes are lost");
        }
    }
}

impl Topic {
    fn write(self) -> String {
        match self {
            Self::Order(event, order) => format!("{} {}", event.0, order.0),
            Self::OrdersOf(event) => event.0.to_string(),
        }
    }

    /// None for what is none of ours: anybody who may use the database can send.
    fn read(text: &str) -> Option<Self> {
        let id = |text: &str| Uuid::try_parse(text).ok();
        match text.split_once(' ') {
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
    }
}

impl Drop for OrderWatch {
    fn drop(&mut self) {
        let mut orders = self.live.orders();
        if let Some(of_event) = orders.get_mut(&self.event_id) {
            // This watch is still counted.
            if of_event
                .get(&self.order_id)
                .is_some_and(|order| order.receiver_count() <= 1)
            {
                of_event.remove(&self.order_id);
            }
            if of_event.is_empty() {
                orders.remove(&self.event_id);
            }
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
    fn a_hint_is_read_as_it_was_written_and_nothing_else_is_one() {
        for topic in [
            Topic::Order(EventId::mint(), OrderId::mint()),
            Topic::OrdersOf(EventId::mint()),
        ] {
            assert_eq!(Topic::read(&topic.write()), Some(topic));
        }
        for text in ["", " ", "x", "x y", &format!("{} ", EventId::mint())] {
            assert_eq!(Topic::read(text), None, "{text:?}");
        }
    }
}
