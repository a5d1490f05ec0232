//! Rules that are no limits (a change, an anomaly, a value that stands still) while the past is delivered: what ended
//! there is a summary, and what stands is told, as for limits. Late readings do not come here.

use crate::alarm::{Condition, Transition};
use crate::course::Untold;
use crate::journal::{Event, PAST_EXCURSION};
use crate::rule::Rule;
use crate::rule_set::Spec;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;

impl Sensor {
    /// Move a rule's alarm on by a reading in order; what its journal is to be told, if that is news.
    pub(crate) fn step_news<S: Sink>(
        &mut self,
        spec: &Spec,
        condition: Condition,
        at_us: i64,
        value: f64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> Option<Transition> {
        let is_past = around.is_past(at_us);
        let transition = match is_past {
            false => self.alarms.step(spec, condition, at_us),
            true => self.alarms.step_untold(spec, condition, at_us),
        };
        let untold = &mut self.alarms.find(spec.rule)?.course.untold;
        match transition {
            Some(Transition::ActivatedSilently) if is_past => {
                *untold = Some(Untold { since_us: at_us, extreme: value, found_us: around.listened_us });
                return None;
            }
            Some(Transition::Returned) if is_past => {
                if let Some(untold) = untold.take() {
                    self.tell_past_news(spec.rule, &untold, at_us, around, sink);
                    return None;
                }
            }
            _ if !is_past => self.tell_standing_news(spec.rule, around, sink),
            _ => {}
        }
        if transition.is_some() {
            self.alarms.tell(spec.rule, at_us);
        }
        transition
    }

    /// Tell people of what was thought to be past and stands; silently while it is kept from them.
    pub(crate) fn tell_standing_news<S: Sink>(&mut self, rule: Rule, around: &Surroundings<'_>, sink: &mut S) {
        let Some((untold, transition)) = self.alarms.find(rule).and_then(|each| each.tell_untold(&self.rules)) else {
            return;
        };
        if S::WANTED {
            sink.event(self.news_event(rule, transition.name(), &untold, around));
        }
    }

    pub(crate) fn tell_past_news<S: Sink>(
        &self,
        rule: Rule,
        untold: &Untold,
        until_us: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        if S::WANTED {
            let event = self.news_event(rule, PAST_EXCURSION, untold, around);
            sink.past_excursion(None, Event { late: true, ..event }, until_us);
        }
    }

    fn news_event(&self, rule: Rule, transition: &'static str, untold: &Untold, around: &Surroundings<'_>) -> Event {
        let limit = self.rules.limit(rule);
        let so = rule.kind().standing;
        let message = format!("Problem detected: {} is {so}{}", self.named(around), self.threshold(rule));
        let explanation = serde_json::json!({"rule": rule.name(), "value": untold.extreme, "limit": limit});
        let event = self.event(rule, transition, untold.since_us, message, &explanation);
        Event { value: Some(untold.extreme), limit, ..event }
    }
}
