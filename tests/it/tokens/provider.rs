//! An identity provider's address for keys, which answers as a test wants and counts how often it is asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// How it answers.
#[derive(Clone)]
pub enum Answer {
    Keys(String),
    /// With this status and these headers.
    Other(u16, String),
    /// Never, but it takes the connection.
    Silence,
    /// The head, and then a body without an end.
    Endless,
}

pub struct Provider {
    address: std::net::SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    /// Empty while it is down.
    tasks: JoinSet<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
}

impl Provider {
    pub async fn start(keys: String) -> Self {
        Self::start_with(Answer::Keys(keys), None).await
    }

    pub async fn start_with(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let shared = Shared {
            answer: Mutex::new(answer),
            asked: AtomicUsize::new(0),
        };
        let mut provider = Self {
            address: ([127, 0, 0, 1], 0).into(),
            tls,
            shared: Arc::new(shared),
            tasks: JoinSet::new(),
        };
        provider.up().await;
        provider
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/keys", self.address.port())
    }

    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub fn publish(&self, keys: String) {
        self.answer(Answer::Keys(keys));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(SeqCst)
    }

    /// Takes no connections any more.
    pub async fn down(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Where it was before.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (shared, tls) = (Arc::clone(&self.shared), self.tls.clone());
        self.tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => answer(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                answer(stream, &shared).await;
            }
        }
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    assert!(head.starts_with(b"GET /keys HTTP/1.1\r\n"));
    shared.asked.fetch_add(1, SeqCst);
    let answer = shared.answer.lock().unwrap().clone();
    let text = match answer {
        Answer::Keys(keys) => format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}",
            keys.len()
        ),
        Answer::Other(status, headers) => {
            format!("HTTP/1.1 {status} Other\r\n{headers}content-length: 0\r\n\r\n")
        }
        Answer::Silence => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return;
        }
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
