//! Novelty: distance to the nearest state known so far of (value, means at three half-lives, mean difference).

use super::memory::Memory;
use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{Reader, Wire};

const WIDTH: usize = 8;
const STATES: usize = 32;
const QUANTA_PER_SPREAD: f32 = 16.0;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prototypes {
    memory: Memory<WIDTH, STATES>,
}

impl View for Prototypes {
    #[inline]
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        let [first, second, third, _] = seen.means_z;
        let state = [seen.z, first, second, third, seen.difference, 0.0, 0.0, 0.0];
        let quanta = state.map(|part| part * QUANTA_PER_SPREAD);
        let (nearest, distance) = match self.memory.nearest(&quanta) {
            Some(nearest) => (nearest, self.memory.distance(nearest, &quanta) / QUANTA_PER_SPREAD),
            None => (0, 0.0),
        };
        self.memory.learn(&quanta, nearest, distance);
        Look::Residual(distance)
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.memory.save(out);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self { memory: Memory::load(reader)? })
    }
}
