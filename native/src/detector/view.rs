//! What every view of a signal is.

use super::signal::Seen;
use crate::wire::{Reader, Wire};

/// What a view says of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// Nothing yet.
    Rest,
    /// Nothing new: what it said before holds.
    Hold,
    /// How far the reading is from what was expected: finite, not negative, in spreads of the signal.
    Residual(f32),
}

/// One way of looking at a signal.
pub trait View: Default {
    /// Look at a reading, then learn it. `usual` is what 98 % of residuals keep to.
    fn look(&mut self, seen: &Seen, usual: f32) -> Look;
    fn save(&self, out: &mut Vec<u8>);
    fn load(reader: &mut Reader<'_>) -> Wire<Self>;
}
