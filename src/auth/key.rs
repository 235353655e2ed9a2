//! A key: what it verifies, with the one algorithm that it is for.
//!
//! The algorithm is the key's and never the token's choice: a public key can so never become the secret of an HMAC, which
//! everybody has.

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};

/// The least length of a secret: the hash's own (RFC 7518, section 3.2).
pub const KEY_LEN_MIN: usize = 32;

/// What tokens are signed with here: each has one kind of key.
pub const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// A key of one issuer.
pub struct Key {
    /// The id by which tokens name it (`kid`). A key that has none is tried for every token of its algorithm.
    pub id: Option<String>,
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
    /// Where it can sign too: a secret.
    pub encoding: Option<EncodingKey>,
}

/// Why tokens cannot be made or checked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the token key has {len} bytes and needs at least {KEY_LEN_MIN}")]
    TooShort { len: usize },
    #[error(
        "the subject must have 1 to {} bytes and no control characters",
        super::ACCOUNT_LEN_MAX
    )]
    BadSubject,
    #[error("the token could not be signed")]
    Signing,
    #[error(
        "there is no key to sign tokens with: only a secret signs (--jwt-secret-file), a provider's keys verify"
    )]
    NothingSigns,
    #[error("no word of the role claim means that role")]
    NoWord,
}

impl Key {
    /// # Errors
    /// When the secret is shorter than [`KEY_LEN_MIN`].
    pub fn of_secret(id: Option<String>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < KEY_LEN_MIN {
            return Err(KeyError::TooShort { len: secret.len() });
        }
        Ok(Self {
            id,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret),
            encoding: Some(EncodingKey::from_secret(secret)),
        })
    }

    pub fn of_public(id: Option<String>, algorithm: Algorithm, decoding: DecodingKey) -> Self {
        Self {
            id,
            algorithm,
            decoding,
            encoding: None,
        }
    }

    /// Whether both verify the same tokens.
    pub fn is_same(&self, other: &Self) -> bool {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let is_same_key = match (self.decoding.kind(), other.decoding.kind()) {
            (SecretOrDer(one), SecretOrDer(other)) => one == other,
            (RsaModulusExponent { n, e }, RsaModulusExponent { n: m, e: f }) => n == m && e == f,
            (SecretOrDer(_), RsaModulusExponent { .. })
            | (RsaModulusExponent { .. }, SecretOrDer(_)) => false,
        };
        is_same_key && self.id == other.id && self.algorithm == other.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(
            Key::of_secret(None, b"short").err(),
            Some(KeyError::TooShort { len: 5 })
        );
    }
}
