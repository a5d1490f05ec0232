//! What changes a sensor besides its readings: configurations, commands, ticks, and what the journal knows.

use std::sync::Arc;

use crate::alarm::{Alarm, Condition};
use crate::command::Command;
use crate::config::{SensorUpsert, Status};
use crate::journal::{Event, ToldAlarm};
use crate::moved;
use crate::rule::Rule;
use crate::rule_set::RuleSet;
use crate::sensor::{moves_for, Sensor, Surroundings};
use crate::sink::Sink;

impl Sensor {
    /// Be as the journal left an alarm (none: it is not in it). An active limit's excursion is known, however long it lasts.
    pub(crate) fn recall(&mut self, rule: Rule, told: Option<&ToldAlarm>) {
        let Some(told) = told else {
            if let Some(each) = self.alarms.find(rule) {
                each.alarm.recall(false, true, 0);
            }
            return;
        };
        self.alarms.change(rule, |each| {
            each.alarm.recall(told.active, told.acknowledged, told.since_us);
            if told.active && rule.side().is_some() {
                each.excursions.open(told.since_us);
            }
        });
    }

    /// Whether a rule holds here, or its alarm still has something to be done with.
    pub(crate) fn has_alarm(&self, rule: Rule) -> bool {
        self.rules.spec(rule).is_some() || !self.alarms.get(rule).is_normal()
    }

    /// What a person asks of an alarm.
    pub(crate) fn obey<S: Sink>(&mut self, command: &Command, around: &Surroundings<'_>, sink: &mut S) {
        let rule = command.rule;
        let transition = self.alarms.change(rule, |each| command.action.change(&mut each.alarm, command.at_us));
        let (Some(transition), true) = (transition, S::WANTED) else { return };
        let (alarm, named) = (self.alarms.get(rule), self.named(around));
        for moved in moved::by_command(command, transition, alarm, &named, &self.threshold(rule)) {
            sink.event(self.moved_event(rule, moved));
        }
    }

    /// The timers of all alarms.
    pub(crate) fn tick_alarms<S: Sink>(&mut self, watermark_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        for (rule, elapsed) in self.alarms.tick(watermark_us, &self.rules) {
            if S::WANTED {
                let (alarm, named) = (self.alarms.get(rule), self.named(around));
                for moved in moved::by_time(rule, elapsed, alarm, watermark_us, &named, &self.threshold(rule)) {
                    sink.event(self.moved_event(rule, moved));
                }
            }
        }
    }

    /// Judge silence, and readings that say nothing, against the facility's listening clock.
    pub fn tick<S: Sink>(&mut self, watermark_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        if self.status != Status::Active || self.alarms.get(Rule::Stale).active {
            return;
        }
        let silent_s = (around.listened_us - self.heard_us) as f64 / 1e6;
        if silent_s > self.silence_s_max(around.settings) {
            let Some(spec) = self.rules.spec(Rule::Stale) else { return };
            if let Some(transition) = self.alarms.step(spec, Condition::Violated, watermark_us) {
                self.tell_stale(transition, watermark_us, around, sink, "");
            }
        }
    }

    /// Take a configuration over. A sensor that goes out of use returns its alarms; one that comes back is heard anew.
    pub fn configure<S: Sink>(
        &mut self,
        upsert: &SensorUpsert,
        version: i64,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let was = self.status;
        self.status = upsert.status;
        if upsert.status == Status::Active && was != Status::Active {
            self.heard_us = around.listened_us;
        }
        if matches!(upsert.status, Status::Inactive | Status::Retired) {
            self.retire(at_us, around, sink);
        } else if upsert.status != Status::Active {
            self.retire_rule(Rule::Stale, "the sensor is under maintenance or faulty", at_us, around, sink);
        }
        if !upsert.detection.tuning.is_on {
            self.retire_rule(Rule::Anomaly, "detection was switched off", at_us, around, sink);
        }
        self.take_rules(&upsert.rules, at_us, around, sink);
        self.type_index = upsert.type_index;
        self.detection = upsert.detection;
        self.expected_interval_s = upsert.expected_interval_s;
        self.rule_version = version;
    }

    /// Take rules over. One that is switched off ends its alarm; a new limit is held against the next reading, and no
    /// reading before this moment is news to it.
    fn take_rules<S: Sink>(
        &mut self,
        rules: &Arc<RuleSet>,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if self.rules == *rules {
            return;
        }
        for rule in Rule::of_sensors().filter(|rule| rules.spec(*rule).is_none()) {
            self.retire_rule(rule, "the rule was switched off", at_us, around, sink);
        }
        let before = std::mem::replace(&mut self.rules, rules.clone());
        if let Some(newest_us) = self.newest.as_ref().map(|newest| newest.tracked_at_us) {
            for (spec, ..) in rules.limits().filter(|(spec, ..)| before.limit(spec.rule) != spec.limit) {
                self.alarms.change(spec.rule, |each| each.excursions.forget(newest_us));
            }
        }
        let moves = moves_for(rules);
        if !moves.as_ref().zip(self.moves.as_ref()).is_some_and(|(new, old)| new.is_as_long_as(old)) {
            self.moves = moves;
        }
    }

    /// From here back no late violation is news.
    pub(crate) fn forget_excursions(&mut self, until_us: i64) {
        for (spec, ..) in Arc::clone(&self.rules).limits() {
            self.alarms.change(spec.rule, |each| each.excursions.forget(until_us));
        }
    }

    fn retire<S: Sink>(&mut self, at_us: Option<i64>, around: &Surroundings<'_>, sink: &mut S) {
        if let Some(newest) = &self.newest {
            self.forget_excursions(newest.tracked_at_us);
        }
        for rule in Rule::of_sensors() {
            self.retire_rule(rule, "the sensor was deactivated", at_us, around, sink);
        }
    }

    /// End a rule's alarm because of a configuration, and say why.
    fn retire_rule<S: Sink>(
        &mut self,
        rule: Rule,
        reason: &'static str,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        let end_us = ending(self.alarms.get(rule), at_us, newest_us);
        let Some(transition) = self.alarms.end(rule, end_us) else { return };
        if S::WANTED {
            let message = format!("{}: {reason}", self.named(around));
            let explanation = serde_json::json!({"rule": rule.name(), "reason": reason});
            sink.event(Event {
                reason: reason.into(),
                ..self.event(rule, transition.name(), end_us, message, &explanation)
            });
        }
    }
}

/// The event time of a return that no reading caused: when it was told, but never before the alarm began.
fn ending(alarm: &Alarm, at_us: Option<i64>, newest_us: Option<i64>) -> i64 {
    at_us.or(newest_us).unwrap_or(alarm.since_us).max(alarm.since_us)
}
