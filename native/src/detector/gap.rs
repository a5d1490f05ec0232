//! The clock of one sensor: its usual interval, and whether a reading has a neighbour.
//!
//! That readings stay away is the stale alarm's business (`sensor.rs`): it counts silence while it lasts, on the intake's
//! clock. Here a gap is what a reading finds behind it, in event time: a missing stretch, or a clock set forward. Views then rest for
//! one reading, dwell times are not known, and the first gap far longer than any before has a score but no alarm. A clock set back makes
//! readings late, which `sensor.rs` scores against the present and never learns.

use crate::wire::{put_f32s, put_f64s, put_signed, Reader, Wire, WireError};

/// Beyond this many usual intervals a reading has no neighbour.
pub const GAP_INTERVALS: f64 = 8.0;
const PACE_MIN: f64 = 0.25;
/// A step of the running median.
const MEDIAN_STEP: f64 = 1.02;
/// Bounds of the usual interval: a millisecond, a week.
const INTERVAL_S: (f64, f64) = (1e-3, 7.0 * 86_400.0);
/// Where nothing else is known.
const INTERVAL_S_FIRST: f64 = 60.0;
/// A gap must be so many times the longest before to be strange. What was long is forgotten by half in some 1,400 readings.
const STRANGE_TIMES: f32 = 2.0;
const LONGEST_KEPT: f32 = 0.9995;

/// How a reading follows the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Seconds since the reading before; the usual interval for the first.
    pub elapsed_s: f64,
    /// That over the usual interval, clipped to 0.25..8.
    pub pace: f64,
    /// The same, not clipped, where the reading has no neighbour.
    pub gap_intervals: Option<f64>,
    /// The usual interval so far.
    pub interval_s: f64,
    /// The gap is far longer than any before.
    pub is_strange: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clock {
    /// Event time of the last reading; none before the first, when the interval is zero.
    pub last_us: i64,
    pub interval_s: f64,
    /// The longest gap, in usual intervals.
    longest: f32,
}

impl Clock {
    fn is_new(&self) -> bool {
        self.interval_s == 0.0
    }

    /// Whether a reading is older than, or as old as, the last one.
    pub fn is_late(&self, at_us: i64) -> bool {
        !self.is_new() && at_us <= self.last_us
    }

    /// Step to a reading that is not late. `expected_interval_s` is the configured one, where the estimate begins.
    pub fn step(&mut self, at_us: i64, expected_interval_s: f64) -> Step {
        if self.is_new() {
            let expected = if expected_interval_s > 0.0 { expected_interval_s } else { INTERVAL_S_FIRST };
            self.interval_s = expected.clamp(INTERVAL_S.0, INTERVAL_S.1);
            self.last_us = at_us;
            let interval_s = self.interval_s;
            return Step { elapsed_s: interval_s, pace: 1.0, gap_intervals: None, interval_s, is_strange: false };
        }
        let elapsed_s = at_us.saturating_sub(self.last_us) as f64 / 1e6;
        let intervals = elapsed_s / self.interval_s;
        let is_gap = intervals > GAP_INTERVALS;
        let step = Step {
            elapsed_s,
            pace: intervals.clamp(PACE_MIN, GAP_INTERVALS),
            gap_intervals: is_gap.then_some(intervals),
            interval_s: self.interval_s,
            is_strange: is_gap && intervals as f32 > STRANGE_TIMES * self.longest,
        };
        self.longest = (LONGEST_KEPT * self.longest).max(intervals.min(1e12) as f32);
        self.last_us = at_us;
        // as many steps up as down
        self.interval_s *= if elapsed_s > self.interval_s { MEDIAN_STEP } else { 1.0 / MEDIAN_STEP };
        self.interval_s = self.interval_s.clamp(INTERVAL_S.0, INTERVAL_S.1);
        step
    }

    /// From when on silence is a gap far longer than any before; none before the first reading.
    pub fn strange_from_us(&self) -> Option<i64> {
        let intervals = GAP_INTERVALS.max(f64::from(STRANGE_TIMES * self.longest));
        (!self.is_new()).then(|| self.last_us.saturating_add((intervals * self.interval_s * 1e6) as i64))
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.last_us);
        put_f64s(out, &[self.interval_s]);
        put_f32s(out, &[self.longest]);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let last_us = reader.signed()?;
        let ([interval_s], [longest]) = (reader.f64s()?, reader.f32s()?);
        if interval_s != 0.0 && !(INTERVAL_S.0..=INTERVAL_S.1).contains(&interval_s) {
            return Err(WireError::new(format!("a usual interval of {interval_s} s")));
        }
        Ok(Self { last_us, interval_s, longest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn clock_after(readings: i64) -> Clock {
        let mut clock = Clock::default();
        for reading in 0..readings {
            clock.step(reading * 10 * S, 10.0);
        }
        clock
    }

    #[test]
    fn eight_intervals_are_no_gap_and_more_are() {
        let clock = clock_after(100);
        let us = (8.0 * clock.interval_s * 1e6) as i64;
        assert_eq!(clock.clone().step(clock.last_us + us, 10.0).gap_intervals, None);
        assert!(clock.clone().step(clock.last_us + us + S, 10.0).gap_intervals.is_some());
    }

    #[test]
    fn the_second_gap_of_a_length_is_known() {
        let mut clock = clock_after(100);
        assert!(clock.step(clock.last_us + 3_600 * S, 10.0).is_strange);
        assert!(!clock.step(clock.last_us + 3_600 * S, 10.0).is_strange);
        assert!(clock.step(clock.last_us + 9_000 * S, 10.0).is_strange);
    }

    #[test]
    fn silence_is_strange_when_a_gap_of_its_length_would_be() {
        assert_eq!(Clock::default().strange_from_us(), None);
        let mut clock = clock_after(100);
        let from_us = clock.strange_from_us().unwrap();
        assert!(!clock.clone().step(from_us, 10.0).is_strange && clock.clone().step(from_us + S, 10.0).is_strange);
        clock.step(clock.last_us + 3_600 * S, 10.0);
        assert!(clock.strange_from_us().unwrap() > clock.last_us + 7_000 * S);
    }

    #[test]
    fn the_interval_follows_the_median_and_not_the_gaps() {
        let mut clock = clock_after(100);
        for _ in 0..300 {
            clock.step(clock.last_us + 30 * S, 10.0);
        }
        assert!((29.0..31.0).contains(&clock.interval_s), "{}", clock.interval_s);
        clock.step(clock.last_us + 1_000_000 * S, 10.0);
        assert!((29.0..31.5).contains(&clock.interval_s), "{}", clock.interval_s);
    }
}
