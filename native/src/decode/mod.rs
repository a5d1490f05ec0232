//! Message bodies to batches: groups good rows by facility and says of everything else why it was refused.
//!
//! A body is one JSON object, a JSON array of objects, NDJSON, or an Arrow IPC stream; its first byte tells which.

mod arrow;
mod excerpt;
mod fault;
mod json;
mod json_rows;
mod rows;
mod span;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::batch::BatchBuilder;
use crate::limits::{BODY_BYTES_MAX, EXCERPT_BYTES_MAX};
use crate::number::Datum;
use excerpt::excerpt;
use fault::Fault;
use rows::{BadRow, Reading, Rows};
use span::Span;

/// A refused body (`row` is none) or a refused row of a body that has good ones.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub message: u32,
    pub row: Option<u32>,
    pub reason: &'static str,
    pub detail: String,
    pub facility_id: String,
    pub sensor_id: String,
    pub body: String,
}

/// A facility's part of what was decoded.
#[derive(Debug)]
pub struct FacilityBatch {
    pub builder: BatchBuilder,
    /// Indices of the bodies that gave it rows, ascending.
    pub messages: Vec<u32>,
}

#[derive(Debug, Default)]
pub struct Decoded {
    pub facilities: Vec<FacilityBatch>,
    pub refused: Vec<Refusal>,
}

/// Decode many bodies at once. Rows keep their order of arrival within a facility.
pub fn decode<'a>(bodies: impl IntoIterator<Item = &'a [u8]>, received_at_us: i64, future_us_max: i64) -> Decoded {
    let mut gathering = Gathering {
        received_at_us,
        span: Span { latest_us: received_at_us.saturating_add(future_us_max) },
        decoded: Decoded::default(),
        index_by_facility: HashMap::default(),
        last: 0,
    };
    for (message, body) in bodies.into_iter().enumerate() {
        gathering.body(message as u32, body);
    }
    gathering.decoded
}

struct Gathering {
    received_at_us: i64,
    span: Span,
    decoded: Decoded,
    index_by_facility: HashMap<Box<str>, usize, RandomState>,
    last: usize,
}

impl Gathering {
    fn body(&mut self, message: u32, body: &[u8]) {
        let mut found = Rows::default();
        let outcome = read_body(body, &self.span, &mut found);
        match outcome {
            Err(fault) => self.refuse_body(message, body, fault, None),
            Ok(()) if found.good.is_empty() => {
                let count = found.bad.len();
                match found.bad.into_iter().next() {
                    None => self.refuse_body(message, body, Fault::new("empty", "the body holds no reading"), None),
                    Some(first) if count == 1 => {
                        let fault = first.fault.clone();
                        self.refuse_body(message, body, fault, Some(first));
                    }
                    Some(first) => {
                        let detail =
                            format!("none of {count} rows is usable; row {}: {}", first.row, first.fault.detail);
                        self.refuse_body(message, body, Fault::new(first.fault.reason, detail), Some(first));
                    }
                }
            }
            Ok(()) => {
                for index in 0..found.good.len() {
                    if let Some(reading) = found.reading(index) {
                        self.accept(message, &reading);
                    }
                }
                self.decoded.refused.extend(found.bad.into_iter().map(|bad| Refusal {
                    message,
                    row: Some(bad.row),
                    reason: bad.fault.reason,
                    detail: bad.fault.detail,
                    facility_id: bad.facility_id,
                    sensor_id: bad.sensor_id,
                    body: bad.body,
                }));
            }
        }
    }

    fn accept(&mut self, message: u32, reading: &Reading<'_>) {
        let index = self.facility_index(reading.facility_id);
        let Some(facility) = self.decoded.facilities.get_mut(index) else { return };
        facility.builder.push(reading.sensor_id, reading.tracked_at_us, Datum::of(reading.data));
        if facility.messages.last() != Some(&message) {
            facility.messages.push(message);
        }
    }

    /// Neighbours usually belong to the same facility: look at the last one before hashing.
    fn facility_index(&mut self, facility_id: &str) -> usize {
        if self.decoded.facilities.get(self.last).is_some_and(|last| last.builder.facility_id() == facility_id) {
            return self.last;
        }
        self.last = match self.index_by_facility.get(facility_id) {
            Some(index) => *index,
            None => {
                let index = self.decoded.facilities.len();
                let builder = BatchBuilder::new(facility_id, self.received_at_us);
                self.decoded.facilities.push(FacilityBatch { builder, messages: Vec::new() });
                self.index_by_facility.insert(facility_id.into(), index);
                index
            }
        };
        self.last
    }

    fn refuse_body(&mut self, message: u32, body: &[u8], fault: Fault, first: Option<BadRow>) {
        let is_arrow = arrow::is_stream(body);
        let (facility_id, sensor_id, row_text) =
            first.map_or_else(Default::default, |bad| (bad.facility_id, bad.sensor_id, bad.body));
        self.decoded.refused.push(Refusal {
            message,
            row: None,
            reason: fault.reason,
            detail: fault.detail,
            facility_id,
            sensor_id,
            body: if is_arrow { row_text } else { excerpt(body, EXCERPT_BYTES_MAX) },
        });
    }
}

fn read_body<'a>(body: &'a [u8], span: &Span, found: &mut Rows<'a>) -> Result<(), Fault> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Fault::new("too_large", format!("{} bytes, {BODY_BYTES_MAX} are the most", body.len())));
    }
    if arrow::is_stream(body) {
        arrow::read(body, span, found)
    } else {
        json_rows::read(body, span, found)
    }
}
