//! Times: ISO 8601 text to microseconds since 1970 and back. Naive means UTC.

use std::fmt::Write;

pub const US_PER_S: i64 = 1_000_000;
const US_PER_MINUTE: i64 = 60 * US_PER_S;
const S_PER_DAY: i64 = 86_400;

/// First and last moment that is accepted: 1970-01-01 up to the end of 2200.
pub const FIRST_US: i64 = 0;
pub const END_US: i64 = 7_289_654_400 * US_PER_S;

/// Microseconds between 1970-01-01 and PostgreSQL's own beginning, 2000-01-01.
pub const POSTGRES_EPOCH_US: i64 = 946_684_800 * US_PER_S;

/// Whether this is a time that readings, ticks and changes may have.
pub fn is_accepted(us: i64) -> bool {
    (FIRST_US..END_US).contains(&us)
}

pub fn minute_of(us: i64) -> i64 {
    us - us.rem_euclid(US_PER_MINUTE)
}

/// `YYYY-MM-DD(T| )HH:MM:SS[.f…][Z|±HH[[:]MM]]` in microseconds; digits of the fraction beyond six are cut off.
///
/// 23:59:60 UTC, a leap second, is taken as the second that follows. `None` for anything else; years are 0001 to 9999.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    let year = number(head.get(0..4)?)?;
    let month = number(head.get(5..7)?)?;
    let day = number(head.get(8..10)?)?;
    let hour = number(head.get(11..13)?)?;
    let minute = number(head.get(14..16)?)?;
    let second = number(head.get(17..19)?)?;
    let separators = [head.get(4)?, head.get(7)?, head.get(13)?, head.get(16)?];
    if separators != [&b'-', &b'-', &b':', &b':'] || !matches!(head.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    if year < 1
        || !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (fraction_us, zone) = fraction(tail)?;
    let local_s = days_from_civil(year, month, day) * S_PER_DAY + hour * 3600 + minute * 60 + second;
    let utc_s = local_s - offset_s(zone)?;
    if second == 60 && utc_s.rem_euclid(S_PER_DAY) != 0 {
        return None;
    }
    Some(utc_s * US_PER_S + fraction_us)
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// Microseconds of a leading `.ffffff` (1 to 9 digits), and what follows it.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = tail.split_first() else { return Some((0, tail)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let mut us = 0i64;
    for position in 0..6 {
        let digit = digits.get(position).filter(|_| position < length).map_or(0, |byte| i64::from(byte - b'0'));
        us = us * 10 + digit;
    }
    Some((us, digits.get(length..)?))
}

fn offset_s(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone.split_first() {
        None => return Some(0),
        Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (number(rest)?, 0),
        4 => (number(rest.get(0..2)?)?, number(rest.get(2..4)?)?),
        5 if rest.get(2) == Some(&b':') => (number(rest.get(0..2)?)?, number(rest.get(3..5)?)?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
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

    const TEN: i64 = 1_795_342_500_000_000; // 2026-11-22T10:15:00Z

    #[test]
    fn accepted_spellings() {
        for text in [
            "2026-11-22T10:15:00",
            "2026-11-22 10:15:00",
            "2026-11-22T10:15:00Z",
            "2026-11-22T10:15:00.0",
            "2026-11-22T10:15:00.000000000+00:00",
            "2026-11-22T11:15:00+01:00",
            "2026-11-22T04:45:00-0530",
            "2026-11-22T12:15:00+02",
        ] {
            assert_eq!(parse(text), Some(TEN), "{text}");
        }
        assert_eq!(parse("2026-11-22T10:15:00.123456"), Some(TEN + 123_456));
        assert_eq!(parse("2026-11-22T10:15:00.123456999Z"), Some(TEN + 123_456));
        assert_eq!(parse("2026-11-22T10:15:00.5"), Some(TEN + 500_000));
    }

    #[test]
    fn refused_spellings() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:15",
            "2026-13-01T00:00:00",
            "2026-02-29T00:00:00",
            "2026-11-22T24:00:00",
            "2026-11-22T10:15:61",
            "2026-11-22T10:15:60",
            "2026-11-22T10:15:00.",
            "2026-11-22T10:15:00.1234567890",
            "2026-11-22T10:15:00+24:00",
            "2026-11-22T10:15:00 Z",
            "0000-01-01T00:00:00",
            "2026-11-22T10:15:00,5",
            "+026-11-22T10:15:00",
            "２026-11-22T10:15:00",
            "2026-11-22T10:15:00+1",
            "20261122T101500",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        let midnight = parse("2017-01-01T00:00:00").unwrap();
        assert_eq!(parse("2016-12-31T23:59:60Z"), Some(midnight));
        assert_eq!(parse("2017-01-01T05:29:60.25+05:30"), Some(midnight + 250_000));
        assert_eq!(parse("2016-12-31T23:59:60+01:00"), None);
    }

    #[test]
    fn the_ends_of_the_calendar() {
        assert_eq!(parse("1970-01-01T00:00:00"), Some(FIRST_US));
        assert_eq!(parse("2201-01-01T00:00:00"), Some(END_US));
        assert!(parse("0001-01-01T00:00:00").unwrap() < FIRST_US);
        assert!(parse("9999-12-31T23:59:59.999999").unwrap() > END_US);
        assert_eq!(text(POSTGRES_EPOCH_US), "2000-01-01T00:00:00");
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn text_reads_back(us in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
            prop_assert_eq!(parse(&text(us)), Some(us));
        }

        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
