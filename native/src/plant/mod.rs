//! The facility as a whole: do its sensors still move together as they always did?
//!
//! Work is done per tick, not per reading. At a tick each sensor's newest value becomes a robust z (`channel`); blocks of
//! up to 64 channels hold how these have moved together (`block`, `smoothed`) and say in decades how unusual now is.
//! The largest block's word is the facility's score, and its alarm follows the rules of every other alarm.

pub mod block;
mod channel;
mod clock;
mod matrix;
mod smoothed;
mod told;

use crate::alarm::{Alarm, Condition, Delays, Transition};
use crate::detector::combine::Peak;
use crate::instant::US_PER_S;
use crate::journal::{Rule, ToldAlarm};
use crate::rules::Priority;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::wire::{put_bool, put_f32s, put_f64, put_signed, put_varint, Reader, Wire, WireError};
use block::{Block, Sample, CHANNELS_MAX, STATISTICS};
use clock::Clock;

pub const RULE: Rule = Rule::FacilityAnomaly;
pub const PRIORITY: Priority = Priority::Low;
/// One false alarm in this time is what a facility may cost.
const BUDGET_S: f64 = 20.0 * 86_400.0;
/// Decades above those of the budget, since the statistics speak together and no tail model is exact.
const MARGIN_DECADES: f64 = 5.0;
const DECADES_MIN: f64 = 5.0;
/// An anomaly that is over must have been so for this long.
const OFF_US: i64 = 60 * US_PER_S;
/// A sensor with less of the whole is no contributor, and only so many are named.
const SHARE_MIN: f32 = 0.05;
const CONTRIBUTORS_MAX: usize = 8;
/// One sensor with this much of the whole that is in alarm itself has said it.
const SHARE_ALONE: f32 = 0.5;

/// A sensor's part in an unusual tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contributor {
    /// Position of the sensor in its facility.
    pub place: u32,
    pub share: f32,
}

/// What the facility says of a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Event time of the tick's newest reading.
    pub at_us: i64,
    pub tick_s: f64,
    pub decades: f32,
    pub threshold: f32,
    pub alarming: bool,
    /// The statistics as they are and their surprises in decades, in the order of `block::STATISTIC_NAMES`.
    pub statistics: [f32; STATISTICS],
    pub surprises: [f32; STATISTICS],
    /// Channels that take part, in the block that speaks, and sensors of the facility that were silent for too long.
    pub members: u32,
    pub stale: u32,
    /// Largest first; empty below half the threshold.
    pub contributors: Vec<Contributor>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plant {
    clock: Clock,
    /// Sensors in the order in which they became known, 64 each.
    blocks: Vec<Block>,
    pub alarm: Alarm,
    peak: Peak,
    pub latest: Option<Verdict>,
}

/// The samples of a tick.
struct Round {
    samples: Vec<Option<Sample>>,
    at_us: i64,
    stale: u32,
}

impl Plant {
    /// Whether a reading of this event time ends the tick; asked before the reading is taken in.
    #[inline]
    pub fn is_due(&self, at_us: i64) -> bool {
        at_us >= self.clock.due_us
    }

    /// End the tick with what the sensors know, and begin the next.
    pub fn turn<S: Sink>(
        &mut self,
        at_us: i64,
        sensors: &[Sensor],
        version: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let Some(after_gap) = self.clock.begin(at_us, sensors) else { return };
        let Some(round) = self.round(sensors) else { return };
        let Some(verdict) = self.judge(&round, after_gap) else { return };
        let transition = self.step(&verdict, sensors);
        sink.facility(&verdict);
        if let Some(transition) = transition {
            if S::WANTED {
                sink.event(told::event(transition, &verdict, sensors, version, around));
            }
        }
        self.latest = Some(verdict);
    }

    /// Make room for a sensor that is new.
    pub fn add_sensor(&mut self) {
        if self.blocks.last().is_none_or(Block::is_full) {
            self.blocks.push(Block::default());
        }
        if let Some(block) = self.blocks.last_mut() {
            block.add_channel();
        }
        self.clock.look_again();
    }

    /// After a change of configuration: without two sensors in use there is nothing to say, nor to stand by.
    pub fn configured<S: Sink>(
        &mut self,
        at_us: Option<i64>,
        sensors: &[Sensor],
        version: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if !self.alarm.active || sensors.iter().filter(|sensor| sensor.is_watched()).count() >= block::MEMBERS_MIN {
            return;
        }
        let end_us = at_us.unwrap_or(self.alarm.since_us).max(self.alarm.since_us);
        if self.alarm.end(end_us).is_some() && S::WANTED {
            sink.event(told::retired(end_us, version, around));
        }
    }

    fn round(&self, sensors: &[Sensor]) -> Option<Round> {
        let newest = sensors.iter().filter_map(|sensor| sensor.newest.as_ref());
        let at_us = newest.map(|newest| newest.tracked_at_us).max()?;
        let mut round = Round { samples: Vec::with_capacity(sensors.len()), at_us, stale: 0 };
        for sensor in sensors {
            let sample = sensor.sample();
            let is_stale = sample.is_some_and(|(sample_us, _)| self.clock.is_stale(at_us - sample_us));
            round.stale += u32::from(is_stale);
            round.samples.push(if is_stale { None } else { sample.map(|(_, sample)| sample) });
        }
        Some(round)
    }

    fn judge(&mut self, round: &Round, after_gap: bool) -> Option<Verdict> {
        let mut foremost = None;
        for (index, (block, samples)) in self.blocks.iter_mut().zip(round.samples.chunks(CHANNELS_MAX)).enumerate() {
            let Some(say) = block.tick(samples, after_gap) else { continue };
            if foremost.as_ref().is_none_or(|(_, before): &(usize, block::Say)| say.decades > before.decades) {
                foremost = Some((index, say));
            }
        }
        let (index, say) = foremost?;
        let tick_s = self.clock.tick_s;
        let threshold = threshold(tick_s, self.blocks.len()) as f32;
        let mut verdict = Verdict {
            at_us: round.at_us,
            tick_s,
            decades: say.decades,
            threshold,
            alarming: say.decades >= threshold && self.peak.exceeds(f64::from(say.decades), round.at_us, tick_s),
            statistics: say.statistics,
            surprises: say.surprises,
            members: say.members,
            stale: round.stale,
            contributors: Vec::new(),
        };
        if verdict.decades >= threshold / 2.0 {
            verdict.contributors = self.contributors(index, &say, round);
        }
        Some(verdict)
    }

    fn contributors(&mut self, index: usize, say: &block::Say, round: &Round) -> Vec<Contributor> {
        let first = index * CHANNELS_MAX;
        let samples = round.samples.get(first..).unwrap_or(&[]);
        let shares = self.blocks.get_mut(index).map_or_else(Vec::new, |block| block.shares(say, samples));
        let places = (first as u32..).zip(shares);
        let mut found: Vec<Contributor> = places
            .filter(|(_, share)| *share >= SHARE_MIN)
            .map(|(place, share)| Contributor { place, share })
            .collect();
        found.sort_by(|one, other| other.share.total_cmp(&one.share).then(one.place.cmp(&other.place)));
        found.truncate(CONTRIBUTORS_MAX);
        found
    }

    fn step(&mut self, verdict: &Verdict, sensors: &[Sensor]) -> Option<Transition> {
        let condition = if verdict.alarming && !is_said(verdict, sensors) {
            Condition::Violated
        } else if verdict.decades < verdict.threshold / 2.0 {
            Condition::Clear
        } else {
            Condition::Between
        };
        self.alarm.step(condition, verdict.at_us, Delays { on_us: 0, off_us: OFF_US })
    }

    /// Be as the journal left the alarm (none: it is not in it).
    pub fn recall(&mut self, told: Option<&ToldAlarm>) {
        let (active, acknowledged, since_us) =
            told.map_or((false, true, 0), |told| (told.active, told.acknowledged, told.since_us));
        self.alarm.recall(active, acknowledged, since_us);
    }

    pub fn heap_bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        self.clock.save(out);
        self.alarm.save(out);
        self.peak.save(out);
        self.blocks.iter().for_each(|block| block.save(out));
        put_bool(out, self.latest.is_some());
        if let Some(latest) = &self.latest {
            latest.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>, sensors: usize) -> Wire<Self> {
        let (clock, alarm, peak) = (Clock::load(reader)?, Alarm::load(reader)?, Peak::load(reader)?);
        let sizes = (0..sensors.div_ceil(CHANNELS_MAX)).map(|index| (sensors - index * CHANNELS_MAX).min(CHANNELS_MAX));
        let blocks = sizes.map(|channels| Block::load(reader, channels)).collect::<Wire<_>>()?;
        let latest = if reader.bool()? { Some(Verdict::load(reader)?) } else { None };
        Ok(Self { clock, blocks, alarm, peak, latest })
    }
}

/// Whether one sensor makes most of it and is in alarm itself: that needs no second voice.
fn is_said(verdict: &Verdict, sensors: &[Sensor]) -> bool {
    let Some(first) = verdict.contributors.first() else { return false };
    first.share >= SHARE_ALONE && sensors.get(first.place as usize).is_some_and(Sensor::is_in_alarm)
}

fn threshold(tick_s: f64, blocks: usize) -> f64 {
    let chances = BUDGET_S / tick_s * blocks as f64;
    (libm::log10(chances) + MARGIN_DECADES).max(DECADES_MIN)
}

impl Verdict {
    fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.at_us);
        put_f64(out, self.tick_s);
        put_f32s(out, &[self.decades, self.threshold]);
        put_bool(out, self.alarming);
        put_f32s(out, &self.statistics);
        put_f32s(out, &self.surprises);
        for count in [self.members, self.stale, self.contributors.len() as u32] {
            put_varint(out, u64::from(count));
        }
        for contributor in &self.contributors {
            put_varint(out, u64::from(contributor.place));
            put_f32s(out, &[contributor.share]);
        }
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (at_us, tick_s) = (reader.signed()?, reader.f64()?);
        let [decades, threshold] = reader.f32s()?;
        let alarming = reader.bool()?;
        let (statistics, surprises) = (reader.f32s()?, reader.f32s()?);
        let (members, stale) = (count_of(reader)?, count_of(reader)?);
        let contributors = (0..reader.count()?)
            .map(|_| {
                let place = count_of(reader)?;
                let [share] = reader.f32s()?;
                Ok(Contributor { place, share })
            })
            .collect::<Wire<_>>()?;
        Ok(Self { at_us, tick_s, decades, threshold, alarming, statistics, surprises, members, stale, contributors })
    }
}

fn count_of(reader: &mut Reader<'_>) -> Wire<u32> {
    u32::try_from(reader.varint()?).map_err(|_| WireError::new("a count does not fit into 32 bits"))
}
