//! Whether a page of another site could have caused a request without the browser asking this server first.
//!
//! A POST is safe by its media type: a page can send JSON elsewhere only after a preflight. A GET has no body and needs
//! another mark. Rowlock has no cookies, so that such a request would have no rights; it is refused all the same, since it
//! could reach a server that the page's author cannot.

use axum::http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN},
};

use super::{accept, answer::Refusal};
use crate::{config::AllowedOrigin, graphql::fault::Code};

/// A page may send these elsewhere without a preflight (Fetch, "CORS-safelisted request-header").
const SIMPLE_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// Apollo's names; its clients send one of them.
const PREFLIGHT_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
];

/// Browsers say with it where a request comes from, and no page can change it (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a GET pass that no page of another site can have caused, or whose page is allowed.
pub fn check_get(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> Result<(), Refusal> {
    if needs_preflight(headers) || is_from_a_known_place(headers, allowed) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::BAD_REQUEST,
        Code::PreflightRequired,
        "a GET needs a header that no page of another site can send: Content-Type: application/json, \
         apollo-require-preflight, or an Accept that names application/graphql-response+json",
    ))
}

/// Lets a socket be opened by a program, by this server's own pages and by those of allowed sites. A browser asks nobody
/// before it opens one.
pub fn check_socket(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let is_known = origin.to_str().is_ok_and(|origin| {
        is_own(origin, headers) || allowed.iter().any(|allowed| allowed.is(origin))
    });
    if is_known {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        Code::OriginNotAllowed,
        "pages of this site may not open a socket here; the operator can allow them (--cors-origin)",
    ))
}

/// Whether it is the origin that the request itself is sent to, as far as its `Host` says: what is in front of the server
/// may speak TLS for it.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    authority
        .zip(host)
        .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Has a header that makes a browser ask first.
fn needs_preflight(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has_type = text(&CONTENT_TYPE).is_some_and(|content_type| {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        // Something that is no media type is dropped by browsers' own rules.
        essence.contains('/')
            && !SIMPLE_TYPES
                .iter()
                .any(|simple| simple.eq_ignore_ascii_case(essence))
    });
    let has_name = PREFLIGHT_HEADERS
        .iter()
        .any(|name| text(name).is_some_and(|value| !value.is_empty()));
    // Other schemes than this one may be added by the browser itself.
    let has_token = text(&AUTHORIZATION).is_some_and(|value| {
        value
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
    });
    has_type || has_name || has_token
}

fn is_from_a_known_place(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> bool {
    if let Some(origin) = headers.get(ORIGIN) {
        let is_allowed = origin
            .to_str()
            .is_ok_and(|origin| allowed.iter().any(|allowed| allowed.is(origin)));
        if is_allowed {
            return true;
        }
    }
    match headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes()) {
        Some(b"same-origin") => accept::names_a_media_type(headers),
        // Another site, or the address bar.
        Some(_) => false,
        // A program, or a browser to which neither an image, a script nor a link gives such an Accept.
        None => headers.get(ORIGIN).is_none() && accept::names_a_media_type(headers),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const URQL: &str = "application/graphql-response+json, application/graphql+json, application/json, \
                        text/event-stream, multipart/mixed";

    fn passes(headers: &[(&'static str, &'static str)], allowed: &[&str]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let allowed: Vec<AllowedOrigin> = allowed
            .iter()
            .map(|origin| origin.parse().unwrap())
            .collect();
        check_get(&headers, &allowed).is_ok()
    }

    #[test]
    fn what_any_page_can_cause_is_refused() {
        let shop = ["https://shop.example"];
        for headers in [
            &[][..],
            &[("accept", "*/*")],
            &[
                (
                    "accept",
                    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                ),
                ("sec-fetch-site", "none"),
            ],
            &[("content-type", "text/plain; charset=utf-8")],
            &[("content-type", "nonsense")],
            &[("authorization", "Basic YTpi")],
            &[("apollo-require-preflight", "")],
            &[("sec-fetch-site", "cross-site"), ("accept", URQL)],
            &[
                ("sec-fetch-site", "same-site"),
                ("accept", URQL),
                ("origin", "https://other.example"),
            ],
            &[("origin", "https://other.example"), ("accept", URQL)],
            &[("origin", "null"), ("accept", URQL)],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "no-cors"),
                ("accept", "image/*,*/*;q=0.8"),
            ],
        ] {
            assert!(!passes(headers, &shop), "{headers:?}");
        }
    }

    #[test]
    fn apollo_client_urql_and_programs_pass_with_their_defaults() {
        let shop = ["https://shop.example"];
        for headers in [
            &[
                ("content-type", "application/json"),
                ("sec-fetch-site", "cross-site"),
            ][..],
            &[("x-apollo-operation-name", "Events")],
            &[("apollo-require-preflight", "true")],
            &[("authorization", "Bearer abc")],
            &[("accept", URQL), ("sec-fetch-site", "same-origin")],
            &[
                ("accept", URQL),
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://shop.example"),
            ],
            &[("accept", URQL)],
            &[("accept", "application/json")],
        ] {
            assert!(passes(headers, &shop), "{headers:?}");
        }
        assert!(passes(&[("origin", "https://any.example")], &["*"]));
    }
}
