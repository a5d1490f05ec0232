//! One sensor as the facility sees it at a tick: its robust z, and whether it belongs to what moves together.

use crate::wire::{put_f64, put_varint, Reader, Wire, WireError};

const Z_MAX: f64 = 8.0;
/// Below this share of its level a spread means nothing.
const SPREAD_SHARE: f64 = 0.001;
/// Ticks before a channel's z means anything.
const FIRST_TICKS: u32 = 20;
/// From here on what it learns is clipped.
const CLIPPED_FROM_TICKS: u32 = 50;
/// A channel that differs from the tick before this often takes part, and does so until it is much less.
const MOVED_JOIN: f64 = 0.1;
const MOVED_LEAVE: f64 = 0.03;
/// A channel that falls less often than this counts something.
const FELL_MIN: f64 = 0.004;
const COUNTER_FROM_TICKS: u32 = 500;

#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    mean: f64,
    variance: f64,
    /// Ticks learned, up to the memory.
    seen: u32,
    last: f64,
    /// Share of ticks at which the value differed from the one before, and at which it was lower.
    moved: f64,
    fell: f64,
    moves: bool,
}

impl Default for Channel {
    fn default() -> Self {
        let (moved, fell) = (0.0, 0.02);
        Self { mean: 0.0, variance: 0.0, seen: 0, last: 0.0, moved, fell, moves: false }
    }
}

impl Channel {
    /// How many usual spreads from the usual level, clipped; zero while little is known.
    pub fn z(&self, value: f64) -> f32 {
        if self.seen < FIRST_TICKS {
            return 0.0;
        }
        let spread = self.variance.sqrt().max(SPREAD_SHARE * self.mean.abs()).max(1e-12);
        ((value - self.mean) / spread).clamp(-Z_MAX, Z_MAX) as f32
    }

    pub fn is_warm(&self) -> bool {
        self.seen >= FIRST_TICKS
    }

    /// Whether it belongs to what moves together: not a constant, not a switch, not a counter.
    pub fn takes_part(&self) -> bool {
        self.moves && self.is_warm() && (self.seen < COUNTER_FROM_TICKS || self.fell > FELL_MIN)
    }

    /// `calm` below one: something unusual goes on, learn less of it.
    pub fn learn(&mut self, value: f64, memory: u32, calm: f64) {
        if self.seen == 0 {
            (self.mean, self.last) = (value, value);
        }
        self.seen = (self.seen + 1).min(memory);
        let is_young = self.seen <= CLIPPED_FROM_TICKS;
        let weight = if is_young { 1.0 } else { calm } / f64::from(self.seen);
        let mut difference = value - self.mean;
        if !is_young {
            let bound = Z_MAX * self.variance.sqrt() + 0.02 * self.mean.abs();
            difference = difference.clamp(-bound, bound);
        }
        self.mean += weight * difference;
        self.variance += weight * (difference * difference * (1.0 - weight) - self.variance);
        self.follow(value);
    }

    fn follow(&mut self, value: f64) {
        let share = |condition: bool| f64::from(u8::from(condition));
        self.moved += (share(value != self.last) - self.moved) / f64::from(self.seen.min(100));
        self.fell += 0.002 * (share(value < self.last) - self.fell);
        self.moves = self.moved >= if self.moves { MOVED_LEAVE } else { MOVED_JOIN };
        self.last = value;
    }

    /// Something new is accepted: what was learned weighs as little as after so many ticks.
    pub fn forget_to(&mut self, ticks: u32) {
        self.seen = self.seen.min(ticks);
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for number in [self.mean, self.variance, self.last, self.moved, self.fell] {
            put_f64(out, number);
        }
        put_varint(out, u64::from(self.seen) << 1 | u64::from(self.moves));
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [mean, variance, last, moved, fell] =
            [reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?, reader.f64()?];
        // squares of what a sensor may measure, and no more
        if !(0.0..=1e62).contains(&variance) || mean.abs() > 1e31 {
            return Err(WireError::new(format!("a channel's mean of {mean}, variance {variance}")));
        }
        let packed = reader.varint()?;
        let seen = u32::try_from(packed >> 1).map_err(|_| WireError::new("a count of ticks does not fit"))?;
        Ok(Self { mean, variance, seen, last, moved, fell, moves: packed & 1 == 1 })
    }
}
