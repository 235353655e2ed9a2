//! What every answer tells browsers not to do with it.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// An answer is data: it is no page, is within no page, loads nothing, is not guessed to be a script, is not drawn into
/// another site's process as an image would be (what CORS allows is not held up by that), and its address, which may have a
/// query in it, is told nobody.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
];

/// Says it in an answer's headers. A page of the playground has a policy of its own.
pub fn protect(headers: &mut HeaderMap) {
    headers.reserve(HEADERS.len());
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
}

/// Comes back over TLS alone, for so many seconds; none for 0.
pub fn transport_security(secs: u64) -> Option<(HeaderName, HeaderValue)> {
    let value =
        HeaderValue::try_from(format!("max-age={secs}")).expect("a number makes a header's value");
    (secs > 0).then_some((STRICT_TRANSPORT_SECURITY, value))
}

/// The same as text, for answers that are written as such.
pub fn as_text() -> String {
    HEADERS
        .iter()
        .map(|(name, value)| {
            let value = value.to_str().expect("what is said here is ASCII");
            format!("{name}: {value}\r\n")
        })
        .collect()
}
