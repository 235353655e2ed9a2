//! The playground: GraphiQL where `scripts/playground` was run before the build, and a plain page that is always there.
//!
//! All files are this server's own, and the browser is told to load and run nothing else. They are in the binary: nothing
//! is read from a disk. Knows nothing about GraphQL.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Router,
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{accept, answer::Refusal};
use crate::graphql::fault::Code;

/// GraphiQL's page and its assets, by their paths here; the assets compressed. Empty where they were not built.
static GRAPHIQL: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/playground.rs"));

static PLAIN: [(&str, &[u8]); 3] = [
    ("/plain", include_bytes!("playground/plain.html")),
    ("/plain.css", include_bytes!("playground/plain.css")),
    ("/plain.js", include_bytes!("playground/plain.js")),
];

/// Monaco writes styles into the page, and has its icons and fonts in its style sheet. A worker obeys the policy of its own
/// file, so that the assets have it too.
const GRAPHIQL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PLAIN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static FILES: LazyLock<HashMap<&str, File>> = LazyLock::new(|| {
    let graphiql = GRAPHIQL.iter().map(|&(path, body)| (path, body, true));
    let plain = PLAIN.iter().map(|&(path, body)| (path, body, false));
    let mut files: HashMap<_, _> = graphiql
        .chain(plain)
        .map(|(path, body, is_graphiql)| (path, File::new(path, body, is_graphiql)))
        .collect();
    if GRAPHIQL.is_empty() {
        let (plain, body) = PLAIN[0];
        files.insert("/", File::new(plain, body, false));
    }
    files
});

struct File {
    body: &'static [u8],
    is_compressed: bool,
    content_type: &'static str,
    policy: &'static str,
    cache: &'static str,
    etag: String,
}

impl File {
    fn new(path: &str, body: &'static [u8], is_graphiql: bool) -> Self {
        let is_asset = path.starts_with("/assets/");
        Self {
            body,
            is_compressed: is_asset,
            content_type: content_type(path),
            policy: if is_graphiql {
                GRAPHIQL_POLICY
            } else {
                PLAIN_POLICY
            },
            // An asset's name has a hash of what is in it.
            cache: if is_asset {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            },
            etag: format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(body)[..16])),
        }
    }

    fn answer(&self, is_known: bool) -> Response {
        let (status, body) = if is_known {
            (StatusCode::NOT_MODIFIED, Body::empty())
        } else {
            (StatusCode::OK, Body::from(self.body))
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, self.content_type);
        set(CONTENT_SECURITY_POLICY, self.policy);
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(REFERRER_POLICY, "no-referrer");
        set(CACHE_CONTROL, self.cache);
        if self.is_compressed {
            set(CONTENT_ENCODING, "gzip");
            set(VARY, "Accept-Encoding");
        }
        let etag =
            HeaderValue::from_str(&self.etag).expect("quoted hexadecimal is fit for a header");
        headers.insert(ETAG, etag);
        response
    }
}

pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(file))
        .route("/plain", get(file))
        .route("/plain.css", get(file))
        .route("/plain.js", get(file))
        .route("/assets/{name}", get(file))
}

async fn file(uri: Uri, headers: HeaderMap) -> Result<Response, Refusal> {
    let Some(file) = FILES.get(uri.path()) else {
        return Err(super::unknown_route().await);
    };
    if file.is_compressed && !takes_gzip(&headers) {
        return Err(Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            Code::NotAcceptable,
            "this file is here compressed alone: let Accept-Encoding allow gzip",
        )
        .with(VARY, "Accept-Encoding"));
    }
    Ok(file.answer(has(&headers, &file.etag)))
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110, 12.5.3). Who does not send it takes everything.
fn takes_gzip(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return true;
    }
    let mut takes_any = false;
    for element in elements(headers, &ACCEPT_ENCODING) {
        let (coding, weight) = element.split_once(';').unwrap_or((element, "q=1"));
        let takes = weight
            .trim()
            .to_ascii_lowercase()
            .strip_prefix("q=")
            .and_then(accept::weight)
            .is_some_and(|weight| weight > 0);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return takes,
            "*" => takes_any = takes,
            _ => {}
        }
    }
    takes_any
}

/// Whether the client has the file of this tag (RFC 9110, 13.1.2).
fn has(headers: &HeaderMap, etag: &str) -> bool {
    elements(headers, &IF_NONE_MATCH)
        .any(|element| element == "*" || element.strip_prefix("W/").unwrap_or(element) == etag)
}

fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        // The pages.
        None => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("ttf") => "font/ttf",
        Some(_) => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
        },
    };

    use super::{FILES, File, GRAPHIQL, file, has, takes_gzip};

    fn with(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (name.clone(), HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn who_does_not_refuse_gzip_takes_it() {
        for (lines, expected) in [
            (&[][..], true),
            (&["gzip, deflate, br"], true),
            (&["br", "GZIP;q=0.1"], true),
            (&["x-gzip"], true),
            (&["*"], true),
            (&["identity, *;q=0.5"], true),
            (&["*;q=0, gzip"], true),
            (&["gzip; Q=1.0"], true),
            (&[""], false),
            (&["identity"], false),
            (&["br, deflate"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000, *"], false),
            (&["*;q=0"], false),
            (&["gzip;q=nonsense"], false),
        ] {
            assert_eq!(
                takes_gzip(&with(ACCEPT_ENCODING, lines)),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_client_has_what_it_names() {
        let etag = "\"abc\"";
        for (lines, expected) in [
            (&[][..], false),
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\"", "\"abc\""], true),
            (&["*"], true),
            (&["\"x\""], false),
            (&["abc"], false),
        ] {
            assert_eq!(
                has(&with(IF_NONE_MATCH, lines), etag),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn no_file_is_allowed_to_evaluate_or_to_load_from_elsewhere() {
        for (path, file) in &*FILES {
            let directives: HashMap<_, _> = file
                .policy
                .split(';')
                .filter_map(|directive| directive.trim().split_once(' '))
                .collect();
            assert_eq!(directives["default-src"], "'none'", "{path}");
            assert_eq!(directives["script-src"], "'self'", "{path}");
            for (directive, sources) in directives {
                for source in sources.split(' ') {
                    let is_ours = ["'none'", "'self'", "data:"].contains(&source)
                        || (directive, source) == ("style-src", "'unsafe-inline'");
                    assert!(is_ours, "{path}: {directive} {source}");
                }
            }
        }
    }

    #[test]
    fn an_asset_is_kept_and_a_page_is_asked_for_again() {
        let body = b"x";
        let asset = File::new("/assets/a-1.js", body, true).answer(false);
        assert_eq!(
            asset.headers()[CONTENT_TYPE],
            "text/javascript; charset=utf-8"
        );
        assert_eq!(asset.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(asset.headers()[VARY], "Accept-Encoding");
        assert_eq!(
            asset.headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        let page = File::new("/", body, true).answer(false);
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        assert!(!page.headers().contains_key(CONTENT_ENCODING));
        let again = File::new("/", body, true).answer(true);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        for name in [ETAG, CACHE_CONTROL, CONTENT_SECURITY_POLICY] {
            assert_eq!(again.headers()[&name], page.headers()[&name], "{name}");
        }
    }

    #[tokio::test]
    async fn who_refuses_gzip_gets_no_compressed_file() {
        for (path, _) in GRAPHIQL {
            let refuses = with(ACCEPT_ENCODING, &["identity"]);
            let answer = file(Uri::from_static(path), refuses).await;
            match answer {
                Ok(_) => assert_eq!(*path, "/"),
                Err(refusal) => assert_eq!(refusal.status, StatusCode::NOT_ACCEPTABLE),
            }
        }
        let unknown = Uri::from_static("/assets/nothing.js");
        let refusal = file(unknown, HeaderMap::new()).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
    }
}
