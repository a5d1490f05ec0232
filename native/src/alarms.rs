//! A sensor's alarms by rule. Only those that have something to remember take room: of a hundred rules ninety-nine are
//! normal and always were.

use crate::alarm::{Alarm, Condition, Delays, Transition};
use crate::late::Excursions;
use crate::rule::Rule;
use crate::wire::{put_bytes, put_varint, Reader, Wire, WireError};

static NORMAL: Alarm = Alarm::NORMAL;

/// A rule's alarm, and the excursions it remembers for late readings.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    rule: Rule,
    pub alarm: Alarm,
    pub excursions: Excursions,
}

impl Remembered {
    fn new(rule: Rule) -> Self {
        Self { rule, alarm: Alarm::NORMAL, excursions: Excursions::default() }
    }

    fn is_nothing(&self) -> bool {
        self.alarm == NORMAL && self.excursions == Excursions::default()
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alarms {
    /// In the order of the rules.
    remembered: Vec<Remembered>,
}

impl Alarms {
    /// Whether none of them has anything to remember, surely.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remembered.is_empty()
    }

    pub fn get(&self, rule: Rule) -> &Alarm {
        self.remembered.iter().find(|each| each.rule == rule).map_or(&NORMAL, |each| &each.alarm)
    }

    /// Those that are not normal for sure, with their rules.
    pub fn iter(&self) -> impl Iterator<Item = (Rule, &Alarm)> {
        self.remembered.iter().map(|each| (each.rule, &each.alarm))
    }

    pub fn find(&mut self, rule: Rule) -> Option<&mut Remembered> {
        self.remembered.iter_mut().find(|each| each.rule == rule)
    }

    /// Change a rule's memory, which begins as that of a normal alarm.
    pub fn change<T>(&mut self, rule: Rule, change: impl FnOnce(&mut Remembered) -> T) -> T {
        if let Some(each) = self.find(rule) {
            return change(each);
        }
        let mut new = Remembered::new(rule);
        let outcome = change(&mut new);
        if !new.is_nothing() {
            let place = self.remembered.partition_point(|each| each.rule < rule);
            self.remembered.reserve_exact(1);
            self.remembered.insert(place, new);
        }
        outcome
    }

    /// A rule's memory as it was kept.
    pub fn put(&mut self, rule: Rule, alarm: Alarm, excursions: Excursions) {
        self.change(rule, |each| *each = Remembered { rule, alarm, excursions });
    }

    /// Move a rule's alarm on by one reading; what is normal and not violated needs no memory.
    #[inline]
    pub fn step(&mut self, rule: Rule, condition: Condition, at_us: i64, delays: Delays) -> Option<Transition> {
        match condition {
            Condition::Violated => self.change(rule, |each| each.alarm.step(condition, at_us, delays)),
            Condition::Between | Condition::Clear => self.find(rule)?.alarm.step(condition, at_us, delays),
        }
    }

    /// The same for a limit, whose excursions are remembered.
    pub fn step_limit(&mut self, rule: Rule, condition: Condition, at_us: i64, delays: Delays) -> Option<Transition> {
        if condition != Condition::Violated {
            let each = self.find(rule)?;
            let transition = each.alarm.step(condition, at_us, delays);
            if !each.alarm.active {
                each.excursions.close(at_us);
            }
            return transition;
        }
        self.change(rule, |each| {
            each.excursions.open(at_us);
            each.alarm.step(condition, at_us, delays)
        })
    }

    /// End a rule's alarm, for a reason outside of the readings.
    pub fn end(&mut self, rule: Rule, at_us: i64) -> Option<Transition> {
        let each = self.find(rule)?;
        let transition = each.alarm.end(at_us);
        each.excursions.close(at_us);
        transition
    }

    pub fn heap_bytes(&self) -> usize {
        let excursions: usize = self.remembered.iter().map(|each| each.excursions.heap_bytes()).sum();
        self.remembered.capacity() * size_of::<Remembered>() + excursions
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        let worth: Vec<_> = self.remembered.iter().filter(|each| !each.is_nothing()).collect();
        put_varint(out, worth.len() as u64);
        for each in worth {
            put_bytes(out, each.rule.name().as_bytes());
            each.alarm.save(out);
            each.excursions.save(out);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut alarms = Self::default();
        for _ in 0..reader.count()? {
            let name = reader.text()?;
            let rule =
                Rule::find(name).ok_or_else(|| WireError::new(format!("an alarm of the unknown rule {name:?}")))?;
            alarms.put(rule, Alarm::load(reader)?, Excursions::load(reader)?);
        }
        Ok(alarms)
    }
}
