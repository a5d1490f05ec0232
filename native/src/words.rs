//! What a sensor's transitions say: the messages of the wire contract and the explanations for people and programs.

use std::borrow::Cow;

use crate::alarm::Transition;
use crate::detector::Score;
use crate::explain::Picture;
use crate::instant::{self, US_PER_S};
use crate::journal::{Event, SYSTEM};
use crate::moved::Moved;
use crate::number::repr;
use crate::rule::{Measure, Rule, Side};
use crate::rule_set::Spec;
use crate::sensor::{Sensor, Surroundings};

impl Sensor {
    pub(crate) fn named(&self, around: &Surroundings<'_>) -> String {
        format!("{} Sensor value in {}", self.of_type().name, around.facility)
    }

    pub(crate) fn event(
        &self,
        rule: Rule,
        transition: &'static str,
        at_us: i64,
        message: String,
        explanation: &serde_json::Value,
    ) -> Event {
        let mut explanation = Cow::Borrowed(explanation);
        if let Some(spec) = self.rules.spec(rule).filter(|spec| spec.texts.is_some()) {
            spec.explain(explanation.to_mut());
        }
        Event {
            sensor_no: Some(self.no),
            sensor_id: self.id.to_string(),
            rule,
            transition,
            event_time_us: at_us,
            rule_version: self.rule_version,
            priority: self.priority(rule),
            value: None,
            limit: None,
            score: None,
            message,
            explanation_json: explanation.to_string(),
            late: false,
            only_if_stored: None,
            actor: SYSTEM.into(),
            reason: "".into(),
        }
    }

    /// What people and time did to an alarm, with the value that stands now.
    pub(crate) fn moved_event(&self, rule: Rule, moved: Moved) -> Event {
        let event = self.event(rule, moved.transition, moved.at_us, moved.message.clone(), &moved.fields);
        let value = self.newest.as_ref().and_then(|newest| self.number(&newest.data.datum()));
        moved.over(Event { value, limit: self.rules.limit(rule), ..event })
    }

    /// The limit that a rule's alarm is about, for a message.
    pub(crate) fn threshold(&self, rule: Rule) -> String {
        let Some(spec) = self.rules.spec(rule) else { return String::new() };
        match (spec.limit, spec.rule.kind().measure) {
            (Some(limit), Measure::Value(..)) => format!(" threshold ({})", repr(limit)),
            (Some(limit), Measure::Change) => format!(" ({} in {} s)", repr(limit), spec.window_us / US_PER_S),
            (_, Measure::Stillness) => format!(" ({} s)", spec.window_us / US_PER_S),
            (_, Measure::Physical) => {
                let (floor, ceiling) = self.detection.physical;
                format!(" ({} to {})", repr(floor), repr(ceiling))
            }
            (_, Measure::None) | (None, _) => String::new(),
        }
    }

    /// A value moved too far within the rule's window.
    pub(crate) fn rate_event(
        &self,
        spec: &Spec,
        transition: Transition,
        at_us: i64,
        value: f64,
        change: f64,
        around: &Surroundings<'_>,
    ) -> Event {
        let (named, threshold) = (self.named(around), self.threshold(spec.rule));
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                format!("Problem detected: {named} changes too fast, by {}{threshold}", repr(change))
            }
            Transition::Returned => format!("Back to normal: {named} no longer changes too fast{threshold}"),
        };
        let explanation = serde_json::json!({
            "rule": spec.rule.name(),
            "value": value,
            "change": change,
            "window_s": spec.window_us / US_PER_S,
            "limit": spec.limit,
            "unit": self.rules.unit,
            "deadband": spec.deadband,
            "on_delay_s": spec.delays.on_us / US_PER_S,
            "off_delay_s": spec.delays.off_us / US_PER_S,
            "source": spec.source,
        });
        let event = self.event(spec.rule, transition.name(), at_us, message, &explanation);
        Event { value: Some(value), limit: spec.limit, ..event }
    }

    /// A value has not moved for the rule's window.
    pub(crate) fn stuck_event(
        &self,
        spec: &Spec,
        transition: Transition,
        at_us: i64,
        value: f64,
        since_us: i64,
        around: &Surroundings<'_>,
    ) -> Event {
        let (named, threshold, since) = (self.named(around), self.threshold(spec.rule), instant::text(since_us));
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                format!("Problem detected: {named} has stood still since {since}{threshold}")
            }
            Transition::Returned => format!("Back to normal: {named} moves again{threshold}"),
        };
        let explanation = serde_json::json!({
            "rule": spec.rule.name(),
            "value": value,
            "since": since,
            "window_s": spec.window_us / US_PER_S,
            "unit": self.rules.unit,
            "deadband": spec.deadband,
            "on_delay_s": spec.delays.on_us / US_PER_S,
            "off_delay_s": spec.delays.off_us / US_PER_S,
        });
        let event = self.event(spec.rule, transition.name(), at_us, message, &explanation);
        Event { value: Some(value), ..event }
    }

    pub(crate) fn limit_event(
        &self,
        spec: &Spec,
        side: Side,
        transition: &'static str,
        at_us: i64,
        value: f64,
        around: &Surroundings<'_>,
    ) -> Event {
        let threshold = self.threshold(spec.rule);
        let side = side.words();
        let named = self.named(around);
        let message = if transition == Transition::Returned.name() {
            format!("Back to normal: {named} is no longer {side}{threshold}")
        } else {
            format!("Problem detected: {named} is {side}{threshold}")
        };
        let mut explanation = serde_json::json!({
            "rule": spec.rule.name(),
            "value": value,
            "limit": spec.limit,
            "unit": self.rules.unit,
            "range": [self.rules.limit(Rule::Low), self.rules.limit(Rule::High)],
            "deadband": spec.deadband,
            "on_delay_s": spec.delays.on_us / US_PER_S,
            "off_delay_s": spec.delays.off_us / US_PER_S,
            "source": spec.source,
        });
        if let (Rule::OutOfPhysicalRange, Some(fields)) = (spec.rule, explanation.as_object_mut()) {
            fields.insert("physical".into(), serde_json::json!(self.detection.physical));
        }
        let event = self.event(spec.rule, transition, at_us, message, &explanation);
        Event { value: Some(value), limit: spec.limit, ..event }
    }

    pub(crate) fn anomaly_event(
        &self,
        transition: Transition,
        at_us: i64,
        value: f64,
        score: &Score,
        around: &Surroundings<'_>,
    ) -> Event {
        let named = self.named(around);
        let picture = Picture {
            value,
            before: self.newest.as_ref().and_then(|before| self.number(&before.data.datum())),
            unit: &self.rules.unit,
            at_us,
            since_us: self.unusual_since_us.unwrap_or(at_us),
            score,
            course: self.scorer.course(at_us).unwrap_or_default(),
        };
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                format!("Problem detected: {named} {}", picture.text())
            }
            Transition::Returned => format!("Back to normal: {named} is as expected again"),
        };
        let explanation = picture.fields();
        let event = self.event(Rule::Anomaly, transition.name(), at_us, message, &explanation);
        Event { value: Some(value), score: score.decades, ..event }
    }
}
