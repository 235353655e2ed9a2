//! A buyer's connection: HTTP/1.1 with keep-alive, and no more of it than a rehearsal needs.
//!
//! The client shares its machine with the server that it measures, so that it must be cheap: a connection has no task of
//! its own, its driver runs within the wait for its answer.

mod events;

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{Connection, SendRequest, handshake},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout},
};

pub use self::events::{Events, Heard};
use super::RushError;

/// A server that takes no connection for this long is gone.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// One try of one address.
const CONNECT_TRY_MAX: Duration = Duration::from_secs(2);

/// Between two tries to connect, doubled each time up to the second.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(20);
const CONNECT_AGAIN_AFTER_MAX: Duration = Duration::from_millis(500);

/// A page of a hundred orders with a hundred tickets each is 2 MB; more than this is no answer of Rowlock's.
const ANSWER_LEN_MAX: usize = 16 << 20;

/// A server to drive.
#[derive(Clone)]
pub struct Server {
    /// As it was named, without a slash at its end.
    pub url: String,
    addresses: Vec<SocketAddr>,
    host: HeaderValue,
}

impl Server {
    /// Finds a server's addresses. All must be on this machine, unless `is_own`.
    pub async fn find(url: &str, is_own: bool) -> Result<Self, RushError> {
        let bad = |reason| RushError::BadUrl {
            url: url.to_owned(),
            reason,
        };
        let url = url.trim_end_matches('/');
        let parts: Uri = url
            .parse()
            .map_err(|_| bad("it is none; write http://HOST:PORT"))?;
        match parts.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(bad(
                    "this client speaks no TLS; name the server behind the proxy",
                ));
            }
            Some(_) | None => return Err(bad("it must begin with http://")),
        }
        if !matches!(parts.path(), "" | "/") || parts.query().is_some() {
            return Err(bad("name the server alone: GraphQL is at its /graphql"));
        }
        let authority = parts.authority().ok_or_else(|| bad("it names no host"))?;
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_| bad("its host is none"))?;
        let name = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(80);
        let addresses: Vec<SocketAddr> =
            match timeout(CONNECT_WAIT_MAX, lookup_host((name, port))).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(_)) | Err(_) => Vec::new(),
            };
        if addresses.is_empty() {
            return Err(bad("its host is not known"));
        }
        if !is_own
            && !addresses
                .iter()
                .all(|address| address.ip().to_canonical().is_loopback())
        {
            return Err(RushError::NotLoopback {
                url: url.to_owned(),
            });
        }
        Ok(Self {
            url: url.to_owned(),
            addresses,
            host,
        })
    }

    async fn connect(&self) -> Option<TcpStream> {
        for address in &self.addresses {
            if let Ok(Ok(stream)) = timeout(CONNECT_TRY_MAX, TcpStream::connect(address)).await {
                // A request is one write. A failure shows at that write.
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
        }
        None
    }
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No server takes connections: the request was not sent.
    Unreachable,
    /// The connection broke after the request was sent.
    Lost,
    /// The request was sent, and the answer did not come in time.
    Silent,
    /// The answer is too long to be one.
    TooLong,
}

impl Trouble {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unreachable => "no server takes connections there",
            Self::Lost => "the connection was lost before the answer came",
            Self::Silent => "the server did not answer in time",
            Self::TooLong => "the server's answer does not end",
        }
    }

    /// Whether it may be over a moment later.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Lost | Self::Silent => true,
            // It was tried again and again already.
            Self::Unreachable | Self::TooLong => false,
        }
    }
}

/// One buyer's line to one server at a time; when that one is gone, to the next.
pub struct Line {
    servers: Arc<[Server]>,
    at: usize,
    open: Option<Open>,
    answer_wait: Duration,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// What answers come as, one after the other.
const EVENT_STREAM: &str = "text/event-stream";

/// What a server makes of a request whose answers come one after the other.
pub enum Listened {
    Events(Events),
    /// It answers once, and so refuses.
    Reply(Reply),
}

/// What an exchange can fail with: whether the server may have acted on the request.
enum Broken {
    BeforeSending,
    AfterSending,
    TooLong,
}

impl Line {
    /// A line to the server at `at`, counted round.
    pub fn new(servers: Arc<[Server]>, at: usize, answer_wait: Duration) -> Self {
        Self {
            at: at % servers.len(),
            servers,
            open: None,
            answer_wait,
        }
    }

    /// The servers that it speaks to, for a sentence.
    pub fn urls(&self) -> String {
        let urls: Vec<&str> = self
            .servers
            .iter()
            .map(|server| server.url.as_str())
            .collect();
        urls.join(", ")
    }

    /// Makes sure that there is a connection.
    pub async fn connect(&mut self) -> Result<(), Trouble> {
        if self.open.is_some() {
            return Ok(());
        }
        let begin = Instant::now();
        let mut pause = CONNECT_AGAIN_AFTER;
        loop {
            for _ in 0..self.servers.len() {
                if let Some(stream) = self.servers[self.at].connect().await
                    && let Ok((sender, connection)) = handshake(TokioIo::new(stream)).await
                {
                    self.open = Some(Open {
                        sender,
                        driver: Driver {
                            connection: Box::pin(connection),
                            is_over: false,
                        },
                    });
                    return Ok(());
                }
                self.at = (self.at + 1) % self.servers.len();
            }
            if begin.elapsed() + pause > CONNECT_WAIT_MAX {
                return Err(Trouble::Unreachable);
            }
            sleep(pause).await;
            pause = (pause * 2).min(CONNECT_AGAIN_AFTER_MAX);
        }
    }

    /// Sends a GraphQL request and waits for its answer.
    pub async fn post(
        &mut self,
        authorization: Option<&HeaderValue>,
        body: &Bytes,
    ) -> Result<Reply, Trouble> {
        // A server closes a connection that was idle. Twice in a row, before anything was sent, is no server.
        for _ in 0..2 {
            self.connect().await?;
            let request = self.request(authorization, body);
            let open = self.open.as_mut().expect("connected just now");
            match timeout(self.answer_wait, open.exchange(request)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Broken::BeforeSending)) => self.open = None,
                Ok(Err(Broken::AfterSending)) => {
                    self.open = None;
                    return Err(Trouble::Lost);
                }
                Ok(Err(Broken::TooLong)) => {
                    self.open = None;
                    return Err(Trouble::TooLong);
                }
                Err(_) => {
                    // The answer may still come; nobody is to take it for the next one's.
                    self.open = None;
                    return Err(Trouble::Silent);
                }
            }
        }
        Err(Trouble::Unreachable)
    }

    /// Sends a request whose answers come one after the other, as long as anything comes. They have this line's connection
    /// for themselves: what is sent next goes over another.
    pub async fn listen(&mut self, body: &Bytes) -> Result<Listened, Trouble> {
        self.connect().await?;
        let mut request = self.request(None, body);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        let mut open = self.open.take().expect("connected just now");
        let response = timeout(self.answer_wait, open.begin(request)).await;
        let response = response
            .map_err(|_| Trouble::Silent)?
            .map_err(|_| Trouble::Lost)?;
        if response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM.as_bytes()))
        {
            return Ok(Listened::Events(Events::new(open, response.into_body())));
        }
        let status = response.status();
        let read = open.driven(read(response.into_body()));
        match timeout(self.answer_wait, read).await {
            Ok(Ok(body)) => Ok(Listened::Reply(Reply { status, body })),
            Ok(Err(Broken::TooLong)) => Err(Trouble::TooLong),
            Ok(Err(Broken::BeforeSending | Broken::AfterSending)) => Err(Trouble::Lost),
            Err(_) => Err(Trouble::Silent),
        }
    }

    fn request(&self, authorization: Option<&HeaderValue>, body: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/graphql");
        let headers = request.headers_mut();
        headers.insert(HOST, self.servers[self.at].host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

impl Open {
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Broken> {
        let response = self.begin(request).await?;
        let status = response.status();
        let body = self.driven(read(response.into_body())).await?;
        Ok(Reply { status, body })
    }

    /// Up to the answer's beginning.
    async fn begin(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let Self { sender, driver } = self;
        let beginning = async {
            sender.ready().await.map_err(|_| Broken::BeforeSending)?;
            let sent = sender.try_send_request(request).await;
            sent.map_err(|mut error| match error.take_message() {
                Some(_) => Broken::BeforeSending,
                None => Broken::AfterSending,
            })
        };
        driver.drive(beginning).await
    }

    async fn driven<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        self.driver.drive(waiting).await
    }
}

/// What carries a connection on.
struct Driver {
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    is_over: bool,
}

impl Driver {
    /// Carries the connection on while something of it is waited for.
    async fn drive<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = waiting.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if !self.is_over && self.connection.as_mut().poll(cx).is_ready() {
                self.is_over = true;
            }
            waiting.as_mut().poll(cx)
        })
        .await
    }
}

/// Nearly every answer is one frame, which is not copied.
async fn read(mut incoming: Incoming) -> Result<Bytes, Broken> {
    let mut body = Bytes::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Broken::AfterSending)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.len() > ANSWER_LEN_MAX {
            return Err(Broken::TooLong);
        }
        body = if body.is_empty() {
            data
        } else {
            [body, data].concat().into()
        };
    }
    Ok(body)
}
