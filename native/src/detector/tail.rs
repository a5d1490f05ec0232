//! Online tail model: how surprising a residual is, in decades, from five numbers and no history.
//!
//! The 98 % level is tracked by stochastic steps; the excess over it is taken as generalised Pareto, fitted by its mean
//! and variance: xi = (1 - m²/v)/2, sigma = m (1 - xi) (method of moments, Hosking and Wallis 1987).

use crate::wire::{put_f64, Reader, Wire};

const TAIL_SHARE: f64 = 0.02;
const XI_MAX: f64 = 0.4;
/// Readings from which the first level is taken.
const FIRST_READINGS: f64 = 32.0;
/// Weight of the first guess of the excess, in exceedances.
const FIRST_EXCESSES: f64 = 4.0;
const DECADES_MAX: f64 = 99.0;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tail {
    readings: f64,
    excesses: f64,
    level: f64,
    mean: f64,
    variance: f64,
}

impl Tail {
    /// Decades of surprise, zero below the level. `floor` is the smallest width of the tail that means anything.
    pub fn surprise(&self, residual: f64, floor: f64) -> f64 {
        let excess = residual - self.level;
        if self.readings < FIRST_READINGS || excess <= 0.0 {
            return 0.0;
        }
        let xi = self.xi();
        let sigma = (self.mean * (1.0 - xi)).max(floor).max(f64::MIN_POSITIVE);
        let ratio = (excess / sigma).min(1e300);
        let log_tail = if xi > 1e-6 { libm::log1p(xi * ratio) / xi } else { ratio };
        ((log_tail - libm::log(TAIL_SHARE)) / std::f64::consts::LN_10).min(DECADES_MAX)
    }

    fn xi(&self) -> f64 {
        if self.variance <= 0.0 {
            return 0.0;
        }
        ((1.0 - self.mean * self.mean / self.variance) / 2.0).clamp(0.0, XI_MAX)
    }

    /// Take a residual in; `memory` readings are remembered.
    pub fn learn(&mut self, residual: f64, memory: f64) {
        self.readings = (self.readings + 1.0).min(memory);
        if self.readings <= FIRST_READINGS {
            self.level = self.level.max(residual);
            self.mean = self.level / 4.0;
            self.variance = self.mean * self.mean;
            self.excesses = FIRST_EXCESSES;
            return;
        }
        let step = self.mean / (TAIL_SHARE * self.readings);
        let excess = residual - self.level;
        if excess > 0.0 {
            self.learn_excess(excess, memory);
            self.level += step * (1.0 - TAIL_SHARE);
        } else {
            self.level = (self.level - step * TAIL_SHARE).max(0.0);
        }
    }

    fn learn_excess(&mut self, excess: f64, memory: f64) {
        let clipped = if self.mean > 0.0 { excess.min(6.0 * (self.mean + self.variance.sqrt())) } else { excess };
        self.excesses = (self.excesses + 1.0).min(TAIL_SHARE * memory);
        let weight = 1.0 / self.excesses;
        let difference = clipped - self.mean;
        self.mean += weight * difference;
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
    }

    pub fn level(&self) -> f64 {
        self.level
    }

    /// A residual that is far out but not absurd; zero while nothing is known.
    pub fn usual(&self) -> f64 {
        if self.readings < FIRST_READINGS {
            return 0.0;
        }
        self.level + 4.0 * self.mean
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for number in [self.readings, self.excesses, self.level, self.mean, self.variance] {
            put_f64(out, number);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self {
            readings: reader.f64()?,
            excesses: reader.f64()?,
            level: reader.f64()?,
            mean: reader.f64()?,
            variance: reader.f64()?,
        })
    }
}
