//! Rules as people set them: limits on four sides, change, priorities, texts, and what a change of rules does.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::flag;
use _native::rule::Rule;
use _native::snapshot;
use serde_json::json;
use small_facility::{apply, batch, config, core, sensor, tick, told, tuples, FACILITY, S, START_US};

/// The gas detector (10 to 20 by itself) with what is set of its rules.
fn set(core: &mut Core, fields: serde_json::Value) -> Vec<(&'static str, &'static str, i64)> {
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    for (name, value) in fields.as_object().into_iter().flatten() {
        gas[name] = value.clone();
    }
    told(&core.apply(EntryKind::Config, &config(2, &[gas])).unwrap())
}

fn facility(fields: serde_json::Value) -> Core {
    let mut core = core();
    assert_eq!(set(&mut core, fields), []);
    core
}

#[test]
fn a_value_beyond_both_limits_raises_both_alarms_each_with_its_priority() {
    let rules = json!([{"rule": "high_high", "limit": 40}, {"rule": "low_low", "limit": 5, "priority": "medium"}]);
    let mut core = facility(json!({"rules": rules}));
    let effects = apply(&mut core, &[("g", 0, "30"), ("g", 10, "41"), ("g", 20, "15"), ("g", 30, "4")]);
    let expected = [
        ("high", "activated", 0),
        ("high_high", "activated", 10),
        ("high", "returned", 20),
        ("high_high", "returned", 20),
        ("low", "activated", 30),
        ("low_low", "activated", 30),
    ];
    assert_eq!(told(&effects), expected);
    let of = |rule: Rule| effects.events.iter().find(|event| event.rule == rule).unwrap();
    let priorities = [Rule::High, Rule::HighHigh, Rule::LowLow].map(|rule| of(rule).priority.name());
    assert_eq!(priorities, ["high", "critical", "medium"]);
    let message = "Problem detected: GasDetection Sensor value in Alpha is above maximum threshold (40.0)";
    assert_eq!((of(Rule::HighHigh).message.as_str(), of(Rule::HighHigh).limit), (message, Some(40.0)));
    let flags: Vec<u16> =
        tuples(&effects.copy_rows).iter().map(|row| row.flags & (flag::ABOVE_HIGH | flag::BELOW_LOW)).collect();
    assert_eq!(flags, [flag::ABOVE_HIGH, flag::ABOVE_HIGH, 0, flag::BELOW_LOW]);
}

#[test]
fn delays_deadband_and_texts_are_as_they_were_set() {
    let rules = json!([{
        "rule": "high", "limit": 30, "deadband": 2, "on_delay_s": 10, "off_delay_s": 20,
        "message": "Gas at the pump", "consequence": "fire", "response": "leave", "source": "site study 7",
    }]);
    let mut core = facility(json!({"rules": rules, "unit": "% LEL"}));
    let readings =
        [("g", 0, "31"), ("g", 9, "31"), ("g", 10, "31"), ("g", 20, "28.1"), ("g", 30, "28"), ("g", 50, "28")];
    let effects = apply(&mut core, &readings);
    assert_eq!(told(&effects), [("high", "activated", 10), ("high", "returned", 50)]);
    let fields: serde_json::Value = serde_json::from_str(&effects.events[0].explanation_json).unwrap();
    let named =
        ["message", "consequence", "response", "source", "unit", "deadband", "on_delay_s"].map(|name| &fields[name]);
    let expected = json!(["Gas at the pump", "fire", "leave", "site study 7", "% LEL", 2.0, 10]);
    assert_eq!(named.to_vec(), expected.as_array().unwrap().iter().collect::<Vec<_>>());
}

#[test]
fn a_fall_is_told_within_its_window_and_not_beyond_it() {
    let rules = json!([{"rule": "rate_of_change", "limit": 4, "window_s": 160, "deadband": 1}]);
    let mut core = facility(json!({"rules": rules}));
    let effects =
        apply(&mut core, &[("g", 0, "19"), ("g", 100, "15"), ("g", 110, "14.9"), ("g", 200, "14.9"), ("g", 400, "14")]);
    assert_eq!(told(&effects), [("rate_of_change", "activated", 110), ("rate_of_change", "returned", 200)]);
    let message = "Problem detected: GasDetection Sensor value in Alpha changes too fast, by -4.1 (4.0 in 160 s)";
    assert_eq!(effects.events[0].message, message);
    let mut slow = facility(json!({"rules": rules}));
    let drift: Vec<_> = (0..60).map(|step| ("g", 40 * step, format!("{:.2}", 19.0 - step as f64 / 10.0))).collect();
    assert_eq!(told(&slow.apply(EntryKind::Batch, &batch(&drift, 2_400)).unwrap()), []);
}

#[test]
fn what_is_no_measurement_is_no_change() {
    let mut core = facility(json!({"rules": [{"rule": "rate_of_change", "limit": 4}]}));
    let effects = apply(&mut core, &[("g", 0, "15"), ("g", 1, "-1e9"), ("g", 2, "NaN"), ("g", 3, "15")]);
    assert!(told(&effects).iter().all(|(rule, ..)| *rule != "rate_of_change"), "{:?}", told(&effects));
}

#[test]
fn a_rule_that_is_switched_off_ends_its_alarm_with_a_row() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    let effects_of = |core: &mut Core, fields| set(core, fields);
    assert_eq!(
        effects_of(&mut core, json!({"rules": [{"rule": "high", "enabled": false}]})),
        [("high", "returned", 0)]
    );
    assert_eq!(told(&apply(&mut core, &[("g", 10, "99")])), []);
    assert_eq!(effects_of(&mut core, json!({"rules": [{"rule": "high", "enabled": false}]})), [], "told once");
    assert_eq!(effects_of(&mut core, json!({})), [], "it is on again, and waits for the next reading");
    assert_eq!(told(&apply(&mut core, &[("g", 20, "99")])), [("high", "activated", 20)]);
}

#[test]
fn a_new_limit_is_held_against_the_next_reading() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "18")]);
    assert_eq!(set(&mut core, json!({"rules": [{"rule": "high", "limit": 16}]})), []);
    assert_eq!(told(&apply(&mut core, &[("g", 10, "18")])), [("high", "activated", 10)]);
    assert_eq!(set(&mut core, json!({"rules": [{"rule": "high", "limit": 30}]})), []);
    assert_eq!(told(&apply(&mut core, &[("g", 20, "18")])), [("high", "returned", 20)]);
}

#[test]
fn no_reading_from_before_a_limit_is_news_to_it() {
    let mut core = core();
    apply(&mut core, &[("g", 100, "18")]);
    set(&mut core, json!({"rules": [{"rule": "high", "limit": 16}]}));
    assert_eq!(told(&apply(&mut core, &[("g", 50, "18")])), [("high", "past_excursion", 50)]);
}

#[test]
fn another_type_ends_the_alarms_of_limits_that_it_has_not() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    let effects = core.apply(EntryKind::Config, &config(2, &[sensor("g", 2, "ValveStatus", "Active")])).unwrap();
    assert_eq!(told(&effects), [("high", "returned", 0)]);
}

#[test]
fn what_needs_a_reset_stays_until_somebody_resets_it_also_without_its_rule() {
    let mut core = facility(json!({"rules": [{"rule": "high", "latched": true}]}));
    apply(&mut core, &[("g", 0, "25"), ("g", 10, "15")]);
    assert_eq!(core.sensors[1].alarms.get(Rule::High).shown_as(), "latched");
    set(&mut core, json!({"rules": [{"rule": "high", "enabled": false}]}));
    let reset =
        json!({"command_id": "r", "at_us": START_US, "actor": "user:1", "command": "reset", "alarm_key": "2:high"});
    assert_eq!(told(&core.apply(EntryKind::Command, reset.to_string().as_bytes()).unwrap()), [("high", "reset", 0)]);
    assert_eq!(core.sensors[1].alarms.get(Rule::High).shown_as(), "returned_unacknowledged");
}

#[test]
fn an_alarm_is_told_again_by_ticks_until_it_is_acknowledged() {
    let mut core =
        facility(json!({"rules": [{"rule": "high", "re_alarm_s": 30}, {"rule": "stale", "enabled": false}]}));
    apply(&mut core, &[("g", 0, "25")]);
    let mut events = Vec::new();
    for second in (0..=70).step_by(10) {
        let effects = core.apply(EntryKind::Tick, &tick(second)).unwrap();
        events.extend(told(&effects).into_iter().filter(|(rule, ..)| *rule == "high"));
    }
    assert_eq!(events, [("high", "re_alarmed", 30), ("high", "re_alarmed", 60)]);
}

#[test]
fn a_profile_and_rules_survive_a_snapshot() {
    let rules = json!([{"rule": "high", "limit": 0.30000000000000004}, {"rule": "rate_of_change", "limit": 3}]);
    let mut core = facility(json!({"profile": "ambient_safety", "rules": rules, "unit": "% LEL"}));
    apply(&mut core, &[("g", 0, "15"), ("g", 10, "16")]);
    let state = snapshot::save(&core);
    let resumed = snapshot::load(FACILITY, &state, Settings::default()).unwrap();
    assert_eq!(resumed.sensors[1], core.sensors[1]);
    assert_eq!(snapshot::save(&resumed), state);
}

#[test]
fn wrong_rules_are_refused_with_the_sensors_name() {
    let mut core = core();
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["rules"] = json!([{"rule": "high", "limit": 1e31}]);
    let error = core.apply(EntryKind::Config, &config(2, &[gas])).unwrap_err();
    assert!(error.0.starts_with("config: sensor \"g\": high has the limit"), "{error}");
}

#[test]
fn telling_the_same_rules_again_changes_nothing() {
    let fields = json!({"profile": "ambient_safety", "rules": [{"rule": "rate_of_change", "limit": 3}]});
    let mut core = facility(fields.clone());
    apply(&mut core, &[("g", 0, "15"), ("g", 10, "45")]);
    let before = snapshot::save(&core);
    assert_eq!(set(&mut core, fields), []);
    assert_eq!(snapshot::save(&core), before);
    assert_eq!(core.sensors[1].newest.as_ref().unwrap().tracked_at_us, START_US + 10 * S);
}
