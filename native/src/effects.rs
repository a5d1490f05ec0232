//! What one step of a core wants done: rows to store, events for the journal, rows to park, frames to publish.

use std::collections::HashSet;

use crate::batch::Batch;
use crate::detector::Score;
use crate::instant::{self, POSTGRES_EPOCH_US};
use crate::number::Datum;
use crate::plant::Verdict;
use crate::rules::Priority;

/// Bits of a stored reading's `flags`.
pub mod flag {
    pub const LATE: u16 = 1;
    pub const TEXT: u16 = 2;
    pub const NON_FINITE: u16 = 4;
    pub const BELOW_LOW: u16 = 8;
    pub const ABOVE_HIGH: u16 = 16;
    pub const ANOMALY: u16 = 32;
    pub const WARMING: u16 = 64;
    pub const OUT_OF_PHYSICAL_RANGE: u16 = 128;
    pub const CONFLICT: u16 = 256;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Low,
    High,
    Anomaly,
    Stale,
    /// Of the facility as a whole; all others are a sensor's.
    FacilityAnomaly,
}

impl Rule {
    /// Those of a sensor.
    pub const ALL: [Self; 4] = [Self::Low, Self::High, Self::Anomaly, Self::Stale];

    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
            Self::Anomaly => "anomaly",
            Self::Stale => "stale",
            Self::FacilityAnomaly => "facility_anomaly",
        }
    }

    /// The contract's kind of alert.
    pub fn alert_type(self) -> &'static str {
        match self {
            Self::Stale => "System",
            _ => "Anomaly",
        }
    }
}

/// One transition of one alarm, ready for the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// None, and an empty id: the facility as a whole.
    pub sensor_no: Option<i32>,
    pub sensor_id: String,
    pub rule: Rule,
    pub transition: &'static str,
    pub event_time_us: i64,
    pub rule_version: i64,
    pub priority: Priority,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub score: Option<f64>,
    pub message: String,
    pub explanation_json: String,
    pub late: bool,
    pub only_if_stored: Option<(i32, i64)>,
    pub reason: &'static str,
}

impl Event {
    pub fn alarm_key(&self) -> String {
        alarm_key(self.sensor_no, self.rule.name())
    }
}

pub fn alarm_key(sensor_no: Option<i32>, rule: &str) -> String {
    sensor_no.map_or_else(|| format!("facility:{rule}"), |sensor_no| format!("{sensor_no}:{rule}"))
}

/// The name in the journal of a late violation that is no news.
pub const LATE_EXCEEDANCE: &str = "late_exceedance";
pub const ACTIVATED: &str = "activated";

/// A reading as it is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow<'a> {
    pub sensor_no: i32,
    pub tracked_at_us: i64,
    pub datum: Datum<'a>,
    pub value: Option<f64>,
    pub score: Option<f32>,
    pub flags: u16,
}

/// Where a step's effects go. A replay changes the same state and tells nobody.
pub trait Sink {
    const WANTED: bool;
    /// For each sensor of the batch that begins its number, if it is known.
    fn sensors(&mut self, numbers: impl FnOnce() -> Vec<Option<i32>>);
    /// What the detector says of the reading that is stored next; only of one in order.
    #[inline]
    fn scored(&mut self, _: &Score) {}
    fn stored(&mut self, row: &StoredRow<'_>, is_news: bool);
    fn unknown(&mut self, sensor_id: &str, tracked_at_us: i64, datum: Datum<'_>);
    fn event(&mut self, event: Event);
    /// What the facility as a whole says of a tick.
    fn facility(&mut self, _: &Verdict) {}
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub late: u64,
    pub duplicate: u64,
    pub conflict: u64,
    pub text: u64,
    pub bad: u64,
    pub unknown: u64,
}

#[derive(Debug, Default)]
pub struct Effects {
    /// PostgreSQL binary COPY tuples without header and trailer.
    pub copy_rows: Vec<u8>,
    pub dirty_minutes: Vec<i64>,
    pub events: Vec<Event>,
    pub unknown: Vec<(String, i64, String)>,
    pub counts: Counts,
    /// For each sensor of the batch its number, if it is known.
    pub sensor_numbers: Vec<Option<i32>>,
    /// For each row of the batch: the sensor's number if the row is news to those who watch.
    pub news: Vec<Option<i32>>,
    /// (sensor_no, tracked_at_us) of each stored row, in order; the first `told_apart` of them are in `seen` too.
    stored: Vec<(i32, i64)>,
    seen: HashSet<(i32, i64)>,
    told_apart: usize,
}

impl Effects {
    pub fn finish(&mut self) {
        self.dirty_minutes.sort_unstable();
        self.dirty_minutes.dedup();
    }

    /// Frames of the rows that are news, as (sensor of the batch, sensor_no, tracked_at_us, frame), in order of arrival.
    ///
    /// `hidden`: (sensor_no, tracked_at_us) that were stored before. `wanted`: for each sensor of the batch whether
    /// somebody watches it; none: all are.
    pub fn frames(
        &self,
        batch: &Batch<'_>,
        hidden: &HashSet<(i32, i64)>,
        wanted: Option<&[bool]>,
    ) -> Vec<(u32, i32, i64, Vec<u8>)> {
        let mut frames = Vec::new();
        let mut shown = HashSet::new();
        for (row, news) in batch.rows.iter().zip(&self.news) {
            let Some(sensor_no) = *news else { continue };
            let is_wanted = wanted.is_none_or(|wanted| wanted.get(row.sensor as usize) == Some(&true));
            let key = (sensor_no, row.tracked_at_us);
            if is_wanted && !hidden.contains(&key) && shown.insert(key) {
                let frame = frame(batch.sensor_id(row.sensor), batch.facility_id, row.tracked_at_us, &row.datum);
                frames.push((row.sensor, sensor_no, row.tracked_at_us, frame));
            }
        }
        frames
    }

    /// Whether a row of this step stands before the present one; asked for late violations only.
    fn has_stored(&mut self, key: (i32, i64)) -> bool {
        self.seen.extend(self.stored.iter().skip(self.told_apart));
        self.told_apart = self.stored.len();
        self.seen.contains(&key)
    }

    fn count(&mut self, flags: u16) {
        let counts = &mut self.counts;
        counts.rows += 1;
        counts.late += u64::from(flags & flag::LATE != 0);
        counts.text += u64::from(flags & flag::TEXT != 0);
        counts.bad += u64::from(flags & (flag::NON_FINITE | flag::OUT_OF_PHYSICAL_RANGE) != 0);
    }
}

impl Sink for Effects {
    const WANTED: bool = true;

    fn sensors(&mut self, numbers: impl FnOnce() -> Vec<Option<i32>>) {
        self.sensor_numbers = numbers();
    }

    #[inline]
    fn stored(&mut self, row: &StoredRow<'_>, is_news: bool) {
        self.count(row.flags);
        let minute = instant::minute_of(row.tracked_at_us);
        if self.dirty_minutes.last() != Some(&minute) {
            self.dirty_minutes.push(minute);
        }
        write_tuple(row, &mut self.copy_rows);
        self.stored.push((row.sensor_no, row.tracked_at_us));
        self.news.push(is_news.then_some(row.sensor_no));
        if !is_news {
            let counter =
                if row.flags & flag::CONFLICT != 0 { &mut self.counts.conflict } else { &mut self.counts.duplicate };
            *counter += 1;
        }
    }

    fn unknown(&mut self, sensor_id: &str, tracked_at_us: i64, datum: Datum<'_>) {
        self.counts.unknown += 1;
        self.unknown.push((sensor_id.to_owned(), tracked_at_us, datum.text()));
        self.news.push(None);
    }

    fn event(&mut self, event: Event) {
        // The same reading twice in one step: the second is a redelivery like one of an earlier step.
        if event.only_if_stored.is_none_or(|key| !self.has_stored(key)) {
            self.events.push(event);
        }
    }
}

/// A replay's sink.
#[derive(Debug, Default)]
pub struct Nobody;

impl Sink for Nobody {
    const WANTED: bool = false;
    fn sensors(&mut self, _: impl FnOnce() -> Vec<Option<i32>>) {}
    #[inline]
    fn stored(&mut self, _: &StoredRow<'_>, _: bool) {}
    fn unknown(&mut self, _: &str, _: i64, _: Datum<'_>) {}
    fn event(&mut self, _: Event) {}
}

/// sensor_no int4, tracked_at timestamptz, value float8, text_value text, score float4, flags int2; all big endian.
fn write_tuple(row: &StoredRow<'_>, out: &mut Vec<u8>) {
    const NULL: [u8; 4] = (-1i32).to_be_bytes();
    let mut head = [0u8; 22];
    head[..2].copy_from_slice(&6i16.to_be_bytes());
    head[2..6].copy_from_slice(&4i32.to_be_bytes());
    head[6..10].copy_from_slice(&row.sensor_no.to_be_bytes());
    head[10..14].copy_from_slice(&8i32.to_be_bytes());
    head[14..].copy_from_slice(&(row.tracked_at_us - POSTGRES_EPOCH_US).to_be_bytes());
    out.extend_from_slice(&head);
    match row.value {
        Some(value) => {
            out.extend_from_slice(&8i32.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        None => out.extend_from_slice(&NULL),
    }
    if row.value.is_some() && row.datum.is_repr() {
        out.extend_from_slice(&NULL);
    } else {
        write_text(&row.datum, out);
    }
    match row.score {
        Some(score) => {
            out.extend_from_slice(&4i32.to_be_bytes());
            out.extend_from_slice(&score.to_be_bytes());
        }
        None => out.extend_from_slice(&NULL),
    }
    out.extend_from_slice(&2i32.to_be_bytes());
    out.extend_from_slice(&row.flags.to_be_bytes());
}

fn write_text(datum: &Datum<'_>, out: &mut Vec<u8>) {
    let text = datum.text();
    out.extend_from_slice(&(text.len() as i32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The websocket frame of one reading, exactly the contract's four members.
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
