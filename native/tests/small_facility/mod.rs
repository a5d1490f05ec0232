//! A small facility to test with: two or three sensors, batches from tuples, and seeded cases.
#![allow(dead_code)] // each test binary uses its part

use _native::batch::BatchBuilder;
use _native::config::Settings;
use _native::core::Core;
use _native::effects::Effects;
use _native::entry::EntryKind;
use _native::number::Datum;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

pub const FACILITY: &str = "plant";
/// 2026-01-01T00:00:00Z
pub const START_US: i64 = 1_767_225_600_000_000;
pub const S: i64 = 1_000_000;

/// The same cases in every run; PROPTEST_RNG_SEED and PROPTEST_CASES in the environment go further.
pub fn cases(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(20_261_122),
        fixed => fixed,
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases };
    ProptestConfig { rng_seed, cases, failure_persistence: None, ..given }
}

pub fn sensor(id: &str, no: i32, kind: &str, status: &str) -> serde_json::Value {
    serde_json::json!({"op": "upsert", "sensor_id": id, "sensor_no": no, "type": kind, "expected_interval_s": 15, "status": status})
}

pub fn config(version: i64, sensors: &[serde_json::Value]) -> Vec<u8> {
    serde_json::json!({"version": version, "facility_name": "Alpha", "sensors": sensors}).to_string().into_bytes()
}

pub fn tick(seconds: i64) -> Vec<u8> {
    format!("{{\"watermark_us\": {}}}", START_US + seconds * S).into_bytes()
}

/// `t` a temperature (20 to 25, off-delay 60 s) numbered 1, `g` a gas detector (10 to 20) numbered 2.
pub fn core() -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    let sensors = [sensor("t", 1, "Temperature", "Active"), sensor("g", 2, "GasDetection", "Active")];
    core.apply(EntryKind::Config, &config(1, &sensors)).unwrap();
    core
}

/// Rows of (sensor, seconds after the start, text), received at the given second.
pub fn batch<T: AsRef<str>>(rows: &[(&str, i64, T)], received_s: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(FACILITY, START_US + received_s * S);
    for (sensor, seconds, text) in rows {
        builder.push(sensor, START_US + seconds * S, Datum::of(text.as_ref()));
    }
    builder.encode()
}

pub fn apply(core: &mut Core, rows: &[(&str, i64, &str)]) -> Effects {
    let received_s = rows.iter().map(|row| row.1).max().unwrap_or(0);
    core.apply(EntryKind::Batch, &batch(rows, received_s)).unwrap()
}

/// (rule, transition, seconds after the start) of each event.
pub fn told(effects: &Effects) -> Vec<(&'static str, &'static str, i64)> {
    let tell =
        |event: &_native::journal::Event| (event.rule.name(), event.transition, (event.event_time_us - START_US) / S);
    effects.events.iter().map(tell).collect()
}

/// The six columns of a binary COPY tuple.
#[derive(Debug, PartialEq)]
pub struct Tuple {
    pub sensor_no: i32,
    pub tracked_at_us: i64,
    pub value: Option<f64>,
    pub text: Option<String>,
    pub score: Option<f32>,
    pub flags: u16,
}

pub fn tuples(mut bytes: &[u8]) -> Vec<Tuple> {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (head, rest) = bytes.split_at(length);
        *bytes = rest;
        head
    }
    fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let length = i32::from_be_bytes(take(bytes, 4).try_into().unwrap());
        (length >= 0).then(|| take(bytes, length as usize))
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(take(&mut bytes, 2), 6i16.to_be_bytes());
        found.push(Tuple {
            sensor_no: i32::from_be_bytes(field(&mut bytes).unwrap().try_into().unwrap()),
            tracked_at_us: i64::from_be_bytes(field(&mut bytes).unwrap().try_into().unwrap()) + 946_684_800 * S,
            value: field(&mut bytes).map(|raw| f64::from_be_bytes(raw.try_into().unwrap())),
            text: field(&mut bytes).map(|raw| String::from_utf8(raw.to_vec()).unwrap()),
            score: field(&mut bytes).map(|raw| f32::from_be_bytes(raw.try_into().unwrap())),
            flags: u16::from_be_bytes(field(&mut bytes).unwrap().try_into().unwrap()),
        });
    }
    found
}
