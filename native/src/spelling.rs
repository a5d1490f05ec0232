//! How a sensor spells its numbers, where that is not with a point and nothing behind it.

use serde::Deserialize;

use crate::number::{Datum, Meaning};

/// Longest unit behind a number, in bytes.
pub const UNIT_BYTES_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberFormat {
    #[default]
    Point,
    /// "35,0". A point is still one; neither ever stands between thousands.
    Comma,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spelling {
    pub format: NumberFormat,
    /// May stand behind the number, with or without a blank.
    pub unit: Option<Box<str>>,
}

impl Spelling {
    /// As a configuration says it; says what is wrong.
    pub fn of(format: NumberFormat, unit: Option<&str>) -> Result<Self, String> {
        let unit = unit.map(str::trim).filter(|unit| !unit.is_empty());
        match unit {
            Some(unit) if unit.len() > UNIT_BYTES_MAX => {
                Err(format!("a unit of {} bytes, at most {UNIT_BYTES_MAX} are allowed", unit.len()))
            }
            Some(unit) if looks_numeric(unit) => Err(format!("the unit {unit:?} begins like a number")),
            _ => Ok(Self { format, unit: unit.map(Into::into) }),
        }
    }

    /// What a reading means to a sensor that spells so.
    #[inline]
    pub fn meaning(&self, datum: &Datum<'_>) -> Meaning {
        match (datum.meaning(), datum) {
            (Meaning::Words, Datum::Text(text)) if self.is_set() => self.respelled(text).unwrap_or(Meaning::Words),
            (meaning, _) => meaning,
        }
    }

    fn is_set(&self) -> bool {
        self.format == NumberFormat::Comma || self.unit.is_some()
    }

    #[cold]
    fn respelled(&self, text: &str) -> Option<Meaning> {
        let mut text = text.trim();
        if let Some(unit) = &self.unit {
            text = text.strip_suffix(unit.as_ref()).unwrap_or(text).trim_end();
        }
        let plain = match (self.format, text.split_once(',')) {
            (NumberFormat::Comma, Some((whole, fraction))) if is_digits(fraction) && !whole.contains('.') => {
                format!("{whole}.{fraction}")
            }
            _ => text.to_owned(),
        };
        match Datum::of(&plain).meaning() {
            Meaning::Words => None,
            meaning => Some(meaning),
        }
    }
}

/// What to set for a sensor whose texts look like numbers in another spelling; for an alarm's message.
pub fn hint(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '+' | '-'))).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = number.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == ',') || !digits.ends_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let (commas, points) = (digits.matches(',').count(), digits.matches('.').count());
    let is_grouped = commas + points > 1
        || digits.contains('\'')
        || (rest.trim_start() != rest && rest.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    match (is_grouped, commas, rest.trim().is_empty()) {
        (true, _, _) => Some("looks like a thousands separator: let the sender leave it out"),
        (false, 1, true) => Some("looks like a decimal comma: set number_format"),
        (false, 1, false) => Some("looks like a decimal comma and a unit: set number_format and unit"),
        (false, _, false) => Some("looks like a number with a unit: set unit"),
        (false, _, true) => None,
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains([',', '.'])
}

/// It could be read as part of the number before it.
fn looks_numeric(unit: &str) -> bool {
    unit.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn means(format: NumberFormat, unit: Option<&str>, text: &str) -> Option<f64> {
        match Spelling::of(format, unit).unwrap().meaning(&Datum::of(text)) {
            Meaning::Number(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn a_decimal_comma_counts_where_it_is_set() {
        use NumberFormat::{Comma, Point};
        for (text, value) in
            [("35,0", 35.0), ("-0,5", -0.5), ("+1,25e2", 125.0), (" 7,5 ", 7.5), ("35.5", 35.5), ("35", 35.0)]
        {
            assert_eq!(means(Comma, None, text), Some(value), "{text}");
        }
        for text in ["1.035,0", "1,035.0", "1,035,0", "35,", ",", "a,5", "35,0 ppm", "35,-1", ""] {
            assert_eq!(means(Comma, None, text), None, "{text}");
        }
        assert_eq!((means(Point, None, "35,0"), means(Point, None, "35.0")), (None, Some(35.0)));
    }

    #[test]
    fn a_unit_counts_where_it_is_set_and_no_other() {
        use NumberFormat::{Comma, Point};
        for text in ["35 ppm", "35ppm", " 35.0  ppm ", "35"] {
            assert_eq!(means(Point, Some("ppm"), text), Some(35.0), "{text}");
        }
        for text in ["35 ppb", "35 %", "ppm", "35 ppm ppm", "35 PPM"] {
            assert_eq!(means(Point, Some("ppm"), text), None, "{text}");
        }
        assert_eq!(means(Comma, Some("m³/h"), "35,5 m³/h"), Some(35.5));
        assert_eq!(means(Point, Some("e"), "35 e"), Some(35.0));
    }

    #[test]
    fn what_is_no_unit_is_told() {
        for wrong in ["5ppm", ".x", "-", &"x".repeat(UNIT_BYTES_MAX + 1)] {
            assert!(Spelling::of(NumberFormat::Point, Some(wrong)).is_err(), "{wrong}");
        }
        assert!(Spelling::of(NumberFormat::Point, Some(&"x".repeat(UNIT_BYTES_MAX))).is_ok());
        assert_eq!(Spelling::of(NumberFormat::Point, Some(" ")), Ok(Spelling::default()));
    }

    #[test]
    fn a_hint_says_what_to_set() {
        for (text, said) in [
            ("35,0", "looks like a decimal comma: set number_format"),
            ("-0,5", "looks like a decimal comma: set number_format"),
            ("35 ppm", "looks like a number with a unit: set unit"),
            ("35.5%", "looks like a number with a unit: set unit"),
            ("35,0 ppm", "looks like a decimal comma and a unit: set number_format and unit"),
            ("1,035.0", "looks like a thousands separator: let the sender leave it out"),
            ("1.035,0", "looks like a thousands separator: let the sender leave it out"),
            ("1'035", "looks like a thousands separator: let the sender leave it out"),
            ("1 035", "looks like a thousands separator: let the sender leave it out"),
        ] {
            assert_eq!(hint(text), Some(said), "{text}");
        }
        for text in ["Bad", "", "NaN", "35", "-", "ppm 35", "1e999"] {
            assert!(hint(text).is_none_or(|said| text == "1e999" && said.contains("unit")), "{text}");
        }
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn a_comma_in_the_place_of_the_point_is_the_same_number(value in -1e9..1e9f64) {
            let text = format!("{value:.3}");
            let comma = text.replace('.', ",");
            prop_assert_eq!(means(NumberFormat::Comma, None, &comma), text.parse().ok());
            prop_assert_eq!(means(NumberFormat::Comma, Some("kW"), &format!("{comma} kW")), text.parse().ok());
            prop_assert_eq!(hint(&comma), Some("looks like a decimal comma: set number_format"));
        }

        #[test]
        fn no_text_makes_it_fail(text in ".*", unit in proptest::option::of("[^0-9.,+-][a-z]{0,5}")) {
            let _ = hint(&text);
            let _ = Spelling::of(NumberFormat::Comma, unit.as_deref()).map(|spelling| spelling.meaning(&Datum::of(&text)));
        }
    }
}
