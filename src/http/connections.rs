//! Connections: how many, how long each may take to say what it wants, and how they end.
//!
//! axum's own `serve` has none of these bounds: a client that sends half a header would keep its connection, and the
//! server's end, for ever.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, header::UPGRADE, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

use super::{client::Peer, worded::Worded};

/// From a connection's beginning, or from the last answer on it, to the end of the next request's headers.
const HEADER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A request's line and headers, in bytes; each connection may hold as much. Browsers send some hundred, tokens some
/// thousand. How many headers there may be is hyper's to say, 100: told a number, even the same one, it would fetch memory for
/// them with each request.
const HEAD_LEN_MAX: usize = 64 * 1024;

/// How long a client may take not a byte of what it is sent.
const NOTHING_TAKEN_MAX: Duration = Duration::from_secs(15);

/// At the server's end, how long a connection on which nothing is asked stays: what has been sent on it at this moment, and is not
/// here yet, is still answered. It would be lost otherwise, since who sent it cannot know whether it was heard.
const LAST_REQUEST_WAIT_MAX: Duration = Duration::from_secs(1);

/// The system has no more file descriptors, or another passing trouble: wait for some connection to end.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A connection's place among all. Whatever outlives the connection's HTTP, as a socket does, keeps it.
#[derive(Clone)]
pub struct Seat {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// The routes as one connection's requests find them.
struct AtSeat {
    routes: TowerToHyperService<Router>,
    seat: Seat,
    peer: Peer,
}

impl Service<Request<Incoming>> for AtSeat {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        // Most requests are no socket's, and keep no seat.
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(self.seat.clone());
        }
        self.routes.call(request)
    }
}

pub struct Connections {
    routes: Router,
    permits: Arc<Semaphore>,
    finishing: CancellationToken,
    last_request_wait: Duration,
    tasks: JoinSet<()>,
}

impl Connections {
    pub fn new(routes: Router, connections_max: usize) -> Self {
        Self {
            routes,
            permits: Arc::new(Semaphore::new(connections_max)),
            finishing: CancellationToken::new(),
            last_request_wait: LAST_REQUEST_WAIT_MAX,
            tasks: JoinSet::new(),
        }
    }

    /// That they are finished is told by `finishing`, so that the routes can say with an answer that it is its connection's last;
    /// and they have `grace` for it.
    pub fn ending_by(self, finishing: CancellationToken, grace: Duration) -> Self {
        Self {
            finishing,
            last_request_wait: LAST_REQUEST_WAIT_MAX.min(grace / 2),
            ..self
        }
    }

    /// Serves connections until the listener is broken. Those over the limit wait in the system's own queue.
    pub async fn accept(&mut self, listener: &TcpListener) -> io::Error {
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.expect("the semaphore of connections is never closed");
            // Ended tasks are only counted until they are joined.
            while self.tasks.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer, permit),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if error.raw_os_error().is_some() => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Accepts whoever has connected and waits in the system's own queue, and nobody any more: with the listener they would be
    /// reset, and what they have sent lost.
    pub fn accept_last(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else {
            return;
        };
        loop {
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                // Nobody is left, or no more can be had.
                Err(_) => break,
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                break;
            };
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.serve(stream, peer, permit);
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // An answer is one write: waiting for more to send would only delay it. A failure shows at the first write.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(NOTHING_TAKEN_MAX));
        let service = AtSeat {
            routes: TowerToHyperService::new(self.routes.clone()),
            seat: Seat {
                _permit: Arc::new(permit),
            },
            peer: Peer(peer.ip()),
        };
        let (finishing, last_request_wait) = (self.finishing.clone(), self.last_request_wait);
        self.tasks.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_WAIT_MAX)
                .max_header_size(HEAD_LEN_MAX)
                .max_buf_size(HEAD_LEN_MAX)
                .serve_connection(Worded::new(TokioIo::new(Box::pin(stream))), service)
                .with_upgrades();
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = finishing.cancelled() => {
                    let last = timeout(last_request_wait, connection.as_mut()).await;
                    match last {
                        Ok(ended) => ended,
                        Err(_) => {
                            connection.as_mut().graceful_shutdown();
                            connection.await
                        }
                    }
                }
            };
            // A client that went away, or spoke no HTTP: its own affair.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Lets each connection answer what it is asked at this moment, or next, and ends it.
    pub async fn finish(mut self) {
        self.finishing.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
