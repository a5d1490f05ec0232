//! What changes a sensor besides its readings: configurations, commands, ticks, and what the journal knows.

use std::sync::Arc;

use crate::alarm::Elapsed;
use crate::clock::Clock;
use crate::command::{Action, Command};
use crate::config::{SensorUpsert, Status};
use crate::journal::{Event, ToldAlarm};
use crate::moved;
use crate::rule::Rule;
use crate::rule_set::RuleSet;
use crate::sensor::{moves_for, still_for, Sensor, Surroundings};
use crate::sink::Sink;

impl Sensor {
    /// Be as the journal left an alarm (none: it is not in it); whether it was otherwise.
    pub(crate) fn recall(&mut self, rule: Rule, told: Option<&ToldAlarm>) -> bool {
        if told.is_none() && self.alarms.find(rule).is_none() {
            return false;
        }
        let (active, acknowledged, since_us) =
            told.map_or((false, true, 0), |told| (told.active, told.acknowledged, told.since_us));
        self.alarms.change(rule, |each| {
            let is_otherwise = each.alarm.active != active;
            each.alarm.recall(active, acknowledged, since_us);
            each.told_us = since_us;
            if let Some(untold) = each.course.untold.take().filter(|_| rule.side().is_some()) {
                each.course.told_to_people(untold.since_us);
            }
            is_otherwise
        })
    }

    /// Whether a rule holds here, or its alarm still has something to be done with.
    pub(crate) fn has_alarm(&self, rule: Rule) -> bool {
        self.rules.spec(rule).is_some() || !self.alarms.get(rule).is_normal()
    }

    /// What a person asks of an alarm.
    pub(crate) fn obey<S: Sink>(&mut self, command: &Command, around: &Surroundings<'_>, sink: &mut S) {
        let rule = command.rule;
        let transition = self.alarms.change(rule, |each| command.action.change(&mut each.alarm, command.at_us));
        if let (Some(_), Action::Release(_)) = (transition, &command.action) {
            self.given_back(rule);
        }
        let (Some(transition), true) = (transition, S::WANTED) else { return };
        let (alarm, named) = (self.alarms.get(rule), self.named(around));
        for moved in moved::by_command(command, transition, alarm, &named, &self.threshold(rule)) {
            sink.event(self.moved_event(rule, moved));
        }
    }

    /// An alarm is people's again, and what is true of it is told with that.
    pub(crate) fn given_back(&mut self, rule: Rule) {
        if let Some(each) = self.alarms.find(rule) {
            each.given_back();
        }
        self.is_hushed &= rule != Rule::Stale;
    }

    /// The timers of all alarms.
    pub(crate) fn tick_alarms<S: Sink>(&mut self, watermark_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        for (rule, elapsed) in self.alarms.tick(watermark_us, &self.rules) {
            if let Elapsed::Released(_) = elapsed {
                self.given_back(rule);
            }
            if S::WANTED {
                let (alarm, named) = (self.alarms.get(rule), self.named(around));
                for moved in moved::by_time(rule, elapsed, alarm, watermark_us, &named, &self.threshold(rule)) {
                    sink.event(self.moved_event(rule, moved));
                }
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
            self.listen_anew(around.listened_us);
        }
        if matches!(upsert.status, Status::Inactive | Status::Retired) {
            self.retire(at_us, around, sink);
        } else if upsert.status != Status::Active {
            for rule in [Rule::Stale, Rule::BadValue] {
                self.retire_rule(rule, "the sensor is under maintenance or faulty", at_us, around, sink);
            }
        }
        if !upsert.detection.tuning.is_on {
            self.retire_rule(Rule::Anomaly, "detection was switched off", at_us, around, sink);
        }
        self.take_rules(&upsert.rules, at_us, around, sink);
        let is_otherwise = self.type_index != upsert.type_index || self.detection.physical != upsert.detection.physical;
        if let Some(newest) = self.newest.as_ref().filter(|_| is_otherwise) {
            self.forget_excursions(newest.tracked_at_us);
        }
        self.type_index = upsert.type_index;
        self.detection = upsert.detection;
        self.expected_interval_s = upsert.expected_interval_s;
        self.rule_version = version;
    }

    /// Take rules over. One that is switched off ends its alarm; a new limit is held against the next reading, and what
    /// was before this moment is not judged again.
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
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        if let Some(newest_us) = newest_us.filter(|_| !before.judges_as(rules)) {
            self.forget_excursions(newest_us);
        }
        let moves = moves_for(rules);
        if !moves.as_ref().zip(self.moves.as_ref()).is_some_and(|(new, old)| new.is_as_long_as(old)) {
            self.moves = moves;
        }
        let still = still_for(rules);
        if !still.as_ref().zip(self.still.as_ref()).is_some_and(|(new, old)| new.is_as_long_as(old)) {
            self.still = still;
        }
    }

    fn retire<S: Sink>(&mut self, at_us: Option<i64>, around: &Surroundings<'_>, sink: &mut S) {
        for rule in Rule::of_sensors() {
            self.retire_rule(rule, "the sensor was deactivated", at_us, around, sink);
        }
        if let Some(newest) = &self.newest {
            self.forget_excursions(newest.tracked_at_us);
        }
        self.clock = Clock::default();
    }

    /// End a rule's alarm because of a configuration, and say why; as of when that was told, but never before it began.
    fn retire_rule<S: Sink>(
        &mut self,
        rule: Rule,
        reason: &'static str,
        at_us: Option<i64>,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let newest_us = self.newest.as_ref().map(|newest| newest.tracked_at_us);
        let end_us = at_us.or(newest_us).unwrap_or_default().max(self.alarms.began_us(rule));
        let Some(transition) = self.alarms.end(rule, end_us) else { return };
        let untold = self.alarms.change(rule, |each| each.course.untold.take());
        if let Some(untold) = untold {
            return self.retire_untold(rule, &untold, end_us, around, sink);
        }
        self.alarms.tell(rule, end_us);
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
