//! Stuck: a run of equal readings against the signal's own runs of equal steps.
//!
//! Equal steps, because historians fill what they left out with straight lines, level ones too. Runs of a signal that changes by chance are geometric, and of such the run in which an average reading lies, E[n²]/E[n], is twice as
//! long as the rate of forgetting says; rests make it longer still, so that a signal that comes to rest of its own accord is given time.

use crate::wire::{put_f32s, put_f64s, Reader, Wire};

/// Runs that must have been seen before any is strange.
const RUNS_MIN: f32 = 500.0;
const MEMORY_RUNS: f32 = 1_000.0;
/// Runs no longer than this are never strange.
const LENGTH_MIN: f32 = 10.0;
/// A run must be so many times the longest before to be strange.
const STRANGE_TIMES: f32 = 2.0;
/// What a run may add to what is known of runs: a sensor that froze once may freeze again.
const LEARN_TIMES: f32 = 4.0;
/// Beyond this length the signal rests at times, and a day of it must be known.
const RESTS_FROM: f32 = 4.0;
const LENGTH_MAX: f32 = 1e6;
/// Steps are equal within this share of the larger, and of the value, which is what rounding leaves.
const STEP_SHARE: f64 = 1e-6;
const VALUE_SHARE: f64 = 1e-15;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Runs {
    last: f64,
    step: f64,
    length: f32,
    runs: f32,
    mean: f32,
    square: f32,
    longest: f32,
}

impl Runs {
    /// Decades of surprise at the present run, this reading included; zero while nothing can be said.
    pub fn see(&mut self, value: f64, is_day_known: bool) -> f32 {
        let step = value - self.last;
        let same = STEP_SHARE * step.abs().max(self.step.abs()) + VALUE_SHARE * value.abs();
        if self.length > 0.0 && (step - self.step).abs() <= same {
            self.length = (self.length + 1.0).min(LENGTH_MAX);
        } else {
            self.learn();
            self.length = 1.0;
        }
        (self.last, self.step) = (value, step);
        // zero is where things are that are switched off
        if self.length <= LENGTH_MIN || self.runs < RUNS_MIN || step != 0.0 || value == 0.0 {
            return 0.0;
        }
        let is_resting = self.longest > RESTS_FROM && !is_day_known;
        if is_resting || self.length <= STRANGE_TIMES * self.longest {
            return 0.0;
        }
        2.0 * self.length / (self.usual() * std::f32::consts::LN_10)
    }

    /// Whether this reading's step was unlike the one before.
    pub fn is_bend(&self) -> bool {
        self.length == 1.0
    }

    /// The run in which an average reading lies.
    fn usual(&self) -> f32 {
        (self.square / self.mean).max(1.0)
    }

    fn learn(&mut self) {
        if self.length == 0.0 {
            return;
        }
        let is_known = self.runs >= RUNS_MIN;
        let length = if is_known { self.length.min(LEARN_TIMES * self.longest) } else { self.length };
        self.runs = (self.runs + 1.0).min(MEMORY_RUNS);
        self.mean += (length - self.mean) / self.runs;
        self.square += (length * length - self.square) / self.runs;
        self.longest = self.longest.max(length);
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.last, self.step]);
        put_f32s(out, &[self.length, self.runs, self.mean, self.square, self.longest]);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let ([last, step], [length, runs, mean, square, longest]) = (reader.f64s()?, reader.f32s()?);
        Ok(Self { last, step, length, runs, mean, square, longest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of these lengths one after the other, no two steps alike.
    fn runs_of(lengths: impl Iterator<Item = usize>) -> Runs {
        let mut runs = Runs::default();
        for (index, length) in lengths.enumerate() {
            for _ in 0..length {
                runs.see(1.0 + (index * index) as f64, true);
            }
        }
        runs
    }

    fn strange_after(mut runs: Runs, decades: f32, is_day_known: bool) -> Option<usize> {
        (1..10_000).find(|_| runs.see(-1.0, is_day_known) >= decades)
    }

    #[test]
    fn a_signal_that_never_repeats_is_soon_stuck() {
        assert_eq!(strange_after(runs_of((0..600).map(|_| 1)), 6.0, false), Some(12));
        assert_eq!(strange_after(runs_of((0..400).map(|_| 1)), 6.0, true), None, "too little is known");
    }

    #[test]
    fn a_signal_that_repeats_is_given_time() {
        let lengths = || (0..600).map(|index| 1 + index * 7 % 5);
        let after = strange_after(runs_of(lengths()), 6.0, true).unwrap();
        assert!((15..40).contains(&after), "{after}");
        let rests = || lengths().map(|length| if length == 5 { 200 } else { length });
        assert!(strange_after(runs_of(rests()), 6.0, true).unwrap() > 400);
        assert_eq!(strange_after(runs_of(rests()), 6.0, false), None, "rests follow the day");
    }

    #[test]
    fn what_a_historian_filled_in_is_a_run_too() {
        let mut runs = Runs::default();
        for index in 0..600 {
            for step in 0..60 {
                runs.see(f64::from(index * index) + f64::from(step * index) / 8.0, true);
            }
        }
        assert!(strange_after(runs, 6.0, true).unwrap() > 110);
    }

    #[test]
    fn a_zero_is_switched_off_and_not_stuck() {
        let mut runs = runs_of((0..600).map(|_| 1));
        assert!((0..1000).all(|_| runs.see(0.0, true) == 0.0));
    }
}
