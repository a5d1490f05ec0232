//! Volatility: the logarithm of the mean difference between neighbours against what it has been.

use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{Reader, Wire};

/// Differences below this share of the spread are nothing.
const FLOOR: f32 = 1e-3;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Volatility;

impl View for Volatility {
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        let ratio = (seen.difference + FLOOR) / (seen.difference_long + FLOOR);
        Look::Residual(libm::logf(ratio).abs())
    }

    fn save(&self, _out: &mut Vec<u8>) {}

    fn load(_reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self)
    }
}
