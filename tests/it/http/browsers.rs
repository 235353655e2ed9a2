//! What browsers' pages may do: preflights, and the GETs of the usual clients.

use serde_json::json;

use super::raw::{encoded, request, send};
use crate::harness::{Database, Server};

const SHOP: &str = "https://shop.example";
const URQL: &str = "accept: application/graphql-response+json, application/graphql+json, application/json, \
                    text/event-stream, multipart/mixed";

fn get() -> String {
    format!("GET /graphql?query={}", encoded("{ __typename }"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_site_is_told_so_and_no_other() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env(
            "ROWLOCK_CORS_ORIGINS",
            "https://shop.example,http://localhost:5173",
        )
        .start()
        .await;
    let preflight = async |origin: &str| {
        let origin = format!("origin: {origin}");
        let headers = [
            origin.as_str(),
            "access-control-request-method: POST",
            "access-control-request-headers: authorization,content-type,x-trace",
        ];
        send(server.url(), &request("OPTIONS /graphql", &headers, b"")).await
    };
    for origin in [SHOP, "http://localhost:5173"] {
        let answer = preflight(origin).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("get,post")
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization,content-type,x-trace")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        assert!(
            answer
                .header("vary")
                .is_some_and(|vary| vary.contains("origin")),
            "{answer:?}"
        );
    }
    for origin in [
        "https://elsewhere.example",
        "null",
        "https://shop.example.evil",
        "http://shop.example",
    ] {
        let answer = preflight(origin).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{origin}: {answer:?}"
        );
    }
    // Answers are readable there, errors too, and never with the browser's own credentials.
    for (body, status) in [(r#"{"query": "{ __typename }"}"#, 200), ("{", 400)] {
        let headers = [
            "content-type: application/json",
            "origin: https://shop.example",
        ];
        let answer = send(
            server.url(),
            &request("POST /graphql", &headers, body.as_bytes()),
        )
        .await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(SHOP),
            "{answer:?}"
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("x-request-id,retry-after,ratelimit-policy,ratelimit")
        );
        assert!(!answer.headers.contains("allow-credentials"), "{answer:?}");
        let vary = answer
            .headers
            .lines()
            .filter(|line| line.starts_with("vary"))
            .collect::<String>();
        assert!(
            vary.contains("origin") && vary.contains("accept"),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_site_can_be_allowed_and_then_without_credentials() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--cors-origin")
        .arg("*")
        .start()
        .await;
    let headers = [
        "content-type: application/json",
        "origin: https://shop.example",
    ];
    let answer = send(
        server.url(),
        &request("POST /graphql", &headers, br#"{"query": "{ __typename }"}"#),
    )
    .await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(!answer.headers.contains("allow-credentials"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_no_browser_writes_is_refused_at_the_start() {
    let database = Database::sqlite().await;
    let said = Server::builder(&database)
        .arg("--cors-origin")
        .arg("https://shop.example/")
        .refusal();
    assert!(said.contains("scheme://host"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apollo_client_and_urql_get_answers_with_their_defaults() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--cors-origin")
        .arg(SHOP)
        .start()
        .await;
    let apollo = "content-type: application/json";
    for headers in [
        &[apollo, "sec-fetch-site: same-origin"][..],
        &[
            apollo,
            "sec-fetch-site: cross-site",
            "origin: https://shop.example",
        ],
        &[URQL, "sec-fetch-site: same-origin"],
        &[
            URQL,
            "sec-fetch-site: cross-site",
            "origin: https://shop.example",
        ],
        &[URQL],
    ] {
        let answer = send(server.url(), &request(&get(), headers, b"")).await;
        assert_eq!(
            answer.json()["data"],
            json!({ "__typename": "Query" }),
            "{headers:?}"
        );
    }
    for headers in [
        &[][..],
        &["accept: text/html,*/*;q=0.8", "sec-fetch-site: none"],
        &[URQL, "sec-fetch-site: cross-site"],
        &[
            URQL,
            "sec-fetch-site: cross-site",
            "origin: https://elsewhere.example",
        ],
        &["content-type: text/plain"],
    ] {
        let answer = send(server.url(), &request(&get(), headers, b"")).await;
        assert_eq!(
            answer.code().as_deref(),
            Some("PREFLIGHT_REQUIRED"),
            "{headers:?}"
        );
        assert_eq!(answer.json().get("data"), None);
    }
}
