//! Readings outside of what is physical: told at once by a rule of their own, in the place of what cannot be trusted.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::rule::Rule;
use _native::snapshot;
use serde_json::json;
use small_facility::{batch, config, core, sensor, tick, told, FACILITY};

type Told = Vec<(&'static str, &'static str, i64)>;

/// A gas detector that measures 0 to 100, with these rules of its own.
fn detector(rules: serde_json::Value) -> Core {
    let mut core = core();
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["detection"] = json!({"physical_low": 0.0, "physical_high": 100.0});
    gas["rules"] = rules;
    let other = sensor("t", 1, "Temperature", "Inactive");
    core.apply(EntryKind::Config, &config(2, &[other, gas])).unwrap();
    core
}

fn read(core: &mut Core, rows: &[(&str, i64, &str)], received_s: i64) -> Told {
    told(&core.apply(EntryKind::Batch, &batch(rows, received_s)).unwrap())
}

fn active(core: &Core) -> Vec<&'static str> {
    core.sensors[1].alarms.iter().filter(|(_, alarm)| alarm.active).map(|(rule, _)| rule.name()).collect()
}

#[test]
fn it_is_told_at_once_and_no_limit_speaks_or_is_cleared_by_it() {
    let mut core = detector(json!([]));
    let rows = [("g", 0, "15"), ("g", 4, "100"), ("g", 8, "100.1"), ("g", 12, "-0.1"), ("g", 16, "-5000")];
    assert_eq!(read(&mut core, &rows, 16), [("high", "activated", 4), ("out_of_physical_range", "activated", 8)]);
    assert_eq!(active(&core), ["high", "out_of_physical_range"], "that it was high is as true as before");
    let back = [("low", "activated", 20), ("high", "returned", 20), ("out_of_physical_range", "returned", 20)];
    assert_eq!(read(&mut core, &[("g", 20, "0")], 20), back, "the range itself is physical");
    let event = core.apply(EntryKind::Batch, &batch(&[("g", 24, "-1")], 24)).unwrap().events.remove(0);
    let message = "Problem detected: GasDetection Sensor value in Alpha is outside of what is physical (0.0 to 100.0)";
    assert_eq!((&*event.message, event.rule.alert_type(), event.priority.name()), (message, "System", "high"));
    let explained: serde_json::Value = serde_json::from_str(&event.explanation_json).unwrap();
    assert_eq!((&explained["physical"], event.value), (&json!([0.0, 100.0]), Some(-1.0)));
}

#[test]
fn where_nobody_wants_the_rule_a_limit_speaks() {
    let mut core = detector(json!([{"rule": "out_of_physical_range", "enabled": false}]));
    assert_eq!(read(&mut core, &[("g", 0, "15"), ("g", 4, "101")], 4), [("high", "activated", 4)]);
    assert_eq!(read(&mut core, &[("g", 400, "-5000")], 400), [("low", "activated", 400)], "it ends nothing");
}

#[test]
fn a_rule_that_waits_leaves_nobody_untold() {
    let mut core = detector(json!([{"rule": "out_of_physical_range", "on_delay_s": 600}]));
    let mut all = Told::new();
    for at_s in (0..=800).step_by(10) {
        all.extend(read(&mut core, &[("g", at_s, "-5000")], at_s));
        all.extend(told(&core.apply(EntryKind::Tick, &tick(at_s)).unwrap()));
    }
    let names: Vec<_> = all.iter().map(|(rule, transition, _)| (*rule, *transition)).collect();
    let taken_over = [("bad_value", "activated"), ("out_of_physical_range", "activated"), ("bad_value", "returned")];
    assert_eq!(names, taken_over);
}

/// Every course of four stretches of a hundred seconds: whatever comes or does not, one alarm says that nothing usable
/// comes, and none does while something usable comes.
#[test]
fn one_alarm_and_no_more_says_that_nothing_usable_comes() {
    const COMES: [Option<&str>; 4] = [Some("15"), Some("Bad"), Some("-5000"), None];
    for course in 0..256 {
        let mut core = detector(json!([]));
        core.apply(EntryKind::Batch, &batch(&[("g", 0, "15")], 0)).unwrap();
        let stretches: Vec<_> = (0..4).map(|place| COMES[course >> (2 * place) & 3]).collect();
        for (place, comes) in (0i64..).zip(&stretches) {
            for at_s in (1..=10).map(|step| 100 * place + 10 * step) {
                if let Some(text) = comes {
                    core.apply(EntryKind::Batch, &batch(&[("g", at_s, text)], at_s)).unwrap();
                }
                core.apply(EntryKind::Tick, &tick(at_s)).unwrap();
                assert!(active(&core).len() <= 1, "{stretches:?} at {at_s}: {:?}", active(&core));
            }
            let expected = usize::from(*comes != Some("15"));
            assert_eq!(active(&core).len(), expected, "{stretches:?} after {place}: {:?}", active(&core));
        }
    }
}

#[test]
fn batches_and_snapshots_change_nothing_and_what_comes_late_takes_its_place() {
    let texts = ["15", "101", "Bad", "-1", "15", "26", "120", "NaN", "14", "-9", "-9", "15"];
    let rows: Vec<_> = (0i64..).zip(texts).map(|(index, text)| ("g", 4 * index, text)).collect();
    let mut whole = detector(json!([]));
    let expected = read(&mut whole, &rows, 44);
    assert_eq!(expected.iter().filter(|(rule, ..)| *rule == "out_of_physical_range").count(), 6);
    for at in 1..rows.len() {
        let mut split = detector(json!([]));
        let mut all = read(&mut split, &rows[..at], 44);
        let mut again = snapshot::load(FACILITY, &snapshot::save(&split), Settings::default()).unwrap();
        all.extend(read(&mut again, &rows[at..], 44));
        assert_eq!(all, expected, "{at}");
        assert!(snapshot::save(&again) == snapshot::save(&whole));
    }
    let mut core = detector(json!([]));
    assert_eq!(read(&mut core, &[("g", 0, "15"), ("g", 8, "15")], 8), []);
    assert_eq!(read(&mut core, &[("g", 4, "-1")], 9), [("out_of_physical_range", "activated", 4)], "it was so, once");
    assert!(!core.sensors[1].alarms.get(Rule::OutOfPhysicalRange).active);
}
