//! The course of one rule's alarm over the readings in memory, walked again when one of them comes late.
//!
//! People are told of an excursion once. Which excursions there are is decided by all readings that came so far, sorted by
//! event time; of each the moments are remembered at which it was told.

use crate::alarm::{Alarm, Condition, Delays};
use crate::recent::Recent;
use crate::wire::{put_bool, put_f64, put_signed, put_varint, Reader, Wire, WireError};

/// The end of an excursion that has none yet.
const OPEN: i64 = i64::MAX;

/// A moment of an excursion that needs no telling any more.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    at_us: i64,
    /// People were told, or will be; else it is only in the journal, or part of what people were told as one.
    to_people: bool,
}

/// An excursion that began in the past and may end there: people are told only if it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Untold {
    pub since_us: i64,
    /// The value furthest on the wrong side.
    pub extreme: f64,
    /// Where the facility's listening clock stood when it was found.
    pub found_us: i64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// The alarm before the oldest reading in memory; only what conditions move of it.
    base: Alarm,
    /// In the order in which they were told.
    told: Vec<Told>,
    /// People know of the excursion that the present reading may begin.
    is_told_as_late: bool,
    pub untold: Option<Untold>,
}

/// What a late reading means for a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LateOutcome {
    /// Beginnings of excursions that nobody knew of: over, or part of one that people were told of as longer.
    pub found: Vec<i64>,
    pub present: Option<Moved>,
}

/// How the present alarm is otherwise than it was thought to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// An excursion that nobody was told of goes on.
    Activated {
        since_us: i64,
    },
    /// An excursion that people were told of had not ended.
    GoesOn,
    Returned,
}

impl Course {
    /// The alarm of the present was activated by a reading in order, or one that is told later or never.
    pub fn note(&mut self, at_us: i64, to_people: bool) {
        self.told.push(Told { at_us, to_people });
    }

    /// From this moment on readings were taken for late ones, and are of the present.
    pub fn note_told_as_late(&mut self, first_us: i64) {
        self.is_told_as_late = self.told.iter().any(|told| told.to_people && told.at_us >= first_us);
    }

    /// Whether people know of the excursion that begins with the present reading.
    pub fn take_told_as_late(&mut self) -> bool {
        std::mem::take(&mut self.is_told_as_late)
    }

    /// A reading leaves memory.
    pub fn settle(&mut self, condition: Condition, at_us: i64, delays: Delays) {
        self.base.step(condition, at_us, delays);
        if !self.base.active {
            self.told.retain(|told| told.at_us > at_us);
            self.base.forget_people();
        }
    }

    /// Take the alarm as it is for the beginning: nothing before now will be judged again.
    pub fn forget(&mut self, present: &Alarm) {
        self.base = Alarm::NORMAL;
        self.base.follow(present);
        self.told.clear();
        if present.active {
            // what is kept from people may have been so from its beginning
            self.note(present.since_us, self.untold.is_none() && present.suppression.is_none());
        }
    }

    /// A late reading took its place in memory: the present alarm becomes what it would be had it come in time.
    pub fn late(
        &mut self,
        present: &mut Alarm,
        recent: &Recent,
        judge: impl Fn(f64) -> Condition,
        delays: Delays,
    ) -> LateOutcome {
        let (last, excursions) = walk(&self.base, recent, judge, delays);
        let mut outcome = LateOutcome::default();
        let mut open = None;
        for (since_us, until_us) in excursions {
            let mut told = self.told.iter().filter(|told| (since_us..until_us).contains(&told.at_us));
            let is_known = told.clone().next().is_some();
            if until_us == OPEN {
                open = Some((since_us, told.any(|told| told.to_people)));
            }
            if is_known {
                continue;
            }
            if until_us != OPEN || present.active {
                outcome.found.push(since_us);
            }
            self.note(since_us, false);
        }
        outcome.present = match (present.active, open) {
            (false, Some((since_us, false))) => Some(Moved::Activated { since_us }),
            (false, Some((_, true))) => Some(Moved::GoesOn),
            (true, None) => Some(Moved::Returned),
            (false, None) | (true, Some(_)) => None,
        };
        present.follow(&last);
        outcome
    }

    /// People are told of the excursion that holds this moment.
    pub fn told_to_people(&mut self, at_us: i64) {
        match self.told.iter_mut().find(|told| told.at_us == at_us) {
            Some(told) => told.to_people = true,
            None => self.note(at_us, true),
        }
    }

    /// The newest reading was of another moment than it claimed.
    pub fn move_moment(&mut self, from_us: i64, to_us: i64) {
        self.base.move_moment(from_us, to_us);
        self.told.iter_mut().filter(|told| told.at_us == from_us).for_each(|told| told.at_us = to_us);
        if let Some(untold) = self.untold.as_mut().filter(|untold| untold.since_us == from_us) {
            untold.since_us = to_us;
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.told.capacity() * size_of::<Told>()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        self.base.save(out);
        put_varint(out, self.told.len() as u64);
        for told in &self.told {
            put_signed(out, told.at_us);
            put_bool(out, told.to_people);
        }
        put_bool(out, self.is_told_as_late);
        put_bool(out, self.untold.is_some());
        if let Some(untold) = &self.untold {
            put_signed(out, untold.since_us);
            put_f64(out, untold.extreme);
            put_signed(out, untold.found_us);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut course = Self { base: Alarm::load(reader)?, ..Self::default() };
        let count = reader.count()?;
        if count > reader.remaining() {
            return Err(WireError::new(format!("{count} moments told in {} bytes", reader.remaining())));
        }
        for _ in 0..count {
            course.told.push(Told { at_us: reader.signed()?, to_people: reader.bool()? });
        }
        course.is_told_as_late = reader.bool()?;
        if reader.bool()? {
            course.untold =
                Some(Untold { since_us: reader.signed()?, extreme: reader.f64()?, found_us: reader.signed()? });
        }
        Ok(course)
    }
}

/// The alarm after all readings in memory, and its excursions from activation to return; each reading that cannot be
/// compared is passed over.
fn walk(base: &Alarm, recent: &Recent, judge: impl Fn(f64) -> Condition, delays: Delays) -> (Alarm, Vec<(i64, i64)>) {
    let mut alarm = base.clone();
    let mut since_us = base.active.then_some(base.since_us);
    let mut excursions = Vec::new();
    for point in recent.points().filter(|point| !point.value.is_nan()) {
        alarm.step(judge(point.value), point.at_us, delays);
        match since_us {
            None if alarm.active => since_us = Some(point.at_us),
            Some(begun_us) if !alarm.active => {
                excursions.push((begun_us, point.at_us));
                since_us = None;
            }
            _ => {}
        }
    }
    excursions.extend(since_us.map(|begun_us| (begun_us, OPEN)));
    (alarm, excursions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::Transition;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn judge(value: f64) -> Condition {
        match value {
            80.0 => Condition::Violated,
            22.0 => Condition::Between,
            _ => Condition::Clear,
        }
    }

    /// One rule of one sensor, as `sensor` uses a course: what is told, each with the moment and whether it is for people.
    #[derive(Default)]
    struct Watch {
        delays: Delays,
        window_us: i64,
        alarm: Alarm,
        course: Course,
        recent: Recent,
        newest_us: Option<i64>,
        told: Vec<i64>,
    }

    impl Watch {
        fn new(delays: Delays, window_us: i64) -> Self {
            Self { delays, window_us, ..Self::default() }
        }

        fn reading(&mut self, at_us: i64, value: f64) {
            if self.newest_us.is_some_and(|newest_us| at_us <= newest_us) {
                if self.recent.put(at_us, Some(value)) {
                    let late = self.course.late(&mut self.alarm, &self.recent, judge, self.delays);
                    let activated = match late.present {
                        Some(Moved::Activated { since_us }) => Some(since_us),
                        _ => None,
                    };
                    for since_us in activated.into_iter().chain(late.found) {
                        self.course.told_to_people(since_us);
                        self.told.push(since_us);
                    }
                }
                return;
            }
            if self.alarm.step(judge(value), at_us, self.delays) == Some(Transition::Activated) {
                self.course.note(at_us, true);
                self.told.push(at_us);
            }
            self.recent.push(at_us, Some(value));
            self.newest_us = Some(at_us);
            while let Some(point) = self.recent.settle(at_us - self.window_us) {
                self.course.settle(judge(point.value), point.at_us, self.delays);
            }
        }
    }

    /// The slow way: everything that came so far, sorted.
    fn sorted(came: &[(i64, f64)], delays: Delays) -> (Alarm, Vec<(i64, i64)>) {
        let mut recent = Recent::default();
        let mut first = BTreeMap::new();
        came.iter().for_each(|(at_us, value)| {
            first.entry(*at_us).or_insert(*value);
        });
        first.iter().for_each(|(at_us, value)| recent.push(*at_us, Some(*value)));
        walk(&Alarm::NORMAL, &recent, judge, delays)
    }

    fn holding(excursion: &(i64, i64), told: &[i64]) -> usize {
        told.iter().filter(|at_us| (excursion.0..excursion.1).contains(at_us)).count()
    }

    #[test]
    fn a_late_beginning_is_no_second_excursion() {
        let mut watch = Watch::new(Delays { on_us: 0, off_us: 60 }, 300);
        for (at_us, value) in [(100, 15.0), (95, 80.0), (101, 80.0), (102, 80.0), (97, 15.0)] {
            watch.reading(at_us, value);
        }
        assert_eq!((watch.told, watch.alarm.active), (vec![95], true));
    }

    #[test]
    fn an_excursion_that_had_not_ended_goes_on_and_one_that_had_is_over() {
        let mut watch = Watch::new(Delays { on_us: 0, off_us: 60 }, 300);
        for (at_us, value) in [(0, 80.0), (10, 15.0), (70, 15.0)] {
            watch.reading(at_us, value);
        }
        assert!(!watch.alarm.active);
        watch.reading(40, 80.0);
        assert!(watch.alarm.active);
        watch.reading(90, 80.0);
        assert_eq!(watch.told, [0]);
        let mut watch = Watch::new(Delays::default(), 300);
        for (at_us, value) in [(0, 80.0), (20, 22.0), (10, 15.0)] {
            watch.reading(at_us, value);
        }
        assert!(!watch.alarm.active);
    }

    #[test]
    fn what_a_late_value_divides_is_told_as_two() {
        let mut watch = Watch::new(Delays::default(), 300);
        for (at_us, value) in [(0, 80.0), (20, 80.0), (10, 15.0), (25, 15.0), (22, 80.0)] {
            watch.reading(at_us, value);
        }
        assert_eq!(watch.told, [0, 20]);
        watch.reading(5, 15.0);
        watch.reading(7, 80.0);
        assert_eq!(watch.told, [0, 20, 7], "an excursion of its own, and news");
    }

    #[test]
    fn a_snapshot_keeps_it() {
        let mut watch = Watch::new(Delays { on_us: 3, off_us: 5 }, 20);
        for at_us in 0..30 {
            watch.reading(at_us * 2, if at_us % 7 < 4 { 80.0 } else { 15.0 });
        }
        watch.course.untold = Some(Untold { since_us: 5, extreme: -1.5, found_us: 7 });
        let mut bytes = Vec::new();
        watch.course.save(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Course::load(&mut reader).unwrap(), watch.course);
        assert!(reader.is_empty());
    }

    fn readings() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let value = prop_oneof![Just(80.0), Just(22.0), Just(15.0)];
        prop::collection::vec((0..60i64, value), 1..40)
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(2048))]

        #[test]
        fn in_any_order_each_excursion_is_told_once(came in readings()) {
            let mut watch = Watch::new(Delays::default(), 1_000);
            for (count, (at_us, value)) in came.iter().enumerate() {
                watch.reading(*at_us, *value);
                let (last, excursions) = sorted(&came[..=count], Delays::default());
                prop_assert_eq!(watch.alarm.active, last.active);
                for excursion in &excursions {
                    prop_assert_eq!(holding(excursion, &watch.told), 1, "{:?} in {:?}", excursion, watch.told);
                }
                prop_assert_eq!(watch.told.len(), excursions.len());
            }
        }

        #[test]
        fn with_delays_the_present_is_what_sorting_makes_it(came in readings(), on_us in 0..8i64, off_us in 0..8i64) {
            let delays = Delays { on_us, off_us };
            let mut watch = Watch::new(delays, 1_000);
            for (count, (at_us, value)) in came.iter().enumerate() {
                watch.reading(*at_us, *value);
                prop_assert_eq!(watch.alarm.active, sorted(&came[..=count], delays).0.active);
            }
        }

        #[test]
        fn what_memory_holds_is_enough_for_what_comes_within_it(
            came in prop::collection::vec((0..30i64, prop_oneof![Just(80.0), Just(22.0), Just(15.0)]), 1..80),
            on_us in 0..8i64, off_us in 0..8i64,
        ) {
            let delays = Delays { on_us, off_us };
            let (mut short, mut long) = (Watch::new(delays, 40), Watch::new(delays, 10_000));
            for (step, (back_us, value)) in came.iter().enumerate() {
                let at_us = 10 * step as i64 - back_us;
                short.reading(at_us, *value);
                long.reading(at_us, *value);
                prop_assert_eq!((&short.told, &short.alarm), (&long.told, &long.alarm));
            }
        }

        #[test]
        fn seeing_the_same_again_changes_nothing(came in readings(), on_us in 0..8i64, off_us in 0..8i64, window_us in 0..60i64) {
            let mut watch = Watch::new(Delays { on_us, off_us }, window_us);
            came.iter().for_each(|(at_us, value)| watch.reading(*at_us, *value));
            let before = (watch.alarm.clone(), watch.course.clone(), watch.recent.clone(), watch.told.clone());
            came.iter().for_each(|(at_us, value)| watch.reading(*at_us, *value));
            prop_assert_eq!(before, (watch.alarm, watch.course, watch.recent, watch.told));
        }
    }
}
