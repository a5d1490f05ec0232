//! One sensor's detector: its clock, its kind of signal, its views, and the threshold that they must exceed.

use super::combine::{combine, Peak, Restraint};
use super::course::Course;
use super::gap::{Clock, Step};
use super::kinds::Kinds;
use super::observed::Observed;
use super::say::{Reason, Say};
use super::score::Score;
use super::signal_kind::SignalKind;
use super::tuning::Tuning;
use super::views::{Views, VIEWS};
use crate::limits::VALUE_MAX;
use crate::wire::{put_bool, put_f64s, put_varint, Reader, Wire};

/// Readings after which views are kept of a sensor: many never give more.
const FIRST_READINGS: u64 = 4;
/// Readings from which the usual interval is known.
const INTERVAL_READINGS: u64 = 50;
/// Decades above those of the budget, since views speak together and no tail model is exact: see docs/decisions/0052.
const MARGIN_DECADES: f64 = 2.0;
/// Readings after which views have a say that began anew, on a signal that turned out to be of another kind.
const ANEW_READINGS: u64 = 200;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scorer {
    readings: u64,
    last_value: f64,
    clock: Clock,
    kinds: Kinds,
    peak: Peak,
    restraint: Restraint,
    /// Readings from which the views have a say.
    views_from: u64,
    views: Option<Box<Views>>,
}

impl Scorer {
    /// Score a reading and learn it. `expected_interval_s` is the configured one, where the estimate begins.
    pub fn observe(&mut self, at_us: i64, value: f64, expected_interval_s: f64, tuning: &Tuning) -> Score {
        // NaN is not within anything either
        if !(-VALUE_MAX..=VALUE_MAX).contains(&value) || self.clock.is_late(at_us) {
            return Score { calm: false, ..self.no_say(tuning) };
        }
        let step = self.clock.step(at_us, expected_interval_s);
        let found = self.kinds.see(&self.reading(at_us, value, &step, tuning));
        if found.is_other {
            self.views = None;
            self.views_from = self.readings.saturating_add(ANEW_READINGS);
        }
        let before = self.no_say(tuning);
        let shares = found.feed.and_then(|fed| self.look(at_us, fed, &step));
        let score = match shares {
            None if found.say.is_none() => Score { calm: before.calm && step.gap_intervals.is_none(), ..before },
            _ if before.warming => before,
            _ => self.judge(at_us, shares, found.say, before, tuning),
        };
        self.readings = self.readings.saturating_add(1);
        self.last_value = value;
        score
    }

    /// The last reading was older than it claimed.
    pub fn turn_back(&mut self, at_us: i64) {
        self.clock.last_us = self.clock.last_us.min(at_us);
    }

    /// Score a late reading as if it came now; nothing is learned.
    pub fn peek(&self, value: f64, tuning: &Tuning) -> Option<f64> {
        let next_us = self.clock.last_us.saturating_add((self.clock.interval_s * 1e6) as i64);
        self.clone().observe(next_us, value, self.clock.interval_s, tuning).decades
    }

    fn reading(&self, at_us: i64, value: f64, step: &Step, tuning: &Tuning) -> Observed {
        Observed {
            at_us,
            value,
            elapsed_s: step.elapsed_s,
            interval_s: step.interval_s,
            after_gap: step.gap_intervals.is_some(),
            is_strange_gap: step.is_strange,
            budget_s: tuning.budget_s,
        }
    }

    /// What the views say of a reading: nothing while there are none, or after a gap.
    fn look(&mut self, at_us: i64, fed: f64, step: &Step) -> Option<[f32; VIEWS]> {
        let Some(views) = &mut self.views else {
            if self.readings >= FIRST_READINGS {
                self.views = Some(Box::new(Views::begin(fed)));
            }
            return None;
        };
        let shares = views.look(at_us, fed, step.pace, step.gap_intervals, step.interval_s);
        (step.gap_intervals.is_none() && self.readings >= self.views_from).then_some(shares)
    }

    /// The usual distance of its readings, once it is known better than the configuration does.
    pub fn interval_s(&self) -> Option<f64> {
        (self.readings >= INTERVAL_READINGS).then_some(self.clock.interval_s)
    }

    /// From when on its silence would be told, were it not for the stale alarm; none while warming.
    pub fn silent_from_us(&self, tuning: &Tuning) -> Option<i64> {
        self.clock.strange_from_us().filter(|_| self.readings >= tuning.warming_readings)
    }

    fn threshold(&self, at_us: i64, tuning: &Tuning) -> f64 {
        let readings = (tuning.budget_s / self.clock.interval_s).max(1.0);
        libm::log10(readings) + MARGIN_DECADES + self.restraint.decades(at_us, tuning.budget_s)
    }

    /// The views' score or the kind's, whichever is higher.
    fn judge(
        &mut self,
        at_us: i64,
        shares: Option<[f32; VIEWS]>,
        say: Option<Say>,
        before: Score,
        tuning: &Tuning,
    ) -> Score {
        let threshold = self.threshold(at_us, tuning);
        let of_views = shares.as_ref().map_or(0.0, |shares| combine(shares));
        let of_kind = say.map_or(0.0, |say| f64::from(say.share) * threshold);
        let decades = of_views.max(of_kind);
        // what is not told is no peak for later either
        let is_loud = tuning.is_on && decades >= threshold && self.peak.exceeds(decades, at_us, self.clock.interval_s);
        if is_loud && of_views >= of_kind {
            self.restraint.raise(at_us, self.clock.interval_s, tuning.budget_s);
        }
        let reason = match say {
            Some(say) if of_kind > of_views => Some(say.reason),
            _ => (self.kinds.kind() == SignalKind::Counter).then_some(Reason::CounterRate),
        };
        Score {
            decades: Some(decades),
            shares: shares.unwrap_or_default(),
            threshold,
            calm: decades < threshold / 2.0,
            // silence has an alarm of its own
            alarming: is_loud && reason != Some(Reason::Gap),
            reason,
            ..before
        }
    }

    fn no_say(&self, tuning: &Tuning) -> Score {
        let warming = self.readings < tuning.warming_readings;
        let (expected, band) = self.views.as_ref().map_or((self.last_value, 0.0), |views| views.expected());
        Score { warming, calm: !warming, expected, band, kind: self.kinds.kind(), ..Score::default() }
    }

    /// How the signal has gone, up to the reading at `at_us`.
    pub fn course(&self, at_us: i64) -> Option<Course> {
        let interval_s = self.clock.interval_s;
        self.views.as_ref().map(|views| Course { interval_s, ..views.course(at_us) })
    }

    /// What the scorer takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.kinds.bytes_apart() + self.views.as_ref().map_or(0, |_| size_of::<Views>())
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.readings);
        put_varint(out, self.views_from);
        put_f64s(out, &[self.last_value]);
        self.clock.save(out);
        self.kinds.save(out);
        self.peak.save(out);
        self.restraint.save(out);
        put_bool(out, self.views.is_some());
        if let Some(views) = &self.views {
            views.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (readings, views_from) = (reader.varint()?, reader.varint()?);
        let [last_value] = reader.f64s()?;
        let (clock, kinds) = (Clock::load(reader)?, Kinds::load(reader)?);
        let (peak, restraint) = (Peak::load(reader)?, Restraint::load(reader)?);
        let views = if reader.bool()? { Some(Box::new(Views::load(reader)?)) } else { None };
        Ok(Self { readings, last_value, clock, kinds, peak, restraint, views_from, views })
    }
}
