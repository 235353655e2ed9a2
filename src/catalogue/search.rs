//! Finding events by their words: what is searched and what is searched for are folded in the same way, here and not in
//! the database, so that both databases find the same.
//!
//! Folded text has no capitals and no accents. Every word of a search must occur somewhere, also inside a longer word:
//! some scripts put no spaces between words.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

/// How much of a description is searched, in characters: what an event is about is said at the beginning, and the text of
/// every event is looked through.
pub const SEARCHED_DESCRIPTION_LEN: usize = 2_000;

/// The longest search, in characters: a few lines typed by hand.
pub const SEARCH_LEN_MAX: usize = 200;

/// Each word is looked for in the text of every event.
pub const SEARCH_WORDS_MAX: usize = 10;

/// The words of a search, folded and each once. None of them is empty or has a space in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Reads what somebody typed; nothing but spaces are no words.
    ///
    /// # Errors
    /// A plain sentence, when it is too long or has too many words.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.chars().count() > SEARCH_LEN_MAX {
            return Err(format!("a search has at most {SEARCH_LEN_MAX} characters"));
        }
        let words: BTreeSet<String> = folded(text).split_whitespace().map(str::to_owned).collect();
        if words.len() > SEARCH_WORDS_MAX {
            return Err(format!("a search has at most {SEARCH_WORDS_MAX} words"));
        }
        Ok(Self(words))
    }

    pub(super) fn as_strs(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// The text in which an event is found.
pub(super) fn text_of(name: &str, venue: &str, slug: &str, description: &str) -> String {
    let beginning: String = description.chars().take(SEARCHED_DESCRIPTION_LEN).collect();
    // No word has a line break in it, so that none is found half in one field and half in the next.
    [name, venue, slug, &beginning].map(folded).join("\n")
}

/// Without capitals and accents, and in compatible forms: `ﬁ` is `fi`, `①` is `1`. Control characters are spaces; one of
/// them, PostgreSQL refuses.
fn folded(text: &str) -> String {
    text.nfkd()
        .filter(|c| !is_accent(*c))
        // By way of the capitals, since a letter may have several small forms, as ς and σ, ß and ss.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !is_accent(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .flat_map(plain_letters)
        .nfc()
        .collect()
}

/// Combining diacritical marks. Not every mark that combines: those of other scripts are vowels and consonants, and
/// without them their words would be others.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Letters of Latin that are no base with an accent to Unicode, but to whoever types without them.
fn plain_letters(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ŧ' => ('t', None),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_accents_and_compatible_forms_are_folded() {
        for (text, plain) in [
            ("Jiří Bělohlávek", "jiri belohlavek"),
            ("ŻÓŁĆ", "zolc"),
            ("Straße STRASSE", "strasse strasse"),
            ("Ελλάδα ΟΔΟΣ οδός", "ελλαδα οδοσ οδοσ"),
            ("ЖИЗЕЛЬ Ёлка Йога", "жизель елка иога"),
            ("İstanbul ıssız", "istanbul issiz"),
            ("Smørrebrød Æther Þing", "smorrebrod aether thing"),
            ("ﬁnale ①", "finale 1"),
            // The same letter in one character or in two.
            ("caf\u{e9} cafe\u{301}", "cafe cafe"),
            // Marks that make another word of it stay.
            ("が か हिन्दी 한글", "が か हिन्दी 한글"),
            ("100% a_b 'x'", "100% a_b 'x'"),
        ] {
            assert_eq!(folded(text), plain, "{text}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        proptest::proptest!(|(text: String)| {
            let once = folded(&text);
            proptest::prop_assert_eq!(folded(&once), once);
        });
    }

    #[test]
    fn words_are_folded_told_apart_by_spaces_and_counted_once() {
        let words = Words::read("  Hamlet,\u{a0}hämlet\t\nHAMLET\0x ").unwrap();
        assert_eq!(words.as_strs(), ["hamlet", "hamlet,", "x"]);
        assert_eq!(Words::read(" \n\u{301}").unwrap(), Words::default());
        assert_eq!(Words::read("").unwrap(), Words::default());
    }

    #[test]
    fn a_search_is_bounded_in_characters_and_in_words() {
        assert!(Words::read(&"é".repeat(SEARCH_LEN_MAX)).is_ok());
        assert!(Words::read(&"é".repeat(SEARCH_LEN_MAX + 1)).is_err());
        let words = |len: usize| -> String { (0..len).map(|n| format!("w{n} ")).collect() };
        assert!(Words::read(&words(SEARCH_WORDS_MAX)).is_ok());
        assert!(Words::read(&words(SEARCH_WORDS_MAX + 1)).is_err());
        // The same word is one word.
        assert!(Words::read(&"a ".repeat(SEARCH_WORDS_MAX + 1)).is_ok());
    }

    #[test]
    fn only_the_beginning_of_a_description_is_searched() {
        let text = text_of(
            "N",
            "V",
            "s",
            &format!("{}END", "x".repeat(SEARCHED_DESCRIPTION_LEN - 1)),
        );
        assert!(text.ends_with("xe") && !text.contains("end"));
    }
}
