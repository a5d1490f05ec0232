//! A facility's scorer: a tick each time its sensors have had their turn, and an alarm of its own.

use super::block::{Block, BlockScore, CHANNELS_MAX, MEMBERS_MIN};
use super::sample::Sample;
use super::score::{Contributor, FacilityScore};
use super::tick_clock::TickClock;
use super::told;
use crate::alarm::{Alarm, Condition, Delays, Transition};
use crate::command::Command;
use crate::detector::combine::Peak;
use crate::facility_alarm;
use crate::instant::US_PER_S;
use crate::journal::ToldAlarm;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::wire::{put_bool, Reader, Wire};

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

#[derive(Debug, Clone, PartialEq, Default)]
pub struct FacilityScorer {
    clock: TickClock,
    /// Sensors in the order in which they became known, 64 each.
    blocks: Vec<Block>,
    pub alarm: Alarm,
    peak: Peak,
    pub latest: Option<FacilityScore>,
}

/// The samples of a tick.
struct Round {
    samples: Vec<Option<Sample>>,
    at_us: i64,
    stale: u32,
}

impl FacilityScorer {
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
        let Some(score) = self.judge(&round, after_gap) else { return };
        let transition = self.step(&score, sensors);
        sink.facility_scored(&score);
        if let Some(transition) = transition {
            if S::WANTED {
                sink.event(told::event(transition, &score, sensors, version, around));
            }
        }
        self.latest = Some(score);
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
        if !self.alarm.active || sensors.iter().filter(|sensor| sensor.is_watched()).count() >= MEMBERS_MIN {
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
            let measured_us = sample.map(|(sample_us, _)| sample_us).or_else(|| sensor.unusable_since_us());
            let is_stale = measured_us.is_some_and(|us| self.clock.is_stale(at_us - us));
            round.stale += u32::from(is_stale);
            round.samples.push(if is_stale { None } else { sample.map(|(_, sample)| sample) });
        }
        Some(round)
    }

    fn judge(&mut self, round: &Round, after_gap: bool) -> Option<FacilityScore> {
        let mut foremost = None;
        for (index, (block, samples)) in self.blocks.iter_mut().zip(round.samples.chunks(CHANNELS_MAX)).enumerate() {
            let Some(said) = block.tick(samples, after_gap) else { continue };
            if foremost.as_ref().is_none_or(|(_, before): &(usize, BlockScore)| said.decades > before.decades) {
                foremost = Some((index, said));
            }
        }
        let (index, loudest) = foremost?;
        let tick_s = self.clock.tick_s;
        let threshold = threshold(tick_s, self.blocks.len()) as f32;
        let mut score = FacilityScore {
            at_us: round.at_us,
            tick_s,
            decades: loudest.decades,
            threshold,
            alarming: loudest.decades >= threshold
                && self.peak.exceeds(f64::from(loudest.decades), round.at_us, tick_s),
            statistics: loudest.statistics,
            surprises: loudest.surprises,
            members: loudest.members,
            stale: round.stale,
            contributors: Vec::new(),
        };
        if score.decades >= threshold / 2.0 {
            score.contributors = self.contributors(index, &loudest, round);
        }
        Some(score)
    }

    fn contributors(&mut self, index: usize, loudest: &BlockScore, round: &Round) -> Vec<Contributor> {
        let first = index * CHANNELS_MAX;
        let samples = round.samples.get(first..).unwrap_or(&[]);
        let shares = self.blocks.get_mut(index).map_or_else(Vec::new, |block| block.shares(loudest, samples));
        let places = (first as u32..).zip(shares);
        let mut found: Vec<Contributor> = places
            .filter(|(_, share)| *share >= SHARE_MIN)
            .map(|(place, share)| Contributor { place, share })
            .collect();
        found.sort_by(|one, other| other.share.total_cmp(&one.share).then(one.place.cmp(&other.place)));
        found.truncate(CONTRIBUTORS_MAX);
        found
    }

    fn step(&mut self, score: &FacilityScore, sensors: &[Sensor]) -> Option<Transition> {
        let condition = if score.alarming && !is_said(score, sensors) {
            Condition::Violated
        } else if score.decades < score.threshold / 2.0 {
            Condition::Clear
        } else {
            Condition::Between
        };
        self.alarm.step(condition, score.at_us, Delays { on_us: 0, off_us: OFF_US })
    }

    /// What a person asks of the alarm.
    pub fn obey<S: Sink>(&mut self, command: &Command, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        facility_alarm::obey(&mut self.alarm, told::PRIORITY, command, version, around, sink);
    }

    /// The timers of the alarm; the score has a clock of its own.
    pub fn tick<S: Sink>(&mut self, watermark_us: i64, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        facility_alarm::tick(&mut self.alarm, (told::RULE, told::PRIORITY), watermark_us, version, around, sink);
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

    pub fn load(
        reader: &mut Reader<'_>,
        sensors: usize,
        load_alarm: impl FnOnce(&mut Reader<'_>) -> Wire<Alarm>,
    ) -> Wire<Self> {
        let (clock, alarm, peak) = (TickClock::load(reader)?, load_alarm(reader)?, Peak::load(reader)?);
        let sizes = (0..sensors.div_ceil(CHANNELS_MAX)).map(|index| (sensors - index * CHANNELS_MAX).min(CHANNELS_MAX));
        let blocks = sizes.map(|channels| Block::load(reader, channels)).collect::<Wire<_>>()?;
        let latest = if reader.bool()? { Some(FacilityScore::load(reader)?) } else { None };
        Ok(Self { clock, blocks, alarm, peak, latest })
    }
}

/// Whether one sensor makes most of it and is in alarm itself: that needs no second voice.
fn is_said(score: &FacilityScore, sensors: &[Sensor]) -> bool {
    let Some(first) = score.contributors.first() else { return false };
    first.share >= SHARE_ALONE && sensors.get(first.place as usize).is_some_and(Sensor::is_in_alarm)
}

fn threshold(tick_s: f64, blocks: usize) -> f64 {
    let chances = BUDGET_S / tick_s * blocks as f64;
    (libm::log10(chances) + MARGIN_DECADES).max(DECADES_MIN)
}
