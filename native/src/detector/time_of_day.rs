//! Time of day: how far a reading is from what this hour of the day has been.

use super::signal::Seen;
use super::view::{Look, View};
use crate::wire::{put_f32s, Reader, Wire};

const BINS: usize = 24;
const DAY_US: i64 = 86_400_000_000;
/// Readings an hour must have had before it has a say.
const SEEN_MIN: f32 = 3.0;
/// Days that are remembered.
const DAYS_MAX: f32 = 8.0;

#[derive(Debug, Clone, PartialEq)]
pub struct TimeOfDay {
    means: [f32; BINS],
    seen: [f32; BINS],
}

impl Default for TimeOfDay {
    fn default() -> Self {
        Self { means: [0.0; BINS], seen: [0.0; BINS] }
    }
}

fn bin(at_us: i64) -> usize {
    (at_us.rem_euclid(DAY_US) / (DAY_US / BINS as i64)) as usize
}

impl TimeOfDay {
    /// What this hour of the day has been, lifted.
    pub fn usual(&self, at_us: i64) -> Option<f64> {
        let bin = bin(at_us);
        let is_known = self.seen.get(bin).is_some_and(|seen| *seen >= SEEN_MIN);
        self.means.get(bin).filter(|_| is_known).map(|mean| f64::from(*mean))
    }
}

impl View for TimeOfDay {
    fn look(&mut self, seen: &Seen, _usual: f32) -> Look {
        let bin = bin(seen.at_us);
        let (Some(mean), Some(count)) = (self.means.get_mut(bin), self.seen.get_mut(bin)) else { return Look::Rest };
        let value = seen.lifted as f32;
        let look = if *count >= SEEN_MIN {
            Look::Residual(((value - *mean) / seen.spread as f32).abs().min(1e6))
        } else {
            Look::Rest
        };
        let a_day = (86_400.0 / BINS as f64 / seen.interval_s).max(1.0) as f32;
        *count = (*count + 1.0).min(DAYS_MAX * a_day);
        *mean += (value - *mean) / *count;
        look
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_f32s(out, &self.means);
        put_f32s(out, &self.seen);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self { means: reader.f32s()?, seen: reader.f32s()? })
    }
}
