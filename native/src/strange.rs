//! Readings whose stamps are strange, one arrival after the other, and whether they come as fast as they are measured.
//!
//! What is delivered again or after an outage comes much faster than that. Readings that come at their pace are of now,
//! whatever their stamps claim.

use crate::instant::US_PER_S;
use crate::wire::{put_bool, put_option_i64, put_signed, put_varint, Reader, Wire, WireError};

/// How far stamps and arrivals may differ over the span: messages are late by more or less. An eighth of the span at least.
const JITTER_US: i64 = 2 * US_PER_S;
/// Readings in the time of one, and the least: some are lost, and intervals are not kept to the second.
const PACE_MAX: f64 = 1.25;
const PACE_MIN: f64 = 0.5;
/// One of so many readings, at the least, is strange where a clock is not as it was thought to be.
const STRANGE_OF: u32 = 4;

/// Seconds between a sensor's readings, as observed and as configured: the shorter and the longer of the two.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    pub shorter_s: f64,
    pub longer_s: f64,
}

/// A reading with a strange stamp.
#[derive(Debug, Clone, Copy)]
pub struct Stamped {
    pub stamp_us: i64,
    pub received_us: i64,
    /// The moment for which people may be told of it as of a late one.
    pub late_us: Option<i64>,
    pub listened_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strange {
    /// Arrivals at different times.
    pub count: u32,
    /// Of all arrivals.
    readings: u32,
    pub first_stamp_us: i64,
    first_received_us: i64,
    pub last_received_us: i64,
    /// Least and most of the stamps of the last arrival: one within is delivered again.
    stamps_us: (i64, i64),
    /// The first moment for which people may have been told of one as of a late reading.
    pub late_us: Option<i64>,
    /// Where the facility's listening clock stood at the last arrival.
    listened_us: i64,
    /// Stamps advance as fast as they arrive, or stand still.
    pub is_regular: bool,
    pub is_paced: bool,
}

impl Strange {
    pub fn begin(reading: &Stamped) -> Self {
        Self {
            count: 1,
            readings: 1,
            first_stamp_us: reading.stamp_us,
            first_received_us: reading.received_us,
            last_received_us: reading.received_us,
            stamps_us: (reading.stamp_us, reading.stamp_us),
            late_us: reading.late_us,
            listened_us: reading.listened_us,
            is_regular: true,
            is_paced: false,
        }
    }

    /// One more of the last arrival.
    pub fn join(&mut self, reading: &Stamped) {
        let (least_us, most_us) = self.stamps_us;
        if !(least_us..=most_us).contains(&reading.stamp_us) {
            self.stamps_us = (least_us.min(reading.stamp_us), most_us.max(reading.stamp_us));
            self.readings = self.readings.saturating_add(1);
            self.be_late(reading);
        }
    }

    /// The first of another arrival; whether these can be no sensor's readings as it measures them: they are a delivery of
    /// the past, or single ones.
    pub fn go_on(&mut self, reading: &Stamped, intervals: Intervals) -> bool {
        self.count = self.count.saturating_add(1);
        self.last_received_us = reading.received_us;
        self.stamps_us = (reading.stamp_us, reading.stamp_us);
        self.listened_us = reading.listened_us;
        self.be_late(reading);
        let stamped_us = reading.stamp_us.saturating_sub(self.first_stamp_us);
        self.is_regular &= is_steady(stamped_us, self.span_us()) || stamped_us.unsigned_abs() <= self.eighth_us();
        // those of this arrival may follow
        self.is_paced = self.is_within(intervals, 0.0);
        let is_of_no_pace = !self.is_within(intervals, 1.0);
        self.readings = self.readings.saturating_add(1);
        is_of_no_pace
    }

    /// A reading between them is as its clock was thought to be; none: so few are otherwise that it is.
    pub fn mixed(mut self, reading: &Stamped) -> Option<Self> {
        self.is_regular = false;
        if reading.received_us == self.last_received_us {
            self.join(reading);
        } else {
            self.readings = self.readings.saturating_add(1);
            self.last_received_us = reading.received_us;
            self.stamps_us = (reading.stamp_us, reading.stamp_us);
            self.listened_us = reading.listened_us;
        }
        (self.readings <= self.count.saturating_mul(STRANGE_OF)).then_some(self)
    }

    fn be_late(&mut self, reading: &Stamped) {
        self.late_us = self.late_us.into_iter().chain(reading.late_us).min();
    }

    pub fn span_us(&self) -> i64 {
        self.last_received_us.saturating_sub(self.first_received_us)
    }

    fn eighth_us(&self) -> u64 {
        self.span_us().unsigned_abs() / 8
    }

    /// Whether they came at the pace of measuring; so many more are no proof that they did not.
    fn is_within(&self, intervals: Intervals, spare: f64) -> bool {
        let (readings, span_s) = (f64::from(self.readings), self.span_us() as f64 / US_PER_S as f64);
        (readings - spare) * intervals.shorter_s <= PACE_MAX * span_s
            && readings * intervals.longer_s >= PACE_MIN * span_s
    }

    /// Where the listening clock stood when the last of several came that may be of now.
    pub fn lively_us(&self) -> Option<i64> {
        (self.is_paced && self.count > 1).then_some(self.listened_us)
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.count));
        put_varint(out, u64::from(self.readings));
        let (least_us, most_us) = self.stamps_us;
        for number in [self.first_stamp_us, self.first_received_us, self.last_received_us, least_us, most_us] {
            put_signed(out, number);
        }
        put_option_i64(out, self.late_us);
        put_signed(out, self.listened_us);
        put_bool(out, self.is_regular);
        put_bool(out, self.is_paced);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self {
            count: load_count(reader)?,
            readings: load_count(reader)?,
            first_stamp_us: reader.signed()?,
            first_received_us: reader.signed()?,
            last_received_us: reader.signed()?,
            stamps_us: (reader.signed()?, reader.signed()?),
            late_us: reader.option_i64()?,
            listened_us: reader.signed()?,
            is_regular: reader.bool()?,
            is_paced: reader.bool()?,
        })
    }

    /// As versions before 6 kept it, which knew no pace: those of a run advanced as they arrived.
    pub fn load_before_6(reader: &mut Reader<'_>) -> Wire<Self> {
        let count = load_count(reader)?;
        let (first_us, first_stamp_us) = (reader.signed()?, reader.signed()?);
        let (first_received_us, last_received_us) = (reader.signed()?, reader.signed()?);
        let late_us = Some(first_us);
        let reading = Stamped { stamp_us: first_stamp_us, received_us: first_received_us, late_us, listened_us: 0 };
        Ok(Self { count, readings: count, last_received_us, ..Self::begin(&reading) })
    }
}

/// Whether stamps advance as fast as they arrive.
pub fn is_steady(stamped_us: i64, span_us: i64) -> bool {
    stamped_us.abs_diff(span_us) <= JITTER_US.max(span_us / 8).unsigned_abs()
}

fn load_count(reader: &mut Reader<'_>) -> Wire<u32> {
    u32::try_from(reader.varint()?).map_err(|_| WireError::new("arrivals do not fit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: Intervals = Intervals { shorter_s: 4.0, longer_s: 4.0 };

    /// After arrivals every so many seconds with so many readings each: at their pace, and of none.
    fn after(arrivals: i64, every_s: f64, each: i64) -> (bool, bool) {
        let reading = |arrival: i64, number: i64| Stamped {
            stamp_us: -(arrival * 100 + number) * US_PER_S,
            received_us: (arrival as f64 * every_s * US_PER_S as f64) as i64,
            late_us: None,
            listened_us: 7,
        };
        let mut strange = Strange::begin(&reading(0, 0));
        (1..each).for_each(|number| strange.join(&reading(0, number)));
        let mut is_of_no_pace = false;
        for arrival in 1..arrivals {
            is_of_no_pace = strange.go_on(&reading(arrival, 0), INTERVALS);
            for _ in 0..2 {
                (1..each).for_each(|number| strange.join(&reading(arrival, number)));
            }
        }
        (strange.is_paced, is_of_no_pace)
    }

    #[test]
    fn a_pace_is_that_of_measuring_however_readings_are_bundled() {
        for every_s in [3.2, 4.0, 8.0] {
            assert_eq!(after(5, every_s, 1), (true, false), "{every_s}");
        }
        assert_eq!(after(5, 3.1, 1), (false, false), "a little too fast is no proof of anything");
        assert_eq!((after(5, 8.1, 1), after(5, 0.4, 1)), ((false, true), (false, true)));
        assert_eq!((after(5, 60.0, 15), after(5, 60.0, 60)), ((true, false), (false, true)));
    }

    #[test]
    fn stamps_advance_as_they_arrive_with_an_eighth_of_jitter() {
        for (stamped_s, span_s, expected) in
            [(98, 100, true), (112, 100, true), (113, 100, false), (2, 0, true), (3, 0, false)]
        {
            assert_eq!(is_steady(stamped_s * US_PER_S, span_s * US_PER_S), expected, "{stamped_s} in {span_s}");
        }
    }
}
