use std::{io::Write, path::Path};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::{
    elliptic_curve::sec1::ToEncodedPoint as _,
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use serde_json::{Value, json};

use super::*;
use crate::auth::{Denial, Permission, Role};

const KEY: &[u8; 32] = b"a key of exactly thirty-two byte";
const MINUTE: Duration = Duration::from_secs(60);

fn tokens(audience: &str) -> Tokens {
    Tokens::new(KEY, "rowlock", audience).unwrap()
}

fn claims(change: Value) -> Value {
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({ "iss": "rowlock", "aud": "shop", "sub": "ada", "role": "customer", "exp": now + 60 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn with_secret(claims: &Value) -> String {
    signed(
        &Header::new(Algorithm::HS256),
        claims,
        &EncodingKey::from_secret(KEY),
    )
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

fn header(algorithm: Algorithm, id: Option<&str>) -> Header {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    header
}

fn file(directory: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    path
}

/// An issuer whose keys are in a file.
fn with_keys(keys: &Value, change: impl FnOnce(&mut IssuerConfig)) -> Tokens {
    let directory = tempfile::tempdir().unwrap();
    let mut config = IssuerConfig::new("rowlock", "shop");
    config.jwks_file = Some(file(
        directory.path(),
        "keys",
        &json!({ "keys": keys }).to_string(),
    ));
    change(&mut config);
    Tokens::of(&[config]).unwrap()
}

fn oct(id: &str, secret: &[u8]) -> Value {
    json!({ "kty": "oct", "kid": id, "k": BASE64URL_NOPAD.encode(secret) })
}

struct Ec(p256::SecretKey);

impl Ec {
    /// The same for the same number.
    fn new(seed: u8) -> Self {
        Self(p256::SecretKey::from_slice(&[seed; 32]).unwrap())
    }

    fn signing(&self) -> EncodingKey {
        EncodingKey::from_ec_der(self.0.to_pkcs8_der().unwrap().as_bytes())
    }

    fn jwk(&self, id: &str) -> Value {
        let point = self.0.public_key().to_encoded_point(false);
        let of = |part: Option<&p256::FieldBytes>| BASE64URL_NOPAD.encode(part.unwrap());
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": of(point.x()), "y": of(point.y()) })
    }
}

struct Ed(ed25519_dalek::SigningKey);

impl Ed {
    fn signing(&self) -> EncodingKey {
        EncodingKey::from_ed_der(self.0.to_pkcs8_der().unwrap().as_bytes())
    }

    fn jwk(&self, id: &str) -> Value {
        let point = BASE64URL_NOPAD.encode(self.0.verifying_key().as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": point })
    }
}

#[test]
fn a_token_comes_back_as_the_caller_it_was_made_for() {
    let tokens = tokens("shop");
    let token = tokens.issue(Role::Customer, "ada", MINUTE).unwrap();
    let caller = tokens.verify(&token).unwrap().caller;
    assert_eq!(caller.customer().unwrap().account().subject, "ada");
    let needs = Role::Organizer;
    let denied = caller.staff(Permission::Read).unwrap_err();
    assert_eq!(denied, Denial::Forbidden { needs });
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    let token = tokens("other shop")
        .issue(Role::Customer, "ada", MINUTE)
        .unwrap();
    assert_eq!(
        tokens("shop").verify(&token).unwrap_err(),
        TokenError::NotForUs
    );
}

#[test]
fn a_forged_an_unsigned_and_a_garbled_token_are_refused() {
    let shop = tokens("shop");
    let forger = Tokens::new(b"another key of thirty-two bytes!", "rowlock", "shop").unwrap();
    let forged = forger.issue(Role::Organizer, "eve", MINUTE).unwrap();
    assert_eq!(shop.verify(&forged).unwrap_err(), TokenError::Invalid);

    let good = shop.issue(Role::Customer, "ada", MINUTE).unwrap();
    let body = good.split('.').nth(1).unwrap();
    for alg in ["none", "None", "", "HS384"] {
        let header = json!({ "alg": alg, "typ": "JWT" }).to_string();
        let header = BASE64URL_NOPAD.encode(header.as_bytes());
        for signature in ["", "e30", good.rsplit('.').next().unwrap()] {
            let token = format!("{header}.{body}.{signature}");
            assert_eq!(
                shop.verify(&token).unwrap_err(),
                TokenError::Invalid,
                "{alg}"
            );
        }
    }
    for garbage in ["", ".", "..", "...", "a.b.c", "e30.e30.e30"] {
        assert_eq!(shop.verify(garbage).unwrap_err(), TokenError::Invalid);
    }
}

#[test]
fn what_the_claims_say_must_be_so() {
    let shop = tokens("shop");
    let now = chrono::Utc::now().timestamp();
    for (change, refused) in [
        (json!({}), None),
        (json!({ "aud": ["other", "shop"] }), None),
        (json!({ "exp": 9_999_999_999_u64 }), None),
        (json!({ "exp": u64::MAX }), None),
        (json!({ "exp": now as f64 + 60.5 }), None),
        (json!({ "exp": now - 25 }), None),
        (json!({ "exp": now - 35 }), Some(TokenError::Expired)),
        (json!({ "exp": 1 }), Some(TokenError::Expired)),
        (json!({ "exp": -1 }), Some(TokenError::Invalid)),
        (json!({ "exp": "9999999999" }), Some(TokenError::Invalid)),
        (json!({ "exp": null }), Some(TokenError::Invalid)),
        (json!({ "nbf": now + 25 }), None),
        (json!({ "nbf": now + 40 }), Some(TokenError::TooEarly)),
        (json!({ "nbf": "soon" }), Some(TokenError::Invalid)),
        (json!({ "iat": now + 25 }), None),
        (json!({ "iat": now as f64 - 0.5 }), None),
        (json!({ "iat": now + 40 }), Some(TokenError::TooEarly)),
        (json!({ "iat": 1e300 }), Some(TokenError::Invalid)),
        (json!({ "iat": "now" }), Some(TokenError::Invalid)),
        (json!({ "aud": "other" }), Some(TokenError::NotForUs)),
        (json!({ "aud": [] }), Some(TokenError::NotForUs)),
        (json!({ "aud": null }), Some(TokenError::Invalid)),
        (json!({ "iss": "other" }), Some(TokenError::NotForUs)),
        (json!({ "iss": ["rowlock"] }), Some(TokenError::Invalid)),
        (json!({ "iss": null }), Some(TokenError::Invalid)),
        (json!({ "sub": null }), Some(TokenError::Invalid)),
        (json!({ "sub": "" }), Some(TokenError::Invalid)),
        (json!({ "sub": 7 }), Some(TokenError::Invalid)),
        (json!({ "sub": "a\nb" }), Some(TokenError::Invalid)),
        (json!({ "sub": "x".repeat(256) }), Some(TokenError::Invalid)),
        (json!({ "role": null }), Some(TokenError::NoRole)),
        (json!({ "role": "admin" }), Some(TokenError::NoRole)),
        (json!({ "role": true }), Some(TokenError::NoRole)),
    ] {
        let verified = shop.verify(&with_secret(&claims(change.clone())));
        assert_eq!(verified.err(), refused, "{change}");
    }
    // The header has no word in it.
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".into()]);
    let token = signed(
        &critical,
        &claims(json!({})),
        &EncodingKey::from_secret(KEY),
    );
    assert_eq!(shop.verify(&token).unwrap_err(), TokenError::Invalid);
}

#[test]
fn the_leeway_is_the_operators() {
    let keys = json!([oct("a", KEY)]);
    let now = chrono::Utc::now().timestamp();
    let strict = with_keys(&keys, |config| config.leeway_secs = 0);
    let of_key = |claims| {
        signed(
            &header(Algorithm::HS256, Some("a")),
            &claims,
            &EncodingKey::from_secret(KEY),
        )
    };
    let late = of_key(claims(json!({ "exp": now - 100 })));
    assert_eq!(strict.verify(&late).unwrap_err(), TokenError::Expired);
    let early = of_key(claims(json!({ "nbf": now + 10 })));
    assert_eq!(strict.verify(&early).unwrap_err(), TokenError::TooEarly);
    let patient = with_keys(&keys, |config| config.leeway_secs = 300);
    let identity = patient.verify(&late).unwrap();
    let end = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(now + 200).unwrap());
    assert_eq!(identity.expires_at, Some(end));
}

#[test]
fn each_algorithm_has_its_keys() {
    let (ec, ed) = (
        Ec::new(1),
        Ed(ed25519_dalek::SigningKey::from_bytes(&[2; 32])),
    );
    let shop = with_keys(&json!([ec.jwk("c"), ed.jwk("d"), oct("s", KEY)]), |_| {});
    let secret = EncodingKey::from_secret(KEY);
    let algorithms = [
        (Algorithm::ES256, "c", ec.signing()),
        (Algorithm::EdDSA, "d", ed.signing()),
        (Algorithm::HS256, "s", secret),
    ];
    for (algorithm, own, key) in &algorithms {
        for id in [Some("c"), Some("d"), Some("s"), Some("unknown"), None] {
            let token = signed(&header(*algorithm, id), &claims(json!({})), key);
            // Without an id, all of the algorithm are tried.
            let is_good = id.is_none_or(|id| id == *own);
            assert_eq!(shop.verify(&token).is_ok(), is_good, "{algorithm:?} {id:?}");
        }
    }
    // A key of the right kind that is another's.
    let forged = signed(
        &header(Algorithm::ES256, Some("c")),
        &claims(json!({})),
        &Ec::new(9).signing(),
    );
    assert_eq!(shop.verify(&forged).unwrap_err(), TokenError::Invalid);
}

/// Whoever took the algorithm from the token would take what everybody knows for the secret.
#[test]
fn a_public_key_is_no_secret() {
    let (ec, ed) = (Ec::new(1), ed25519_dalek::SigningKey::from_bytes(&[2; 32]));
    let jwks = json!([ec.jwk("c"), Ed(ed.clone()).jwk("d")]);
    let shop = with_keys(&jwks, |_| {});
    let public = ec.0.public_key();
    let ed_public = ed.verifying_key();
    let known: Vec<Vec<u8>> = vec![
        public
            .to_public_key_pem(LineEnding::LF)
            .unwrap()
            .into_bytes(),
        public
            .to_public_key_pem(LineEnding::LF)
            .unwrap()
            .trim()
            .as_bytes()
            .to_vec(),
        public.to_public_key_der().unwrap().into_vec(),
        public.to_encoded_point(false).as_bytes().to_vec(),
        public.to_encoded_point(true).as_bytes().to_vec(),
        ed_public
            .to_public_key_pem(LineEnding::LF)
            .unwrap()
            .into_bytes(),
        ed_public.to_public_key_der().unwrap().into_vec(),
        ed_public.as_bytes().to_vec(),
        jwks[0].to_string().into_bytes(),
        jwks[0]["x"].as_str().unwrap().as_bytes().to_vec(),
        Vec::new(),
    ];
    for secret in known {
        for id in [Some("c"), Some("d"), None] {
            let key = EncodingKey::from_secret(&secret);
            let token = signed(&header(Algorithm::HS256, id), &claims(json!({})), &key);
            assert_eq!(shop.verify(&token).unwrap_err(), TokenError::Invalid);
        }
    }
}

#[test]
fn old_and_new_secrets_are_good_together() {
    let old = b"the old secret of 32 bytes or so";
    let shop = with_keys(&json!([oct("new", KEY), oct("old", old)]), |_| {});
    let made = shop.issue(Role::Customer, "ada", MINUTE).unwrap();
    assert_eq!(
        jsonwebtoken::decode_header(&made).unwrap().kid.as_deref(),
        Some("new")
    );
    assert!(shop.verify(&made).is_ok());
    for id in [Some("old"), None] {
        let token = signed(
            &header(Algorithm::HS256, id),
            &claims(json!({})),
            &EncodingKey::from_secret(old),
        );
        assert!(shop.verify(&token).is_ok(), "{id:?}");
    }
}

/// Whether the token would be recognized, if its key were good.
fn is_remembered(tokens: &Tokens, token: &str) -> bool {
    tokens.verified.recall(&hash_of(token), |_| true).is_some()
}

#[tokio::test]
async fn a_token_is_recognized_until_its_key_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let keys_are = |keys: Value| {
        file(
            directory.path(),
            "keys",
            &json!({ "keys": keys }).to_string(),
        )
    };
    let (a, b) = (Ec::new(1), Ec::new(2));
    let mut config = IssuerConfig::new("rowlock", "shop");
    config.jwks_file = Some(keys_are(json!([a.jwk("a")])));
    let shop = Tokens::of(&[config]).unwrap();
    let token = signed(
        &header(Algorithm::ES256, Some("a")),
        &claims(json!({})),
        &a.signing(),
    );
    assert!(!is_remembered(&shop, &token));
    let first = shop.verify(&token).unwrap();
    assert!(is_remembered(&shop, &token));
    let again = shop.verify(&token).unwrap();
    assert_eq!(again.caller.account(), first.caller.account());
    assert_eq!(again.expires_at, first.expires_at);

    // Another one beside it changes nothing for it.
    let renew = || shop.issuers[0].sources[0].renew("rowlock", TriedFor::Change);
    keys_are(json!([b.jwk("b"), a.jwk("a")]));
    renew().await.unwrap();
    assert!(shop.verify(&token).is_ok());
    assert!(is_remembered(&shop, &token));

    keys_are(json!([b.jwk("b")]));
    renew().await.unwrap();
    assert_eq!(shop.verify(&token).unwrap_err(), TokenError::Invalid);
    assert!(!is_remembered(&shop, &token));
}

#[tokio::test]
async fn a_token_is_recognized_until_it_ends() {
    let shop = with_keys(&json!([oct("a", KEY)]), |config| config.leeway_secs = 0);
    let end = chrono::Utc::now().timestamp() + 2;
    let token = with_secret(&claims(json!({ "exp": end })));
    assert!(shop.verify(&token).is_ok());
    assert!(is_remembered(&shop, &token));
    while chrono::Utc::now().timestamp() <= end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.verify(&token).unwrap_err(), TokenError::Expired);
    assert!(!is_remembered(&shop, &token));
}

#[test]
fn what_is_refused_is_not_remembered() {
    let shop = tokens("shop");
    let token = with_secret(&claims(json!({ "aud": "elsewhere" })));
    assert_eq!(shop.verify(&token).unwrap_err(), TokenError::NotForUs);
    assert!(!is_remembered(&shop, &token));
}

#[test]
fn each_issuer_has_its_own_keys_people_and_words() {
    let directory = tempfile::tempdir().unwrap();
    let config = |issuer: &str, ec: &Ec| {
        let mut config = IssuerConfig::new(issuer, "shop");
        let keys = json!({ "keys": [ec.jwk(issuer)] }).to_string();
        config.jwks_file = Some(file(directory.path(), issuer, &keys));
        config
    };
    let (a, b) = (Ec::new(1), Ec::new(2));
    let mut staff = config("b", &b);
    staff.role_claim = "realm_access.roles".parse().unwrap();
    staff.roles.insert("seller".into(), Role::Organizer);
    let shop = Tokens::of(&[config("a", &a), staff]).unwrap();
    let of_a = |id, key: &Ec| {
        let claims = claims(json!({ "iss": "a" }));
        signed(&header(Algorithm::ES256, id), &claims, &key.signing())
    };
    let of_b = |role: Value| {
        let claims = claims(json!({ "iss": "b", "realm_access": role }));
        signed(&header(Algorithm::ES256, Some("b")), &claims, &b.signing())
    };
    let ada = shop.verify(&of_a(Some("a"), &a)).unwrap().caller;
    let seller = shop
        .verify(&of_b(json!({ "roles": ["seller"] })))
        .unwrap()
        .caller;
    let accounts = (ada.account().unwrap(), seller.account().unwrap());
    assert_eq!(accounts.0.subject, accounts.1.subject);
    assert!(
        accounts.0 != accounts.1,
        "two providers' ada are two people"
    );
    assert!(seller.staff(Permission::Catalogue).is_ok());
    // `role` is the other issuer's claim.
    assert_eq!(
        shop.verify(&of_b(json!(null))).unwrap_err(),
        TokenError::NoRole
    );
    for (id, key) in [
        (Some("a"), &b),
        (Some("b"), &b),
        (None, &b),
        (Some("b"), &a),
    ] {
        assert_eq!(
            shop.verify(&of_a(id, key)).unwrap_err(),
            TokenError::Invalid,
            "{id:?}"
        );
    }
    assert_eq!(
        shop.issue(Role::Customer, "ada", MINUTE).err(),
        Some(KeyError::NothingSigns)
    );
}

#[test]
fn what_is_issued_says_its_role_as_the_issuer_does() {
    let keys = json!([oct("a", KEY)]);
    let shop = with_keys(&keys, |config| {
        config.role_claim = "https://tickets.example/role".parse().unwrap();
        config.roles.insert("fan".into(), Role::Customer);
    });
    let token = shop.issue(Role::Customer, "ada", MINUTE).unwrap();
    assert!(shop.verify(&token).unwrap().caller.customer().is_ok());
    assert_eq!(
        shop.issue(Role::Organizer, "ada", MINUTE).err(),
        Some(KeyError::NoWord)
    );
    assert_eq!(
        shop.issue(Role::Customer, "", MINUTE).err(),
        Some(KeyError::BadSubject)
    );
}

#[test]
fn a_file_that_has_no_keys_is_named_and_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let said = |change: &dyn Fn(&mut IssuerConfig)| {
        let mut config = IssuerConfig::new("rowlock", "shop");
        change(&mut config);
        let error = Tokens::of(&[config]).err().unwrap();
        let source = std::error::Error::source(&error).unwrap();
        let cause = source.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {source}: {cause}")
    };
    let short = file(directory.path(), "short", "hunter2");
    let one = said(&|config| config.secret_file = Some(short.clone()));
    assert!(
        one.contains("short is not used: the token key has 7 bytes"),
        "{one}"
    );
    let other = said(&|config| config.jwks_file = Some(short.clone()));
    assert!(
        other.contains("short is not used: it is no JWKS"),
        "{other}"
    );
    let gone = said(&|config| config.jwks_file = Some(directory.path().join("gone")));
    assert!(gone.contains("gone cannot be read"), "{gone}");
    for text in [one, other] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
