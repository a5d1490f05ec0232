//! Alarms: their transitions, and the state of those that are not normal.

use pyo3::prelude::*;

use crate::alarm::Alarm;
use crate::journal::{alarm_key, Event};
use crate::rule::Rule;
use crate::rules::Priority;
use crate::sensor::Sensor;

#[pyclass(frozen, get_all, module = "native._native")]
pub struct CoreEvent {
    alarm_key: String,
    sensor_no: Option<i32>,
    sensor_id: String,
    rule: &'static str,
    transition: &'static str,
    event_time_us: i64,
    rule_version: i64,
    priority: &'static str,
    alert_type: &'static str,
    value: Option<f64>,
    limit: Option<f64>,
    score: Option<f64>,
    message: String,
    explanation_json: String,
    late: bool,
    only_if_stored: Option<(i32, i64)>,
    actor: String,
    reason: String,
}

impl From<Event> for CoreEvent {
    fn from(event: Event) -> Self {
        Self {
            alarm_key: event.alarm_key(),
            sensor_no: event.sensor_no,
            sensor_id: event.sensor_id,
            rule: event.rule.name(),
            transition: event.transition,
            event_time_us: event.event_time_us,
            rule_version: event.rule_version,
            priority: event.priority.name(),
            alert_type: event.rule.alert_type(),
            value: event.value,
            limit: event.limit,
            score: event.score,
            message: event.message,
            explanation_json: event.explanation_json,
            late: event.late,
            only_if_stored: event.only_if_stored,
            actor: event.actor.into_owned(),
            reason: event.reason.into_owned(),
        }
    }
}

#[pymethods]
impl CoreEvent {
    fn __repr__(&self) -> String {
        format!("CoreEvent({:?}, {:?}, event_time_us={})", self.alarm_key, self.transition, self.event_time_us)
    }
}

#[pyclass(frozen, get_all, module = "native._native")]
pub struct AlarmState {
    alarm_key: String,
    sensor_no: Option<i32>,
    sensor_id: Option<String>,
    rule: &'static str,
    active: bool,
    acknowledged: bool,
    suppression: &'static str,
    until_us: Option<i64>,
    latched: bool,
    assignee: Option<String>,
    priority: &'static str,
    since_us: i64,
    state: &'static str,
}

impl AlarmState {
    /// None: it is normal. Without a sensor it is the facility's.
    pub fn of(sensor: Option<&Sensor>, rule: Rule, alarm: &Alarm, priority: Priority) -> Option<Self> {
        let whose = (sensor.map(|sensor| sensor.no), sensor.map(|sensor| sensor.id.to_string()));
        Self::by_number(whose, rule, alarm, priority)
    }

    /// The same of a group, which has a number and no id of a sensor.
    pub fn by_number(
        (sensor_no, sensor_id): (Option<i32>, Option<String>),
        rule: Rule,
        alarm: &Alarm,
        priority: Priority,
    ) -> Option<Self> {
        (!alarm.is_normal()).then(|| Self {
            alarm_key: alarm_key(sensor_no, rule.name()),
            sensor_no,
            sensor_id,
            rule: rule.name(),
            active: alarm.active,
            acknowledged: alarm.acknowledged,
            suppression: alarm.suppression_name(),
            until_us: alarm.suppression.and_then(|suppression| suppression.until_us),
            latched: alarm.latched,
            assignee: alarm.assignee.as_deref().map(str::to_owned),
            priority: priority.name(),
            since_us: alarm.since_us,
            state: alarm.shown_as(),
        })
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CoreEvent>()?;
    module.add_class::<AlarmState>()
}
