//! What a sensor has to say where several are judged together, and whether it can say anything at all.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::config::Status;
use crate::flag;
use crate::limits::VALUE_MAX;
use crate::newest::Newest;
use crate::number::{Datum, Meaning};
use crate::quality;
use crate::rule::Rule;
use crate::sensor::{Sensor, Surroundings};

pub type Places = HashMap<Box<str>, u32, RandomState>;

/// The sensors of a facility, to look up by id.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub sensors: &'a [Sensor],
    pub places: &'a Places,
    pub around: &'a Surroundings<'a>,
}

impl<'a> Field<'a> {
    pub fn sensor(&self, id: &str) -> Option<&'a Sensor> {
        self.sensors.get(*self.places.get(id)? as usize)
    }
}

/// Why nothing can be made of what a sensor says now; none: it can be relied upon.
pub fn absence(sensor: Option<&Sensor>, around: &Surroundings<'_>) -> Option<&'static str> {
    let Some(sensor) = sensor else { return Some("no such sensor") };
    let status = match sensor.status {
        Status::Active => None,
        Status::Inactive => Some("inactive"),
        Status::Maintenance => Some("maintenance"),
        Status::Fault => Some("fault"),
        Status::Retired => Some("retired"),
    };
    let Some(newest) = &sensor.newest else { return status.or(Some("no reading yet")) };
    match status {
        Some(status) => Some(status),
        None if sensor.alarms.stands(Rule::BadValue) => Some("bad value"),
        None if sensor.alarms.stands(Rule::Stale) || sensor.is_silent(around) => Some("silent"),
        None if newest.flags & flag::OUT_OF_PHYSICAL_RANGE != 0 => Some("out of physical range"),
        // at once: a person hears of it when it lasts, but nobody may take it for a "no" until then
        None if sensor.unusable().is_some() || says_nothing(sensor, newest) => Some("bad value"),
        None => None,
    }
}

/// Whether a sensor whose readings are words has one that is none of an apparatus.
fn says_nothing(sensor: &Sensor, newest: &Newest) -> bool {
    let datum = newest.data.datum();
    sensor.of_type().has_words
        && match datum.meaning() {
            Meaning::Number(_) => false,
            Meaning::NonFinite => true,
            Meaning::Words => quality::is_of_no_apparatus(&datum.text()),
        }
}

/// The newest reading as a number; none: it is no measurement.
pub fn number(sensor: &Sensor) -> Option<f64> {
    let newest = sensor.newest.as_ref()?;
    sensor.number(&newest.data.datum()).filter(|value| value.abs() <= VALUE_MAX)
}

/// The newest reading as it came; none: it is not one that a sensor of its type can give.
pub fn word(sensor: &Sensor) -> Option<Cow<'_, str>> {
    let newest = sensor.newest.as_ref().filter(|_| sensor.unusable().is_none())?;
    Some(match newest.data.datum() {
        Datum::Text(text) => text.trim().into(),
        number => number.text().into(),
    })
}

pub fn is_same_word(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    one.eq_ignore_ascii_case(other) || !one.is_ascii() && one.to_lowercase() == other.to_lowercase()
}

/// What of a sensor moves what several say together, in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    standing: u32,
    kept_back: u32,
    absence: Option<&'static str>,
}

impl Print {
    pub fn of(sensor: &Sensor, around: &Surroundings<'_>) -> Self {
        let (mut standing, mut kept_back) = (0, 0);
        for (rule, alarm) in sensor.alarms.iter() {
            standing |= u32::from(sensor.alarms.stands(rule)) << (rule as u32);
            kept_back |= u32::from(alarm.suppression.is_some()) << (rule as u32);
        }
        Self { standing, kept_back, absence: absence(Some(sensor), around) }
    }
}
