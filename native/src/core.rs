//! A facility: its sensors side by side, its listening clock, and the four things that may change them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::alarm::Alarm;
use crate::batch::{Batch, SensorName};
use crate::command::{Command, Known};
use crate::config::{self, Config, PayloadError, Settings, Status, Tick};
use crate::detector::Scorer;
use crate::effects::Effects;
use crate::entry::EntryKind;
use crate::facility_score::{self, FacilityScorer};
use crate::groups::{Definitions, Groups, Places, Plant};
use crate::journal::{alarm_key, ToldAlarm};
use crate::rule::{Owner, Rule};
use crate::sensor::{Sensor, Surroundings};
use crate::silence::Silence;
use crate::sink::{Nobody, Sink};

/// Version of the state's meaning. A snapshot of a version that `snapshot.rs` does not read is rebuilt from stored
/// readings; to convert an older one instead, read it there and keep its golden file in tests/native/data.
pub const CORE_VERSION: u32 = 6;

/// Serial by nature: whoever owns it calls one step after the other.
#[derive(Debug, Clone)]
pub struct Core {
    pub facility_id: String,
    pub settings: Settings,
    pub facility_name: Option<String>,
    pub config_version: i64,
    /// Time during which we were there to hear readings.
    pub listened_us: i64,
    pub watermark_us: Option<i64>,
    /// In the order in which they became known.
    pub sensors: Vec<Sensor>,
    pub facility_scorer: FacilityScorer,
    pub commands: Known,
    pub silence: Silence,
    pub groups: Groups,
    index_by_id: Places,
    index_by_no: HashMap<i32, u32, RandomState>,
}

impl Core {
    pub fn new(facility_id: &str, settings: Settings) -> Self {
        Self {
            facility_id: facility_id.to_owned(),
            settings,
            facility_name: None,
            config_version: 0,
            listened_us: 0,
            watermark_us: None,
            sensors: Vec::new(),
            facility_scorer: FacilityScorer::default(),
            commands: Known::default(),
            silence: Silence::default(),
            groups: Groups::default(),
            index_by_id: HashMap::default(),
            index_by_no: HashMap::default(),
        }
    }

    /// Change the state by one entry and tell what is to be done. On an error nothing has changed.
    pub fn apply(&mut self, kind: EntryKind, payload: &[u8]) -> Result<Effects, PayloadError> {
        let mut effects = Effects::default();
        self.step(kind, payload, &mut effects)?;
        effects.finish();
        Ok(effects)
    }

    /// The same change of state, told to nobody.
    pub fn replay(&mut self, kind: EntryKind, payload: &[u8]) -> Result<(), PayloadError> {
        self.step(kind, payload, &mut Nobody)
    }

    fn step<S: Sink>(&mut self, kind: EntryKind, payload: &[u8], sink: &mut S) -> Result<(), PayloadError> {
        match kind {
            EntryKind::Batch => self.batch(payload, sink),
            EntryKind::Config => self.configure(&Config::read(payload)?, sink),
            EntryKind::Tick => {
                self.tick(Tick::read(payload)?, sink);
                Ok(())
            }
            EntryKind::Command => self.command(&Command::read(payload)?, sink),
        }
    }

    fn batch<S: Sink>(&mut self, payload: &[u8], sink: &mut S) -> Result<(), PayloadError> {
        let batch = Batch::read(payload).map_err(|error| PayloadError(format!("batch: {error}")))?;
        if batch.facility_id != self.facility_id {
            return Err(PayloadError(format!(
                "batch: of facility {:?}, this is {:?}",
                batch.facility_id, self.facility_id
            )));
        }
        for row in &batch.rows {
            config::check_time("batch: tracked_at_us", row.tracked_at_us)?;
        }
        let places = self.places(&batch)?;
        let around = Surroundings {
            facility: self.facility_name.as_deref().unwrap_or(&self.facility_id),
            settings: &self.settings,
            received_at_us: batch.received_at_us,
            listened_us: self.listened_us,
        };
        let number =
            |place: &Option<u32>| place.and_then(|place| self.sensors.get(place as usize)).map(|sensor| sensor.no);
        sink.sensors(|| places.iter().map(number).collect());
        let has_groups = !self.groups.is_empty();
        for row in &batch.rows {
            let place = places.get(row.sensor as usize).copied().flatten();
            if place.is_some() && self.facility_scorer.is_due(row.tracked_at_us) {
                self.facility_scorer.turn(row.tracked_at_us, &self.sensors, self.config_version, &around, sink);
            }
            match place.and_then(|place| self.sensors.get_mut(place as usize)) {
                Some(sensor) => {
                    sensor.reading(row.tracked_at_us, row.datum, &around, sink);
                    if let Some(place) = place.filter(|_| has_groups) {
                        let plant = &mut Plant {
                            sensors: &mut self.sensors,
                            places: &self.index_by_id,
                            around: &around,
                            version: self.config_version,
                        };
                        self.groups.after_reading(place, plant, sink);
                    }
                }
                None => sink.unknown(batch.sensor_id(row.sensor), row.tracked_at_us, row.datum),
            }
        }
        Ok(())
    }

    /// Where each sensor of the batch stands here; none: it is not known.
    fn places(&self, batch: &Batch<'_>) -> Result<Vec<Option<u32>>, PayloadError> {
        let place = |index| match batch.sensor_name(index) {
            SensorName::Id(id) => Ok(self.index_by_id.get(id).copied()),
            SensorName::Number(no) => match self.index_by_no.get(&no) {
                Some(place) => Ok(Some(*place)),
                None => Err(PayloadError(format!("batch: no sensor has the number {no}"))),
            },
        };
        (0..batch.sensor_count() as u32).map(place).collect()
    }

    /// A sensor's id and number belong together for good: the commit log relies on it.
    fn check_numbers(&self, config: &Config) -> Result<(), PayloadError> {
        let mut no_by_id: HashMap<&str, i32> = HashMap::new();
        let mut id_by_no: HashMap<i32, &str> = HashMap::new();
        for upsert in &config.sensors {
            let (id, no) = (upsert.sensor_id.as_str(), upsert.sensor_no);
            let known_no = self.sensor(self.index_by_id.get(id)).map(|sensor| sensor.no);
            let known_id = self.sensor(self.index_by_no.get(&no)).map(|sensor| sensor.id.as_ref());
            let no_before = known_no.or(no_by_id.insert(id, no)).unwrap_or(no);
            let id_before = known_id.or(id_by_no.insert(no, id)).unwrap_or(id);
            if no_before != no {
                return Err(PayloadError(format!("config: sensor {id:?} has number {no_before}, not {no}")));
            }
            if id_before != id {
                return Err(PayloadError(format!("config: number {no} is of sensor {id_before:?}, not {id:?}")));
            }
        }
        Ok(())
    }

    /// Where each sensor stands, by id.
    pub fn places_by_id(&self) -> &Places {
        &self.index_by_id
    }

    fn sensor(&self, place: Option<&u32>) -> Option<&Sensor> {
        self.sensors.get(*place? as usize)
    }

    /// Append a sensor that is new here.
    pub fn admit(&mut self, sensor: Sensor) {
        let place = self.sensors.len() as u32;
        if sensor.status != Status::Retired {
            self.index_by_id.insert(sensor.id.clone(), place);
            self.index_by_no.insert(sensor.no, place);
        }
        self.sensors.push(sensor);
        self.facility_scorer.add_sensor();
    }

    /// Forget a sensor. Its place stays, because the facility's score goes by places.
    fn let_go(&mut self, place: usize) {
        if let Some(sensor) = self.sensors.get_mut(place) {
            self.index_by_id.remove(&sensor.id);
            self.index_by_no.remove(&sensor.no);
            sensor.vacate();
        }
    }

    /// Where the sensors stand that a complete configuration does not name.
    fn unnamed(&self, config: &Config) -> Vec<usize> {
        if !config.complete {
            return Vec::new();
        }
        let named: HashSet<&str> = config.sensors.iter().map(|upsert| upsert.sensor_id.as_str()).collect();
        let is_left =
            |(_, sensor): &(usize, &Sensor)| sensor.status != Status::Retired && !named.contains(sensor.id.as_ref());
        self.sensors.iter().enumerate().filter(is_left).map(|(place, _)| place).collect()
    }

    fn configure<S: Sink>(&mut self, config: &Config, sink: &mut S) -> Result<(), PayloadError> {
        self.check_numbers(config)?;
        let defined = config.groups.as_deref().map(|text| Definitions::read(text).map(|read| (text, read)));
        let defined = defined.transpose().map_err(|error| PayloadError(format!("config: {error}")))?;
        self.config_version = config.version;
        if config.facility_name.is_some() {
            self.facility_name.clone_from(&config.facility_name);
        }
        for upsert in &config.sensors {
            let around = Surroundings {
                facility: self.facility_name.as_deref().unwrap_or(&self.facility_id),
                settings: &self.settings,
                received_at_us: 0,
                listened_us: self.listened_us,
            };
            let place = self.index_by_id.get(upsert.sensor_id.as_str()).map(|place| *place as usize);
            let is_retired = upsert.status == Status::Retired;
            match place.and_then(|place| self.sensors.get_mut(place)) {
                Some(sensor) => sensor.configure(upsert, config.version, config.at_us, &around, sink),
                None if is_retired => {}
                None => self.admit(Sensor::new(upsert, config.version, self.listened_us)),
            }
            if let (Some(place), true) = (place, is_retired) {
                self.let_go(place);
            }
        }
        for place in self.unnamed(config) {
            self.let_go(place);
        }
        let around = Surroundings {
            facility: self.facility_name.as_deref().unwrap_or(&self.facility_id),
            settings: &self.settings,
            received_at_us: 0,
            listened_us: self.listened_us,
        };
        self.facility_scorer.configured(config.at_us, &self.sensors, config.version, &around, sink);
        let newest_us = || self.sensors.iter().filter_map(|sensor| Some(sensor.newest.as_ref()?.tracked_at_us)).max();
        let at_us = config.at_us.or_else(newest_us).unwrap_or(0);
        let plant = &mut Plant {
            sensors: &mut self.sensors,
            places: &self.index_by_id,
            around: &around,
            version: config.version,
        };
        if let Some((text, definitions)) = &defined {
            self.groups.define(text, definitions, at_us, plant, sink);
        }
        self.groups.watch(&self.index_by_id);
        self.groups.judge_all(at_us, plant, sink);
        Ok(())
    }

    /// What a person asks of an alarm; the same command again is done already.
    fn command<S: Sink>(&mut self, command: &Command, sink: &mut S) -> Result<(), PayloadError> {
        if self.commands.has(&command.id) {
            return Ok(());
        }
        if S::WANTED {
            command.check(&self.settings)?;
        }
        let around = Surroundings {
            facility: self.facility_name.as_deref().unwrap_or(&self.facility_id),
            settings: &self.settings,
            received_at_us: 0,
            listened_us: self.listened_us,
        };
        match command.sensor_no {
            None if command.rule == Rule::Silent => self.silence.obey(command, self.config_version, &around, sink),
            None => self.facility_scorer.obey(command, self.config_version, &around, sink),
            Some(_) if command.rule.kind().owner == Owner::Group => {
                let group = self.groups.find(command).ok_or_else(|| command.no_such_alarm())?;
                group.obey(command, self.config_version, &around, sink);
            }
            Some(sensor_no) => {
                let place = self.index_by_no.get(&sensor_no).copied();
                let found = place.and_then(|place| Some((place, self.sensors.get_mut(place as usize)?)));
                let Some((place, sensor)) = found.filter(|(_, sensor)| sensor.has_alarm(command.rule)) else {
                    return Err(command.no_such_alarm());
                };
                sensor.obey(command, &around, sink);
                let plant = &mut Plant {
                    sensors: &mut self.sensors,
                    places: &self.index_by_id,
                    around: &around,
                    version: self.config_version,
                };
                self.groups.after_command(place, command.at_us, plant, sink);
            }
        }
        self.commands.add(&command.id);
        Ok(())
    }

    /// Gaps longer than a tick's usual distance are our own absence and count as one usual distance at most.
    fn tick<S: Sink>(&mut self, tick: Tick, sink: &mut S) {
        let heard_us = self.watermark_us.map_or(0, |last_us| tick.watermark_us.saturating_sub(last_us));
        let heard_us = heard_us.clamp(0, config::us_of(self.settings.tick_gap_s_max));
        self.listened_us = self.listened_us.saturating_add(heard_us);
        let now_us = self.watermark_us.map_or(tick.watermark_us, |last_us| last_us.max(tick.watermark_us));
        self.watermark_us = Some(now_us);
        let around = Surroundings {
            facility: self.facility_name.as_deref().unwrap_or(&self.facility_id),
            settings: &self.settings,
            received_at_us: 0,
            listened_us: self.listened_us,
        };
        self.silence.tick_alarm(now_us, self.config_version, &around, sink);
        self.silence.tick(tick.watermark_us, &self.sensors, self.config_version, &around, sink);
        for sensor in &mut self.sensors {
            sensor.tick_alarms(now_us, &around, sink);
            sensor.tick(tick.watermark_us, &self.silence, &around, sink);
        }
        self.facility_scorer.tick(now_us, self.config_version, &around, sink);
        let plant = &mut Plant {
            sensors: &mut self.sensors,
            places: &self.index_by_id,
            around: &around,
            version: self.config_version,
        };
        self.groups.tick(now_us, plant, sink);
    }

    /// After a rebuild from stored readings: alarms as the journal left them, and silence counted from now on.
    ///
    /// Readings told the detectors and the delays; whether an alarm was announced only the journal knows. An alarm that
    /// `told` does not name never was. Answers with the keys of those that no sensor and rule here can have.
    pub fn recall(&mut self, told: &[ToldAlarm]) -> Vec<String> {
        let by_key = told.iter().map(|alarm| ((alarm.sensor_no, alarm.rule.as_str()), alarm));
        let mut left: BTreeMap<_, _> = by_key.collect();
        for sensor in &mut self.sensors {
            sensor.listen_anew(self.listened_us);
            let mut is_otherwise = false;
            for rule in Rule::of_sensors() {
                is_otherwise |= sensor.recall(rule, left.remove(&(Some(sensor.no), rule.name())));
            }
            if let Some(newest) = sensor.newest.as_ref().filter(|_| is_otherwise) {
                sensor.forget_excursions(newest.tracked_at_us);
            }
        }
        self.groups.recall(&mut left);
        self.facility_scorer.recall(left.remove(&(None, facility_score::RULE.name())));
        let silent = left.remove(&(None, Rule::Silent.name()));
        self.silence.alarm = Alarm::NORMAL;
        if let Some(told) = silent {
            self.silence.alarm.recall(told.active, told.acknowledged, told.since_us);
        }
        left.keys().map(|(sensor_no, rule)| alarm_key(*sensor_no, rule)).collect()
    }

    /// Memory of the state, about.
    pub fn state_bytes(&self) -> usize {
        let sensors: usize = self
            .sensors
            .iter()
            .map(|sensor| {
                let rules = sensor.rules.bytes() / Arc::strong_count(&sensor.rules);
                let moves = sensor.moves.as_ref().map_or(0, |moves| moves.bytes());
                let still = sensor.still.as_ref().map_or(0, |still| std::mem::size_of_val(&**still));
                let readings = sensor.recent.heap_bytes() + sensor.clock.heap_bytes() + moves + still;
                let alarms = sensor.alarms.heap_bytes() + rules + readings;
                let views = sensor.scorer.bytes() - std::mem::size_of::<Scorer>();
                std::mem::size_of::<Sensor>() + 2 * sensor.id.len() + 40 + alarms + views
            })
            .sum();
        std::mem::size_of::<Self>()
            + sensors
            + self.facility_scorer.heap_bytes()
            + self.commands.heap_bytes()
            + self.groups.heap_bytes()
    }
}
