//! Suppression by design: while something is so, some alarms mean nothing. What is not known suppresses nothing.

use serde_json::json;

use crate::alarm::{Elapsed, Suppression, Suppressor};
use crate::groups::definition::RestDefinition;
use crate::groups::expression::Truth;
use crate::groups::inputs::{Field, Places};
use crate::journal::{Event, ACTIVATED};
use crate::moved;
use crate::rule::Rule;
use crate::sensor::{Sensor, Surroundings};
use crate::sink::Sink;
use crate::wire::{put_bool, put_signed, Reader, Wire};

#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    pub definition: RestDefinition,
    /// Which of its alarms it has suppressed, in their order.
    held: Vec<bool>,
    /// The journal may have suppressions of before that this does not know of.
    is_recalled: bool,
    last_us: i64,
}

impl Rest {
    pub fn new(definition: RestDefinition) -> Self {
        let held = vec![false; definition.alarms.len()];
        Self { definition, held, is_recalled: false, last_us: 0 }
    }

    /// Judge it anew; where the sensors stand whose alarms it suppressed or gave back.
    pub fn judge<S: Sink>(
        &mut self,
        at_us: i64,
        sensors: &mut [Sensor],
        places: &Places,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> Vec<u32> {
        let is_so = self.definition.is_so.truth(&Field { sensors, places, around });
        let said = match is_so {
            Truth::True => "is so",
            Truth::False => "is no longer so",
            Truth::Unknown => "can no longer be known",
        };
        self.hold(is_so == Truth::True, said, at_us, sensors, places, around, sink)
    }

    /// It is no more: its alarms are people's again.
    pub fn retire<S: Sink>(
        &mut self,
        at_us: i64,
        sensors: &mut [Sensor],
        places: &Places,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) {
        self.hold(false, "was changed or removed", at_us, sensors, places, around, sink);
    }

    #[allow(clippy::too_many_arguments)]
    fn hold<S: Sink>(
        &mut self,
        is_so: bool,
        said: &str,
        at_us: i64,
        sensors: &mut [Sensor],
        places: &Places,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> Vec<u32> {
        let mut touched = Vec::new();
        if !self.is_recalled && self.held.iter().all(|held| *held == is_so) {
            return touched; // as nearly always
        }
        let at_us = at_us.max(self.last_us + 1);
        let reason = format!("by design: {} {said}", self.definition.name);
        for ((id, rule), held) in self.definition.alarms.iter().zip(&mut self.held) {
            let place = places.get(id.as_str()).copied();
            let found = place.and_then(|place| Some((place, sensors.get_mut(place as usize)?)));
            let Some((place, sensor)) = found else {
                *held = false;
                continue;
            };
            let is_moved = match (is_so, *held) {
                (true, false) => sensor.rest(*rule, at_us, &reason, around, sink),
                (false, true) => sensor.unrest(*rule, at_us, &reason, around, sink),
                (false, false) if self.is_recalled => sensor.tell_unrested(*rule, at_us, &reason, around, sink),
                _ => continue,
            };
            *held = is_so && (*held || is_moved);
            if is_moved {
                self.last_us = at_us;
                touched.push(place);
            }
        }
        self.is_recalled = false;
        touched
    }

    /// After a rebuild from the journal, which does not say who suppressed an alarm.
    pub fn recall(&mut self) {
        self.held.iter_mut().for_each(|held| *held = false);
        self.is_recalled = true;
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        self.held.iter().for_each(|held| put_bool(out, *held));
        put_bool(out, self.is_recalled);
        put_signed(out, self.last_us);
    }

    pub fn load(definition: RestDefinition, reader: &mut Reader<'_>) -> Wire<Self> {
        let held = definition.alarms.iter().map(|_| reader.bool()).collect::<Wire<_>>()?;
        Ok(Self { definition, held, is_recalled: reader.bool()?, last_us: reader.signed()? })
    }
}

impl Sensor {
    /// Suppress an alarm by design, unless it is already or is out of service.
    fn rest<S: Sink>(&mut self, rule: Rule, at_us: i64, reason: &str, around: &Surroundings<'_>, sink: &mut S) -> bool {
        let by = Suppressor::Design;
        if self.alarms.get(rule).suppression.is_some_and(|present| present.by >= by) {
            return false;
        }
        self.alarms.change(rule, |each| each.alarm.suppress(Suppression { by, until_us: None }));
        if S::WANTED {
            let message = format!("{}, {}: suppressed {reason}", self.named(around), rule.name());
            let fields = json!({"rule": rule.name(), "suppression": by.name(), "reason": reason});
            let event = self.event(rule, "suppressed", at_us, message, &fields);
            sink.event(Event { reason: reason.to_owned().into(), ..event });
        }
        true
    }

    /// Give it back, if it is still suppressed by design.
    fn unrest<S: Sink>(
        &mut self,
        rule: Rule,
        at_us: i64,
        reason: &str,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> bool {
        let is_released = self.alarms.change(rule, |each| each.alarm.release(Suppressor::Design, at_us));
        if is_released {
            self.given_back(rule);
            self.tell_released(rule, at_us, reason, around, sink);
        }
        is_released
    }

    /// The journal may have it suppressed still; here it is not.
    fn tell_unrested<S: Sink>(
        &mut self,
        rule: Rule,
        at_us: i64,
        reason: &str,
        around: &Surroundings<'_>,
        sink: &mut S,
    ) -> bool {
        if self.alarms.get(rule).suppression.is_none() {
            self.tell_released(rule, at_us, reason, around, sink);
        }
        false
    }

    fn tell_released<S: Sink>(&self, rule: Rule, at_us: i64, reason: &str, around: &Surroundings<'_>, sink: &mut S) {
        if !S::WANTED {
            return;
        }
        let (elapsed, alarm) = (Elapsed::Released(Suppressor::Design), self.alarms.get(rule));
        for moved in moved::by_time(rule, elapsed, alarm, at_us, &self.named(around), &self.threshold(rule)) {
            let event = self.moved_event(rule, moved);
            let is_own = event.transition != ACTIVATED;
            sink.event(if is_own { Event { reason: reason.to_owned().into(), ..event } } else { event });
        }
    }
}
