//! What speaks when a sensor is blind, or when the past is delivered, has the same memories as any other alarm: kept from
//! people it is silent, and given back it is told.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::effects::Effects;
use _native::entry::EntryKind;
use _native::rule::Rule;
use _native::snapshot;
use serde_json::json;
use small_facility::{batch, config, core, sensor, tick, told, FACILITY, S, START_US};

type Told = Vec<(&'static str, &'static str, i64)>;

/// Done to the core and to one restored from a snapshot of before, which must agree.
fn act(core: &mut Core, kind: EntryKind, payload: &[u8]) -> Effects {
    let mut resumed = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
    let effects = core.apply(kind, payload).unwrap();
    resumed.replay(kind, payload).unwrap();
    assert_eq!(snapshot::save(&resumed), snapshot::save(core));
    effects
}

fn ask(core: &mut Core, at_s: i64, name: &str, key: &str) -> Told {
    let command = json!({
        "command_id": format!("{name}-{at_s}"), "at_us": START_US + at_s * S, "actor": "user:7", "command": name,
        "alarm_key": key, "reason": "because", "until_us": START_US + (at_s + 8 * 3_600) * S,
    });
    told(&act(core, EntryKind::Command, command.to_string().as_bytes()))
}

fn set(core: &mut Core, rules: serde_json::Value) -> Told {
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["rules"] = rules;
    told(&act(core, EntryKind::Config, &config(2, &[gas])))
}

fn read(core: &mut Core, rows: &[(&str, i64, &str)], received_s: i64) -> Told {
    told(&act(core, EntryKind::Batch, &batch(rows, received_s)))
}

/// Ticks every ten seconds; what is told of `g` and of the facility.
fn wait(core: &mut Core, seconds: std::ops::RangeInclusive<i64>) -> Told {
    let mut all = Told::new();
    for at_s in seconds.step_by(10) {
        let effects = act(core, EntryKind::Tick, &tick(at_s));
        let not_other = |event: &&_native::journal::Event| event.sensor_no.is_none_or(|number| number == 2);
        let told = effects.events.iter().filter(not_other);
        all.extend(told.map(|event| (event.rule.name(), event.transition, (event.event_time_us - START_US) / S)));
    }
    all
}

fn shown(core: &Core, rule: Rule) -> &'static str {
    core.sensors[1].alarms.get(rule).shown_as()
}

#[test]
fn a_bad_value_that_is_shelved_is_silent_and_told_when_it_is_given_back() {
    let mut core = core();
    wait(&mut core, 0..=0);
    assert_eq!(ask(&mut core, 1, "shelve", "2:bad_value"), [("bad_value", "shelved", 1)]);
    let mut all = Told::new();
    for at_s in (10..=100).step_by(10) {
        all.extend(read(&mut core, &[("g", at_s, "Bad")], at_s));
        all.extend(wait(&mut core, at_s..=at_s));
    }
    assert_eq!(all, [("bad_value", "activated_silently", 80)]);
    assert_eq!(shown(&core, Rule::BadValue), "shelved");
    assert_eq!(
        ask(&mut core, 105, "unshelve", "2:bad_value"),
        [("bad_value", "unshelved", 105), ("bad_value", "activated", 105)]
    );
    assert_eq!(shown(&core, Rule::BadValue), "unacknowledged");
    assert_eq!(read(&mut core, &[("g", 110, "15")], 110), [("bad_value", "returned", 110)]);
}

#[test]
fn rules_of_blindness_are_set_like_others() {
    let mut core = core();
    let rules =
        json!([{"rule": "bad_value", "enabled": false}, {"rule": "stale", "priority": "critical", "latched": true}]);
    assert_eq!(set(&mut core, rules), []);
    for at_s in (10..=200).step_by(10) {
        assert_eq!(read(&mut core, &[("g", at_s, "Bad")], at_s), []);
        assert_eq!(wait(&mut core, at_s..=at_s), [], "nobody wants to know");
    }
    assert_eq!(wait(&mut core, 210..=300), [("stale", "activated", 270)]);
    assert_eq!(core.sensors[1].rules.spec(Rule::Stale).unwrap().priority.name(), "critical");
    assert_eq!(read(&mut core, &[("g", 310, "15")], 310), [("stale", "returned", 310)]);
    ask(&mut core, 311, "acknowledge", "2:stale");
    assert_eq!(shown(&core, Rule::Stale), "latched");
    assert_eq!(set(&mut core, json!([{"rule": "stale", "enabled": false}])), []);
    assert_eq!(wait(&mut core, 320..=600), []);
}

#[test]
fn a_wrong_clock_is_told_after_the_rules_delay_and_when_the_rule_is_switched_on() {
    let behind = |core: &mut Core, seconds: std::ops::Range<i64>| -> Told {
        seconds.step_by(4).flat_map(|at_s| read(core, &[("g", at_s - 3_600, "15")], at_s)).collect()
    };
    let begun = |rules: serde_json::Value| {
        let mut core = core();
        set(&mut core, rules);
        read(&mut core, &[("g", 3_996, "15")], 3_996);
        core
    };
    let mut delayed = begun(json!([{"rule": "clock", "on_delay_s": 20}]));
    assert_eq!(behind(&mut delayed, 4_000..4_100), [("clock", "activated", 4_052)], "found at 4032");
    let mut off = begun(json!([{"rule": "clock", "enabled": false}]));
    assert_eq!(behind(&mut off, 4_000..4_100), []);
    set(&mut off, json!([]));
    assert_eq!(behind(&mut off, 4_100..4_110), [("clock", "activated", 4_100)]);
}

#[test]
fn what_is_past_and_stands_is_silent_while_it_is_shelved_and_told_once() {
    let mut core = core();
    wait(&mut core, 0..=2_000);
    read(&mut core, &[("g", 990, "15")], 2_000);
    ask(&mut core, 2_000, "shelve", "2:high");
    assert_eq!(read(&mut core, &[("g", 1_000, "25")], 2_001), [], "it may end before the present");
    assert_eq!(wait(&mut core, 2_010..=2_050).first(), Some(&("high", "activated_silently", 1_000)));
    assert!(core.sensors[1].alarms.get(Rule::High).acknowledged, "nobody was told");
    assert_eq!(
        ask(&mut core, 2_060, "unshelve", "2:high"),
        [("high", "unshelved", 2_060), ("high", "activated", 2_060)]
    );

    // given back before it is known whether it stands
    read(&mut core, &[("g", 1_010, "15")], 2_061);
    ask(&mut core, 2_062, "shelve", "2:high");
    assert_eq!(read(&mut core, &[("g", 1_020, "25")], 2_063), []);
    assert_eq!(
        ask(&mut core, 2_064, "unshelve", "2:high"),
        [("high", "unshelved", 2_064), ("high", "activated", 2_064)]
    );
    let later = wait(&mut core, 2_070..=2_200);
    assert!(later.iter().all(|(rule, ..)| *rule != "high"), "{later:?}");
}

#[test]
fn a_late_reading_does_not_end_what_people_were_never_told_of_in_silence() {
    let mut core = core();
    ask(&mut core, 0, "shelve", "2:high");
    assert_eq!(read(&mut core, &[("g", 10, "25")], 10), [("high", "activated_silently", 10)]);
    assert_eq!(read(&mut core, &[("g", 60, "15")], 60), [("high", "returned", 60)]);
    assert_eq!(ask(&mut core, 61, "unshelve", "2:high"), [("high", "unshelved", 61)]);
    assert_eq!(read(&mut core, &[("g", 70, "19.9")], 70), []);
    assert_eq!(
        read(&mut core, &[("g", 65, "25")], 71),
        [("high", "activated", 65)],
        "between the deadband's edges it stands"
    );
    assert_eq!(shown(&core, Rule::High), "unacknowledged");
}

/// Six sensors; `g` is the second.
fn crowd() -> Core {
    let mut core = core();
    let others = (3..7).map(|no| sensor(&format!("s{no}"), no, "Temperature", "Active"));
    act(&mut core, EntryKind::Config, &config(2, &others.collect::<Vec<_>>()));
    wait(&mut core, 0..=0);
    core
}

fn all_read(core: &mut Core, at_s: i64, but_gas: bool) -> Told {
    let rows = ["t", "s3", "s4", "s5", "s6", "g"].map(|name| (name, at_s, if name == "g" { "15" } else { "22" }));
    read(core, &rows[..if but_gas { 5 } else { 6 }], at_s)
}

#[test]
fn the_silence_of_a_facility_obeys_commands() {
    let mut core = crowd();
    assert_eq!(ask(&mut core, 1, "shelve", "facility:silent"), [("silent", "shelved", 1)]);
    assert_eq!(
        wait(&mut core, 10..=120),
        [("silent", "activated_silently", 80), ("stale", "activated_silently", 80)],
        "who shelves it wants neither one message nor six"
    );
    assert_eq!(
        ask(&mut core, 125, "unshelve", "facility:silent"),
        [("silent", "unshelved", 125), ("silent", "activated", 125)]
    );
    assert_eq!(ask(&mut core, 126, "acknowledge", "facility:silent"), [("silent", "acknowledged", 126)]);
    assert!(core.sensors[1].alarms.get(Rule::Stale).acknowledged, "of its own silence nobody was told");
    all_read(&mut core, 130, false);
    assert_eq!(wait(&mut core, 130..=130), [("silent", "returned", 130)]);
    ask(&mut core, 140, "shelve", "facility:silent");
    assert_eq!(wait(&mut core, 140 + 8 * 3_600..=140 + 8 * 3_600), [("silent", "unshelved", 140 + 8 * 3_600)]);
}

#[test]
fn a_sensor_that_stays_silent_and_is_shelved_is_told_when_it_is_given_back_and_then_only() {
    let mut core = crowd();
    ask(&mut core, 1, "shelve", "2:stale");
    assert_eq!(wait(&mut core, 10..=120), [("silent", "activated", 80), ("stale", "activated_silently", 80)]);
    let mut later = Told::new();
    for at_s in (130..=260).step_by(10) {
        all_read(&mut core, at_s, true);
        later.extend(wait(&mut core, at_s..=at_s));
    }
    assert_eq!(later, [("silent", "returned", 130)]);
    assert_eq!(ask(&mut core, 265, "unshelve", "2:stale"), [("stale", "unshelved", 265), ("stale", "activated", 265)]);
    all_read(&mut core, 266, true);
    assert_eq!(wait(&mut core, 270..=300), []);
}

#[test]
fn a_sensor_that_stays_silent_is_to_be_acknowledged_when_it_is_told() {
    let mut core = crowd();
    wait(&mut core, 10..=120);
    assert_eq!(shown(&core, Rule::Stale), "acknowledged");
    let mut later = Told::new();
    for at_s in (130..=260).step_by(10) {
        all_read(&mut core, at_s, true);
        later.extend(wait(&mut core, at_s..=at_s));
    }
    assert_eq!(later, [("silent", "returned", 130), ("stale", "activated", 210)]);
    assert_eq!(shown(&core, Rule::Stale), "unacknowledged");
}

#[test]
fn how_numbers_are_spelled_is_kept_with_the_rules() {
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    (gas["number_format"], gas["unit"]) = ("comma".into(), "ppm".into());
    let mut core = core();
    act(&mut core, EntryKind::Config, &config(2, &[gas]));
    assert_eq!(read(&mut core, &[("g", 10, "25,5 ppm")], 10), [("high", "activated", 10)]);
    let mut core = snapshot::load(FACILITY, &snapshot::save(&core), Settings::default()).unwrap();
    assert_eq!(read(&mut core, &[("g", 20, "15,5ppm")], 20), [("high", "returned", 20)]);
}

/// Ahead by a minute from its first reading on, and set right: the readings seem late until that is known.
#[test]
fn who_was_told_of_the_present_as_of_something_late_is_to_acknowledge_it() {
    let mut core = core();
    wait(&mut core, 0..=0);
    (0..100).step_by(4).for_each(|at_s| {
        read(&mut core, &[("g", at_s + 62, "15")], at_s);
    });
    let mut all = Told::new();
    for at_s in (100..140).step_by(4) {
        all.extend(read(&mut core, &[("g", at_s, "80")], at_s + 1));
    }
    let begun: Vec<_> = all.iter().map(|(rule, transition, _)| (*rule, *transition)).collect();
    assert_eq!(begun.first(), Some(&("high", "activated")), "{all:?}");
    assert_eq!(begun.last(), Some(&("high", "activated_silently")), "{all:?}");
    assert_eq!(shown(&core, Rule::High), "unacknowledged");
    assert_eq!(ask(&mut core, 141, "acknowledge", "2:high"), [("high", "acknowledged", 141)]);
    assert_eq!(shown(&core, Rule::High), "acknowledged");
}

#[test]
fn an_alert_of_an_excursion_that_is_over_is_to_be_acknowledged_too_unless_it_is_kept_back() {
    for (kept_back, transition, after) in
        [(false, "activated", "returned_unacknowledged"), (true, "late_exceedance", "shelved")]
    {
        let mut core = core();
        if kept_back {
            ask(&mut core, 0, "shelve", "2:high");
        }
        read(&mut core, &[("g", 10, "15"), ("g", 30, "15")], 30);
        assert_eq!(read(&mut core, &[("g", 20, "25")], 31), [("high", transition, 20)]);
        assert_eq!(shown(&core, Rule::High), after);
        assert_eq!(core.sensors[1].alarms.get(Rule::High).acknowledged, kept_back);
    }
}

/// `g` with only these rules, which has said nothing but 11 until 160.
fn with_rule(rule: serde_json::Value) -> Core {
    let mut core = core();
    let off = ["anomaly", "high", "low"].map(|rule| json!({"rule": rule, "enabled": false}));
    set(&mut core, off.into_iter().chain([rule]).collect());
    wait(&mut core, 0..=2_000);
    read(&mut core, &[("g", 100, "11"), ("g", 130, "12"), ("g", 160, "11")], 2_000);
    core
}

#[test]
fn a_change_that_is_past_is_a_summary_and_one_that_stands_is_told() {
    let begun = || with_rule(json!({"rule": "rate_of_change", "limit": 5, "window_s": 60, "latched": true}));
    let mut over = begun();
    let rows: Vec<_> = (0..10).map(|step| ("g", 220 + 60 * step, if step % 4 < 2 { "18" } else { "25" })).collect();
    assert_eq!(read(&mut over, &rows, 2_001), [("rate_of_change", "past_excursion", 220)], "five times, in one line");
    assert_eq!(shown(&over, Rule::RateOfChange), "normal", "and nothing to reset");
    let mut stands = begun();
    assert_eq!(read(&mut stands, &[("g", 220, "18")], 2_001), []);
    assert_eq!(wait(&mut stands.clone(), 2_010..=2_050).first(), Some(&("rate_of_change", "activated", 220)));
    let mut shelved = stands.clone();
    ask(&mut shelved, 2_002, "shelve", "2:rate_of_change");
    assert_eq!(wait(&mut shelved, 2_010..=2_050).first(), Some(&("rate_of_change", "activated_silently", 220)));
    let of_rule = |told: [(&'static str, i64); 2]| told.map(|(transition, at_s)| ("rate_of_change", transition, at_s));
    assert_eq!(
        read(&mut stands.clone(), &[("g", 1_990, "25")], 2_001),
        of_rule([("activated", 220), ("returned", 1_990)]),
        "it had not ended when the present was reached"
    );
    assert_eq!(
        read(&mut stands, &[("g", 230, "18"), ("g", 1_990, "25"), ("g", 2_000, "33")], 2_001),
        of_rule([("activated", 2_000), ("past_excursion", 220)]),
        "what began and ended before the present, and a change of now"
    );
    assert_eq!(shown(&stands, Rule::RateOfChange), "unacknowledged");
    // old and of the present to the second
    for (at_s, told) in [(1_701, Some("activated")), (1_700, None)] {
        let mut core = begun();
        read(&mut core, &[("g", at_s - 10, "11")], 2_000);
        let told_now = read(&mut core, &[("g", at_s, "18")], 2_000);
        assert_eq!(told_now.first().map(|(_, transition, _)| *transition), told, "{at_s}");
    }
}

#[test]
fn a_value_that_stood_still_in_the_past_is_a_summary_and_ends_no_anomaly() {
    let begun = || with_rule(json!({"rule": "stuck", "window_s": 60}));
    let mut over = begun();
    let rows = [("g", 190, "12"), ("g", 220, "12"), ("g", 250, "12"), ("g", 280, "11")];
    assert_eq!(read(&mut over, &rows, 2_001), [("stuck", "past_excursion", 250)]);
    let mut stands = begun();
    assert_eq!(read(&mut stands, &rows[..3], 2_001), []);
    let off = json!([{"rule": "stuck", "enabled": false}]);
    assert_eq!(set(&mut stands.clone(), off), [("stuck", "past_excursion", 250)], "nobody wants to know any more");
    assert_eq!(wait(&mut stands, 2_010..=2_050).first(), Some(&("stuck", "activated", 250)));
}

#[test]
fn what_was_outside_of_its_range_in_the_past_is_a_summary_too() {
    let mut core = core();
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["detection"] = json!({"physical_low": 0.0, "physical_high": 100.0});
    act(&mut core, EntryKind::Config, &config(2, &[gas]));
    read(&mut core, &[("g", 90, "15")], 2_000);
    let rows = [("g", 100, "15"), ("g", 110, "101"), ("g", 120, "15"), ("g", 130, "-1"), ("g", 140, "15")];
    assert_eq!(read(&mut core, &rows, 2_001), [("out_of_physical_range", "past_excursion", 110)]);
    assert_eq!(read(&mut core, &[("g", 150, "101")], 2_002), []);
    assert_eq!(wait(&mut core, 2_000..=2_050).first(), Some(&("out_of_physical_range", "activated", 150)));
}
