//! The answers that hyper gives by itself, to what is no HTTP or too large a head, in GraphQL's shape too.
//!
//! hyper writes them with no body and has no place to change that; so they are changed where they are written. Every other
//! answer passes as it is: none of ours has such a status and no content.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use uuid::Uuid;

use super::{answer, protection};
use crate::graphql::fault::Code;

/// A connection that puts words to hyper's answers.
pub struct Worded<S> {
    stream: S,
    /// What is written in place of an answer, and how much of it is.
    words: Option<(Vec<u8>, usize)>,
}

impl<S: Write + Unpin> Worded<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            words: None,
        }
    }

    /// Writes all the words of which some are not written.
    fn poll_words(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((words, written)) = &mut self.words {
            let len = ready!(Pin::new(&mut self.stream).poll_write(cx, &words[*written..]))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += len;
            if *written == words.len() {
                self.words = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Worded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_words(cx))?;
        let Some(words) = words_for(bytes) else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        // Taken over as a whole: what of it cannot be written at once is written before anything else.
        self.words = Some((words, 0));
        if let Poll::Ready(Err(error)) = self.poll_words(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [only] => self.poll_write(cx, only),
            _ => {
                ready!(self.poll_words(cx))?;
                Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Read + Unpin> Read for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

/// The answer in place of one of hyper's own; `None` for any other bytes.
fn words_for(bytes: &[u8]) -> Option<Vec<u8>> {
    let (reason, code, message) = match bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)? {
        b"400" => (
            "400 Bad Request",
            Code::BadRequest,
            "this is no HTTP request",
        ),
        b"414" => (
            "414 URI Too Long",
            Code::UriTooLong,
            "the URL is too long; send the request as POST",
        ),
        b"431" => (
            "431 Request Header Fields Too Large",
            Code::HeadersTooLarge,
            "the request's headers are too many or too large",
        ),
        _ => return None,
    };
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    if !head.contains("\r\ncontent-length: 0") {
        return None;
    }
    let id = Uuid::now_v7().to_string();
    let body = answer::body(code, message, Some(&id));
    let head = format!(
        "HTTP/1.1 {reason}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\nx-request-id: {id}\r\n\
         {}content-length: {}\r\n\r\n",
        protection::as_text(),
        body.len()
    );
    Some([head, body].concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::words_for;

    #[test]
    fn only_hypers_own_answers_get_words() {
        let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let worded = String::from_utf8(words_for(own).unwrap()).unwrap();
        assert!(
            worded.starts_with("HTTP/1.1 431 ") && worded.contains("HEADERS_TOO_LARGE"),
            "{worded}"
        );
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 02\r\n\r\n{}",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 17\r\n\r\n",
            b"HTTP/1.1 40",
            b"",
        ] {
            assert_eq!(words_for(other), None);
        }
    }
}
