//! What browsers are told of every answer, and by which names the server answers at all.

use super::raw::{request, send};
use crate::harness::{Database, Server, server::Builder};

const JSON: &str = "content-type: application/json";
const QUERY: &[u8] = br#"{"query":"{ __typename }"}"#;

/// What every answer says.
const TOLD: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "deny"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_not_to_do_with_it() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_CORS_ORIGINS", "https://shop.example")
        .arg("--hsts-secs")
        .arg("31536000")
        .start()
        .await;
    let too_many = "x: a".to_owned();
    let too_many: Vec<&str> = vec![&too_many; 200];
    for (status, line, headers, body) in [
        (200, "POST /graphql", &[JSON][..], QUERY),
        (400, "POST /graphql", &[JSON], b"{".as_slice()),
        (
            401,
            "POST /graphql",
            &[JSON, "authorization: Bearer x"],
            QUERY,
        ),
        (200, "GET /", &[], b""),
        (404, "GET /nothing", &[], b""),
        (405, "POST /livez", &[], b""),
        (200, "GET /livez", &[], b""),
        (414, &format!("GET /{}", "a".repeat(9_000)), &[], b""),
        (421, "GET http://evil.example/", &[], b""),
        (431, "GET /", &too_many, b""),
        (
            204,
            "OPTIONS /graphql",
            &[
                "origin: https://shop.example",
                "access-control-request-method: POST",
            ],
            b"",
        ),
    ] {
        let answer = send(server.url(), &request(line, headers, body)).await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        for (name, value) in TOLD {
            assert_eq!(answer.header(name), Some(value), "{line}: {answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{line}: {policy}"
        );
        // hyper's own answers and a preflight's are to no page's navigation.
        if !matches!(status, 204 | 431) {
            assert_eq!(
                answer.header("strict-transport-security"),
                Some("max-age=31536000"),
                "{line}: {answer:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_not_asked_for_where_nobody_said_so() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let answer = send(server.url(), &request("GET /livez", &[], b"")).await;
    assert_eq!(answer.header("strict-transport-security"), None);
}

async fn status(server: &Server, path: &str, host: &str) -> (u16, Option<String>) {
    let bytes = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = send(server.url(), bytes.as_bytes()).await;
    let code = (answer.status >= 400).then(|| answer.code()).flatten();
    (answer.status, code)
}

async fn started(database: &Database, change: impl FnOnce(Builder) -> Builder) -> Server {
    change(Server::builder(database)).start().await
}

/// DNS rebinding: the name of another site leads to this machine, and its page is, to the browser, this server's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_this_machine_alone_answers_to_its_names_alone() {
    let database = Database::sqlite().await;
    let server = started(&database, |builder| builder).await;
    let refused = (421, Some("HOST_NOT_ALLOWED".to_owned()));
    for own in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:1"] {
        assert_eq!(status(&server, "/", own).await.0, 200, "{own}");
    }
    for other in ["evil.example", "evil.example:80", "localhost.evil.example"] {
        for path in ["/", "/graphql?query=%7b__typename%7d", "/nothing"] {
            assert_eq!(status(&server, path, other).await, refused, "{other}{path}");
        }
        assert_eq!(status(&server, "/livez", other).await.0, 200, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_names_answers_to_them_alone() {
    let database = Database::sqlite().await;
    let names = "tickets.example,tickets.example.org";
    let server = started(&database, |builder| builder.env("ROWLOCK_HOSTS", names)).await;
    assert_eq!(status(&server, "/", "tickets.example:443").await.0, 200);
    assert_eq!(status(&server, "/", "tickets.example.org").await.0, 200);
    assert_eq!(status(&server, "/", "localhost").await.0, 421);
    let two = "GET /livez HTTP/1.1\r\nhost: tickets.example\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let answer = send(server.url(), two.as_bytes()).await;
    assert_eq!(answer.code().as_deref(), Some("BAD_REQUEST"), "{answer:?}");
}
