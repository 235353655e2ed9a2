//! Signs and verifies tokens, of each issuer that the operator trusts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    Identity, Role,
    issuer::{Issuer, Refused, TokenError},
    key::KeyError,
    source::{Source, SourceError, TriedFor},
    upkeep::Upkeep,
    verified::{Known, Verified, hash_of},
};
use crate::config::IssuerConfig;

/// A server that starts while its provider is restarting waits so long for its keys. Without any it could serve nobody who
/// has a token, so that it says why and ends: whoever started it sees it, and starts it again.
const FIRST_KEYS_WAIT_MAX: Duration = Duration::from_secs(10);

const FIRST_KEYS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A look that was under way may have begun before the key was there: after that one, another.
const LOOKS_MAX: usize = 2;

pub struct Tokens {
    issuers: Vec<Issuer>,
    verified: Verified,
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the issuer {issuer}")]
pub struct OpenError {
    issuer: String,
    source: SourceError,
}

/// What of a token is read before anything of it is believed.
#[derive(Deserialize)]
struct Named {
    iss: String,
}

impl Tokens {
    /// With one secret, one issuer and one audience.
    ///
    /// # Errors
    /// When the secret is shorter than [`super::KEY_LEN_MIN`].
    pub fn new(secret: &[u8], issuer: &str, audience: &str) -> Result<Self, KeyError> {
        let config = IssuerConfig::new(issuer, audience);
        let sources = vec![Source::of_secret(secret)?];
        Ok(Self::from_iter([Issuer::new(&config, sources)]))
    }

    /// With what is in files; what providers have is there after [`Self::keep`].
    ///
    /// # Errors
    /// When a file does not have what it should.
    pub fn of(configs: &[IssuerConfig]) -> Result<Self, OpenError> {
        let issuers = configs.iter().map(|config| match Source::all(config) {
            Ok(sources) => Ok(Issuer::new(config, sources)),
            Err(source) => Err(OpenError {
                issuer: config.issuer.clone(),
                source,
            }),
        });
        issuers.collect()
    }

    /// Gets the providers' keys, and keeps looking for others until the result is dropped.
    ///
    /// # Errors
    /// When a provider does not give its keys for some seconds.
    pub async fn keep(self: &Arc<Self>) -> Result<Upkeep, OpenError> {
        let begin = Instant::now();
        for issuer in &self.issuers {
            for source in issuer
                .sources
                .iter()
                .filter(|source| source.look().is_some())
            {
                loop {
                    let Err(error) = source.renew(&issuer.name, TriedFor::Start).await else {
                        break;
                    };
                    if begin.elapsed() > FIRST_KEYS_WAIT_MAX {
                        return Err(OpenError {
                            issuer: issuer.name.clone(),
                            source: error,
                        });
                    }
                    tokio::time::sleep(FIRST_KEYS_AGAIN_AFTER).await;
                }
            }
        }
        Ok(Upkeep::start(self))
    }

    /// With the keys that are known.
    ///
    /// # Errors
    /// When the token is not one for us, or no longer.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        self.look_at(token).map_err(|refused| match refused {
            Refused::Token(error) => error,
            Refused::UnknownKey(_) => TokenError::Invalid,
        })
    }

    /// As [`Self::verify`]; a token that names a key that is not known waits until its issuer was asked for new ones, if that
    /// can be now. It waits for nothing else.
    ///
    /// # Errors
    /// When the token is not one for us, or no longer.
    pub async fn verify_or_look(&self, token: &str) -> Result<Identity, TokenError> {
        for _ in 0..LOOKS_MAX {
            match self.look_at(token) {
                Ok(identity) => return Ok(identity),
                Err(Refused::Token(error)) => return Err(error),
                Err(Refused::UnknownKey(issuer)) => {
                    if !issuer.look_again().await {
                        return Err(TokenError::Invalid);
                    }
                }
            }
        }
        self.verify(token)
    }

    /// A token for `subject` that is valid from now for `lifetime`, by the first issuer that has a secret.
    ///
    /// # Errors
    /// When no issuer has one, or the token could not be verified again.
    pub fn issue(&self, role: Role, subject: &str, lifetime: Duration) -> Result<String, KeyError> {
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|issuer| issuer.signs());
        let issuer = issuer.ok_or(KeyError::NothingSigns)?;
        issuer.issue(role, subject, lifetime)
    }

    pub(super) fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn look_at(&self, token: &str) -> Result<Identity, Refused<'_>> {
        let hash = hash_of(token);
        let is_good = |key: &_| self.issuers.iter().any(|issuer| issuer.has(key));
        if let Some(identity) = self.verified.recall(&hash, is_good) {
            return Ok(identity);
        }
        let known = self.check(token)?;
        let identity = known.identity.clone();
        self.verified.remember(hash, known);
        Ok(identity)
    }

    fn check(&self, token: &str) -> Result<Known, Refused<'_>> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // Whoever asks for an extension to be understood is not understood (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Invalid.into());
        }
        // It only chooses whose keys the token is verified with, and is verified with the rest.
        let named: Named = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| TokenError::Invalid)?;
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|issuer| issuer.name == named.iss);
        issuer.ok_or(TokenError::NotForUs)?.verify(token, &header)
    }
}

impl FromIterator<Issuer> for Tokens {
    fn from_iter<T: IntoIterator<Item = Issuer>>(issuers: T) -> Self {
        Self {
            issuers: issuers.into_iter().collect(),
            verified: Verified::new(),
        }
    }
}

#[cfg(test)]
mod tests;
