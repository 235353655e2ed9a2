//! What watchers are told while the buyers buy, and how a server is found out that tells them something else than what is so.

use std::{io, sync::atomic::Ordering};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::{Value, json};

use super::{Behaviour, Between, Proxy, Ran, rush, until_sold};
use crate::harness::{Database, Server, seed};

/// Slow enough for a handful of messages.
const SLOWLY: &str = "--buyers 2 --rate 40 --watch";

on_both_databases! {
    async fn what_was_pushed_replayed_is_what_there_is(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 30).await;
        let arguments = format!(
            "--event {} {SLOWLY} --pattern hold --abandon 0.3 --watchers 3 --database-url {}",
            event.id,
            database.url()
        );
        let ran = rush(&[server.url()], &arguments).await;
        // Whether the rate is reached is the machine's affair.
        assert_eq!(ran.result["audit"]["isClean"], true, "{}", ran.result);
        assert_eq!(ran.result["watch"]["isComplete"], true, "{}", ran.result);
        assert_eq!(ran.number("/watch/watchers"), 3);
        // Each hears of every seat, some of which were given back in between.
        assert!(ran.number("/watch/changes") >= 3 * 30, "{}", ran.result);
        // Of each sale that was told to its buyer first, and rarely are they told later.
        let last = ran.number("/watch/lastDelayMs/count");
        assert!((1..=30).contains(&last), "{}", ran.result);
        assert!(ran.number("/watch/delayMs/count") >= last);
        assert_eq!((ran.number("/watch/resumptions"), ran.number("/watch/begunAgain")), (0, 0));
    }

    async fn who_watches_goes_on_after_a_broken_connection_and_with_a_new_map(database: Database) {
        let server = Server::start(&database).await;
        for (pushing, resumptions, begun_again) in [(Pushing::BreaksOff, 1, 0), (Pushing::SaysTooOld, 1, 1)] {
            let ran = pushed_by(&server, &database, pushing).await;
            assert_eq!(ran.result["audit"]["isClean"], true, "{pushing:?} {}", ran.result);
            assert_eq!(
                (ran.number("/watch/resumptions"), ran.number("/watch/begunAgain")),
                (resumptions, begun_again),
                "{pushing:?}"
            );
        }
    }

    async fn a_server_that_pushes_something_else_than_what_is_so_is_found_out(database: Database) {
        let server = Server::start(&database).await;
        for (pushing, differences) in [
            // By the seat map that the same server gives, and by the row.
            (Pushing::HidesOneSeat, json!({ "pushedDiffers": 2 })),
            (Pushing::LeavesOneMessageOut, json!({ "versionGap": 1 })),
        ] {
            let ran = pushed_by(&server, &database, pushing).await;
            assert_eq!(ran.code, 1, "{pushing:?} {} {}", ran.said, ran.result);
            assert_eq!(ran.result["audit"]["differences"]["byKind"], differences, "{pushing:?}");
        }
    }
}

/// It takes as long as watchers have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_pushes_nothing_is_found_out() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let ran = pushed_by(&server, &database, Pushing::FallsSilent).await;
    assert_eq!(ran.code, 1, "{} {}", ran.said, ran.result);
    assert_eq!(
        ran.result["audit"]["differences"]["byKind"],
        json!({ "notPushed": 1 })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_at_two_servers_are_told_the_same_and_outlive_one_of_them() {
    let database = Database::postgres().await;
    let (first, second) = (
        Server::start(&database).await,
        Server::start(&database).await,
    );
    let event = seed::places(&first.client(), 1_000).await;
    let arguments = format!(
        "--event {} --pattern any --buyers 8 --rate 300 --purchases 600 --watch --watchers 10 --database-url {}",
        event.id,
        database.url()
    );
    let urls = [first.url(), second.url()];
    let (ran, ()) = tokio::join!(rush(&urls, &arguments), async {
        until_sold(&database, 100).await;
        first.kill();
    });
    assert_eq!(ran.result["audit"]["isClean"], true, "{}", ran.result);
    assert_eq!(ran.result["watch"]["isComplete"], true, "{}", ran.result);
    assert_eq!(ran.number("/watch/resumptions"), 5, "{}", ran.result);
    assert_eq!(ran.result["watch"]["delayMs"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_watchers_than_a_server_tells_are_refused_before_anything_is_bought() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--connections")
        .arg("16")
        .start()
        .await;
    let event = seed::seats(&server.client(), 2).await;
    let arguments = format!("--event {} --watch --watchers 13", event.id);
    let ran = rush(&[server.url()], &arguments).await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.said.contains("of 13 watchers") && ran.said.contains("OVERLOADED"),
        "{}",
        ran.said
    );
    assert_eq!(super::orders_len(&database.look().await).await, 0);
}

/// A rehearsal through a proxy.
async fn pushed_by(server: &Server, database: &Database, pushing: Pushing) -> Ran {
    let event = seed::seats(&server.client(), 30).await;
    let proxy = Proxy::start(server, Behaviour::Pushes(pushing)).await;
    let url = database.url();
    let arguments = format!("--event {} {SLOWLY} --database-url {url}", event.id);
    rush(&[&proxy.url], &arguments).await
}

/// What becomes of one message that tells of seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushing {
    HidesOneSeat,
    LeavesOneMessageOut,
    SaysTooOld,
    BreaksOff,
    /// Neither it nor another one is told.
    FallsSilent,
}

/// A stream on its way.
struct Stream {
    between: Between,
    response: reqwest::Response,
    come: Vec<u8>,
    is_silent: bool,
}

/// Passes a stream on, event by event.
pub fn pass(between: Between, response: reqwest::Response) -> Response {
    let kind = response.headers()[header::CONTENT_TYPE.as_str()].clone();
    let stream = Stream {
        between,
        response,
        come: Vec::new(),
        is_silent: false,
    };
    let events = stream::try_unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Ok::<_, io::Error>(event.map(|event| (event, stream)))
    });
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(events)).into_response()
}

impl Stream {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            while let Some(end) = self.come.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.come.drain(..end + 2).collect();
                if let Some(told) = self.tell(event)? {
                    return Ok(Some(told));
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.come.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// What becomes of an event.
    fn tell(&mut self, event: Vec<u8>) -> io::Result<Option<Bytes>> {
        let text = String::from_utf8(event).unwrap();
        let Behaviour::Pushes(pushing) = self.between.behaviour else {
            return Ok(Some(text.into()));
        };
        if self.is_silent {
            return Ok(None);
        }
        if !text.contains("\"SOLD\"") || self.between.has_lied.swap(true, Ordering::SeqCst) {
            return Ok(Some(text.into()));
        }
        let told = match pushing {
            Pushing::HidesOneSeat => {
                let json = text.strip_prefix("event: next\ndata: ").unwrap();
                let mut answer: Value = serde_json::from_str(json).unwrap();
                let seats = &mut answer["data"]["ticketsChanged"]["tickets"];
                seats.as_array_mut().unwrap().pop().unwrap();
                Some(format!("event: next\ndata: {answer}\n\n"))
            }
            Pushing::LeavesOneMessageOut => None,
            Pushing::SaysTooOld => {
                let answer = json!({ "errors": [{ "extensions": { "code": "TOO_OLD" } }] });
                Some(format!("event: next\ndata: {answer}\n\n"))
            }
            Pushing::BreaksOff => return Err(io::Error::other("broken off")),
            Pushing::FallsSilent => {
                self.is_silent = true;
                None
            }
        };
        Ok(told.map(Bytes::from))
    }
}
