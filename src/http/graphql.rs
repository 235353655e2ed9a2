//! `/graphql`: the way of a request, as GraphQL over HTTP has it.
//!
//! async-graphql-axum's extractor would run mutations from a GET, from `text/plain` and multipart bodies, which any web page
//! can send without asking; what is read here is JSON alone. Its response type stays, for what it does right.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hyper::ext::ReasonPhrase;

use super::{
    App,
    accept::{self, Accepted, MediaType},
    answer::Refusal,
    identity,
    listeners::Full,
    origin,
    params::Params,
    persisted,
    ready::Unready,
    request_id, socket,
    stream::{self, Lasting},
};
use crate::graphql::{Answer, Freshness, fault::Code};

/// What is executed and has errors all the same (GraphQL over HTTP, "Status Codes"). No registered status, but within those
/// of success, so that whoever does not know it takes it for 200.
const PARTIAL_SUCCESS: u16 = 294;

pub async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = accept::negotiate(&parts.headers);
    let refusals_type = accepted.answer.unwrap_or(MediaType::Json);
    let answered = if socket::is_wanted(&parts) {
        socket::open(&app, parts).await
    } else if accepted.answer.is_none() && accepted.stream.is_none() {
        Err(not_acceptable())
    } else {
        answer(&app, parts, body, accepted).await
    };
    let mut response = answered.unwrap_or_else(|refusal| refusal.answer(refusals_type));
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
    accepted: Accepted,
) -> Result<Response, Refusal> {
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
    let address = app.address(&parts);
    let identity = match identity::of_headers(app, &parts.headers).await {
        Ok(identity) => identity,
        Err(refusal) => return Err(app.not_known(address, refusal)),
    };
    let params = app.persisted.resolve(params);
    let request = params
        .map_err(|refusal| unanswerable(refusal, accepted.answer))?
        .into_request();
    let caller = identity.caller.clone();
    let who = app.rates.who(&caller, address);
    let (ready, standing) = match app.prepare(request, caller, who, id.as_deref()).await {
        Ok(ready) => ready,
        Err(Unready::Refused(refused, standing)) => {
            return Ok(standing.told_in(only(refused, accepted)));
        }
        Err(Unready::Overloaded(full, standing)) => {
            let media_type = accepted.answer.unwrap_or(MediaType::Json);
            return Ok(standing.told_in(Refusal::from(full).answer(media_type)));
        }
        Err(Unready::Limited(limited)) => {
            let refused = limited
                .refusal()
                .answer(accepted.answer.unwrap_or(MediaType::Json));
            return Ok(limited.standing().told_in(refused));
        }
    };
    let answered = match ready.kind() {
        OperationType::Mutation if parts.method == Method::GET => {
            return Err(wrong_method("a mutation needs POST", "POST"));
        }
        OperationType::Query | OperationType::Mutation => {
            let freshness = freshness(&parts.headers);
            // Thousands may wait for the desk from here on: with no more than they need.
            drop(parts);
            let answer = app.engine.execute(ready, freshness).await;
            only(answer, accepted)
        }
        OperationType::Subscription => {
            let Some(stream_type) = accepted.stream else {
                return Err(needs_stream());
            };
            let admission = app.listeners.admit(&identity.caller).map_err(too_many)?;
            let lasting = Lasting {
                stream_type,
                identity,
                closing: app.listeners.closing(),
                _admission: admission,
            };
            lasting.respond(ready.subscribe().boxed())
        }
    };
    Ok(standing.told_in(answered))
}

/// A single answer, as a stream where the client takes nothing else.
fn only(answer: Arc<Answer>, accepted: Accepted) -> Response {
    match (accepted.answer, accepted.stream) {
        (None, Some(stream_type)) => stream::single(stream_type, answer),
        (answer_type, _) => shape(answer, answer_type.unwrap_or(MediaType::Json)),
    }
}

/// Who sends `Cache-Control: no-cache`, as a browser does that is told to reload, wants nothing that was kept (RFC 9111,
/// sections 5.2.1.1 and 5.2.1.4).
fn freshness(headers: &HeaderMap) -> Freshness {
    let wants_now = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|directive| {
            let directive = directive.trim();
            ["no-cache", "max-age=0"]
                .iter()
                .any(|no| directive.eq_ignore_ascii_case(no))
        })
    });
    if wants_now {
        Freshness::Now
    } else {
        Freshness::OfAMoment
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
        "an answer is application/graphql-response+json or application/json, in UTF-8; a stream of them is \
         text/event-stream, or multipart/mixed with subscriptionSpec=1.0",
    )
}

fn needs_stream() -> Refusal {
    Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        Code::NotAcceptable,
        "a subscription is answered as text/event-stream, as multipart/mixed with subscriptionSpec=1.0, or over a \
         WebSocket (graphql-transport-ws): accept one of them",
    )
}

fn too_many(full: Full) -> Refusal {
    let status = match full {
        Full::OfCaller => StatusCode::TOO_MANY_REQUESTS,
        Full::OfAll => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, Code::Overloaded, full.to_string())
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
fn unanswerable(refusal: persisted::Refusal, media_type: Option<MediaType>) -> Refusal {
    let is_well_formed = !matches!(refusal, persisted::Refusal::Malformed(_));
    let status = match media_type {
        Some(MediaType::Json) if is_well_formed => StatusCode::OK,
        Some(MediaType::Json | MediaType::GraphqlResponse) | None => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, refusal.code(), refusal.message())
}

/// Answers with the media type and the status that the client understands.
fn shape(answer: Arc<Answer>, media_type: MediaType) -> Response {
    let status = match media_type {
        // Every well-formed request is answered with 200, for the sake of older clients.
        MediaType::Json => StatusCode::OK,
        MediaType::GraphqlResponse if !answer.is_executed => StatusCode::BAD_REQUEST,
        MediaType::GraphqlResponse if answer.is_ok() => StatusCode::OK,
        MediaType::GraphqlResponse => {
            StatusCode::from_u16(PARTIAL_SUCCESS).expect("294 is within what a status can be")
        }
    };
    let mut response = match Answer::of_one(answer) {
        Ok(response) => GraphQLResponse::from(response).into_response(),
        Err(answer) => Response::new(Body::from(answer.json())),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.header());
    if status.as_u16() == PARTIAL_SUCCESS {
        let reason = ReasonPhrase::from_static(b"Partial Success");
        response.extensions_mut().insert(reason);
    }
    *response.status_mut() = status;
    response
}
