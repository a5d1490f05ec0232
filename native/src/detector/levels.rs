//! Few levels (a valve, a pump): how rare a move between two of them is, and how long one has lasted.
//!
//! Dwell times are taken as log-logistic: survival 1 / (1 + (t/median)^(1/s)), from the mean and variance of their logarithm.
//! What is said is a share of what the budget of false alarms asks for: from 1 on it speaks.

use super::observed::Observed;
use super::say::{Reason, Say};
use crate::instant::DAY_S;
use crate::wire::{put_bool, put_f32s, put_f64s, put_signed, put_varint, Reader, Wire, WireError};

pub const LEVELS_MAX: usize = 8;
/// Moves without a new one, after which a new one is strange; and moves away from the level it leaves.
const MOVES_SINCE_NEW_MIN: u16 = 50;
const MOVES_FROM_MIN: f32 = 20.0;
/// Moves after which older ones count half.
const MOVES_MAX: u16 = 4_096;
/// Dwells of a level that must have been seen, and for how long in all: rests follow the day.
const DWELLS_MIN: f32 = 20.0;
const MEMORY_DWELLS: f32 = 200.0;
/// The smallest spread of the logarithm of dwells that means anything.
const LN_SPREAD_MIN: f32 = 0.2;
/// A dwell must be so many times (as a logarithm: 1.5) beyond all others of its level to be strange.
const LN_BEYOND: f32 = 0.405;
/// Positions are further apart than this share of the largest.
const POSITIONS_SPAN_MIN: f64 = 0.2;
/// Decades above what the budget asks for, since no model is exact.
const MARGIN_DECADES: f32 = 0.5;
const DECADES_MIN: f32 = 2.0;
const SAY_MAX: f32 = 1.5;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Level {
    value: f64,
    dwells: f32,
    ln_mean: f32,
    ln_variance: f32,
    ln_shortest: f32,
    ln_longest: f32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Levels {
    levels: [Level; LEVELS_MAX],
    moves: [[u16; LEVELS_MAX]; LEVELS_MAX],
    count: u8,
    at: u8,
    /// Whether the present level was entered before our eyes.
    is_entered: bool,
    since_us: i64,
    first_us: i64,
    moved: u16,
    since_new: u16,
}

/// A reading has one value too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Full;

impl Levels {
    pub fn see(&mut self, reading: &Observed) -> Result<Option<Say>, Full> {
        let known = self.levels.iter().take(usize::from(self.count)).position(|level| level.value == reading.value);
        if self.count == 0 {
            (self.first_us, self.since_us) = (reading.at_us, reading.at_us);
        }
        match known {
            Some(index) if self.count > 0 && index == usize::from(self.at) => Ok(self.stays(reading)),
            Some(index) => Ok(self.moves_to(index, false, reading)),
            None if usize::from(self.count) == LEVELS_MAX => Err(Full),
            None => {
                let index = usize::from(self.count);
                let is_beside = self.is_beside(reading.value);
                if let Some(level) = self.levels.get_mut(index) {
                    level.value = reading.value;
                }
                self.count += 1;
                let say = if index == 0 { None } else { self.moves_to(index, is_beside, reading) };
                Ok(say)
            }
        }
    }

    fn dwells(&self) -> f32 {
        self.levels.iter().map(|level| level.dwells).sum()
    }

    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Values that lie close together, or are passed one after the other, are a scale and not positions.
    pub fn is_scale(&self) -> bool {
        let values = || self.levels.iter().take(self.count()).map(|level| level.value);
        let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let is_narrow = high - low < POSITIONS_SPAN_MIN * low.abs().max(high.abs());
        self.count > 1 && is_narrow || self.count > 2 && self.is_stepwise()
    }

    /// Whether nearly all moves are to the next level, up or down.
    fn is_stepwise(&self) -> bool {
        let (mut steps, mut jumps) = (0u32, 0u32);
        for (from, row) in self.levels.iter().zip(&self.moves) {
            for (to, moves) in self.levels.iter().zip(row).filter(|(_, moves)| **moves > 0) {
                let (low, high) = (from.value.min(to.value), from.value.max(to.value));
                let is_step =
                    !self.levels.iter().take(self.count()).any(|level| level.value > low && level.value < high);
                *if is_step { &mut steps } else { &mut jumps } += u32::from(*moves);
            }
        }
        jumps * 10 < steps + jumps
    }

    /// Whether a new value is as near to a known one as two known ones are: a reading's last digit.
    fn is_beside(&self, value: f64) -> bool {
        let known = || self.levels.iter().take(self.count()).map(|level| level.value);
        let nearest = known().map(|other| (other - value).abs()).fold(f64::INFINITY, f64::min);
        let apart = known().flat_map(|one| known().map(move |other| (one - other).abs())).filter(|apart| *apart > 0.0);
        nearest <= 1.01 * apart.fold(f64::INFINITY, f64::min)
    }

    fn stays(&mut self, reading: &Observed) -> Option<Say> {
        if reading.after_gap {
            self.is_entered = false;
        }
        let ln_dwell = self.ln_dwell(reading)?;
        let level = self.levels.get(usize::from(self.at)).filter(|level| level.dwells >= DWELLS_MIN)?;
        let is_beyond = ln_dwell > level.ln_longest + LN_BEYOND;
        let decades = level.decades(ln_dwell - level.ln_mean);
        self.told(decades, level.dwells, reading, Reason::LongDwell).filter(|_| is_beyond)
    }

    fn moves_to(&mut self, index: usize, is_beside: bool, reading: &Observed) -> Option<Say> {
        let from = usize::from(std::mem::replace(&mut self.at, index as u8));
        let ln_dwell = self.ln_dwell(reading);
        let rested_s = reading.at_us.saturating_sub(self.since_us) as f64 / 1e6;
        self.is_entered = !reading.after_gap;
        self.since_us = reading.at_us;
        if reading.after_gap {
            return None;
        }
        // what moves again after more than the budget's time costs no more than the budget
        if rested_s > reading.budget_s {
            self.rare(from, index, is_beside, reading);
            return Some(Say { share: 1.0, reason: Reason::RareMove });
        }
        let short = ln_dwell.and_then(|ln_dwell| self.left(from, ln_dwell, reading));
        self.rare(from, index, is_beside, reading).or(short)
    }

    fn ln_dwell(&self, reading: &Observed) -> Option<f32> {
        let dwell_s = reading.at_us.saturating_sub(self.since_us) as f64 / 1e6;
        (self.is_entered && dwell_s > 0.0).then(|| libm::log(dwell_s) as f32)
    }

    /// A level has been left: whether that was strangely soon; its dwell is learned.
    fn left(&mut self, from: usize, ln_dwell: f32, reading: &Observed) -> Option<Say> {
        let level = self.levels.get_mut(from)?;
        let before = *level;
        level.learn(ln_dwell);
        if before.dwells < DWELLS_MIN || ln_dwell >= before.ln_shortest - LN_BEYOND {
            return None;
        }
        let dwells = before.dwells;
        self.told(before.decades(before.ln_mean - ln_dwell), dwells, reading, Reason::ShortDwell)
    }

    /// How rare the move is; it is learned.
    fn rare(&mut self, from: usize, to: usize, is_beside: bool, reading: &Observed) -> Option<Say> {
        let row = self.moves.get_mut(from)?;
        let away: f32 = row.iter().map(|moves| f32::from(*moves)).sum();
        let moves = row.get_mut(to)?;
        let before = f32::from(*moves);
        *moves = moves.saturating_add(1);
        let since_new = self.since_new;
        self.since_new = if before == 0.0 { 0 } else { since_new.saturating_add(1) };
        self.moved += 1;
        if self.moved >= MOVES_MAX {
            self.moved /= 2;
            // what was seen once is never new again
            self.moves.as_flattened_mut().iter_mut().for_each(|moves| *moves = moves.div_ceil(2));
        }
        if before == 0.0 {
            let is_strange = since_new >= MOVES_SINCE_NEW_MIN && away >= MOVES_FROM_MIN && !is_beside;
            return is_strange.then_some(Say { share: 1.0 + away.min(100.0) / 500.0, reason: Reason::RareMove });
        }
        let decades = libm::log10f((away + 1.0) / (before + 0.5));
        self.told(decades, self.dwells(), reading, Reason::RareMove).filter(|say| say.share >= 1.0)
    }

    /// Decades as a share of what the budget asks for at this many chances so far.
    fn told(&self, decades: f32, chances: f32, reading: &Observed, reason: Reason) -> Option<Say> {
        let known_s = reading.at_us.saturating_sub(self.first_us) as f64 / 1e6;
        if known_s < DAY_S {
            return None;
        }
        let in_budget = f64::from(chances) * (reading.budget_s / known_s);
        let needed = (libm::log10(in_budget.max(1.0)) as f32 + MARGIN_DECADES).max(DECADES_MIN);
        Some(Say { share: (decades / needed).clamp(0.0, SAY_MAX), reason })
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.count));
        put_varint(out, u64::from(self.at));
        put_bool(out, self.is_entered);
        put_signed(out, self.since_us);
        put_signed(out, self.first_us);
        put_varint(out, u64::from(self.moved));
        put_varint(out, u64::from(self.since_new));
        for (level, row) in self.levels.iter().zip(&self.moves).take(self.count()) {
            put_f64s(out, &[level.value]);
            put_f32s(out, &[level.dwells, level.ln_mean, level.ln_variance, level.ln_shortest, level.ln_longest]);
            row.iter().take(self.count()).for_each(|moves| put_varint(out, u64::from(*moves)));
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (count, at) = (reader.varint()?, reader.varint()?);
        if count > LEVELS_MAX as u64 || at > 0 && at >= count {
            return Err(WireError::new(format!("level {at} of {count}")));
        }
        let mut levels = Self { count: count as u8, at: at as u8, is_entered: reader.bool()?, ..Self::default() };
        (levels.since_us, levels.first_us) = (reader.signed()?, reader.signed()?);
        (levels.moved, levels.since_new) = (u16_of(reader)?, u16_of(reader)?);
        for (level, row) in levels.levels.iter_mut().zip(&mut levels.moves).take(count as usize) {
            [level.value] = reader.f64s()?;
            [level.dwells, level.ln_mean, level.ln_variance, level.ln_shortest, level.ln_longest] = reader.f32s()?;
            for moves in row.iter_mut().take(count as usize) {
                *moves = u16_of(reader)?;
            }
        }
        Ok(levels)
    }
}

fn u16_of(reader: &mut Reader<'_>) -> Wire<u16> {
    let value = reader.varint()?;
    u16::try_from(value).map_err(|_| WireError::new(format!("{value} does not fit into 16 bits")))
}

impl Level {
    fn learn(&mut self, ln_dwell: f32) {
        if self.dwells == 0.0 {
            (self.ln_mean, self.ln_shortest, self.ln_longest) = (ln_dwell, ln_dwell, ln_dwell);
        }
        self.dwells += 1.0;
        let share = 1.0 / self.dwells.min(MEMORY_DWELLS);
        let difference = ln_dwell - self.ln_mean;
        self.ln_mean += share * difference;
        self.ln_variance += share * (difference * difference * (1.0 - share) - self.ln_variance);
        self.ln_shortest = self.ln_shortest.min(ln_dwell);
        self.ln_longest = self.ln_longest.max(ln_dwell);
        self.dwells = self.dwells.min(1e6);
    }

    /// Decades of a dwell whose logarithm is so far beyond the mean.
    fn decades(&self, beyond: f32) -> f32 {
        let scale = 0.551 * self.ln_variance.sqrt().max(LN_SPREAD_MIN);
        // ln(1 + e^x), without overflow
        let x = beyond / scale;
        (x.max(0.0) + libm::log1pf(libm::expf(-x.abs()))) / std::f32::consts::LN_10
    }
}
