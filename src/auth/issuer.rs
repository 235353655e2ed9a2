//! One issuer: its keys, and what its tokens must say.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{
    Account, Caller, Customer, Identity, Role, is_account_part,
    key::{ALGORITHMS, Key, KeyError},
    roles::RoleRule,
    source::Source,
    staff::Staff,
    verified::Known,
};
use crate::config::IssuerConfig;

/// Keys that one token is checked with: each costs time that the token's sender does not pay.
const KEYS_TRIED_MAX: usize = 4;

/// Why a token is refused, always and also where none is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token has expired; get a new one")]
    Expired,
    #[error("the token is for another audience or from another issuer")]
    NotForUs,
    #[error(
        "the token is for later, by its nbf or its iat: a clock is wrong, or its time has not come"
    )]
    TooEarly,
    #[error("the token gives its caller no role here")]
    NoRole,
    #[error(
        "the token is not valid: it must be a JWT signed with a key of its issuer's, with iss, aud, sub, exp and a role"
    )]
    Invalid,
}

/// What looking at a token ends with if it is not good.
pub enum Refused<'a> {
    Token(TokenError),
    /// It names a key that is not known. Its issuer may have it by now.
    UnknownKey(&'a Issuer),
}

impl From<TokenError> for Refused<'_> {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

pub struct Issuer {
    /// As `iss` has it, to the letter.
    pub name: String,
    pub sources: Vec<Source>,
    audience: String,
    roles: RoleRule,
    leeway: Duration,
    /// What must hold, for each algorithm.
    validations: [(Algorithm, Validation); ALGORITHMS.len()],
}

impl Issuer {
    pub fn new(config: &IssuerConfig, sources: Vec<Source>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = config.leeway_secs;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&config.audiences);
        Self {
            name: config.issuer.clone(),
            sources,
            audience: config.audiences.first().cloned().unwrap_or_default(),
            roles: RoleRule {
                claim: config.role_claim.clone(),
                words: config.roles.clone().into_iter().collect(),
                default: config.default_role,
            },
            leeway: Duration::from_secs(config.leeway_secs),
            validations: ALGORITHMS.map(|algorithm| {
                let algorithms = vec![algorithm];
                let validation = Validation {
                    algorithms,
                    ..validation.clone()
                };
                (algorithm, validation)
            }),
        }
    }

    /// Whose the token is, and which key says so.
    ///
    /// # Errors
    /// When the token is none of this issuer's for us, or no longer.
    pub fn verify(&self, token: &str, header: &Header) -> Result<Known, Refused<'_>> {
        let mut validations = self.validations.iter();
        let Some((algorithm, validation)) = validations.find(|(name, _)| *name == header.alg)
        else {
            return Err(TokenError::Invalid.into());
        };
        let id = header.kid.as_deref();
        for key in self.keys_for(*algorithm, id) {
            let decoded =
                jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, validation);
            match decoded {
                Ok(data) => {
                    let identity = self.identity(&data.claims)?;
                    return Ok(Known { identity, key });
                }
                Err(error) => match error.kind() {
                    // Perhaps the next one.
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::ExpiredSignature => return Err(TokenError::Expired.into()),
                    ErrorKind::ImmatureSignature => return Err(TokenError::TooEarly.into()),
                    ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => {
                        return Err(TokenError::NotForUs.into());
                    }
                    _ => return Err(TokenError::Invalid.into()),
                },
            }
        }
        let is_known = |id| self.sources.iter().any(|source| source.has(id, *algorithm));
        Err(match id {
            Some(id) if !is_known(id) && self.may_have_more(*algorithm) => {
                Refused::UnknownKey(self)
            }
            Some(_) | None => TokenError::Invalid.into(),
        })
    }

    /// Whether this very key is still one of its keys.
    pub fn has(&self, key: &Arc<Key>) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.keys().iter().any(|known| Arc::ptr_eq(known, key)))
    }

    /// Looks for new keys, and says whether there may be some.
    pub async fn look_again(&self) -> bool {
        let mut has_looked = false;
        for source in &self.sources {
            if let Some(look) = source.look() {
                has_looked |= look.again().await;
            }
        }
        has_looked
    }

    /// Whether it has a key to sign with.
    pub fn signs(&self) -> bool {
        self.signing_key().is_some()
    }

    /// # Errors
    /// When it has no key to sign with, or the token could not be verified again.
    pub fn issue(&self, role: Role, subject: &str, lifetime: Duration) -> Result<String, KeyError> {
        if !is_account_part(subject) {
            return Err(KeyError::BadSubject);
        }
        let (id, encoding) = self.signing_key().ok_or(KeyError::NothingSigns)?;
        let now_secs = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0);
        let mut claims = Map::new();
        self.roles
            .write(&mut claims, role)
            .ok_or(KeyError::NoWord)?;
        claims.insert("iss".into(), self.name.as_str().into());
        claims.insert("aud".into(), self.audience.as_str().into());
        claims.insert("sub".into(), subject.into());
        claims.insert("iat".into(), now_secs.into());
        let end = now_secs.saturating_add(lifetime.as_secs());
        claims.insert("exp".into(), end.into());
        let mut header = Header::new(Algorithm::HS256);
        header.kid = id;
        jsonwebtoken::encode(&header, &claims, &encoding).map_err(|_| KeyError::Signing)
    }

    fn signing_key(&self) -> Option<(Option<String>, EncodingKey)> {
        let mut keys = self
            .sources
            .iter()
            .flat_map(|source| source.keys().to_vec());
        keys.find_map(|key| Some((key.id.clone(), key.encoding.clone()?)))
    }

    /// The keys that a token may be signed with: those of its key's id, then those that have no id. Without an id in the token,
    /// all of its algorithm.
    fn keys_for(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<Arc<Key>> {
        let (mut named, mut others) = (Vec::new(), Vec::new());
        for source in &self.sources {
            for key in source.keys().iter() {
                if key.algorithm != algorithm {
                    continue;
                }
                match (id, key.id.as_deref()) {
                    (Some(id), Some(own)) if id == own => named.push(Arc::clone(key)),
                    (Some(_), Some(_)) => {}
                    (None, _) | (Some(_), None) => others.push(Arc::clone(key)),
                }
            }
        }
        named.append(&mut others);
        named.truncate(KEYS_TRIED_MAX);
        named
    }

    /// A provider has public keys only.
    fn may_have_more(&self, algorithm: Algorithm) -> bool {
        algorithm != Algorithm::HS256 && self.sources.iter().any(|source| source.look().is_some())
    }

    /// Who claims that are signed, in time and for us speak for.
    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, TokenError> {
        let text = |name| claims.get(name).and_then(Value::as_str);
        // A list of issuers is none.
        if text("iss") != Some(&self.name) {
            return Err(TokenError::NotForUs);
        }
        let subject = text("sub").filter(|subject| is_account_part(subject));
        let subject = subject.ok_or(TokenError::Invalid)?;
        self.check_issued_at(claims.get("iat"))?;
        let end = claims.get("exp").and_then(since_1970);
        let end = end.ok_or(TokenError::Invalid)?;
        let account = Account {
            issuer: self.name.clone(),
            subject: subject.to_owned(),
        };
        let caller = match self.roles.role(claims).ok_or(TokenError::NoRole)? {
            Role::Customer => Caller::Customer(Customer(account)),
            Role::Organizer => Caller::Staff(Staff::member(account)),
        };
        Ok(Identity {
            caller,
            // A time that no clock has is never reached.
            expires_at: UNIX_EPOCH.checked_add(end.saturating_add(self.leeway)),
        })
    }

    /// Not asked for: the tokens of some login services lack it. A token from the future is of a clock that is wrong, or made
    /// to outlive a change of keys.
    fn check_issued_at(&self, claim: Option<&Value>) -> Result<(), TokenError> {
        let Some(claim) = claim.filter(|claim| !claim.is_null()) else {
            return Ok(());
        };
        let issued = since_1970(claim).ok_or(TokenError::Invalid)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        if issued > now.saturating_add(self.leeway) {
            return Err(TokenError::TooEarly);
        }
        Ok(())
    }
}

/// A NumericDate (RFC 7519), which may have a fraction.
fn since_1970(value: &Value) -> Option<Duration> {
    if let Some(secs) = value.as_u64() {
        return Some(Duration::from_secs(secs));
    }
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}
