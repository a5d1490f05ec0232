//! From the views' surprises to one score, and from the score to a voice: the refractory rule.

use crate::wire::{put_f64s, put_signed, Reader, Wire};

/// The recent peak that a new alarm must exceed loses half its decades in this many usual intervals.
const PEAK_HALF_INTERVALS: f64 = 200.0;

/// Decades by which an episode that speaks raises the threshold of its sensor; the budget's time takes one decade back.
const RAISE_DECADES: f64 = 0.5;
/// A sensor that spoke too often is still heard at this.
const RAISED_DECADES_MAX: f64 = 2.0;

/// Root of the sum of squares: all views count alike, docs/detection.md says why.
#[inline]
pub fn combine(shares: &[f32]) -> f64 {
    let sum: f32 = shares.iter().map(|share| share * share).sum();
    f64::from(sum.sqrt())
}

/// The largest recent score, decaying: only what exceeds it speaks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Peak {
    decades: f64,
    at_us: i64,
}

impl Peak {
    /// Whether a score speaks; then it is the new peak.
    pub fn exceeds(&mut self, decades: f64, at_us: i64, interval_s: f64) -> bool {
        let intervals = (at_us - self.at_us) as f64 / 1e6 / interval_s;
        let speaks = decades > self.decades * libm::exp2(-intervals / PEAK_HALF_INTERVALS);
        if speaks {
            (self.decades, self.at_us) = (decades, at_us);
        }
        speaks
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.decades]);
        put_signed(out, self.at_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [decades] = reader.f64s()?;
        Ok(Self { decades, at_us: reader.signed()? })
    }
}

/// What a sensor's own alarms have added to its threshold: views that always speak together would else cost more than
/// the budget.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Restraint {
    decades: f64,
    at_us: i64,
}

impl Restraint {
    #[inline]
    pub fn decades(&self, at_us: i64, budget_s: f64) -> f64 {
        if self.decades == 0.0 {
            return 0.0;
        }
        (self.decades - at_us.saturating_sub(self.at_us) as f64 / 1e6 / budget_s).max(0.0)
    }

    /// A score spoke. What speaks again before the peak has lost half its decades is the same episode, and counts once.
    pub fn raise(&mut self, at_us: i64, interval_s: f64, budget_s: f64) {
        let intervals = at_us.saturating_sub(self.at_us) as f64 / 1e6 / interval_s;
        if self.decades > 0.0 && intervals < PEAK_HALF_INTERVALS {
            return;
        }
        self.decades = (self.decades(at_us, budget_s) + RAISE_DECADES).min(RAISED_DECADES_MAX);
        self.at_us = at_us;
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f64s(out, &[self.decades]);
        put_signed(out, self.at_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [decades] = reader.f64s()?;
        Ok(Self { decades, at_us: reader.signed()? })
    }
}
