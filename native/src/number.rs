//! The text of a reading as a number, and back to the very text that came in.
//!
//! Most readings are plain decimals ("24.61"); they travel as mantissa and scale. Whatever that cannot give back to the
//! letter ("+5", "1e3", "007", " 5 ", words) travels as text.

use std::fmt::Write;

/// Largest mantissa whose division by a power of ten is correctly rounded in one step.
const MANTISSA_MAX: u64 = (1 << 53) - 1;
pub const SCALE_MAX: u8 = 18;

const POWERS: [f64; SCALE_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// A reading's data in its compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datum<'a> {
    /// `mantissa / 10^scale`, whose canonical spelling is the text received.
    Decimal {
        mantissa: i64,
        scale: u8,
    },
    Text(&'a str),
    /// A number that never was text, of a recording. Two are equal when their bits are.
    Bits(u64),
}

/// What a reading's text means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning {
    Number(f64),
    /// It spells a number that is not finite: "NaN", "inf", "1e999".
    NonFinite,
    Words,
}

impl<'a> Datum<'a> {
    #[inline]
    pub fn of(text: &'a str) -> Self {
        match plain_decimal(text.as_bytes()) {
            Some((mantissa, scale)) => Self::Decimal { mantissa, scale },
            None => Self::Text(text),
        }
    }

    #[inline]
    pub fn meaning(&self) -> Meaning {
        match *self {
            Self::Decimal { mantissa, scale } => Meaning::Number(decimal_value(mantissa, scale)),
            Self::Text(text) => text_meaning(text),
            Self::Bits(bits) => match f64::from_bits(bits) {
                value if value.is_finite() => Meaning::Number(value),
                _ => Meaning::NonFinite,
            },
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self.meaning() {
            Meaning::Number(value) => Some(value),
            _ => None,
        }
    }

    /// Append the text exactly as it was received.
    pub fn write_text(&self, out: &mut String) {
        match *self {
            Self::Decimal { mantissa, scale } => write_decimal(mantissa, scale, out),
            Self::Text(text) => out.push_str(text),
            Self::Bits(bits) => out.push_str(&repr(f64::from_bits(bits))),
        }
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }

    /// Whether the text received is Python's `repr` of the number, so that it need not be stored beside it.
    #[inline]
    pub fn is_repr(&self) -> bool {
        match *self {
            Self::Decimal { mantissa, scale } => decimal_is_repr(mantissa, scale),
            Self::Text(text) => match text_meaning(text) {
                Meaning::Number(value) => repr(value) == text,
                _ => false,
            },
            Self::Bits(_) => true,
        }
    }
}

#[inline]
fn decimal_value(mantissa: i64, scale: u8) -> f64 {
    let power = POWERS.get(usize::from(scale)).copied().unwrap_or(1.0);
    mantissa as f64 / power
}

/// Mantissa and scale of a decimal in canonical spelling: no plus, no leading zero, no bare point, no minus zero.
#[inline]
fn plain_decimal(text: &[u8]) -> Option<(i64, u8)> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut mantissa = 0u64;
    let mut point = None;
    for (position, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                if mantissa > MANTISSA_MAX {
                    return None;
                }
            }
            b'.' if point.is_none() => point = Some(position),
            _ => return None,
        }
    }
    let whole = point.unwrap_or(digits.len());
    let scale = point.map_or(0, |at| digits.len() - at - 1);
    let leading_zero = whole > 1 && digits.first() == Some(&b'0');
    let bare_point = point.is_some() && scale == 0;
    if whole == 0 || leading_zero || bare_point || scale > usize::from(SCALE_MAX) || (negative && mantissa == 0) {
        return None;
    }
    let mantissa = mantissa as i64;
    Some((if negative { -mantissa } else { mantissa }, scale as u8))
}

fn write_decimal(mantissa: i64, scale: u8, out: &mut String) {
    let scale = usize::from(scale);
    let digits = mantissa.unsigned_abs();
    if mantissa < 0 {
        out.push('-');
    }
    if scale == 0 {
        let _ = write!(out, "{digits}"); // writing to a String cannot fail
        return;
    }
    let start = out.len();
    let _ = write!(out, "{digits:0width$}", width = scale + 1);
    let point = out.len() - scale;
    debug_assert!(point > start);
    out.insert(point, '.');
}

/// With at most 15 digits a decimal is its number's only spelling of that length, so it is the shortest one exactly when
/// it carries no needless zero; beyond that, and outside the range Python writes without an exponent, compare in full.
#[inline]
fn decimal_is_repr(mantissa: i64, scale: u8) -> bool {
    let digits = mantissa.unsigned_abs();
    if scale == 0 {
        return false; // Python writes 5.0
    }
    if digits >= 1_000_000_000_000_000 || (digits != 0 && scale > 4) {
        let value = decimal_value(mantissa, scale);
        let mut text = String::new();
        write_decimal(mantissa, scale, &mut text);
        return repr(value) == text;
    }
    scale == 1 || !digits.is_multiple_of(10)
}

/// A number: optional sign, digits with at most one point, optional exponent, blanks around it allowed.
fn text_meaning(text: &str) -> Meaning {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Meaning::NonFinite;
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Meaning::Words;
    }
    match trimmed.parse::<f64>() {
        Ok(value) if value.is_finite() => Meaning::Number(value),
        Ok(_) => Meaning::NonFinite,
        Err(_) => Meaning::Words,
    }
}

/// A number as Python's `repr` writes it: the shortest digits that read back as the same number.
pub fn repr(value: f64) -> String {
    if !value.is_finite() {
        return format!("{value}").to_ascii_lowercase();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0".into() } else { "0.0".into() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_that_never_was_text_means_itself() {
        for (value, text) in [(24.6, "24.6"), (-0.0, "-0.0"), (5e-324, "5e-324")] {
            let datum = Datum::Bits(f64::to_bits(value));
            assert_eq!((datum.meaning(), datum.text().as_str()), (Meaning::Number(value), text));
        }
        for (value, text) in [(f64::NAN, "nan"), (f64::NEG_INFINITY, "-inf")] {
            let datum = Datum::Bits(value.to_bits());
            assert_eq!((datum.meaning(), datum.text().as_str()), (Meaning::NonFinite, text));
            assert_eq!(Datum::of(text).meaning(), Meaning::NonFinite);
        }
    }

    #[test]
    fn every_spelling_comes_back_to_the_letter() {
        for text in [
            "24.61",
            "24.60",
            "0",
            "-0",
            "-0.0",
            "+5",
            "1e3",
            "007",
            " 5 ",
            "5.",
            ".5",
            "",
            "-",
            ".",
            "-1.250",
            "9007199254740991",
            "9007199254740993",
            "0.0000000000000000001",
            "NaN",
            "OPEN",
            "1_000",
            "0x10",
            "٣",
        ] {
            assert_eq!(Datum::of(text).text(), text);
        }
    }

    #[test]
    fn meaning_of_odd_spellings() {
        let number = |text: &str| match Datum::of(text).meaning() {
            Meaning::Number(value) => Some(value),
            _ => None,
        };
        assert_eq!(number(" 5 "), Some(5.0));
        assert_eq!(number("+5"), Some(5.0));
        assert_eq!(number("1e3"), Some(1000.0));
        assert_eq!(number("007"), Some(7.0));
        assert_eq!(number("5."), Some(5.0));
        assert_eq!(number("-.5"), Some(-0.5));
        for words in ["", "-", ".", "1_000", "0x10", "OPEN", "1e", "5 6", "٣", "+-5", "e5"] {
            assert_eq!(Datum::of(words).meaning(), Meaning::Words, "{words:?}");
        }
        for text in ["NaN", "-nan", "inf", "+Infinity", "1e999", "-1e999"] {
            assert_eq!(Datum::of(text).meaning(), Meaning::NonFinite, "{text:?}");
        }
    }

    #[test]
    fn repr_is_pythons() {
        for (value, text) in [
            (24.6, "24.6"),
            (5.0, "5.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (123456789.123, "123456789.123"),
        ] {
            assert_eq!(repr(value), text);
        }
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn any_text_comes_back(text in "[-+0-9.eE ]{0,24}|\\PC{0,12}") {
            prop_assert_eq!(Datum::of(&text).text(), text);
        }

        #[test]
        fn a_decimal_means_what_the_standard_parser_reads(mantissa in -MANTISSA_TEST..MANTISSA_TEST, scale in 0u8..=18) {
            let mut text = String::new();
            write_decimal(mantissa, scale, &mut text);
            let parsed: f64 = text.parse().unwrap();
            match Datum::of(&text) {
                Datum::Decimal { .. } => prop_assert_eq!(Datum::of(&text).meaning(), Meaning::Number(parsed)),
                _ => prop_assert!(false, "{} is a plain decimal", text),
            }
            prop_assert_eq!(Datum::of(&text).is_repr(), repr(parsed) == text);
        }

        #[test]
        fn repr_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(repr(value).parse::<f64>().unwrap().to_bits(), bits);
        }
    }

    const MANTISSA_TEST: i64 = MANTISSA_MAX as i64;
}
