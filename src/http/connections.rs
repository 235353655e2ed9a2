//! Connections: how many, how long each may take to say what it wants, and how they end.
//!
//! axum's own `serve` has none of these bounds: a client that sends half a header would keep its connection, and the
//! server's end, for ever.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::worded::Worded;

/// From a connection's beginning, or from the last answer on it, to the end of the next request's headers.
const HEADER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A request's line and headers, in bytes; each connection may hold as much. Browsers send some hundred, tokens some
/// thousand.
const HEAD_LEN_MAX: usize = 64 * 1024;

/// The system has no more file descriptors, or another passing trouble: wait for some connection to end.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub struct Connections {
    routes: Router,
    permits: Arc<Semaphore>,
    shutdown: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl Connections {
    pub fn new(routes: Router, connections_max: usize) -> Self {
        Self {
            routes,
            permits: Arc::new(Semaphore::new(connections_max)),
            shutdown: GracefulShutdown::new(),
            tasks: JoinSet::new(),
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
                Ok((stream, _)) => self.serve(stream, permit),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if error.raw_os_error().is_some() => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
                Err(error) => return error,
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // An answer is one write: waiting for more to send would only delay it. A failure shows at the first write.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_WAIT_MAX)
            .max_header_size(HEAD_LEN_MAX)
            .max_buf_size(HEAD_LEN_MAX)
            .serve_connection(
                Worded::new(TokioIo::new(stream)),
                TowerToHyperService::new(self.routes.clone()),
            );
        let connection = self.shutdown.watch(connection);
        self.tasks.spawn(async move {
            // A client that went away, or spoke no HTTP: its own affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }

    /// Lets each connection answer what it is asked at this moment, and ends it.
    pub async fn finish(self) {
        let Self {
            shutdown,
            mut tasks,
            ..
        } = self;
        shutdown.shutdown().await;
        while tasks.join_next().await.is_some() {}
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
