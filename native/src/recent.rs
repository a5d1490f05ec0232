//! A sensor's readings of the last minutes in order of event time, so that one that comes late is judged in its place.
//!
//! A moment belongs to the first reading that came for it, as in the database: what is delivered again finds its place
//! taken and changes nothing.

use std::collections::VecDeque;

use crate::wire::{put_bool, put_f64, put_option_i64, put_signed, put_varint, Reader, Wire, WireError};

/// A sensor that measures faster than this many times in `late_alarm_s_max` has a shorter memory.
pub const READINGS_MAX: usize = 512;
/// Memory that is full grows by one of so many readings, and by so many at the least: doubled, nearly half of it would
/// be room that stays empty for good.
const ROOM_OF: usize = 8;
const ROOM_MIN: usize = 4;

#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub at_us: i64,
    /// NaN: the reading cannot be compared with a limit, but its moment is taken.
    pub value: f64,
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.value.to_bits()) == (other.at_us, other.value.to_bits())
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recent {
    points: VecDeque<Point>,
    /// Up to here everything is settled: what comes for an older moment changes nothing any more.
    settled_us: Option<i64>,
}

impl Recent {
    /// The newest reading, later than all before it.
    #[inline]
    pub fn push(&mut self, at_us: i64, value: Option<f64>) {
        self.make_room();
        self.points.push_back(Point { at_us, value: value.unwrap_or(f64::NAN) });
    }

    /// The oldest reading if it is older than what may still come late, or one too many; it is settled then.
    #[inline]
    pub fn settle(&mut self, before_us: i64) -> Option<Point> {
        let oldest = self.points.front().filter(|oldest| oldest.at_us < before_us || self.is_too_long());
        let oldest = *oldest?;
        self.points.pop_front();
        self.settled_us = Some(oldest.at_us);
        Some(oldest)
    }

    #[inline]
    pub fn is_too_long(&self) -> bool {
        self.points.len() > READINGS_MAX
    }

    /// Put a late reading in its place; false: it is settled what was there, or the moment is taken.
    pub fn put(&mut self, at_us: i64, value: Option<f64>) -> bool {
        if self.settled_us.is_some_and(|settled_us| at_us <= settled_us) {
            return false;
        }
        let place = self.points.partition_point(|point| point.at_us < at_us);
        if self.points.get(place).is_some_and(|point| point.at_us == at_us) {
            return false;
        }
        self.make_room();
        self.points.insert(place, Point { at_us, value: value.unwrap_or(f64::NAN) });
        true
    }

    #[inline]
    fn make_room(&mut self) {
        let count = self.points.len();
        if count == self.points.capacity() {
            self.points.reserve_exact((count / ROOM_OF).max(ROOM_MIN));
        }
    }

    /// Whether a reading for this moment was taken in, as far as memory goes.
    pub fn is_taken(&self, at_us: i64) -> bool {
        self.points.binary_search_by_key(&at_us, |point| point.at_us).is_ok()
    }

    fn is_settled(&self, at_us: i64) -> bool {
        self.settled_us.is_some_and(|settled_us| at_us <= settled_us)
    }

    /// Nothing up to here will be judged again.
    pub fn forget(&mut self, until_us: i64) {
        self.points.retain(|point| point.at_us > until_us);
        self.settled_us = self.settled_us.max(Some(until_us));
    }

    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }

    pub fn value_at(&self, at_us: i64) -> Option<f64> {
        let place = self.points.binary_search_by_key(&at_us, |point| point.at_us).ok()?;
        self.points.get(place).map(|point| point.value)
    }

    /// The moment before the newest.
    pub fn before_newest_us(&self) -> Option<i64> {
        self.points.iter().rev().nth(1).map(|point| point.at_us).or(self.settled_us)
    }

    /// The newest was not of the moment that it claimed. The moment is after the one before it.
    pub fn move_newest(&mut self, to_us: i64) {
        if let Some(newest) = self.points.back_mut() {
            newest.at_us = to_us;
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_option_i64(out, self.settled_us);
        put_varint(out, self.points.len() as u64);
        let mut before_us = 0;
        for point in &self.points {
            put_signed(out, point.at_us.wrapping_sub(before_us));
            put_bool(out, point.value.is_nan());
            if !point.value.is_nan() {
                put_f64(out, point.value);
            }
            before_us = point.at_us;
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut recent = Self { settled_us: reader.option_i64()?, ..Self::default() };
        let count = reader.count()?;
        if count > READINGS_MAX + 1 {
            return Err(WireError::new(format!("{count} readings in memory, {READINGS_MAX} are the most")));
        }
        recent.points.reserve_exact(count);
        let mut at_us = 0i64;
        for _ in 0..count {
            let step_us = reader.signed()?;
            at_us = at_us.wrapping_add(step_us);
            let is_in_order = recent.points.back().is_none_or(|last| last.at_us < at_us) && !recent.is_settled(at_us);
            if !is_in_order {
                return Err(WireError::new("readings in memory are out of order"));
            }
            let value = if reader.bool()? { f64::NAN } else { reader.f64()? };
            recent.points.push_back(Point { at_us, value });
        }
        Ok(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(moments: &[i64]) -> Recent {
        let mut recent = Recent::default();
        moments.iter().for_each(|at_us| recent.push(*at_us, Some(*at_us as f64)));
        recent
    }

    fn moments(recent: &Recent) -> Vec<i64> {
        recent.points().map(|point| point.at_us).collect()
    }

    #[test]
    fn a_moment_belongs_to_the_first_that_came_for_it() {
        let mut recent = filled(&[10, 30]);
        assert!(recent.put(20, Some(2.0)) && !recent.put(20, Some(9.0)) && !recent.put(30, None));
        assert_eq!((moments(&recent), recent.value_at(20)), (vec![10, 20, 30], Some(2.0)));
        assert_eq!(recent.before_newest_us(), Some(20));
    }

    #[test]
    fn what_is_settled_is_closed_to_the_microsecond() {
        let mut recent = filled(&[10, 20, 30]);
        assert_eq!(recent.settle(20).map(|point| point.at_us), Some(10));
        assert_eq!(recent.settle(20), None);
        assert!(recent.is_settled(10) && !recent.is_settled(11));
        assert!(!recent.put(10, None) && recent.put(11, None));
        recent.forget(20);
        assert_eq!(moments(&recent), [30]);
        assert!(!recent.put(20, None) && recent.put(21, None));
    }

    #[test]
    fn the_memory_has_an_end() {
        let mut recent = filled(&(0..READINGS_MAX as i64).collect::<Vec<_>>());
        assert_eq!(recent.settle(0), None);
        recent.push(READINGS_MAX as i64, None);
        assert_eq!(recent.settle(0).map(|point| point.at_us), Some(0));
        assert_eq!(recent.settle(0), None);
    }

    #[test]
    fn the_room_that_stays_empty_is_small() {
        let mut recent = Recent::default();
        for count in 1..=READINGS_MAX {
            let before = recent.heap_bytes();
            if count % 2 == 0 {
                recent.push(10 * count as i64, None);
            } else {
                assert!(recent.put(10 * count as i64, None));
            }
            let most = size_of::<Point>() * (count - 1 + (count / ROOM_OF).max(ROOM_MIN));
            assert!(recent.heap_bytes() == before || recent.heap_bytes() <= most, "{count}");
        }
    }

    #[test]
    fn a_snapshot_keeps_it_and_disorder_is_none() {
        let mut recent = filled(&[5, 10]);
        recent.push(20, None);
        recent.settle(6);
        let bytes = |recent: &Recent| {
            let mut out = Vec::new();
            recent.save(&mut out);
            out
        };
        assert_eq!(Recent::load(&mut Reader::new(&bytes(&recent))).unwrap(), recent);
        recent.move_newest(9);
        assert!(Recent::load(&mut Reader::new(&bytes(&recent))).is_err());
        recent.move_newest(11);
        recent.settled_us = Some(10);
        assert!(Recent::load(&mut Reader::new(&bytes(&recent))).is_err());
    }
}
