//! How far a signal has moved within a window of event time, in memory that does not grow with the readings.
//!
//! The window is kept as sixteen slots with the least and the most of each, so what is compared reaches back for the
//! window and at most a sixteenth more: a change is never missed, and never attributed to a time twice as long.

use std::collections::VecDeque;

use crate::wire::{put_f64, put_signed, put_varint, Reader, Wire, WireError};

const SLOTS: i64 = 16;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    no: i64,
    least: f64,
    most: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    slot_us: i64,
    /// Those with readings; the last is the present one.
    slots: VecDeque<Slot>,
    /// Least and most of all before the present one.
    before: (f64, f64),
}

const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

impl Moves {
    pub fn within(window_us: i64) -> Self {
        let slot_us = (window_us.saturating_add(SLOTS - 1) / SLOTS).max(1);
        Self { slot_us, slots: VecDeque::new(), before: NOTHING }
    }

    /// Whether both have the same window.
    pub fn is_as_long_as(&self, other: &Self) -> bool {
        self.slot_us == other.slot_us
    }

    /// How far a reading is from the farthest of the window before it, with its sign. Called in order of event time.
    #[inline]
    pub fn see(&mut self, at_us: i64, value: f64) -> f64 {
        let (mut least, mut most) = match self.slots.back_mut() {
            Some(slot) if at_us < slot.no.saturating_add(1).saturating_mul(self.slot_us) => {
                (slot.least, slot.most) = (slot.least.min(value), slot.most.max(value));
                (slot.least, slot.most)
            }
            _ => {
                self.begin(at_us.div_euclid(self.slot_us), value);
                (value, value)
            }
        };
        (least, most) = (least.min(self.before.0), most.max(self.before.1));
        let (rise, fall) = (value - least, value - most);
        if rise >= -fall {
            rise
        } else {
            fall
        }
    }

    /// Nothing was later than this, whatever it claimed.
    pub fn turn_back(&mut self, at_us: i64) {
        let no = at_us.div_euclid(self.slot_us);
        let (mut least, mut most) = NOTHING;
        while let Some(slot) = self.slots.back().filter(|slot| slot.no >= no) {
            (least, most) = (least.min(slot.least), most.max(slot.most));
            self.slots.pop_back();
        }
        if least <= most {
            self.before = extremes(self.slots.iter());
            self.slots.push_back(Slot { no, least, most });
        }
    }

    fn begin(&mut self, no: i64, value: f64) {
        while self.slots.front().is_some_and(|slot| slot.no < no - SLOTS) {
            self.slots.pop_front();
        }
        self.before = extremes(self.slots.iter());
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(1); // there are never more than the window has, and mostly they are as many
        }
        self.slots.push_back(Slot { no, least: value, most: value });
    }

    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.slots.capacity() * size_of::<Slot>()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.slot_us);
        put_varint(out, self.slots.len() as u64);
        for slot in &self.slots {
            put_signed(out, slot.no);
            put_f64(out, slot.least);
            put_f64(out, slot.most);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let slot_us = reader.signed()?;
        let count = reader.count()?;
        if slot_us < 1 || count > SLOTS as usize + 1 {
            return Err(WireError::new(format!("a window of {count} slots of {slot_us} us")));
        }
        let slot = |_| Ok(Slot { no: reader.signed()?, least: reader.f64()?, most: reader.f64()? });
        let slots: VecDeque<Slot> = (0..count).map(slot).collect::<Wire<_>>()?;
        let before = extremes(slots.iter().take(count.saturating_sub(1)));
        Ok(Self { slot_us, slots, before })
    }
}

fn extremes<'a>(slots: impl Iterator<Item = &'a Slot>) -> (f64, f64) {
    slots.fold(NOTHING, |(least, most), slot| (least.min(slot.least), most.max(slot.most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rise_and_a_fall_have_their_signs() {
        let mut moves = Moves::within(160);
        assert_eq!(
            [(0, 5.0), (10, 7.0), (20, 4.0), (30, 4.5)].map(|(at, value)| moves.see(at, value)),
            [0.0, 2.0, -3.0, -2.5]
        );
        assert_eq!(moves.see(500, 99.0), 0.0, "nothing is left to compare with");
    }

    #[test]
    fn it_takes_no_more_room_than_the_window_has_slots() {
        let mut moves = Moves::within(160);
        for at in 0..500 {
            moves.see(at * 10, 5.0);
            let slots = (at as usize + 1).min(SLOTS as usize + 1);
            assert_eq!(moves.bytes(), size_of::<Moves>() + slots * size_of::<Slot>());
        }
    }

    #[test]
    fn what_claimed_to_be_later_is_of_the_moment_to_which_it_is_turned_back() {
        let mut moves = Moves::within(160);
        for (at, value) in [(0, 5.0), (10, 7.0), (100, 9.0)] {
            moves.see(at, value);
        }
        moves.turn_back(15);
        assert_eq!(
            moves.slots.iter().map(|slot| (slot.no, slot.least, slot.most)).collect::<Vec<_>>(),
            [(0, 5.0, 5.0), (1, 7.0, 9.0)]
        );
        assert_eq!([(20, 5.0), (170, 9.0)].map(|(at, value)| moves.see(at, value)), [-4.0, 4.0]);
        assert_eq!(moves.see(180, 9.0), 4.0, "the five was of 20");
        let before = moves.clone();
        moves.turn_back(500);
        assert_eq!(moves, before);
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn nothing_within_the_window_is_missed_and_little_beyond_it_counts(
            steps in prop::collection::vec((0i64..40, -100i32..100), 1..80), window in 1i64..400,
        ) {
            let mut moves = Moves::within(window);
            let mut seen: Vec<(i64, f64)> = Vec::new();
            let mut at = 0;
            for (wait, value) in steps {
                at += wait;
                seen.push((at, f64::from(value)));
                let change = moves.see(at, f64::from(value)).abs();
                let farthest = |back: i64| {
                    let within = seen.iter().filter(|(then, _)| at - then <= back);
                    within.map(|(_, other)| (f64::from(value) - other).abs()).fold(0.0, f64::max)
                };
                prop_assert!(change >= farthest(window) && change <= farthest(moves.slot_us * (SLOTS + 1)));
                let mut bytes = Vec::new();
                moves.save(&mut bytes);
                prop_assert_eq!(&Moves::load(&mut Reader::new(&bytes)).unwrap(), &moves);
            }
        }
    }
}
