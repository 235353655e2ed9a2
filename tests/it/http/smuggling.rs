//! Requests whose end two servers could see at different places: what hides behind one of them is never answered.
//!
//! A proxy and this server share connections. If they disagree about where a request ends, what one client sends as a body is
//! for the other the beginning of somebody else's request.

use super::raw::{send, sent};
use crate::harness::{Database, Server};

const BODY: &str = r#"{"query":"{ __typename }"}"#;

/// What hides; its answer is told from every other one's.
const HIDDEN: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const ANSWER_TO_HIDDEN: &str = "ok\n";

/// A request up to what says its length; it does not ask for the connection's end.
const HEAD: &str =
    "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

fn chunks(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_two_lengths_or_of_none_that_is_one_is_refused() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let len = BODY.len();
    for (what, headers, body) in [
        (
            "two lengths",
            format!("content-length: {len}\r\ncontent-length: 4\r\n"),
            BODY.to_owned(),
        ),
        (
            "a list of lengths",
            format!("content-length: {len}, {len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a length with a sign",
            format!("content-length: +{len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a coding that does not end in chunks",
            "transfer-encoding: chunked, identity\r\n".to_owned(),
            chunks(BODY),
        ),
        (
            "an unknown coding",
            "transfer-encoding: xchunked\r\n".to_owned(),
            chunks(BODY),
        ),
        (
            "a space before the colon",
            format!("content-length : {len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a folded header",
            format!("x: a\r\n content-length: 4\r\ncontent-length: {len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a bare CR in a header",
            format!("x: a\rcontent-length: 4\r\ncontent-length: {len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a NUL in a header",
            format!("x: a\0b\r\ncontent-length: {len}\r\n"),
            BODY.to_owned(),
        ),
        (
            "a chunk whose length is none",
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("zz\r\n{BODY}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk whose length overflows",
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("{}\r\n{BODY}\r\n0\r\n\r\n", "f".repeat(17)),
        ),
        (
            "a chunk that is longer than it says",
            "transfer-encoding: chunked\r\n".to_owned(),
            format!("2\r\n{BODY}\r\n0\r\n\r\n"),
        ),
        (
            "chunks whose lines end with a bare LF",
            "transfer-encoding: chunked\r\n".to_owned(),
            chunks(BODY).replace("\r\n", "\n"),
        ),
    ] {
        let bytes = format!("{HEAD}{headers}\r\n{body}{HIDDEN}");
        let answer = send(server.url(), bytes.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (400, Some("BAD_REQUEST")),
            "{what}: {answer:?}"
        );
    }
}

/// RFC 9112, section 6.3: chunks outdo a length, and the connection ends, so that nothing behind it is read as a request.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_length_and_chunks_the_chunks_count_and_nothing_behind_them_is_a_request() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let bytes = format!("{HEAD}{headers}\r\n{}{HIDDEN}", chunks(BODY));
        let answer = sent(server.url(), bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{headers}: {answer}");
        assert!(answer.contains("__typename"), "{headers}: {answer}");
        assert!(!answer.ends_with(ANSWER_TO_HIDDEN), "{headers}: {answer}");
    }
}

/// What a GET has as its body is its body, though nobody wants it.
#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_get_is_no_request() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let len = HIDDEN.len();
    let bytes = format!(
        "GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{HIDDEN}"
    );
    let answer = sent(server.url(), bytes.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

/// The cases above prove nothing if a request that stands openly behind another is not answered either.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_stands_openly_behind_another_is_answered() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    for (headers, body) in [
        (
            format!("content-length: {}\r\n", BODY.len()),
            BODY.to_owned(),
        ),
        ("transfer-encoding: chunked\r\n".to_owned(), chunks(BODY)),
    ] {
        let bytes = format!("{HEAD}{headers}\r\n{body}{HIDDEN}");
        let answer = sent(server.url(), bytes.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
        assert!(answer.ends_with(ANSWER_TO_HIDDEN), "{answer}");
    }
}
