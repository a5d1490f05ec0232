//! The websocket frame of one reading.

use crate::instant;
use crate::number::Datum;

/// Exactly the contract's four members.
pub fn frame(sensor_id: &str, facility_id: &str, tracked_at_us: i64, datum: &Datum<'_>) -> Vec<u8> {
    let mut out = String::with_capacity(160);
    out.push_str("{\"sensor_id\":");
    write_json_string(sensor_id, &mut out);
    out.push_str(",\"facility_id\":");
    write_json_string(facility_id, &mut out);
    out.push_str(",\"tracked_at\":\"");
    instant::write(tracked_at_us, &mut out);
    out.push_str("\",\"data\":");
    match datum {
        Datum::Decimal { .. } | Datum::Bits(_) => {
            out.push('"');
            datum.write_text(&mut out);
            out.push('"');
        }
        Datum::Text(text) => write_json_string(text, &mut out),
    }
    out.push('}');
    out.into_bytes()
}

fn write_json_string(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32); // writing to a String cannot fail
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_the_contracts_object() {
        let made = frame("s", "f", 1_795_342_500_123_456, &Datum::of("24.60"));
        let text = String::from_utf8(made).unwrap();
        assert_eq!(
            text,
            r#"{"sensor_id":"s","facility_id":"f","tracked_at":"2026-11-22T10:15:00.123456","data":"24.60"}"#
        );
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn a_frame_is_json_whatever_it_holds(sensor: String, facility: String, data: String) {
            let made: serde_json::Value = serde_json::from_slice(&frame(&sensor, &facility, 0, &Datum::of(&data))).unwrap();
            let expected = serde_json::json!({
                "sensor_id": sensor, "facility_id": facility, "tracked_at": "1970-01-01T00:00:00", "data": data,
            });
            prop_assert_eq!(made, expected);
        }
    }
}
