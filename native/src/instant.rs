//! Moments: ISO 8601 text to microseconds since 1970 and back. The only reader of times, whatever door they come through.
//!
//! ```text
//! YYYY-MM-DD (T|t|blank) HH:MM[:SS[(.|,)f…]] [blank] [Z|z|±HH[[:]MM]]
//! ```
//! Without a zone it is UTC. Blanks around it (space, tab, line feed, form feed, carriage return) are ignored. A fraction
//! has 1 to 9 digits, of which those beyond the sixth are cut off. 23:59:60 UTC, a leap second, is the second after it.
//! A day without a time of day is no moment. `tests/native/data/times.json` holds spellings of every kind.

use std::fmt::{self, Write};

use crate::calendar::{civil_from_days, days_from_civil, days_in};

pub const US_PER_S: i64 = 1_000_000;
const US_PER_MINUTE: i64 = 60 * US_PER_S;
const S_PER_DAY: i64 = 86_400;
pub const DAY_S: f64 = S_PER_DAY as f64;

/// The accepted span: from 1970-01-01 on, and before the end of the year 2200.
pub const FIRST_US: i64 = 0;
pub const END_US: i64 = 7_289_654_400 * US_PER_S;

/// Microseconds between 1970-01-01 and PostgreSQL's own beginning, 2000-01-01.
pub const POSTGRES_EPOCH_US: i64 = 946_684_800 * US_PER_S;

const FRACTION_DIGITS_MAX: usize = 9;

/// Why a text is no moment that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFault {
    NotATime,
    NoTimeOfDay,
    Year,
    Month(i64),
    Day { day: i64, days: i64 },
    Hour(i64),
    Minute(i64),
    Second(i64),
    NoLeapSecond,
    FractionOfMinute,
    Fraction(usize),
    Offset,
    BeforeFirst,
    AfterLast,
}

impl TimeFault {
    /// It is a moment, but not one that is accepted.
    pub fn is_out_of_range(self) -> bool {
        matches!(self, Self::BeforeFirst | Self::AfterLast)
    }
}

impl fmt::Display for TimeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATime => f.write_str("not a time such as 2026-11-22T10:15:00.123456"),
            Self::NoTimeOfDay => f.write_str("no time of day; a moment such as 2026-11-22T10:15:00 is needed"),
            Self::Year => f.write_str("year 0; the first is 1"),
            Self::Month(month) => write!(f, "month {month}; there are 1 to 12"),
            Self::Day { day, days } => write!(f, "day {day} of a month that has {days}"),
            Self::Hour(hour) => write!(f, "hour {hour}; there are 0 to 23"),
            Self::Minute(minute) => write!(f, "minute {minute}; there are 0 to 59"),
            Self::Second(second) => write!(f, "second {second}; there are 0 to 59"),
            Self::NoLeapSecond => f.write_str("second 60, which only 23:59 UTC may have"),
            Self::FractionOfMinute => f.write_str("a fraction without seconds"),
            Self::Fraction(digits) => write!(f, "a fraction of {digits} digits; it has 1 to {FRACTION_DIGITS_MAX}"),
            Self::Offset => f.write_str("not an offset such as Z, +01, +0100 or +01:00 after the time"),
            Self::BeforeFirst => f.write_str("before 1970; the years 1970 to 2200 are accepted"),
            Self::AfterLast => f.write_str("after 2200; the years 1970 to 2200 are accepted"),
        }
    }
}

type Parsed<T> = Result<T, TimeFault>;

/// The moment itself if readings, ticks and changes may have it.
pub fn accepted(us: i64) -> Parsed<i64> {
    match us {
        ..FIRST_US => Err(TimeFault::BeforeFirst),
        END_US.. => Err(TimeFault::AfterLast),
        _ => Ok(us),
    }
}

pub fn minute_of(us: i64) -> i64 {
    us - us.rem_euclid(US_PER_MINUTE)
}

/// Microseconds of any moment in the years 1 to 9999; `accepted` judges it.
pub fn parse(text: &str) -> Parsed<i64> {
    let bytes = text.as_bytes().trim_ascii();
    let (date, rest) = bytes.split_at_checked(10).ok_or(TimeFault::NotATime)?;
    let days = day_number(date)?;
    let (minutes, rest) = minute_of_day(rest)?;
    let (second, us, zone) = seconds(rest)?;
    let utc_s = days * S_PER_DAY + minutes * 60 + second - offset_s(zone)?;
    if second == 60 && utc_s.rem_euclid(S_PER_DAY) != 0 {
        return Err(TimeFault::NoLeapSecond);
    }
    Ok(utc_s * US_PER_S + us)
}

fn day_number(date: &[u8]) -> Parsed<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = date else { return Err(TimeFault::NotATime) };
    let year = pair(*y0, *y1)? * 100 + pair(*y2, *y3)?;
    let (month, day) = (pair(*m0, *m1)?, pair(*d0, *d1)?);
    if year < 1 {
        return Err(TimeFault::Year);
    }
    if !(1..=12).contains(&month) {
        return Err(TimeFault::Month(month));
    }
    let days = days_in(year, month);
    if !(1..=days).contains(&day) {
        return Err(TimeFault::Day { day, days });
    }
    Ok(days_from_civil(year, month, day))
}

fn minute_of_day(rest: &[u8]) -> Parsed<(i64, &[u8])> {
    match rest {
        [] | [b'T' | b't'] => Err(TimeFault::NoTimeOfDay),
        [b'T' | b't' | b' ', h0, h1, b':', m0, m1, rest @ ..] => {
            let (hour, minute) = (pair(*h0, *h1)?, pair(*m0, *m1)?);
            if hour > 23 {
                return Err(TimeFault::Hour(hour));
            }
            if minute > 59 {
                return Err(TimeFault::Minute(minute));
            }
            Ok((hour * 60 + minute, rest))
        }
        _ => Err(TimeFault::NotATime),
    }
}

/// Seconds, microseconds, and what follows them. Seconds may be missing.
fn seconds(rest: &[u8]) -> Parsed<(i64, i64, &[u8])> {
    match rest {
        [b':', s0, s1, rest @ ..] => {
            let second = pair(*s0, *s1)?;
            if second > 60 {
                return Err(TimeFault::Second(second));
            }
            let (us, rest) = fraction(rest)?;
            Ok((second, us, rest))
        }
        [b':', ..] => Err(TimeFault::NotATime),
        [b'.' | b',', ..] => Err(TimeFault::FractionOfMinute),
        _ => Ok((0, 0, rest)),
    }
}

/// Microseconds of a leading `.ffffff` or `,ffffff`, and what follows it.
fn fraction(rest: &[u8]) -> Parsed<(i64, &[u8])> {
    let [b'.' | b',', digits @ ..] = rest else { return Ok((0, rest)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=FRACTION_DIGITS_MAX).contains(&length) {
        return Err(TimeFault::Fraction(length));
    }
    let (digits, rest) = digits.split_at(length);
    let digits = digits.iter().map(|byte| i64::from(byte - b'0'));
    Ok((digits.chain(std::iter::repeat(0)).take(6).fold(0, |us, digit| us * 10 + digit), rest))
}

fn offset_s(zone: &[u8]) -> Parsed<i64> {
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    let (sign, hours, minutes) = match zone {
        [] | [b'Z' | b'z'] => return Ok(0),
        [sign, h0, h1] => (sign, pair(*h0, *h1), Ok(0)),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => (sign, pair(*h0, *h1), pair(*m0, *m1)),
        _ => return Err(TimeFault::Offset),
    };
    match (sign, hours, minutes) {
        (b'+', Ok(hours @ ..=23), Ok(minutes @ ..=59)) => Ok(hours * 3600 + minutes * 60),
        (b'-', Ok(hours @ ..=23), Ok(minutes @ ..=59)) => Ok(-(hours * 3600 + minutes * 60)),
        _ => Err(TimeFault::Offset),
    }
}

/// The number that two ASCII digits spell.
#[inline]
fn pair(tens: u8, ones: u8) -> Parsed<i64> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    } else {
        Err(TimeFault::NotATime)
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.ffffff]`, UTC without a suffix, as the wire contract wants it.
pub fn write(us: i64, out: &mut String) {
    let seconds = us.div_euclid(US_PER_S);
    let fraction = us.rem_euclid(US_PER_S);
    let (year, month, day) = civil_from_days(seconds.div_euclid(S_PER_DAY));
    let of_day = seconds.rem_euclid(S_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // writing to a String cannot fail
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
    }
}

pub fn text(us: i64) -> String {
    let mut out = String::with_capacity(26);
    write(us, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_span() {
        assert_eq!(accepted(FIRST_US), Ok(FIRST_US));
        assert_eq!(accepted(FIRST_US - 1), Err(TimeFault::BeforeFirst));
        assert_eq!(accepted(END_US - 1), Ok(END_US - 1));
        assert_eq!(accepted(END_US), Err(TimeFault::AfterLast));
        assert_eq!(
            [FIRST_US, END_US, POSTGRES_EPOCH_US].map(text),
            ["1970-01-01T00:00:00", "2201-01-01T00:00:00", "2000-01-01T00:00:00"]
        );
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn text_reads_back(us in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            prop_assert_eq!(parse(&text(us)), Ok(us));
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_looks_like_a_time_is_an_answer(text in "[ 0-9]{4}-[01][0-9]-[0-3][0-9][Tt ]?[0-9:.,+Zz -]{0,24}") {
            if let Ok(us) = parse(&text) {
                prop_assert_eq!(parse(&super::text(us)), Ok(us));
            }
        }
    }
}
