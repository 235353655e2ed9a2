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
    /// Bytes of the longest name.
    pub name_len: u64,
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
        self.tokens.name_len = self.tokens.name_len.max(len as u64);
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
mod tests;
