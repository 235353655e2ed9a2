//! The parameters of a GraphQL request, as a body or a URL has them.
//!
//! Reads their shape alone. What a document or a variable means is the engine's affair.

use std::collections::HashMap;

use async_graphql::{Extensions, Request, Value, Variables};
use axum::http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{accept::is_utf8, answer::Refusal};
use crate::graphql::fault::Code;

/// What a client sends. `null` is as good as absent, unknown names are ignored, a name that comes twice is refused: which
/// of the two somebody on the way has looked at, nobody knows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    pub query: Option<String>,
    pub document_id: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Option<Variables>,
    pub extensions: Option<HashMap<String, Value>>,
}

/// The members that are known, and what each must be.
const KNOWN: [(&str, &str); 5] = [
    ("query", "a string"),
    ("documentId", "a string"),
    ("operationName", "a string"),
    ("variables", "an object"),
    ("extensions", "an object"),
];

impl Params {
    /// From a POST's headers and body.
    pub fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if !is_json(headers) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::UnsupportedMediaType,
                "send the request as Content-Type: application/json, in UTF-8",
            ));
        }
        match body.iter().find(|byte| !b" \t\r\n".contains(byte)) {
            Some(b'{') => serde_json::from_slice(body).map_err(|error| what_is_wrong(body, &error)),
            // A list of anything else is no batch, but nobody is helped by hearing so.
            Some(b'[') => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                Code::BatchNotSupported,
                "the body is a list; send one request at a time",
            )),
            Some(_) | None => Err(Refusal::bad_request(
                "the body must be a JSON object with query and, if needed, variables and operationName",
            )),
        }
    }

    /// From a GET's query, whose absent parameters may also be empty.
    pub fn of_query(query: &str) -> Result<Self, Refusal> {
        let mut params = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            if !KNOWN.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let value = decoded(value)?;
            if value.is_empty() {
                continue;
            }
            match name.as_str() {
                "query" => set(&mut params.query, &name, Some(value))?,
                "documentId" => set(&mut params.document_id, &name, Some(value))?,
                "operationName" => set(&mut params.operation_name, &name, Some(value))?,
                "variables" => set(&mut params.variables, &name, object(&name, &value)?)?,
                _ => set(&mut params.extensions, &name, object(&name, &value)?)?,
            }
        }
        Ok(params)
    }

    /// For the engine, once the text of the document is found.
    pub fn into_request(self) -> Request {
        let mut request = Request::new(self.query.unwrap_or_default());
        request.operation_name = self.operation_name;
        request.variables = self.variables.unwrap_or_default();
        request.extensions = Extensions(self.extensions.unwrap_or_default());
        request
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    is_json_type(only)
}

fn is_json_type(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
                is_utf8(charset)
            }
            Some(_) | None => true,
        })
}

/// Says it in the words of the protocol; the JSON library speaks of Rust.
fn what_is_wrong(body: &[u8], error: &serde_json::Error) -> Refusal {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Refusal::bad_request(format!(
            "the body is not JSON: see line {}, column {}",
            error.line(),
            error.column()
        ));
    };
    let wrong = KNOWN.iter().find(|(name, expected)| {
        let member = &value[*name];
        let is_expected = match *expected {
            "a string" => member.is_string(),
            _ => member.is_object(),
        };
        !is_expected && !member.is_null()
    });
    Refusal::bad_request(match wrong {
        Some((name, expected)) => format!("{name} must be {expected}"),
        None => "the body has a member twice, or one that cannot be read".to_owned(),
    })
}

/// As forms are encoded, except that bytes that are no UTF-8 are refused rather than replaced.
fn decoded(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(Refusal::bad_request("the URL's query is not UTF-8")),
    }
}

fn object<T: for<'a> Deserialize<'a>>(name: &str, text: &str) -> Result<Option<T>, Refusal> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Null) => Ok(None),
        Ok(serde_json::Value::Object(_)) => serde_json::from_str(text)
            .map(Some)
            .map_err(|_| Refusal::bad_request(format!("{name} cannot be read"))),
        Ok(_) | Err(_) => Err(Refusal::bad_request(format!(
            "{name} must be an object, as JSON"
        ))),
    }
}

fn set<T>(place: &mut Option<T>, name: &str, value: Option<T>) -> Result<(), Refusal> {
    if place.is_some() {
        return Err(Refusal::bad_request(format!("{name} is there twice")));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_body(body: &[u8]) -> Result<Params, Refusal> {
        let json = HeaderValue::from_static("application/json");
        Params::of_body(&HeaderMap::from_iter([(CONTENT_TYPE, json)]), body)
    }

    #[test]
    fn a_wrong_member_is_named() {
        for (body, expected) in [
            (r#"{"query": 1}"#, "query must be a string"),
            (
                r#"{"query": "a", "variables": []}"#,
                "variables must be an object",
            ),
            (
                r#"{"query": "a", "extensions": "x"}"#,
                "extensions must be an object",
            ),
            (
                r#"{"query": "a", "operationName": {}}"#,
                "operationName must be a string",
            ),
            (r#"{"documentId": false}"#, "documentId must be a string"),
            (
                r#"{"query": "a", "query": "b"}"#,
                "the body has a member twice, or one that cannot be read",
            ),
            (
                "{\"query\":\n 'a'}",
                "the body is not JSON: see line 2, column 2",
            ),
            (
                r#"{"query": "\ud800"}"#,
                "the body is not JSON: see line 1, column 18",
            ),
        ] {
            assert_eq!(
                of_body(body.as_bytes()).unwrap_err().message,
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_null_empty_or_unknown_is_absent() {
        let params =
            of_body(br#" {"query": "a", "operationName": null, "variables": null, "id": [{}]}"#)
                .unwrap();
        assert_eq!(params.query.as_deref(), Some("a"));
        assert!(params.operation_name.is_none() && params.variables.is_none());
        let params =
            Params::of_query("query=a+b%2B&operationName=&variables=null&extensions&id=%ff&&=")
                .unwrap();
        assert_eq!(params.query.as_deref(), Some("a b+"));
        assert!(
            params.operation_name.is_none()
                && params.variables.is_none()
                && params.extensions.is_none()
        );
        let params = Params::of_query("operationName=null").unwrap();
        assert_eq!(
            params.operation_name.as_deref(),
            Some("null"),
            "a name like any other"
        );
    }

    #[test]
    fn only_json_in_utf8_is_json() {
        for good in [
            "application/json",
            "APPLICATION/JSON ; Charset=UTF-8",
            "application/json;charset=\"utf-8\"; profile=x",
        ] {
            assert!(is_json_type(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "application/json; charset=utf-16",
            "application/jsonp",
            "text/plain; application/json",
            "application/graphql-response+json",
            "",
        ] {
            assert!(!is_json_type(&HeaderValue::from_static(bad)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = of_body(&body);
        }

        #[test]
        fn any_query_is_read_or_refused(query in "[ -~]{0,100}") {
            let _ = Params::of_query(&query);
        }

        #[test]
        fn anything_like_a_request_is_read_or_refused_with_400(
            body in r#"\{("(query|variables|extensions|operationName|x)":(null|1|-0|1e999|"\\\\ud800"|"a"|\{\}|\[\{\}\]),?){0,4}\}?"#,
        ) {
            if let Err(refusal) = of_body(body.as_bytes()) {
                prop_assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            }
        }
    }
}
