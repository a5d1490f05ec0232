//! What every view needs of a signal: means at several half-lives, spread, mean differences. Weights decay by time.

use super::course::Course;
use crate::wire::{put_f64s, put_varint, Reader, Wire, WireError};

/// Half-lives of the means, in usual intervals.
pub const HALF_INTERVALS: [f64; 4] = [4.0, 16.0, 64.0, 512.0];
/// Half-life of the mean difference.
const DIFFERENCE_INTERVALS: f64 = 11.0;
/// Half-life of the long mean difference.
const DIFFERENCE_LONG_INTERVALS: f64 = 1_000.0;
/// The smallest spread that means anything, as a share of the level: what good instruments are accurate to.
const SPREAD_SHARE_MIN: f64 = 0.001;
/// After so many half-lives nothing is left, within what `weight` is good for.
const FORGOTTEN_HALVES: f64 = 5.0;
/// Nothing is divided by less.
const SPREAD_MIN: f64 = 1e-30;
/// Readings beyond this many spreads are clipped before they are learned.
const CLIP_SPREADS: f64 = 8.0;
/// Views see the signal within this many spreads of its mean.
const Z_MAX: f64 = 20.0;

/// A reading as views see it, before it is learned.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub at_us: i64,
    /// The value less the first one, so that a large level costs no digits.
    pub lifted: f64,
    /// Seconds since the reading before over the usual interval, clipped to 0.25..8.
    pub pace: f64,
    /// The same, not clipped, where the reading has no neighbour.
    pub gap_intervals: Option<f64>,
    pub interval_s: f64,
    pub readings: f64,
    /// How many readings are remembered.
    pub memory: f64,
    pub spread: f64,
    /// The value and the means, in spreads from the long mean.
    pub z: f32,
    pub means_z: [f32; 4],
    /// Mean absolute difference between neighbours, short and long, in spreads.
    pub difference: f32,
    pub difference_long: f32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signal {
    readings: u64,
    anchor: f64,
    last: f64,
    mean: f64,
    variance: f64,
    means: [f64; 4],
    difference: f64,
    difference_long: f64,
}

/// 1 - 2^(-pace / half), by a rational approximation (error below 0.3 % of it): the same bits everywhere, and quick.
#[inline]
pub fn weight(pace: f64, half: f64) -> f64 {
    let t = pace * std::f64::consts::LN_2 / half;
    t / (1.0 + t * (0.5 + t / 12.0))
}

impl Signal {
    pub fn begin(value: f64) -> Self {
        Self { readings: 1, anchor: value, last: value, mean: value, means: [value; 4], ..Self::default() }
    }

    pub fn see(&self, at_us: i64, value: f64, pace: f64, gap_intervals: Option<f64>, interval_s: f64) -> Seen {
        let spread = self.spread();
        let scaled = |value: f64| ((value - self.mean) / spread).clamp(-Z_MAX, Z_MAX) as f32;
        Seen {
            at_us,
            lifted: value - self.anchor,
            pace,
            gap_intervals,
            interval_s,
            readings: self.readings as f64,
            // about a day's half-life
            memory: (1.44 * 86_400.0 / interval_s).clamp(2_000.0, 50_000.0),
            spread,
            z: scaled(value),
            means_z: self.means.map(scaled),
            difference: (self.difference / spread).min(Z_MAX) as f32,
            difference_long: (self.difference_long / spread).min(Z_MAX) as f32,
        }
    }

    pub fn learn(&mut self, value: f64, seen: &Seen) {
        let known = 1.0 / seen.readings;
        let clip = CLIP_SPREADS * seen.spread;
        let difference = value - self.mean;
        let clipped = if seen.readings > 50.0 { difference.clamp(-clip, clip) } else { difference };
        let share = 1.0 / seen.readings.clamp(2.0, seen.memory);
        self.mean += share * clipped;
        self.variance += share * (clipped * clipped * (1.0 - share) - self.variance);
        for (mean, half) in self.means.iter_mut().zip(HALF_INTERVALS) {
            // after a gap a mean has forgotten as much as the time says, or nearly all
            let pace = seen.gap_intervals.map_or(seen.pace, |intervals| intervals.min(FORGOTTEN_HALVES * half));
            *mean += weight(pace, half).max(known) * (value - *mean);
        }
        if seen.gap_intervals.is_none() {
            self.learn_difference((value - self.last).abs(), known, share, seen);
        }
        self.last = value;
        self.readings += 1;
    }

    fn learn_difference(&mut self, difference: f64, known: f64, share: f64, seen: &Seen) {
        self.difference += weight(seen.pace, DIFFERENCE_INTERVALS).max(known) * (difference - self.difference);
        let share = share.max(weight(seen.pace, DIFFERENCE_LONG_INTERVALS));
        let clipped = difference.min(8.0 * self.difference_long.max(1e-9 * seen.spread));
        self.difference_long += share * (clipped - self.difference_long);
        if seen.readings < 20.0 {
            self.difference_long = self.difference;
        }
    }

    /// The spread as it is, however small.
    pub fn deviation(&self) -> f64 {
        self.variance.sqrt()
    }

    pub fn spread(&self) -> f64 {
        self.variance.sqrt().max(SPREAD_SHARE_MIN * self.mean.abs()).max(SPREAD_MIN)
    }

    pub fn course(&self) -> Course {
        Course {
            spread: self.deviation(),
            means: self.means,
            step: self.difference,
            step_long: self.difference_long,
            ..Course::default()
        }
    }

    /// A lifted value as it was.
    pub fn lowered(&self, lifted: f64) -> f64 {
        lifted + self.anchor
    }

    /// The level the signal is expected near: its mean over about a quarter of an hour of readings.
    pub fn expected(&self) -> f64 {
        self.means[1]
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.readings);
        put_f64s(out, &[self.anchor, self.last, self.mean, self.variance, self.difference, self.difference_long]);
        put_f64s(out, &self.means);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let readings = reader.varint()?;
        let [anchor, last, mean, variance, difference, difference_long] = reader.f64s()?;
        if readings == 0 || variance < 0.0 {
            return Err(WireError::new(format!("a signal of {readings} readings with variance {variance}")));
        }
        Ok(Self { readings, anchor, last, mean, variance, means: reader.f64s()?, difference, difference_long })
    }
}
