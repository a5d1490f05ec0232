//! Two-scale shift: how far the short mean has moved from the long one.

use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{Reader, Wire};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shift;

impl View for Shift {
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        let [_, short, _, long] = seen.means_z;
        Look::Residual((short - long).abs())
    }

    fn save(&self, _out: &mut Vec<u8>) {}

    fn load(_reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self)
    }
}
