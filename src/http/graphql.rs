//! `POST /graphql`: GraphQL over HTTP, as far as it is ours.
//!
//! async-graphql-axum's extractor would run mutations from `text/plain` and multipart bodies, which any web page can send
//! without asking; what is read here is JSON alone. Its response type stays, for what it does right.

use async_graphql::Request;
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};

use super::{App, answer, request_id};
use crate::{
    auth::{Caller, TokenError, Tokens},
    graphql::{Answer, fault::Code},
};

/// The media type of answers to clients that know it (GraphQL over HTTP, section 6).
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

pub async fn post(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match read(&app, &headers, body) {
        Ok((request, caller)) => {
            let request_id = request_id::current();
            let answer = app.engine.answer(request, caller, request_id.as_deref());
            shape(answer.await, &headers)
        }
        Err(refusal) => refusal,
    }
}

#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn read(
    app: &App,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(Request, Caller), Response> {
    if !is_json(headers) {
        return Err(answer::refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::UnsupportedMediaType,
            "send the request as Content-Type: application/json",
        ));
    }
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => answer::refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::PayloadTooLarge,
            &format!("the body is larger than {} bytes", app.config.body_len),
        ),
        _ => answer::refusal(
            StatusCode::BAD_REQUEST,
            Code::BadRequest,
            "the body could not be read",
        ),
    })?;
    let caller = caller(&app.tokens, headers)?;
    match serde_json::from_slice::<Request>(&body) {
        // The engine takes a query that is missing for an empty one.
        Ok(request) if !request.query.is_empty() => Ok((request, caller)),
        Ok(_) | Err(_) => Err(answer::refusal(
            StatusCode::BAD_REQUEST,
            Code::BadRequest,
            "the body must be a JSON object with query and, if needed, variables and operationName",
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Who is calling. A token that is there must be good, also where none is needed: a client whose token has expired should
/// learn that from the first answer.
#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn caller(tokens: &Tokens, headers: &HeaderMap) -> Result<Caller, Response> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(Caller::Anonymous);
    };
    let token = header.to_str().ok().and_then(|text| {
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
        let mut response = answer::refusal(StatusCode::UNAUTHORIZED, code, &error.to_string());
        response.headers_mut().insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer error=\"invalid_token\""),
        );
        response
    })
}

/// Answers with the media type and the status that the client understands.
fn shape(answer: Answer, headers: &HeaderMap) -> Response {
    let Answer {
        response,
        is_executed,
    } = answer;
    let knows_graphql = headers.get_all(ACCEPT).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains(GRAPHQL_RESPONSE))
    });
    let mut answer = GraphQLResponse::from(response).into_response();
    let media_type = if knows_graphql {
        GRAPHQL_RESPONSE
    } else {
        "application/json"
    };
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // For application/json every well-formed request is answered with 200, for the sake of older clients.
    *answer.status_mut() = if knows_graphql && !is_executed {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    answer
}
