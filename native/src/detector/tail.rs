//! Online tail model: how surprising a residual is, in decades, from six numbers and no history.
//!
//! The 98 % level is tracked by stochastic steps; the excess over it is taken as generalised Pareto, fitted by its mean
//! and variance: xi = (1 - m²/v)/2, sigma = m (1 - xi) (method of moments, Hosking and Wallis 1987).

use crate::wire::{put_f32s, Reader, Wire};

const TAIL_SHARE: f32 = 0.02;
/// Bounds of the tail's shape: never thinner than the one, never heavier than the other.
const XI_MIN: f64 = 0.1;
const XI_MAX: f64 = 0.4;
/// Residuals that must have been seen before any is a surprise.
const FIRST_READINGS: f32 = 64.0;
/// The smallest mean excess that means anything, in the residual's unit (spreads of the signal).
const EXCESS_MIN: f64 = 0.05;
/// Excesses beyond this many mean ones are clipped before they are learned. Much is let in, since of an episode only the
/// beginning is learned (`views.rs`): single outliers are how a heavy tail shows itself.
const CLIP: f32 = 16.0;
/// One view alone is believed up to here.
const DECADES_MAX: f32 = 6.0;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tail {
    readings: f32,
    excesses: f32,
    level: f32,
    /// Mean and variance of the excess over the level.
    mean: f32,
    variance: f32,
    /// Mean residual, the size of the level's steps.
    usual: f32,
}

impl Tail {
    /// Decades of surprise, zero below the level.
    #[inline]
    pub fn surprise(&self, residual: f32) -> f32 {
        if self.readings < FIRST_READINGS || residual <= self.level {
            return 0.0;
        }
        let mean = f64::from(self.mean).max(EXCESS_MIN);
        let variance = f64::from(self.variance).max(mean * mean * 1e-6);
        let xi = ((1.0 - mean * mean / variance) / 2.0).clamp(XI_MIN, XI_MAX);
        let ratio = f64::from(residual - self.level) / (mean * (1.0 - xi));
        let log_tail = libm::log1p(xi * ratio) / xi;
        let decades = (log_tail - libm::log(f64::from(TAIL_SHARE))) / std::f64::consts::LN_10;
        (decades as f32).min(DECADES_MAX)
    }

    /// Take a residual in; `memory` readings are remembered.
    #[inline]
    pub fn learn(&mut self, residual: f32, memory: f32) {
        self.readings = (self.readings + 1.0).min(memory);
        if self.readings <= 1.0 {
            self.level = residual;
            self.usual = residual.max(1e-12);
            self.mean = self.usual;
            self.variance = 2.0 * self.mean * self.mean;
            return;
        }
        self.usual += (residual.min(8.0 * self.usual) - self.usual) / self.readings.min(2000.0);
        let step = 5.0 * self.usual * (4.0 / (self.readings + 20.0)).max(0.002);
        if residual > self.level {
            self.level += step * (1.0 - TAIL_SHARE);
        } else {
            self.level = (self.level - step * TAIL_SHARE).max(0.0);
        }
        if residual > self.level {
            self.learn_excess(residual - self.level, memory);
        }
    }

    fn learn_excess(&mut self, excess: f32, memory: f32) {
        self.excesses += 1.0;
        let weight = 1.0 / (self.excesses + 4.0).min((memory * TAIL_SHARE).max(40.0));
        let clipped = if self.excesses > 20.0 { excess.min(CLIP * self.mean) } else { excess };
        self.excesses = self.excesses.min(1e6);
        let difference = clipped - self.mean;
        self.mean += weight * difference;
        self.variance += weight * (difference * difference - self.variance);
    }

    /// What 98 % of residuals keep to.
    pub fn level(&self) -> f32 {
        self.level
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_f32s(out, &[self.readings, self.excesses, self.level, self.mean, self.variance, self.usual]);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let [readings, excesses, level, mean, variance, usual] = reader.f32s()?;
        Ok(Self { readings, excesses, level, mean, variance, usual })
    }
}
