//! Tokens that somebody made who may not, over each transport.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;

use super::*;
use crate::harness::{client, socket::Socket};

const A: &str = "https://a.example/";
const B: &str = "https://b.example/";
const PUBLIC: &str = "{ events { nodes { id } } }";

/// Each with what is wrong, the code, and the token.
fn attacks(of_a: &[Signer], of_b: &Signer) -> Vec<(String, &'static str, String)> {
    const INVALID: &str = "INVALID_TOKEN";
    let now = chrono::Utc::now().timestamp();
    let mut attacks = Vec::new();
    let mut add = |what: &str, code, token| attacks.push((what.to_owned(), code, token));
    let good = claims(A, json!({}));
    for own in of_a {
        let name = &own.id;
        let with = |change| own.sign(&claims(A, change));
        add(
            &format!("{name} expired"),
            "TOKEN_EXPIRED",
            with(json!({ "exp": now - 3_600 })),
        );
        add(
            &format!("{name} for ever"),
            INVALID,
            with(json!({ "exp": null })),
        );
        add(
            &format!("{name} for later"),
            INVALID,
            with(json!({ "nbf": now + 3_600 })),
        );
        add(
            &format!("{name} of the future"),
            INVALID,
            with(json!({ "iat": now + 3_600 })),
        );
        add(
            &format!("{name} for another audience"),
            INVALID,
            with(json!({ "aud": "b" })),
        );
        add(
            &format!("{name} from another issuer"),
            INVALID,
            own.sign(&claims("https://c.example/", json!({}))),
        );
        add(
            &format!("{name} from two issuers"),
            INVALID,
            with(json!({ "iss": [A, B] })),
        );
        add(
            &format!("{name} without a role"),
            INVALID,
            with(json!({ "role": null })),
        );
        add(
            &format!("{name} as B's"),
            INVALID,
            own.sign(&claims(B, json!({}))),
        );
        for other in of_a.iter().filter(|other| other.id != own.id) {
            add(
                &format!("{name} as {}", other.id),
                INVALID,
                own.sign_as(Some(&other.id), &good),
            );
        }
        add(
            &format!("{name} as an unknown key"),
            INVALID,
            own.sign_as(Some("unknown"), &good),
        );
        add(
            &format!("{name} as a key of B's"),
            INVALID,
            own.sign_as(Some(&of_b.id), &good),
        );
        let (body, signature) = own
            .sign(&good)
            .rsplit_once('.')
            .map(|(b, s)| (b.to_owned(), s.to_owned()))
            .unwrap();
        let turned: String = signature.chars().rev().collect();
        add(
            &format!("{name} tampered with"),
            INVALID,
            format!("{body}.{turned}"),
        );
        add(
            &format!("{name} without a signature"),
            INVALID,
            format!("{body}."),
        );
        let payload = body.split('.').nth(1).unwrap();
        for alg in ["none", "None", "nOnE"] {
            let header = json!({ "alg": alg, "typ": "JWT", "kid": own.id }).to_string();
            let header = BASE64URL_NOPAD.encode(header.as_bytes());
            add(
                &format!("{name} {alg}"),
                INVALID,
                format!("{header}.{payload}."),
            );
            add(
                &format!("{name} {alg}, signed"),
                INVALID,
                format!("{header}.{payload}.{signature}"),
            );
        }
        for (n, public) in own.public.iter().enumerate() {
            for id in [Some(own.id.as_str()), None] {
                let secret = EncodingKey::from_secret(public);
                let token = keys::sign(Algorithm::HS256, id, &good, &secret);
                add(&format!("{name} public {n} as a secret"), INVALID, token);
            }
        }
    }
    // B's key for A's people.
    let b = of_b;
    add("B's key", INVALID, b.sign(&good));
    add("B's key without an id", INVALID, b.sign_as(None, &good));
    add(
        "B's key as A's",
        INVALID,
        b.sign_as(Some(&of_a[0].id), &good),
    );
    // A key that comes with the token.
    let stranger = Signer::es256("stranger");
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(of_a[0].id.clone());
    header.jwk = Some(serde_json::from_value(stranger.jwk.clone()).unwrap());
    header.jku = Some("https://stranger.example/keys".to_owned());
    add(
        "a key of its own",
        INVALID,
        jsonwebtoken::encode(&header, &good, &stranger.signing).unwrap(),
    );
    // The issuer with a secret, by another algorithm with the same secret.
    let secret = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let own = claims(ROWLOCK, json!({}));
    add(
        "another hash",
        INVALID,
        keys::sign(Algorithm::HS512, None, &own, &secret),
    );
    add(
        "another issuer's secret",
        INVALID,
        keys::sign(Algorithm::HS256, None, &good, &secret),
    );
    attacks
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attack_is_refused_with_its_code_over_each_transport() {
    let of_a = [
        Signer::es256("a-ec"),
        Signer::eddsa("a-ed"),
        Signer::rs256("a-rsa"),
    ];
    let of_b = Signer::es256("b-ec");
    let provider = Provider::start(keys::set(&of_a.iter().collect::<Vec<_>>())).await;
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "secret", JWT_SECRET);
    write(directory.path(), "b.json", &keys::set(&[&of_b]));
    let issuers = json!({ "issuers": [
        { "issuer": A, "audiences": ["rowlock"], "jwksUrl": provider.url(), "jwksPauseSecs": 3600 },
        { "issuer": B, "audiences": ["b", "rowlock"], "jwksFile": "b.json" },
        { "issuer": ROWLOCK, "audiences": ["rowlock"], "secretFile": "secret" },
    ] });
    let file = write(directory.path(), "issuers.json", &issuers.to_string());
    let database = Database::sqlite().await;
    let server = with_issuers(&database, &file).start().await;

    for signer in &of_a {
        assert_eq!(
            me(&server, &signer.sign(&claims(A, json!({})))).await,
            ada(),
            "{}",
            signer.id
        );
        // Its algorithm has one key.
        assert_eq!(
            me(&server, &signer.sign_as(None, &claims(A, json!({})))).await,
            ada()
        );
    }
    assert_eq!(me(&server, &of_b.sign(&claims(B, json!({})))).await, ada());
    let transports = Transports::new(&server);
    let good = of_a[0].sign(&claims(A, json!({})));
    transports.assert_good(&good).await;
    for (what, code, token) in attacks(&of_a, &of_b) {
        transports.assert_refused(&what, code, &token).await;
    }
    transports.assert_good(&good).await;
    // The start's, and one for the first key that was unknown.
    assert_eq!(provider.asked(), 2);
}

struct Transports<'a> {
    server: &'a Server,
    http: reqwest::Client,
    url: String,
}

impl<'a> Transports<'a> {
    fn new(server: &'a Server) -> Self {
        Self {
            server,
            http: reqwest::Client::new(),
            url: format!("{}/graphql", server.url()),
        }
    }

    /// POST, GET, server-sent events, multipart.
    fn requests(&self, token: &str) -> [(&'static str, reqwest::RequestBuilder); 4] {
        let post = || self.http.post(&self.url).json(&json!({ "query": PUBLIC }));
        let get = self.http.get(&self.url).query(&[("query", PUBLIC)]);
        let multipart = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json";
        [
            ("POST", post()),
            ("GET", get.header("apollo-require-preflight", "1")),
            ("SSE", post().header("accept", "text/event-stream")),
            ("multipart", post().header("accept", multipart)),
        ]
        .map(|(name, request)| (name, request.bearer_auth(token)))
    }

    async fn assert_good(&self, token: &str) {
        for (transport, request) in self.requests(token) {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{transport}");
        }
        Socket::acknowledged(self.server.url(), Some(token)).await;
    }

    async fn assert_refused(&self, what: &str, code: &str, token: &str) {
        for (transport, request) in self.requests(token) {
            let answer = client::Answer::read(request.send().await.unwrap())
                .await
                .unwrap();
            assert_eq!(
                (answer.status, answer.fault()),
                (StatusCode::UNAUTHORIZED, Some(code)),
                "{what} by {transport}"
            );
            assert!(
                answer.headers.contains_key("www-authenticate"),
                "{what} by {transport}"
            );
        }
        let mut socket = Socket::connect(self.server.url()).await;
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        socket
            .say(json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(
            socket.closed().await,
            (4403, "Forbidden".to_owned()),
            "{what}"
        );
        let bearer = format!("Bearer {token}");
        let headers = [
            ("sec-websocket-protocol", "graphql-transport-ws"),
            ("authorization", bearer.as_str()),
        ];
        let refused = Socket::open(self.server.url(), &headers).await.err();
        assert_eq!(refused.map(|status| status.as_u16()), Some(401), "{what}");
    }
}

/// Whoever has an account at two providers is two customers, whatever both call them.
#[tokio::test(flavor = "multi_thread")]
async fn two_providers_ada_are_two_people() {
    let (of_a, of_b) = (Signer::es256("same"), Signer::es256("same"));
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "secret", JWT_SECRET);
    write(directory.path(), "a.json", &keys::set(&[&of_a]));
    write(directory.path(), "b.json", &keys::set(&[&of_b]));
    let issuers = json!({ "issuers": [
        { "issuer": A, "audiences": ["rowlock"], "jwksFile": "a.json" },
        { "issuer": B, "audiences": ["rowlock"], "jwksFile": "b.json" },
        { "issuer": ROWLOCK, "audiences": ["rowlock"], "secretFile": "secret" },
    ] });
    let file = write(directory.path(), "issuers.json", &issuers.to_string());
    let database = Database::sqlite().await;
    let server = with_issuers(&database, &file).start().await;
    let event = crate::harness::seed::seats(&server.client(), 2).await;
    let of = |signer: &Signer, issuer| {
        server
            .client()
            .with_token(&signer.sign(&claims(issuer, json!({}))))
    };
    let (first, second) = (of(&of_a, A), of(&of_b, B));
    // The same key of each: it is bound to the customer.
    first
        .purchase_ticket(&event.tickets[0].id, "mine")
        .await
        .sold();
    second
        .purchase_ticket(&event.tickets[1].id, "mine")
        .await
        .sold();
    for client in [first, second] {
        let data = client
            .data("{ me { orders { nodes { id } } } }", json!({}))
            .await;
        assert_eq!(data["me"]["orders"]["nodes"].as_array().unwrap().len(), 1);
    }
}
