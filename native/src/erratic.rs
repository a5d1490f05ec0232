//! A clock that jumps about: its stamps say nothing of when readings were, so they are judged as they arrive until stamps
//! have been right for a while.

use crate::instant::US_PER_S;
use crate::strange::is_steady;
use crate::wire::{put_bool, put_signed, put_varint, Reader, Wire, WireError};

/// A stamp that differs from its arrival by no more is right, with its time on the way.
const NEAR_US: i64 = 30 * US_PER_S;
/// And one that is ahead by no more.
const AHEAD_US: i64 = 5 * US_PER_S;
/// For so long, and so many arrivals, stamps must be right to be believed again.
const RIGHT_US_MIN: i64 = 60 * US_PER_S;
const RIGHT_MIN: u32 = 4;
/// Readings that arrive together keep the order of their stamps, a thousandth of the time apart that they claim.
const SHARE: i64 = 1_000;

/// Arrivals whose stamps are right, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    count: u32,
    first_stamp_us: i64,
    first_received_us: i64,
    last_stamp_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erratic {
    /// The first reading of the newest arrival: its stamp, and the moment for which it was judged.
    stamp_us: i64,
    at_us: i64,
    /// How far behind stamps have been at the most.
    pub most_us: i64,
    right: Option<Right>,
}

impl Erratic {
    pub fn begin(stamp_us: i64, at_us: i64) -> Self {
        Self { stamp_us, at_us, most_us: at_us.saturating_sub(stamp_us), right: None }
    }

    /// The moment of a reading that came together with the newest, or before it; the same again gives the same.
    pub fn moment_us(&self, stamp_us: i64) -> i64 {
        let claimed_us = stamp_us.saturating_sub(self.stamp_us);
        self.at_us.saturating_add((claimed_us / SHARE).clamp(-AHEAD_US, AHEAD_US))
    }

    /// The first reading of another arrival is judged for this moment.
    pub fn go_on(&mut self, stamp_us: i64, at_us: i64) {
        (self.stamp_us, self.at_us) = (stamp_us, at_us);
        self.most_us = self.most_us.max(at_us.saturating_sub(stamp_us));
    }

    /// Whether stamps have been right for long enough, with this one.
    pub fn is_over(&mut self, stamp_us: i64, received_us: i64, old_us: i64) -> bool {
        let lag_us = received_us.saturating_sub(stamp_us);
        if !(-AHEAD_US..old_us).contains(&lag_us) {
            self.right = None;
            return false;
        }
        let begun =
            Right { count: 1, first_stamp_us: stamp_us, first_received_us: received_us, last_stamp_us: stamp_us };
        let Some(right) = &mut self.right else {
            self.right = Some(begun);
            return false;
        };
        let span_us = received_us.saturating_sub(right.first_received_us);
        let is_so = lag_us <= NEAR_US || is_steady(stamp_us.saturating_sub(right.first_stamp_us), span_us);
        if !is_so || stamp_us <= right.last_stamp_us {
            self.right = Some(begun);
            return false;
        }
        right.count = right.count.saturating_add(1);
        right.last_stamp_us = stamp_us;
        right.count >= RIGHT_MIN && span_us >= RIGHT_US_MIN
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        for number in [self.stamp_us, self.at_us, self.most_us] {
            put_signed(out, number);
        }
        put_bool(out, self.right.is_some());
        if let Some(right) = &self.right {
            put_varint(out, u64::from(right.count));
            for number in [right.first_stamp_us, right.first_received_us, right.last_stamp_us] {
                put_signed(out, number);
            }
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut erratic =
            Self { stamp_us: reader.signed()?, at_us: reader.signed()?, most_us: reader.signed()?, right: None };
        if reader.bool()? {
            erratic.right = Some(Right {
                count: u32::try_from(reader.varint()?).map_err(|_| WireError::new("arrivals do not fit"))?,
                first_stamp_us: reader.signed()?,
                first_received_us: reader.signed()?,
                last_stamp_us: reader.signed()?,
            });
        }
        Ok(erratic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = US_PER_S;
    const OLD_US: i64 = 300 * S;

    /// After how many seconds stamps that lag so far behind every four seconds are believed.
    fn over_s(lag_s: impl Fn(i64) -> i64) -> Option<i64> {
        let mut erratic = Erratic::begin(-3_600 * S, 0);
        (0..400).step_by(4).find(|at_s| erratic.is_over((at_s - lag_s(*at_s)) * S, at_s * S, OLD_US))
    }

    #[test]
    fn stamps_that_are_near_or_steady_for_a_minute_are_right() {
        for lag_s in [-5, 0, 30, 31, 299] {
            assert_eq!(over_s(|_| lag_s), Some(60), "{lag_s}");
        }
        assert_eq!((over_s(|_| -6), over_s(|_| 300)), (None, None));
        assert_eq!(over_s(|at_s| at_s * 7 % 3), Some(60), "on the way for some time");
        assert_eq!(over_s(|at_s| if at_s == 40 { 3_600 } else { 0 }), Some(104), "from the last jump on");
        assert_eq!(over_s(|at_s| at_s * 7 % 250), None);
    }

    #[test]
    fn what_arrives_together_keeps_its_order_near_its_arrival() {
        let erratic = Erratic::begin(-3_600 * S, 50 * S);
        let at_us = [-3_700, -3_601, -3_600, -3_599, 9_000].map(|stamp_s| erratic.moment_us(stamp_s * S) - 50 * S);
        assert_eq!(at_us, [-100_000, -1_000, 0, 1_000, AHEAD_US]);
    }
}
