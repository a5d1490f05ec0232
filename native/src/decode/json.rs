//! A strict JSON scanner that borrows from the body and never recurses: nesting costs a bit, not a stack frame.

use super::fault::Fault;
use crate::limits::JSON_DEPTH_MAX;

/// A string between its quotes, escapes still in it; its syntax has been checked.
#[derive(Debug, Clone, Copy)]
pub struct StringToken<'a> {
    pub raw: &'a str,
    pub escaped: bool,
}

/// One value, as far as a reading's field can be one.
#[derive(Debug, Clone, Copy)]
pub enum Token<'a> {
    String(StringToken<'a>),
    Number(&'a str),
    /// true, false, null, an object or an array, by name.
    Other(&'static str),
}

#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

type Scan<T> = Result<T, Fault>;

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or("")
    }

    /// The next byte that is not blank, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Take the next byte if it is this one.
    #[inline]
    pub fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    #[inline]
    pub fn expect(&mut self, wanted: u8) -> Scan<()> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.wrong(&format!("'{}'", char::from(wanted))))
        }
    }

    /// A member's name and the colon after it.
    #[inline]
    pub fn key(&mut self) -> Scan<StringToken<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a member's name"));
        }
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    pub fn value(&mut self) -> Scan<Token<'a>> {
        match self.peek() {
            Some(b'"') => Ok(Token::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number(self.number()?)),
            Some(first) => {
                self.skip_value()?;
                Ok(Token::Other(match first {
                    b'{' => "an object",
                    b'[' => "an array",
                    b'n' => "null",
                    _ => "a truth value",
                }))
            }
            None => Err(self.wrong("a value")),
        }
    }

    /// Step over one value of any kind, however deep, checking its syntax.
    pub fn skip_value(&mut self) -> Scan<()> {
        let mut open_objects = 0u64; // one bit a level: object or array
        let mut depth = 0u32;
        loop {
            if self.opens_container(&mut open_objects, &mut depth)? {
                continue;
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let in_object = open_objects & 1 == 1;
                if self.take(b',') {
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                open_objects >>= 1;
                depth -= 1;
            }
        }
    }

    /// Read a scalar or an empty container whole (false), or enter one that has members (true).
    fn opens_container(&mut self, open_objects: &mut u64, depth: &mut u32) -> Scan<bool> {
        let first = self.peek();
        match first {
            Some(b'{' | b'[') => {
                let is_object = first == Some(b'{');
                self.at += 1;
                if self.take(if is_object { b'}' } else { b']' }) {
                    return Ok(false);
                }
                *depth += 1;
                if *depth > JSON_DEPTH_MAX {
                    return Err(Fault::new(
                        "too_deep",
                        format!("nested more than {JSON_DEPTH_MAX} levels at byte {}", self.at),
                    ));
                }
                *open_objects = (*open_objects << 1) | u64::from(is_object);
                if is_object {
                    self.key()?;
                }
                Ok(true)
            }
            Some(b'"') => self.string().map(|_| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| false),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.wrong("a value")),
        }
    }

    fn word(&mut self, word: &str) -> Scan<bool> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(false)
        } else {
            Err(self.wrong("a value"))
        }
    }

    #[inline]
    fn string(&mut self) -> Scan<StringToken<'a>> {
        self.at += 1; // the opening quote, seen by the caller
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let raw = self.slice(start, self.at);
                    self.at += 1;
                    return Ok(StringToken { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(self.wrong("no control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Scan<()> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.wrong("four hexadecimal digits"));
                }
                self.at += 5;
            }
            _ => return Err(self.wrong("an escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Scan<&'a str> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(self.slice(start, self.at))
    }

    fn digits(&mut self) -> Scan<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wrong("a digit"));
        }
        Ok(())
    }

    /// The fault of finding something else than `wanted` here.
    pub fn wrong(&self, wanted: &str) -> Fault {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => format!("{found:?}"),
            None => "the end".to_owned(),
        };
        Fault::new("not_json", format!("{wanted} was expected at byte {}, found {found}", self.at))
    }
}

impl<'a> StringToken<'a> {
    /// Whether this is the given name, escapes resolved.
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        if !self.escaped {
            return self.raw == name;
        }
        let mut text = String::new();
        self.unescape_into(&mut text) && text == name
    }

    /// Append the string with its escapes resolved; false (and something appended) for a lone surrogate.
    pub fn unescape_into(&self, out: &mut String) -> bool {
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.push_str(plain);
            let (character, length) = match escape.as_bytes().first() {
                Some(b'u') => match unicode(escape) {
                    Some(found) => found,
                    None => return false,
                },
                Some(b'b') => ('\u{8}', 1),
                Some(b'f') => ('\u{c}', 1),
                Some(b'n') => ('\n', 1),
                Some(b'r') => ('\r', 1),
                Some(b't') => ('\t', 1),
                Some(other) => (char::from(*other), 1),
                None => return false,
            };
            out.push(character);
            rest = escape.get(length..).unwrap_or("");
        }
        out.push_str(rest);
        true
    }
}

/// The character of `uXXXX` or of a surrogate pair `uXXXX\uXXXX`, and the bytes it took.
fn unicode(escape: &str) -> Option<(char, usize)> {
    let unit = |start: usize| u32::from_str_radix(escape.get(start..start + 4)?, 16).ok();
    let first = unit(1)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 5));
    }
    if escape.get(5..7) != Some("\\u") {
        return None;
    }
    let second = unit(7).filter(|second| (0xdc00..0xe000).contains(second))?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).map(|character| (character, 11))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip_value().is_ok() && scanner.peek().is_none()
    }

    fn serde_accepts(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn agrees_with_serde_on_json_like_text(text in "[\\[\\]{}:,\" \\\\0-9eE.+\\-truefalsn/]{0,24}") {
            prop_assert_eq!(accepts(&text), serde_accepts(&text), "{}", text);
        }

        #[test]
        fn never_panics(text in "\\PC{0,64}") {
            accepts(&text);
        }

        #[test]
        fn strings_come_back(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let mut scanner = Scanner::new(&json);
            let Ok(Token::String(token)) = scanner.value() else { panic!("{json}") };
            let mut out = String::new();
            prop_assert!(token.unescape_into(&mut out));
            prop_assert_eq!(out, text);
        }
    }

    #[test]
    fn nesting_is_bounded_without_a_stack() {
        let bomb = "[".repeat(10_000);
        assert_eq!(Scanner::new(&bomb).skip_value().unwrap_err().reason, "too_deep");
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(accepts(&deep));
    }

    #[test]
    fn surrogates() {
        let unescaped = |raw: &str| {
            let mut out = String::new();
            StringToken { raw, escaped: true }.unescape_into(&mut out).then_some(out)
        };
        assert_eq!(unescaped("\\ud83d\\ude00!").as_deref(), Some("😀!"));
        for lone in ["\\ud83d", "\\ud83dx", "\\ude00", "\\ud83d\\u0041", "\\ud83d\\n"] {
            assert_eq!(unescaped(lone), None, "{lone}");
        }
    }

    #[test]
    fn not_a_number_is_not_json() {
        for text in ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "1e", "0x1"] {
            assert!(!accepts(text), "{text}");
        }
    }
}
