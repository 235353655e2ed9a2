//! The table of statuses in docs/http.md: every row is sent as bytes, and is answered as it says.

use std::collections::BTreeMap;

use super::raw::{Raw, encoded, request, send};
use crate::harness::{Database, Server, server::JWT_SECRET};

const JSON: &str = "content-type: application/json";
const FORWARDED: &str = "x-forwarded-for: 192.0.2.1";
const FROM_NO_PAGE: &str = "apollo-require-preflight: true";
const ACCEPTS: [&str; 2] = [
    "accept: application/graphql-response+json",
    "accept: application/json",
];

/// Which server a row is sent to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Usual,
    /// `--trusted-documents-only`
    Trusting,
    /// `--request-timeout-ms`
    Impatient,
    /// `--caller-cost-per-minute`, of which nothing is left
    Spent,
}

/// What a row sends; its `Accept` is added where it has none.
struct Sent {
    to: To,
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

fn post(body: impl Into<Vec<u8>>) -> Sent {
    with(&[JSON], body)
}

fn with(headers: &[&str], body: impl Into<Vec<u8>>) -> Sent {
    Sent {
        to: To::Usual,
        line: "POST /graphql".to_owned(),
        headers: headers.iter().map(|&header| header.to_owned()).collect(),
        body: body.into(),
    }
}

fn line(line: impl Into<String>) -> Sent {
    Sent {
        line: line.into(),
        ..with(&[FROM_NO_PAGE], "")
    }
}

fn query(text: &str) -> Sent {
    post(serde_json::json!({ "query": text }).to_string())
}

/// Every row of the table, by its first column.
fn rows() -> BTreeMap<&'static str, Sent> {
    let good = r#"{"query": "{ __typename }"}"#;
    let persisted = |members: &str| {
        post(format!(
            r#"{{"extensions": {{"persistedQuery": {{{members}}}}}}}"#
        ))
    };
    let hash = format!(r#""sha256Hash": "{}""#, "0".repeat(64));
    let claims = serde_json::json!({ "iss": "rowlock", "aud": "rowlock", "sub": "ada", "role": "customer", "iat": 1, "exp": 2 });
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let expired = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let expired = format!("authorization: Bearer {expired}");
    BTreeMap::from([
        ("a query", query("{ __typename }")),
        (
            "a query over GET",
            line(format!(
                "GET /graphql?query={}&operationName=",
                encoded("{ __typename }")
            )),
        ),
        (
            "a query some of whose fields fail",
            query("{ me { subject } }"),
        ),
        ("a document that does not parse", query("{")),
        (
            "a document that does not fit the schema",
            query("{ nothing }"),
        ),
        (
            "a document that is larger than a limit",
            query(&format!("{{ {} }}", "__typename ".repeat(51))),
        ),
        (
            "a document whose answer may become too large",
            query("{ events(first: 100) { nodes { tickets(first: 100) { nodes { id } } } } }"),
        ),
        (
            "a variable that does not fit",
            post(
                r#"{"query": "query($n: Int) { events(first: $n) { __typename } }", "variables": {"n": "two"}}"#,
            ),
        ),
        (
            "an operation that the document does not have",
            post(r#"{"query": "query A { __typename }", "operationName": "B"}"#),
        ),
        (
            "a hash that is not known (`persistedQuery`)",
            persisted(&format!(r#""version": 1, {hash}"#)),
        ),
        (
            "an id that is not known (`documentId`)",
            post(r#"{"documentId": "sha256:00"}"#),
        ),
        (
            "a `persistedQuery` of another version",
            persisted(&format!(r#""version": 2, {hash}"#)),
        ),
        (
            "a text, where only trusted documents are answered",
            Sent {
                to: To::Trusting,
                ..post(good)
            },
        ),
        (
            "a hash that is not the query's",
            post(format!(
                r#"{{"query": "{{ __typename }}", "extensions": {{"persistedQuery": {{"version": 1, {hash}}}}}}}"#
            )),
        ),
        (
            "a `persistedQuery` without its hash",
            persisted(r#""version": 1"#),
        ),
        ("no body", post("")),
        ("a body that is not JSON", post("{query: a}")),
        (
            "a body that is not UTF-8",
            post(b"{\"query\": \"{ __typename }\xff\"}".to_vec()),
        ),
        (
            "half of a surrogate pair in a string",
            post(r#"{"query": "{ __typename }", "variables": {"a": "\ud800"}}"#),
        ),
        (
            "values nested in more than 100 others",
            post(format!(
                r#"{{"query": "{{ __typename }}", "variables": {{"a": {}{}}}}}"#,
                "[".repeat(300),
                "]".repeat(300)
            )),
        ),
        ("a body that is no object", post("\"{ __typename }\"")),
        (
            "neither `query` nor another name of a document",
            post(r#"{"qeury": "{ __typename }"}"#),
        ),
        (
            "both `query` and `documentId`",
            post(r#"{"query": "{ __typename }", "documentId": "a"}"#),
        ),
        ("a `query` that is no string", post(r#"{"query": 1}"#)),
        (
            "an `operationName` that is no string",
            post(r#"{"query": "{ __typename }", "operationName": []}"#),
        ),
        (
            "`variables` that are no object",
            post(r#"{"query": "{ __typename }", "variables": "{}"}"#),
        ),
        (
            "`extensions` that are no object",
            post(r#"{"query": "{ __typename }", "extensions": [1]}"#),
        ),
        (
            "a member twice",
            post(r#"{"query": "{ a }", "query": "{ __typename }"}"#),
        ),
        (
            "a URL whose `variables` are not JSON",
            line("GET /graphql?query=%7b__typename%7d&variables=%7b"),
        ),
        ("a URL that is not UTF-8", line("GET /graphql?query=%ff")),
        ("a list of requests", post(format!("[{good}]"))),
        (
            "a GET that a page of another site could have caused",
            Sent {
                headers: vec!["accept: */*".to_owned()],
                ..line("GET /graphql?query=%7b__typename%7d")
            },
        ),
        (
            "a token that is not good",
            with(&[JSON, "authorization: Bearer nonsense"], good),
        ),
        ("a token whose time is over", with(&[JSON, &expired], good)),
        (
            "two `Authorization` headers",
            with(
                &[JSON, "authorization: Bearer a", "authorization: Bearer b"],
                good,
            ),
        ),
        ("another path", line("GET /nothing")),
        (
            "a mutation over GET",
            line(format!(
                "GET /graphql?query={}",
                encoded("mutation { __typename }")
            )),
        ),
        ("another method", line("PUT /graphql")),
        (
            "an `Accept` that allows neither type",
            with(&[JSON, "accept: text/html"], good),
        ),
        (
            "a body of more bytes than `--body-len`",
            post(" ".repeat(1_001)),
        ),
        (
            "a URL of more than 8,192 bytes",
            line(format!("GET /graphql?query={}", "a".repeat(8_193 - 15))),
        ),
        ("a POST without a media type", with(&[], good)),
        (
            "a POST of another media type",
            with(&["content-type: text/plain"], good),
        ),
        (
            "a POST in another charset than UTF-8",
            with(&["content-type: application/json; charset=utf-16"], good),
        ),
        (
            "a line and headers of more than 64 KiB, or more than 100 headers",
            Sent {
                headers: (0..101).map(|n| format!("x-{n}: a")).collect(),
                ..line("GET /graphql")
            },
        ),
        ("what is no HTTP", line("\u{1}")),
        (
            "a request for another server's name",
            Sent {
                line: "POST http://elsewhere.example/graphql".to_owned(),
                ..query("{ __typename }")
            },
        ),
        (
            "more than a caller or an address may ask for in a minute",
            Sent {
                to: To::Spent,
                ..with(
                    &[JSON, FORWARDED],
                    r#"{"query": "{ events(first: 40) { nodes { id } } }"}"#,
                )
            },
        ),
        (
            "a body that does not come within `--request-timeout-ms`",
            Sent {
                to: To::Impatient,
                ..with(&[JSON, "content-length: 10"], "")
            },
        ),
    ])
}

/// A row of docs/http.md: the statuses in both media types, and the code.
fn documented() -> BTreeMap<String, ([u16; 2], Option<String>)> {
    let docs = include_str!("../../../docs/http.md");
    let table = docs
        .split("| what is sent | status | in JSON | code |")
        .nth(1)
        .expect("the table");
    table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix('|'))
        .map(|row| {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let [what, status, in_json, code] = columns[..] else {
                panic!("four columns: {row}");
            };
            let code = (!code.is_empty()).then(|| code.trim_matches('`').to_owned());
            let statuses = [status, in_json].map(|status| status.parse().unwrap());
            (what.to_owned(), (statuses, code))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_answered_as_it_says() {
    let manifest = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(manifest.path(), r#"{"sha256:aa": "{ __typename }"}"#).unwrap();
    let manifest = manifest.path().to_str().unwrap();
    let mut servers = BTreeMap::new();
    for (to, arguments) in [
        (To::Usual, &["--body-len", "1000"][..]),
        (
            To::Trusting,
            &["--trusted-documents", manifest, "--trusted-documents-only"],
        ),
        (
            To::Impatient,
            &["--request-timeout-ms", "300", "--sale-deadline-ms", "200"],
        ),
        (
            To::Spent,
            &[
                "--rate-limits",
                "on",
                "--trusted-proxy",
                "127.0.0.1",
                "--query-cost",
                "100",
                "--caller-cost-per-minute",
                "100",
            ],
        ),
    ] {
        let database = Database::sqlite().await;
        let builder = arguments
            .iter()
            .fold(Server::builder(&database), |builder, argument| {
                builder.arg(argument)
            });
        servers.insert(to, (builder.start().await, database));
    }
    let (rows, documented) = (rows(), documented());
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        documented.keys().map(String::as_str).collect::<Vec<_>>(),
        "what the test sends, and what docs/http.md says"
    );
    // It costs as much as there is in a minute.
    let refused = request("POST /graphql", &[JSON, FORWARDED], b"{\"query\": \"{\"}");
    assert_eq!(
        send(servers[&To::Spent].0.url(), &refused).await.status,
        200
    );
    for (what, sent) in rows {
        let (statuses, code) = &documented[what];
        for (accept, status) in ACCEPTS.into_iter().zip(statuses) {
            let mut headers: Vec<&str> = sent.headers.iter().map(String::as_str).collect();
            if !headers.iter().any(|header| header.starts_with("accept:")) {
                headers.insert(0, accept);
            }
            let bytes = request(&sent.line, &headers, &sent.body);
            let answer = send(servers[&sent.to].0.url(), &bytes).await;
            assert_eq!(answer.status, *status, "{what}, {accept}: {answer:?}");
            assert_eq!(answer.code().as_ref(), code.as_ref(), "{what}: {answer:?}");
            assert_is_whole(what, &answer);
        }
    }
}

/// What every answer has, and every error.
fn assert_is_whole(what: &str, answer: &Raw) {
    let json = answer.json();
    let media_type = answer.header("content-type").unwrap();
    assert!(
        [
            "application/json; charset=utf-8",
            "application/graphql-response+json; charset=utf-8"
        ]
        .contains(&media_type),
        "{what}: {answer:?}"
    );
    let id = answer.header("x-request-id").unwrap();
    for error in json["errors"].as_array().into_iter().flatten() {
        assert_eq!(error["extensions"]["requestId"], id, "{what}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{what}"
        );
    }
    // Whatever fails while it is executed does so at some field.
    let is_executed = !json["errors"][0]["path"].is_null();
    if json.get("errors").is_some() && !is_executed {
        assert!(json.get("data").is_none(), "{what}: {answer:?}");
    }
    match answer.status {
        401 => assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|header| header.starts_with("bearer")),
            "{what}"
        ),
        405 => assert!(
            answer
                .header("allow")
                .is_some_and(|header| header.contains("post")),
            "{what}"
        ),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_are_where_the_table_says() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let of_len = |len: usize| {
        let query = format!("/graphql?query={}&x=", encoded("{ __typename }"));
        request(
            &format!("GET {query}{}", "a".repeat(len - query.len())),
            &[FROM_NO_PAGE],
            b"",
        )
    };
    assert_eq!(send(server.url(), &of_len(8_192)).await.status, 200);
    assert_eq!(send(server.url(), &of_len(8_193)).await.status, 414);
    let with_header =
        |len: usize| request("GET /livez", &[&format!("x: {}", "a".repeat(len))], b"");
    assert_eq!(send(server.url(), &with_header(60_000)).await.status, 200);
    let answer = send(server.url(), &with_header(70_000)).await;
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (431, Some("HEADERS_TOO_LARGE"))
    );
    let many = |count: usize| {
        let headers: Vec<String> = (0..count).map(|n| format!("x-{n}: a")).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        request("GET /livez", &headers, b"")
    };
    // Beside `host` and `connection`.
    assert_eq!(send(server.url(), &many(98)).await.status, 200);
    assert_eq!(send(server.url(), &many(99)).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_varies_by_accept_and_is_kept_by_nobody() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    for body in [r#"{"query": "{ __typename }"}"#, "{"] {
        let answer = send(
            server.url(),
            &request("POST /graphql", &[JSON], body.as_bytes()),
        )
        .await;
        assert_eq!(answer.header("vary"), Some("accept"), "{answer:?}");
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "{answer:?}"
        );
    }
    // A HEAD has an answer's headers and no body.
    let answer = send(
        server.url(),
        &request("HEAD /graphql?query=%7b__typename%7d", &[FROM_NO_PAGE], b""),
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("allow"), answer.body.as_str()),
        (405, Some("get, post"), "")
    );
}
