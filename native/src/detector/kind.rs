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
use super::levels::{Levels, Look};
use super::stuck::Runs;
use crate::wire::{put_bool, put_f64s, put_signed, put_varint, Reader, Wire, WireError};

pub const DAY_S: f64 = 86_400.0;
/// Readings after which the kind is found, and after which it is checked again.
const PROBATION_READINGS: u16 = 300;
const BLOCK_READINGS: u16 = 1_000;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    #[default]
    Unknown,
    Constant,
    Levels,
    Counter,
    Continuous,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Unknown, Self::Constant, Self::Levels, Self::Counter, Self::Continuous];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Constant => "constant",
            Self::Levels => "levels",
            Self::Counter => "counter",
            Self::Continuous => "continuous",
        }
    }
}

/// Why a score is high, where it is not the views'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Stuck,
    RareMove,
    LongDwell,
    ShortDwell,
    CounterReset,
    /// The views', of a counter's rate.
    CounterRate,
    /// A score, never an alarm: silence is the stale alarm's.
    Gap,
}

impl Reason {
    pub const ALL: [Self; 7] = [
        Self::Stuck,
        Self::RareMove,
        Self::LongDwell,
        Self::ShortDwell,
        Self::CounterReset,
        Self::CounterRate,
        Self::Gap,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::RareMove => "rare_move",
            Self::LongDwell => "long_dwell",
            Self::ShortDwell => "short_dwell",
            Self::CounterReset => "counter_reset",
            Self::CounterRate => "counter_rate",
            Self::Gap => "gap",
        }
    }
}

/// A reading as kinds see it.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub at_us: i64,
    pub value: f64,
    pub elapsed_s: f64,
    pub interval_s: f64,
    pub after_gap: bool,
    /// The gap is far longer than any before.
    pub is_strange_gap: bool,
    /// One false alarm in this time.
    pub budget_s: f64,
}

/// How strange a reading is, as a share of what the budget of false alarms asks for: from 1 on it speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Say {
    pub share: f32,
    pub reason: Reason,
}

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
struct Block {
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
    kind: Kind,
    /// What the last check found, if that was another kind.
    candidate: Kind,
    is_begun: bool,
    /// A meter never does.
    has_fallen: bool,
    last: f64,
    first_us: i64,
    block: Block,
    runs: Runs,
    counter: Counter,
    levels: Option<Box<Levels>>,
}

impl Kinds {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the views have no part in the score.
    pub fn is_without_views(&self) -> bool {
        matches!(self.kind, Kind::Constant | Kind::Levels)
    }

    /// Bytes besides those of the struct itself.
    pub fn bytes_apart(&self) -> usize {
        self.levels.as_ref().map_or(0, |_| size_of::<Levels>())
    }

    /// Take a finite reading in, newer than the one before.
    pub fn see(&mut self, reading: &Reading) -> Found {
        let was = self.kind;
        let stuck = self.see_run(reading);
        self.follow(reading);
        let levels = self.see_levels(reading);
        let (feed, count) = match self.kind {
            Kind::Counter => self.count(reading),
            Kind::Constant | Kind::Levels => (None, None),
            Kind::Unknown | Kind::Continuous => (Some(reading.value), None),
        };
        let say = match was {
            Kind::Unknown => None,
            _ if reading.is_strange_gap => Some(Say { share: SAY_MAX, reason: Reason::Gap }),
            _ => levels.or(count).or(stuck.filter(|_| !self.is_without_views())),
        };
        let is_other = feeds(self.kind) != feeds(was);
        // below that it is no measure of anything, and views have better ones
        Found { feed, is_other, say: say.filter(|say| say.share >= 1.0) }
    }

    fn follow(&mut self, reading: &Reading) {
        if !std::mem::replace(&mut self.is_begun, true) {
            self.first_us = reading.at_us;
            self.levels = Some(Box::default());
        } else if reading.value > self.last {
            self.block.rises += 1;
        } else if reading.value < self.last {
            let is_reset = is_fall_to_begin(self.last, reading.value);
            *if is_reset { &mut self.block.resets } else { &mut self.block.falls } += 1;
        }
        self.block.uneven += u16::from(!is_even(reading.value));
        self.has_fallen |= self.block.falls > 0;
        self.block.bends += u16::from(self.runs.is_bend());
        self.last = reading.value;
        self.block.readings += 1;
        let is_probation = self.kind == Kind::Unknown;
        if self.block.readings >= if is_probation { PROBATION_READINGS } else { BLOCK_READINGS } {
            self.check();
        }
    }

    fn check(&mut self) {
        let found = self.found();
        let is_still = self.block.rises == 0 && self.block.falls == 0 && self.block.resets == 0;
        // what stands still may be stuck: it is no other kind for that
        if self.kind == Kind::Unknown || !is_still {
            if self.kind == Kind::Unknown || found != self.kind && found == self.candidate {
                self.become_kind(found);
            }
            self.candidate = found;
        }
        self.block = Block::default();
        if !self.is_without_views() {
            self.levels = (self.kind != Kind::Unknown).then(Box::default);
        }
    }

    /// The kind that the readings of the block tell.
    fn found(&self) -> Kind {
        let Block { readings, rises, falls, resets, uneven, bends } = self.block;
        let share = |count: u16| f64::from(count) / f64::from(readings);
        let is_resting = share(rises + falls + resets) <= MOVES_SHARE_MAX;
        match &self.levels {
            Some(levels) if levels.count() == 1 => return Kind::Constant,
            Some(levels) if is_resting && !levels.is_scale() => return Kind::Levels,
            _ => {}
        }
        let is_rising = share(rises) >= RISES_SHARE_MIN && share(bends) >= BENDS_SHARE_MIN;
        if is_rising && !self.has_fallen && uneven == 0 && resets <= RESETS_MAX && self.last >= 0.0 {
            Kind::Counter
        } else {
            Kind::Continuous
        }
    }

    fn become_kind(&mut self, kind: Kind) {
        self.kind = kind;
        self.counter = Counter::default();
        if !self.is_without_views() {
            self.levels = None;
        }
    }

    fn see_levels(&mut self, reading: &Reading) -> Option<Say> {
        let (is_without_views, was_constant) = (self.is_without_views(), self.kind == Kind::Constant);
        let levels = self.levels.as_mut()?;
        let (look, is_scale, count) = (levels.see(reading), levels.is_scale(), levels.count());
        match look {
            Look::Full if is_without_views => self.become_kind(Kind::Continuous),
            Look::Full => self.levels = None,
            Look::Say(_) if was_constant && is_scale => self.become_kind(Kind::Continuous),
            Look::Say(_) if was_constant && count > 1 => self.become_kind(Kind::Levels),
            Look::Say(_) => {}
        }
        match look {
            Look::Say(say) if is_without_views => say,
            _ => None,
        }
    }

    fn see_run(&mut self, reading: &Reading) -> Option<Say> {
        let known_s = reading.at_us.saturating_sub(self.first_us) as f64 / 1e6;
        let decades = self.runs.see(reading.value, known_s >= DAY_S);
        let needed = libm::log10((reading.budget_s / reading.interval_s).max(1.0)) + MARGIN_DECADES;
        let share = (decades / needed as f32).min(SAY_MAX);
        (share > 0.0).then_some(Say { share, reason: Reason::Stuck })
    }

    /// The rate that views are to see, and what the counter itself has to say.
    fn count(&mut self, reading: &Reading) -> (Option<f64>, Option<Say>) {
        match self.counter.see(reading.at_us, reading.value, reading.elapsed_s, reading.budget_s) {
            Count::Rate(rate) => (Some(rate), None),
            Count::Reset { is_rare: true } => (None, Some(Say { share: SAY_MAX, reason: Reason::CounterReset })),
            Count::Unknown | Count::Reset { is_rare: false } => (None, None),
            Count::Falls => {
                self.become_kind(Kind::Continuous);
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
        let Block { readings, rises, falls, resets, uneven, bends } = self.block;
        [readings, rises, falls, resets, uneven, bends].iter().for_each(|count| put_varint(out, u64::from(*count)));
        self.runs.save(out);
        self.counter.save(out);
        put_bool(out, self.levels.is_some());
        if let Some(levels) = &self.levels {
            levels.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (kind, candidate) = (load_kind(reader)?, load_kind(reader)?);
        let (is_begun, has_fallen) = (reader.bool()?, reader.bool()?);
        let ([last], first_us) = (reader.f64s()?, reader.signed()?);
        let mut counts = [0u16; 6];
        for count in &mut counts {
            let value = reader.varint()?;
            *count = u16::try_from(value)
                .ok()
                .filter(|count| *count < BLOCK_READINGS)
                .ok_or_else(|| WireError::new(format!("{value} of {BLOCK_READINGS} readings")))?;
        }
        let [readings, rises, falls, resets, uneven, bends] = counts;
        let (runs, counter) = (Runs::load(reader)?, Counter::load(reader)?);
        let levels = if reader.bool()? { Some(Box::new(Levels::load(reader)?)) } else { None };
        let block = Block { readings, rises, falls, resets, uneven, bends };
        Ok(Self { kind, candidate, is_begun, has_fallen, last, first_us, block, runs, counter, levels })
    }
}

/// What the views of a kind see: value, rate or nothing.
fn feeds(kind: Kind) -> u8 {
    match kind {
        Kind::Unknown | Kind::Continuous => 0,
        Kind::Counter => 1,
        Kind::Constant | Kind::Levels => 2,
    }
}

/// Whether a value has no more than three decimals, as far as its own digits go.
fn is_even(value: f64) -> bool {
    let thousandths = value.abs() * 1e3;
    (thousandths - libm::rint(thousandths)).abs() <= 1e-6 + 4.0 * f64::EPSILON * thousandths
}

fn load_kind(reader: &mut Reader<'_>) -> Wire<Kind> {
    let index = reader.u8()?;
    let kind = Kind::ALL.get(usize::from(index)).copied();
    kind.ok_or_else(|| WireError::new(format!("a kind of signal {index}")))
}

#[cfg(test)]
mod tests;
