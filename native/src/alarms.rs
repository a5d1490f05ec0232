//! A sensor's alarms by rule. Only those that have something to remember take room: of a hundred rules ninety-nine are
//! normal and always were.

use std::borrow::Cow;

use crate::alarm::{Alarm, Condition, Elapsed, Transition};
use crate::course::{Course, LateOutcome, Untold};
use crate::journal::{ACTIVATED, LATE_EXCEEDANCE};
use crate::recent::Recent;
use crate::rule::Rule;
use crate::rule_set::{RuleSet, Spec};
use crate::wire::{put_bytes, put_signed, put_varint, Reader, Wire, WireError};

static NORMAL: Alarm = Alarm::NORMAL;

/// How people are told of what a condition does to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Now,
    /// By something else.
    Silently,
    /// If it stands when the present is reached.
    Perhaps,
}

/// A rule's alarm, and its course over the readings that late ones may still join.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    rule: Rule,
    pub alarm: Alarm,
    pub course: Course,
    /// Event time of the last activation or return that the journal has. Late readings may show that it was another.
    pub told_us: i64,
}

impl Remembered {
    pub fn rule(&self) -> Rule {
        self.rule
    }

    fn new(rule: Rule) -> Self {
        Self { rule, alarm: Alarm::NORMAL, course: Course::default(), told_us: 0 }
    }

    fn step(&mut self, spec: &Spec, condition: Condition, at_us: i64, telling: Telling) -> Option<Transition> {
        let transition = match telling {
            Telling::Now => self.alarm.step(condition, at_us, spec.delays),
            Telling::Silently | Telling::Perhaps => self.alarm.step_silently(condition, at_us, spec.delays),
        };
        // what may be past leaves nothing to be reset until it is told
        self.alarm.latched |= spec.latched && self.alarm.active && telling != Telling::Perhaps;
        transition
    }

    /// What nobody was told of because it may be past stands: now it is told, or silently while it is kept from people.
    pub fn tell_untold(&mut self, rules: &RuleSet) -> Option<(Untold, Transition)> {
        let untold = self.course.untold.take()?;
        let transition = self.alarm.tell();
        self.alarm.latched |= rules.spec(self.rule).is_some_and(|spec| spec.latched);
        if transition == Transition::Activated && self.rule.side().is_some() {
            self.course.told_to_people(untold.since_us);
        }
        self.told_us = untold.since_us;
        Some((untold, transition))
    }

    /// A late reading took its place in memory. What was found is told with this transition; of that people are told it
    /// is theirs to acknowledge, also when its readings turn out to be of the present.
    pub fn join(
        &mut self,
        spec: &Spec,
        recent: &Recent,
        judge: impl Fn(f64) -> Condition,
    ) -> (LateOutcome, &'static str) {
        let outcome = self.course.late(&mut self.alarm, recent, judge, spec.delays);
        self.alarm.latched |= spec.latched && self.alarm.active;
        if self.alarm.suppression.is_some() {
            return (outcome, LATE_EXCEEDANCE);
        }
        if !outcome.found.is_empty() {
            self.alarm.latched |= spec.latched;
            self.alarm.tell();
            outcome.found.iter().for_each(|since_us| self.course.told_to_people(*since_us));
        }
        (outcome, ACTIVATED)
    }

    /// The alarm is people's again: what is true is told with that, and needs no telling of its own.
    pub fn given_back(&mut self) {
        if !self.alarm.active {
            return;
        }
        self.told_us = self.alarm.since_us;
        self.course.untold = None;
        if self.rule.side().is_some() {
            self.course.told_to_people(self.alarm.since_us);
        }
    }

    fn is_nothing(&self) -> bool {
        self.alarm == NORMAL && self.course == Course::default()
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alarms {
    /// In the order of the rules.
    remembered: Vec<Remembered>,
}

impl Alarms {
    /// Whether a condition leaves a rule's alarm as it is: what is normal and not violated has nothing to remember.
    #[inline]
    pub fn is_at_rest(&self, rule: Rule, condition: Condition) -> bool {
        condition != Condition::Violated && self.remembered.iter().all(|each| each.rule != rule)
    }

    /// Whether anything is remembered of a limit; limits stand first among the rules.
    #[inline]
    pub fn has_limits(&self) -> bool {
        self.remembered.first().is_some_and(|each| each.rule.side().is_some())
    }

    pub fn get(&self, rule: Rule) -> &Alarm {
        self.remembered.iter().find(|each| each.rule == rule).map_or(&NORMAL, |each| &each.alarm)
    }

    /// Whether the condition is true and the journal has it so.
    pub fn stands(&self, rule: Rule) -> bool {
        self.remembered.iter().any(|each| each.rule == rule && each.alarm.active && each.course.untold.is_none())
    }

    /// Of each rule that remembers something.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Remembered> {
        self.remembered.iter_mut()
    }

    /// All of which anything is remembered, with their rules.
    pub fn iter(&self) -> impl Iterator<Item = (Rule, &Alarm)> {
        self.remembered.iter().map(|each| (each.rule, &each.alarm))
    }

    /// The same as the journal has it: what nobody was told of yet, because it may be past, is not active there.
    pub fn iter_told(&self) -> impl Iterator<Item = (Rule, Cow<'_, Alarm>)> {
        self.remembered.iter().map(|each| {
            let mut alarm = Cow::Borrowed(&each.alarm);
            if each.course.untold.is_some() {
                alarm.to_mut().active = false;
            }
            if alarm.since_us != each.told_us {
                alarm.to_mut().since_us = each.told_us;
            }
            (each.rule, alarm)
        })
    }

    /// The journal has a row of this moment by which the alarm began or ended.
    pub fn tell(&mut self, rule: Rule, at_us: i64) {
        if let Some(each) = self.find(rule) {
            each.told_us = at_us;
        }
    }

    /// Nothing that ends it may be told as of before this: it began then, by its readings and by the journal.
    pub fn began_us(&self, rule: Rule) -> i64 {
        let found = self.remembered.iter().find(|each| each.rule == rule);
        found.map_or(0, |each| each.told_us.max(each.alarm.since_us))
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
    pub fn put(&mut self, rule: Rule, alarm: Alarm, course: Course) {
        let told_us = alarm.since_us;
        self.change(rule, |each| *each = Remembered { rule, alarm, course, told_us });
    }

    /// Move a rule's alarm on by one reading; what is normal and not violated needs no memory.
    #[inline]
    pub fn step(&mut self, spec: &Spec, condition: Condition, at_us: i64) -> Option<Transition> {
        self.step_as(spec, condition, at_us, Telling::Now)
    }

    /// The same where people are told by something else.
    pub fn step_silently(&mut self, spec: &Spec, condition: Condition, at_us: i64) -> Option<Transition> {
        self.step_as(spec, condition, at_us, Telling::Silently)
    }

    /// The same of the past, of which they are told if it stands.
    pub fn step_untold(&mut self, spec: &Spec, condition: Condition, at_us: i64) -> Option<Transition> {
        self.step_as(spec, condition, at_us, Telling::Perhaps)
    }

    #[inline]
    fn step_as(&mut self, spec: &Spec, condition: Condition, at_us: i64, telling: Telling) -> Option<Transition> {
        match condition {
            Condition::Violated => self.change(spec.rule, |each| each.step(spec, condition, at_us, telling)),
            Condition::Between | Condition::Clear => self.find(spec.rule)?.step(spec, condition, at_us, telling),
        }
    }

    /// Move all of them on by the clock of ticks.
    pub fn tick(&mut self, watermark_us: i64, rules: &RuleSet) -> Vec<(Rule, Elapsed)> {
        let tick = |each: &mut Remembered| {
            let is_told = each.course.untold.is_none();
            let re_alarm_us = rules.spec(each.rule).and_then(|spec| spec.re_alarm_us).filter(|_| is_told);
            each.alarm.tick(watermark_us, re_alarm_us).map(|elapsed| (each.rule, elapsed))
        };
        self.remembered.iter_mut().filter_map(tick).collect()
    }

    /// End a rule's alarm, for a reason outside of the readings.
    pub fn end(&mut self, rule: Rule, at_us: i64) -> Option<Transition> {
        self.find(rule)?.alarm.end(at_us)
    }

    pub fn heap_bytes(&self) -> usize {
        let courses: usize = self.remembered.iter().map(|each| each.course.heap_bytes()).sum();
        self.remembered.capacity() * size_of::<Remembered>() + courses
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        let worth: Vec<_> = self.remembered.iter().filter(|each| !each.is_nothing()).collect();
        put_varint(out, worth.len() as u64);
        for each in worth {
            put_bytes(out, each.rule.name().as_bytes());
            each.alarm.save(out);
            each.course.save(out);
        }
    }

    /// What the journal has of each that is saved. Of alarms that no late reading moves it is what they are.
    pub fn save_told(&self, out: &mut Vec<u8>) {
        self.remembered.iter().filter(|each| !each.is_nothing()).for_each(|each| put_signed(out, each.told_us));
    }

    pub fn load_told(&mut self, reader: &mut Reader<'_>) -> Wire<()> {
        for each in &mut self.remembered {
            each.told_us = reader.signed()?;
        }
        Ok(())
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let mut alarms = Self::default();
        for _ in 0..reader.count()? {
            let name = reader.text()?;
            let rule =
                Rule::find(name).ok_or_else(|| WireError::new(format!("an alarm of the unknown rule {name:?}")))?;
            alarms.put(rule, Alarm::load(reader)?, Course::load(reader)?);
        }
        Ok(alarms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_normal_is_at_rest_until_it_is_violated_and_what_is_remembered_never() {
        let mut alarms = Alarms::default();
        let at_rest = |alarms: &Alarms, rule| {
            [Condition::Clear, Condition::Between, Condition::Violated]
                .map(|condition| alarms.is_at_rest(rule, condition))
        };
        assert_eq!(at_rest(&alarms, Rule::Stuck), [true, true, false]);
        alarms.change(Rule::Stuck, |each| each.alarm.active = true);
        assert_eq!(at_rest(&alarms, Rule::Stuck), [false; 3]);
        assert_eq!(at_rest(&alarms, Rule::Anomaly), [true, true, false], "what another rule remembers is its own");
    }
}
