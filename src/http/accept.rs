//! Which of the two media types a client wants its answer in, and which kind of stream it understands (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};

/// What an answer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status says what became of the request.
    GraphqlResponse,
    /// `application/json`: for older clients, whose every well-formed request is answered with 200.
    Json,
}

impl MediaType {
    fn subtype(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "graphql-response+json",
            Self::Json => "json",
        }
    }

    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// How several answers can come, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamType {
    /// `text/event-stream`.
    EventStream,
    /// `multipart/mixed` with `subscriptionSpec=1.0`.
    Multipart,
}

impl StreamType {
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"",
        })
    }
}

/// What a client takes: one of each kind at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub answer: Option<MediaType>,
    pub stream: Option<StreamType>,
}

/// How closely a range names a media type; the closest one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    AnyApplication,
    Exact,
}

/// One element of the header, with its weight in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: u16,
    is_utf8: bool,
    /// The version of Apollo's protocol for subscriptions.
    subscription_spec: Option<&'a str>,
}

/// What the client takes. A stream must be named: whoever takes anything is not prepared for one.
pub fn negotiate(headers: &HeaderMap) -> Accepted {
    Accepted {
        answer: negotiate_answer(headers),
        stream: negotiate_stream(headers),
    }
}

/// The stream that is weighed most, the first of several.
fn negotiate_stream(headers: &HeaderMap) -> Option<StreamType> {
    let text = joined(headers)?;
    let mut best: Option<(u16, StreamType)> = None;
    for range in elements(&text).filter_map(range) {
        let stream = match (range.kind, range.subtype) {
            (kind, subtype) if is_same(kind, "text") && is_same(subtype, "event-stream") => {
                StreamType::EventStream
            }
            (kind, subtype)
                if is_same(kind, "multipart")
                    && is_same(subtype, "mixed")
                    && range.subscription_spec == Some("1.0") =>
            {
                StreamType::Multipart
            }
            _ => continue,
        };
        if range.is_utf8 && range.weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((range.weight, stream));
        }
    }
    best.map(|(_, stream)| stream)
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The media type of a single answer; `None` when the client takes neither.
///
/// A client that says nothing, or takes anything, is taken for an older one. At equal weights the type that is named beats
/// the one that a wildcard covers, and GraphQL's own beats JSON.
fn negotiate_answer(headers: &HeaderMap) -> Option<MediaType> {
    let text = joined(headers)?;
    if text.trim().is_empty() {
        return Some(MediaType::Json);
    }
    let ranges: Vec<Range> = elements(&text).filter_map(range).collect();
    let offer = |media_type: MediaType| {
        let (closeness, weight) = quality(&ranges, media_type)?;
        (weight > 0).then_some((weight, closeness))
    };
    match (offer(MediaType::GraphqlResponse), offer(MediaType::Json)) {
        (None, None) => None,
        (Some(_), None) => Some(MediaType::GraphqlResponse),
        (None, Some(_)) => Some(MediaType::Json),
        (Some(graphql), Some(json)) => {
            let is_graphql = graphql > json || (graphql == json && graphql.1 == Closeness::Exact);
            Some(if is_graphql {
                MediaType::GraphqlResponse
            } else {
                MediaType::Json
            })
        }
    }
}

/// Whether the header names one of GraphQL's media types, not only a wildcard that covers them.
pub fn names_a_media_type(headers: &HeaderMap) -> bool {
    let Some(text) = joined(headers) else {
        return false;
    };
    let ranges: Vec<Range> = elements(&text).filter_map(range).collect();
    [MediaType::GraphqlResponse, MediaType::Json]
        .into_iter()
        .any(|media_type| {
            quality(&ranges, media_type)
                .is_some_and(|(closeness, weight)| closeness == Closeness::Exact && weight > 0)
        })
}

/// All the header's lines as one; `None` where it is no text.
fn joined(headers: &HeaderMap) -> Option<String> {
    let lines: Result<Vec<&str>, _> = headers
        .get_all(ACCEPT)
        .iter()
        .map(|line| line.to_str())
        .collect();
    Some(lines.ok()?.join(","))
}

fn quality(ranges: &[Range], media_type: MediaType) -> Option<(Closeness, u16)> {
    ranges
        .iter()
        .filter(|range| range.is_utf8)
        .filter_map(|range| Some((closeness(range, media_type)?, range.weight)))
        .max()
}

fn closeness(range: &Range, media_type: MediaType) -> Option<Closeness> {
    if range.kind == "*" && range.subtype == "*" {
        return Some(Closeness::Anything);
    }
    if !range.kind.eq_ignore_ascii_case("application") {
        return None;
    }
    if range.subtype == "*" {
        return Some(Closeness::AnyApplication);
    }
    range
        .subtype
        .eq_ignore_ascii_case(media_type.subtype())
        .then_some(Closeness::Exact)
}

/// The text between commas that stand in no quoted string.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    })
}

/// An element that is no media range is passed over.
fn range(element: &str) -> Option<Range<'_>> {
    let mut parts = element.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut range = Range {
        kind: kind.trim(),
        subtype: subtype.trim(),
        weight: 1_000,
        is_utf8: true,
        subscription_spec: None,
    };
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.trim().eq_ignore_ascii_case("q") {
            range.weight = weight(value.trim())?;
        } else if name.trim().eq_ignore_ascii_case("charset") {
            range.is_utf8 = is_utf8(value);
        } else if name.trim().eq_ignore_ascii_case("subscriptionSpec") {
            range.subscription_spec = Some(value.trim().trim_matches('"'));
        }
    }
    Some(range)
}

/// From 0 to 1 with at most three decimals, in thousandths.
pub fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// Whether a `charset` parameter's value is the one that is spoken here.
pub fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};

    use super::{MediaType, StreamType, names_a_media_type, negotiate};

    const GRAPHQL: Option<MediaType> = Some(MediaType::GraphqlResponse);
    const JSON: Option<MediaType> = Some(MediaType::Json);

    fn of(lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (ACCEPT, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn a_client_gets_what_it_weighs_most() {
        for (accept, expected) in [
            ("application/json", JSON),
            ("application/graphql-response+json", GRAPHQL),
            ("Application/GraphQL-Response+JSON", GRAPHQL),
            ("*/*", JSON),
            ("application/*", JSON),
            ("", JSON),
            ("text/html, */*;q=0.1", JSON),
            // The defaults of Apollo Client, urql and the recommendation of the specification.
            (
                "application/graphql-response+json,application/json;q=0.9",
                GRAPHQL,
            ),
            (
                "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
                GRAPHQL,
            ),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                GRAPHQL,
            ),
            (
                "application/json, application/graphql-response+json",
                GRAPHQL,
            ),
            (
                "application/json, application/graphql-response+json;q=0.5",
                JSON,
            ),
            (
                "application/json;q=0.5, application/graphql-response+json;q=0.51",
                GRAPHQL,
            ),
            ("application/json, */*", JSON),
            ("application/graphql-response+json, */*", GRAPHQL),
            ("application/graphql-response+json;q=0.2, */*;q=0.5", JSON),
            ("application/json;q=0, */*", GRAPHQL),
            ("application/graphql-response+json;q=0, application/*", JSON),
            ("application/json; Q=1.000", JSON),
            (r#"text/plain;note="a,b", application/json"#, JSON),
            (
                "application/json;charset=iso-8859-1, application/graphql-response+json;q=0.1",
                GRAPHQL,
            ),
            ("nonsense, application/json", JSON),
            ("application/json;q=nonsense", None),
            ("application/json;charset=iso-8859-1", None),
            ("application/json;q=0", None),
            ("*/*;q=0.0", None),
            ("text/html", None),
            ("application/xml, application/graphql+json", None),
            ("json", None),
        ] {
            assert_eq!(negotiate(&of(&[accept])).answer, expected, "{accept}");
        }
        assert_eq!(negotiate(&of(&[])).answer, JSON);
        let lines = of(&["text/html", "application/json"]);
        assert_eq!(negotiate(&lines).answer, JSON);
    }

    #[test]
    fn a_stream_is_for_who_names_it() {
        const SSE: Option<StreamType> = Some(StreamType::EventStream);
        const MULTIPART: Option<StreamType> = Some(StreamType::Multipart);
        for (accept, expected) in [
            ("text/event-stream", SSE),
            ("Text/Event-Stream; charset=utf-8", SSE),
            // Apollo Client's, urql's and graphql-sse's own.
            (
                "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json",
                MULTIPART,
            ),
            (r#"multipart/mixed; subscriptionSpec="1.0""#, MULTIPART),
            (
                "application/graphql-response+json, application/json, text/event-stream, multipart/mixed",
                SSE,
            ),
            (
                "multipart/mixed;subscriptionSpec=1.0;q=0.5, text/event-stream",
                SSE,
            ),
            (
                "multipart/mixed;subscriptionSpec=1.0, text/event-stream",
                MULTIPART,
            ),
            ("multipart/mixed;deferSpec=20220824,application/json", None),
            ("multipart/mixed;subscriptionSpec=2.0", None),
            ("multipart/mixed", None),
            ("text/event-stream;q=0", None),
            ("text/*", None),
            ("*/*", None),
            ("", None),
        ] {
            assert_eq!(negotiate(&of(&[accept])).stream, expected, "{accept}");
        }
    }

    #[test]
    fn a_wildcard_names_no_media_type() {
        assert!(names_a_media_type(&of(&[
            "text/html, application/json;q=0.1"
        ])));
        for accept in [
            "*/*",
            "application/*",
            "application/json;q=0",
            "text/html,application/xml;q=0.9,*/*;q=0.8",
        ] {
            assert!(!names_a_media_type(&of(&[accept])), "{accept}");
        }
        assert!(!names_a_media_type(&of(&[])));
    }
}
