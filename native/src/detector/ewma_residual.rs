//! Distance from an exponentially weighted mean whose weights decay by time, not by count.

use super::{Observation, View};
use crate::wire::{put_f64, put_varint, Reader, Wire};

/// Half-life of the mean in usual intervals.
const HALF_INTERVALS: f64 = 16.0;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct EwmaResidual {
    mean: f64,
    readings: u64,
    /// Readings in a row that were clipped: a new level is believed faster the longer it lasts.
    clipped: u64,
}

impl View for EwmaResidual {
    const NAME: &'static str = "ewma_residual";

    fn expected(&self) -> f64 {
        self.mean
    }

    fn residual(&self, value: f64) -> f64 {
        (value - self.mean).abs()
    }

    fn learn(&mut self, observation: &Observation, usual: f64) {
        self.readings += 1;
        let difference = observation.value - self.mean;
        let weight = 1.0 - libm::exp2(-observation.elapsed_s / (HALF_INTERVALS * observation.interval_s));
        let weight = weight.max(1.0 / self.readings as f64);
        let bound = usual * ((1u64 << self.clipped.min(60)) as f64);
        if usual > 0.0 && difference.abs() > bound {
            self.clipped += 1;
            self.mean += weight * if difference > 0.0 { bound } else { -bound };
        } else {
            self.clipped = 0;
            self.mean += weight * difference;
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f64(out, self.mean);
        put_varint(out, self.readings);
        put_varint(out, self.clipped);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self { mean: reader.f64()?, readings: reader.varint()?, clipped: reader.varint()? })
    }
}
