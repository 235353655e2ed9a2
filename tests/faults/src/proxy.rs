//! The network between a server and its database, as bad as one likes: it delays, swallows, and cuts a connection just
//! before or just after its COMMIT.
//!
//! It understands of PostgreSQL's protocol where messages begin, which one is a COMMIT, and which answer says that it was
//! committed; TLS it does not understand, so that whoever connects through it says `sslmode=disable`.

mod wire;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
};

use self::wire::{Message, Messages};

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Each message takes so much longer.
    Slow(Duration),
    /// Nothing arrives any more, and nobody is told.
    BlackHole,
    /// A connection ends when its client says COMMIT, which the database never hears.
    CutBeforeCommit,
    /// A connection ends when the database says that it has committed, which the client never hears.
    CutAfterCommit,
}

/// A network of one server's own. It ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _connections: JoinSet<()>,
}

struct Shared {
    target: SocketAddr,
    weather: watch::Sender<Weather>,
    cuts_len: AtomicUsize,
}

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToDatabase,
    ToClient,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            target,
            weather: watch::Sender::new(Weather::Fair),
            cuts_len: AtomicUsize::new(0),
        });
        let mut connections = JoinSet::new();
        let address = listener.local_addr().unwrap();
        connections.spawn(Arc::clone(&shared).listen(listener));
        Self {
            address,
            shared,
            _connections: connections,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Connections that were cut at a COMMIT so far.
    pub fn cuts_len(&self) -> usize {
        self.shared.cuts_len.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        connections.spawn(Arc::clone(&self).connect(client));
                    }
                }
                // The ended ones are forgotten.
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// One connection, until either side ends it, or the weather.
    async fn connect(self: Arc<Self>, client: TcpStream) {
        let mut weather = self.weather.subscribe();
        if weather
            .wait_for(|it| *it != Weather::BlackHole)
            .await
            .is_err()
        {
            return;
        }
        let Ok(database) = TcpStream::connect(self.target).await else {
            return;
        };
        let _ = (client.set_nodelay(true), database.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_database, to_database) = database.into_split();
        // Whichever way ends, both sides are closed.
        tokio::select! {
            () = self.carry(Way::ToDatabase, Messages::of_client(from_client), to_database) => {}
            () = self.carry(Way::ToClient, Messages::of_database(from_database), to_client) => {}
        }
    }

    async fn carry(&self, way: Way, mut from: Messages, mut to: tcp::OwnedWriteHalf) {
        let mut weather = self.weather.subscribe();
        while let Some(message) = from.next().await {
            let now = *weather.borrow_and_update();
            match now {
                Weather::Fair => {}
                Weather::Slow(time) => tokio::time::sleep(time).await,
                Weather::BlackHole => {
                    // What is swallowed never arrives: the connection is of no use any more, and nobody knows.
                    let _ = weather.wait_for(|it| *it != Weather::BlackHole).await;
                    return;
                }
                Weather::CutBeforeCommit | Weather::CutAfterCommit => {
                    if is_cut(now, way, &message) {
                        self.cuts_len.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
            if to.write_all(message.bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn is_cut(weather: Weather, way: Way, message: &Message) -> bool {
    match (weather, way) {
        (Weather::CutBeforeCommit, Way::ToDatabase) => message.is_commit(),
        (Weather::CutAfterCommit, Way::ToClient) => message.is_committed(),
        _ => false,
    }
}
