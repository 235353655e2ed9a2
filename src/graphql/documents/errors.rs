//! What is said of a document or a request before anything is executed.

use async_graphql::{Pos, ServerError, parser::Error as ParseError};

use crate::graphql::fault::Code;

/// A request error with a code.
pub fn refusal(code: Code, message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    error
        .extensions
        .get_or_insert_default()
        .set("code", code.as_str());
    error
}

pub fn refusal_at(code: Code, message: String, pos: Pos) -> ServerError {
    let mut error = refusal(code, message);
    error.locations = vec![pos];
    error
}

pub fn does_not_parse(reason: &str, pos: Pos) -> ServerError {
    refusal_at(
        Code::GraphqlParseFailed,
        format!("the document does not parse: {reason}"),
        pos,
    )
}

/// What is said of everything that does not fit a schema of which nothing is told.
pub fn does_not_fit() -> ServerError {
    refusal(
        Code::GraphqlValidationFailed,
        "the document or its variables do not fit the schema, which this server does not tell"
            .to_owned(),
    )
}

/// The parser's message, which draws the text over several lines, in its last words: what was expected.
pub fn reason(error: &ParseError) -> String {
    let message = error.to_string();
    let last = message.lines().last().unwrap_or_default();
    last.trim_start_matches([' ', '='])
        .chars()
        .take(200)
        .collect()
}

pub fn position(text: &str, at: usize) -> Pos {
    let before = &text[..at];
    let line_begin = before.rfind(['\n', '\r']).map_or(0, |index| index + 1);
    Pos {
        line: 1 + before.matches('\n').count(),
        column: 1 + before[line_begin..].chars().count(),
    }
}
