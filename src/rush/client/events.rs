//! Answers that come one after the other, as server-sent events: as much of the format as Rowlock sends.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;

use super::{Open, Trouble};

/// A server gives a sign of life every 10 seconds. One that has given none for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A message of Rowlock's tells of 2,000 tickets at most, unless one order or block has more: 200 KB.
const EVENT_LEN_MAX: usize = 16 << 20;

/// What is between two events.
const END: &[u8] = b"\n\n";

/// A response that lasts.
pub struct Events {
    open: Open,
    body: Incoming,
    /// What has come and was not heard yet.
    come: Bytes,
}

/// What is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer, in JSON.
    Next(Bytes),
    /// There will be no more.
    Complete,
}

impl Events {
    pub(super) fn new(open: Open, body: Incoming) -> Self {
        Self {
            open,
            body,
            come: Bytes::new(),
        }
    }

    /// The next answer, as soon as it comes.
    pub async fn next(&mut self) -> Result<Heard, Trouble> {
        loop {
            while let Some(event) = self.take() {
                if let Some(heard) = read(&event) {
                    return Ok(heard);
                }
            }
            if self.come.len() > EVENT_LEN_MAX {
                return Err(Trouble::TooLong);
            }
            let frame = self.open.driven(self.body.frame());
            let frame = timeout(SILENCE_MAX, frame).await;
            let frame = frame.map_err(|_| Trouble::Silent)?;
            let Some(Ok(frame)) = frame else {
                return Err(Trouble::Lost);
            };
            if let Ok(data) = frame.into_data() {
                // Nearly every event is one frame, which is not copied.
                self.come = if self.come.is_empty() {
                    data
                } else {
                    [&self.come[..], &data].concat().into()
                };
            }
        }
    }

    /// An event that has come as a whole.
    fn take(&mut self) -> Option<Bytes> {
        let len = self.come.windows(END.len()).position(|two| two == END)?;
        let event = self.come.split_to(len + END.len());
        Some(event.slice(..len))
    }
}

/// None of what says nothing, as a sign of life does.
fn read(event: &Bytes) -> Option<Heard> {
    let (mut name, mut data) = (&b""[..], None);
    for line in event.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = &line[colon + 1..];
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"event" => name = value,
            b"data" => data = Some(value),
            _ => {}
        }
    }
    match (name, data) {
        (b"next", Some(data)) => Some(Heard::Next(event.slice_ref(data))),
        (b"complete", _) => Some(Heard::Complete),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_the_end_are_heard_and_a_sign_of_life_says_nothing() {
        let heard = |event: &'static str| read(&Bytes::from_static(event.as_bytes()));
        let json = Bytes::from_static(br#"{"data":{"a":":"}}"#);
        assert_eq!(
            heard("event: next\ndata: {\"data\":{\"a\":\":\"}}"),
            Some(Heard::Next(json))
        );
        assert_eq!(heard("event: complete\ndata:"), Some(Heard::Complete));
        for nothing in [":", "", "event: next", "data: {}", "event: other\ndata: {}"] {
            assert_eq!(heard(nothing), None, "{nothing:?}");
        }
    }
}
