//! Top-level errors: our fault, or a request that makes no sense. Each carries `extensions.code`; none carries SQL or
//! Rust text.

use async_graphql::{Error, ErrorExtensions};

use crate::{
    auth::{Denial, Permission},
    fault::Fault,
    sales::RETRY_AFTER_SECS,
};

/// Every value that `extensions.code` can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is not GraphQL over HTTP: not JSON, or not of its shape.
    BadRequest,
    /// The document does not parse.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// The document is larger or deeper than the server takes; the message names the limit.
    QueryTooLarge,
    /// The answer may become larger than the server gives: `extensions.cost` has what was `requested` and the `max`.
    QueryTooCostly,
    /// A variable or an argument is not what it should be, such as an id that is no id; or no operation is meant.
    BadUserInput,
    /// The field needs a caller: send a token.
    Unauthenticated,
    /// The token is forged, malformed or for somebody else.
    InvalidToken,
    /// The token's time is over: get a new one.
    TokenExpired,
    /// The caller's role, or the key's scopes, do not allow this.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// The path does not know that method; a mutation needs POST.
    MethodNotAllowed,
    /// The `Accept` header allows none of the media types that an answer can have, or `Accept-Encoding` refuses gzip for one of
    /// the playground's files.
    NotAcceptable,
    /// The body is a list of requests: send one at a time.
    BatchNotSupported,
    /// A GET that a page of another site could have caused: send a header that such a page cannot.
    PreflightRequired,
    /// A page of a site that may not open sockets here.
    OriginNotAllowed,
    /// The request is for a name that this server is not called by.
    HostNotAllowed,
    /// The document of this hash or id is not here: send its text.
    PersistedQueryNotFound,
    /// Automatic persisted queries are off, or the client speaks another version of them: send the text alone.
    PersistedQueryNotSupported,
    /// The server answers only documents of its manifest.
    DocumentNotTrusted,
    /// The path with its query is longer than the server takes: use POST.
    UriTooLong,
    /// The request's line and headers are larger than the server takes.
    HeadersTooLarge,
    /// The body is larger than the server takes.
    PayloadTooLarge,
    /// The body is not of a media type that the server reads.
    UnsupportedMediaType,
    /// The caller, or everybody at their address, has asked for too much lately: nothing happened, come back after
    /// `extensions.retryAfter` seconds.
    RateLimited,
    /// Too many wait already: nothing happened, come back after `extensions.retryAfter` seconds.
    Overloaded,
    /// The field, or the whole request, took too long and was given up: a query may be repeated.
    Timeout,
    /// A write took too long, or the connection was lost while it was being committed: it may have happened. Repeat it with
    /// the same idempotency key, or read what became of it.
    OutcomeUnknown,
    /// The database is out of reach: come back after `extensions.retryAfter` seconds, a write with the same key: it may
    /// have happened, and only its answer could not be read.
    Unavailable,
    /// What came after a version is not kept any more: take a snapshot, and follow from its version.
    TooOld,
    /// Something is broken here; the request id in `extensions.requestId` finds it in the log.
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::QueryTooLarge => "QUERY_TOO_LARGE",
            Self::QueryTooCostly => "QUERY_TOO_COSTLY",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::InvalidToken => "INVALID_TOKEN",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::BatchNotSupported => "BATCH_NOT_SUPPORTED",
            Self::PreflightRequired => "PREFLIGHT_REQUIRED",
            Self::OriginNotAllowed => "ORIGIN_NOT_ALLOWED",
            Self::HostNotAllowed => "HOST_NOT_ALLOWED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::UriTooLong => "URI_TOO_LONG",
            Self::HeadersTooLarge => "HEADERS_TOO_LARGE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::RateLimited => "RATE_LIMITED",
            Self::Overloaded => "OVERLOADED",
            Self::Timeout => "TIMEOUT",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::Unavailable => "UNAVAILABLE",
            Self::TooOld => "TOO_OLD",
            Self::Internal => "INTERNAL",
        }
    }

    /// An error with this code and a plain sentence.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.as_str()))
    }
}

/// The way from a fault to a client. The fault is logged here, where it is answered, and the client is told only that it
/// happened. Loaders, whose faults several wait for, go the same way in two steps.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        log(&fault);
        masked(&fault)
    }
}

/// Tells the operator, in the span of the request that it spoils.
pub(super) fn log(fault: &Fault) {
    tracing::error!(error = %fault.source, "{} failed", fault.step);
}

/// Tells the client.
pub(super) fn masked(fault: &Fault) -> Error {
    if fault.is_timed_out() {
        return timed_out();
    }
    if fault.is_unreachable() {
        return retry(
            Code::Unavailable.error("the database is out of reach or too busy; try again"),
        );
    }
    Code::Internal.error("something is broken here; the fault is logged under this request's id")
}

/// What is read took too long.
pub(super) fn timed_out() -> Error {
    Code::Timeout.error("this took too long and was given up; try again")
}

/// Says when to come back.
pub fn retry(error: Error) -> Error {
    error.extend_with(|_, extensions| extensions.set("retryAfter", RETRY_AFTER_SECS))
}

/// A denial says what is missing, never what is behind it.
impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unauthenticated => Code::Unauthenticated
                .error("this needs a caller: send a token in the header Authorization: Bearer …"),
            Denial::Forbidden { needs } => Code::Forbidden.error(format!(
                "this needs a token of role {}",
                match needs {
                    crate::auth::Role::Customer => "customer",
                    crate::auth::Role::Organizer => "organizer",
                }
            )),
            Denial::OutOfScope { needs } => Code::Forbidden.error(format!(
                "this needs a key with the scope {}",
                match needs {
                    Permission::Read => "READ",
                    Permission::Sell => "SELL",
                    Permission::Block => "BLOCK",
                    Permission::Catalogue => "CATALOGUE",
                    Permission::Cancel => "CANCEL",
                    Permission::Administer => return Code::Forbidden.error(
                        "no key may do this: it needs the token of one of the organizer's owners",
                    ),
                }
            )),
            Denial::NotInRole { needs } => Code::Forbidden.error(format!(
                "this needs another role for the organizer: {}",
                match needs {
                    Permission::Read => "any",
                    Permission::Sell | Permission::Block => "BOX_OFFICE, MANAGER or OWNER",
                    Permission::Catalogue | Permission::Cancel => "MANAGER or OWNER",
                    Permission::Administer => "OWNER",
                }
            )),
        }
    }
}
