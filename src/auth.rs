//! Who is calling: a signed token becomes a caller with a role.
//!
//! Authorization is a type. What only a customer may do takes a [`Customer`], what only an organizer may do takes an
//! [`Organizer`], and neither can be made except from a verified token, so that a resolver cannot forget the check.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};

/// The least length of a key: the hash's own (RFC 7518, section 3.2).
pub const KEY_LEN_MIN: usize = 32;

/// A token's clock may be this far from ours.
const LEEWAY_SECS: u64 = 30;

/// A longer issuer or subject is refused: both are kept in the database, and the subject is an index key.
const ACCOUNT_LEN_MAX: usize = 255;

/// Who a token speaks for: its issuer and its subject.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub issuer: String,
    pub subject: String,
}

/// Accounts are customer data and stay out of logs, also by accident.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(..)")
    }
}

/// What a caller may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys tickets and sees their own orders.
    Customer,
    /// Creates events and sells their tickets.
    Organizer,
}

/// A verified customer.
#[derive(Clone, Debug)]
pub struct Customer(Account);

/// A verified organizer.
#[derive(Clone, Debug)]
pub struct Organizer(Account);

impl Customer {
    pub fn account(&self) -> &Account {
        &self.0
    }
}

impl Organizer {
    pub fn account(&self) -> &Account {
        &self.0
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// No token.
    Anonymous,
    Customer(Customer),
    Organizer(Organizer),
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no token: send one.
    Unauthenticated,
    /// The token's role is another.
    Forbidden { needs: Role },
}

impl Caller {
    /// Who the token speaks for, if there is one.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Anonymous => None,
            Self::Customer(customer) => Some(customer.account()),
            Self::Organizer(organizer) => Some(organizer.account()),
        }
    }

    pub fn customer(&self) -> Result<&Customer, Denial> {
        match self {
            Self::Customer(customer) => Ok(customer),
            Self::Anonymous => Err(Denial::Unauthenticated),
            Self::Organizer(_) => Err(Denial::Forbidden {
                needs: Role::Customer,
            }),
        }
    }

    pub fn organizer(&self) -> Result<&Organizer, Denial> {
        match self {
            Self::Organizer(organizer) => Ok(organizer),
            Self::Anonymous => Err(Denial::Unauthenticated),
            Self::Customer(_) => Err(Denial::Forbidden {
                needs: Role::Organizer,
            }),
        }
    }
}

/// Who is calling, and until when that can be believed.
#[derive(Clone, Debug)]
pub struct Identity {
    pub caller: Caller,
    /// The end of the token's time, if there is one.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    pub fn anonymous() -> Self {
        Self {
            caller: Caller::Anonymous,
            expires_at: None,
        }
    }
}

/// The claims of a token (RFC 7519), and the caller's role.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// Not asked for: the tokens of some login services lack it.
    #[serde(default)]
    iat: u64,
    exp: u64,
    role: Role,
}

/// Signs and verifies tokens: HS256 with one key, one issuer, one audience.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
}

/// Why a token is refused, always and also where none is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token is for another audience or from another issuer")]
    NotForUs,
    #[error(
        "the token is not valid: it must be a JWT signed with this server's key, with iss, aud, sub, exp and role"
    )]
    Invalid,
}

/// Why tokens cannot be made or checked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the token key has {len} bytes and needs at least {KEY_LEN_MIN}")]
    TooShort { len: usize },
    #[error("the subject must have 1 to {ACCOUNT_LEN_MAX} bytes and no control characters")]
    BadSubject,
    #[error("the token could not be signed")]
    Signing,
}

impl Tokens {
    /// # Errors
    /// When the key is shorter than [`KEY_LEN_MIN`].
    pub fn new(key: &[u8], issuer: &str, audience: &str) -> Result<Self, KeyError> {
        if key.len() < KEY_LEN_MIN {
            return Err(KeyError::TooShort { len: key.len() });
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        Ok(Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// # Errors
    /// When the token is not one of ours, or no longer.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|e| match e.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => TokenError::NotForUs,
                _ => TokenError::Invalid,
            })?
            .claims;
        if !is_account_part(&claims.sub) || !is_account_part(&claims.iss) {
            return Err(TokenError::Invalid);
        }
        let account = Account {
            issuer: claims.iss,
            subject: claims.sub,
        };
        let caller = match claims.role {
            Role::Customer => Caller::Customer(Customer(account)),
            Role::Organizer => Caller::Organizer(Organizer(account)),
        };
        let expires_in = Duration::from_secs(claims.exp.saturating_add(LEEWAY_SECS));
        Ok(Identity {
            caller,
            // A time that no clock has is never reached.
            expires_at: UNIX_EPOCH.checked_add(expires_in),
        })
    }

    /// A token for `subject` that is valid from now for `lifetime`.
    ///
    /// # Errors
    /// When the subject could not be verified again.
    pub fn issue(&self, role: Role, subject: &str, lifetime: Duration) -> Result<String, KeyError> {
        if !is_account_part(subject) {
            return Err(KeyError::BadSubject);
        }
        let now_secs = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.to_owned(),
            iat: now_secs,
            exp: now_secs.saturating_add(lifetime.as_secs()),
            role,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|_| KeyError::Signing)
    }
}

fn is_account_part(text: &str) -> bool {
    (1..=ACCOUNT_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 32] = b"a key of exactly thirty-two byte";

    fn tokens(audience: &str) -> Tokens {
        Tokens::new(KEY, "rowlock", audience).unwrap()
    }

    #[test]
    fn a_token_comes_back_as_the_caller_it_was_made_for() {
        let tokens = tokens("shop");
        let token = tokens
            .issue(Role::Customer, "ada", Duration::from_secs(60))
            .unwrap();
        let caller = tokens.verify(&token).unwrap().caller;
        assert_eq!(caller.customer().unwrap().account().subject, "ada");
        assert_eq!(
            caller.organizer().unwrap_err(),
            Denial::Forbidden {
                needs: Role::Organizer
            }
        );
    }

    #[test]
    fn a_token_for_somebody_else_is_refused() {
        let token = tokens("other shop")
            .issue(Role::Customer, "ada", Duration::from_secs(60))
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
        let forged = forger
            .issue(Role::Organizer, "eve", Duration::from_secs(60))
            .unwrap();
        assert_eq!(shop.verify(&forged).unwrap_err(), TokenError::Invalid);

        let good = shop
            .issue(Role::Customer, "ada", Duration::from_secs(60))
            .unwrap();
        let body = good.split('.').nth(1).unwrap();
        let header = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        assert_eq!(
            shop.verify(&format!("{header}.{body}.")).unwrap_err(),
            TokenError::Invalid
        );
        assert_eq!(shop.verify("").unwrap_err(), TokenError::Invalid);
        assert_eq!(shop.verify("a.b.c").unwrap_err(), TokenError::Invalid);
    }

    #[test]
    fn a_token_past_its_time_is_refused() {
        let shop = tokens("shop");
        let claims = Claims {
            iss: "rowlock".into(),
            aud: "shop".into(),
            sub: "ada".into(),
            iat: 0,
            exp: 1,
            role: Role::Customer,
        };
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &shop.encoding).unwrap();
        assert_eq!(shop.verify(&token).unwrap_err(), TokenError::Expired);
    }

    #[test]
    fn a_token_need_not_say_when_it_was_issued() {
        let shop = tokens("shop");
        let claims = serde_json::json!({
            "iss": "rowlock", "aud": "shop", "sub": "ada", "role": "customer", "exp": 9_999_999_999_u64,
        });
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &shop.encoding).unwrap();
        let verified = shop.verify(&token).unwrap();
        assert!(verified.caller.customer().is_ok());
        assert!(
            verified
                .expires_at
                .is_some_and(|end| end > SystemTime::now())
        );
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(
            Tokens::new(b"short", "a", "b").err(),
            Some(KeyError::TooShort { len: 5 })
        );
    }
}
