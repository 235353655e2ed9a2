//! Documents that clients name instead of sending them: automatic persisted queries, by the hash of a text that some client
//! has sent before, and trusted documents, from a manifest that the operator gives.
//!
//! Finds texts; whether they are good is the engine's affair, as with any other.

use std::{collections::HashMap, path::Path, sync::Arc};

use async_graphql::Value;
use data_encoding::HEXLOWER_PERMISSIVE;
use quick_cache::{Weighter, sync::Cache};
use sha2::{Digest, Sha256};

use super::params::Params;
use crate::{config::PersistedConfig, graphql::fault::Code};

/// A longer text is answered, and not kept: its client sends it each time.
const TEXT_LEN_MAX: usize = 64 * 1024;

/// No text counts for less, so that the bound of bytes bounds the number too.
const WEIGHT_MIN: u64 = 512;

/// The only version of the protocol that there is.
const VERSION: u64 = 1;

/// How a SHA-256 is marked in a document's id (GraphQL over HTTP, "Persisted Documents").
const SHA256_PREFIX: &str = "sha256:";

type Hash = [u8; 32];

pub struct Persisted {
    /// By the hash of the text; `None` when automatic persisted queries are off.
    automatic: Option<Cache<Hash, Arc<str>, ByText>>,
    /// By the manifest's key without its prefix.
    trusted: HashMap<String, Arc<str>>,
    is_trusted_only: bool,
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is of no shape that is known; the sentence says why.
    Malformed(&'static str),
    NotFound,
    NotSupported,
    NotTrusted,
}

impl Refusal {
    pub fn code(self) -> Code {
        match self {
            Self::Malformed(_) => Code::BadRequest,
            Self::NotFound => Code::PersistedQueryNotFound,
            Self::NotSupported => Code::PersistedQueryNotSupported,
            Self::NotTrusted => Code::DocumentNotTrusted,
        }
    }

    /// The first two are words of the protocol: some clients know them by the message alone.
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed(why) => why,
            Self::NotFound => "PersistedQueryNotFound",
            Self::NotSupported => "PersistedQueryNotSupported",
            Self::NotTrusted => {
                "only the documents of the server's manifest are answered; name one by documentId"
            }
        }
    }
}

#[derive(Clone)]
struct ByText;

impl Weighter<Hash, Arc<str>> for ByText {
    fn weight(&self, _: &Hash, text: &Arc<str>) -> u64 {
        (text.len() as u64).max(WEIGHT_MIN)
    }
}

impl Persisted {
    /// # Errors
    /// When the manifest cannot be read; the text is for the operator.
    pub fn open(config: &PersistedConfig) -> Result<Self, String> {
        let trusted = match &config.trusted_documents {
            Some(file) => read_manifest(file)?,
            None => HashMap::new(),
        };
        Ok(Self::new(
            config.persisted_queries_len,
            trusted,
            config.trusted_documents_only,
        ))
    }

    fn new(bytes_max: u64, trusted: HashMap<String, Arc<str>>, is_trusted_only: bool) -> Self {
        let is_on = bytes_max > 0 && !is_trusted_only;
        let documents_max = usize::try_from(bytes_max / WEIGHT_MIN).unwrap_or(usize::MAX);
        Self {
            automatic: is_on
                .then(|| Cache::with_weighter(documents_max.clamp(1, 100_000), bytes_max, ByText)),
            trusted,
            is_trusted_only,
        }
    }

    /// The same parameters with the text of the document that they name.
    ///
    /// # Errors
    /// When there is no such text, or it may not be answered.
    pub fn resolve(&self, mut params: Params) -> Result<Params, Refusal> {
        let hash = persisted_query(&params)?;
        let text = match (&params.document_id, hash, &params.query) {
            (Some(_), _, Some(_)) => {
                return Err(Refusal::Malformed("send documentId or query, not both"));
            }
            (Some(id), _, None) => self.by_id(id)?,
            (None, Some(hash), Some(text)) if !text.is_empty() => {
                self.keep(hash, text)?;
                return Ok(params);
            }
            (None, Some(hash), Some(_) | None) => self.by_hash(&hash)?,
            (None, None, Some(_)) if self.is_trusted_only => return Err(Refusal::NotTrusted),
            (None, None, Some(_)) => return Ok(params),
            (None, None, None) => return Err(Refusal::Malformed("the request has no query")),
        };
        params.query = Some(text.as_ref().to_owned());
        Ok(params)
    }

    fn by_id(&self, id: &str) -> Result<Arc<str>, Refusal> {
        let key = id.strip_prefix(SHA256_PREFIX).unwrap_or(id);
        if let Some(text) = self.trusted.get(key) {
            return Ok(Arc::clone(text));
        }
        let kept = hash_of_hex(key).and_then(|hash| self.automatic.as_ref()?.get(&hash));
        kept.ok_or(Refusal::NotFound)
    }

    fn by_hash(&self, hash: &Hash) -> Result<Arc<str>, Refusal> {
        if let Some(text) = self.trusted.get(&HEXLOWER_PERMISSIVE.encode(hash)) {
            return Ok(Arc::clone(text));
        }
        match &self.automatic {
            Some(automatic) => automatic.get(hash).ok_or(Refusal::NotFound),
            None if self.is_trusted_only => Err(Refusal::NotTrusted),
            None => Err(Refusal::NotSupported),
        }
    }

    fn keep(&self, hash: Hash, text: &str) -> Result<(), Refusal> {
        if <Hash>::from(Sha256::digest(text)) != hash {
            return Err(Refusal::Malformed("the hash is not the query's"));
        }
        let is_trusted = self
            .trusted
            .contains_key(&HEXLOWER_PERMISSIVE.encode(&hash));
        if self.is_trusted_only && !is_trusted {
            return Err(Refusal::NotTrusted);
        }
        if let Some(automatic) = &self.automatic
            && !is_trusted
            && text.len() <= TEXT_LEN_MAX
            && automatic.get(&hash).is_none()
        {
            automatic.insert(hash, text.into());
        }
        Ok(())
    }
}

/// The hash of `extensions.persistedQuery`, as Apollo's clients send it.
fn persisted_query(params: &Params) -> Result<Option<Hash>, Refusal> {
    let malformed =
        Refusal::Malformed("extensions.persistedQuery must have version and sha256Hash");
    let Some(extension) = params
        .extensions
        .as_ref()
        .and_then(|all| all.get("persistedQuery"))
    else {
        return Ok(None);
    };
    let members = match extension {
        Value::Null => return Ok(None),
        Value::Object(members) => members,
        Value::Number(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Binary(_)
        | Value::Enum(_)
        | Value::List(_) => {
            return Err(malformed);
        }
    };
    match members.get("version") {
        Some(Value::Number(version)) if version.as_u64() == Some(VERSION) => {}
        Some(Value::Number(_)) => return Err(Refusal::NotSupported),
        Some(_) | None => return Err(malformed),
    }
    match members.get("sha256Hash") {
        Some(Value::String(hex)) => Ok(Some(hash_of_hex(hex).ok_or(malformed)?)),
        Some(_) | None => Err(malformed),
    }
}

fn hash_of_hex(hex: &str) -> Option<Hash> {
    HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

/// As graphql-codegen's client preset writes it: an object of ids, each with its document.
fn read_manifest(file: &Path) -> Result<HashMap<String, Arc<str>>, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the trusted documents {name} cannot be read: {error}"))?;
    let documents: HashMap<String, Arc<str>> = serde_json::from_str::<HashMap<String, String>>(&text)
        .map_err(|error| {
            format!(
                "the trusted documents {name} must be a JSON object of ids, each with the text of its document, as \
                 graphql-codegen writes it: {error}"
            )
        })?
        .into_iter()
        .map(|(id, text)| {
            let key = id.strip_prefix(SHA256_PREFIX).unwrap_or(&id).to_owned();
            (key, text.into())
        })
        .collect();
    if documents.is_empty() {
        return Err(format!("the trusted documents {name} are none"));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{ __typename }";

    fn hex(text: &str) -> String {
        HEXLOWER_PERMISSIVE.encode(&Sha256::digest(text))
    }

    fn params(text: Option<&str>, hash: Option<&str>) -> Params {
        let extensions = hash.map(|hash| {
            serde_json::from_value(
                serde_json::json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } }),
            )
            .unwrap()
        });
        Params {
            query: text.map(str::to_owned),
            extensions,
            ..Params::default()
        }
    }

    fn of_id(id: &str) -> Params {
        Params {
            document_id: Some(id.to_owned()),
            ..Params::default()
        }
    }

    fn trusted() -> HashMap<String, Arc<str>> {
        HashMap::from([(hex(TEXT), TEXT.into())])
    }

    fn text(resolved: Result<Params, Refusal>) -> Result<String, Refusal> {
        resolved.map(|params| params.query.unwrap())
    }

    #[test]
    fn a_text_that_was_sent_once_is_found_by_its_hash_and_by_its_id() {
        let persisted = Persisted::new(1_000_000, HashMap::new(), false);
        let hash = hex(TEXT);
        assert_eq!(
            text(persisted.resolve(params(None, Some(&hash)))),
            Err(Refusal::NotFound)
        );
        assert_eq!(
            text(persisted.resolve(params(Some(TEXT), Some(&hash)))).as_deref(),
            Ok(TEXT)
        );
        assert_eq!(
            text(persisted.resolve(params(None, Some(&hash)))).as_deref(),
            Ok(TEXT)
        );
        assert_eq!(
            text(persisted.resolve(params(Some(""), Some(&hash)))).as_deref(),
            Ok(TEXT)
        );
        assert_eq!(
            text(persisted.resolve(of_id(&format!("sha256:{hash}")))).as_deref(),
            Ok(TEXT)
        );
        assert_eq!(text(persisted.resolve(of_id("x"))), Err(Refusal::NotFound));
    }

    #[test]
    fn nobody_can_give_a_hash_another_text() {
        let persisted = Persisted::new(1_000_000, HashMap::new(), false);
        let resolved = text(persisted.resolve(params(Some("{ other }"), Some(&hex(TEXT)))));
        assert!(
            matches!(resolved, Err(Refusal::Malformed(_))),
            "{resolved:?}"
        );
        assert_eq!(
            text(persisted.resolve(params(None, Some(&hex(TEXT))))),
            Err(Refusal::NotFound)
        );
    }

    #[test]
    fn a_flood_of_texts_is_forgotten() {
        let persisted = Persisted::new(100_000, HashMap::new(), false);
        for n in 0..2_000 {
            let text = format!("{{ node{n} }}{}", " ".repeat(n));
            persisted
                .resolve(params(Some(&text), Some(&hex(&text))))
                .unwrap();
        }
        let automatic = persisted.automatic.unwrap();
        assert!(automatic.weight() <= 100_000);
        assert!(automatic.len() <= 200);
    }

    #[test]
    fn a_server_of_trusted_documents_alone_answers_nothing_else() {
        let persisted = Persisted::new(1_000_000, trusted(), true);
        let hash = hex(TEXT);
        assert_eq!(
            text(persisted.resolve(of_id(&format!("sha256:{hash}")))).as_deref(),
            Ok(TEXT)
        );
        assert_eq!(text(persisted.resolve(of_id(&hash))).as_deref(), Ok(TEXT));
        assert_eq!(
            text(persisted.resolve(params(None, Some(&hash)))).as_deref(),
            Ok(TEXT)
        );
        let other = "{ other }";
        for refused in [
            params(Some(other), None),
            params(Some(other), Some(&hex(other))),
            params(None, Some(&hex(other))),
        ] {
            assert_eq!(text(persisted.resolve(refused)), Err(Refusal::NotTrusted));
        }
    }

    #[test]
    fn where_persisted_queries_are_off_a_text_is_answered_all_the_same() {
        let persisted = Persisted::new(0, HashMap::new(), false);
        assert_eq!(
            text(persisted.resolve(params(None, Some(&hex(TEXT))))),
            Err(Refusal::NotSupported)
        );
        assert_eq!(
            text(persisted.resolve(params(Some(TEXT), Some(&hex(TEXT))))).as_deref(),
            Ok(TEXT)
        );
    }
}
