//! Up to 64 channels that are watched together: how far each tick is from what they have done together so far.

use super::channel::Channel;
use super::sample::Sample;
use super::smoothed::Smoothed;
use crate::detector::tail::Tail;
use crate::wire::{put_bool, put_f32s, put_varint, Reader, Wire, WireError};

pub const CHANNELS_MAX: usize = 64;
/// What a block says of a tick, in this order: at each half-life in ticks how far all are, then how far the worst one is from
/// what the others foretell, then the sensors' own surprises.
pub const STATISTIC_NAMES: [&str; STATISTICS] =
    ["t2_now", "t2_4", "t2_16", "worst_now", "worst_4", "worst_16", "top_three"];
pub const STATISTICS: usize = 2 * HALF_TICKS.len() + 1;
const HALF_TICKS: [f64; 3] = [0.0, 4.0, 16.0];
const DISTANCES: usize = 2 * HALF_TICKS.len();
/// Channels without which there is no together.
pub const MEMBERS_MIN: usize = 2;
/// How many ticks are remembered.
const MEMORY_TICKS: u32 = 10_000;
/// Ticks between two factors.
const RENEW_TICKS: u32 = 100;
/// Ticks from which there is a factor, from which the tails learn, and from which the block has a score.
const FACTOR_TICKS: u32 = 50;
const TAIL_TICKS: u32 = 150;
pub const WARMING_TICKS: u32 = 300;
/// A tail is never narrower than half the usual distance: 0.05, its least width, over this.
const EXCESS_SCALE: f32 = 0.1;
/// So many decades, or distances beyond so many usual ones, are unusual: a tenth is learned of them, …
const HIGH_DECADES: f32 = 4.0;
const HIGH: f32 = 3.0;
const HIGH_CALM: f64 = 0.1;
const HIGH_TICKS: u32 = 10;
/// … until they have lasted for so long. Then this is a new normal, learned as quickly as after so many ticks.
const ACCEPT_TICKS: u32 = 500;
const ACCEPTED_TICKS: u32 = 100;

/// What a block says of a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockScore {
    pub decades: f32,
    pub statistics: [f32; STATISTICS],
    pub surprises: [f32; STATISTICS],
    pub members: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    channels: Vec<Channel>,
    halves: [Smoothed; HALF_TICKS.len()],
    tails: [Tail; STATISTICS],
    usual: [f32; STATISTICS],
    ticks: u32,
    ticks_since_renewed: u32,
    ticks_high: u32,
    /// Who the factor holds.
    members: Vec<bool>,
    z: Vec<f32>,
    present: Vec<f32>,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            channels: Vec::new(),
            halves: HALF_TICKS.map(Smoothed::new),
            tails: Default::default(),
            usual: [0.0; STATISTICS],
            ticks: 0,
            ticks_since_renewed: 0,
            ticks_high: 0,
            members: Vec::new(),
            z: Vec::new(),
            present: Vec::new(),
        }
    }
}

impl Block {
    pub fn is_full(&self) -> bool {
        self.channels.len() >= CHANNELS_MAX
    }

    /// One more channel. The others go on; all are learned more quickly for a while.
    pub fn add_channel(&mut self) {
        self.channels.push(Channel::default());
        self.members.push(false);
        self.halves.iter_mut().for_each(Smoothed::add_channel);
        self.ticks = self.ticks.min(ACCEPTED_TICKS);
    }

    /// Judge a tick and learn it. None: nothing to say yet, or not after a gap.
    pub fn tick(&mut self, samples: &[Option<Sample>], after_gap: bool) -> Option<BlockScore> {
        self.see(samples);
        let joining: Vec<bool> =
            self.channels.iter().zip(&self.present).map(|(one, here)| one.takes_part() && *here > 0.0).collect();
        self.ticks = (self.ticks + 1).min(MEMORY_TICKS);
        let score = if after_gap {
            self.halves.iter_mut().for_each(Smoothed::rest);
            None
        } else {
            self.keep_members(&joining);
            self.judge(samples)
        };
        self.learn(samples);
        score
    }

    fn see(&mut self, samples: &[Option<Sample>]) {
        self.z.clear();
        self.present.clear();
        for (channel, sample) in self.channels.iter().zip(samples) {
            let z = sample.as_ref().map_or(0.0, |sample| channel.z(sample.value));
            self.z.push(z);
            self.present.push(f32::from(u8::from(sample.is_some() && channel.is_warm())));
        }
    }

    fn keep_members(&mut self, joining: &[bool]) {
        self.ticks_since_renewed += 1;
        let is_due = self.ticks_since_renewed >= RENEW_TICKS || self.members != joining;
        if self.ticks >= FACTOR_TICKS && is_due {
            self.members.copy_from_slice(joining);
            self.halves.iter_mut().for_each(|half| half.renew(joining));
            self.ticks_since_renewed = 0;
        }
    }

    fn judge(&mut self, samples: &[Option<Sample>]) -> Option<BlockScore> {
        self.halves.iter_mut().for_each(|half| half.step(&self.z));
        let members = self.members.iter().filter(|is_member| **is_member).count();
        if self.ticks < FACTOR_TICKS || members < MEMBERS_MIN {
            return None;
        }
        let mut statistics = [0.0; STATISTICS];
        let (together, alone) = statistics.split_at_mut(HALF_TICKS.len());
        for ((together, alone), half) in together.iter_mut().zip(alone).zip(&mut self.halves) {
            (*together, *alone) = half.distances(&self.members, members as f32);
        }
        if let Some(last) = statistics.last_mut() {
            *last = top_three(samples);
        }
        Some(self.weigh(statistics, members))
    }

    fn weigh(&mut self, statistics: [f32; STATISTICS], members: usize) -> BlockScore {
        let mut score = BlockScore { decades: 0.0, statistics, surprises: [0.0; STATISTICS], members: members as u32 };
        let excesses = self.excesses(&statistics);
        if self.ticks >= WARMING_TICKS {
            for ((surprise, tail), excess) in score.surprises.iter_mut().zip(&self.tails).zip(excesses) {
                *surprise = tail.surprise(excess);
            }
        }
        score.decades = score.surprises.iter().map(|one| one * one).sum::<f32>().sqrt();
        self.follow(&statistics, score.decades >= HIGH_DECADES);
        let is_learned = self.ticks_high.is_multiple_of(HIGH_TICKS);
        if self.ticks >= TAIL_TICKS && is_learned {
            for (tail, excess) in self.tails.iter_mut().zip(excesses) {
                tail.learn(excess, MEMORY_TICKS as f32);
            }
        }
        score
    }

    /// What the tails see: distances as parts of the usual one beyond it, the sensors' surprises as they are.
    fn excesses(&self, statistics: &[f32; STATISTICS]) -> [f32; STATISTICS] {
        let mut excesses = *statistics;
        for (excess, usual) in excesses.iter_mut().zip(&self.usual).take(DISTANCES) {
            *excess = EXCESS_SCALE * (*excess / usual.max(1e-6) - 1.0).clamp(0.0, 1e6);
        }
        excesses
    }

    /// How high the distances stand, and for how long.
    fn follow(&mut self, statistics: &[f32; STATISTICS], is_surprising: bool) {
        let mut is_high = is_surprising;
        let known = (self.ticks - FACTOR_TICKS + 1).min(500) as f32;
        for (usual, statistic) in self.usual.iter_mut().zip(statistics).take(DISTANCES) {
            is_high |= self.ticks >= WARMING_TICKS && *statistic > HIGH * *usual;
            let clipped = if known > 20.0 { statistic.min(HIGH * *usual + 1e-6) } else { *statistic };
            *usual += (clipped - *usual) / known;
        }
        self.ticks_high = if is_high { self.ticks_high + 1 } else { self.ticks_high.saturating_sub(1) };
        if self.ticks_high >= ACCEPT_TICKS {
            self.ticks_high = 0;
            self.ticks = self.ticks.min(ACCEPTED_TICKS);
            self.channels.iter_mut().for_each(|channel| channel.forget_to(ACCEPTED_TICKS));
        }
    }

    fn learn(&mut self, samples: &[Option<Sample>]) {
        let calm = if self.ticks_high > 0 { HIGH_CALM } else { 1.0 };
        let weight = (calm / f64::from(self.ticks)) as f32;
        for half in &mut self.halves {
            half.learn(&self.present, weight);
        }
        for (channel, sample) in self.channels.iter_mut().zip(samples) {
            if let Some(sample) = sample {
                channel.learn(sample.value, MEMORY_TICKS, calm);
            }
        }
    }

    /// Each channel's share of what is most surprising in `score`.
    pub fn shares(&mut self, score: &BlockScore, samples: &[Option<Sample>]) -> Vec<f32> {
        let mut most = (0, f32::NEG_INFINITY);
        for (index, surprise) in score.surprises.iter().enumerate() {
            if *surprise > most.1 {
                most = (index, *surprise);
            }
        }
        match self.halves.get_mut(most.0 % HALF_TICKS.len()).filter(|_| most.0 < DISTANCES) {
            Some(half) => half.shares(&self.members),
            None => surprise_shares(samples),
        }
    }

    pub fn bytes(&self) -> usize {
        let halves: usize = self.halves.iter().map(Smoothed::heap_bytes).sum();
        size_of::<Self>() + self.channels.capacity() * (size_of::<Channel>() + 9) + halves
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        self.channels.iter().for_each(|channel| channel.save(out));
        self.members.iter().for_each(|is_member| put_bool(out, *is_member));
        self.halves.iter().for_each(|half| half.save(out));
        self.tails.iter().for_each(|tail| tail.save(out));
        put_f32s(out, &self.usual);
        for count in [self.ticks, self.ticks_since_renewed, self.ticks_high] {
            put_varint(out, u64::from(count));
        }
    }

    pub fn load(reader: &mut Reader<'_>, channels: usize) -> Wire<Self> {
        let mut block = Self {
            channels: (0..channels).map(|_| Channel::load(reader)).collect::<Wire<_>>()?,
            members: (0..channels).map(|_| reader.bool()).collect::<Wire<_>>()?,
            ..Self::default()
        };
        for half in &mut block.halves {
            half.load(reader, channels)?;
        }
        for tail in &mut block.tails {
            *tail = Tail::load(reader)?;
        }
        block.usual = reader.f32s()?;
        for count in [&mut block.ticks, &mut block.ticks_since_renewed, &mut block.ticks_high] {
            *count = u32::try_from(reader.varint()?).map_err(|_| WireError::new("a count of ticks does not fit"))?;
        }
        Ok(block)
    }
}

/// Of the three largest surprises.
fn surprise_shares(samples: &[Option<Sample>]) -> Vec<f32> {
    let decades = || samples.iter().map(|sample| sample.map_or(0.0, |sample| sample.decades));
    let mut sorted: Vec<f32> = decades().collect();
    sorted.sort_unstable_by(|one, other| other.total_cmp(one));
    let floor = sorted.get(2).copied().unwrap_or(0.0);
    let whole = top_three(samples);
    decades().map(|one| if one > 0.0 && one >= floor { one / whole } else { 0.0 }).collect()
}

/// Sum of the three largest of the sensors' own surprises.
fn top_three(samples: &[Option<Sample>]) -> f32 {
    let mut top = [0.0f32; 3];
    for sample in samples.iter().flatten() {
        let mut left = sample.decades;
        for place in &mut top {
            if left > *place {
                std::mem::swap(&mut left, place);
            }
        }
    }
    top.iter().sum()
}
