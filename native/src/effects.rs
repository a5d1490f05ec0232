//! What one step of a core wants done: rows to store, events for the journal, rows to park, frames to publish.

use std::collections::HashSet;

use crate::alarm::Delays;
use crate::batch::Batch;
use crate::flag;
use crate::frame::frame;
use crate::instant::{self, POSTGRES_EPOCH_US};
use crate::journal::{Event, TRANSITIONS};
use crate::number::Datum;
use crate::past::{Past, PastReading};
use crate::rule::{Rule, Side};
use crate::sink::{Sink, StoredRow};

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
    past: Past,
}

impl Effects {
    pub fn finish(&mut self) {
        self.events.extend(std::mem::take(&mut self.past).into_events());
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
        debug_assert!(TRANSITIONS.contains(&event.transition), "{} is in no table", event.transition);
        // The same reading twice in one step: the second is a redelivery like one of an earlier step.
        if event.only_if_stored.is_none_or(|key| !self.has_stored(key)) {
            self.events.push(event);
        }
    }

    fn past_excursion(&mut self, side: Option<Side>, event: Event, until_us: i64) {
        self.past.excursion(side, event, until_us);
    }

    fn past_reading(
        &mut self,
        key: (i32, Rule),
        side: Side,
        delays: Delays,
        reading: PastReading,
        event: impl FnOnce() -> Event,
    ) {
        if !self.has_stored((key.0, reading.at_us)) {
            self.past.reading(key, side, delays, reading, event);
        }
    }
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
