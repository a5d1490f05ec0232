//! What is said of a facility's tick.

use super::block::STATISTICS;
use crate::wire::{put_bool, put_f32s, put_f64, put_signed, put_varint, Reader, Wire, WireError};

/// A sensor's part in an unusual tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contributor {
    /// Position of the sensor in its facility.
    pub place: u32,
    pub share: f32,
}

/// What the facility says of a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct FacilityScore {
    /// Event time of the tick's newest reading.
    pub at_us: i64,
    pub tick_s: f64,
    pub decades: f32,
    pub threshold: f32,
    pub alarming: bool,
    /// The statistics as they are and their surprises in decades, in the order of `block::STATISTIC_NAMES`.
    pub statistics: [f32; STATISTICS],
    pub surprises: [f32; STATISTICS],
    /// Channels that take part, in the block that speaks, and sensors of the facility that were silent for too long.
    pub members: u32,
    pub stale: u32,
    /// Largest first; empty below half the threshold.
    pub contributors: Vec<Contributor>,
}

impl FacilityScore {
    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.at_us);
        put_f64(out, self.tick_s);
        put_f32s(out, &[self.decades, self.threshold]);
        put_bool(out, self.alarming);
        put_f32s(out, &self.statistics);
        put_f32s(out, &self.surprises);
        for count in [self.members, self.stale, self.contributors.len() as u32] {
            put_varint(out, u64::from(count));
        }
        for contributor in &self.contributors {
            put_varint(out, u64::from(contributor.place));
            put_f32s(out, &[contributor.share]);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (at_us, tick_s) = (reader.signed()?, reader.f64()?);
        let [decades, threshold] = reader.f32s()?;
        let alarming = reader.bool()?;
        let (statistics, surprises) = (reader.f32s()?, reader.f32s()?);
        let (members, stale) = (count_of(reader)?, count_of(reader)?);
        let contributors = (0..reader.count()?)
            .map(|_| {
                let place = count_of(reader)?;
                let [share] = reader.f32s()?;
                Ok(Contributor { place, share })
            })
            .collect::<Wire<_>>()?;
        Ok(Self { at_us, tick_s, decades, threshold, alarming, statistics, surprises, members, stale, contributors })
    }
}

fn count_of(reader: &mut Reader<'_>) -> Wire<u32> {
    u32::try_from(reader.varint()?).map_err(|_| WireError::new("a count does not fit into 32 bits"))
}
