//! Prototypes: a few points that a signal keeps coming back to, as bytes, moved or replaced as it lives.
//!
//! Distances are L1 over bytes, a shape of loop that compilers turn into SSE2's `psadbw` without being asked.

use crate::wire::{put_f32s, put_varint, Reader, Wire, WireError};

/// The byte of the value zero.
pub const ZERO: u8 = 128;
/// Steps after which uses count half.
const HALVING_STEPS: u16 = 2_048;
/// A prototype that was used often still moves by this share.
const MOVE_MIN: f32 = 0.05;
/// Compressed quanta stay within this.
const SPAN: f32 = 127.0;
/// Points are at most so far out: compressed and rounded they must stay below the span, or they would expand to infinity.
pub const QUANTA_MAX: f32 = 1e4;
/// Beyond so many mean distances a point is no prototype's neighbour.
const FAR: f32 = 2.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Memory<const W: usize, const K: usize> {
    rows: [[u8; W]; K],
    uses: [u8; K],
    count: u8,
    steps: u16,
    /// A Weyl sequence that rounds small moves up or down, so that they add up.
    dither: u8,
    /// Where the search for the least used begins.
    cursor: u8,
    /// Mean distance to the nearest prototype.
    radius: f32,
}

impl<const W: usize, const K: usize> Default for Memory<W, K> {
    fn default() -> Self {
        Self { rows: [[ZERO; W]; K], uses: [0; K], count: 0, steps: 0, dither: 0, cursor: 0, radius: 0.0 }
    }
}

/// Quanta are kept compressed, 1:1 near zero and ever coarser outwards, so that a byte spans peaks as well as ripples.
#[inline]
fn compressed(quanta: f32) -> f32 {
    quanta / (1.0 + quanta.abs() * (1.0 / SPAN))
}

#[inline]
fn expanded(compressed: f32) -> f32 {
    compressed / (1.0 - compressed.abs() * (1.0 / SPAN))
}

#[inline]
fn value_of(byte: u8) -> f32 {
    f32::from(byte) - 128.0
}

/// The nearest byte; `dither` (0 to 1, a half to round) decides between the two that are near.
#[inline]
fn byte_of(compressed: f32, dither: f32) -> u8 {
    (compressed + 128.0 + dither) as u8
}

/// L1 distance. On its own it becomes a single `psadbw`; inlined into the loop it is taken apart and takes four times as long.
#[inline(never)]
fn apart<const W: usize>(left: &[u8; W], right: &[u8; W]) -> u32 {
    left.iter().zip(right).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

impl<const W: usize, const K: usize> Memory<W, K> {
    /// The nearest prototype; none while there are no prototypes.
    #[inline]
    pub fn nearest(&self, quanta: &[f32; W]) -> Option<usize> {
        let point = quanta.map(|quanta| byte_of(compressed(quanta), 0.5));
        let mut best = u32::MAX;
        for (index, row) in self.rows.iter().enumerate().take(usize::from(self.count)) {
            best = best.min(apart(row, &point) << 8 | index as u32);
        }
        (best != u32::MAX).then_some((best & 0xff) as usize)
    }

    /// The distance of a point in quanta to a prototype, without bounds.
    #[inline]
    pub fn distance(&self, index: usize, quanta: &[f32; W]) -> f32 {
        let Some(row) = self.rows.get(index) else { return 0.0 };
        row.iter().zip(quanta).map(|(byte, quanta)| (quanta - expanded(value_of(*byte))).abs()).sum()
    }

    /// Take a point in; `distance` to the nearest in the caller's unit. `eager`: fill up before anything is moved.
    #[inline]
    pub fn learn(&mut self, quanta: &[f32; W], nearest: usize, distance: f32) {
        self.radius += 0.01 * (distance.min(8.0 * self.radius.max(1e-3)) - self.radius);
        self.age();
        let count = usize::from(self.count);
        let is_new = count == 0 || count < K && distance > self.radius;
        if is_new {
            self.count += 1;
            self.put(count, quanta);
        } else if distance > FAR * self.radius {
            let least = self.least_used();
            self.put(least, quanta);
        } else {
            self.approach(nearest, quanta);
        }
    }

    /// The least used prototype; of several the one that was put in first.
    fn least_used(&mut self) -> usize {
        let begin = usize::from(self.cursor);
        let age = |index: usize| if index < begin { index + K } else { index };
        let least = self.uses.iter().enumerate().min_by_key(|(index, uses)| (**uses, age(*index)));
        let least = least.map_or(0, |(index, _)| index);
        self.cursor = ((least + 1) % K) as u8;
        least
    }

    fn put(&mut self, index: usize, quanta: &[f32; W]) {
        let (Some(row), Some(uses)) = (self.rows.get_mut(index), self.uses.get_mut(index)) else { return };
        *row = quanta.map(|quanta| byte_of(compressed(quanta), 0.5));
        *uses = 1;
    }

    fn age(&mut self) {
        self.steps += 1;
        if self.steps >= HALVING_STEPS {
            self.steps = 0;
            self.uses.iter_mut().for_each(|uses| *uses /= 2);
        }
    }

    #[inline]
    fn approach(&mut self, index: usize, quanta: &[f32; W]) {
        let (Some(row), Some(uses)) = (self.rows.get_mut(index), self.uses.get_mut(index)) else { return };
        *uses = uses.saturating_add(1);
        let share = (1.0 / f32::from(*uses)).max(MOVE_MIN);
        self.dither = self.dither.wrapping_add(159); // near the golden section of 256
        let dither = (f32::from(self.dither) + 0.5) * (1.0 / 256.0);
        for (byte, quanta) in row.iter_mut().zip(quanta) {
            let at = value_of(*byte);
            *byte = byte_of(at + share * (compressed(*quanta) - at), dither);
        }
    }

    /// The quantum became `1 / factor` of what it was: prototypes stay where they are.
    pub fn rescale(&mut self, factor: f32) {
        for byte in self.rows.as_flattened_mut() {
            *byte = byte_of(compressed(expanded(value_of(*byte)) * factor), 0.5);
        }
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        out.push(self.count);
        out.push(self.cursor);
        out.push(self.dither);
        put_varint(out, u64::from(self.steps));
        put_f32s(out, &[self.radius]);
        for (row, uses) in self.rows.iter().zip(self.uses).take(usize::from(self.count)) {
            out.push(uses);
            out.extend_from_slice(row);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut memory = Self { count: reader.u8()?, cursor: reader.u8()?, dither: reader.u8()?, ..Self::default() };
        memory.steps = reader.varint()? as u16;
        [memory.radius] = reader.f32s()?;
        if usize::from(memory.count) > K || memory.steps >= HALVING_STEPS {
            return Err(WireError::new(format!("{} of {K} prototypes, step {}", memory.count, memory.steps)));
        }
        let rows = memory.rows.iter_mut().zip(&mut memory.uses);
        for (row, uses) in rows.take(usize::from(memory.count)) {
            *uses = reader.u8()?;
            row.copy_from_slice(reader.take(W)?);
        }
        Ok(memory)
    }
}
