//! What a step found of the past: one summary for each sensor and rule, whatever the number of readings.

use std::collections::BTreeMap;

use crate::alarm::{Alarm, Condition, Delays};
use crate::instant;
use crate::journal::Event;
use crate::number::repr;
use crate::rule::{Rule, Side};

#[derive(Debug, Clone, Copy)]
pub struct PastReading {
    pub at_us: i64,
    pub value: f64,
    pub condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Passed {
    since_us: i64,
    until_us: i64,
    extreme: f64,
}

#[derive(Debug)]
struct Series {
    /// None: its values lie on no side of anything.
    side: Option<Side>,
    delays: Delays,
    /// Of the first violation.
    event: Option<Event>,
    readings: Vec<PastReading>,
    passed: Vec<Passed>,
}

#[derive(Debug, Default)]
pub struct Past {
    series: BTreeMap<(Option<i32>, Rule), Series>,
}

impl Past {
    fn series(&mut self, sensor_no: Option<i32>, rule: Rule, side: Option<Side>, delays: Delays) -> &mut Series {
        let new = || Series { side, delays, event: None, readings: Vec::new(), passed: Vec::new() };
        self.series.entry((sensor_no, rule)).or_insert_with(new)
    }

    /// An excursion that was followed from its beginning to its end.
    pub fn excursion(&mut self, side: Option<Side>, event: Event, until_us: i64) {
        let series = self.series(event.sensor_no, event.rule, side, Delays::default());
        let extreme = event.value.unwrap_or(f64::NAN);
        series.passed.push(Passed { since_us: event.event_time_us, until_us, extreme });
        series.event.get_or_insert(event);
    }

    /// A single reading; excursions are found among those of the step.
    pub fn reading(
        &mut self,
        (sensor_no, rule): (i32, Rule),
        side: Side,
        delays: Delays,
        reading: PastReading,
        event: impl FnOnce() -> Event,
    ) {
        let series = self.series(Some(sensor_no), rule, Some(side), delays);
        series.delays = delays;
        if reading.condition == Condition::Violated && series.event.is_none() {
            series.event = Some(event());
        }
        series.readings.push(reading);
    }

    pub fn into_events(self) -> impl Iterator<Item = Event> {
        self.series.into_values().filter_map(summary)
    }
}

fn summary(mut series: Series) -> Option<Event> {
    series.readings.sort_by_key(|reading| reading.at_us);
    series.readings.dedup_by_key(|reading| reading.at_us);
    let (side, followed) = (series.side, series.passed.len());
    if let Some(side) = side {
        series.passed.extend(excursions(&series.readings, side, series.delays));
    }
    let event = series.event?;
    let first = series.passed.iter().min_by_key(|passed| passed.since_us)?;
    let last_us = series.passed.iter().map(|passed| passed.until_us).max()?;
    let further = |extreme, passed: &Passed| side.map_or(extreme, |side| side.further(extreme, passed.extreme));
    let extreme = series.passed.iter().fold(first.extreme, further);
    let count = series.passed.len();
    let mut explanation: serde_json::Value = serde_json::from_str(&event.explanation_json).ok()?;
    if let Some(fields) = explanation.as_object_mut() {
        fields.insert("first".into(), instant::text(first.since_us).into());
        fields.insert("last".into(), instant::text(last_us).into());
        fields.insert("excursions".into(), count.into());
        fields.insert("value".into(), extreme.into());
    }
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let furthest = side.map_or_else(String::new, |_| format!(", at the furthest {}", repr(extreme)));
    let message = format!(
        "{}: in the past, {times} between {} and {}{furthest}",
        event.message,
        instant::text(first.since_us),
        instant::text(last_us),
    );
    // what was followed from its beginning is in the state, and no redelivery finds it again
    let only_if_stored = if followed > 0 { None } else { event.only_if_stored };
    Some(Event {
        event_time_us: first.since_us,
        value: Some(extreme),
        explanation_json: explanation.to_string(),
        message,
        only_if_stored,
        ..event
    })
}

/// Of readings in order of time; one that has no end in them ends with them.
fn excursions(readings: &[PastReading], side: Side, delays: Delays) -> Vec<Passed> {
    let mut alarm = Alarm::NORMAL;
    let mut found: Vec<Passed> = Vec::new();
    for reading in readings {
        let was_active = alarm.active;
        alarm.step(reading.condition, reading.at_us, delays);
        if alarm.active && !was_active {
            found.push(Passed { since_us: reading.at_us, until_us: reading.at_us, extreme: reading.value });
        }
        if let Some(passed) = found.last_mut().filter(|_| alarm.active || was_active) {
            passed.until_us = reading.at_us;
            if reading.condition == Condition::Violated {
                passed.extreme = side.further(passed.extreme, reading.value);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[(i64, f64)], on_us: i64) -> Vec<(i64, i64, f64)> {
        let condition = |value: f64| if value > 20.0 { Condition::Violated } else { Condition::Clear };
        let readings: Vec<PastReading> = values
            .iter()
            .map(|(at_us, value)| PastReading { at_us: *at_us, value: *value, condition: condition(*value) })
            .collect();
        excursions(&readings, Side::Above, Delays { on_us, off_us: 0 })
            .iter()
            .map(|passed| (passed.since_us, passed.until_us, passed.extreme))
            .collect()
    }

    #[test]
    fn beginning_and_end_are_those_of_the_readings() {
        let values = [(0, 15.0), (10, 25.0), (20, 30.0), (30, 15.0), (40, 15.0), (50, 22.0)];
        assert_eq!(found(&values, 0), [(10, 30, 30.0), (50, 50, 22.0)]);
        assert_eq!(found(&values, 10), [(20, 30, 30.0)], "shorter than the delay is no excursion");
        assert_eq!(found(&values, 11), []);
    }
}
