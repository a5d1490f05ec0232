//! What is kept of an offending text.

/// The beginning of a text in a form that can be stored: valid UTF-8, no NUL, cut at a character.
pub(crate) fn excerpt(bytes: &[u8], bytes_max: usize) -> String {
    let head = bytes.get(..bytes_max).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(head).replace('\0', "\u{fffd}");
    while text.len() > bytes_max {
        text.pop();
    }
    text
}
