//! The anomaly score of one sensor: views turn readings into residuals, a tail model turns residuals into decades.
//!
//! One view a file, one list (`Scorer`). A view sees readings in order of event time and before it learns them.

mod ewma_residual;
mod tail;

use ewma_residual::EwmaResidual;
use tail::Tail;

use crate::wire::{put_f64, put_signed, put_varint, Reader, Wire, WireError};

/// Readings a sensor must have given before its score has a say.
pub const WARMING_READINGS: u64 = 300;
/// One false alarm in this time is what a sensor may cost.
const BUDGET_S: f64 = 20.0 * 86_400.0;
/// Decades above the budget's own threshold, since no tail model is exact.
const MARGIN_DECADES: f64 = 1.0;
const DECADES_MIN: f64 = 5.0;
/// The recent peak that a new alarm must exceed loses half its decades in this time.
const PEAK_HALF_S: f64 = 6.0 * 3_600.0;
/// Beyond this many usual intervals a reading has no neighbour.
const GAP_INTERVALS: f64 = 8.0;
/// Below this share of readings that differ from the one before, a signal has levels or stands still.
const MOVED_SHARE_MIN: f64 = 0.25;
/// Values are clipped to this before any arithmetic, so that squares stay finite.
const VALUE_MAX: f64 = 1e150;

/// A reading as views see it.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    pub value: f64,
    /// Seconds since the reading before, clipped to 0.25..8 usual intervals.
    pub elapsed_s: f64,
    /// The usual interval, seconds.
    pub interval_s: f64,
}

/// One way of looking at a signal.
pub trait View: Clone + Default {
    const NAME: &'static str;
    /// What the view takes for normal now.
    fn expected(&self) -> f64;
    /// How far a value is from that; not negative, finite.
    fn residual(&self, value: f64) -> f64;
    /// Take the reading in. A residual beyond `usual` is clipped.
    fn learn(&mut self, observation: &Observation, usual: f64);
    fn save(&self, out: &mut Vec<u8>);
    fn load(reader: &mut Reader<'_>) -> Wire<Self>;
}

/// What a score says and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Decades of surprise; none while the score has no say.
    pub decades: Option<f64>,
    pub warming: bool,
    /// The score is above threshold and above the decayed recent peak.
    pub alarming: bool,
    /// Nothing unusual: far below the threshold, or a signal that stands still.
    pub calm: bool,
    pub threshold: f64,
    pub expected: f64,
    /// Half width of what 98 % of readings keep to.
    pub band: f64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scorer {
    readings: u64,
    last_us: i64,
    last_value: f64,
    interval_s: f64,
    moved_share: f64,
    peak: f64,
    peak_us: i64,
    view: EwmaResidual,
    tail: Tail,
}

impl Scorer {
    /// Score a reading and learn it. `expected_interval_s` is the configured one, where the estimate begins.
    pub fn observe(&mut self, at_us: i64, value: f64, expected_interval_s: f64) -> Score {
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        if self.readings == 0 {
            self.begin(at_us, value, expected_interval_s);
            return self.no_say();
        }
        let elapsed_s = (at_us - self.last_us) as f64 / 1e6;
        let after_gap = elapsed_s > GAP_INTERVALS * self.interval_s;
        let observation = Observation {
            value,
            elapsed_s: elapsed_s.clamp(0.25 * self.interval_s, GAP_INTERVALS * self.interval_s),
            interval_s: self.interval_s,
        };
        let residual = self.view.residual(value);
        let score = if after_gap { Score { calm: false, ..self.no_say() } } else { self.judge(at_us, residual) };
        self.learn(&observation, residual, after_gap);
        self.follow_signal(value, elapsed_s);
        self.last_us = at_us;
        score
    }

    /// Score a late reading against the present; nothing is learned.
    pub fn peek(&self, value: f64) -> Option<f64> {
        self.has_say().then(|| self.decades(self.view.residual(value.clamp(-VALUE_MAX, VALUE_MAX))))
    }

    fn begin(&mut self, at_us: i64, value: f64, expected_interval_s: f64) {
        self.readings = 1;
        self.last_us = at_us;
        self.last_value = value;
        self.interval_s = if expected_interval_s > 0.0 { expected_interval_s } else { 60.0 };
        self.moved_share = 1.0;
        self.learn_view(&Observation { value, elapsed_s: self.interval_s, interval_s: self.interval_s });
    }

    fn learn(&mut self, observation: &Observation, residual: f64, after_gap: bool) {
        if !after_gap {
            self.tail.learn(residual, self.memory_readings());
        }
        self.learn_view(observation);
        self.readings += 1;
    }

    fn learn_view(&mut self, observation: &Observation) {
        let usual = self.tail.usual();
        self.view.learn(observation, usual);
    }

    fn follow_signal(&mut self, value: f64, elapsed_s: f64) {
        let moved = f64::from(u8::from(value != self.last_value));
        self.moved_share += 0.02 * (moved - self.moved_share);
        self.last_value = value;
        // a running median: as many steps up as down
        self.interval_s *= if elapsed_s > self.interval_s { 1.02 } else { 1.0 / 1.02 };
        self.interval_s = self.interval_s.clamp(1e-3, 7.0 * 86_400.0);
    }

    /// About a day's half-life, in readings.
    fn memory_readings(&self) -> f64 {
        (1.44 * 86_400.0 / self.interval_s).clamp(2_000.0, 50_000.0)
    }

    fn is_warming(&self) -> bool {
        self.readings < WARMING_READINGS
    }

    fn has_say(&self) -> bool {
        !self.is_warming() && self.moved_share >= MOVED_SHARE_MIN
    }

    fn decades(&self, residual: f64) -> f64 {
        // far below the resolution of the value itself nothing is a surprise
        let floor = self.view.expected().abs() * 1e-9;
        self.tail.surprise(residual, floor)
    }

    fn threshold(&self) -> f64 {
        (libm::log10(BUDGET_S / self.interval_s) + MARGIN_DECADES).max(DECADES_MIN)
    }

    fn judge(&mut self, at_us: i64, residual: f64) -> Score {
        if !self.has_say() {
            return self.no_say();
        }
        let decades = self.decades(residual);
        let mut score = Score { decades: Some(decades), calm: true, ..self.no_say() };
        if decades > DECADES_MIN / 2.0 {
            let threshold = self.threshold();
            score.threshold = threshold;
            score.calm = decades < threshold / 2.0;
            if decades >= threshold {
                let since_peak_s = (at_us - self.peak_us) as f64 / 1e6;
                let decayed = self.peak * libm::exp2(-since_peak_s / PEAK_HALF_S);
                score.alarming = decades > decayed;
                if score.alarming {
                    self.peak = decades;
                    self.peak_us = at_us;
                }
            }
        }
        score
    }

    fn no_say(&self) -> Score {
        Score {
            decades: None,
            warming: self.is_warming(),
            alarming: false,
            calm: !self.is_warming(),
            threshold: 0.0,
            expected: self.view.expected(),
            band: self.tail.level(),
        }
    }

    pub fn view_name(&self) -> &'static str {
        EwmaResidual::NAME
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.readings);
        put_signed(out, self.last_us);
        put_signed(out, self.peak_us);
        for number in [self.last_value, self.interval_s, self.moved_share, self.peak] {
            put_f64(out, number);
        }
        self.view.save(out);
        self.tail.save(out);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let scorer = Self {
            readings: reader.varint()?,
            last_us: reader.signed()?,
            peak_us: reader.signed()?,
            last_value: reader.f64()?,
            interval_s: reader.f64()?,
            moved_share: reader.f64()?,
            peak: reader.f64()?,
            view: EwmaResidual::load(reader)?,
            tail: Tail::load(reader)?,
        };
        if scorer.readings > 0 && scorer.interval_s <= 0.0 {
            return Err(WireError::new(format!("a usual interval of {} s", scorer.interval_s)));
        }
        Ok(scorer)
    }
}

#[cfg(test)]
mod contract {
    //! What every view must keep; a new one adds a line to `every_view`.

    use super::*;
    use proptest::prelude::*;

    fn observation(value: f64, elapsed_s: f64) -> Observation {
        Observation { value: value.clamp(-VALUE_MAX, VALUE_MAX), elapsed_s, interval_s: 10.0 }
    }

    fn saved<V: View>(view: &V) -> Vec<u8> {
        let mut bytes = Vec::new();
        view.save(&mut bytes);
        bytes
    }

    fn residuals_are_finite_and_not_negative<V: View>(readings: &[(f64, f64)]) {
        let mut view = V::default();
        for (index, (value, elapsed_s)) in readings.iter().enumerate() {
            let observation = observation(*value, *elapsed_s);
            let residual = view.residual(observation.value);
            assert!(residual.is_finite() && residual >= 0.0, "{}: {residual} at {index}", V::NAME);
            assert!(view.expected().is_finite(), "{}", V::NAME);
            view.learn(&observation, if index < 5 { 0.0 } else { residual / 2.0 });
        }
    }

    fn a_snapshot_changes_nothing<V: View>(readings: &[(f64, f64)], cut: usize) {
        let (mut whole, mut resumed) = (V::default(), V::default());
        for (index, (value, elapsed_s)) in readings.iter().enumerate() {
            if index == cut % readings.len() {
                let bytes = saved(&resumed);
                let mut reader = Reader::new(&bytes);
                resumed = V::load(&mut reader).unwrap();
                assert!(reader.is_empty() && saved(&resumed) == bytes, "{}", V::NAME);
            }
            for view in [&mut whole, &mut resumed] {
                view.learn(&observation(*value, *elapsed_s), 1.0);
            }
        }
        assert_eq!(saved(&whole), saved(&resumed), "{}", V::NAME);
    }

    fn the_present_is_expected<V: View>() {
        let mut view = V::default();
        for _ in 0..200 {
            view.learn(&observation(7.0, 10.0), 0.0);
        }
        assert!((view.expected() - 7.0).abs() < 1e-9, "{}", V::NAME);
        assert!(view.residual(8.0) > view.residual(7.0), "{}", V::NAME);
    }

    macro_rules! every_view {
        ($check:ident($($argument:expr),*)) => {
            $check::<EwmaResidual>($($argument),*);
        };
    }

    #[test]
    fn views_follow_the_signal() {
        every_view!(the_present_is_expected());
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(256))]

        #[test]
        fn views_keep_the_contract(
            readings in prop::collection::vec((prop_oneof![any::<f64>().prop_filter("finite", |value| value.is_finite()), -5.0..5.0f64], 2.5..80.0f64), 1..60),
            cut in 0usize..60,
        ) {
            every_view!(residuals_are_finite_and_not_negative(&readings));
            every_view!(a_snapshot_changes_nothing(&readings, cut));
        }

        #[test]
        fn surprise_grows_with_the_residual(learned in prop::collection::vec(0.0..1e6f64, 40..200), one in 0.0..1e9f64, other in 0.0..1e9f64) {
            let mut tail = Tail::default();
            for residual in &learned {
                tail.learn(*residual, 2_000.0);
            }
            let (small, large) = (one.min(other), one.max(other));
            prop_assert!(tail.surprise(small, 0.0) <= tail.surprise(large, 0.0));
            prop_assert!(tail.surprise(large, 0.0).is_finite());
        }
    }
}
