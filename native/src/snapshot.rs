//! A core's state as bytes and back, to the bit: "GIS" version length body crc32.

use crate::alarm::Alarm;
use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::command::Known;
use crate::config::{Settings, Status};
use crate::core::{Core, CORE_VERSION};
use crate::course::Course;
use crate::detection::Detection;
use crate::detector::Scorer;
use crate::facility_score::FacilityScorer;
use crate::groups::Groups;
use crate::newest::Newest;
use crate::rate::Moves;
use crate::recent::Recent;
use crate::rule::Rule;
use crate::rule_set::RuleSets;
use crate::rules;
use crate::sensor::Sensor;
use crate::silence::{Silence, TEXTS_MAX};
use crate::still::Still;
use crate::wanted::Wanted;
use crate::wire::{put_bool, put_bytes, put_f64, put_option_i64, put_signed, put_varint, Reader, Wire, WireError};

/// The oldest version that is read: without `usable_us`, which its newest reading tells.
const OLDEST_VERSION: u32 = 2;

/// The first version that keeps alarms by their rules, with all that people may do to them.
const LIFE_OF_ALARMS: u64 = 4;

/// The first version that keeps since when a value stands still.
const STILL: u64 = 5;

/// The first version that knows several sensors together.
const GROUPS: u64 = 5;

/// The first version that keeps what the journal has of a sensor's alarms beside what its readings say.
const TOLD: u64 = 6;

/// The first version that holds stamps against the pace at which they come.
const PACES: u64 = 6;

const MAGIC: [u8; 3] = *b"GIS";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// Written by a core of another version.
    Version(String),
    Corrupt(String),
}

impl From<WireError> for SnapshotError {
    fn from(error: WireError) -> Self {
        Self::Corrupt(error.0)
    }
}

pub fn save(core: &Core) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_varint(&mut out, u64::from(CORE_VERSION));
    put_bytes(&mut out, core.facility_id.as_bytes());
    put_optional_text(&mut out, core.facility_name.as_deref());
    put_signed(&mut out, core.config_version);
    put_signed(&mut out, core.listened_us);
    put_option_i64(&mut out, core.watermark_us);
    put_varint(&mut out, core.sensors.len() as u64);
    for sensor in &core.sensors {
        save_sensor(sensor, &mut out);
    }
    core.facility_scorer.save(&mut out);
    core.commands.save(&mut out);
    core.silence.save(&mut out);
    core.groups.save(&mut out);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

pub fn load(facility_id: &str, state: &[u8], settings: Settings) -> Result<Core, SnapshotError> {
    let (body, crc) = state.split_last_chunk::<4>().ok_or_else(|| SnapshotError::Corrupt("too short".into()))?;
    let (found, stated) = (crc32fast::hash(body), u32::from_le_bytes(*crc));
    if found != stated {
        return Err(SnapshotError::Corrupt(format!("{} bytes with crc {found:08x}, stated {stated:08x}", state.len())));
    }
    let mut reader = Reader::new(body);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(SnapshotError::Corrupt("this is not a snapshot of a core".into()));
    }
    let version = reader.varint()?;
    if !(u64::from(OLDEST_VERSION)..=u64::from(CORE_VERSION)).contains(&version) {
        let age = if version > u64::from(CORE_VERSION) { "newer" } else { "older" };
        return Err(SnapshotError::Version(format!(
            "written by the {age} core version {version}, this is {CORE_VERSION}"
        )));
    }
    let owner = reader.text()?;
    if owner != facility_id {
        return Err(SnapshotError::Corrupt(format!("of facility {owner:?}, not {facility_id:?}")));
    }
    Ok(load_body(facility_id, version, &mut reader, settings)?)
}

fn load_body(facility_id: &str, version: u64, reader: &mut Reader<'_>, settings: Settings) -> Wire<Core> {
    let mut core = Core::new(facility_id, settings);
    core.facility_name = optional_text(reader)?.map(str::to_owned);
    core.config_version = reader.signed()?;
    core.listened_us = reader.signed()?;
    core.watermark_us = reader.option_i64()?;
    let count = reader.count()?;
    let mut sets = RuleSets::default();
    for _ in 0..count {
        core.admit(load_sensor(version, reader, &mut sets)?);
    }
    let load_alarm = if version < LIFE_OF_ALARMS { Alarm::load_before_4 } else { Alarm::load };
    core.facility_scorer = FacilityScorer::load(reader, core.sensors.len(), load_alarm)?;
    if version >= LIFE_OF_ALARMS {
        core.commands = Known::load(reader)?;
        core.silence = Silence::load(reader)?;
    }
    if version >= GROUPS {
        core.groups = Groups::load(reader, core.places_by_id())?;
    }
    if reader.is_empty() {
        Ok(core)
    } else {
        Err(WireError::new("bytes after the facility"))
    }
}

fn save_sensor(sensor: &Sensor, out: &mut Vec<u8>) {
    put_bytes(out, sensor.id.as_bytes());
    put_signed(out, i64::from(sensor.no));
    put_bytes(out, sensor.of_type().name.as_bytes());
    out.push(match sensor.status {
        Status::Active => 0,
        Status::Inactive => 1,
        Status::Maintenance => 2,
        Status::Fault => 3,
        Status::Retired => 4,
    });
    put_f64(out, sensor.expected_interval_s);
    sensor.detection.save(out);
    put_signed(out, sensor.rule_version);
    put_signed(out, sensor.heard_us);
    put_bool(out, sensor.newest.is_some());
    if let Some(newest) = &sensor.newest {
        newest.save(out);
    }
    put_option_i64(out, sensor.usable_us);
    sensor.rules.wanted.save(out);
    put_bool(out, sensor.moves.is_some());
    if let Some(moves) = &sensor.moves {
        moves.save(out);
    }
    put_bool(out, sensor.still.is_some());
    if let Some(still) = &sensor.still {
        still.save(out);
    }
    sensor.alarms.save(out);
    sensor.alarms.save_told(out);
    put_option_i64(out, sensor.unusual_since_us);
    sensor.scorer.save(out);
    save_trust(sensor, out);
}

/// What a sensor's alarms and stamps are judged by beside its newest reading.
fn save_trust(sensor: &Sensor, out: &mut Vec<u8>) {
    put_signed(out, sensor.arrived_us);
    put_bool(out, sensor.is_hushed);
    put_varint(out, sensor.texts.len() as u64);
    sensor.texts.iter().for_each(|text| put_bytes(out, text.as_bytes()));
    sensor.clock.save(out);
    sensor.recent.save(out);
}

fn load_trust(version: u64, sensor: &mut Sensor, reader: &mut Reader<'_>) -> Wire<()> {
    sensor.arrived_us = reader.signed()?;
    sensor.is_hushed = reader.bool()?;
    let texts = reader.count()?;
    if texts > TEXTS_MAX {
        return Err(WireError::new(format!("{texts} texts, {TEXTS_MAX} are the most")));
    }
    for _ in 0..texts {
        sensor.texts.push(reader.text()?.into());
    }
    sensor.clock = if version < PACES { Clock::load_before_6(reader)? } else { Clock::load(reader)? };
    sensor.recent = Recent::load(reader)?;
    Ok(())
}

/// Versions before `LIFE_OF_ALARMS` knew one clock for silence and for what cannot be used, and no memory of readings.
fn default_trust(sensor: &mut Sensor) {
    if let Some(text) = sensor.unusable().map(|newest| newest.data.datum().text()) {
        sensor.remember(text);
    }
    if let Some(newest) = &sensor.newest {
        sensor.forget_excursions(newest.tracked_at_us);
    }
}

fn load_sensor(version: u64, reader: &mut Reader<'_>, sets: &mut RuleSets) -> Wire<Sensor> {
    let id = reader.text()?.into();
    let no = i32::try_from(reader.signed()?).map_err(|_| WireError::new("a sensor number does not fit"))?;
    let type_index = {
        let name = reader.text()?;
        rules::find(name).ok_or_else(|| WireError::new(format!("unknown sensor type {name:?}")))?
    };
    let status = match reader.u8()? {
        0 => Status::Active,
        1 => Status::Inactive,
        2 => Status::Maintenance,
        3 => Status::Fault,
        4 => Status::Retired,
        other => return Err(WireError::new(format!("a status of kind {other}"))),
    };
    let (expected_interval_s, detection) = (reader.f64()?, Detection::load(reader)?);
    let (rule_version, heard_us) = (reader.signed()?, reader.signed()?);
    let newest = if reader.bool()? { Some(Newest::load(reader)?) } else { None };
    let usable_us = if version > u64::from(OLDEST_VERSION) { reader.option_i64()? } else { None };
    let wanted = if version < LIFE_OF_ALARMS { Wanted::default() } else { Wanted::load(reader)? };
    let moves = if version >= LIFE_OF_ALARMS && reader.bool()? { Some(Box::new(Moves::load(reader)?)) } else { None };
    let still = if version >= STILL && reader.bool()? { Some(Box::new(Still::load(reader)?)) } else { None };
    let (alarms, unusual_since_us) =
        if version < LIFE_OF_ALARMS { four_alarms(reader)? } else { load_alarms(version, reader)? };
    let mut sensor = Sensor {
        id,
        no,
        type_index,
        status,
        expected_interval_s,
        rule_version,
        heard_us,
        newest,
        usable_us,
        rules: sets.get(type_index, &wanted).map_err(WireError::new)?,
        alarms,
        moves,
        still,
        unusual_since_us,
        detection,
        scorer: Scorer::load(reader)?,
        arrived_us: heard_us,
        texts: Vec::new(),
        is_hushed: false,
        clock: Clock::default(),
        recent: Recent::default(),
    };
    if version < LIFE_OF_ALARMS {
        default_trust(&mut sensor);
    } else {
        load_trust(version, &mut sensor, reader)?;
    }
    if version == u64::from(OLDEST_VERSION) {
        let usable = sensor.newest.as_ref().filter(|_| sensor.unusable().is_none());
        sensor.usable_us = usable.map(|newest| newest.tracked_at_us);
    }
    Ok(sensor)
}

fn load_alarms(version: u64, reader: &mut Reader<'_>) -> Wire<(Alarms, Option<i64>)> {
    let mut alarms = Alarms::load(reader)?;
    if version >= TOLD {
        alarms.load_told(reader)?;
    }
    Ok((alarms, reader.option_i64()?))
}

/// The alarms of versions before `LIFE_OF_ALARMS`: one place for each of the four rules that there were.
fn four_alarms(reader: &mut Reader<'_>) -> Wire<(Alarms, Option<i64>)> {
    let mut alarms = Alarms::default();
    for rule in [Rule::Low, Rule::High] {
        alarms.put(rule, Alarm::load_before_4(reader)?, skipped_excursions(reader)?);
    }
    alarms.put(Rule::Anomaly, Alarm::load_before_4(reader)?, Course::default());
    let unusual_since_us = reader.option_i64()?;
    alarms.put(Rule::Stale, Alarm::load_before_4(reader)?, Course::default());
    Ok((alarms, unusual_since_us))
}

/// The excursions that versions before `LIFE_OF_ALARMS` remembered of a limit; its course begins anew.
fn skipped_excursions(reader: &mut Reader<'_>) -> Wire<Course> {
    let _open_since_and_forgotten = (reader.option_i64()?, reader.option_i64()?);
    for _ in 0..2 * reader.count()? {
        reader.signed()?;
    }
    for _ in 0..reader.count()? {
        reader.signed()?;
    }
    Ok(Course::default())
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    put_bool(out, text.is_some());
    if let Some(text) = text {
        put_bytes(out, text.as_bytes());
    }
}

fn optional_text<'a>(reader: &mut Reader<'a>) -> Wire<Option<&'a str>> {
    Ok(if reader.bool()? { Some(reader.text()?) } else { None })
}
