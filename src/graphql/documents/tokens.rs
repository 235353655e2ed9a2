//! The first look at a document's text, before anything recursive sees it: how many tokens, how deep.
//!
//! Never builds anything and never goes back: one pass over the bytes, so that the longest body costs less than a
//! millisecond. Where the text is no GraphQL it counts on; the parser says what is wrong, and never gets deeper than
//! what was counted up to that place.

/// What a text has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub number: u64,
    /// Levels of selections within each other.
    pub depth: u64,
    /// Levels of lists, input objects and list types within each other.
    pub value_depth: u64,
}

/// A string that does not end: at this byte it begins. The parser would take its quotes for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unterminated(pub usize);

/// # Errors
/// When a string does not end.
pub fn count(text: &str) -> Result<Tokens, Unterminated> {
    let mut scanner = Scanner {
        rest: text.as_bytes(),
        tokens: Tokens::default(),
        selections_open: 0,
        values_open: 0,
        is_in_arguments: false,
    };
    while let [first, ..] = scanner.rest {
        let begin = text.len() - scanner.rest.len();
        scanner.step(*first).ok_or(Unterminated(begin))?;
    }
    Ok(scanner.tokens)
}

struct Scanner<'a> {
    rest: &'a [u8],
    tokens: Tokens,
    selections_open: u64,
    values_open: u64,
    /// Between parentheses, where a brace opens a value and no selection.
    is_in_arguments: bool,
}

impl Scanner<'_> {
    /// Goes past whatever begins here; `None` when that does not end.
    fn step(&mut self, first: u8) -> Option<()> {
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => self.skip(1),
            // The byte order mark, which is white space anywhere.
            0xEF if self.rest.starts_with(&[0xEF, 0xBB, 0xBF]) => self.skip(3),
            b'#' => self.skip(self.len_while(|byte| !matches!(byte, b'\n' | b'\r'))),
            b'"' => self.token(self.string_len()?),
            b'.' if self.rest.starts_with(b"...") => self.token(3),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => self.word(),
            b'-' | b'0'..=b'9' => self.token(self.number_len()),
            _ => {
                self.punctuation(first);
                self.token(1);
            }
        }
        Some(())
    }

    fn skip(&mut self, len: usize) {
        self.rest = &self.rest[len..];
    }

    fn token(&mut self, len: usize) {
        self.tokens.number += 1;
        self.skip(len);
    }

    fn punctuation(&mut self, byte: u8) {
        match byte {
            b'(' => self.is_in_arguments = true,
            b')' => {
                self.is_in_arguments = false;
                self.values_open = 0;
            }
            b'{' if !self.is_in_arguments => {
                self.selections_open += 1;
                self.tokens.depth = self.tokens.depth.max(self.selections_open);
            }
            b'}' if !self.is_in_arguments => {
                self.selections_open = self.selections_open.saturating_sub(1);
            }
            b'{' | b'[' => {
                self.values_open += 1;
                self.tokens.value_depth = self.tokens.value_depth.max(self.values_open);
            }
            b'}' | b']' => self.values_open = self.values_open.saturating_sub(1),
            _ => {}
        }
    }

    /// The parser takes `truefalse` for two values.
    fn word(&mut self) {
        let len = self.len_while(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        let is_several = self.is_in_arguments
            && [&b"true"[..], b"false", b"null"]
                .iter()
                .any(|value| self.rest.starts_with(value));
        if is_several {
            self.tokens.number += len.saturating_sub(1) as u64 / 4;
        }
        self.token(len);
    }

    fn number_len(&self) -> usize {
        let digits = |from: usize| {
            let rest = self.rest.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let at = |index: usize| self.rest.get(index).copied();
        let mut len = usize::from(at(0) == Some(b'-'));
        len += digits(len);
        if at(len) == Some(b'.') && digits(len + 1) > 0 {
            len += 1 + digits(len + 1);
        }
        if matches!(at(len), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(at(len + 1), Some(b'+' | b'-')));
            let exponent = digits(len + 1 + sign);
            if exponent > 0 {
                len += 1 + sign + exponent;
            }
        }
        len.max(1)
    }

    fn string_len(&self) -> Option<usize> {
        if self.rest.starts_with(b"\"\"\"") {
            return self.block_string_len();
        }
        let mut at = 1;
        loop {
            match self.rest.get(at)? {
                b'"' => return Some(at + 1),
                b'\n' | b'\r' => return None,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    fn block_string_len(&self) -> Option<usize> {
        let mut at = 3;
        loop {
            let rest = self.rest.get(at..)?;
            if rest.starts_with(b"\"\"\"") {
                return Some(at + 3);
            }
            at += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 };
        }
    }

    fn len_while(&self, mut is_in: impl FnMut(u8) -> bool) -> usize {
        self.rest.iter().take_while(|&&byte| is_in(byte)).count()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        Value,
        parser::{
            parse_query,
            types::{ExecutableDocument, Selection, SelectionSet},
        },
    };
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (u64, u64, u64) {
        let tokens = count(text).unwrap();
        (tokens.number, tokens.depth, tokens.value_depth)
    }

    #[test]
    fn tokens_are_names_values_and_punctuation() {
        assert_eq!(of("{ a, b }"), (4, 1, 0));
        assert_eq!(
            of("\u{feff}query Q($a: [Int!]! = [1, -2.5e+3]) { ...F @skip(if: $a) }"),
            (29, 1, 1)
        );
        assert_eq!(of("# { { {\n{ a }"), (3, 1, 0));
        assert_eq!(of("1.5 1...2 1e5 1ee -"), (8, 0, 0));
    }

    #[test]
    fn values_without_anything_between_them_count_each() {
        let number = |value: &str| of(&format!("({}", value.repeat(1_000))).0;
        for value in ["1 ", "-1", "true", "null", "[]", "{}", "\"\" ", "$a"] {
            assert!(number(value) >= 1_000, "{value}: {}", number(value));
        }
        assert!(parse_query("{ a(b: [truefalsenull1-1]) }").is_ok());
    }

    #[test]
    fn brackets_in_strings_and_comments_open_nothing() {
        assert_eq!(
            of(r#"{ a(b: "{[(\"{[(", c: """ {[( \""" {[( """) }"#),
            (11, 1, 0)
        );
        assert_eq!(of("{ a # {\r{ b } }"), (6, 2, 0));
    }

    #[test]
    fn a_selection_and_a_value_nest_apart() {
        assert_eq!(of("{ a(b: {c: [[{d: 1}]]}) { e } }").1, 2);
        assert_eq!(of("{ a(b: {c: [[{d: 1}]]}) { e } }").2, 4);
        let deep = "[".repeat(1_000);
        assert_eq!(of(&format!("query($a: {deep}")).2, 1_000);
        assert_eq!(of(&format!("{{ a(b: {deep}")).2, 1_000);
        assert_eq!(of(&"{".repeat(1_000)).1, 1_000);
    }

    #[test]
    fn a_string_that_does_not_end_is_no_document() {
        for (text, at) in [
            ("{ a(b: \"", 7),
            ("\"a\nb\"", 0),
            ("\"\"\" \\\"\"\"", 0),
            ("\"\"\"\"\"", 0),
            ("\"\\", 0),
            ("\"\\\"", 0),
        ] {
            assert_eq!(count(text), Err(Unterminated(at)), "{text:?}");
        }
    }

    /// What a text may be made of, so that something of it parses.
    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "a",
            "b:",
            "query",
            "fragment F on",
            "...",
            "...F",
            "on T",
            "$a",
            "$a:",
            "@c",
            "=",
            "!",
            ":",
            "1",
            "-1.5e3",
            "true",
            "null",
            "E",
            "\"",
            "\"\"\"",
            "\\",
            "\"{\"",
            "\"\"\"[\"\"\"",
            "#",
            "\n",
            ",",
            " ",
            "\u{feff}",
            "é",
            "{ a }",
            "(a: [1])",
            "[[",
            "]]",
            "{{",
            "}}",
        ])
    }

    /// How deep a parsed document is, looked at another way.
    fn depths(document: &ExecutableDocument) -> (u64, u64) {
        let operations = document
            .operations
            .iter()
            .map(|(_, operation)| &operation.node);
        let defaults = operations
            .clone()
            .flat_map(|operation| &operation.variable_definitions);
        let defaults = defaults.map(|definition| {
            let of_default = definition.node.default_value.as_ref();
            let brackets = definition
                .node
                .var_type
                .node
                .to_string()
                .matches('[')
                .count() as u64;
            brackets.max(of_default.map_or(0, |value| levels(&value.node)))
        });
        let defaults = defaults.max().unwrap_or_default();
        let sets = operations
            .map(|operation| &operation.selection_set.node)
            .chain(
                document
                    .fragments
                    .values()
                    .map(|fragment| &fragment.node.selection_set.node),
            );
        let (depth, values) = sets
            .map(depths_of)
            .fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        (depth, values.max(defaults))
    }

    fn depths_of(set: &SelectionSet) -> (u64, u64) {
        if set.items.is_empty() {
            return (0, 0);
        }
        let inner = set.items.iter().map(|selection| {
            let directives = selection.node.directives().iter();
            let mut written: Vec<_> = directives.flat_map(|it| &it.node.arguments).collect();
            let (depth, values) = match &selection.node {
                Selection::Field(field) => {
                    written.extend(&field.node.arguments);
                    depths_of(&field.node.selection_set.node)
                }
                Selection::InlineFragment(inline) => depths_of(&inline.node.selection_set.node),
                Selection::FragmentSpread(_) => (0, 0),
            };
            let written = written.iter().map(|(_, value)| {
                let value = value
                    .node
                    .clone()
                    .into_const_with(|_| Ok::<_, ()>(Value::Null));
                levels(&value.unwrap())
            });
            (depth, values.max(written.max().unwrap_or_default()))
        });
        let (depth, values) = inner.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        (depth + 1, values)
    }

    fn levels(value: &Value) -> u64 {
        match value {
            Value::List(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
            Value::Object(fields) => 1 + fields.values().map(levels).max().unwrap_or_default(),
            _ => 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The parser never gets deeper than what was counted.
        #[test]
        fn nothing_that_parses_is_deeper_than_counted(pieces in prop::collection::vec(piece(), 0..12)) {
            for text in [
                format!("{{ a {} }}", pieces.concat()),
                format!("{{ a(b: [{}]) }}", pieces.concat()),
                format!("query($a: I = [{}]) {{ a }}", pieces.join(" ")),
            ] {
                let counted = count(&text);
                if let Ok(document) = parse_query(&text) {
                    let counted = counted.expect("what parses is counted");
                    let (depth, value_depth) = depths(&document);
                    prop_assert!(counted.depth >= depth, "{text}: {counted:?} {depth}");
                    prop_assert!(counted.value_depth >= value_depth, "{text}: {counted:?} {value_depth}");
                }
            }
        }

        #[test]
        fn any_text_is_counted(text in ".{0,200}") {
            if let Ok(tokens) = count(&text) {
                prop_assert!(tokens.number <= text.len() as u64);
            }
        }
    }
}
