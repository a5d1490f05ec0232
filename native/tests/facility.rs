//! The facility's own score: what its sensors do together, whatever each does alone.

mod chance;
mod small_facility;

use std::collections::BTreeSet;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::facility_score::FacilityScore;
use _native::journal::Event;
use _native::journal::ToldAlarm;
use _native::snapshot;
use chance::Chance;
use proptest::prelude::*;
use small_facility::{apply, cases, config, sensor, FACILITY, S, START_US};

const INTERVAL_S: i64 = 15;

fn name(index: usize) -> String {
    format!("s{index}")
}

/// Sensors of a type without limits.
fn facility(sensors: usize) -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    core.apply(EntryKind::Config, &statuses(sensors, |_| "Active")).unwrap();
    core
}

fn statuses(sensors: usize, status: impl Fn(usize) -> &'static str) -> Vec<u8> {
    let sensors: Vec<_> =
        (0..sensors).map(|index| sensor(&name(index), index as i32 + 1, "CompressorStatus", status(index))).collect();
    config(1, &sensors)
}

/// One process drives every sensor, each with its own gain, delay within the round, and a little noise.
struct Process {
    chance: Chance,
    drive: f64,
}

impl Process {
    fn new(seed: u64) -> Self {
        Self { chance: Chance(seed), drive: 0.0 }
    }

    fn round(&mut self, sensors: usize) -> Vec<f64> {
        self.drive = 0.9 * self.drive + 0.44 * self.chance.normal();
        (0..sensors).map(|index| 100.0 + (1.0 + (index % 5) as f64) * self.drive + 0.2 * self.chance.normal()).collect()
    }
}

/// Feed rounds `from..to`; `bend` may change a round. Returns the facility's own events.
fn feed(
    core: &mut Core,
    process: &mut Process,
    sensors: usize,
    rounds: std::ops::Range<i64>,
    mut bend: impl FnMut(i64, &mut [f64]),
) -> Vec<Event> {
    let mut told = Vec::new();
    for round in rounds {
        let mut values = process.round(sensors);
        bend(round, &mut values);
        let names: Vec<String> = (0..values.len()).map(name).collect();
        let texts: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
        let rows: Vec<(&str, i64, &str)> = names
            .iter()
            .zip(&texts)
            .enumerate()
            .filter(|(_, (_, text))| *text != "NaN")
            .map(|(index, (name, text))| (name.as_str(), round * INTERVAL_S + index as i64 % 3, text.as_str()))
            .collect();
        told.extend(apply(core, &rows).events.into_iter().filter(|event| event.sensor_no.is_none()));
    }
    told
}

fn as_it_is(_: i64, _: &mut [f64]) {}

/// The second sensor stays within what it always did, but goes against the others.
fn against(_: i64, values: &mut [f64]) {
    values[1] = 200.0 - values[1];
}

fn warm(sensors: usize, seed: u64) -> (Core, Process) {
    let (mut core, mut process) = (facility(sensors), Process::new(seed));
    feed(&mut core, &mut process, sensors, 0..2_000, as_it_is);
    (core, process)
}

#[test]
fn a_sensor_that_goes_against_the_others_is_named() {
    let (mut core, mut process) = warm(5, 1);
    let told = feed(&mut core, &mut process, 5, 2_000..2_100, against);
    let first = &told[0];
    assert_eq!((first.transition, first.rule.name()), ("activated", "facility_anomaly"));
    assert_eq!((first.alarm_key().as_str(), first.sensor_id.as_str()), ("facility:facility_anomaly", ""));
    assert_eq!((first.priority.name(), first.rule.alert_type()), ("low", "Anomaly"));
    assert!(first.message.contains("CompressorStatus s1 ("), "{}", first.message);
    assert!(first.message.contains("in Alpha"), "{}", first.message);
    let explanation: serde_json::Value = serde_json::from_str(&first.explanation_json).unwrap();
    assert_eq!(explanation["contributors"][0]["sensor_id"], "s1");
    assert!(explanation["score"].as_f64() >= explanation["threshold"].as_f64());
    assert!(explanation["statistics"]["t2_now"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_sensor_whose_detection_is_off_is_not_held_against_the_others() {
    let (mut core, mut process) = warm(5, 1);
    let mut off: serde_json::Value = serde_json::from_slice(&statuses(5, |_| "Active")).unwrap();
    off["sensors"][1]["detection"] = serde_json::json!({"is_on": false});
    core.apply(EntryKind::Config, off.to_string().as_bytes()).unwrap();
    assert!(feed(&mut core, &mut process, 5, 2_000..2_100, against).is_empty());
}

#[test]
fn an_ordinary_facility_stays_quiet_and_an_anomaly_that_is_over_returns() {
    let mut activated = 0;
    for seed in 10..14 {
        let (mut core, mut process) = warm(6, seed);
        let told = feed(&mut core, &mut process, 6, 2_000..12_000, as_it_is);
        activated += told.iter().filter(|event| event.transition == "activated").count();
    }
    assert!(activated <= 1, "{activated} alarms in seven quiet days");
    let (mut core, mut process) = warm(5, 2);
    let mut told = feed(&mut core, &mut process, 5, 2_000..2_200, against);
    told.extend(feed(&mut core, &mut process, 5, 2_200..2_600, as_it_is));
    assert_eq!(told.last().unwrap().transition, "returned");
    assert!(!core.facility_scorer.alarm.active && !core.facility_scorer.alarm.acknowledged);
}

#[test]
fn a_new_way_of_working_is_accepted() {
    let (mut core, mut process) = warm(5, 3);
    feed(&mut core, &mut process, 5, 2_000..6_000, against);
    let told = feed(&mut core, &mut process, 5, 6_000..9_000, against);
    assert_eq!(told.len(), 0, "{:?}", told.iter().map(|event| event.transition).collect::<Vec<_>>());
    assert!(!core.facility_scorer.alarm.active);
}

#[test]
fn who_comes_goes_or_is_no_measurement_raises_no_alarm() {
    let (mut core, mut process) = warm(5, 4);
    let mut told = feed(&mut core, &mut process, 5, 2_000..2_300, |_, values| values[4] = f64::NAN); // one is silent
    told.extend(feed(&mut core, &mut process, 5, 2_300..2_600, as_it_is));
    core.apply(EntryKind::Config, &statuses(8, |index| if index == 0 { "Inactive" } else { "Active" })).unwrap();
    // a constant, a counter and a switch join
    let strange = |round: i64, values: &mut [f64]| {
        values[5] = 7.0;
        values[6] = round as f64;
        values[7] = f64::from(u8::from(round % 900 > 880));
    };
    told.extend(feed(&mut core, &mut process, 8, 2_600..6_000, strange));
    assert_eq!(told.len(), 0, "{:?}", told.iter().map(|event| &event.message).collect::<Vec<_>>());
    assert_eq!(core.facility_scorer.latest.as_ref().map(|latest| latest.members), Some(4));
}

#[test]
fn more_than_a_block_of_sensors_is_watched_in_blocks() {
    let sensors = 70;
    let (mut core, mut process) = (facility(sensors), Process::new(5));
    feed(&mut core, &mut process, sensors, 0..1_000, as_it_is);
    let mut loudest = None;
    for round in 1_000..1_200 {
        feed(&mut core, &mut process, sensors, round..round + 1, |_, values| values[67] = 200.0 - values[67]);
        let latest = core.facility_scorer.latest.clone().unwrap();
        if loudest.as_ref().is_none_or(|loudest: &FacilityScore| latest.decades > loudest.decades) {
            loudest = Some(latest);
        }
    }
    let loudest = loudest.unwrap();
    assert!(loudest.decades > 5.0 && loudest.members == 6, "{loudest:?}");
    assert_eq!(loudest.contributors[0].place, 67);
}

#[test]
fn without_two_sensors_in_use_there_is_no_facility_to_judge() {
    let (mut core, mut process) = warm(5, 6);
    feed(&mut core, &mut process, 5, 2_000..2_060, against);
    assert!(core.facility_scorer.alarm.active);
    let effects =
        core.apply(EntryKind::Config, &statuses(5, |index| if index == 0 { "Active" } else { "Inactive" })).unwrap();
    let ended: Vec<_> = effects.events.iter().filter(|event| event.sensor_no.is_none()).collect();
    assert_eq!(
        ended.iter().map(|event| (event.transition, &*event.reason)).collect::<Vec<_>>(),
        [("returned", "fewer than two sensors are in use")]
    );
    assert!(!core.facility_scorer.alarm.active);
}

#[test]
fn after_a_rebuild_the_alarm_is_as_the_journal_left_it() {
    let mut core = facility(3);
    let told = |sensor_no| ToldAlarm {
        sensor_no,
        rule: "facility_anomaly".into(),
        active: true,
        acknowledged: false,
        since_us: START_US,
    };
    assert_eq!(core.recall(&[told(None), told(Some(1))]), ["1:facility_anomaly"]);
    assert_eq!(core.facility_scorer.alarm.shown_as(), "unacknowledged");
    core.recall(&[]);
    assert!(core.facility_scorer.alarm.is_normal());
}

/// Anything a sensor can send, in rounds that are whole, torn, late or doubled.
fn anything() -> impl Strategy<Value = Vec<(usize, i64, String)>> {
    let text = prop_oneof![
        8 => (-5.0..5.0f64).prop_map(|value| format!("{value:.2}")),
        1 => any::<f64>().prop_map(|value| format!("{value:e}")),
        1 => Just("1e300".to_owned()),
        1 => Just("5e-324".to_owned()),
        1 => Just("offen".to_owned()),
        1 => Just("NaN".to_owned()),
    ];
    prop::collection::vec((0usize..4, 0i64..6_000, text), 1..400)
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn portions_and_snapshots_change_no_bit(
        readings in anything(), ordered: bool, cut in 0usize..400, portion in 1usize..50,
    ) {
        let mut readings = readings;
        if ordered {
            readings.sort_by_key(|(_, at_s, _)| *at_s);
        }
        let rows: Vec<(String, i64, String)> =
            readings.iter().map(|(index, at_s, text)| (name(*index), *at_s, text.clone())).collect();
        let (mut whole, mut parts) = (facility(4), facility(4));
        let mut process = Process::new(7);
        feed(&mut whole, &mut process, 4, -400..0, as_it_is);
        let mut process = Process::new(7);
        feed(&mut parts, &mut process, 4, -400..0, as_it_is);
        let batch = |rows: &[(String, i64, String)]| {
            let rows: Vec<(&str, i64, &str)> = rows.iter().map(|(id, at, text)| (id.as_str(), *at, text.as_str())).collect();
            small_facility::batch(&rows, 6_000)
        };
        let told = whole.apply(EntryKind::Batch, &batch(&rows)).unwrap().events;
        let mut told_in_parts = Vec::new();
        for (index, part) in rows.chunks(portion).enumerate() {
            if index == cut % rows.chunks(portion).len() {
                parts = snapshot::load(FACILITY, &snapshot::save(&parts), Settings::default()).unwrap();
            }
            told_in_parts.extend(parts.apply(EntryKind::Batch, &batch(part)).unwrap().events);
        }
        prop_assert_eq!(snapshot::save(&whole), snapshot::save(&parts));
        // what is past is one row for each delivery
        let of_the_present = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| event.transition != "past_excursion").cloned().collect()
        };
        prop_assert_eq!(of_the_present(&told), of_the_present(&told_in_parts));
        let passed = |events: &[Event]| -> BTreeSet<String> {
            events.iter().filter(|event| event.transition == "past_excursion").map(Event::alarm_key).collect()
        };
        prop_assert_eq!(passed(&told), passed(&told_in_parts));
        if let Some(latest) = &whole.facility_scorer.latest {
            prop_assert!(latest.decades.is_finite() && latest.statistics.iter().all(|one| one.is_finite()));
        }
        prop_assert!(whole.facility_scorer.heap_bytes() < 4 * 4_096);
    }
}

#[test]
fn a_replay_gives_the_same_state() {
    let (mut core, _) = warm(4, 8);
    let (mut replayed, mut process) = (facility(4), Process::new(8));
    for round in 0..2_000 {
        let values = process.round(4);
        let rows: Vec<(String, i64, String)> = values
            .iter()
            .enumerate()
            .map(|(index, value)| (name(index), round * INTERVAL_S + index as i64 % 3, format!("{value:.3}")))
            .collect();
        let rows: Vec<(&str, i64, &str)> =
            rows.iter().map(|(id, at, text)| (id.as_str(), *at, text.as_str())).collect();
        replayed.replay(EntryKind::Batch, &small_facility::batch(&rows, round * INTERVAL_S + 2)).unwrap();
    }
    assert_eq!(snapshot::save(&core), snapshot::save(&replayed));
    assert!(core
        .facility_scorer
        .latest
        .take()
        .is_some_and(|latest| latest.members == 4 && latest.at_us > START_US + 20_000 * S));
}
