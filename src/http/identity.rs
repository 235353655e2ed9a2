//! Who is calling, by a header or by what a socket begins with.

use std::time::{Duration, SystemTime};

use axum::http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::{App, answer::Refusal};
use crate::{
    auth::{Identity, TokenError},
    graphql::fault::Code,
    organizers::{self, KeyRefused},
};

/// How long a clock that was set may be wrong about a token's time.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_secs(60);

/// Why nobody knows who is calling.
pub enum NotKnown {
    /// The token or the key is not good.
    Token(TokenError),
    /// A machine's key could not be looked up.
    OutOfReach,
}

/// By a request's headers. A token that is there must be good, also where none is needed: a client whose token has expired
/// should learn that from the first answer.
pub async fn of_headers(app: &App, headers: &HeaderMap) -> Result<Identity, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else {
        return Ok(Identity::anonymous());
    };
    // Of two, something on the way may have looked at the other.
    let is_only = all.next().is_none();
    let text = header.to_str().ok().filter(|_| is_only);
    verify(app, text).await.map_err(|reason| match reason {
        NotKnown::Token(error) => refusal(error),
        NotKnown::OutOfReach => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "the database, which has the machines' keys, is out of reach; try again",
        ),
    })
}

/// By the payload of a socket's first message, as clients send what would be a header: `{ "authorization": "Bearer …" }`,
/// whatever its capitals. None where it says nothing.
pub async fn of_payload(
    app: &App,
    payload: &Map<String, Value>,
) -> Result<Option<Identity>, NotKnown> {
    let mut named = payload
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
    match (named.next(), named.next()) {
        (None, _) | (Some((_, Value::Null)), None) => Ok(None),
        (Some((_, value)), None) => verify(app, value.as_str()).await.map(Some),
        (Some(_), Some(_)) => Err(NotKnown::Token(TokenError::Invalid)),
    }
}

/// `Bearer` and a token, or a machine's key; what is neither is no good one. Waits only for a machine's key to be looked up, and
/// where a token names a key that is not known yet.
async fn verify(app: &App, text: Option<&str>) -> Result<Identity, NotKnown> {
    let token = text.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let token = token.unwrap_or_default();
    if !organizers::is_key(token) {
        let verified = app.tokens.verify_or_look(token).await;
        return verified.map_err(NotKnown::Token);
    }
    match organizers::authenticate(&app.domain.store, token).await {
        Ok(Ok(key)) => Ok(Identity::of_key(key)),
        Ok(Err(KeyRefused::Expired)) => Err(NotKnown::Token(TokenError::Expired)),
        Ok(Err(KeyRefused::Invalid)) => Err(NotKnown::Token(TokenError::Invalid)),
        Err(fault) => {
            tracing::error!(error = %fault.source, "{} failed", fault.step);
            Err(NotKnown::OutOfReach)
        }
    }
}

/// What is answered where a token is not good.
pub fn refusal(error: TokenError) -> Refusal {
    let code = match error {
        TokenError::Expired => Code::TokenExpired,
        TokenError::NotForUs | TokenError::TooEarly | TokenError::NoRole | TokenError::Invalid => {
            Code::InvalidToken
        }
    };
    Refusal::new(StatusCode::UNAUTHORIZED, code, error.to_string())
        .with(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
}

/// Waits until the token is no longer good. For ever where there is none.
pub async fn expiry(identity: &Identity) {
    let Some(expires_at) = identity.expires_at else {
        return std::future::pending().await;
    };
    // By the wall clock, which may be set meanwhile.
    while let Ok(left) = expires_at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        sleep(left.min(LOOK_AT_CLOCK_EVERY)).await;
    }
}
