//! A connection whose other side must take what it is sent, sooner or later.
//!
//! Whoever reads nothing would keep an answer, and what lasts such as a stream, for as long as their machine says that it is
//! still there.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

pub struct Patient<S> {
    stream: S,
    /// How long not a byte may be taken.
    nothing_taken_max: Duration,
    /// While nothing is taken.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S, nothing_taken_max: Duration) -> Self {
        Self {
            stream,
            nothing_taken_max,
            patience: None,
        }
    }

    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience = None;
            return written;
        }
        let max = self.nothing_taken_max;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(max)));
        patience.as_mut().poll(cx).map(|()| {
            let message = "the client takes nothing";
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }
}

impl<S: Write + Unpin> Write for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Read + Unpin> Read for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection whose other side is waited for so long, and that side.
    async fn pair(nothing_taken_max: Duration) -> (Patient<TokioIo<TcpStream>>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (near, _) = listener.accept().await.unwrap();
        (Patient::new(TokioIo::new(near), nothing_taken_max), far)
    }

    async fn write(patient: &mut Patient<TokioIo<TcpStream>>) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *patient).poll_write(cx, &[0; 64 * 1024])).await
    }

    #[tokio::test]
    async fn who_takes_nothing_is_let_go() {
        let (mut near, _far) = pair(Duration::from_millis(200)).await;
        let refused = loop {
            if let Err(refused) = write(&mut near).await {
                break refused;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_is_slow_gets_everything() {
        const LEN: usize = 16 * 1024 * 1024;
        let (mut near, far) = pair(Duration::from_secs(10)).await;
        let writing = async {
            let mut written = 0;
            while written < LEN {
                written += write(&mut near).await.unwrap();
            }
        };
        let taking = async {
            let mut taken = 0;
            while taken < LEN {
                sleep(Duration::from_millis(1)).await;
                far.readable().await.unwrap();
                taken += far.try_read(&mut vec![0; 128 * 1024]).unwrap_or(0);
            }
        };
        tokio::join!(writing, taking);
    }
}
