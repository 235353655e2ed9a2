//! Rules of texts that people write.

/// One line of text, such as a name or a venue: what is wrong with it, as a sentence that begins with `what`.
///
/// # Errors
/// When it is empty, longer than `len_max` characters, not one line, or has space around it.
pub fn line(what: &str, text: &str, len_max: usize) -> Result<(), String> {
    let is_line = (1..=len_max).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control);
    if is_line {
        Ok(())
    } else {
        Err(format!(
            "{what} has 1 to {len_max} characters in one line, with no space around them"
        ))
    }
}
