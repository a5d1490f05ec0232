//! Characters that are no text: they move the cursor, colour, hide, or turn round what stands beside them on a screen.
//!
//! Names and ids that hold one are refused at every door; of what is kept nevertheless they are shown as escapes.

use std::fmt::Write;

/// From and to: C0, DEL and C1; the Arabic letter mark; left-to-right and right-to-left marks; separators of lines and
/// paragraphs with the bidirectional embeddings and overrides after them; the isolates.
const CONTROLS: [(char, char); 6] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2066}', '\u{2069}'),
];

fn is_control(character: char) -> bool {
    CONTROLS.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// The first control character of a text.
#[inline]
pub fn first_control(text: &str) -> Option<char> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return None; // as nearly every id
    }
    text.chars().find(|character| is_control(*character))
}

/// A text as it may be shown: `\x1b` or `\u202e` in the place of each control character.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let code = u32::from(character);
        // writing to a String cannot fail
        let _ = match (is_control(character), code) {
            (false, _) => out.write_char(character),
            (true, ..=0xff) => write!(out, "\\x{code:02x}"),
            (true, _) => write!(out, "\\u{code:04x}"),
        };
    }
    out
}

/// The same for a text of several lines, which stay lines.
pub fn lines_escaped(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

/// The beginning of a text in quotes, for a message: at most so many characters of it.
pub fn quoted(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("'{}…'", escaped(text.get(..end).unwrap_or(text))),
        None => format!("'{}'", escaped(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn either_side_of_each_range() {
        for (inside, outside) in [
            ("\0", " "),
            ("\u{1f}", " "),
            ("\u{7f}", "~"),
            ("\u{9f}", "\u{a0}"),
            ("\u{61c}", "\u{61b}"),
            ("\u{61c}", "\u{61d}"),
            ("\u{200e}", "\u{200d}"),
            ("\u{200f}", "\u{2010}"),
            ("\u{2028}", "\u{2027}"),
            ("\u{202e}", "\u{202f}"),
            ("\u{2066}", "\u{2065}"),
            ("\u{2069}", "\u{206a}"),
        ] {
            assert_eq!(first_control(&format!("a{inside}b")), inside.chars().next());
            assert_eq!(first_control(&format!("a{outside}b")), None, "{outside:?}");
            assert_eq!(escaped(outside), outside);
        }
    }

    #[test]
    fn what_is_shown_of_a_text() {
        assert_eq!(escaped("a\x1b[2Jb\u{85}\u{202e}°"), "a\\x1b[2Jb\\x85\\u202e°");
        assert_eq!(quoted("35 ppm", 6), "'35 ppm'");
        assert_eq!(quoted("35 ppm!", 6), "'35 ppm…'");
        assert_eq!(quoted("é\n", 8), "'é\\x0a'");
        assert_eq!(quoted("", 8), "''");
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(256))]

        #[test]
        fn nothing_shown_holds_a_control(text: String) {
            prop_assert_eq!(first_control(&escaped(&text)), None);
            prop_assert_eq!(escaped(&text) == text, first_control(&text).is_none());
        }
    }
}
