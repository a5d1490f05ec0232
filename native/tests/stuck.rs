//! The rule `stuck`: a value that does not move while readings come, told once, by this rule and not by the detector.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::snapshot;
use serde_json::json;
use small_facility::{batch, config, core, sensor, told, FACILITY};

type Told = Vec<(&'static str, &'static str, i64)>;

fn thermometer(rules: serde_json::Value) -> Core {
    let mut core = core();
    let mut temperature = sensor("t", 1, "Temperature", "Active");
    temperature["rules"] = rules;
    core.apply(EntryKind::Config, &config(2, &[temperature])).unwrap();
    core
}

fn read(core: &mut Core, rows: &[(&str, i64, &str)], received_s: i64) -> Told {
    told(&core.apply(EntryKind::Batch, &batch(rows, received_s)).unwrap())
}

#[test]
fn it_is_told_after_its_window_and_ends_when_the_value_moves() {
    let mut core = thermometer(json!([{"rule": "stuck", "window_s": 60, "deadband": 0.125, "priority": "high"}]));
    let rows = [("t", 0, "22"), ("t", 30, "22.125"), ("t", 59, "21.875"), ("t", 60, "22.05"), ("t", 90, "22")];
    assert_eq!(read(&mut core, &rows, 90), [("stuck", "activated", 60)]);
    for text in ["Bad", "NaN", "1e300"] {
        let told = read(&mut core, &[("t", 95, text)], 95);
        assert!(told.iter().all(|(rule, ..)| *rule != "stuck"), "{text} is no measurement and moves nothing");
    }
    let event = core.apply(EntryKind::Batch, &batch(&[("t", 100, "22.2")], 100)).unwrap().events.pop().unwrap();
    assert_eq!((event.rule.name(), event.transition, event.priority.name()), ("stuck", "returned", "high"));
    assert_eq!(event.message, "Back to normal: Temperature Sensor value in Alpha moves again (60 s)");
    assert_eq!((event.rule.alert_type(), event.value), ("System", Some(22.2)));
}

#[test]
fn silence_is_not_standing_still_and_a_late_reading_that_moved_is_a_proof() {
    let rules = || json!([{"rule": "stuck", "window_s": 60}]);
    assert_eq!(read(&mut thermometer(rules()), &[("t", 0, "22"), ("t", 61, "22"), ("t", 120, "22")], 120), []);
    let mut core = thermometer(rules());
    assert_eq!(read(&mut core, &[("t", 0, "22"), ("t", 30, "22"), ("t", 15, "22.5"), ("t", 60, "22")], 60), []);
    assert_eq!(read(&mut core, &[("t", 75, "22")], 75), [("stuck", "activated", 75)]);
    assert_eq!(read(&mut core, &[("t", 40, "22.5"), ("t", 76, "22")], 76), [("stuck", "returned", 76)]);
}

#[test]
fn batches_snapshots_and_replays_change_nothing() {
    let texts = ["22", "22", "22", "Bad", "22", "22", "23", "23", "23", "23", "23", "22"];
    let rows: Vec<_> = (0i64..).zip(texts).map(|(index, text)| ("t", 10 * index, text)).collect();
    let new = || thermometer(json!([{"rule": "stuck", "window_s": 30, "off_delay_s": 10}]));
    let mut whole = new();
    let expected = read(&mut whole, &rows, 110);
    assert_eq!(
        expected,
        [("stuck", "activated", 40), ("stuck", "returned", 70), ("stuck", "activated", 90)],
        "the last move has its delay before it"
    );
    for at in 1..rows.len() {
        let mut first = new();
        let mut all = read(&mut first, &rows[..at], 110);
        let mut again = snapshot::load(FACILITY, &snapshot::save(&first), Settings::default()).unwrap();
        first.replay(EntryKind::Batch, &batch(&rows[at..], 110)).unwrap();
        all.extend(read(&mut again, &rows[at..], 110));
        assert_eq!(all, expected, "{at}");
        let state = snapshot::save(&whole);
        assert!(snapshot::save(&again) == state && snapshot::save(&first) == state);
    }
}

#[test]
fn off_until_a_window_is_set_and_a_rule_that_goes_ends_its_alarm() {
    let rows: Vec<_> = (0..100).map(|index| ("t", 15 * index, "22")).collect();
    assert_eq!(read(&mut core(), &rows, 1_485), []);
    let mut core = thermometer(json!([{"rule": "stuck", "window_s": 60}]));
    assert_eq!(read(&mut core, &rows, 1_485), [("stuck", "activated", 60)]);
    let plain = sensor("t", 1, "Temperature", "Active");
    let ended = core.apply(EntryKind::Config, &config(3, &[plain])).unwrap();
    assert_eq!(told(&ended), [("stuck", "returned", 1_485)]);
}

#[test]
fn of_a_signal_that_stops_one_alarm_speaks() {
    let course = |rules: serde_json::Value| {
        let mut core = thermometer(rules);
        let mut all = Told::new();
        for index in 0..1_300i64 {
            let noise = ((index * 7_919 % 1_009) as f64) / 2_000.0;
            let value = if index < 1_000 { 22.0 + noise } else { 22.123 };
            all.extend(read(&mut core, &[("t", 15 * index, &format!("{value}"))], 15 * index));
        }
        all.into_iter().map(|(rule, transition, _)| (rule, transition)).collect::<Vec<_>>()
    };
    assert_eq!(course(json!([])), [("anomaly", "activated")], "the detector knows by itself");
    let taken_over = [("anomaly", "activated"), ("stuck", "activated"), ("anomaly", "returned")];
    assert_eq!(course(json!([{"rule": "stuck", "window_s": 3_000}])), taken_over, "it was unusual before");
    assert_eq!(course(json!([{"rule": "stuck", "window_s": 60}])), [("stuck", "activated")]);
}

#[test]
fn a_snapshot_keeps_a_sensor_that_has_said_nothing_yet() {
    let core = thermometer(json!([{"rule": "stuck", "window_s": 60}]));
    let state = snapshot::save(&core);
    let mut again = snapshot::load(FACILITY, &state, Settings::default()).unwrap();
    assert!(snapshot::save(&again) == state);
    assert_eq!(read(&mut again, &[("t", 0, "22"), ("t", 60, "22")], 60), [("stuck", "activated", 60)]);
}
