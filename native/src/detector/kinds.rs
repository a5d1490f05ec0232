//! What kind of signal a sensor gives, found in probation and checked again later, and what follows for its score.
//!
//! | kind | views see | what speaks besides |
//! |---|---|---|
//! | constant | nothing | `levels`: a move after a rest longer than the budget's time |
//! | levels | nothing | `levels`: rare moves, dwell times |
//! | counter | its rate | `stuck`, `counter`: rare resets |
//! | continuous, or not known yet | its value | `stuck` |
//!
//! In doubt a signal is continuous: views are good at everything, if not the best.

use super::counter::{is_fall_to_begin, Count, Counter};
use super::levels::{Full, Levels};
use super::observed::Observed;
use super::say::{Reason, Say};
use super::signal_kind::SignalKind;
use super::stuck::Runs;
use crate::instant::DAY_S;
use crate::wire::{put_bool, put_f64s, put_signed, put_varint, Reader, Wire, WireError};

/// Readings after which the kind is found, and after which it is checked again.
const PROBATION_READINGS: u16 = 300;
const CHECK_READINGS: u16 = 1_000;
/// A valve moves in no more than this share of the readings.
const MOVES_SHARE_MAX: f64 = 0.1;
/// A counter rises in at least this share of the readings.
const RISES_SHARE_MIN: f64 = 0.8;
/// And its steps differ in at least this share.
const BENDS_SHARE_MIN: f64 = 0.2;
const RESETS_MAX: u16 = 2;
/// Decades above what the budget asks for, since no model is exact.
const MARGIN_DECADES: f64 = 1.0;
const SAY_MAX: f32 = 1.5;

/// What follows from a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// What the views are to see; none: nothing.
    pub feed: Option<f64>,
    /// Views must begin anew: what they see from now on is something else.
    pub is_other: bool,
    pub say: Option<Say>,
}

/// What happened since the kind was last checked.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Tally {
    readings: u16,
    rises: u16,
    falls: u16,
    /// Falls that look like a counter that begins anew.
    resets: u16,
    /// Values of more than three decimals: no meter counts in such.
    uneven: u16,
    /// Steps unlike the one before: pressures that a historian filled in rise as steadily as no meter.
    bends: u16,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kinds {
    kind: SignalKind,
    /// What the last check found, if that was another kind.
    candidate: SignalKind,
    is_begun: bool,
    /// A meter never does.
    has_fallen: bool,
    last: f64,
    first_us: i64,
    tally: Tally,
    runs: Runs,
    counter: Counter,
    levels: Option<Box<Levels>>,
}

impl Kinds {
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    /// Whether the views have no part in the score.
    pub fn is_without_views(&self) -> bool {
        matches!(self.kind, SignalKind::Constant | SignalKind::Levels)
    }

    /// Bytes besides those of the struct itself.
    pub fn bytes_apart(&self) -> usize {
        self.levels.as_ref().map_or(0, |_| size_of::<Levels>())
    }

    /// Take a finite reading in, newer than the one before.
    pub fn see(&mut self, reading: &Observed) -> Found {
        let was = self.kind;
        let stuck = self.see_run(reading);
        self.follow(reading);
        let levels = self.see_levels(reading);
        let (feed, count) = match self.kind {
            SignalKind::Counter => self.count(reading),
            SignalKind::Constant | SignalKind::Levels => (None, None),
            SignalKind::Unknown | SignalKind::Continuous => (Some(reading.value), None),
        };
        let say = match was {
            SignalKind::Unknown => None,
            _ if reading.is_strange_gap => Some(Say { share: SAY_MAX, reason: Reason::Gap }),
            _ => levels.or(count).or(stuck.filter(|_| !self.is_without_views())),
        };
        let is_other = feeds(self.kind) != feeds(was);
        // below that it is no measure of anything, and views have better ones
        Found { feed, is_other, say: say.filter(|say| say.share >= 1.0) }
    }

    fn follow(&mut self, reading: &Observed) {
        if !std::mem::replace(&mut self.is_begun, true) {
            self.first_us = reading.at_us;
            self.levels = Some(Box::default());
        } else if reading.value > self.last {
            self.tally.rises += 1;
        } else if reading.value < self.last {
            let is_reset = is_fall_to_begin(self.last, reading.value);
            *if is_reset { &mut self.tally.resets } else { &mut self.tally.falls } += 1;
        }
        self.tally.uneven += u16::from(!is_even(reading.value));
        self.has_fallen |= self.tally.falls > 0;
        self.tally.bends += u16::from(self.runs.is_bend());
        self.last = reading.value;
        self.tally.readings += 1;
        let is_probation = self.kind == SignalKind::Unknown;
        if self.tally.readings >= if is_probation { PROBATION_READINGS } else { CHECK_READINGS } {
            self.check();
        }
    }

    fn check(&mut self) {
        let found = self.found();
        let is_still = self.tally.rises == 0 && self.tally.falls == 0 && self.tally.resets == 0;
        // what stands still may be stuck: it is no other kind for that
        if self.kind == SignalKind::Unknown || !is_still {
            if self.kind == SignalKind::Unknown || found != self.kind && found == self.candidate {
                self.become_kind(found);
            }
            self.candidate = found;
        }
        self.tally = Tally::default();
        if !self.is_without_views() {
            self.levels = (self.kind != SignalKind::Unknown).then(Box::default);
        }
    }

    /// The kind that the readings tell.
    fn found(&self) -> SignalKind {
        let Tally { readings, rises, falls, resets, uneven, bends } = self.tally;
        let share = |count: u16| f64::from(count) / f64::from(readings);
        let is_resting = share(rises + falls + resets) <= MOVES_SHARE_MAX;
        match &self.levels {
            Some(levels) if levels.count() == 1 => return SignalKind::Constant,
            Some(levels) if is_resting && !levels.is_scale() => return SignalKind::Levels,
            _ => {}
        }
        let is_rising = share(rises) >= RISES_SHARE_MIN && share(bends) >= BENDS_SHARE_MIN;
        if is_rising && !self.has_fallen && uneven == 0 && resets <= RESETS_MAX && self.last >= 0.0 {
            SignalKind::Counter
        } else {
            SignalKind::Continuous
        }
    }

    fn become_kind(&mut self, kind: SignalKind) {
        self.kind = kind;
        self.counter = Counter::default();
        if !self.is_without_views() {
            self.levels = None;
        }
    }

    fn see_levels(&mut self, reading: &Observed) -> Option<Say> {
        let (is_without_views, was_constant) = (self.is_without_views(), self.kind == SignalKind::Constant);
        let levels = self.levels.as_mut()?;
        let (said, is_scale, count) = (levels.see(reading), levels.is_scale(), levels.count());
        match said {
            Err(Full) if is_without_views => self.become_kind(SignalKind::Continuous),
            Err(Full) => self.levels = None,
            Ok(_) if was_constant && is_scale => self.become_kind(SignalKind::Continuous),
            Ok(_) if was_constant && count > 1 => self.become_kind(SignalKind::Levels),
            Ok(_) => {}
        }
        said.ok().flatten().filter(|_| is_without_views)
    }

    fn see_run(&mut self, reading: &Observed) -> Option<Say> {
        let known_s = reading.at_us.saturating_sub(self.first_us) as f64 / 1e6;
        let decades = self.runs.see(reading.value, known_s >= DAY_S);
        let needed = libm::log10((reading.budget_s / reading.interval_s).max(1.0)) + MARGIN_DECADES;
        let share = (decades / needed as f32).min(SAY_MAX);
        (share > 0.0).then_some(Say { share, reason: Reason::Stuck })
    }

    /// The rate that views are to see, and what the counter itself has to say.
    fn count(&mut self, reading: &Observed) -> (Option<f64>, Option<Say>) {
        match self.counter.see(reading.at_us, reading.value, reading.elapsed_s, reading.budget_s) {
            Count::Rate(rate) => (Some(rate), None),
            Count::Reset { is_rare: true } => (None, Some(Say { share: SAY_MAX, reason: Reason::CounterReset })),
            Count::Unknown | Count::Reset { is_rare: false } => (None, None),
            Count::Falls => {
                self.become_kind(SignalKind::Continuous);
                (Some(reading.value), None)
            }
        }
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for kind in [self.kind, self.candidate] {
            put_varint(out, kind as u64);
        }
        put_bool(out, self.is_begun);
        put_bool(out, self.has_fallen);
        put_f64s(out, &[self.last]);
        put_signed(out, self.first_us);
        let Tally { readings, rises, falls, resets, uneven, bends } = self.tally;
        [readings, rises, falls, resets, uneven, bends].iter().for_each(|count| put_varint(out, u64::from(*count)));
        self.runs.save(out);
        self.counter.save(out);
        put_bool(out, self.levels.is_some());
        if let Some(levels) = &self.levels {
            levels.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (kind, candidate) = (SignalKind::load(reader)?, SignalKind::load(reader)?);
        let (is_begun, has_fallen) = (reader.bool()?, reader.bool()?);
        let ([last], first_us) = (reader.f64s()?, reader.signed()?);
        let mut counts = [0u16; 6];
        for count in &mut counts {
            let value = reader.varint()?;
            *count = u16::try_from(value)
                .ok()
                .filter(|count| *count < CHECK_READINGS)
                .ok_or_else(|| WireError::new(format!("{value} of {CHECK_READINGS} readings")))?;
        }
        let [readings, rises, falls, resets, uneven, bends] = counts;
        let (runs, counter) = (Runs::load(reader)?, Counter::load(reader)?);
        let levels = if reader.bool()? { Some(Box::new(Levels::load(reader)?)) } else { None };
        let tally = Tally { readings, rises, falls, resets, uneven, bends };
        Ok(Self { kind, candidate, is_begun, has_fallen, last, first_us, tally, runs, counter, levels })
    }
}

/// What the views of a kind see: value, rate or nothing.
fn feeds(kind: SignalKind) -> u8 {
    match kind {
        SignalKind::Unknown | SignalKind::Continuous => 0,
        SignalKind::Counter => 1,
        SignalKind::Constant | SignalKind::Levels => 2,
    }
}

/// Whether a value has no more than three decimals, as far as its own digits go.
fn is_even(value: f64) -> bool {
    let thousandths = value.abs() * 1e3;
    (thousandths - libm::rint(thousandths)).abs() <= 1e-6 + 4.0 * f64::EPSILON * thousandths
}

#[cfg(test)]
mod tests;
