//! Several sensors together, through the core: votes, discrepancies, combinations, who was first, suppression by design.

mod small_facility;

use _native::batch::BatchBuilder;
use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::journal::{Event, ToldAlarm};
use _native::number::Datum;
use _native::snapshot;
use proptest::prelude::*;
use serde_json::{json, Value};
use small_facility::{batch, cases, sensor, tick, FACILITY, S, START_US};

const VOTE_NO: i32 = 100;

fn limits() -> Value {
    json!([{"rule": "high", "limit": 20, "on_delay_s": 0, "off_delay_s": 0, "deadband": 0}])
}

fn gas(id: &str, no: i32, status: &str) -> Value {
    let mut one = sensor(id, no, "GasDetection", status);
    one["rules"] = limits();
    one
}

fn sensors() -> Vec<Value> {
    let valve = |id, no| sensor(id, no, "ValveStatus", "Active");
    vec![gas("a", 1, "Active"), gas("b", 2, "Active"), gas("c", 3, "Active"), valve("command", 4), valve("reported", 5)]
}

fn configuration(sensors: &[Value], groups: &Value) -> Vec<u8> {
    json!({"version": 1, "facility_name": "Alpha", "complete": true, "at_us": START_US, "sensors": sensors,
        "groups": groups})
    .to_string()
    .into_bytes()
}

fn facility(groups: &Value) -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    core.apply(EntryKind::Config, &configuration(&sensors(), groups)).unwrap();
    core
}

fn two_of_three() -> Value {
    let member = |id: &str| json!({"sensor_id": id, "rules": ["high"]});
    json!({"groups": [{"no": VOTE_NO, "name": "Hall 2", "kind": "vote", "votes": 2,
        "members": [member("a"), member("b"), member("c")]}]})
}

/// Done to the core and to one restored from a snapshot of before, which must agree.
fn act(core: &mut Core, kind: EntryKind, payload: &[u8]) -> Vec<Event> {
    let mut resumed = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
    let effects = core.apply(kind, payload).unwrap();
    resumed.replay(kind, payload).unwrap();
    assert_eq!(snapshot::save(&resumed), snapshot::save(core));
    effects.events
}

/// (key, transition) of what is told of groups.
fn of_groups(events: &[Event]) -> Vec<(String, &'static str)> {
    let is_group = |event: &&Event| event.sensor_no.is_some_and(|no| no >= VOTE_NO);
    events.iter().filter(is_group).map(|event| (event.alarm_key(), event.transition)).collect()
}

fn read(core: &mut Core, rows: &[(&str, i64, &str)]) -> Vec<Event> {
    let received_s = rows.iter().map(|row| row.1).max().unwrap_or(0);
    act(core, EntryKind::Batch, &batch(rows, received_s))
}

fn wait(core: &mut Core, at_s: i64) -> Vec<Event> {
    act(core, EntryKind::Tick, &tick(at_s))
}

fn ask(core: &mut Core, at_s: i64, name: &str, key: &str) -> Vec<Event> {
    let command = json!({
        "command_id": format!("{name}-{at_s}"), "at_us": START_US + at_s * S, "actor": "user:7", "command": name,
        "alarm_key": key, "reason": "because", "until_us": START_US + (at_s + 3_600) * S,
    });
    act(core, EntryKind::Command, command.to_string().as_bytes())
}

fn calm(core: &mut Core, at_s: i64) -> Vec<Event> {
    read(core, &[("a", at_s, "15"), ("b", at_s, "15"), ("c", at_s, "15")])
}

fn key(rule: &str) -> String {
    format!("{VOTE_NO}:{rule}")
}

#[test]
fn two_that_agree_are_an_alarm_that_says_who() {
    let mut core = facility(&two_of_three());
    assert_eq!(of_groups(&calm(&mut core, 1)), [(key("vote_lost"), "returned"), (key("vote_degraded"), "returned")]);
    assert_eq!(of_groups(&read(&mut core, &[("a", 2, "30")])), []);
    let events = read(&mut core, &[("c", 3, "30")]);
    assert_eq!(of_groups(&events), [(key("vote"), "activated")]);
    let told: Value = serde_json::from_str(&events.last().unwrap().explanation_json).unwrap();
    assert_eq!((&told["voted"], &told["needed"], &told["group"]), (&json!(["a", "c"]), &json!(2), &json!("Hall 2")));
    assert_eq!(told["asked"], json!(["a", "b", "c"]));
    assert_eq!(events.last().unwrap().reason, "voted: a, c; out: none");
    assert_eq!(of_groups(&read(&mut core, &[("a", 4, "15")])), [(key("vote"), "returned")]);
}

#[test]
fn those_who_came_last_are_heard_at_once_after_others_were_let_go() {
    let mut core = Core::new(FACILITY, Settings::default());
    let mut all: Vec<_> = (10..18).map(|no| gas(&format!("gone-{no}"), no, "Active")).collect();
    all.extend(sensors());
    core.apply(EntryKind::Config, &configuration(&all, &two_of_three())).unwrap();
    core.apply(EntryKind::Config, &configuration(&sensors(), &two_of_three())).unwrap();
    calm(&mut core, 1);
    assert_eq!(of_groups(&read(&mut core, &[("b", 2, "30")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("c", 3, "30")])), [(key("vote"), "activated")]);
}

#[test]
fn who_is_shelved_leaves_the_vote_and_that_is_an_alarm() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    assert_eq!(of_groups(&ask(&mut core, 2, "shelve", "1:high")), [(key("vote_degraded"), "activated")]);
    // the safe side: one of the two that are left
    assert_eq!(of_groups(&read(&mut core, &[("b", 3, "30")])), [(key("vote"), "activated")]);
    assert_eq!(of_groups(&ask(&mut core, 4, "out_of_service", "3:high")), [(key("vote_degraded"), "activated")]);
    let returned = of_groups(&ask(&mut core, 5, "unshelve", "1:high"));
    assert_eq!(returned, []);
    assert_eq!(
        of_groups(&ask(&mut core, 6, "return_to_service", "3:high")),
        [(key("vote"), "returned"), (key("vote_degraded"), "returned")]
    );
}

#[test]
fn an_alarm_of_a_group_is_acknowledged_like_any_other() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    read(&mut core, &[("a", 2, "30"), ("b", 2, "30")]);
    assert_eq!(of_groups(&ask(&mut core, 3, "acknowledge", &key("vote"))), [(key("vote"), "acknowledged")]);
    let strange = json!({"command_id": "x", "at_us": START_US, "actor": "user:7", "command": "acknowledge",
        "alarm_key": "101:vote"});
    assert!(core.apply(EntryKind::Command, strange.to_string().as_bytes()).is_err());
}

#[test]
fn an_active_vote_does_not_clear_because_voters_vanish() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    read(&mut core, &[("a", 2, "30"), ("b", 2, "30")]);
    let mut all = Vec::new();
    for at_s in (0..=600).step_by(10) {
        all.extend(of_groups(&wait(&mut core, at_s)));
        all.extend(of_groups(&read(&mut core, &[("c", at_s + 3, "15")])));
    }
    // a and b are silent; c alone says no, and is not believed
    assert_eq!(all, [(key("vote_degraded"), "activated")]);
    assert!(core.groups.iter().next().unwrap().alarms.get(_native::rule::Rule::Vote).active);
    let back = of_groups(&read(&mut core, &[("a", 700, "15"), ("b", 700, "15")]));
    assert_eq!(back.last(), Some(&(key("vote_degraded"), "returned")));
    assert!(back.contains(&(key("vote"), "returned")));
}

#[test]
fn who_speaks_again_is_in_the_vote_with_that_reading() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    let mut all = Vec::new();
    for at_s in (0..=200).step_by(10) {
        all.extend(of_groups(&wait(&mut core, at_s)));
        all.extend(of_groups(&read(&mut core, &[("a", at_s + 3, "15"), ("b", at_s + 3, "15")])));
    }
    assert_eq!(all, [(key("vote_degraded"), "activated")]);
    assert_eq!(of_groups(&read(&mut core, &[("c", 204, "15")])), [(key("vote_degraded"), "returned")]);
}

#[test]
fn a_bad_reading_leaves_the_vote_at_once_and_a_good_one_is_back() {
    // text, what is not finite, what no instrument can measure, another unit, a historian's word
    for (bad, why) in [
        ("Bad", "bad value"),
        ("NaN", "bad value"),
        ("15 %LEL", "bad value"),
        ("I/O Timeout", "bad value"),
        ("-1e9", "out of physical range"),
        ("-1e31", "out of physical range"),
    ] {
        let mut core = facility(&two_of_three());
        calm(&mut core, 1);
        let events = read(&mut core, &[("a", 2, bad)]);
        assert_eq!(of_groups(&events), [(key("vote_degraded"), "activated")], "{bad}");
        assert_eq!(events.last().unwrap().reason, format!("voted: none; out: a ({why})"), "{bad}");
        // it never says no: of the two that are left one is enough
        assert_eq!(of_groups(&read(&mut core, &[("b", 3, "30")])), [(key("vote"), "activated")], "{bad}");
        let back = of_groups(&read(&mut core, &[("a", 4, "15")]));
        assert_eq!(back, [(key("vote"), "returned"), (key("vote_degraded"), "returned")], "{bad}");
    }
}

#[test]
fn a_bad_reading_of_a_voter_does_not_end_the_vote() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    read(&mut core, &[("a", 2, "30"), ("b", 2, "30")]);
    let events = of_groups(&read(&mut core, &[("a", 3, "Bad"), ("b", 3, "Bad"), ("c", 3, "Bad")]));
    let degraded = (key("vote_degraded"), "activated");
    // each is news, and with the last nobody is left
    assert_eq!(events, [degraded.clone(), degraded.clone(), degraded, (key("vote_lost"), "activated")]);
}

#[test]
fn one_bad_reading_is_not_told_where_the_vote_has_delays() {
    let mut groups = two_of_three();
    groups["groups"][0]["on_delay_s"] = 10.into();
    groups["groups"][0]["off_delay_s"] = 20.into();
    let mut core = facility(&groups);
    calm(&mut core, 1);
    calm(&mut core, 40);
    // all were without a reading when the facility was made, which ended meanwhile
    assert!(!core.groups.iter().next().unwrap().alarms.get(_native::rule::Rule::VoteDegraded).active);
    assert_eq!(of_groups(&read(&mut core, &[("a", 50, "NaN"), ("b", 55, "15"), ("a", 59, "15")])), []);
    let lasting = read(&mut core, &[("a", 70, "NaN"), ("b", 79, "15"), ("a", 80, "NaN")]);
    assert_eq!(of_groups(&lasting), [(key("vote_degraded"), "activated")]);
    // better for less than the off-delay: the same, not news
    assert_eq!(of_groups(&read(&mut core, &[("a", 90, "15"), ("b", 91, "NaN"), ("b", 92, "15")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("b", 113, "15")])), [(key("vote_degraded"), "returned")]);
}

#[test]
fn a_word_that_no_apparatus_says_is_unknown() {
    let mut core = facility(&json!({"groups": [{"no": VOTE_NO, "name": "open", "kind": "combination",
        "when": {"sensor_id": "command", "is": "Open"}}]}));
    read(&mut core, &[("command", 1, "Open")]);
    let lost = of_groups(&read(&mut core, &[("command", 2, "I/O Timeout")]));
    assert_eq!(lost, [(key("input_unknown"), "activated")]);
    // a fault is what it says of itself
    let said = of_groups(&read(&mut core, &[("command", 3, "Fault")]));
    assert_eq!(said, [(key("combination"), "returned"), (key("input_unknown"), "returned")]);
}

#[test]
fn a_retired_member_has_left_and_a_group_that_goes_ends_its_alarms() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    let left: Vec<_> = sensors().into_iter().filter(|each| each["sensor_id"] != "b").collect();
    let events = act(&mut core, EntryKind::Config, &configuration(&left, &two_of_three()));
    assert_eq!(of_groups(&events), [(key("vote_degraded"), "activated")]);
    assert!(events.last().unwrap().reason.contains("b (no such sensor)"));
    let events = act(&mut core, EntryKind::Config, &configuration(&left, &json!({})));
    assert_eq!(of_groups(&events), [(key("vote_degraded"), "returned")]);
}

#[test]
fn a_valve_that_does_not_obey() {
    let mut core = facility(&json!({"groups": [{"no": VOTE_NO, "name": "V-12", "kind": "discrepancy",
        "commanded": "command", "reported": "reported", "on_delay_s": 10}]}));
    read(&mut core, &[("command", 1, "Open"), ("reported", 1, "open")]);
    assert_eq!(of_groups(&read(&mut core, &[("command", 2, "Closed")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("reported", 11, "Open")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("reported", 12, "Open")])), [(key("discrepancy"), "activated")]);
    assert_eq!(of_groups(&read(&mut core, &[("reported", 13, "Closed")])), [(key("discrepancy"), "returned")]);
}

#[test]
fn two_transmitters_that_differ_by_more_than_allowed() {
    let mut core = facility(&json!({"groups": [{"no": VOTE_NO, "name": "pair", "kind": "discrepancy",
        "commanded": "a", "reported": "b", "limit": 3, "deadband": 1}]}));
    calm(&mut core, 1);
    assert_eq!(of_groups(&read(&mut core, &[("a", 2, "18")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("a", 3, "18.1")])), [(key("discrepancy"), "activated")]);
    assert_eq!(of_groups(&read(&mut core, &[("a", 4, "17.5")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("a", 5, "17")])), [(key("discrepancy"), "returned")]);
}

#[test]
fn a_combination_holds_while_it_cannot_be_known() {
    let mut core = facility(&json!({"groups": [{"no": VOTE_NO, "name": "gas and open", "kind": "combination",
        "when": {"all": [{"sensor_id": "a", "rule": "high"}, {"sensor_id": "command", "is": "Open"},
            {"not": {"sensor_id": "b", "above": 18}}]}}]}));
    read(&mut core, &[("a", 1, "30"), ("b", 1, "15"), ("command", 1, "Shut")]);
    let opened = of_groups(&read(&mut core, &[("command", 2, "OPEN")]));
    assert_eq!(opened, [(key("combination"), "activated")]);
    let mut all = Vec::new();
    for at_s in (10..=200).step_by(10) {
        all.extend(of_groups(&wait(&mut core, at_s)));
        all.extend(of_groups(&read(&mut core, &[("a", at_s, "30"), ("command", at_s, "Open")])));
    }
    assert_eq!(all, [(key("input_unknown"), "activated")]);
    let ended = of_groups(&read(&mut core, &[("b", 210, "19")]));
    assert_eq!(ended, [(key("combination"), "returned"), (key("input_unknown"), "returned")]);
}

#[test]
fn the_first_is_marked_until_all_are_normal() {
    let member = |id: &str| json!({"sensor_id": id, "rules": ["high", "low"]});
    let mut core = facility(&json!({"groups": [{"no": VOTE_NO, "name": "Trip", "kind": "first_out",
        "members": [member("a"), member("b")]}]}));
    calm(&mut core, 1);
    let events = read(&mut core, &[("b", 2, "30"), ("a", 3, "30")]);
    assert_eq!(of_groups(&events), [(key("first_out"), "activated_silently")]);
    assert!(events.iter().any(|event| event.message.contains("first out is b (high)")));
    assert_eq!(of_groups(&read(&mut core, &[("b", 4, "15")])), []);
    assert_eq!(of_groups(&read(&mut core, &[("a", 5, "15")])), [(key("first_out"), "returned")]);
}

fn resting() -> Value {
    json!({"rests": [{"name": "shut in", "while": {"sensor_id": "command", "is": "Closed"},
        "alarms": [{"sensor_id": "a", "rules": ["high"]}]}]})
}

fn of_a(events: &[Event]) -> Vec<&'static str> {
    let is_high = |event: &&Event| event.alarm_key() == "1:high";
    events.iter().filter(is_high).map(|event| event.transition).collect()
}

#[test]
fn what_rests_by_design_is_told_when_it_rests_no_longer() {
    let mut core = facility(&resting());
    calm(&mut core, 1);
    let events = read(&mut core, &[("command", 2, "Closed")]);
    assert_eq!(of_a(&events), ["suppressed"]);
    assert_eq!((&*events[0].actor, &*events[0].reason), ("system", "by design: shut in is so"));
    assert_eq!(of_a(&read(&mut core, &[("a", 3, "30")])), ["activated_silently"]);
    assert_eq!(of_a(&read(&mut core, &[("command", 4, "Open")])), ["unsuppressed", "activated"]);
}

#[test]
fn what_is_not_known_suppresses_nothing() {
    let mut core = facility(&resting());
    read(&mut core, &[("a", 1, "30"), ("command", 1, "Closed")]);
    let mut all = Vec::new();
    for at_s in (0..=200).step_by(10) {
        all.extend(of_a(&wait(&mut core, at_s)));
        all.extend(of_a(&read(&mut core, &[("a", at_s + 2, "30")])));
    }
    assert_eq!(all, ["unsuppressed", "activated"]);
}

#[test]
fn what_a_person_took_out_of_service_stays_so() {
    let mut core = facility(&resting());
    ask(&mut core, 1, "out_of_service", "1:high");
    assert_eq!(of_a(&read(&mut core, &[("command", 2, "Closed")])), [""; 0]);
    assert_eq!(of_a(&read(&mut core, &[("command", 3, "Open")])), [""; 0]);
    // back in service while it is so, it rests at once
    read(&mut core, &[("command", 4, "Closed")]);
    assert_eq!(of_a(&ask(&mut core, 5, "return_to_service", "1:high")), ["in_service", "suppressed"]);
    // a person's word holds until it is so anew
    assert_eq!(of_a(&ask(&mut core, 6, "unsuppress", "1:high")), ["unsuppressed"]);
    assert_eq!(of_a(&read(&mut core, &[("command", 7, "Closed"), ("command", 8, "Open")])), [""; 0]);
    assert_eq!(of_a(&read(&mut core, &[("command", 9, "Closed")])), ["suppressed"]);
}

#[test]
fn a_suppression_that_is_removed_gives_everything_back() {
    let mut core = facility(&resting());
    read(&mut core, &[("command", 2, "Closed"), ("a", 3, "30")]);
    let events = act(&mut core, EntryKind::Config, &configuration(&sensors(), &json!({})));
    assert_eq!(of_a(&events), ["unsuppressed", "activated"]);
}

#[test]
fn a_core_that_was_rebuilt_from_the_journal_knows_groups() {
    let mut core = facility(&two_of_three());
    calm(&mut core, 1);
    let alarm = |no, rule: &str| ToldAlarm {
        sensor_no: Some(no),
        rule: rule.into(),
        active: true,
        acknowledged: true,
        since_us: START_US,
    };
    let told = [alarm(VOTE_NO, "vote"), alarm(VOTE_NO + 1, "vote"), alarm(1, "high"), alarm(2, "high")];
    assert_eq!(core.recall(&told), ["101:vote"]);
    assert_eq!(of_groups(&calm(&mut core, 5)), [(key("vote"), "returned")]);
}

#[test]
fn what_was_suppressed_before_a_rebuild_is_given_back_once() {
    let mut core = facility(&resting());
    read(&mut core, &[("command", 2, "Open")]);
    core.recall(&[]);
    assert_eq!(of_a(&wait(&mut core, 10)), ["unsuppressed"]);
    assert_eq!(of_a(&wait(&mut core, 20)), [""; 0]);
}

/// Ten groups of three; three of ten sensors fall silent.
#[test]
fn a_third_of_the_sensors_is_cut_off() {
    let ids: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
    let all: Vec<Value> = ids.iter().enumerate().map(|(no, id)| gas(id, no as i32 + 1, "Active")).collect();
    let groups: Vec<Value> = (0..10)
        .map(|group| {
            let members: Vec<Value> =
                (0..3).map(|member| json!({"sensor_id": ids[3 * group + member], "rules": ["high"]})).collect();
            json!({"no": VOTE_NO + group as i32, "name": format!("G{group}"), "kind": "vote", "votes": 2,
                "members": members})
        })
        .collect();
    let mut core = Core::new(FACILITY, Settings::default());
    core.apply(EntryKind::Config, &configuration(&all, &json!({"groups": groups}))).unwrap();
    let value = |number: usize| if number < 6 { "30" } else { "15" };
    let rows = |cut: bool, at_s: i64| -> Vec<(&str, i64, &str)> {
        let there = ids.iter().enumerate().filter(|(number, _)| !cut || number % 3 != 0);
        there.map(|(number, id)| (id.as_str(), at_s, value(number))).collect()
    };
    wait(&mut core, 0);
    read(&mut core, &rows(false, 1));
    let mut events = Vec::new();
    for at_s in (10..=200).step_by(10) {
        events.extend(read(&mut core, &rows(true, at_s)));
        events.extend(wait(&mut core, at_s));
    }
    let count = |rule: &str, transition: &str| {
        events.iter().filter(|event| event.rule.name() == rule && event.transition == transition).count()
    };
    assert_eq!(events.iter().filter(|event| event.transition == "returned").count(), 0);
    assert_eq!((count("stale", "activated"), count("vote_degraded", "activated")), (10, 10));
    assert_eq!(count("vote_lost", "activated"), 0);
}

#[test]
fn what_is_wrong_is_refused_with_a_sentence() {
    let refused = |groups: Value| {
        let mut core = Core::new(FACILITY, Settings::default());
        core.apply(EntryKind::Config, &configuration(&sensors(), &groups)).unwrap_err().0
    };
    let with = |change: Value| {
        let mut groups = two_of_three();
        for (name, value) in change.as_object().unwrap() {
            groups["groups"][0][name] = value.clone();
        }
        refused(groups)
    };
    let member = |id: &str, rule: &str| json!({"sensor_id": id, "rules": [rule]});
    let many = |count: usize| (0..count).map(|number| member(&number.to_string(), "high")).collect::<Vec<_>>();
    for (change, said) in [
        (json!({"votes": 4}), "votes is 4, which is not within 1 and its 3 members"),
        (json!({"votes": 0}), "votes is 0"),
        (json!({"members": []}), "it has no members"),
        (json!({"members": [member("a", "high"), member("a", "low")]}), "\"a\" stands twice"),
        (json!({"members": [member("a", "stale")], "votes": 1}), "about the measuring"),
        (json!({"members": [member("a", "vote")], "votes": 1}), "no rule \"vote\""),
        (json!({"members": many(33)}), "33 members; 32 are the most"),
        (json!({"degraded": "never"}), "known are safe and same"),
        (json!({"limit": 3}), "has no limit"),
        (json!({"kind": "council"}), "unknown kind \"council\""),
        (json!({"name": " "}), "a name is empty"),
        (json!({"name": "x".repeat(201)}), "201 bytes; 200 are the most"),
        (json!({"on_delay_s": 86_401}), "not within 0 and 86400"),
    ] {
        assert!(with(change.clone()).contains(said), "{change}: {}", with(change.clone()));
    }
    let mut core = Core::new(FACILITY, Settings::default());
    let mut widest = two_of_three();
    widest["groups"][0]["members"] = many(32).into();
    widest["groups"][0]["name"] = "x".repeat(200).into();
    core.apply(EntryKind::Config, &configuration(&sensors(), &widest)).unwrap();
    let one = &two_of_three()["groups"][0];
    let groups = |count: i32| {
        let each = |number: i32| {
            let mut group = one.clone();
            group["no"] = number.into();
            group["name"] = number.to_string().into();
            group
        };
        json!({"groups": (0..count).map(each).collect::<Vec<_>>()})
    };
    core.apply(EntryKind::Config, &configuration(&sensors(), &groups(200))).unwrap();
    assert!(refused(groups(201)).contains("201 groups; 200 are the most"));
    let rest = |name: &str, alarms: Vec<Value>| json!({"name": name, "while": {"sensor_id": "b", "rule": "high"}, "alarms": alarms});
    let rests = |count: usize| {
        let one = |number: usize| rest(&format!("r{number}"), vec![member(&number.to_string(), "high")]);
        json!({"rests": (0..count).map(one).collect::<Vec<_>>()})
    };
    core.apply(EntryKind::Config, &configuration(&sensors(), &rests(200))).unwrap();
    assert!(refused(rests(201)).contains("201 suppressions by design; 200 are the most"));
    let resting_of = |count: usize| json!({"rests": [rest("many", many(count))]});
    core.apply(EntryKind::Config, &configuration(&sensors(), &resting_of(64))).unwrap();
    assert!(refused(resting_of(65)).contains("65 alarms; 64 are the most"));
    assert!(refused(resting_of(0)).contains("it suppresses nothing"));
    let twice = json!({"rests": [resting()["rests"][0], {"name": "again",
        "while": {"sensor_id": "b", "rule": "high"}, "alarms": [member("a", "high")]}]});
    assert!(refused(twice).contains("stands twice"));
}

proptest! {
    #![proptest_config(cases(64))]

    /// Any split into batches is the same journal and the same state, also where another process goes on after each.
    #[test]
    fn any_split_tells_the_same(
        rows in prop::collection::vec((0usize..5, prop::sample::select(vec!["15", "30", "Bad", "Open", "Closed"])), 1..60),
        cuts in prop::collection::vec(0usize..60, 0..6),
    ) {
        let mut groups = two_of_three();
        groups["groups"].as_array_mut().unwrap().push(json!({"no": 101, "name": "V", "kind": "discrepancy",
            "commanded": "command", "reported": "reported", "on_delay_s": 3}));
        groups["groups"].as_array_mut().unwrap().push(json!({"no": 102, "name": "C", "kind": "combination",
            "when": {"any": [{"all": [{"sensor_id": "a", "above": 20}, {"sensor_id": "reported", "is": "open"}]},
                {"not": {"sensor_id": "b", "above": 20}}, {"sensor_id": "c", "rule": "high"}]}}));
        groups["rests"] = resting()["rests"].clone();
        let ids = ["a", "b", "c", "command", "reported"];
        let told = |cuts: &[usize]| {
            let mut core = facility(&groups);
            let mut events = Vec::new();
            let mut builder = BatchBuilder::new(FACILITY, START_US + 100 * S);
            let mut open = 0;
            for (number, (which, text)) in rows.iter().enumerate() {
                if cuts.contains(&number) && open > 0 {
                    let whole = std::mem::replace(&mut builder, BatchBuilder::new(FACILITY, START_US + 100 * S));
                    events.extend(core.apply(EntryKind::Batch, &whole.encode()).unwrap().events);
                    core = snapshot::load(FACILITY, &snapshot::save(&core), Settings::default()).unwrap();
                    open = 0;
                }
                builder.push(ids[*which], START_US + (number as i64 + 1) * S, Datum::of(text));
                open += 1;
            }
            events.extend(core.apply(EntryKind::Batch, &builder.encode()).unwrap().events);
            (events, snapshot::save(&core))
        };
        let one_by_one: Vec<usize> = (0..rows.len()).collect();
        let whole = told(&[]);
        prop_assert_eq!(&told(&cuts), &whole);
        prop_assert_eq!(&told(&one_by_one), &whole);
    }
}
