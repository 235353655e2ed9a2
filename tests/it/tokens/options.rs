//! What an operator says of issuers, and what they are told when it makes no sense.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{provider::Answer, *};
use crate::harness::client;

/// What a server says that must not start.
async fn refusal(builder: Builder) -> String {
    tokio::task::spawn_blocking(|| builder.refusal())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_said_in_the_providers_words() {
    let database = Database::sqlite().await;
    let own = Signer::es256("own");
    let provider = Provider::start(keys::set(&[&own])).await;
    let server = with_provider(&database, &provider)
        .env("ROWLOCK_JWT_ROLE_CLAIM", "realm_access.roles")
        .env("ROWLOCK_JWT_ROLES", "box-office=organizer,fan=customer")
        .env("ROWLOCK_JWT_DEFAULT_ROLE", "customer")
        .env("ROWLOCK_JWT_ISSUER", "https://login.example/realms/shop")
        .arg("--jwt-audience=shop")
        .arg("--jwt-audience=other-shop")
        .start()
        .await;
    for (change, role) in [
        (
            json!({ "roles": ["offline_access", "box-office"] }),
            Some("ORGANIZER"),
        ),
        (json!({ "roles": ["fan", "box-office"] }), Some("ORGANIZER")),
        (json!({ "roles": ["fan"] }), Some("CUSTOMER")),
        (json!({ "roles": ["organizer"] }), Some("CUSTOMER")),
        (json!({}), Some("CUSTOMER")),
        (json!({ "roles": 1 }), None),
    ] {
        for audience in ["shop", "other-shop"] {
            let claims = claims(
                "https://login.example/realms/shop",
                json!({ "aud": ["account", audience], "realm_access": change, "role": null }),
            );
            let expected = role.map(|role| json!({ "subject": "ada", "role": role }));
            assert_eq!(
                me(&server, &own.sign(&claims)).await.ok(),
                expected,
                "{change}"
            );
        }
    }
    // A token of the command line says its role in the same words.
    let token = Server::command(&["token", "--role", "organizer", "--subject", "ada"])
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .env("ROWLOCK_JWT_ROLE_CLAIM", "realm_access.roles")
        .env("ROWLOCK_JWT_ROLES", "box-office=organizer,fan=customer")
        .env("ROWLOCK_JWT_ISSUER", "https://login.example/realms/shop")
        .arg("--jwt-audience=shop")
        .print();
    let organizer = json!({ "subject": "ada", "role": "ORGANIZER" });
    assert_eq!(me(&server, token.trim()).await, Ok(organizer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_its_provider_and_then_says_why_it_does_not_start() {
    let database = Database::sqlite().await;
    let own = Signer::es256("own");
    let start = async |answer: Answer| Provider::start_with(answer, None).await;
    let secret = data_encoding::BASE64URL_NOPAD.encode(JWT_SECRET.as_bytes());
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "o", "k": secret }] }).to_string();
    let elsewhere = start(Answer::Keys(keys::set(&[&own]))).await;
    let mut down = start(Answer::Silence).await;
    down.down().await;
    let providers = [
        (down, "is out of reach"),
        (start(Answer::Silence).await, "did not answer within 5s"),
        (start(Answer::Endless).await, "more than 524288 bytes"),
        (
            start(Answer::Other(503, String::new())).await,
            "answered 503",
        ),
        (
            start(Answer::Other(
                302,
                format!("location: {}\r\n", elsewhere.url()),
            ))
            .await,
            "answered 302",
        ),
        (start(Answer::Keys("<html>".into())).await, "it is no JWKS"),
        (start(Answer::Keys(oct)).await, "it has no key for RS256"),
    ];
    let refused = providers.iter().map(|(provider, sentence)| {
        let builder = with_provider(&database, provider);
        async move { (refusal(builder).await, sentence) }
    });
    let late = start(Answer::Other(503, String::new())).await;
    let waiting = async {
        let starting = with_provider(&database, &late).start();
        let mending = async {
            crate::harness::eventually("a try", NOTICED_WITHIN, async || {
                (late.asked() > 0).then_some(())
            })
            .await;
            late.publish(keys::set(&[&own]));
        };
        let (server, ()) = tokio::join!(starting, mending);
        assert_eq!(
            me(&server, &own.sign(&claims(ROWLOCK, json!({})))).await,
            ada()
        );
    };
    // One process alone writes to an SQLite file; the others do not get so far.
    let (refused, ()) = tokio::join!(futures_util::future::join_all(refused), waiting);
    for (said, sentence) in refused {
        assert!(
            said.contains(sentence) && said.contains("the issuer rowlock"),
            "{sentence}: {said}"
        );
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    assert_eq!(elsewhere.asked(), 0, "redirects are not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_certificate_of_an_authority_that_is_trusted() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let acceptor = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    };
    let own = Signer::es256("own");
    let start = async |name| {
        Provider::start_with(Answer::Keys(keys::set(&[&own])), Some(acceptor(name))).await
    };
    let (right, wrong) = (start("127.0.0.1").await, start("login.example").await);
    let directory = tempfile::tempdir().unwrap();
    let trusted = write(directory.path(), "ca.pem", &authority.pem());
    let database = Database::sqlite().await;
    let with = |provider, file: &std::path::Path| {
        with_provider(&database, provider).env("ROWLOCK_JWKS_CA_FILE", file.to_str().unwrap())
    };
    let server = with(&right, &trusted).start().await;
    assert_eq!(
        me(&server, &own.sign(&claims(ROWLOCK, json!({})))).await,
        ada()
    );
    drop(server);
    let (of_strangers, of_another) = tokio::join!(
        refusal(with_provider(&database, &right)),
        refusal(with(&wrong, &trusted))
    );
    assert!(of_strangers.contains("UnknownIssuer"), "{of_strangers}");
    assert!(of_another.contains("not valid for"), "{of_another}");
    assert_eq!(wrong.asked(), 0);
    let none = write(directory.path(), "none.pem", "");
    let said = refusal(with(&right, &none)).await;
    assert!(said.contains("it has no certificate"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_in_a_sentence() {
    let database = Database::sqlite().await;
    let directory = tempfile::tempdir().unwrap();
    let unknown = json!({ "issuers": [{ "issuer": "a", "audiences": ["b"], "jwksUri": "https://a.example" }] });
    let unknown = write(directory.path(), "unknown.json", &unknown.to_string());
    let none = Server::command(&["serve"]).env("ROWLOCK_DATABASE_URL", &database.url());
    let one = || Server::builder(&database);
    for (builder, sentence) in [
        (none, "no key for tokens is named"),
        (with_issuers(&database, &unknown), "unknown field `jwksUri`"),
        (
            with_issuers(&database, &directory.path().join("gone")),
            "it cannot be read",
        ),
        (one().env("ROWLOCK_ISSUERS", "x"), "cannot be used with"),
        (
            one().arg("--jwks-url=http://login.example/keys"),
            "use https",
        ),
        (
            one().arg("--jwks-url=https://a:b@login.example/keys"),
            "a user and a password",
        ),
        (
            one().arg("--jwks-url=login.example"),
            "is no place for keys",
        ),
        (one().arg("--jwks-ca-file=x"), "--jwks-url"),
        (
            one().arg("--jwks-file=/nowhere/keys"),
            "the key file /nowhere/keys cannot be read",
        ),
        (one().arg("--jwt-role=boss"), "write WORD=ROLE"),
        (one().arg("--jwt-role=boss=king"), "king is no role"),
        (one().arg("--jwt-role-claim=a..b"), "a name that is empty"),
        (one().arg("--jwt-leeway-secs=301"), "301"),
        (one().arg("--jwt-audience="), "needs an audience"),
    ] {
        let said = refusal(builder).await;
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_issuers_may_have_one_that_signs() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "secret", JWT_SECRET);
    let issuers = json!({ "issuers": [
        { "issuer": "https://login.example", "audiences": ["x"], "jwksUrl": "https://login.example/keys" },
        { "issuer": ROWLOCK, "audiences": ["rowlock", "y"], "secretFile": "secret" },
    ] });
    let file = write(directory.path(), "issuers.json", &issuers.to_string());
    // Nobody is asked for keys to sign with.
    let token = Server::command(&["token", "--role", "customer", "--subject", "ada"])
        .env("ROWLOCK_ISSUERS", file.to_str().unwrap())
        .print();
    let identity = client::tokens().verify(token.trim()).unwrap();
    assert_eq!(
        identity.caller.customer().unwrap().account().issuer,
        ROWLOCK
    );
    let refused = Server::command(&["token", "--role", "customer", "--subject", "ada"])
        .env("ROWLOCK_JWKS_URL", "https://login.example/keys")
        .refusal();
    assert!(
        refused.contains("there is no key to sign tokens with"),
        "{refused}"
    );
}

/// Neither what is secret nor who comes is told, whatever is logged and whatever goes wrong.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_told() {
    let own = Signer::es256("own");
    let mut provider = Provider::start(keys::set(&[&own])).await;
    let database = Database::sqlite().await;
    let server = with_provider(&database, &provider)
        .env("ROWLOCK_JWKS_PAUSE_SECS", "1")
        .env("ROWLOCK_LOG", "trace")
        .start()
        .await;
    let good = own.sign(&claims(ROWLOCK, json!({ "sub": "ada-the-customer" })));
    let bad = own.sign_as(
        Some("unknown"),
        &claims(ROWLOCK, json!({ "sub": "ada-the-customer" })),
    );
    me(&server, &good).await.unwrap();
    provider.down().await;
    me(&server, &bad).await.unwrap_err();
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let (signature, other) = (signature(&good), signature(&bad));
    for line in server.log() {
        for secret in [JWT_SECRET, &signature, &other, "ada-the-customer"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    let help = Server::command(&["serve", "--help"])
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .env(
            "ROWLOCK_JWKS_URL",
            "https://login.example/keys?code=hunter2",
        )
        .print();
    assert!(help.contains("--jwks-url") && !help.contains(JWT_SECRET) && !help.contains("hunter2"));
}
