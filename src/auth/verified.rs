//! Tokens that were verified a moment ago: who comes with the same one again is recognized by its hash, and its signature is
//! not checked again, which for a provider's keys costs more than the rest of a request.
//!
//! Nothing is believed for longer for it: a token is recognized while its own time lasts and the key that verified it is one
//! of its issuer's. Only what was verified is remembered, so that nobody can push others out with tokens of their own making.

use std::{sync::Arc, time::SystemTime};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::{Identity, key::Key};

/// Remembered tokens, each by its hash, with the two names of an account.
const LEN_MAX: usize = 10_000;

/// The tokens themselves are secrets, and are not kept.
type Hash = [u8; 32];

pub struct Verified {
    known: Cache<Hash, Known>,
}

#[derive(Clone)]
pub struct Known {
    pub identity: Identity,
    /// What verified it.
    pub key: Arc<Key>,
}

impl Verified {
    pub fn new() -> Self {
        Self {
            known: Cache::new(LEN_MAX),
        }
    }

    /// Whose a token is, if it was verified by a key that is still good, and has not come to its end.
    pub fn recall(&self, hash: &Hash, is_good: impl Fn(&Arc<Key>) -> bool) -> Option<Identity> {
        let Known { identity, key } = self.known.get(hash)?;
        let now = SystemTime::now();
        let is_in_time = identity.expires_at.is_none_or(|end| now < end);
        if is_in_time && is_good(&key) {
            return Some(identity);
        }
        self.known.remove(hash);
        None
    }

    pub fn remember(&self, hash: Hash, known: Known) {
        self.known.insert(hash, known);
    }
}

pub fn hash_of(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}
