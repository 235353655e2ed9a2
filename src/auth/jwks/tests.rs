use serde_json::json;

use super::*;

/// The key of RFC 7515, appendix A.2, without its private part.
const RSA_2048: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn algorithms(keys: Value, secrets: Secrets) -> Result<Vec<Algorithm>, JwksError> {
    let set = read(json!({ "keys": keys }).to_string().as_bytes(), secrets)?;
    Ok(set.keys.iter().map(|key| key.algorithm).collect())
}

fn of(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn rsa_key(change: Value) -> Value {
    changed(
        json!({ "kty": "RSA", "kid": "r", "n": RSA_2048, "e": "AQAB" }),
        change,
    )
}

fn ed_key(change: Value) -> Value {
    let point = of(&[1; 32]);
    changed(
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "d", "x": point }),
        change,
    )
}

fn ec_key(change: Value) -> Value {
    let (x, y) = (of(&[1; 32]), of(&[2; 32]));
    changed(
        json!({ "kty": "EC", "crv": "P-256", "kid": "c", "x": x, "y": y }),
        change,
    )
}

fn changed(mut key: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[test]
fn a_key_has_the_algorithm_that_it_says_or_the_one_of_its_type() {
    let none = || json!({});
    let keys = json!([rsa_key(none()), ec_key(none()), ed_key(none())]);
    let expected = vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    assert_eq!(algorithms(keys, Secrets::Ignored), Ok(expected));
    for (key, algorithm) in [
        (
            rsa_key(json!({ "alg": "RS256", "use": "sig" })),
            Algorithm::RS256,
        ),
        (
            ec_key(json!({ "alg": "ES256", "key_ops": ["verify"] })),
            Algorithm::ES256,
        ),
        (ed_key(json!({ "alg": "Ed25519" })), Algorithm::EdDSA),
        (
            ed_key(json!({ "alg": "EdDSA", "kid": null, "x5c": ["?"] })),
            Algorithm::EdDSA,
        ),
    ] {
        assert_eq!(
            algorithms(json!([key]), Secrets::Ignored),
            Ok(vec![algorithm])
        );
    }
}

/// Beside one that can be used, each is left out; alone, the set is none.
#[test]
fn a_key_for_anything_else_is_left_out() {
    let long = "x".repeat(ID_LEN_MAX + 1);
    let even = {
        let mut modulus = BASE64URL_NOPAD.decode(RSA_2048.as_bytes()).unwrap();
        *modulus.last_mut().unwrap() ^= 1;
        of(&modulus)
    };
    for key in [
        rsa_key(json!({ "alg": "HS256" })),
        rsa_key(json!({ "alg": "none" })),
        rsa_key(json!({ "alg": "RS512" })),
        rsa_key(json!({ "alg": "RSA-OAEP" })),
        rsa_key(json!({ "use": "enc" })),
        rsa_key(json!({ "key_ops": ["encrypt"] })),
        rsa_key(json!({ "kid": long })),
        rsa_key(json!({ "kid": 1 })),
        rsa_key(json!({ "n": of(&[0xff; 128]) })),
        rsa_key(json!({ "n": of(&[0xff; 513]) })),
        rsa_key(json!({ "n": even })),
        rsa_key(json!({ "n": "" })),
        rsa_key(json!({ "n": "!" })),
        rsa_key(json!({ "e": "AQ" })),
        rsa_key(json!({ "e": "AAAAAQ" })),
        rsa_key(json!({ "e": "Ag" })),
        rsa_key(json!({ "e": of(&[1; 5]) })),
        rsa_key(json!({ "e": null })),
        ec_key(json!({ "crv": "P-384" })),
        ec_key(json!({ "alg": "RS256" })),
        ec_key(json!({ "x": of(&[1; 31]) })),
        ec_key(json!({ "y": of(&[1; 33]) })),
        ec_key(json!({ "y": null })),
        ed_key(json!({ "crv": "X25519" })),
        ed_key(json!({ "crv": "Ed448" })),
        ed_key(json!({ "x": of(&[1; 31]) })),
        ed_key(json!({ "x": "" })),
        json!({ "kty": "oct", "kid": "o", "k": of(&[1; 32]) }),
        json!({ "kty": "oct", "kid": "o", "k": of(&[1; 31]), "alg": "HS256" }),
        json!({ "kty": "AKP" }),
        json!({}),
        json!("key"),
        json!(null),
    ] {
        let alone = algorithms(json!([key]), Secrets::Ignored);
        assert_eq!(alone, Err(JwksError::NothingUsable), "{key}");
        let beside = algorithms(json!([key, ed_key(json!({}))]), Secrets::Ignored);
        assert_eq!(beside, Ok(vec![Algorithm::EdDSA]), "{key}");
    }
}

#[test]
fn secrets_are_read_from_a_place_that_can_be_secret_alone() {
    let secret = |len: usize| json!([{ "kty": "oct", "k": of(&vec![1; len]) }]);
    assert_eq!(
        algorithms(secret(32), Secrets::Allowed),
        Ok(vec![Algorithm::HS256])
    );
    for (len, secrets) in [(31, Secrets::Allowed), (32, Secrets::Ignored)] {
        assert_eq!(
            algorithms(secret(len), secrets),
            Err(JwksError::NothingUsable)
        );
    }
}

#[test]
fn what_is_no_set_is_not_repeated() {
    for text in [
        "",
        "hunter2",
        "\"hunter2\"",
        "[]",
        "{}",
        r#"{ "keys": "hunter2" }"#,
        "{",
    ] {
        let error = read(text.as_bytes(), Secrets::Allowed).err().unwrap();
        assert_eq!(error, JwksError::NotASet, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let many = vec![ed_key(json!({})); KEYS_LEN_MAX + 1];
    assert_eq!(
        algorithms(json!(many), Secrets::Ignored),
        Err(JwksError::TooMany)
    );
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in ".{0,200}", n in "[A-Za-z0-9_-]{0,90}", e in "[A-Za-z0-9_-]{0,12}") {
        let _ = read(text.as_bytes(), Secrets::Allowed);
        let keys = json!([{ "kty": "RSA", "n": n, "e": e }, { "kty": "EC", "crv": "P-256", "x": n, "y": n },
            { "kty": "OKP", "crv": "Ed25519", "x": n }, { "kty": "oct", "k": n }]);
        let _ = algorithms(keys, Secrets::Allowed);
    }
}
