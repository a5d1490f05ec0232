//! Lives of sensors: any numbers at any times, in patterns long enough for every view to have its say.
#![no_main]

use _native::batch::BatchBuilder;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::number::Datum;
use _native::snapshot;
use arbitrary::Arbitrary;
use gasinsight_native_fuzz::{checked, facility, FACILITY, SCORER_BYTES_MAX, SENSORS};
use libfuzzer_sys::fuzz_target;

const READINGS_MAX: usize = 2_500;
const START_US: i64 = 1_767_225_600_000_000;
const END_US: i64 = 7_000_000_000_000_000;

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Bits(u64),
    Near(i16),
    Drifting(i16),
    Alternating(i16),
    Text(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Wait {
    Usual,
    None,
    Ms(i32),
    Days(i16),
}

#[derive(Arbitrary, Debug)]
struct Life<'a> {
    pattern: Vec<(u8, Wait, Value<'a>)>,
    times: u8,
    then: Vec<(u8, Wait, Value<'a>)>,
    cut: u16,
}

fn text(value: &Value<'_>, round: usize) -> String {
    match value {
        Value::Bits(bits) => f64::from_bits(*bits).to_string(),
        Value::Near(tenths) => (f64::from(*tenths) / 10.0 + (round as f64 / 7.0).sin()).to_string(),
        Value::Drifting(slope) => (f64::from(*slope) * round as f64).to_string(),
        Value::Alternating(size) => (f64::from(*size) * [1.0, -1.0][round % 2]).to_string(),
        Value::Text(text) => (*text).to_owned(),
    }
}

fn readings(life: &Life<'_>) -> Vec<(&'static str, i64, String)> {
    let (mut at_us, mut found) = (START_US, Vec::new());
    let rounds = (0..=usize::from(life.times) * 8).map(|round| (round, &life.pattern));
    for (round, part) in rounds.chain([(0, &life.then)]) {
        for (sensor, wait, value) in part {
            let wait_us = match wait {
                Wait::Usual => 15_000_000,
                Wait::None => 0,
                Wait::Ms(ms) => i64::from(*ms) * 1_000,
                Wait::Days(days) => i64::from(*days) * 86_400_000_000,
            };
            at_us = (at_us + wait_us).clamp(0, END_US);
            found.push((SENSORS[usize::from(*sensor) % SENSORS.len()], at_us, text(value, round)));
            if found.len() == READINGS_MAX {
                return found;
            }
        }
    }
    found
}

fn apply(core: &mut Core, rows: &[(&'static str, i64, String)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(FACILITY, START_US);
    for (sensor, at_us, text) in rows {
        builder.push(sensor, *at_us, Datum::of(text));
    }
    core.apply(EntryKind::Batch, &builder.encode()).expect("a batch of ours").copy_rows
}

fuzz_target!(|life: Life<'_>| {
    let rows = readings(&life);
    let (mut at_once, mut resumed) = (facility(), facility());
    let whole = apply(&mut at_once, &rows);
    let (before, after) = rows.split_at(usize::from(life.cut) % (rows.len() + 1));
    let mut parts = apply(&mut resumed, before);
    resumed = checked(&resumed);
    for row in after {
        parts.extend(apply(&mut resumed, std::slice::from_ref(row)));
    }
    assert!(parts == whole, "other rows one by one after a snapshot than at once");
    assert_eq!(snapshot::save(&checked(&at_once)), snapshot::save(&resumed));
    for sensor in &at_once.sensors {
        let bytes = sensor.scorer.bytes();
        assert!(bytes <= SCORER_BYTES_MAX, "{}: {bytes} bytes", sensor.id);
    }
});
