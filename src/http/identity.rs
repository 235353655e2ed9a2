//! Who is calling, by a header or by what a socket begins with.

use std::time::{Duration, SystemTime};

use axum::http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::answer::Refusal;
use crate::{
    auth::{Identity, TokenError, Tokens},
    graphql::fault::Code,
};

/// How long a clock that was set may be wrong about a token's time.
const LOOK_AT_CLOCK_EVERY: Duration = Duration::from_secs(60);

/// By a request's headers. A token that is there must be good, also where none is needed: a client whose token has expired
/// should learn that from the first answer.
pub async fn of_headers(tokens: &Tokens, headers: &HeaderMap) -> Result<Identity, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else {
        return Ok(Identity::anonymous());
    };
    // Of two, something on the way may have looked at the other.
    let is_only = all.next().is_none();
    let text = header.to_str().ok().filter(|_| is_only);
    verify(tokens, text).await.map_err(refusal)
}

/// By the payload of a socket's first message, as clients send what would be a header: `{ "authorization": "Bearer …" }`,
/// whatever its capitals. None where it says nothing.
pub async fn of_payload(
    tokens: &Tokens,
    payload: &Map<String, Value>,
) -> Result<Option<Identity>, TokenError> {
    let mut named = payload
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
    match (named.next(), named.next()) {
        (None, _) | (Some((_, Value::Null)), None) => Ok(None),
        (Some((_, value)), None) => verify(tokens, value.as_str()).await.map(Some),
        (Some(_), Some(_)) => Err(TokenError::Invalid),
    }
}

/// `Bearer` and a token; what is neither is no good one. Waits only where the token names a key that is not known yet.
async fn verify(tokens: &Tokens, text: Option<&str>) -> Result<Identity, TokenError> {
    let token = text.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    tokens.verify_or_look(token.unwrap_or_default()).await
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
