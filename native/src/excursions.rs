//! A sensor's readings held against its limits: in order, late, and long after the fact.
//!
//! An excursion is told once, whatever the order in which its readings come. Of what is past when it comes only that is
//! told which still stands: by a reading of the present, or after some time of listening without its end.

use std::sync::Arc;

use crate::alarm::{Condition, Transition};
use crate::config::us_of;
use crate::course::{Moved, Untold};
use crate::instant::US_PER_S;
use crate::journal::{Event, LATE_EXCEEDANCE, PAST_EXCURSION};
use crate::past::PastReading;
use crate::rule::{Rule, Side};
use crate::rule_set::Spec;
use crate::sensor::{Judged, Sensor, Surroundings};
use crate::sink::Sink;

/// A delivery of the past that has not ended an excursion in this time of listening leaves it standing.
const STANDS_US: i64 = 30 * US_PER_S;

impl Surroundings<'_> {
    /// Whether this was longer ago than what is told as the present.
    pub(crate) fn is_past(&self, at_us: i64) -> bool {
        self.received_at_us.saturating_sub(at_us) >= us_of(self.settings.late_alarm_s_max)
    }
}

impl Sensor {
    /// A reading in order moves the alarms of its limits.
    pub(crate) fn step_limits<S: Sink>(
        &mut self,
        at_us: i64,
        value: f64,
        judged: &Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let rules = Arc::clone(&self.rules);
        for (spec, side) in rules.limits() {
            let condition = self.condition(spec, side, value);
            let is_past = around.is_past(at_us);
            let is_told = self.alarms.find(spec.rule).is_some_and(|each| each.course.take_told_as_late());
            let transition = match (is_past, is_told) {
                (true, _) => self.alarms.step_untold(spec, condition, at_us),
                (false, true) => self.alarms.step_silently(spec, condition, at_us),
                (false, false) => self.alarms.step(spec, condition, at_us),
            };
            let Some(each) = self.alarms.find(spec.rule) else { continue };
            let untold = &mut each.course.untold;
            if let Some(untold) = untold.as_mut().filter(|_| condition == Condition::Violated) {
                untold.extreme = side.further(untold.extreme, value);
            }
            match transition {
                Some(Transition::ActivatedSilently) if is_past => {
                    *untold = Some(Untold { since_us: at_us, extreme: value, found_us: around.listened_us });
                    each.course.note(at_us, false);
                }
                Some(Transition::Activated) => each.course.note(at_us, true),
                Some(Transition::ActivatedSilently) => each.course.note(at_us, is_told),
                Some(Transition::Returned) if is_past => {
                    if let Some(untold) = untold.take() {
                        self.tell_past(spec, side, &untold, at_us, around, sink);
                        continue;
                    }
                }
                _ if !is_past => self.tell_standing(spec, side, around, sink),
                _ => {}
            }
            let is_silent = transition == Some(Transition::ActivatedSilently);
            let Some(transition) = transition.filter(|_| !(is_silent && is_past)) else { continue };
            self.alarms.tell(spec.rule, at_us);
            if S::WANTED {
                let event = self.limit_event(spec, side, transition.name(), at_us, value, around);
                let reason = if is_silent && is_told { "told when its readings seemed to be late" } else { "" };
                sink.event(Event { score: judged.decades, reason: reason.into(), ..event });
            }
        }
    }

    /// A reading that is older than the newest: it takes its place among the others, and a violation is told if it is
    /// part of nothing that is known.
    pub(crate) fn late_limits<S: Sink>(
        &mut self,
        at_us: i64,
        value: Option<f64>,
        judged: &Judged,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let is_fresh = !around.is_past(at_us) && self.recent.put(at_us, value);
        let Some(value) = value else { return };
        let rules = Arc::clone(&self.rules);
        for (spec, side) in rules.limits() {
            let condition = self.condition(spec, side, value);
            let is_violated = condition == Condition::Violated;
            let is_told = if is_fresh && (is_violated || self.alarms.find(spec.rule).is_some()) {
                self.join(spec, side, at_us, value, around, sink)
            } else if !is_fresh && !self.recent.is_taken(at_us) {
                self.past_reading(spec, side, at_us, value, condition, around, sink);
                true
            } else {
                false
            };
            if is_violated && !is_told && S::WANTED {
                let event = self.limit_event(spec, side, LATE_EXCEEDANCE, at_us, value, around);
                sink.event(Event { score: judged.decades, ..self.as_late(at_us, event) });
            }
        }
    }

    /// Whether something was told of a late reading that has taken its place.
    #[allow(clippy::too_many_arguments)]
    fn join<S: Sink>(
        &mut self,
        spec: &Spec,
        side: Side,
        at_us: i64,
        value: f64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> bool {
        let (physical, tells_range) = (self.detection.physical, self.rules.tells_range());
        let judge = |value: f64| condition(spec, side, physical, tells_range, value);
        let recent = &self.recent;
        let (outcome, transition) = self.alarms.change(spec.rule, |each| each.join(spec, recent, judge));
        let mut is_told = false;
        for since_us in outcome.found {
            is_told = true;
            let value = self.recent.value_at(since_us).unwrap_or(value);
            if S::WANTED {
                let event = self.limit_event(spec, side, transition, since_us, value, around);
                sink.event(self.as_late(at_us, event));
            }
        }
        let newest_us = self.newest.as_ref().map_or(at_us, |newest| newest.tracked_at_us);
        match outcome.present {
            None => return is_told,
            Some(Moved::Activated { since_us }) => {
                let extreme = self.recent.value_at(since_us).unwrap_or(value);
                let untold = Untold { since_us, extreme, found_us: around.listened_us };
                self.alarms.change(spec.rule, |each| each.course.untold = Some(untold));
                if !around.is_past(newest_us) {
                    self.tell_standing(spec, side, around, sink);
                }
            }
            Some(Moved::GoesOn) => {
                self.alarms.tell(spec.rule, at_us);
                if S::WANTED {
                    let silently = Transition::ActivatedSilently.name();
                    let event = self.limit_event(spec, side, silently, at_us, value, around);
                    sink.event(Event { reason: "a late reading: it had not ended".into(), ..event });
                }
            }
            Some(Moved::Returned) => {
                let untold = self.alarms.change(spec.rule, |each| each.course.untold.take());
                if let Some(untold) = untold {
                    self.tell_past(spec, side, &untold, at_us, around, sink);
                    return true;
                }
                self.alarms.tell(spec.rule, at_us);
                if S::WANTED {
                    let event = self.limit_event(spec, side, Transition::Returned.name(), at_us, value, around);
                    sink.event(Event { reason: "a late reading: it had ended".into(), ..event });
                }
            }
        }
        true
    }

    /// Tell people of the excursion that was thought to be past and stands; silently while it is kept from them.
    fn tell_standing<S: Sink>(&mut self, spec: &Spec, side: Side, around: &Surroundings<'_>, sink: &mut S) {
        let told = self.alarms.find(spec.rule).and_then(|each| each.tell_untold(&self.rules));
        let Some((untold, transition)) = told else { return };
        if S::WANTED {
            sink.event(self.limit_event(spec, side, transition.name(), untold.since_us, untold.extreme, around));
        }
    }

    /// While the past is delivered nothing may stay untold for long.
    pub(crate) fn tick_untold<S: Sink>(&mut self, around: &Surroundings<'_>, sink: &mut S) {
        let is_due = |untold: &Untold| around.listened_us.saturating_sub(untold.found_us) > STANDS_US;
        if !self.alarms.each_mut().any(|each| each.course.untold.as_ref().is_some_and(is_due)) {
            return;
        }
        let rules = Arc::clone(&self.rules);
        for rule in Rule::of_sensors() {
            if !self.alarms.find(rule).is_some_and(|each| each.course.untold.as_ref().is_some_and(is_due)) {
                continue;
            }
            match rules.limits().find(|(spec, _)| spec.rule == rule) {
                Some((spec, side)) => self.tell_standing(spec, side, around, sink),
                None => self.tell_standing_news(rule, around, sink),
            }
        }
    }

    /// The alarm of an excursion of which nobody was told ends with a configuration.
    pub(crate) fn retire_untold<S: Sink>(
        &self,
        rule: Rule,
        untold: &Untold,
        end_us: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        match self.rules.limits().find(|(spec, _)| spec.rule == rule) {
            Some((spec, side)) => self.tell_past(spec, side, untold, end_us, around, sink),
            None => self.tell_past_news(rule, untold, end_us, around, sink),
        }
    }

    fn tell_past<S: Sink>(
        &self,
        spec: &Spec,
        side: Side,
        untold: &Untold,
        until_us: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if S::WANTED {
            let event = self.limit_event(spec, side, PAST_EXCURSION, untold.since_us, untold.extreme, around);
            sink.past_excursion(Some(side), Event { late: true, ..event }, until_us);
        }
    }

    /// A reading for a time that is settled: which excursions there were is for the journal alone.
    #[allow(clippy::too_many_arguments)]
    fn past_reading<S: Sink>(
        &self,
        spec: &Spec,
        side: Side,
        at_us: i64,
        value: f64,
        condition: Condition,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if !S::WANTED {
            return;
        }
        let key = (self.no, spec.rule);
        sink.past_reading(key, side, spec.delays, PastReading { at_us, value, condition }, || {
            self.as_late(at_us, self.limit_event(spec, side, PAST_EXCURSION, at_us, value, around))
        });
    }

    fn as_late(&self, at_us: i64, event: Event) -> Event {
        Event { late: true, only_if_stored: Some((self.no, at_us)), ..event }
    }

    /// Readings that nothing late can come before any more leave memory.
    #[inline]
    pub(crate) fn settle(&mut self, at_us: i64, around: &Surroundings<'_>) {
        let before_us = at_us.min(around.received_at_us).saturating_sub(us_of(around.settings.late_alarm_s_max));
        while let Some(point) = self.recent.settle(before_us) {
            if !self.alarms.has_limits() || point.value.is_nan() {
                continue;
            }
            let rules = Arc::clone(&self.rules);
            for (spec, side) in rules.limits() {
                let condition = self.condition(spec, side, point.value);
                if let Some(each) = self.alarms.find(spec.rule) {
                    each.course.settle(condition, point.at_us, spec.delays);
                }
            }
        }
    }

    /// From here back nothing is judged again: nobody wanted to know, or it was judged by other rules.
    pub(crate) fn forget_excursions(&mut self, until_us: i64) {
        self.recent.forget(until_us);
        for each in self.alarms.each_mut().filter(|each| each.rule().side().is_some()) {
            each.course.forget(&each.alarm);
        }
    }

    fn condition(&self, spec: &Spec, side: Side, value: f64) -> Condition {
        condition(spec, side, self.detection.physical, self.rules.tells_range(), value)
    }
}

/// A value outside of what is physical is no measurement: it ends nothing, and raises only the alarm that says so. Where
/// nobody wants that alarm, a limit speaks of it.
fn condition(spec: &Spec, side: Side, (floor, ceiling): (f64, f64), tells_range: bool, value: f64) -> Condition {
    let is_physical = (floor..=ceiling).contains(&value);
    match spec.limit {
        None if is_physical => Condition::Clear,
        None => Condition::Violated,
        Some(_) if !is_physical && tells_range => Condition::Between,
        Some(limit) if side.is_violated(value, limit) => Condition::Violated,
        Some(limit) if is_physical && side.is_clear(value, limit, spec.deadband) => Condition::Clear,
        Some(_) => Condition::Between,
    }
}
