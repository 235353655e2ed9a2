//! Who issues tokens, one issuer or several, as a file has them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use crate::auth::{ClaimPath, Role};

/// A server asks each provider for itself, and finds a token's issuer by looking at one after the other.
const ISSUERS_LEN_MAX: usize = 32;

/// A longer name is refused, see the accounts' own bound.
const NAME_LEN_MAX: usize = 255;

/// Issuers that begin so are Rowlock's own: of machines' keys, and of customers whom no token speaks for.
pub const RESERVED_ISSUERS: &str = "rowlock:";

/// The most that a token's clock may be away from ours: it is added to each token's time.
pub const LEEWAY_SECS_MAX: u64 = 300;

/// An issuer in a file of issuers, or the one of the command line. The names in the file are `camelCase`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerConfig {
    /// The issuer (`iss`) that its tokens have, to the letter. It is a part of each account.
    pub issuer: String,
    /// The audiences (`aud`) that its tokens may have: one of them is enough.
    pub audiences: Vec<String>,
    /// The secret of its tokens (HS256). Only the command line has it: a file of issuers is no secret.
    #[serde(skip)]
    pub secret: Option<String>,
    /// A file that holds the secret of its tokens (HS256).
    pub secret_file: Option<PathBuf>,
    /// A file with its keys as a JWKS. Secrets (`oct`) are allowed there.
    pub jwks_file: Option<PathBuf>,
    /// Where it publishes its keys as a JWKS.
    pub jwks_url: Option<String>,
    /// The authorities (PEM) that vouch for the URL's host, instead of those that browsers trust.
    pub jwks_ca_file: Option<PathBuf>,
    /// Seconds after which the URL is asked again. Default: 300.
    #[serde(default = "jwks_refresh_secs")]
    pub jwks_refresh_secs: u64,
    /// Seconds at least between two times that the URL is asked because of a key that is not known. Default: 10.
    #[serde(default = "jwks_pause_secs")]
    pub jwks_pause_secs: u64,
    /// The claim that has its callers' roles. Default: `role`.
    #[serde(default)]
    pub role_claim: ClaimPath,
    /// Its words for roles. Default: `customer` and `organizer`.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// The role of who has none of these words. Default: the token is refused.
    pub default_role: Option<Role>,
    /// Seconds that its clock may be away from ours. Default: 30.
    #[serde(default = "leeway_secs")]
    pub leeway_secs: u64,
}

/// The defaults, also of the command line.
pub const JWKS_REFRESH_SECS: u64 = 300;
pub const JWKS_PAUSE_SECS: u64 = 10;
pub const LEEWAY_SECS: u64 = 30;

fn jwks_refresh_secs() -> u64 {
    JWKS_REFRESH_SECS
}

fn jwks_pause_secs() -> u64 {
    JWKS_PAUSE_SECS
}

fn leeway_secs() -> u64 {
    LEEWAY_SECS
}

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    issuers: Vec<IssuerConfig>,
}

impl IssuerConfig {
    /// An issuer without keys, and with every default.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audiences: vec![audience.to_owned()],
            secret: None,
            secret_file: None,
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_refresh_secs: JWKS_REFRESH_SECS,
            jwks_pause_secs: JWKS_PAUSE_SECS,
            role_claim: ClaimPath::default(),
            roles: BTreeMap::new(),
            default_role: None,
            leeway_secs: LEEWAY_SECS,
        }
    }

    /// Whether it has keys, or a place to get them from.
    pub fn has_keys(&self) -> bool {
        self.secret.is_some()
            || self.secret_file.is_some()
            || self.jwks_file.is_some()
            || self.jwks_url.is_some()
    }

    /// # Errors
    /// When it makes no sense; the text is for the operator.
    pub fn check(&self) -> Result<(), String> {
        let named = |what: &str| Err(format!("the issuer {}: {what}", self.issuer));
        // It is kept with each customer, as the subject is.
        let is_name = (1..=NAME_LEN_MAX).contains(&self.issuer.len());
        if !is_name || self.issuer.contains(char::is_control) {
            return Err(format!(
                "an issuer's name has 1 to {NAME_LEN_MAX} bytes and no control characters"
            ));
        }
        if self.issuer.starts_with(RESERVED_ISSUERS) {
            return Err(format!(
                "an issuer's name does not begin with {RESERVED_ISSUERS}, which is for accounts without tokens"
            ));
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return named("it needs an audience, and none that is empty");
        }
        if !self.has_keys() {
            return named("it needs keys: a secretFile, a jwksFile or a jwksUrl");
        }
        if self.jwks_ca_file.is_some() && self.jwks_url.is_none() {
            return named("jwksCaFile is for a jwksUrl");
        }
        if !self.role_claim.is_complete() {
            return named("the path of the role's claim has a name that is empty");
        }
        if self.leeway_secs > LEEWAY_SECS_MAX {
            return named(&format!("leewaySecs is {LEEWAY_SECS_MAX} at most"));
        }
        if !(5..=86_400).contains(&self.jwks_refresh_secs) {
            return named("jwksRefreshSecs is from 5 to 86400");
        }
        if !(1..=3_600).contains(&self.jwks_pause_secs) {
            return named("jwksPauseSecs is from 1 to 3600");
        }
        Ok(())
    }

    /// What is not absolute is beside the file that names it.
    fn beside(mut self, directory: &Path) -> Self {
        let files = [
            &mut self.secret_file,
            &mut self.jwks_file,
            &mut self.jwks_ca_file,
        ];
        for file in files.into_iter().flatten() {
            *file = directory.join(&file);
        }
        self
    }
}

/// # Errors
/// When the file does not say who issues tokens; the text is for the operator.
pub fn read(file: &Path) -> Result<Vec<IssuerConfig>, String> {
    let refuse = |what: String| format!("the issuers' file {}: {what}", file.display());
    let text =
        std::fs::read(file).map_err(|error| refuse(format!("it cannot be read: {error}")))?;
    let issuers = parse(&text).map_err(refuse)?;
    let directory = file.parent().unwrap_or_else(|| Path::new(""));
    let issuers = issuers.into_iter().map(|issuer| issuer.beside(directory));
    Ok(issuers.collect())
}

fn parse(text: &[u8]) -> Result<Vec<IssuerConfig>, String> {
    // Something else altogether is not repeated: it may be a secret.
    let is_object = serde_json::from_slice(text).is_ok_and(|value: Value| value.is_object());
    if !is_object {
        return Err("it is no JSON object, { \"issuers\": [ … ] }".to_owned());
    }
    let File { issuers } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if !(1..=ISSUERS_LEN_MAX).contains(&issuers.len()) {
        return Err(format!("it must have 1 to {ISSUERS_LEN_MAX} issuers"));
    }
    for (n, issuer) in issuers.iter().enumerate() {
        issuer.check()?;
        if issuers[..n]
            .iter()
            .any(|other| other.issuer == issuer.issuer)
        {
            return Err(format!(
                "the issuer {} is there twice; an issuer may have several keys and audiences",
                issuer.issuer
            ));
        }
    }
    Ok(issuers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(fields: &str) -> Result<Vec<IssuerConfig>, String> {
        let text = format!(
            r#"{{ "issuers": [{{ "issuer": "https://login.example", "audiences": ["shop"] {fields} }}] }}"#
        );
        parse(text.as_bytes())
    }

    #[test]
    fn an_issuer_has_a_name_an_audience_and_keys() {
        let issuers = one(r#", "jwksUrl": "https://login.example/keys" "#).unwrap();
        assert_eq!(issuers[0].leeway_secs, 30);
        assert_eq!(issuers[0].default_role, None);
        let all = one(
            r#", "secretFile": "a", "jwksFile": "b", "jwksUrl": "https://login.example/keys", "jwksCaFile": "/c",
            "jwksRefreshSecs": 60, "jwksPauseSecs": 5, "roleClaim": ["a.b", "c"], "roles": { "seller": "organizer" },
            "defaultRole": "customer", "leewaySecs": 0"#,
        );
        let issuer = all.unwrap().remove(0).beside(Path::new("/etc/rowlock"));
        assert_eq!(issuer.secret_file, Some("/etc/rowlock/a".into()));
        assert_eq!(issuer.jwks_ca_file, Some("/c".into()));
        assert_eq!(issuer.roles["seller"], Role::Organizer);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_sentence() {
        for (fields, sentence) in [
            ("", "needs keys"),
            (r#", "jwksURL": "x""#, "unknown field `jwksURL`"),
            (r#", "secret": "hunter2""#, "unknown field `secret`"),
            (
                r#", "jwksFile": "a", "leewaySecs": 301"#,
                "leewaySecs is 300 at most",
            ),
            (
                r#", "jwksFile": "a", "jwksRefreshSecs": 1"#,
                "jwksRefreshSecs",
            ),
            (r#", "jwksFile": "a", "jwksPauseSecs": 0"#, "jwksPauseSecs"),
            (r#", "jwksFile": "a", "jwksCaFile": "b""#, "jwksCaFile"),
            (
                r#", "jwksFile": "a", "roleClaim": "a..b""#,
                "a name that is empty",
            ),
            (r#", "jwksFile": "a", "roleClaim": 1"#, "a claim's path"),
            (
                r#", "jwksFile": "a", "roles": { "x": "admin" }"#,
                "unknown variant `admin`",
            ),
        ] {
            let said = one(fields).err().unwrap();
            assert!(said.contains(sentence), "{fields}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        for text in ["", "\"hunter2\"", "hunter2", "[]"] {
            let said = parse(text.as_bytes()).err().unwrap();
            assert!(said.contains("no JSON object"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert!(
            parse(br#"{ "issuers": [] }"#)
                .err()
                .unwrap()
                .contains("1 to 32")
        );
        let twice = r#"{ "issuer": "a", "audiences": ["b"], "jwksFile": "c" }"#;
        let twice = format!(r#"{{ "issuers": [{twice}, {twice}] }}"#);
        assert!(parse(twice.as_bytes()).err().unwrap().contains("twice"));
    }
}
