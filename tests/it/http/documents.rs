//! Documents that are named: automatic persisted queries, as Apollo's clients send them, and trusted documents.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::raw::{Raw, encoded, request, send};
use crate::harness::{Database, Server};

const QUERY: &str = "query Name { __typename }";
const MUTATION: &str = "mutation Name { __typename }";

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

fn extensions(text: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash(text) } })
}

async fn post(server: &Server, body: Value) -> Raw {
    let headers = ["content-type: application/json", "accept: application/json"];
    send(
        server.url(),
        &request("POST /graphql", &headers, body.to_string().as_bytes()),
    )
    .await
}

async fn get(server: &Server, parameters: &[(&str, &str)]) -> Raw {
    let query: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let line = format!("GET /graphql?{}", query.join("&"));
    send(
        server.url(),
        &request(&line, &["accept: application/json"], b""),
    )
    .await
}

fn named(answer: &Raw) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"]["__typename"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_sent_once_and_then_named_by_its_hash() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let by_hash = extensions(QUERY).to_string();
    // Apollo's link asks with the hash alone, hears this, sends the text beside it, and the hash alone from then on.
    let unknown = get(
        &server,
        &[
            ("extensions", &by_hash),
            ("operationName", "Name"),
            ("variables", "{}"),
        ],
    )
    .await;
    assert_eq!(
        (unknown.status, unknown.code().as_deref()),
        (200, Some("PERSISTED_QUERY_NOT_FOUND"))
    );
    assert_eq!(
        unknown.json()["errors"][0]["message"],
        "PersistedQueryNotFound"
    );
    assert_eq!(
        named(&get(&server, &[("query", QUERY), ("extensions", &by_hash)]).await),
        "Query"
    );
    assert_eq!(
        named(&get(&server, &[("extensions", &by_hash)]).await),
        "Query"
    );
    assert_eq!(
        named(&post(&server, json!({ "extensions": extensions(QUERY) })).await),
        "Query"
    );
    // A hash is no way around what a GET may do.
    let body = json!({ "query": MUTATION, "extensions": extensions(MUTATION) });
    assert_eq!(named(&post(&server, body).await), "Mutation");
    let refused = get(
        &server,
        &[("extensions", &extensions(MUTATION).to_string())],
    )
    .await;
    assert_eq!(
        (refused.status, refused.code().as_deref()),
        (405, Some("METHOD_NOT_ALLOWED"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn persisted_queries_can_be_turned_off() {
    let database = Database::sqlite().await;
    let server = Server::builder(&database)
        .arg("--persisted-queries-len")
        .arg("0")
        .start()
        .await;
    let answer = post(&server, json!({ "extensions": extensions(QUERY) })).await;
    assert_eq!(
        answer.code().as_deref(),
        Some("PERSISTED_QUERY_NOT_SUPPORTED")
    );
    let answer = post(
        &server,
        json!({ "query": QUERY, "extensions": extensions(QUERY) }),
    )
    .await;
    assert_eq!(named(&answer), "Query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_graphql_codegen_is_answered_by_id_and_nothing_else_where_it_is_alone() {
    let database = Database::sqlite().await;
    let manifest = tempfile::NamedTempFile::new().unwrap();
    let documents =
        json!({ format!("sha256:{}", hash(QUERY)): QUERY, "5e2a": MUTATION, "broken": "{" });
    std::fs::write(manifest.path(), documents.to_string()).unwrap();
    let server = Server::builder(&database)
        .arg("--trusted-documents")
        .arg(manifest.path().to_str().unwrap())
        .env("ROWLOCK_TRUSTED_DOCUMENTS_ONLY", "true")
        .start()
        .await;
    let id = format!("sha256:{}", hash(QUERY));
    assert_eq!(
        named(&post(&server, json!({ "documentId": id })).await),
        "Query"
    );
    assert_eq!(named(&get(&server, &[("documentId", &id)]).await), "Query");
    assert_eq!(
        named(&post(&server, json!({ "extensions": extensions(QUERY) })).await),
        "Query"
    );
    assert_eq!(
        named(&post(&server, json!({ "documentId": "5e2a" })).await),
        "Mutation"
    );
    assert_eq!(get(&server, &[("documentId", "5e2a")]).await.status, 405);
    // Trusted is not unchecked.
    let broken = post(&server, json!({ "documentId": "broken" })).await;
    assert_eq!(broken.code().as_deref(), Some("GRAPHQL_PARSE_FAILED"));
    let other = "{ __typename }";
    for body in [
        json!({ "query": other }),
        json!({ "query": other, "extensions": extensions(other) }),
        json!({ "extensions": extensions(other) }),
    ] {
        assert_eq!(
            post(&server, body).await.code().as_deref(),
            Some("DOCUMENT_NOT_TRUSTED")
        );
    }
    assert_eq!(
        get(&server, &[("query", other)]).await.code().as_deref(),
        Some("DOCUMENT_NOT_TRUSTED")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_cannot_be_read_is_refused_at_the_start() {
    let database = Database::sqlite().await;
    let manifest = tempfile::NamedTempFile::new().unwrap();
    for text in ["", "[]", "{}", r#"{"a": 1}"#] {
        std::fs::write(manifest.path(), text).unwrap();
        let builder = Server::builder(&database).arg("--trusted-documents");
        let said = builder.arg(manifest.path().to_str().unwrap()).refusal();
        assert!(said.contains("the trusted documents"), "{said}");
    }
    let said = Server::builder(&database)
        .arg("--trusted-documents-only")
        .refusal();
    assert!(said.contains("--trusted-documents"), "{said}");
}
