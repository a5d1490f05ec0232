//! Whether a late violation is news: the excursions of a rule that are known, and the late ones already told.
//!
//! What is remembered depends on nothing that a redelivery could change: seeing the same late readings again, in any
//! number, leaves it as it is.

use crate::instant::US_PER_S;
use crate::wire::{put_option_i64, put_signed, put_varint, Reader, Wire, WireError};

const REMEMBERED_MAX: usize = 4;
/// A violation this close to a known excursion belongs to it.
const ADJACENT_US: i64 = 60 * US_PER_S;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Excursions {
    open_since_us: Option<i64>,
    /// Closed ones, oldest first.
    closed: Vec<(i64, i64)>,
    /// Until when excursions have been forgotten.
    forgotten_us: Option<i64>,
    /// Late violations that were told, oldest first.
    told: Vec<i64>,
}

impl Excursions {
    /// The condition holds at this reading, annunciated or not.
    #[inline]
    pub fn open(&mut self, at_us: i64) {
        self.open_since_us.get_or_insert(at_us);
    }

    #[inline]
    pub fn close(&mut self, at_us: i64) {
        let Some(since_us) = self.open_since_us.take() else { return };
        if self.closed.len() == REMEMBERED_MAX {
            let (_, end_us) = self.closed.remove(0);
            self.forget(end_us);
        }
        self.closed.push((since_us, at_us));
    }

    /// From here back nothing is news: what was so then is not known, or nobody wanted to know.
    pub fn forget(&mut self, until_us: i64) {
        self.forgotten_us = self.forgotten_us.max(Some(until_us));
    }

    /// Take note of a late violation; true when it should be told as an alert of its own.
    pub fn late_violation(&mut self, at_us: i64) -> bool {
        if self.is_known(at_us) || self.told.iter().any(|told| (told - at_us).abs() <= ADJACENT_US) {
            return false;
        }
        let place = self.told.partition_point(|told| *told < at_us);
        if self.told.len() == REMEMBERED_MAX {
            if place == 0 {
                return false;
            }
            self.told.insert(place, at_us);
            self.told.remove(0);
        } else {
            self.told.insert(place, at_us);
        }
        true
    }

    fn is_known(&self, at_us: i64) -> bool {
        self.forgotten_us.is_some_and(|end_us| at_us <= end_us + ADJACENT_US)
            || self.open_since_us.is_some_and(|since_us| at_us >= since_us - ADJACENT_US)
            || self
                .closed
                .iter()
                .any(|(start_us, end_us)| (start_us - ADJACENT_US..=end_us + ADJACENT_US).contains(&at_us))
    }

    pub fn heap_bytes(&self) -> usize {
        self.closed.capacity() * 16 + self.told.capacity() * 8
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_option_i64(out, self.open_since_us);
        put_option_i64(out, self.forgotten_us);
        put_varint(out, self.closed.len() as u64);
        for (start_us, end_us) in &self.closed {
            put_signed(out, *start_us);
            put_signed(out, *end_us);
        }
        put_varint(out, self.told.len() as u64);
        for told_us in &self.told {
            put_signed(out, *told_us);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut excursions =
            Self { open_since_us: reader.option_i64()?, forgotten_us: reader.option_i64()?, ..Self::default() };
        for _ in 0..remembered(reader)? {
            excursions.closed.push((reader.signed()?, reader.signed()?));
        }
        for _ in 0..remembered(reader)? {
            excursions.told.push(reader.signed()?);
        }
        Ok(excursions)
    }
}

fn remembered(reader: &mut Reader<'_>) -> Wire<usize> {
    match reader.count()? {
        count if count <= REMEMBERED_MAX => Ok(count),
        count => Err(WireError::new(format!("{count} excursions remembered, {REMEMBERED_MAX} are the most"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60 * US_PER_S;

    #[test]
    fn inside_or_beside_a_known_excursion_is_no_news() {
        let mut excursions = Excursions::default();
        excursions.open(10 * MINUTE);
        excursions.close(20 * MINUTE);
        for minute in [9, 10, 15, 20, 21] {
            assert!(!excursions.late_violation(minute * MINUTE), "{minute}");
        }
        assert!(excursions.late_violation(30 * MINUTE));
        assert!(!excursions.late_violation(30 * MINUTE + 1));
        excursions.open(40 * MINUTE);
        assert!(!excursions.late_violation(50 * MINUTE));
    }

    #[test]
    fn what_is_older_than_all_that_was_told_is_no_news() {
        let mut excursions = Excursions::default();
        for minute in [50, 40, 30, 20] {
            assert!(excursions.late_violation(minute * MINUTE));
        }
        assert!(!excursions.late_violation(10 * MINUTE));
        assert!(excursions.late_violation(60 * MINUTE));
        assert!(!excursions.late_violation(20 * MINUTE), "forgotten, and still no news");
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn seeing_the_same_again_changes_nothing(
            lived in prop::collection::vec((1i64..200, 1i64..10), 0..8),
            late in prop::collection::vec(0i64..2000, 0..16),
        ) {
            let mut excursions = Excursions::default();
            let mut now = 0;
            for (wait, length) in &lived {
                now += wait;
                excursions.open(now * MINUTE);
                now += length;
                excursions.close(now * MINUTE);
            }
            for minute in &late {
                excursions.late_violation(minute * MINUTE);
            }
            let before = excursions.clone();
            for minute in &late {
                excursions.late_violation(minute * MINUTE);
            }
            prop_assert_eq!(excursions, before);
        }
    }
}
