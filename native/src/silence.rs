//! Sensors of which nothing is heard, or nothing that can be used: who is told, and when one message says it for all.

use crate::alarm::{Alarm, Condition, Delays, Transition};
use crate::command::Command;
use crate::facility_alarm;
use crate::instant;
use crate::journal::Event;
use crate::number::Datum;
use crate::printable::quoted;
use crate::quality;
use crate::rule::Rule;
use crate::rules::Priority;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::spelling::hint;
use crate::wire::{put_signed, Reader, Wire};

/// How much a message shows of a reading that cannot be used, and of how many different ones.
const RECEIVED_CHARACTERS_MAX: usize = 32;
pub const TEXTS_MAX: usize = 3;
pub const PRIORITY: Priority = Priority::High;
/// So many sensors, and so many of ten of them, are silent together: it is the facility that is silent.
const SENSORS_MIN: usize = 5;
const SILENT_OF_TEN: usize = 8;

impl Sensor {
    /// A usable reading: nobody is silent who gives one.
    pub(crate) fn hear<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        self.heard_us = around.listened_us;
        self.end_silence(at_us, "a reading arrived", around, sink);
        // it began by our clock, the reading has its own
        let told_us = at_us.max(self.alarms.began_us(Rule::BadValue));
        if let Some(transition) = self.alarms.end(Rule::BadValue, told_us) {
            self.tell_bad_value(transition, told_us, "a usable value arrived", around, sink);
        }
        self.texts.clear();
        self.usable_us = Some(at_us);
    }

    /// A reading that tells nothing: it ends a silence, but then people must know what came instead. `is_told`: of
    /// this reading another rule speaks, or will after its delay.
    pub(crate) fn hear_nothing_usable<S: Sink>(
        &mut self,
        at_us: i64,
        datum: &Datum<'_>,
        is_told: bool,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.remember(datum.text());
        if self.end_silence(at_us, "a reading arrived that cannot be used", around, sink) && !is_told {
            self.begin_bad_value(at_us, around, sink);
        }
    }

    /// A reading was outside of what is physical: when people are told that, they need not hear that it is unusable.
    pub(crate) fn range_was_told<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        if !self.is_range_told() || !self.alarms.get(Rule::BadValue).active {
            return;
        }
        let told_us = at_us.max(self.alarms.began_us(Rule::BadValue));
        if let Some(transition) = self.alarms.end(Rule::BadValue, told_us) {
            self.tell_bad_value(transition, told_us, "what arrives now is outside of what is physical", around, sink);
        }
    }

    /// Whether the journal has it that what arrives is outside of what is physical.
    fn is_range_told(&self) -> bool {
        self.alarms.iter_told().any(|(rule, alarm)| rule == Rule::OutOfPhysicalRange && alarm.active)
    }

    /// The text of a reading that cannot be used, if it is none of the last ones.
    pub(crate) fn remember(&mut self, text: String) {
        let text: String = text.chars().take(RECEIVED_CHARACTERS_MAX + 1).collect();
        if self.texts.iter().any(|known| **known == *text) {
            return;
        }
        if self.texts.len() == TEXTS_MAX {
            self.texts.remove(0);
        }
        self.texts.push(text.into());
    }

    /// Silence is counted from now on.
    pub(crate) fn listen_anew(&mut self, listened_us: i64) {
        self.heard_us = listened_us;
        self.arrived_us = listened_us;
        self.texts.clear();
    }

    fn end_silence<S: Sink>(
        &mut self,
        at_us: i64,
        reason: &'static str,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> bool {
        let told_us = at_us.max(self.alarms.began_us(Rule::Stale));
        let Some(transition) = self.alarms.end(Rule::Stale, told_us) else { return false };
        self.is_hushed = false;
        self.tell_stale(transition, told_us, around, sink, reason);
        true
    }

    fn begin_bad_value<S: Sink>(&mut self, at_us: i64, around: &Surroundings<'_>, sink: &mut S) {
        let Some(spec) = self.rules.spec(Rule::BadValue) else { return };
        if let Some(transition) = self.alarms.step(spec, Condition::Violated, at_us) {
            self.tell_bad_value(transition, at_us, "", around, sink);
        }
    }

    /// Judge silence, and readings that say nothing, against the facility's listening clock.
    pub(crate) fn tick<S: Sink>(
        &mut self,
        watermark_us: i64,
        silence: &Silence,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.tick_untold(around, sink);
        if !self.is_expected() || !self.is_silent(around) || self.is_lively(around) {
            return;
        }
        if self.alarms.get(Rule::Stale).active {
            if self.is_hushed && !silence.alarm.active && self.is_over(silence.ended_us, around) {
                self.is_hushed = false;
                let transition = self.alarms.change(Rule::Stale, |each| each.alarm.tell());
                if transition == Transition::Activated {
                    let reason = "still silent after the others were heard again";
                    self.tell_stale(transition, watermark_us, around, sink, reason);
                }
            }
        } else if self.alarms.get(Rule::BadValue).active || self.is_range_told() {
            // people know that nothing usable comes
        } else if self.texts.is_empty() || self.is_over(self.arrived_us, around) {
            let Some(spec) = self.rules.spec(Rule::Stale) else { return };
            let is_hushed = silence.alarm.active;
            let (transition, reason) = if is_hushed {
                (self.alarms.step_silently(spec, Condition::Violated, watermark_us), "the facility is silent")
            } else {
                (self.alarms.step(spec, Condition::Violated, watermark_us), "")
            };
            if let Some(transition) = transition {
                self.is_hushed = is_hushed;
                self.tell_stale(transition, watermark_us, around, sink, reason);
            }
        } else {
            self.begin_bad_value(watermark_us, around, sink);
        }
    }

    /// Whether nothing usable has come for longer than it may take.
    pub(crate) fn is_silent(&self, around: &Surroundings<'_>) -> bool {
        self.is_over(self.heard_us, around)
    }

    /// Whether more time of listening has passed since then than between two of its readings may.
    fn is_over(&self, since_us: i64, around: &Surroundings<'_>) -> bool {
        around.listened_us.saturating_sub(since_us) as f64 / 1e6 > self.silence_s_max(around.settings)
    }

    /// Whether readings come that may be of now, whatever their stamps say: then its clock is in doubt and will be told.
    fn is_lively(&self, around: &Surroundings<'_>) -> bool {
        self.clock.lively_us().is_some_and(|lively_us| !self.is_over(lively_us, around))
    }

    /// Whether readings are expected of it.
    fn is_expected(&self) -> bool {
        self.status == crate::config::Status::Active
    }

    fn tell_stale<S: Sink>(
        &mut self,
        transition: Transition,
        at_us: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
        reason: &'static str,
    ) {
        self.alarms.tell(Rule::Stale, at_us);
        if !S::WANTED {
            return;
        }
        let silence_s_max = self.silence_s_max(around.settings);
        let (type_name, facility) = (self.of_type().name, around.facility);
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                format!("No reading from {type_name} Sensor in {facility} for more than {silence_s_max:.0} s")
            }
            Transition::Returned => format!("{type_name} Sensor in {facility} is no longer silent"),
        };
        let explanation = serde_json::json!({
            "rule": Rule::Stale.name(),
            "silence_s_max": silence_s_max,
            "expected_interval_s": self.expected_interval_s,
            "last_tracked_at": self.newest.as_ref().map(|newest| instant::text(newest.tracked_at_us)),
            "last_usable_at": self.usable_us.map(instant::text),
            "reason": reason,
        });
        sink.event(Event {
            reason: reason.into(),
            ..self.event(Rule::Stale, transition.name(), at_us, message, &explanation)
        });
    }

    fn tell_bad_value<S: Sink>(
        &mut self,
        transition: Transition,
        at_us: i64,
        reason: &'static str,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.alarms.tell(Rule::BadValue, at_us);
        if !S::WANTED {
            return;
        }
        let (type_name, facility) = (self.of_type().name, around.facility);
        let received: Vec<String> = self.texts.iter().map(|text| quoted(text, RECEIVED_CHARACTERS_MAX)).collect();
        let usable_at = self.usable_us.map(instant::text);
        let hint = self.texts.iter().rev().find_map(|text| hint(text));
        let since = usable_at.as_ref().map_or_else(|| "so far".to_owned(), |at| format!("since {at}"));
        let hinted = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                let received = received.join(", ");
                format!("{type_name} Sensor in {facility}: no usable value {since}, last received {received}{hinted}")
            }
            Transition::Returned if self.is_range_told() => format!("{type_name} Sensor in {facility}: {reason}"),
            Transition::Returned => format!("{type_name} Sensor in {facility} gives usable values again"),
        };
        let quality = self.newest.as_ref().map(|newest| {
            let datum = newest.data.datum();
            quality::of(&datum, self.rules.spelling.meaning(&datum), newest.flags)
        });
        let explanation = serde_json::json!({
            "rule": Rule::BadValue.name(),
            "silence_s_max": self.silence_s_max(around.settings),
            "last_usable_at": usable_at,
            "last_received": received,
            "hint": hint,
            "quality": quality.map(quality::Quality::name),
            "quality_reason": quality.map(quality::Quality::reason),
            "reason": reason,
        });
        sink.event(Event {
            reason: reason.into(),
            ..self.event(Rule::BadValue, transition.name(), at_us, message, &explanation)
        });
    }
}

/// The silence of a facility as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Silence {
    pub alarm: Alarm,
    /// Where the listening clock stood when it ended last.
    pub ended_us: i64,
}

impl Silence {
    /// Before the sensors are judged one by one: is it one message for all of them?
    pub fn tick<S: Sink>(
        &mut self,
        watermark_us: i64,
        sensors: &[Sensor],
        version: i64,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        let expected = || sensors.iter().filter(|sensor| sensor.is_expected());
        let begins = |sensor: &Sensor| {
            let is_told = sensor.alarms.get(Rule::Stale).active;
            sensor.is_over(sensor.arrived_us, around) && !is_told && !sensor.is_lively(around)
        };
        if !self.alarm.active && !expected().any(begins) {
            return;
        }
        // who has been silent for half of its time belongs to it: not all of them spoke last at the same moment
        let is_quiet = |sensor: &&Sensor| {
            let silent_s = around.listened_us.saturating_sub(sensor.arrived_us) as f64 / 1e6;
            2.0 * silent_s > sensor.silence_s_max(around.settings) && !sensor.is_lively(around)
        };
        let (count, silent) = (expected().count(), expected().filter(is_quiet).count());
        let is_silent = count >= SENSORS_MIN && silent * 10 >= count * SILENT_OF_TEN;
        let transition = match (self.alarm.active, is_silent) {
            (false, true) => self.alarm.step(Condition::Violated, watermark_us, Delays::default()),
            (true, false) => {
                self.ended_us = around.listened_us;
                self.alarm.end(watermark_us.max(self.alarm.since_us))
            }
            _ => None,
        };
        if let (Some(transition), true) = (transition, S::WANTED) {
            let heard_us = expected().filter_map(|sensor| Some(sensor.newest.as_ref()?.tracked_at_us)).max();
            sink.event(self.event(transition, (silent, count), heard_us, version, around));
        }
    }

    /// What a person asks of the alarm.
    pub fn obey<S: Sink>(&mut self, command: &Command, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        facility_alarm::obey(&mut self.alarm, PRIORITY, command, version, around, sink);
    }

    /// The timers of the alarm.
    pub fn tick_alarm<S: Sink>(&mut self, watermark_us: i64, version: i64, around: &Surroundings<'_>, sink: &mut S) {
        facility_alarm::tick(&mut self.alarm, (Rule::Silent, PRIORITY), watermark_us, version, around, sink);
    }

    fn event(
        &self,
        transition: Transition,
        (silent, count): (usize, usize),
        heard_us: Option<i64>,
        version: i64,
        around: &Surroundings<'_>,
    ) -> Event {
        let heard_at = heard_us.map(instant::text);
        let message = match transition {
            Transition::Activated | Transition::ActivatedSilently => {
                let since = heard_at.as_ref().map_or_else(|| "so far".to_owned(), |at| format!("since {at}"));
                format!("{}: nothing from {silent} of {count} sensors {since}", around.facility)
            }
            Transition::Returned => {
                format!("{}: {} of {count} sensors are heard again", around.facility, count - silent)
            }
        };
        let explanation = serde_json::json!({
            "rule": Rule::Silent.name(),
            "silent": silent,
            "sensors": count,
            "last_tracked_at": heard_at,
        });
        facility_alarm::event(
            (Rule::Silent, PRIORITY),
            transition.name(),
            self.alarm.since_us,
            version,
            message,
            &explanation,
        )
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        self.alarm.save(out);
        put_signed(out, self.ended_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self { alarm: Alarm::load(reader)?, ended_us: reader.signed()? })
    }
}
