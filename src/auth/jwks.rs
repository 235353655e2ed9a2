//! A JSON Web Key Set (RFC 7517) becomes keys: which of them can be used here, and with which algorithm.

use std::{collections::BTreeMap, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::key::Key;

/// Providers have two to five keys.
pub const KEYS_LEN_MAX: usize = 64;

/// Keys' ids are hashes and dates; a longer one is no id.
const ID_LEN_MAX: usize = 255;

/// Shorter moduli can be factored by who wants to, and longer ones are no faster to forge and slower to verify.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Larger exponents are for nobody, and make verifying slow.
const RSA_EXPONENT_LEN_MAX: usize = 4;

/// Of each coordinate on P-256, and of a key on Curve25519.
const CURVE_LEN: usize = 32;

/// Whether a set may have secrets in it: one that everybody can read over the network may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    Allowed,
    Ignored,
}

/// What a set has.
pub struct Set {
    pub keys: Vec<Arc<Key>>,
    /// Why others were left out, and how many for each reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

/// Why a text is no set of keys. None of them repeats the text, which may be a secret that was named by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("it is no JWKS: a JSON object with a list `keys`")]
    NotASet,
    #[error("it has more than {KEYS_LEN_MAX} keys")]
    TooMany,
    #[error(
        "it has no key for RS256 (RSA of 2048 to 4096 bits), ES256 (EC, P-256) or EdDSA (OKP, Ed25519)"
    )]
    NothingUsable,
}

#[derive(Deserialize)]
struct SetText {
    keys: Vec<Value>,
}

/// What of a key is looked at. A private part, which has no place in a set, is not even read.
#[derive(Deserialize)]
struct KeyText {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// # Errors
/// When it is no set, or none that can be used. A key of an unknown kind is left out, as the RFC asks.
pub fn read(text: &[u8], secrets: Secrets) -> Result<Set, JwksError> {
    let set: SetText = serde_json::from_slice(text).map_err(|_| JwksError::NotASet)?;
    if set.keys.len() > KEYS_LEN_MAX {
        return Err(JwksError::TooMany);
    }
    let (mut keys, mut skipped) = (Vec::new(), BTreeMap::new());
    for key in set.keys {
        match read_key(key, secrets) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(why) => *skipped.entry(why).or_default() += 1,
        }
    }
    if keys.is_empty() {
        return Err(JwksError::NothingUsable);
    }
    Ok(Set { keys, skipped })
}

/// # Errors
/// Why it cannot be used, for the log.
fn read_key(key: Value, secrets: Secrets) -> Result<Key, &'static str> {
    let key: KeyText = serde_json::from_value(key).map_err(|_| "malformed")?;
    if key
        .purpose
        .as_deref()
        .is_some_and(|purpose| purpose != "sig")
    {
        return Err("not for signatures");
    }
    let verifies = |operations: &Vec<String>| operations.iter().any(|name| name == "verify");
    if key.key_ops.as_ref().is_some_and(|all| !verifies(all)) {
        return Err("not for signatures");
    }
    if key.kid.as_ref().is_some_and(|id| id.len() > ID_LEN_MAX) {
        return Err("its id is too long");
    }
    let says = |names: &[&str]| key.alg.as_deref().is_none_or(|alg| names.contains(&alg));
    match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) if says(&["RS256"]) => rsa(&key),
        ("EC", Some("P-256")) if says(&["ES256"]) => p256(&key),
        // RFC 9864 gives the algorithm its own name.
        ("OKP", Some("Ed25519")) if says(&["EdDSA", "Ed25519"]) => ed25519(&key),
        ("oct", _) if says(&["HS256"]) => match secrets {
            Secrets::Allowed => secret(&key),
            Secrets::Ignored => Err("a secret in a public place"),
        },
        _ => Err("of another algorithm"),
    }
}

fn rsa(key: &KeyText) -> Result<Key, &'static str> {
    let (modulus, exponent) = (bytes(key.n.as_ref())?, bytes(key.e.as_ref())?);
    let modulus = without_leading_zeros(&modulus);
    let exponent = without_leading_zeros(&exponent);
    let first_bits = modulus.first().map_or(0, |first| 8 - first.leading_zeros());
    let bits = modulus.len().saturating_sub(1) * 8 + usize::try_from(first_bits).unwrap_or(0);
    if !RSA_BITS.contains(&bits) {
        return Err("RSA of another size than 2048 to 4096 bits");
    }
    // With an exponent of one, a signature is whatever it signs.
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let is_one = exponent == [1];
    if exponent.len() > RSA_EXPONENT_LEN_MAX || is_one || !is_odd(exponent) || !is_odd(modulus) {
        return Err("malformed");
    }
    Ok(Key::of_public(
        key.kid.clone(),
        Algorithm::RS256,
        DecodingKey::from_rsa_raw_components(modulus, exponent),
    ))
}

fn p256(key: &KeyText) -> Result<Key, &'static str> {
    let (x, y) = (bytes(key.x.as_ref())?, bytes(key.y.as_ref())?);
    if x.len() != CURVE_LEN || y.len() != CURVE_LEN {
        return Err("malformed");
    }
    // As SEC 1 writes a point that is not compressed; whether it is on the curve is looked at each time it is used.
    let point = [&[4], x.as_slice(), &y].concat();
    Ok(Key::of_public(
        key.kid.clone(),
        Algorithm::ES256,
        DecodingKey::from_ec_der(&point),
    ))
}

fn ed25519(key: &KeyText) -> Result<Key, &'static str> {
    let x = bytes(key.x.as_ref())?;
    // What verifies takes the length for granted.
    if x.len() != CURVE_LEN {
        return Err("malformed");
    }
    Ok(Key::of_public(
        key.kid.clone(),
        Algorithm::EdDSA,
        DecodingKey::from_ed_der(&x),
    ))
}

fn secret(key: &KeyText) -> Result<Key, &'static str> {
    let secret = bytes(key.k.as_ref())?;
    Key::of_secret(key.kid.clone(), &secret).map_err(|_| "a secret of less than 32 bytes")
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("malformed")?;
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| "malformed")
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests;
