//! A counter: what is judged is its rate. A roll-over goes on counting, a reset begins anew.

use crate::wire::{put_bool, put_f64s, put_signed, put_varint, Reader, Wire};

/// Where counters roll over: powers of ten, and of two.
#[rustfmt::skip]
const LIMITS: [f64; 15] = [
    1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    32_768.0, 65_536.0, 16_777_216.0, 2_147_483_648.0, 4_294_967_296.0,
];
/// What a step over the roll-over may be, in usual steps.
const STEPS_MAX: f64 = 8.0;
/// A counter that has been reset has at most this share of what it had.
const RESET_SHARE: f64 = 0.1;
/// Falls that are neither resets nor roll-overs, after which it is no counter.
const FALLS_MAX: u8 = 2;
/// A reset so near to the time between the two before is one of a schedule.
const SCHEDULE_SHARE: f64 = 0.1;
/// Resets, of which those the budget's time ago count half, from which on they are usual.
const RESETS_MAX: f64 = 5.0;
const MEMORY_STEPS: f64 = 0.02;
/// Rates stay within what views take for a measurement.
const RATE_MAX: f64 = 1e30;

/// What a reading of a counter tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Count {
    /// Counted on, by so much a second.
    Rate(f64),
    /// No rate: the first reading, or a small step back.
    Unknown,
    /// Began anew; whether that is unusual of it.
    Reset { is_rare: bool },
    /// Falls too often: not a counter.
    Falls,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counter {
    last: f64,
    is_begun: bool,
    /// Mean rate, 1/s.
    rate: f64,
    falls: u8,
    /// When it was last reset, how long after the reset before (zero: not known), and how often lately.
    reset_us: i64,
    between_s: f64,
    resets: f64,
}

impl Counter {
    pub fn see(&mut self, at_us: i64, value: f64, elapsed_s: f64, budget_s: f64) -> Count {
        let last = std::mem::replace(&mut self.last, value);
        if !std::mem::replace(&mut self.is_begun, true) {
            return Count::Unknown;
        }
        if value >= last {
            return self.counted(value - last, elapsed_s);
        }
        let usual_step = self.rate * elapsed_s;
        if let Some(step) = rolled_over(last, value).filter(|step| *step <= STEPS_MAX * usual_step) {
            return self.counted(step, elapsed_s);
        }
        if value >= 0.0 && (value <= RESET_SHARE * last || value <= STEPS_MAX * usual_step) {
            return Count::Reset { is_rare: self.is_rare_reset(at_us, budget_s) };
        }
        self.falls += 1;
        if self.falls > FALLS_MAX {
            *self = Self::default();
            return Count::Falls;
        }
        Count::Unknown
    }

    /// Whether a reset is neither on a schedule nor one of many.
    fn is_rare_reset(&mut self, at_us: i64, budget_s: f64) -> bool {
        if self.resets == 0.0 {
            (self.reset_us, self.resets) = (at_us, 1.0);
            return true;
        }
        let since_s = at_us.saturating_sub(self.reset_us) as f64 / 1e6;
        let is_scheduled = (since_s - self.between_s).abs() <= SCHEDULE_SHARE * self.between_s;
        self.resets = self.resets * libm::exp2(-since_s / budget_s.max(1.0)) + 1.0;
        (self.reset_us, self.between_s) = (at_us, since_s);
        !is_scheduled && self.resets <= RESETS_MAX
    }

    fn counted(&mut self, step: f64, elapsed_s: f64) -> Count {
        let rate = (step / elapsed_s.max(1e-6)).min(RATE_MAX);
        self.rate += if self.rate == 0.0 { rate } else { MEMORY_STEPS * (rate - self.rate) };
        Count::Rate(rate)
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.last, self.rate, self.between_s, self.resets]);
        put_bool(out, self.is_begun);
        put_varint(out, u64::from(self.falls));
        put_signed(out, self.reset_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [last, rate, between_s, resets] = reader.f64s()?;
        let (is_begun, falls) = (reader.bool()?, reader.varint()?.min(u64::from(FALLS_MAX)) as u8);
        Ok(Self { last, rate, is_begun, falls, reset_us: reader.signed()?, between_s, resets })
    }
}

/// Whether a fall has the looks of a counter that begins anew.
pub fn is_fall_to_begin(last: f64, value: f64) -> bool {
    value >= 0.0 && value <= RESET_SHARE * last
}

/// The smallest step that leads from one reading to a smaller one over a limit.
fn rolled_over(last: f64, value: f64) -> Option<f64> {
    let limits = LIMITS.into_iter().filter(|limit| last <= *limit && value >= 0.0);
    limits.map(|limit| limit - last + value).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: f64 = 86_400.0;
    const S: i64 = 1_000_000;

    fn counted_to(value: f64) -> Counter {
        let mut counter = Counter::default();
        for index in (0..200).rev() {
            counter.see(-index * 10 * S, value - 5.0 * index as f64, 10.0, DAY_S);
        }
        counter
    }

    #[test]
    fn a_roll_over_counts_on() {
        for limit in [10_000.0, 65_536.0, 1e6, 4_294_967_296.0] {
            let mut counter = counted_to(limit - 2.0);
            assert_eq!(counter.see(10 * S, 3.0, 10.0, DAY_S), Count::Rate(0.5), "{limit}");
        }
    }

    /// Whether each reset of a counter, after so many hours each, is rare.
    fn rare(hours: &[f64]) -> Vec<bool> {
        let (mut counter, mut at_us) = (counted_to(4_000.0), 10 * S);
        let resets = hours.iter().map(|hours| {
            at_us += (hours * 3.6e9) as i64;
            counter.see(at_us - 10 * S, 5_000.0, 3_600.0, DAY_S);
            counter.see(at_us, 0.0, 10.0, DAY_S) == Count::Reset { is_rare: true }
        });
        resets.collect()
    }

    #[test]
    fn a_reset_is_rare_unless_it_is_on_a_schedule() {
        assert_eq!(rare(&[20.0, 24.0, 24.0, 23.0, 24.5]), [true, true, false, false, false]);
        assert_eq!(rare(&[20.0, 24.0, 40.0, 60.0]), [true; 4]);
    }

    #[test]
    fn many_resets_are_usual() {
        let told = rare(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(told, [true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn what_falls_thrice_is_no_counter() {
        let mut counter = counted_to(54_321.0);
        let falls = [54_300.0, 54_290.0, 54_280.0].map(|value| counter.see(10 * S, value, 10.0, DAY_S));
        assert_eq!(falls, [Count::Unknown, Count::Unknown, Count::Falls]);
    }
}
