//! Answers one after the other over one response: server-sent events and `multipart/mixed`, byte by byte.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Bought, ORDER_UPDATED, order, token, token_with_end, updated};
use crate::harness::{Database, Server, seed};

const HEARD_WITHIN: Duration = Duration::from_secs(30);
const ENDED_WITHIN: Duration = Duration::from_secs(10);
const EVENTS: &str = "text/event-stream";
/// As Apollo Client sends it.
const MULTIPART: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json";

/// A response whose body is read as it comes.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(server: &Server, accept: &str, token: Option<&str>, body: Value) -> Self {
        let mut request = reqwest::Client::new()
            .post(format!("{}/graphql", server.url()))
            .header("accept", accept)
            .json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Self {
            response: request.send().await.unwrap(),
            text: String::new(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers()[name].to_str().unwrap()
    }

    /// The text up to this mark, which is taken away too.
    async fn until(&mut self, mark: &str) -> String {
        let reading = async {
            loop {
                if let Some((before, after)) = self.text.split_once(mark) {
                    let before = before.to_owned();
                    self.text = after.to_owned();
                    return before;
                }
                let more = self.response.chunk().await.unwrap();
                let more = more.unwrap_or_else(|| panic!("no {mark:?} after {:?}", self.text));
                self.text.push_str(std::str::from_utf8(&more).unwrap());
            }
        };
        timeout(HEARD_WITHIN, reading)
            .await
            .expect("it comes in time")
    }

    /// What is left, to the end.
    ///
    /// # Errors
    /// When it breaks off.
    async fn rest(mut self) -> Result<String, reqwest::Error> {
        let reading = async {
            while let Some(more) = self.response.chunk().await? {
                self.text.push_str(std::str::from_utf8(&more).unwrap());
            }
            Ok(self.text)
        };
        timeout(HEARD_WITHIN, reading)
            .await
            .expect("it ends in time")
    }

    /// The next server-sent event that is no comment.
    async fn event(&mut self) -> (String, String) {
        loop {
            let event = self.until("\n\n").await;
            if event.starts_with(':') {
                continue;
            }
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data:").unwrap().trim_start();
            return (
                name.strip_prefix("event: ").unwrap().to_owned(),
                data.to_owned(),
            );
        }
    }

    async fn next(&mut self) -> Value {
        let (name, data) = self.event().await;
        assert_eq!(name, "next", "{data}");
        serde_json::from_str(&data).unwrap()
    }

    /// The next part of `multipart/mixed` that is no heartbeat. Its end comes with it: clients wait for that.
    async fn part(&mut self) -> Value {
        loop {
            self.until("\r\ncontent-type: application/json\r\n\r\n")
                .await;
            let part: Value = serde_json::from_str(&self.until("\r\n--graphql").await).unwrap();
            if part != json!({}) {
                return part;
            }
        }
    }
}

fn watch(id: &str) -> Value {
    json!({ "query": ORDER_UPDATED, "variables": { "id": id } })
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_are_those_of_graphql_sse() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let Bought { id, items, .. } = order(&database, &server).await;
    let ada = token("ada");
    let mut stream = Stream::open(&server, EVENTS, Some(&ada), watch(&id)).await;
    assert_eq!(stream.response.status(), StatusCode::OK);
    assert_eq!(
        stream.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(stream.header("cache-control"), "no-store");
    assert_eq!(
        stream.next().await["data"],
        updated(&id, "CONFIRMED", &["ACTIVE", "ACTIVE"])
    );
    let client = server.client().customer("ada");
    client
        .cancel_order(&id, Some(&[&items[0]]), None, "one")
        .await
        .sold();
    assert_eq!(
        stream.next().await["data"],
        updated(&id, "CONFIRMED", &["CANCELLED", "ACTIVE"])
    );

    // A query and a mutation are streams of one, for who takes nothing else.
    let mut query = Stream::open(&server, EVENTS, None, json!({ "query": "{ __typename }" })).await;
    assert_eq!(query.next().await["data"]["__typename"], "Query");
    assert_eq!(query.event().await, ("complete".to_owned(), String::new()));
    assert_eq!(query.rest().await.unwrap(), "");
    // What is not executed too.
    let mut refused = Stream::open(&server, EVENTS, None, watch(&id)).await;
    let told = refused.next().await;
    assert_eq!(
        told["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
        "{told}"
    );
    assert_eq!(told.get("data"), None);
    assert_eq!(refused.event().await.0, "complete");
    let mut invalid = Stream::open(&server, EVENTS, None, json!({ "query": "{ nonsense }" })).await;
    assert_eq!(
        invalid.next().await["errors"][0]["extensions"]["code"],
        "GRAPHQL_VALIDATION_FAILED"
    );
    // What is no GraphQL at all is answered as ever.
    let nonsense = Stream::open(&server, EVENTS, None, json!([])).await;
    assert_eq!(nonsense.response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_is_as_apollo_has_it() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let Bought { id, items, .. } = order(&database, &server).await;
    let ada = token("ada");
    let mut stream = Stream::open(&server, MULTIPART, Some(&ada), watch(&id)).await;
    assert_eq!(
        stream.header("content-type"),
        r#"multipart/mixed;boundary="graphql";subscriptionSpec="1.0""#
    );
    let told = stream.part().await;
    assert_eq!(
        told["payload"]["data"],
        updated(&id, "CONFIRMED", &["ACTIVE", "ACTIVE"])
    );
    let client = server.client().customer("ada");
    client
        .cancel_order(&id, Some(&[&items[0]]), None, "one")
        .await
        .sold();
    assert_eq!(
        stream.part().await["payload"]["data"],
        updated(&id, "CONFIRMED", &["CANCELLED", "ACTIVE"])
    );

    // What is one answer is JSON, also where it is a refusal.
    for (query, code) in [
        ("{ __typename }", Value::Null),
        ("{ nonsense }", json!("GRAPHQL_VALIDATION_FAILED")),
    ] {
        let one = Stream::open(&server, MULTIPART, None, json!({ "query": query })).await;
        assert_eq!(
            one.header("content-type"),
            "application/json; charset=utf-8"
        );
        let answer: Value = one.response.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], code);
    }
    // A subscription that cannot begin ends at once.
    let mut refused = Stream::open(&server, MULTIPART, None, watch(&id)).await;
    let told = refused.part().await;
    assert_eq!(
        told["payload"]["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
    assert_eq!(refused.rest().await.unwrap(), "--\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_needs_a_stream() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_LISTENERS_PER_CALLER", "1")
        .start()
        .await;
    let Bought { id, .. } = order(&database, &server).await;
    let ada = token("ada");
    for accept in [
        "application/json",
        "application/graphql-response+json",
        "*/*",
        "multipart/mixed, */*",
    ] {
        let refused = Stream::open(&server, accept, Some(&ada), watch(&id)).await;
        assert_eq!(
            refused.response.status(),
            StatusCode::NOT_ACCEPTABLE,
            "{accept}"
        );
        let answer: Value = refused.response.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_ACCEPTABLE");
    }
    let mut first = Stream::open(&server, EVENTS, Some(&ada), watch(&id)).await;
    first.next().await;
    let second = Stream::open(&server, EVENTS, Some(&ada), watch(&id)).await;
    assert_eq!(second.response.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_and_with_its_server() {
    let database = Database::sqlite().await;
    let mut server = Server::start(&database).await;
    let Bought { id, .. } = order(&database, &server).await;
    let ada = token("ada");
    let lasting = [
        Stream::open(&server, EVENTS, Some(&ada), watch(&id)).await,
        Stream::open(&server, MULTIPART, Some(&ada), watch(&id)).await,
    ];
    let over = token_with_end(chrono::Utc::now().timestamp() - 28);
    let mut events = Stream::open(&server, EVENTS, Some(&over), watch(&id)).await;
    let mut parts = Stream::open(&server, MULTIPART, Some(&over), watch(&id)).await;
    assert!(events.next().await["data"].is_object());
    // Broken off, so that the client asks again with another token.
    events.rest().await.unwrap_err();
    assert!(parts.part().await["payload"]["data"].is_object());
    let told = parts.part().await;
    assert_eq!(told["payload"], Value::Null, "{told}");
    let extensions = &told["errors"][0]["extensions"];
    assert_eq!(extensions["code"], "TOKEN_EXPIRED");
    assert!(extensions["requestId"].is_string(), "{told}");
    assert_eq!(parts.rest().await.unwrap(), "--\r\n");

    let [mut events, mut parts] = lasting;
    events.next().await;
    parts.part().await;
    server.terminate();
    // Here at another server.
    events.rest().await.unwrap_err();
    assert_eq!(
        parts.part().await["errors"][0]["extensions"]["code"],
        "UNAVAILABLE"
    );
    assert!(server.wait_exit(ENDED_WITHIN).await.success());
}

/// A client that is slow does not make anything queue up, and hears how it is then.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_late_hears_of_the_last_state() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 5).await;
    crate::harness::rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'")
        .await;
    let client = server.client().customer("ada");
    let bought = client
        .purchase_tickets(&event.ticket_ids(), "all")
        .await
        .sold();
    let ada = token("ada");
    let mut stream = Stream::open(&server, EVENTS, Some(&ada), watch(&bought.id)).await;
    for item in &bought.items {
        client
            .cancel_order(&bought.id, Some(&[&item.id]), None, &item.id)
            .await
            .sold();
    }
    loop {
        let told = stream.next().await;
        if told["data"]["orderUpdated"]["status"] == "CANCELLED" {
            break;
        }
    }
}
