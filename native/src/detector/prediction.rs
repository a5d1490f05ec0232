//! Prediction: what is left of a reading after the four before it have foretold it (recursive least squares).

use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{put_f32s, put_varint, Reader, Wire, WireError};

const ORDER: usize = 4;
const FORGETTING: f32 = 0.999;
const UNCERTAINTY_FIRST: f32 = 100.0;
/// A matrix beyond this has lost its meaning and is begun anew.
const UNCERTAINTY_MAX: f32 = 1e4;
/// Residuals beyond this many times the usual are clipped before they are learned.
const CLIP: f32 = 3.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    weights: [f32; ORDER],
    uncertainty: [[f32; ORDER]; ORDER],
    before: [f32; ORDER],
    known: u8,
    learned: u8,
}

impl Default for Prediction {
    fn default() -> Self {
        Self { weights: [0.0; ORDER], uncertainty: uncertain(), before: [0.0; ORDER], known: 0, learned: 0 }
    }
}

fn uncertain() -> [[f32; ORDER]; ORDER] {
    let mut matrix = [[0.0; ORDER]; ORDER];
    for (index, row) in matrix.iter_mut().enumerate() {
        row.iter_mut().skip(index).take(1).for_each(|cell| *cell = UNCERTAINTY_FIRST);
    }
    matrix
}

fn dot(left: &[f32; ORDER], right: &[f32; ORDER]) -> f32 {
    left[0] * right[0] + left[1] * right[1] + left[2] * right[2] + left[3] * right[3]
}

impl View for Prediction {
    #[inline]
    fn look(&mut self, seen: &Seen, usual: f32) -> Look {
        if seen.gap_intervals.is_some() {
            self.known = 0;
        }
        let mut look = Look::Rest;
        if usize::from(self.known) >= ORDER {
            let error = seen.z - dot(&self.weights, &self.before);
            let clip = if self.learned >= 100 { CLIP * usual.max(1e-6) } else { f32::MAX };
            self.learn(error.clamp(-clip, clip));
            self.learned = (self.learned + 1).min(100);
            look = Look::Residual(error.abs());
        }
        self.before = [seen.z, self.before[0], self.before[1], self.before[2]];
        self.known = (self.known + 1).min(ORDER as u8);
        look
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f32s(out, &self.weights);
        put_f32s(out, self.uncertainty.as_flattened());
        put_f32s(out, &self.before);
        put_varint(out, u64::from(self.known));
        put_varint(out, u64::from(self.learned));
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let view = Self {
            weights: reader.f32s()?,
            uncertainty: [reader.f32s()?, reader.f32s()?, reader.f32s()?, reader.f32s()?],
            before: reader.f32s()?,
            known: reader.u8()?,
            learned: reader.u8()?,
        };
        if usize::from(view.known) > ORDER || view.learned > 100 {
            return Err(WireError::new(format!("{} readings known, {} learned", view.known, view.learned)));
        }
        Ok(view)
    }
}

impl Prediction {
    #[inline]
    fn learn(&mut self, error: f32) {
        let gain = [0, 1, 2, 3].map(|row| self.uncertainty.get(row).map_or(0.0, |row| dot(row, &self.before)));
        let variance = FORGETTING + dot(&gain, &self.before);
        if !(FORGETTING / 2.0..f32::MAX).contains(&variance) {
            self.uncertainty = uncertain(); // rounding took its meaning
            return;
        }
        let inverse = 1.0 / variance;
        for (weight, gain) in self.weights.iter_mut().zip(gain) {
            *weight = (*weight + gain * inverse * error).clamp(-1e3, 1e3);
        }
        let mut trace = 0.0;
        for (index, (row, left)) in self.uncertainty.iter_mut().zip(gain).enumerate() {
            for (cell, right) in row.iter_mut().zip(gain) {
                *cell = (*cell - left * right * inverse) * (1.0 / FORGETTING);
            }
            trace += row.get(index).copied().unwrap_or(0.0);
        }
        if !(0.0..UNCERTAINTY_MAX).contains(&trace) {
            self.uncertainty = uncertain();
        }
    }
}
