//! Whose tokens are good: one secret, an identity provider, several of them; and what becomes of sales when keys change.

mod attacks;
mod keys;
mod options;
mod provider;
mod rotation;

use std::time::Duration;

use serde_json::{Value, json};

use self::{
    keys::{Signer, claims},
    provider::Provider,
};
use crate::harness::{
    Database, Server,
    server::{Builder, JWT_SECRET},
};

/// What needs a caller and nothing else.
const ME: &str = "{ me { subject role } }";

/// The issuer of servers that are not told of another.
const ROWLOCK: &str = "rowlock";

/// Files are looked at every five seconds, and a provider that was out of reach is asked again after its interval, here five.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// A server that takes the tests' own tokens beside those of this provider's keys.
fn with_provider(database: &Database, provider: &Provider) -> Builder {
    Server::builder(database).env("ROWLOCK_JWKS_URL", &provider.url())
}

/// A server of the issuers of this file, without the options of one issuer.
fn with_issuers(database: &Database, file: &std::path::Path) -> Builder {
    Server::command(&["serve", "--listen", "127.0.0.1:0"])
        .env("ROWLOCK_DATABASE_URL", &database.url())
        .env("ROWLOCK_ISSUERS", file.to_str().unwrap())
}

/// Who the server takes the token's sender for, or the code with which it refuses.
async fn me(server: &Server, token: &str) -> Result<Value, String> {
    let answer = server.client().with_token(token).send(ME, json!({})).await;
    match answer.fault() {
        Some(code) => Err(code.to_owned()),
        None => Ok(answer.data["me"].clone()),
    }
}

fn ada() -> Result<Value, String> {
    Ok(json!({ "subject": "ada", "role": "CUSTOMER" }))
}

fn invalid() -> Result<Value, String> {
    Err("INVALID_TOKEN".to_owned())
}

fn write(directory: &std::path::Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
