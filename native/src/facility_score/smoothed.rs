//! The channels' z at one half-life, how they move together, and the distance of now from that (a multivariate EWMA).

use super::matrix::{self, dot};
use crate::wire::{put_f32s, Reader, Wire, WireError};

/// How far a covariance is drawn towards its diagonal: few ticks know little of many pairs.
const SHRINKAGE: f32 = 0.02;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Smoothed {
    /// Weight of the newest z; one: no memory.
    weight: f32,
    means: Vec<f32>,
    /// Packed lower triangles.
    covariance: Vec<f32>,
    factor: Vec<f32>,
    /// Diagonal of the inverse: how well the others foretell each channel. Follows from the factor.
    precision: Vec<f32>,
    scratch: Vec<f32>,
}

impl Smoothed {
    pub fn new(half_ticks: f64) -> Self {
        let weight = if half_ticks > 0.0 { (1.0 - libm::exp2(-1.0 / half_ticks)) as f32 } else { 1.0 };
        Self { weight, ..Self::default() }
    }

    /// One more channel: alone, with variance one.
    pub fn add_channel(&mut self) {
        self.means.push(0.0);
        self.precision.push(1.0);
        for triangle in [&mut self.covariance, &mut self.factor] {
            triangle.resize(triangle.len() + self.means.len() - 1, 0.0);
            triangle.push(1.0);
        }
    }

    pub fn step(&mut self, z: &[f32]) {
        for (mean, z) in self.means.iter_mut().zip(z) {
            *mean += self.weight * (z - *mean);
        }
    }

    /// After a gap the past says nothing of now.
    pub fn rest(&mut self) {
        self.means.fill(0.0);
    }

    /// Root of the mean squared distance over the members, and how far the worst of them is from what all others foretell of
    /// it, in its own spreads: one that drifts alone hardly moves the mean over many.
    pub fn distances(&mut self, members: &[bool], count: f32) -> (f32, f32) {
        self.load_members(members);
        matrix::solve_lower(&self.factor, &mut self.scratch);
        let together = (dot(&self.scratch, &self.scratch) / count).max(0.0).sqrt();
        matrix::solve_upper(&self.factor, &mut self.scratch);
        let known = self.scratch.iter().zip(&self.precision).zip(members).filter(|(_, is_member)| **is_member);
        let alone = known.map(|((part, precision), _)| part.abs() / precision.max(1e-12).sqrt()).fold(0.0, f32::max);
        (together, alone)
    }

    fn load_members(&mut self, members: &[bool]) {
        self.scratch.clear();
        let known = self.means.iter().zip(members).map(|(mean, is_member)| if *is_member { *mean } else { 0.0 });
        self.scratch.extend(known);
    }

    /// Each channel's part of the squared distance, shares of one.
    pub fn shares(&mut self, members: &[bool]) -> Vec<f32> {
        self.load_members(members);
        let z = self.scratch.clone();
        matrix::solve_lower(&self.factor, &mut self.scratch);
        matrix::solve_upper(&self.factor, &mut self.scratch);
        let parts: Vec<f32> = z.iter().zip(&self.scratch).map(|(z, weight)| (z * weight).max(0.0)).collect();
        let whole: f32 = parts.iter().sum();
        parts.iter().map(|part| if whole > 0.0 { part / whole } else { 0.0 }).collect()
    }

    /// `present`: one for a channel that has a value now, else zero.
    pub fn learn(&mut self, present: &[f32], weight: f32) {
        let mut rest = self.covariance.as_mut_slice();
        for (index, (mean, is_here)) in self.means.iter().zip(present).enumerate() {
            let (line, after) = rest.split_at_mut(index + 1);
            rest = after;
            let weight = weight * is_here;
            if weight == 0.0 {
                continue;
            }
            for ((value, other), here) in line.iter_mut().zip(&self.means).zip(present) {
                *value += weight * here * (mean * other - *value);
            }
        }
    }

    pub fn renew(&mut self, members: &[bool]) {
        self.factor = matrix::factor(&self.covariance, members, SHRINKAGE);
        self.precision = matrix::inverse_diagonal(&self.factor, members.len());
    }

    pub fn heap_bytes(&self) -> usize {
        4 * (self.means.capacity()
            + self.covariance.capacity()
            + self.factor.capacity()
            + self.precision.capacity()
            + self.scratch.capacity())
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for numbers in [&self.means, &self.covariance, &self.factor] {
            put_f32s(out, numbers);
        }
    }

    pub fn load(&mut self, reader: &mut Reader<'_>, channels: usize) -> Wire<()> {
        let pairs = channels * (channels + 1) / 2;
        if reader.remaining() < 4 * (channels + 2 * pairs) {
            return Err(WireError::new(format!("the bytes end before the covariance of {channels} channels")));
        }
        for (numbers, count) in [(&mut self.means, channels), (&mut self.covariance, pairs), (&mut self.factor, pairs)]
        {
            *numbers = (0..count).map(|_| reader.f32s().map(|[one]| one)).collect::<Wire<_>>()?;
        }
        self.precision = matrix::inverse_diagonal(&self.factor, channels);
        Ok(())
    }
}
