//! A request as bytes on a socket, and what comes back, with no client in between that would mend either.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer, read by hand.
#[derive(Debug)]
pub struct Raw {
    pub status: u16,
    /// In lower case, each on a line.
    pub headers: String,
    pub body: String,
}

impl Raw {
    /// Of GraphQL's shape, whatever was sent.
    pub fn json(&self) -> Value {
        let json: Value =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(
            json["errors"].is_array() || json["data"].is_object(),
            "{self:?}"
        );
        json
    }

    pub fn code(&self) -> Option<String> {
        let code = &self.json()["errors"][0]["extensions"]["code"];
        code.as_str().map(str::to_owned)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (header, value) = line.split_once(':')?;
            (header == name).then_some(value.trim())
        })
    }
}

/// Sends these bytes on a connection of their own, which the request must ask to close.
pub async fn send(url: &str, bytes: &[u8]) -> Raw {
    let answer = sent(url, bytes).await;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let (line, headers) = head.split_once("\r\n").unwrap();
    Raw {
        status: line.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_lowercase(),
        body: body.to_owned(),
    }
}

/// The same, and everything that comes back.
pub async fn sent(url: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    // A server that has heard enough need not hear the rest.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("an answer is UTF-8")
}

/// A request with these headers, each a line, and its body.
pub fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend(format!("{header}\r\n").into_bytes());
    }
    if !body.is_empty() {
        bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// As a form encodes it.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
