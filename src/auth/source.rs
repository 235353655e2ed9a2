//! Where an issuer's keys come from, and the last good ones.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::Algorithm;

use super::{
    fetch::{FetchError, Provider},
    jwks::{self, JwksError, Secrets, Set},
    key::{Key, KeyError},
    look::Look,
};
use crate::config::IssuerConfig;

/// A file of keys is some kilobytes; a longer one was named by mistake.
const FILE_LEN_MAX: u64 = 512 * 1024;

/// How often files are looked at.
const FILE_EVERY: Duration = Duration::from_secs(5);

/// A source of keys. What it had last is used until it has something else that is good.
pub struct Source {
    origin: Origin,
    keys: RwLock<Arc<[Arc<Key>]>>,
    /// What went wrong the last time, so that it is not said again and again.
    trouble: Mutex<Option<String>>,
}

enum Origin {
    /// On the command line: it cannot change.
    Fixed,
    File(KeyFile),
    Provider {
        provider: Provider,
        look: Look,
        every: Duration,
    },
}

#[derive(Clone)]
enum KeyFile {
    Secret(PathBuf),
    Jwks(PathBuf),
}

/// What keys are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedFor {
    /// There are none yet: whoever waits for them is told of the failure.
    Start,
    /// There may be others by now.
    Change,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the key file {file} cannot be read", file = .file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("the key file {file} is not used", file = .file.display())]
    BadSecret { file: PathBuf, source: KeyError },
    #[error("the key file {file} is not used", file = .file.display())]
    BadSet { file: PathBuf, source: JwksError },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("its provider")]
    Provider(#[from] FetchError),
    #[error("its provider's keys are not used")]
    BadProviderSet(#[source] JwksError),
}

impl Source {
    /// # Errors
    /// When a file does not have what it should.
    pub fn all(config: &IssuerConfig) -> Result<Vec<Self>, SourceError> {
        let mut sources = Vec::new();
        if let Some(secret) = &config.secret {
            sources.push(Self::of_secret(secret.as_bytes())?);
        }
        let files = [
            config.secret_file.clone().map(KeyFile::Secret),
            config.jwks_file.clone().map(KeyFile::Jwks),
        ];
        for file in files.into_iter().flatten() {
            let keys = file.read()?;
            sources.push(Self::new(Origin::File(file), keys));
        }
        if let Some(url) = &config.jwks_url {
            let origin = Origin::Provider {
                provider: Provider::new(url, config.jwks_ca_file.as_deref())?,
                look: Look::new(Duration::from_secs(config.jwks_pause_secs)),
                every: Duration::from_secs(config.jwks_refresh_secs),
            };
            sources.push(Self::new(origin, Vec::new()));
        }
        Ok(sources)
    }

    /// # Errors
    /// When it is too short.
    pub fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let key = Key::of_secret(None, secret)?;
        Ok(Self::new(Origin::Fixed, vec![Arc::new(key)]))
    }

    fn new(origin: Origin, keys: Vec<Arc<Key>>) -> Self {
        Self {
            origin,
            keys: RwLock::new(keys.into()),
            trouble: Mutex::default(),
        }
    }

    /// The keys as they are now.
    pub fn keys(&self) -> Arc<[Arc<Key>]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it has a key of this id.
    pub fn has(&self, id: &str, algorithm: Algorithm) -> bool {
        let keys = self.keys();
        let mut keys = keys.iter();
        keys.any(|key| key.algorithm == algorithm && key.id.as_deref() == Some(id))
    }

    /// How a provider is asked before its time. None where there is nobody to ask.
    pub fn look(&self) -> Option<&Look> {
        match &self.origin {
            Origin::Provider { look, .. } => Some(look),
            Origin::Fixed | Origin::File(_) => None,
        }
    }

    /// How often it is looked at, if it can change.
    pub fn every(&self) -> Option<Duration> {
        match &self.origin {
            Origin::Fixed => None,
            Origin::File(_) => Some(FILE_EVERY),
            Origin::Provider { every, .. } => Some(*every),
        }
    }

    /// Gets the keys as they are there now. If that fails, those that were good go on.
    ///
    /// # Errors
    /// Why it failed. It is in the log already, if it is about a change.
    pub async fn renew(&self, issuer: &str, tried_for: TriedFor) -> Result<(), SourceError> {
        let read = match &self.origin {
            Origin::Fixed => return Ok(()),
            Origin::File(file) => {
                let file = file.clone();
                // A file system can take its time.
                let reading = tokio::task::spawn_blocking(move || file.read());
                reading.await.expect("reading a file does not panic")
            }
            Origin::Provider { provider, look, .. } => {
                look.begin();
                let fetched = provider.fetch().await;
                let read = fetched.map_err(SourceError::from).and_then(|text| {
                    jwks::read(&text, Secrets::Ignored).map_err(SourceError::BadProviderSet)
                });
                read.map(|set| usable(set, &provider.to_string()))
            }
        };
        let result = read.map(|keys| self.replace(issuer, keys));
        if let Some(look) = self.look() {
            look.end();
        }
        if tried_for == TriedFor::Change {
            self.tell(issuer, result.as_ref().err());
        }
        result
    }

    fn replace(&self, issuer: &str, keys: Vec<Arc<Key>>) {
        let before = self.keys();
        let has = |all: &[Arc<Key>], key: &Arc<Key>| all.iter().any(|other| other.is_same(key));
        let is_same = before.len() == keys.len() && keys.iter().all(|key| has(&before, key));
        if is_same {
            return;
        }
        tracing::info!(
            issuer,
            keys = ids(&keys),
            before = ids(&before),
            "the keys that verify tokens are new"
        );
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Says what is wrong, when it begins and when it is over.
    fn tell(&self, issuer: &str, error: Option<&SourceError>) {
        let now = error.map(sentence);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble == now {
            return;
        }
        match &now {
            Some(error) => tracing::warn!(
                issuer,
                error,
                "new keys cannot be had; those that were good go on"
            ),
            None => tracing::info!(issuer, "keys can be had again"),
        }
        *trouble = now;
    }
}

impl KeyFile {
    fn read(&self) -> Result<Vec<Arc<Key>>, SourceError> {
        match self {
            Self::Secret(file) => {
                let text = read(file)?;
                let key = Key::of_secret(None, without_line_break(&text));
                let key = key.map_err(|source| SourceError::BadSecret {
                    file: file.clone(),
                    source,
                })?;
                Ok(vec![Arc::new(key)])
            }
            Self::Jwks(file) => {
                let set = jwks::read(&read(file)?, Secrets::Allowed);
                let set = set.map_err(|source| SourceError::BadSet {
                    file: file.clone(),
                    source,
                })?;
                Ok(usable(set, &file.display().to_string()))
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, SourceError> {
    let read = || {
        let mut text = Vec::new();
        let opened = std::fs::File::open(file)?;
        opened.take(FILE_LEN_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > FILE_LEN_MAX {
            return Err(std::io::Error::other(format!(
                "it has more than {FILE_LEN_MAX} bytes"
            )));
        }
        Ok(text)
    };
    read().map_err(|source| SourceError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

/// A line break at the end does not count.
fn without_line_break(text: &[u8]) -> &[u8] {
    let breaks = text
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    &text[..text.len() - breaks.count()]
}

fn usable(set: Set, place: &str) -> Vec<Arc<Key>> {
    for (why, keys) in set.skipped {
        tracing::debug!(place, keys, why, "keys are left out");
    }
    set.keys
}

/// Which keys there are: their ids are no secret.
fn ids(keys: &[Arc<Key>]) -> String {
    let ids = keys.iter().map(|key| {
        let id = key.id.as_deref().unwrap_or("(no id)");
        format!("{id} {:?}", key.algorithm)
    });
    ids.collect::<Vec<_>>().join(", ")
}

/// An error and what it came from, in one line.
fn sentence(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
