//! What the journal of alarms holds: transitions as events, and how it left each alarm.

use std::borrow::Cow;

use crate::rule::Rule;
use crate::rules::Priority;

/// One transition of one alarm, ready for the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// None, and an empty id: the facility as a whole.
    pub sensor_no: Option<i32>,
    pub sensor_id: String,
    pub rule: Rule,
    pub transition: &'static str,
    pub event_time_us: i64,
    pub rule_version: i64,
    pub priority: Priority,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub score: Option<f64>,
    pub message: String,
    pub explanation_json: String,
    pub late: bool,
    pub only_if_stored: Option<(i32, i64)>,
    /// `system`, or who gave the command.
    pub actor: Cow<'static, str>,
    pub reason: Cow<'static, str>,
}

/// Who acts where nobody gave a command.
pub const SYSTEM: &str = "system";

impl Event {
    pub fn alarm_key(&self) -> String {
        alarm_key(self.sensor_no, self.rule.name())
    }
}

pub fn alarm_key(sensor_no: Option<i32>, rule: &str) -> String {
    sensor_no.map_or_else(|| format!("facility:{rule}"), |sensor_no| format!("{sensor_no}:{rule}"))
}

/// The name in the journal of a late violation that is no news.
pub const LATE_EXCEEDANCE: &str = "late_exceedance";
pub const ACTIVATED: &str = "activated";
/// The condition is true, and people need not be told.
pub const ACTIVATED_SILENTLY: &str = "activated_silently";
/// What began and ended before anybody could be told.
pub const PAST_EXCURSION: &str = "past_excursion";

/// Every transition that a row of the journal may have.
pub const TRANSITIONS: [&str; 17] = [
    ACTIVATED,
    ACTIVATED_SILENTLY,
    "returned",
    PAST_EXCURSION,
    LATE_EXCEEDANCE,
    "re_alarmed",
    "acknowledged",
    "commented",
    "assigned",
    "reset",
    "verdict",
    "shelved",
    "unshelved",
    "suppressed",
    "unsuppressed",
    "out_of_service",
    "in_service",
];

/// An alarm as the journal left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldAlarm {
    /// None: the facility as a whole.
    pub sensor_no: Option<i32>,
    pub rule: String,
    pub active: bool,
    pub acknowledged: bool,
    pub since_us: i64,
}
