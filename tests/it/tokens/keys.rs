//! Keys of the tests' own, made when they run, and what can be signed with them.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::pkcs8::{
    EncodePrivateKey as _, EncodePublicKey as _, spki::der::pem::LineEnding,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rsa::{pkcs1::EncodeRsaPrivateKey as _, traits::PublicKeyParts as _};
use serde_json::{Value, json};

/// A key pair, by its id.
pub struct Signer {
    pub id: String,
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    /// The public part, as a provider publishes it.
    pub jwk: Value,
    /// The public part as files have it: PEM with and without its last line break, and DER.
    pub public: Vec<Vec<u8>>,
}

impl Signer {
    pub fn es256(id: &str) -> Self {
        let key = loop {
            // Almost every number is a key.
            if let Ok(key) = p256::SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
                break key;
            }
        };
        let public = key.public_key();
        let point = public.to_encoded_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes()),
            jwk: json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256", "x": of(x), "y": of(y) }),
            public: files(
                &public.to_public_key_pem(LineEnding::LF).unwrap(),
                public.to_public_key_der().unwrap().as_bytes(),
            ),
        }
    }

    pub fn eddsa(id: &str) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
        let public = key.verifying_key();
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes()),
            // Without an algorithm: it is the one of its type.
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": of(public.as_bytes()) }),
            public: files(
                &public.to_public_key_pem(LineEnding::LF).unwrap(),
                public.to_public_key_der().unwrap().as_bytes(),
            ),
        }
    }

    /// Takes a second or two.
    pub fn rs256(id: &str) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap();
        let public = key.to_public_key();
        let (n, e) = (public.n().to_bytes_be(), public.e().to_bytes_be());
        Self {
            id: id.to_owned(),
            algorithm: Algorithm::RS256,
            signing: EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes()),
            jwk: json!({ "kty": "RSA", "kid": id, "use": "sig", "n": of(&n), "e": of(&e) }),
            public: files(
                &public.to_public_key_pem(LineEnding::LF).unwrap(),
                public.to_public_key_der().unwrap().as_bytes(),
            ),
        }
    }

    /// A token by this key that names it.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(&self.id), claims)
    }

    /// A token by this key that names another.
    pub fn sign_as(&self, id: Option<&str>, claims: &Value) -> String {
        sign(self.algorithm, id, claims, &self.signing)
    }
}

pub fn sign(algorithm: Algorithm, id: Option<&str>, claims: &Value, key: &EncodingKey) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

pub fn set(signers: &[&Signer]) -> String {
    let keys: Vec<&Value> = signers.iter().map(|signer| &signer.jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// What an issuer says of Ada, changed by this; what is null is left out.
pub fn claims(issuer: &str, change: Value) -> Value {
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({ "iss": issuer, "aud": "rowlock", "sub": "ada", "role": "customer", "iat": now,
        "exp": now + 600 });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let all = claims.as_object_mut().unwrap();
    all.retain(|_, value| !value.is_null());
    claims
}

fn of(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn files(pem: &str, der: &[u8]) -> Vec<Vec<u8>> {
    vec![pem.into(), pem.trim_end().into(), der.into()]
}
