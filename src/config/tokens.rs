//! How callers prove who they are: one issuer by options, or several by a file.

use std::path::PathBuf;

use super::issuers::{self, IssuerConfig};
use crate::auth::{ClaimPath, Role};

/// How callers prove who they are.
#[derive(Clone, clap::Args)]
pub struct TokenConfig {
    /// The key that signs tokens (HS256), 32 bytes or more. A flag is seen by everyone on the machine: prefer the
    /// variable or --jwt-secret-file
    #[arg(
        long,
        env = "ROWLOCK_JWT_SECRET",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub jwt_secret: Option<String>,

    /// A file that holds the key; a line break at its end does not count. Read again when it changes, within seconds; tokens
    /// that the key before has signed are refused from then on
    #[arg(
        long,
        env = "ROWLOCK_JWT_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "jwt_secret"
    )]
    pub jwt_secret_file: Option<PathBuf>,

    /// The issuer (iss) that tokens must have
    #[arg(
        long,
        env = "ROWLOCK_JWT_ISSUER",
        value_name = "NAME",
        default_value = "rowlock"
    )]
    pub jwt_issuer: String,

    /// The audience (aud) that tokens must have. The flag may come several times: one of them is enough
    #[arg(
        long,
        env = "ROWLOCK_JWT_AUDIENCE",
        value_name = "NAME",
        default_value = "rowlock"
    )]
    pub jwt_audience: Vec<String>,

    /// A file with keys that verify tokens, as a JWKS (RS256, ES256, EdDSA; HS256 with `oct` keys of 32 bytes or more). Read
    /// again when it changes, within seconds
    #[arg(long, env = "ROWLOCK_JWKS_FILE", value_name = "FILE")]
    pub jwks_file: Option<PathBuf>,

    /// Where an identity provider publishes the keys that verify its tokens, as a JWKS (RS256, ES256, EdDSA): https, or http
    /// on this machine. Its last good keys are used as long as it is out of reach; a server needs it at its start
    #[arg(
        long,
        env = "ROWLOCK_JWKS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub jwks_url: Option<String>,

    /// A file of certificates (PEM) of the authorities that vouch for --jwks-url, instead of those that browsers trust
    #[arg(
        long,
        env = "ROWLOCK_JWKS_CA_FILE",
        value_name = "FILE",
        requires = "jwks_url"
    )]
    pub jwks_ca_file: Option<PathBuf>,

    /// Seconds after which --jwks-url is asked again. A key that the provider withdraws is good for so long
    #[arg(
        long,
        env = "ROWLOCK_JWKS_REFRESH_SECS",
        value_name = "SECS",
        default_value_t = issuers::JWKS_REFRESH_SECS, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub jwks_refresh_secs: u64,

    /// Seconds at least between two times that --jwks-url is asked because a token names a key that is not known. Anybody can
    /// send such tokens; in between they are refused unasked
    #[arg(
        long,
        env = "ROWLOCK_JWKS_PAUSE_SECS",
        value_name = "SECS",
        default_value_t = issuers::JWKS_PAUSE_SECS, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub jwks_pause_secs: u64,

    /// The claim that says what a caller may be, a text or a list. Dots lead into claims, as in realm_access.roles; a name
    /// with :// in it is one name
    #[arg(
        long,
        env = "ROWLOCK_JWT_ROLE_CLAIM",
        value_name = "PATH",
        default_value = "role"
    )]
    pub jwt_role_claim: ClaimPath,

    /// What a word of that claim means, such as box-office=organizer. The flag may come several times, the variable has
    /// commas. None: customer and organizer. Who is both is an organizer
    #[arg(
        long = "jwt-role",
        env = "ROWLOCK_JWT_ROLES",
        value_name = "WORD=ROLE",
        value_delimiter = ',',
        value_parser = role_word
    )]
    pub jwt_roles: Vec<(String, Role)>,

    /// What a caller is whose token has none of these words. None: it is refused
    #[arg(long, env = "ROWLOCK_JWT_DEFAULT_ROLE", value_name = "ROLE")]
    pub jwt_default_role: Option<Role>,

    /// Seconds that the issuer's clock may be away from ours: so long a token is good before its nbf and after its exp
    #[arg(
        long,
        env = "ROWLOCK_JWT_LEEWAY_SECS",
        value_name = "SECS",
        default_value_t = issuers::LEEWAY_SECS, value_parser = clap::value_parser!(u64).range(0..=issuers::LEEWAY_SECS_MAX))]
    pub jwt_leeway_secs: u64,

    /// A file of several issuers, in JSON, each with its keys, audiences and roles, instead of the options above; see
    /// docs/tokens.md. It is read once, at the start
    #[arg(
        long,
        env = "ROWLOCK_ISSUERS",
        value_name = "FILE",
        conflicts_with_all = [
            "jwt_secret", "jwt_secret_file", "jwt_issuer", "jwt_audience", "jwks_file", "jwks_url", "jwks_ca_file",
            "jwks_refresh_secs", "jwks_pause_secs", "jwt_role_claim", "jwt_roles", "jwt_default_role", "jwt_leeway_secs",
        ]
    )]
    pub issuers: Option<PathBuf>,
}

impl TokenConfig {
    /// Whether a secret or a file of issuers is named: something that may sign.
    pub fn names_a_signer(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_secret_file.is_some() || self.issuers.is_some()
    }

    /// Every issuer.
    ///
    /// # Errors
    /// When there is none with keys, or the file makes no sense; the text is for the operator.
    pub fn issuers(&self) -> Result<Vec<IssuerConfig>, String> {
        if let Some(file) = &self.issuers {
            return issuers::read(file);
        }
        let issuer = IssuerConfig {
            issuer: self.jwt_issuer.clone(),
            audiences: self.jwt_audience.clone(),
            secret: self.jwt_secret.clone(),
            secret_file: self.jwt_secret_file.clone(),
            jwks_file: self.jwks_file.clone(),
            jwks_url: self.jwks_url.clone(),
            jwks_ca_file: self.jwks_ca_file.clone(),
            jwks_refresh_secs: self.jwks_refresh_secs,
            jwks_pause_secs: self.jwks_pause_secs,
            role_claim: self.jwt_role_claim.clone(),
            roles: self.jwt_roles.iter().cloned().collect(),
            default_role: self.jwt_default_role,
            leeway_secs: self.jwt_leeway_secs,
        };
        if !issuer.has_keys() {
            return Err("no key for tokens is named: set ROWLOCK_JWT_SECRET to 32 random bytes or more, or \
                 ROWLOCK_JWT_SECRET_FILE to a file that holds them (openssl rand -base64 48 makes some); with an identity \
                 provider, set ROWLOCK_JWKS_URL to where it publishes its keys"
                .to_owned());
        }
        issuer.check()?;
        Ok(vec![issuer])
    }
}

fn role_word(text: &str) -> Result<(String, Role), String> {
    use clap::ValueEnum;
    let (word, role) = text
        .rsplit_once('=')
        .filter(|(word, _)| !word.is_empty())
        .ok_or("write WORD=ROLE, such as box-office=organizer")?;
    let role = Role::from_str(role, false)
        .map_err(|_| format!("{role} is no role: customer or organizer"))?;
    Ok((word.to_owned(), role))
}
