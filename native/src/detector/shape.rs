//! Shape novelty: distance of the last 16 block means, their mean taken away, to the nearest of the shapes known so far.

use super::course::{swings, BLOCKS};
use super::memory::{Memory, QUANTA_MAX};
use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{put_f32s, put_varint, Reader, Wire, WireError};

const SHAPES: usize = 18;
/// The mean spread of a window is kept between these many quanta.
const QUANTA: (f32, f32) = (24.0, 56.0);
/// The smallest spread of a window that means anything, in spreads of the signal.
const WINDOW_SPREAD_MIN: f32 = 0.1;
const MEMORY_WINDOWS: f32 = 1_000.0;

/// `LOG` is the logarithm of how many readings make a block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shape<const LOG: u32> {
    window: [f32; BLOCKS],
    sum: f32,
    in_block: u16,
    /// Blocks in the window, up to full.
    filled: u16,
    windows: f32,
    /// Mean spread of a window.
    spread: f32,
    quantum: f32,
    memory: Memory<BLOCKS, SHAPES>,
}

impl<const LOG: u32> View for Shape<LOG> {
    #[inline]
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        if let Some(gap) = seen.gap_intervals {
            if gap > f64::from(4u32 << LOG) {
                (self.sum, self.in_block, self.filled) = (0.0, 0, 0);
            }
        }
        self.sum += seen.lifted as f32;
        self.in_block += 1;
        if u32::from(self.in_block) < 1 << LOG {
            return if usize::from(self.filled) < BLOCKS { Look::Rest } else { Look::Hold };
        }
        self.window.copy_within(1.., 0);
        self.window[BLOCKS - 1] = self.sum / (1u32 << LOG) as f32;
        (self.sum, self.in_block) = (0.0, 0);
        self.filled = (self.filled + 1).min(BLOCKS as u16);
        if usize::from(self.filled) < BLOCKS {
            return Look::Rest;
        }
        self.compare(seen)
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f32s(out, &self.window);
        put_f32s(out, &[self.sum, self.windows, self.spread, self.quantum]);
        put_varint(out, u64::from(self.in_block));
        put_varint(out, u64::from(self.filled));
        self.memory.save(out);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let window = reader.f32s()?;
        let [sum, windows, spread, quantum] = reader.f32s()?;
        let (in_block, filled) = (reader.varint()?, reader.varint()?);
        if in_block >= 1 << LOG || filled > BLOCKS as u64 {
            return Err(WireError::new(format!("{in_block} readings in a block, {filled} blocks")));
        }
        let memory = Memory::load(reader)?;
        Ok(Self { window, sum, in_block: in_block as u16, filled: filled as u16, windows, spread, quantum, memory })
    }
}

impl<const LOG: u32> Shape<LOG> {
    /// How often the last shape crosses its mean.
    pub fn swings(&self) -> u32 {
        swings(&self.window)
    }

    fn compare(&mut self, seen: &Seen) -> Look {
        let mean = self.window.iter().sum::<f32>() / BLOCKS as f32;
        let centred = self.window.map(|block| block - mean);
        self.follow_spread(&centred, seen.spread as f32);
        let inverse = 1.0 / self.quantum;
        let quanta = centred.map(|block| (block * inverse).clamp(-QUANTA_MAX, QUANTA_MAX));
        let (nearest, distance) = match self.memory.nearest(&quanta) {
            Some(nearest) => (nearest, self.memory.distance(nearest, &quanta)),
            None => (0, 0.0),
        };
        let residual =
            distance * self.quantum / (BLOCKS as f32 * self.spread.max(WINDOW_SPREAD_MIN * seen.spread as f32));
        self.memory.learn(&quanta, nearest, residual);
        if self.windows <= BLOCKS as f32 {
            Look::Rest
        } else {
            Look::Residual(residual)
        }
    }

    /// Follow the mean spread of a window, and keep the quantum a fixed part of it.
    fn follow_spread(&mut self, centred: &[f32; BLOCKS], signal_spread: f32) {
        // in spreads of the signal, so that no square overflows
        let unit = 1.0 / signal_spread;
        let squares: f32 = centred.iter().map(|block| (block * unit).clamp(-1e6, 1e6)).map(|part| part * part).sum();
        let spread = (squares / BLOCKS as f32).sqrt() * signal_spread;
        self.windows = (self.windows + 1.0).min(MEMORY_WINDOWS);
        let clipped = if self.windows > 20.0 { spread.min(4.0 * self.spread) } else { spread };
        self.spread += (clipped - self.spread) / self.windows;
        let wanted = self.spread.max(WINDOW_SPREAD_MIN * signal_spread);
        if !(QUANTA.0 / 256.0..QUANTA.1 * 256.0).contains(&(wanted / self.quantum)) {
            self.memory = Memory::default();
            self.quantum = wanted * 2.0 / (QUANTA.0 + QUANTA.1);
        }
        while wanted > QUANTA.1 * self.quantum {
            self.memory.rescale(0.5);
            self.quantum *= 2.0;
        }
        while wanted < QUANTA.0 * self.quantum {
            self.memory.rescale(2.0);
            self.quantum /= 2.0;
        }
    }
}
