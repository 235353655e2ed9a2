//! What errors say: one line, and little of the client's own text. Pure.

/// A message is a sentence or two.
const MESSAGE_LEN_MAX: usize = 400;

/// What is repeated of one name of the client's. The engine names three at most, so that it stays below a hundred
/// characters in all.
const NAME_LEN_MAX: usize = 30;

/// After these words the engine repeats a value, whatever is in it.
const BEFORE_VALUES: [&str; 3] = [
    " found ",
    "does not contain the value ",
    "Unknown operation named ",
];

/// Without line breaks and other control characters, and not too long.
pub fn one_line(message: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    if message.len() <= MESSAGE_LEN_MAX && message.chars().all(is_plain) {
        return message.to_owned();
    }
    let line: String = message
        .chars()
        .map(|c| if is_plain(c) { c } else { ' ' })
        .collect();
    shortened(&line, MESSAGE_LEN_MAX)
}

/// The engine's message, in which names and values of the client's are repeated, with no more than the beginning of each.
pub fn without_echo(message: &str) -> String {
    let value = BEFORE_VALUES
        .iter()
        .filter_map(|words| Some(message.find(words)? + words.len()))
        .min();
    let (sentence, value) = message.split_at(value.unwrap_or(message.len()));
    let mut short = String::with_capacity(message.len());
    for (nth, part) in sentence.split(['"', '`']).enumerate() {
        if nth > 0 {
            short.push('"');
        }
        // Every other part stands between quotation marks.
        if nth % 2 == 1 {
            short.push_str(&shortened(part, NAME_LEN_MAX));
        } else {
            short.push_str(part);
        }
    }
    short.push_str(&shortened(value, NAME_LEN_MAX));
    short
}

/// The document is well-formed, but a value in it or in its variables is not one of its type.
pub fn is_about_a_value(message: &str) -> bool {
    [
        "Invalid value for argument",
        "Expected input type",
        "Failed to parse",
    ]
    .iter()
    .any(|beginning| message.starts_with(beginning))
}

fn shortened(text: &str, len_max: usize) -> String {
    match text.char_indices().nth(len_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_bounded() {
        assert_eq!(one_line("a\r\nb\u{2028}c\0"), "a  b c ");
        assert!(one_line(&"é\n".repeat(10_000)).chars().count() <= MESSAGE_LEN_MAX + 1);
    }

    #[test]
    fn no_more_than_the_beginning_of_a_name_or_a_value_is_repeated() {
        let name = "x".repeat(1_000);
        for message in [
            format!(r#"Unknown field "{name}" on type "Query". Did you mean "event"?"#),
            format!(
                r#"Fields "{name}" conflict because "{name}" and "{name}" are different fields."#
            ),
            format!(r#"Expected input type "Int", found {{a: "{name}", b: "{name}"}}."#),
            format!(r#"enumeration type "T" does not contain the value "{name}"#),
            format!(
                r#"enumeration type "T" does not contain the value "{}"#,
                "\"x".repeat(1_000)
            ),
            format!(r#"Unknown operation named "{name}""#),
        ] {
            let short = without_echo(&message);
            assert!(short.matches('x').count() < 100, "{short}");
        }
        let untouched = r#"Unknown field "evnt" on type "Query". Did you mean "event"?"#;
        assert_eq!(without_echo(untouched), untouched);
    }
}
