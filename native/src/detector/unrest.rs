//! Unrest: how lively the signal is between two of its means, now against usually. A swing, a sticking valve and noise raise
//! it at their own pace; a dying instrument lowers it.

use super::signal::{weight, Seen, HALF_INTERVALS};
use super::view::{Look, View};
use crate::wire::{put_f32s, Reader, Wire};

/// Liveliness below this share of the spread is nothing.
const FLOOR: f32 = 1e-3;
/// "Now" reaches back so many half-lives of the band's slower mean.
const NOW_HALVES: f64 = 2.0;
/// Readings until "usual" is known.
const FIRST_READINGS: f32 = 100.0;
/// What is livelier than so many times the usual is clipped before it is learned.
const CLIP: f32 = 3.0;
/// Quieter than usual counts half: most signals have quiet hours.
const QUIET: f32 = 0.5;

/// `BAND` is the place of the slower mean in `HALF_INTERVALS`; the faster one is that before it, or the value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unrest<const BAND: usize> {
    readings: f32,
    now: f32,
    usual: f32,
}

impl<const BAND: usize> View for Unrest<BAND> {
    #[inline]
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        let [first, second, third, _] = seen.means_z;
        let (fast, slow) = [(seen.z, first), (first, second), (second, third)].get(BAND).copied().unwrap_or_default();
        // in the signal's own unit, which does not move as its spread does
        let size = (fast - slow).abs() * seen.spread as f32;
        let half = NOW_HALVES * HALF_INTERVALS.get(BAND).copied().unwrap_or(1.0);
        let share = (weight(seen.pace, half) as f32).max(1.0 / (self.readings + 1.0));
        self.readings = (self.readings + 1.0).min(seen.memory as f32);
        self.now += share * (size - self.now);
        let known = if self.readings > FIRST_READINGS { self.now.min(CLIP * self.usual) } else { self.now };
        self.usual += (known - self.usual) / self.readings;
        if self.readings < FIRST_READINGS {
            return Look::Rest;
        }
        let floor = FLOOR * seen.spread as f32;
        let ratio = libm::logf((self.now + floor) / (self.usual + floor));
        Look::Residual(if ratio > 0.0 { ratio } else { -QUIET * ratio })
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f32s(out, &[self.readings, self.now, self.usual]);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [readings, now, usual] = reader.f32s()?;
        Ok(Self { readings, now, usual })
    }
}

impl<const BAND: usize> Unrest<BAND> {
    /// How many times as lively as usual.
    pub fn times(&self) -> f32 {
        self.now / self.usual.max(f32::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::Signal;
    use super::*;

    /// What the last of 4,000 readings says, of which the last 300 are a swing so many readings long.
    fn at_the_end<const BAND: usize>(swing_readings: f64) -> f32 {
        let mut signal = Signal::begin(0.0);
        let (mut view, mut said) = (Unrest::<BAND>::default(), 0.0);
        for step in 0..4_000u32 {
            let noise = f64::from(step.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
            let angle = std::f64::consts::TAU * f64::from(step) / swing_readings;
            let value = noise + if step >= 3_700 { 2.0 * libm::sin(angle) } else { 0.0 };
            let seen = signal.see(i64::from(step) * 10_000_000, value, 1.0, None, 10.0);
            if let Look::Residual(residual) = view.look(&seen, 1.0) {
                said = residual;
            }
            signal.learn(value, &seen);
        }
        said
    }

    #[test]
    fn each_band_hears_swings_of_its_own_pace() {
        let (quick, slow) = (at_the_end::<0>(6.0), at_the_end::<0>(200.0));
        assert!(quick > 1.2 && quick > 2.0 * slow, "{quick} {slow}");
        let (quick, slow) = (at_the_end::<2>(6.0), at_the_end::<2>(200.0));
        assert!(slow > 1.2 && slow > 2.0 * quick, "{quick} {slow}");
    }
}
