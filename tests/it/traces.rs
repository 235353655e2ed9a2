//! Traces by OTLP: a request's span is its caller's child, and the batch that served it is linked to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::Link},
};
use prost::Message;
use rowlock::auth::Role;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::harness::{
    Database, Server,
    client::{PURCHASE_TICKET, tokens},
    seed,
};

const END_MAX: Duration = Duration::from_secs(20);

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    lots: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let lots = Arc::<Mutex<Vec<_>>>::default();
        let keep =
            async |State(lots): State<Arc<Mutex<Vec<_>>>>, headers: HeaderMap, body: Bytes| {
                lots.lock().unwrap().push((headers, body));
                // An empty ExportTraceServiceResponse: everything was accepted.
                Bytes::new()
            };
        let routes = Router::new()
            .route("/v1/traces", post(keep))
            .with_state(Arc::clone(&lots));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            lots,
            _serving: serving,
        }
    }

    fn spans(&self) -> Vec<Span> {
        let lots = self.lots.lock().unwrap();
        let mut spans = Vec::new();
        for (headers, body) in lots.iter() {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let lot = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            for of_resource in lot.resource_spans {
                let attributes = &of_resource.resource.as_ref().unwrap().attributes;
                let service = attributes.iter().find(|it| it.key == "service.name");
                assert!(format!("{service:?}").contains("rowlock"), "{service:?}");
                spans.extend(of_resource.scope_spans.into_iter().flat_map(|of| of.spans));
            }
        }
        spans
    }
}

/// As a service does that is traced itself.
async fn ask_in_trace(server: &Server, traceparent: &str, body: &Value) -> Value {
    let token = tokens().issue(Role::Customer, "ada", Duration::from_secs(60));
    let asked = reqwest::Client::new()
        .post(format!("{}/graphql", server.url()))
        .bearer_auth(token.unwrap())
        .header("accept", "application/json")
        .header("traceparent", traceparent)
        .json(body)
        .send();
    asked.await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_traced_from_its_caller_to_the_batch_that_served_it() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00f067aa0ba902b7";
    let database = Database::postgres().await;
    let collector = Collector::start().await;
    let mut server = Server::builder(&database)
        .env("ROWLOCK_OTLP_ENDPOINT", &collector.url)
        .env("ROWLOCK_OTLP_SHARE", "1")
        // What is traced does not depend on what is logged.
        .env("ROWLOCK_LOG", "warn")
        .start()
        .await;
    let event = seed::seats(&server.client(), 2).await;
    let input = json!({ "ticketId": event.tickets[0].id, "idempotencyKey": "secret key" });
    let body = json!({ "query": PURCHASE_TICKET, "variables": { "input": input } });
    let answer = ask_in_trace(&server, &format!("00-{TRACE}-{CALLER}-01"), &body).await;
    assert!(
        answer["data"]["purchaseTicket"]["order"].is_object(),
        "{answer}"
    );
    // What is left is exported at the end.
    server.terminate();
    assert!(server.wait_exit(END_MAX).await.success());

    let spans = collector.spans();
    let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .collect();
    let [request] = requests.as_slice() else {
        panic!(
            "{} spans of the caller's trace in {spans:#?}",
            requests.len()
        );
    };
    assert_eq!(
        (request.name.as_str(), hex(&request.parent_span_id).as_str()),
        ("request", CALLER)
    );
    assert!(request.end_time_unix_nano > request.start_time_unix_nano);
    let is_of_request =
        |link: &Link| link.span_id == request.span_id && link.trace_id == request.trace_id;
    let batches: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "batch" && span.links.iter().any(is_of_request))
        .collect();
    let [batch] = batches.as_slice() else {
        panic!("{} batches served the request: {spans:#?}", batches.len());
    };
    assert!(batch.start_time_unix_nano >= request.start_time_unix_nano);
    assert!(batch.end_time_unix_nano <= request.end_time_unix_nano);
    let said = format!("{spans:?}");
    assert!(
        !said.contains("secret key") && !said.contains("ada"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_not_for_the_caller_to_say() {
    let database = Database::sqlite().await;
    let collector = Collector::start().await;
    let mut server = Server::builder(&database)
        .env("ROWLOCK_OTLP_ENDPOINT", &collector.url)
        // One in a million: none of ten.
        .env("ROWLOCK_OTLP_SHARE", "0.000001")
        .start()
        .await;
    // Neither the flag nor an id that a sampler by ids would take.
    for recorded in [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "4bf92f3577b34da60000000000000001",
    ] {
        let recorded = format!("00-{recorded}-00f067aa0ba902b7-01");
        ask_in_trace(&server, &recorded, &json!({ "query": "{ __typename }" })).await;
    }
    server.terminate();
    assert!(server.wait_exit(END_MAX).await.success());
    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
}

/// Nobody waits for a collector that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn sales_go_on_without_the_collector() {
    let database = Database::sqlite().await;
    let mut server = Server::builder(&database)
        .env("ROWLOCK_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .env("ROWLOCK_OTLP_SHARE", "1")
        .start()
        .await;
    let event = seed::seats(&server.client(), 1).await;
    let outcome = server
        .client()
        .customer("ada")
        .purchase_ticket(&event.tickets[0].id, "mine")
        .await;
    assert!(outcome.is_sold(), "{outcome:?}");
    server.terminate();
    assert!(server.wait_exit(END_MAX).await.success());
    let log = server.log().join("\n");
    assert!(log.contains("traces are dropped"), "{log}");
}

#[test]
fn what_is_no_collector_is_refused_with_a_sentence() {
    for (variable, value, said) in [
        (
            "ROWLOCK_OTLP_ENDPOINT",
            "https://127.0.0.1:4318",
            "no place for traces",
        ),
        ("ROWLOCK_OTLP_ENDPOINT", "127.0.0.1", "no place for traces"),
        (
            "ROWLOCK_OTLP_SHARE",
            "1.5",
            "a share is a number from 0 to 1",
        ),
        (
            "ROWLOCK_OTLP_SHARE",
            "NaN",
            "a share is a number from 0 to 1",
        ),
    ] {
        let refusal = Server::command(&["serve"])
            .env("ROWLOCK_DATABASE_URL", "sqlite::memory:")
            .env(variable, value)
            .refusal();
        assert!(refusal.contains(said), "{value}: {refusal}");
    }
}
