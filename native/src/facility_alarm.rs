//! The alarms of a facility as a whole: their rows of the journal, what people ask of them, and their timers.

use crate::alarm::Alarm;
use crate::command::Command;
use crate::journal::{Event, SYSTEM};
use crate::moved::{self, Moved};
use crate::rule::Rule;
use crate::rules::Priority;
use crate::sensor::Surroundings;
use crate::sink::Sink;

/// A row without numbers.
pub fn event(
    (rule, priority): (Rule, Priority),
    transition: &'static str,
    at_us: i64,
    version: i64,
    message: String,
    explanation: &serde_json::Value,
) -> Event {
    Event {
        sensor_no: None,
        sensor_id: String::new(),
        rule,
        transition,
        event_time_us: at_us,
        rule_version: version,
        priority,
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

/// What a person asks of an alarm.
pub fn obey<S: Sink>(
    alarm: &mut Alarm,
    priority: Priority,
    command: &Command,
    version: i64,
    around: &Surroundings<'_>,
    sink: &mut S,
) {
    let Some(transition) = command.action.change(alarm, command.at_us) else { return };
    if S::WANTED {
        for moved in moved::by_command(command, transition, alarm, around.facility, "") {
            sink.event(moved_event((command.rule, priority), moved, version));
        }
    }
}

/// The timers of an alarm.
pub fn tick<S: Sink>(
    alarm: &mut Alarm,
    (rule, priority): (Rule, Priority),
    watermark_us: i64,
    version: i64,
    around: &Surroundings<'_>,
    sink: &mut S,
) {
    let Some(elapsed) = alarm.tick(watermark_us, None) else { return };
    if S::WANTED {
        for moved in moved::by_time(rule, elapsed, alarm, watermark_us, around.facility, "") {
            sink.event(moved_event((rule, priority), moved, version));
        }
    }
}

fn moved_event(whose: (Rule, Priority), moved: Moved, version: i64) -> Event {
    let event = event(whose, moved.transition, moved.at_us, version, moved.message.clone(), &moved.fields);
    moved.over(event)
}
