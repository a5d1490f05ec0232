//! The JSON that reaches a core besides readings: settings, configuration, ticks; `command` has those of people.

use std::sync::Arc;

use serde::Deserialize;

use crate::detection::{Detection, RawDetection};
use crate::instant::{self, US_PER_S};
use crate::limits::{INTERVAL_S_MAX, SETTING_MAX};
use crate::rule_set::{RuleSet, RuleSets};
use crate::rules;
use crate::wanted::Wanted;

/// A payload that cannot be applied; the core is as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadError(pub String);

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Settings of the core; none of them is part of its state.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub late_alarm_s_max: f64,
    pub stale_intervals: f64,
    pub stale_s_min: f64,
    pub tick_gap_s_max: f64,
    /// How long an alarm may be shelved.
    pub shelve_s_max: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            late_alarm_s_max: 300.0,
            stale_intervals: 5.0,
            stale_s_min: 60.0,
            tick_gap_s_max: 20.0,
            shelve_s_max: 28_800.0,
        }
    }
}

impl Settings {
    pub fn read(json: &str) -> Result<Self, PayloadError> {
        let settings: Self = serde_json::from_str(json).map_err(|error| PayloadError(format!("settings: {error}")))?;
        let numbers = [
            settings.late_alarm_s_max,
            settings.stale_intervals,
            settings.stale_s_min,
            settings.tick_gap_s_max,
            settings.shelve_s_max,
        ];
        if numbers.iter().all(|number| (0.0..=SETTING_MAX).contains(number)) {
            Ok(settings)
        } else {
            Err(PayloadError(format!("settings: every number must be 0 to {SETTING_MAX}, got {numbers:?}")))
        }
    }
}

/// Seconds as microseconds; what is out of range is clipped.
pub fn us_of(seconds: f64) -> i64 {
    (seconds * US_PER_S as f64) as i64
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Status {
    Active,
    Inactive,
    Maintenance,
    Fault,
    /// Its place stays empty: it is not known here any more, by id or number.
    Retired,
}

#[derive(Debug, Deserialize)]
struct RawSensor {
    op: String,
    sensor_id: String,
    sensor_no: i32,
    r#type: String,
    expected_interval_s: f64,
    status: Status,
    /// Absent in entries of versions before 2, and where nothing is set.
    #[serde(default)]
    detection: RawDetection,
    /// Absent where everything is as the type has it.
    #[serde(flatten)]
    rules: Wanted,
}

#[derive(Debug, Deserialize)]
struct RawConfig {
    version: i64,
    #[serde(default)]
    facility_name: Option<String>,
    #[serde(default)]
    at_us: Option<i64>,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    sensors: Vec<RawSensor>,
    /// Absent in entries of versions before 5, in those of single sensors, and where there are none.
    #[serde(default)]
    groups: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SensorUpsert {
    pub sensor_id: String,
    pub sensor_no: i32,
    pub type_index: u8,
    pub expected_interval_s: f64,
    pub status: Status,
    pub detection: Detection,
    pub rules: Arc<RuleSet>,
}

/// A configuration change, checked as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub version: i64,
    pub facility_name: Option<String>,
    pub at_us: Option<i64>,
    /// Sensors that are not named are gone.
    pub complete: bool,
    pub sensors: Vec<SensorUpsert>,
    /// Several sensors together, as `groups` reads it; empty: there are none, none: as before.
    pub groups: Option<String>,
}

impl Config {
    pub fn read(payload: &[u8]) -> Result<Self, PayloadError> {
        let raw: RawConfig =
            serde_json::from_slice(payload).map_err(|error| PayloadError(format!("config: {error}")))?;
        if let Some(at_us) = raw.at_us {
            check_time("config: at_us", at_us)?;
        }
        let mut sets = RuleSets::default();
        let sensors = raw.sensors.into_iter().map(|raw| SensorUpsert::of(raw, &mut sets)).collect::<Result<_, _>>()?;
        let no_groups = raw.complete.then(String::new);
        let groups = raw.groups.map(|groups| groups.to_string()).or(no_groups);
        let (version, facility_name) = (raw.version, raw.facility_name);
        Ok(Self { version, facility_name, at_us: raw.at_us, complete: raw.complete, sensors, groups })
    }
}

impl SensorUpsert {
    fn of(raw: RawSensor, sets: &mut RuleSets) -> Result<Self, PayloadError> {
        let wrong = |text: String| Err(PayloadError(format!("config: sensor {:?}: {text}", raw.sensor_id)));
        if raw.op != "upsert" {
            return wrong(format!("unknown op {:?}", raw.op));
        }
        if !(0.0..=f64::from(INTERVAL_S_MAX)).contains(&raw.expected_interval_s) {
            return wrong(format!(
                "expected_interval_s {} is not within 0 and {INTERVAL_S_MAX}",
                raw.expected_interval_s
            ));
        }
        let Some(type_index) = rules::find(&raw.r#type) else {
            return wrong(format!("unknown type {:?}", raw.r#type));
        };
        let detection = match raw.detection.over(Detection::of_type(type_index)) {
            Ok(detection) => detection,
            Err(error) => return wrong(error),
        };
        let rules = match sets.get(type_index, &raw.rules) {
            Ok(rules) => rules,
            Err(error) => return wrong(error),
        };
        Ok(Self {
            sensor_id: raw.sensor_id,
            sensor_no: raw.sensor_no,
            type_index,
            expected_interval_s: raw.expected_interval_s,
            status: raw.status,
            detection,
            rules,
        })
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Tick {
    pub watermark_us: i64,
}

impl Tick {
    pub fn read(payload: &[u8]) -> Result<Self, PayloadError> {
        let tick: Self = serde_json::from_slice(payload).map_err(|error| PayloadError(format!("tick: {error}")))?;
        check_time("tick: watermark_us", tick.watermark_us)?;
        Ok(tick)
    }
}

pub fn check_time(field: &str, us: i64) -> Result<(), PayloadError> {
    instant::accepted(us).map(|_| ()).map_err(|fault| PayloadError(format!("{field} {us}: {fault}")))
}
