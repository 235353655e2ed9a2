//! `/graphql`: the way of a request, as GraphQL over HTTP has it.
//!
//! async-graphql-axum's extractor would run mutations from a GET, from `text/plain` and multipart bodies, which any web page
//! can send without asking; what is read here is JSON alone.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY, WWW_AUTHENTICATE},
        request::Parts,
    },
    response::Response,
};
use hyper::ext::ReasonPhrase;

use super::{
    App,
    accept::{self, MediaType},
    answer::Refusal,
    origin,
    params::Params,
    persisted, request_id,
};
use crate::{
    auth::{Caller, TokenError, Tokens},
    graphql::{Answer, fault::Code},
};

/// What is executed and has errors all the same (GraphQL over HTTP, "Status Codes"). No registered status, but within those
/// of success, so that whoever does not know it takes it for 200.
const PARTIAL_SUCCESS: u16 = 294;

pub async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match accept::negotiate(&parts.headers) {
        Some(media_type) => match answer(&app, parts, body, media_type).await {
            Ok(answer) => shape(&answer, media_type),
            Err(refusal) => refusal.answer(media_type),
        },
        None => not_acceptable().answer(MediaType::Json),
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept"));
    // What is on sale changes with every sale.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    app: &App,
    parts: Parts,
    body: Body,
    media_type: MediaType,
) -> Result<Arc<Answer>, Refusal> {
    let id = request_id::current();
    let params = match parts.method {
        Method::POST => {
            let body = read(body, app.config.body_len).await?;
            Params::of_body(&parts.headers, &body)?
        }
        Method::GET => {
            origin::check_get(&parts.headers, &app.config.cors_origins)?;
            Params::of_query(parts.uri.query().unwrap_or_default())?
        }
        _ => return Err(wrong_method("GraphQL is at POST and GET", "GET, POST")),
    };
    let caller = caller(&app.tokens, &parts.headers)?;
    let params = app.persisted.resolve(params);
    let request = params
        .map_err(|refusal| unanswerable(refusal, media_type))?
        .into_request();
    match app.engine.prepare(request, caller, id.as_deref()).await {
        Ok(ready) if parts.method == Method::GET && !ready.is_query() => {
            Err(wrong_method("a mutation needs POST", "POST"))
        }
        Ok(ready) => {
            // Thousands may wait for the desk from here on: with no more than they need.
            drop(parts);
            Ok(app.engine.execute(ready).await)
        }
        Err(refused) => Ok(Arc::new(refused)),
    }
}

async fn read(body: Body, len_max: usize) -> Result<Bytes, Refusal> {
    to_bytes(body, len_max).await.map_err(|error| {
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                Code::PayloadTooLarge,
                format!("the body is larger than {len_max} bytes"),
            )
        } else {
            Refusal::bad_request("the body could not be read")
        }
    })
}

fn not_acceptable() -> Refusal {
    Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        Code::NotAcceptable,
        "an answer is application/graphql-response+json or application/json, in UTF-8",
    )
}

fn wrong_method(message: &str, allow: &'static str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        message,
    )
    .with(ALLOW, allow)
}

/// A request that is well-formed and has no text is answered as one that does not fit the schema is; see [`shape`].
fn unanswerable(refusal: persisted::Refusal, media_type: MediaType) -> Refusal {
    let is_well_formed = !matches!(refusal, persisted::Refusal::Malformed(_));
    let status = match media_type {
        MediaType::Json if is_well_formed => StatusCode::OK,
        MediaType::Json | MediaType::GraphqlResponse => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, refusal.code(), refusal.message())
}

/// Who is calling. A token that is there must be good, also where none is needed: a client whose token has expired should
/// learn that from the first answer.
fn caller(tokens: &Tokens, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else {
        return Ok(Caller::Anonymous);
    };
    // Of two, something on the way may have looked at the other.
    let is_only = all.next().is_none();
    let token = header.to_str().ok().filter(|_| is_only);
    let token = token.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    tokens.verify(token.unwrap_or_default()).map_err(|error| {
        let code = match error {
            TokenError::Expired => Code::TokenExpired,
            TokenError::NotForUs | TokenError::Invalid => Code::InvalidToken,
        };
        Refusal::new(StatusCode::UNAUTHORIZED, code, error.to_string())
            .with(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    })
}

/// Answers with the media type and the status that the client understands.
fn shape(answer: &Answer, media_type: MediaType) -> Response {
    let status = match media_type {
        // Every well-formed request is answered with 200, for the sake of older clients.
        MediaType::Json => StatusCode::OK,
        MediaType::GraphqlResponse if !answer.is_executed => StatusCode::BAD_REQUEST,
        MediaType::GraphqlResponse if answer.is_ok() => StatusCode::OK,
        MediaType::GraphqlResponse => {
            StatusCode::from_u16(PARTIAL_SUCCESS).expect("294 is within what a status can be")
        }
    };
    let mut response = Response::new(Body::from(answer.json()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.header());
    if status.as_u16() == PARTIAL_SUCCESS {
        let reason = ReasonPhrase::from_static(b"Partial Success");
        response.extensions_mut().insert(reason);
    }
    *response.status_mut() = status;
    response
}
