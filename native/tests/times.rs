//! Spellings of moments: which are read and as what, and why the others are not. The table is shared with the doors.

use _native::instant::{accepted, parse, TimeFault};
use serde_json::Value;

fn table(part: &str) -> Vec<(String, Value)> {
    let text = include_str!("../../tests/native/data/times.json");
    let table: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(table[part].clone()).unwrap()
}

fn read(text: &str) -> Result<i64, TimeFault> {
    parse(text).and_then(accepted)
}

#[test]
fn what_is_read() {
    for (text, us) in table("read") {
        assert_eq!(Ok(us.as_i64().unwrap()), read(&text), "{text:?}");
    }
}

#[test]
fn what_is_refused_says_why() {
    for (part, is_out_of_range) in [("bad_time", false), ("time_out_of_range", true)] {
        for (text, word) in table(part) {
            let fault = read(&text).unwrap_err();
            assert!(fault.to_string().contains(word.as_str().unwrap()), "{text:?}: {fault}");
            assert_eq!(fault.is_out_of_range(), is_out_of_range, "{text:?}: {fault}");
            assert_eq!(parse(&text).is_ok(), is_out_of_range, "{text:?}: a moment, but not an accepted one");
        }
    }
}

#[test]
fn every_reason_stands_in_the_table() {
    let told: Vec<String> = ["bad_time", "time_out_of_range"]
        .into_iter()
        .flat_map(table)
        .map(|(text, _)| format!("{:?}", read(&text).unwrap_err()))
        .collect();
    let reasons =
        "NotATime NoTimeOfDay Year Month Day Hour Minute Second NoLeapSecond FractionOfMinute Fraction Offset \
                   BeforeFirst AfterLast";
    for reason in reasons.split_whitespace() {
        assert!(told.iter().any(|one| one.split(['(', ' ']).next() == Some(reason)), "{reason}");
    }
}
