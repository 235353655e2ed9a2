//! How much a caller and an address may ask for in a minute, over every transport.

use std::time::Duration;

use rowlock::auth::Role;
use serde_json::{Value, json};

use crate::harness::{
    Client, Database, Outcome, Server,
    client::{Answer, tokens},
    seed,
    server::Builder,
    socket::Socket,
};

/// A query that costs 95 of the 100 that the tests' callers have: what is left then is too little for another one until most of
/// a minute is over. So is what is left of 100 when a token or a document was refused.
const QUERY: &str = "{ events(first: 47) { nodes { id } } }";
const QUERY_COST: u64 = 95;
const COST_MAX: &str = "100";

fn limited(database: &Database, options: &[(&str, &str)]) -> Builder {
    let builder = Server::builder(database).env("ROWLOCK_RATE_LIMITS", "on");
    options.iter().fold(builder, |builder, (option, value)| {
        builder.arg(option).arg(value)
    })
}

/// Callers who have nothing left after one [`QUERY`].
const POOR_CALLERS: [(&str, &str); 3] = [
    ("--query-cost", COST_MAX),
    ("--caller-cost-per-minute", COST_MAX),
    ("--address-cost-per-minute", "0"),
];

fn assert_limited(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 429, "{what}: {answer:?}");
    assert_eq!(answer.fault(), Some("RATE_LIMITED"), "{what}: {answer:?}");
    assert_eq!(answer.data, Value::Null, "{what}");
    let secs = answer.errors[0]["extensions"]["retryAfter"].as_u64();
    let secs = secs.unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!((1..=60).contains(&secs), "{what}: {secs}");
    assert_eq!(answer.headers["retry-after"], secs.to_string(), "{what}");
}

/// Spends what the caller has.
async fn spend(caller: &Client) {
    let first = caller.send(QUERY, json!({})).await;
    assert_eq!(first.extensions["cost"]["requested"], json!(QUERY_COST));
    assert_limited("the second", &caller.send(QUERY, json!({})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_asked_for_too_much_is_told_so_over_every_transport_and_nobody_else_is() {
    let database = Database::sqlite().await;
    let server = limited(&database, &POOR_CALLERS).start().await;
    let hour = Duration::from_secs(3600);
    let token = tokens().issue(Role::Customer, "ada", hour).unwrap();
    let mut socket = Socket::acknowledged(server.url(), Some(&token)).await;
    spend(&server.client().with_token(&token)).await;

    let http = reqwest::Client::new();
    let url = format!("{}/graphql", server.url());
    let body = json!({ "query": QUERY });
    for (what, request) in [
        ("POST", http.post(&url).json(&body)),
        ("GET", http.get(&url).query(&[("query", QUERY)])),
        (
            "GraphQL's own type",
            http.post(&url)
                .json(&body)
                .header("accept", "application/graphql-response+json"),
        ),
        (
            "events",
            http.post(&url)
                .json(&body)
                .header("accept", "text/event-stream"),
        ),
        (
            "multipart",
            http.post(&url)
                .json(&body)
                .header("accept", "multipart/mixed;subscriptionSpec=1.0"),
        ),
    ] {
        let response = request.bearer_auth(&token).send().await.unwrap();
        assert_limited(what, &Answer::read(response).await.unwrap());
    }
    // Each operation of a socket, also of one that was open before.
    for id in ["1", "2"] {
        socket.subscribe(id, QUERY, json!({})).await;
        let heard = socket.message().await;
        assert_eq!(
            (&heard["id"], &heard["type"]),
            (&json!(id), &json!("error"))
        );
        let extensions = &heard["payload"][0]["extensions"];
        assert_eq!(extensions["code"], "RATE_LIMITED", "{heard}");
        assert!(extensions["retryAfter"].is_u64(), "{heard}");
    }
    spend(&server.client().customer("ben")).await;
}

/// So many purchases of what nobody sells, each under a name of its own.
fn aliases(number: usize) -> String {
    let fields: String = (0..number)
        .map(|n| {
            let input = format!(r#"{{ ticketId: "none", idempotencyKey: "k{n}" }}"#);
            format!("a{n}: purchaseTicket(input: {input}) {{ __typename }} ")
        })
        .collect();
    format!("mutation {{ {fields} }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_aliases_of_a_purchase_are_a_hundred_attempts() {
    let database = Database::sqlite().await;
    let options = [
        ("--query-root-fields", "100"),
        ("--caller-attempts-per-minute", "200"),
        ("--address-attempts-per-minute", "0"),
    ];
    let server = limited(&database, &options).start().await;
    let ada = server.client().customer("ada");
    // None is bought, and each is tried.
    let tried = ada.send(&aliases(100), json!({})).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    assert_eq!(tried.data.as_object().map(|keys| keys.len()), Some(100));
    let policy = tried.headers["ratelimit-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("\"caller-attempts\";q=200;w=60, "),
        "{policy}"
    );
    let left = tried.headers["ratelimit"].to_str().unwrap();
    assert!(
        left.starts_with("\"caller-attempts\";r=100;t=30, "),
        "{left}"
    );
    ada.send(&aliases(99), json!({})).await;
    assert_limited("a hundred more", &ada.send(&aliases(100), json!({})).await);
    // Reading is another thing, and so is another caller.
    ada.data("{ events { nodes { id } } }", json!({})).await;
    let ben = server.client().customer("ben");
    assert_eq!(ben.send(&aliases(100), json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_purchase_buys_nothing_and_is_bought_later_with_the_same_key() {
    let database = Database::postgres().await;
    let options = [
        ("--query-root-fields", "2"),
        ("--caller-attempts-per-minute", "2"),
    ];
    let server = limited(&database, &options).start().await;
    let other = Server::start(&database).await;
    let event = seed::seats(&other.client(), 3).await;
    let ids = event.ticket_ids();
    let ada = server.client().customer("ada");
    ada.purchase_ticket(ids[0], "first").await.sold();
    ada.purchase_ticket(ids[1], "second").await.sold();
    let third = ada.purchase_ticket(ids[2], "third").await;
    assert_eq!(third, Outcome::Fault("RATE_LIMITED".to_owned()));
    // What several processes share is what is sold, and not what was asked for.
    let there = other.client().customer("ada");
    there.purchase_ticket(ids[2], "third").await.sold();
}

/// As a proxy at this machine hands it on.
async fn from(server: &Server, client: &str, body: &Value) -> Answer {
    let request = reqwest::Client::new()
        .post(format!("{}/graphql", server.url()))
        .header("x-forwarded-for", client)
        .json(body);
    Answer::read(request.send().await.unwrap()).await.unwrap()
}

const POOR_ADDRESSES: [(&str, &str); 3] = [
    ("--query-cost", COST_MAX),
    ("--caller-cost-per-minute", "0"),
    ("--address-cost-per-minute", COST_MAX),
];

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_one_address_is_limited_together_by_the_word_of_a_trusted_proxy() {
    let database = Database::sqlite().await;
    let server = limited(&database, &POOR_ADDRESSES)
        .arg("--trusted-proxy")
        .arg("127.0.0.0/8")
        .start()
        .await;
    let body = json!({ "query": QUERY });
    let first = from(&server, "2001:db8::1", &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert!(
        first.headers["ratelimit"]
            .to_str()
            .unwrap()
            .contains("address-cost")
    );
    for neighbour in [
        "2001:db8::1",
        // Of the same /64.
        "2001:db8::ffff:2",
        // What the client says of itself, and what the proxies say.
        "192.0.2.7, 2001:db8::1",
        "127.0.0.1, 2001:db8::1, 127.0.0.9",
    ] {
        assert_limited(neighbour, &from(&server, neighbour, &body).await);
    }
    let other = from(&server, "2001:db8:0:1::1", &body).await;
    assert_eq!(other.status, 200, "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_believed_who_is_not_trusted_and_this_machine_is_not_limited_by_address() {
    let database = Database::sqlite().await;
    let server = limited(&database, &POOR_ADDRESSES).start().await;
    let body = json!({ "query": QUERY });
    for _ in 0..3 {
        let answer = from(&server, "192.0.2.1", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.headers.contains_key("ratelimit"), "{answer:?}");
    }
    let log = server.log();
    let warnings = log.iter().filter(|line| line.contains("--trusted-proxy"));
    assert_eq!(warnings.count(), 1, "{log:?}");
    assert!(
        !log.iter().any(|line| line.contains("192.0.2.1")),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_good_and_documents_that_make_no_sense_count_too() {
    let database = Database::sqlite().await;
    let server = limited(&database, &POOR_ADDRESSES)
        .arg("--trusted-proxy")
        .arg("127.0.0.1")
        .start()
        .await;
    let guess = async |client: &str| {
        let request = reqwest::Client::new()
            .post(format!("{}/graphql", server.url()))
            .header("x-forwarded-for", client)
            .bearer_auth("guessed")
            .json(&json!({ "query": "{ __typename }" }));
        Answer::read(request.send().await.unwrap()).await.unwrap()
    };
    assert_eq!(guess("192.0.2.1").await.fault(), Some("INVALID_TOKEN"));
    assert_limited("a second guess", &guess("192.0.2.1").await);
    assert_eq!(guess("192.0.2.2").await.fault(), Some("INVALID_TOKEN"));

    let nonsense = json!({ "query": "{" });
    let first = from(&server, "192.0.2.3", &nonsense).await;
    assert_eq!(first.fault(), Some("GRAPHQL_PARSE_FAILED"));
    assert_limited("a second one", &from(&server, "192.0.2.3", &nonsense).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_no_document_could_pass_are_refused_at_the_start() {
    let database = Database::sqlite().await;
    let refusal = limited(&database, &[("--caller-attempts-per-minute", "49")]).refusal();
    assert!(refusal.contains("--query-root-fields (50)"), "{refusal}");
}
