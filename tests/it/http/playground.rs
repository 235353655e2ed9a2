//! The playground's pages and all that they load, with and without GraphiQL in the server.

use std::{collections::BTreeSet, fs, path::PathBuf};

use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, HeaderName, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::{Value, json};

use super::{JSON, Sender, assert_refused};
use crate::harness::{Database, Server, client::Answer};

/// The addresses that a page names in its attributes, itself included.
fn linked(page: &str) -> BTreeSet<&str> {
    let attributes = ["src=\"", "href=\""];
    attributes
        .iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|address| !address.starts_with("data:"))
        .collect()
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

async fn get(sender: &Sender, method: Method, path: &str) -> Response {
    let request = sender.request(method, path).header(ACCEPT_ENCODING, "gzip");
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playground_and_all_that_it_loads_come_from_the_server() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    for path in ["/", "/plain"] {
        let page = get(&sender, Method::GET, path).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(header(&page, &CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(&page, &CONTENT_ENCODING), "");
        let text = page.text().await.unwrap();
        let linked = linked(&text);
        assert!(linked.len() >= 2, "a script and a style sheet: {text}");
        for address in linked {
            assert!(address.starts_with('/'), "{path} names {address}");
            let file = get(&sender, Method::GET, address).await;
            assert_eq!(file.status(), StatusCode::OK, "{address}");
            let policy = header(&file, &CONTENT_SECURITY_POLICY);
            assert!(policy.contains("script-src 'self';"), "{address}: {policy}");
            assert_eq!(header(&file, &X_CONTENT_TYPE_OPTIONS), "nosniff");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_known_is_not_sent_again() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    for path in ["/", "/plain", "/plain.js", "/plain.css"] {
        let head = get(&sender, Method::HEAD, path).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(header(&head, &CACHE_CONTROL), "no-cache");
        let etag = header(&head, &ETAG).to_owned();
        let again = sender.request(Method::GET, path);
        let again = again.header(IF_NONE_MATCH, &etag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(header(&again, &ETAG), etag);
        assert_eq!(again.bytes().await.unwrap().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_is_sent_compressed_or_not_at_all() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    let page = get(&sender, Method::GET, "/").await.text().await.unwrap();
    let assets = linked(&page)
        .into_iter()
        .filter(|address| address.starts_with("/assets/"));
    for address in assets {
        let asset = get(&sender, Method::GET, address).await;
        assert_eq!(header(&asset, &CONTENT_ENCODING), "gzip");
        assert_eq!(header(&asset, &VARY), "Accept-Encoding");
        assert!(header(&asset, &CACHE_CONTROL).contains("immutable"));
        let refusing = sender.request(Method::GET, address);
        let refusing = refusing.header(ACCEPT_ENCODING, "gzip;q=0");
        let answer = Answer::read(refusing.send().await.unwrap()).await.unwrap();
        assert_refused(
            address,
            &answer,
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
        );
    }
    let nothing = get(&sender, Method::GET, "/assets/nothing.js").await;
    let answer = Answer::read(nothing).await.unwrap();
    assert_refused("no asset", &answer, StatusCode::NOT_FOUND, "NOT_FOUND");
}

/// Without a token and with the variables as they are, an example is refused for that alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_fit_the_schema() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let sender = Sender::to(&server);
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/http/playground/examples");
    let mut count = 0;
    for file in fs::read_dir(directory).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_none_or(|extension| extension != "graphql")
        {
            continue;
        }
        count += 1;
        let query = fs::read_to_string(&file).unwrap();
        let variables = fs::read_to_string(file.with_extension("json"));
        let variables: Value = variables.map_or(Value::Null, |text| {
            serde_json::from_str(&text).expect("variables are JSON")
        });
        let body = json!({ "query": query, "variables": variables }).to_string();
        // A subscription is a stream, of which the first message is read.
        let request = sender
            .request(Method::POST, "/graphql")
            .header(CONTENT_TYPE, JSON)
            .header("accept", "application/json, text/event-stream;q=0.5")
            .body(body);
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(
            text.contains("\"data\"") || text.contains("UNAUTHENTICATED"),
            "{}: {text}",
            file.display()
        );
    }
    assert_eq!(count, 4);
}
