//! The life of an alarm: what every event does in every state, and how commands and ticks reach it.

mod small_facility;

use _native::alarm::{Alarm, Condition, Elapsed, Suppression, Suppressor};
use _native::alarms::Alarms;
use _native::command::{Action, Known};
use _native::config::Settings;
use _native::core::Core;
use _native::course::Course;
use _native::effects::Effects;
use _native::entry::EntryKind;
use _native::rule::Rule;
use _native::rule_set::{RuleSet, Spec};
use _native::rules;
use _native::snapshot;
use small_facility::{apply, config, core, sensor, tick, told, FACILITY, S, START_US};

const SUPPRESSORS: [Suppressor; 3] = [Suppressor::Shelf, Suppressor::Design, Suppressor::Service];
/// When suppressions end, in the product of states and events.
const UNTIL_US: i64 = 100;

#[derive(Debug, Clone)]
enum Happening {
    Reading(Condition),
    Do(Action),
    Tick(i64),
}

fn happenings() -> Vec<Happening> {
    let readings = [Condition::Violated, Condition::Between, Condition::Clear].map(Happening::Reading);
    let holds = SUPPRESSORS.map(|by| Action::Suppress(Suppression { by, until_us: Some(UNTIL_US) }));
    let others = [Action::Acknowledge, Action::Comment, Action::Assign(Some("Ada".into())), Action::Reset];
    let actions = holds.into_iter().chain(SUPPRESSORS.map(Action::Release)).chain(others).map(Happening::Do);
    readings.into_iter().chain(actions).chain([UNTIL_US - 1, UNTIL_US].map(Happening::Tick)).collect()
}

/// A gas detector's high alarm, perhaps one that must be reset.
fn spec(latched: bool) -> Spec {
    let set = RuleSet::of_type(rules::find("GasDetection").unwrap());
    Spec { latched, ..set.spec(Rule::High).unwrap().clone() }
}

/// What happens to an alarm: its new state, and what the journal is told.
fn happen(alarm: &Alarm, happening: &Happening, latched: bool) -> (Alarm, Vec<&'static str>) {
    let mut alarms = Alarms::default();
    alarms.put(Rule::High, alarm.clone(), Course::default());
    let mut told = Vec::new();
    match happening {
        Happening::Reading(condition) => {
            told.extend(alarms.step(&spec(latched), *condition, 50).map(|transition| transition.name()));
        }
        Happening::Do(action) => {
            told.extend(alarms.change(Rule::High, |each| action.change(&mut each.alarm, 60)));
            let is_back = matches!(action, Action::Release(_)) && !told.is_empty();
            told.extend((is_back && alarm.active).then_some("activated"));
        }
        Happening::Tick(at_us) => {
            for (_, elapsed) in alarms.tick(*at_us, &RuleSet::of_type(0)) {
                match elapsed {
                    Elapsed::Released(by) => told.push(_native::command::released(by)),
                    Elapsed::ReAlarmed => told.push("re_alarmed"),
                }
                told.extend((alarm.active && elapsed != Elapsed::ReAlarmed).then_some("activated"));
            }
        }
    }
    (alarms.get(Rule::High).clone(), told)
}

fn alarm(active: bool, acknowledged: bool, latched: bool) -> Alarm {
    let mut alarm = Alarm::NORMAL;
    (alarm.active, alarm.acknowledged, alarm.latched) = (active, acknowledged, latched);
    alarm
}

/// Every combination of the memories.
fn states() -> Vec<Alarm> {
    let mut states = Vec::new();
    for by in SUPPRESSORS.map(Some).into_iter().chain([None]) {
        for bits in 0..8 {
            let suppression = by.map(|by| Suppression { by, until_us: Some(UNTIL_US) });
            let (active, acknowledged, latched) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let mut state = alarm(active, acknowledged, latched);
            state.suppression = suppression;
            states.push(state);
        }
    }
    states
}

/// Rows: what is shown; columns: what happens. A cell: what is shown then, and what the journal is told.
#[test]
fn what_every_event_does_to_an_alarm_that_people_see() {
    let columns: [(&str, Happening); 7] = [
        ("violated", Happening::Reading(Condition::Violated)),
        ("between", Happening::Reading(Condition::Between)),
        ("clear", Happening::Reading(Condition::Clear)),
        ("acknowledge", Happening::Do(Action::Acknowledge)),
        ("reset", Happening::Do(Action::Reset)),
        ("unshelve", Happening::Do(Action::Release(Suppressor::Shelf))),
        ("shelve", Happening::Do(Action::Suppress(Suppression { by: Suppressor::Shelf, until_us: Some(UNTIL_US) }))),
    ];
    let table = [
        // active, acknowledged, latched
        (
            (false, true, false),
            ["unacknowledged activated", "normal", "normal", "normal", "normal", "normal", "shelved shelved"],
        ),
        (
            (true, false, false),
            [
                "unacknowledged",
                "unacknowledged",
                "returned_unacknowledged returned",
                "acknowledged acknowledged",
                "unacknowledged",
                "unacknowledged",
                "shelved shelved",
            ],
        ),
        (
            (true, true, false),
            [
                "acknowledged",
                "acknowledged",
                "normal returned",
                "acknowledged",
                "acknowledged",
                "acknowledged",
                "shelved shelved",
            ],
        ),
        (
            (false, false, false),
            [
                "unacknowledged activated",
                "returned_unacknowledged",
                "returned_unacknowledged",
                "normal acknowledged",
                "returned_unacknowledged",
                "returned_unacknowledged",
                "shelved shelved",
            ],
        ),
        (
            (true, false, true),
            [
                "unacknowledged",
                "unacknowledged",
                "latched returned",
                "acknowledged acknowledged",
                "unacknowledged",
                "unacknowledged",
                "shelved shelved",
            ],
        ),
        (
            (true, true, true),
            [
                "acknowledged",
                "acknowledged",
                "latched returned",
                "acknowledged",
                "acknowledged",
                "acknowledged",
                "shelved shelved",
            ],
        ),
        (
            (false, true, true),
            ["unacknowledged activated", "latched", "latched", "latched", "normal reset", "latched", "shelved shelved"],
        ),
        (
            (false, false, true),
            [
                "unacknowledged activated",
                "latched",
                "latched",
                "latched acknowledged",
                "returned_unacknowledged reset",
                "latched",
                "shelved shelved",
            ],
        ),
    ];
    for ((active, acknowledged, latched), cells) in table {
        let alarm = alarm(active, acknowledged, latched);
        for ((column, happening), expected) in columns.iter().zip(cells) {
            let (after, told) = happen(&alarm, happening, false);
            let found = std::iter::once(after.shown_as()).chain(told).collect::<Vec<_>>().join(" ");
            assert_eq!(found, expected, "{alarm:?} {column}");
        }
    }
}

/// All 32 states, all 15 events, a rule that latches and one that does not: what must hold in each.
#[test]
fn no_event_in_any_state_breaks_what_people_rely_on() {
    for (alarm, happening) in states().iter().flat_map(|alarm| happenings().into_iter().map(move |each| (alarm, each)))
    {
        for latched in [false, true] {
            let (after, told) = happen(alarm, &happening, latched);
            let context = format!("{alarm:?} {happening:?} {after:?} {told:?}");
            let was_hidden = alarm.suppression.is_some();
            match &happening {
                Happening::Reading(condition) => {
                    let begins = !alarm.active && *condition == Condition::Violated;
                    let ends = alarm.active && *condition == Condition::Clear;
                    let expected = match (begins, ends, was_hidden) {
                        (true, _, true) => vec!["activated_silently"],
                        (true, _, false) => vec!["activated"],
                        (_, true, _) => vec!["returned"],
                        _ => vec![],
                    };
                    assert_eq!((told, after.active), (expected, (alarm.active || begins) && !ends), "{context}");
                    assert_eq!(after.acknowledged, alarm.acknowledged && (!begins || was_hidden), "{context}");
                    assert_eq!(after.latched, alarm.latched || latched && after.active, "{context}");
                    assert_eq!(after.suppression, alarm.suppression, "{context}");
                }
                Happening::Do(action) => {
                    assert_eq!(after.active, alarm.active, "nobody clears what is true: {context}");
                    let expected = match action {
                        Action::Acknowledge => (!alarm.acknowledged, "acknowledged"),
                        Action::Comment => (true, "commented"),
                        Action::Judge(_) => (true, "verdict"),
                        Action::Assign(_) => (true, "assigned"),
                        Action::Reset => (alarm.latched && !alarm.active, "reset"),
                        Action::Suppress(Suppression { by, .. }) => (
                            alarm.suppression.is_none_or(|present| present.by <= *by),
                            ["shelved", "suppressed", "out_of_service"][*by as usize],
                        ),
                        Action::Release(by) => (
                            alarm.suppression.is_some_and(|present| present.by == *by),
                            ["unshelved", "unsuppressed", "in_service"][*by as usize],
                        ),
                    };
                    let (is_done, name) = expected;
                    let is_back = is_done && matches!(action, Action::Release(_));
                    let mut expected = vec![name; usize::from(is_done)];
                    expected.extend((is_back && alarm.active).then_some("activated"));
                    assert_eq!(told, expected, "{context}");
                    if !is_done {
                        assert_eq!(&after, alarm, "what makes no sense changes nothing: {context}");
                    }
                    let again = happen(&after, &happening, latched);
                    let is_repeatable = matches!(action, Action::Comment | Action::Suppress(_)) && is_done;
                    assert!(is_repeatable || again.1.is_empty(), "done twice is done once: {context}");
                    assert_eq!(again.0, after, "{context}");
                    if is_back && alarm.active {
                        assert!(!after.acknowledged, "told anew, to be acknowledged anew: {context}");
                    }
                }
                Happening::Tick(at_us) => {
                    let is_over = was_hidden && *at_us >= UNTIL_US;
                    assert_eq!(after.suppression.is_none(), is_over || !was_hidden, "{context}");
                    assert_eq!(told.last() == Some(&"activated"), is_over && alarm.active, "{context}");
                    assert_eq!(told.len(), usize::from(is_over) + usize::from(is_over && alarm.active), "{context}");
                    assert_eq!((after.active, after.latched), (alarm.active, alarm.latched), "{context}");
                }
            }
        }
    }
}

/// A command at a second, with whatever else it needs.
fn command(id: &str, at_s: i64, name: &str, key: &str, more: serde_json::Value) -> Vec<u8> {
    let mut command = serde_json::json!({
        "command_id": id, "at_us": START_US + at_s * S, "actor": "user:7", "command": name, "alarm_key": key, "reason": "because",
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        command[field] = value.clone();
    }
    command.to_string().into_bytes()
}

fn none() -> serde_json::Value {
    serde_json::json!({})
}

fn until(second: i64) -> serde_json::Value {
    serde_json::json!({"until_us": START_US + second * S})
}

/// Done to the core and to one restored from a snapshot of before, which must agree.
fn act(core: &mut Core, kind: EntryKind, payload: &[u8]) -> Effects {
    let mut resumed = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
    let effects = core.apply(kind, payload).unwrap();
    resumed.replay(kind, payload).unwrap();
    assert_eq!(snapshot::save(&resumed), snapshot::save(core));
    effects
}

fn ask(
    core: &mut Core,
    id: &str,
    at_s: i64,
    name: &str,
    key: &str,
    more: serde_json::Value,
) -> Vec<(&'static str, &'static str, i64)> {
    told(&act(core, EntryKind::Command, &command(id, at_s, name, key, more)))
}

#[test]
fn a_shelved_alarm_is_silent_and_told_when_its_time_is_over() {
    let mut core = core();
    assert_eq!(ask(&mut core, "a", 5, "shelve", "2:high", until(60)), [("high", "shelved", 5)]);
    assert_eq!(told(&apply(&mut core, &[("g", 10, "25")])), [("high", "activated_silently", 10)]);
    assert_eq!(told(&act(&mut core, EntryKind::Tick, &tick(59))), []);
    let over = act(&mut core, EntryKind::Tick, &tick(60));
    assert_eq!(told(&over), [("high", "unshelved", 60), ("high", "activated", 60)]);
    let [unshelved, activated] = over.events.as_slice() else { panic!("{:?}", over.events) };
    assert_eq!((&*unshelved.actor, &*unshelved.reason), ("system", "its time is over"));
    assert_eq!(&*activated.reason, "shelving ended, still above maximum");
    assert_eq!(
        activated.message,
        "Problem detected: GasDetection Sensor value in Alpha is still above maximum threshold (20.0)"
    );
    assert_eq!((activated.value, activated.limit), (Some(25.0), Some(20.0)));
    assert_eq!(core.sensors[1].alarms.get(Rule::High).shown_as(), "unacknowledged");
    assert_eq!(told(&apply(&mut core, &[("g", 70, "15")])), [("high", "returned", 70)]);
}

#[test]
fn what_began_and_ended_on_the_shelf_was_told_to_nobody_and_waits_for_nobody() {
    let mut core = core();
    ask(&mut core, "a", 5, "shelve", "2:high", until(60));
    let effects = apply(&mut core, &[("g", 10, "25"), ("g", 20, "15")]);
    assert_eq!(told(&effects), [("high", "activated_silently", 10), ("high", "returned", 20)]);
    assert_eq!(told(&act(&mut core, EntryKind::Tick, &tick(60))), [("high", "unshelved", 60)]);
    assert!(core.sensors[1].alarms.get(Rule::High).is_normal());
}

#[test]
fn the_stronger_suppression_stays_and_the_weaker_one_does_not_come_back() {
    let mut core = core();
    ask(&mut core, "a", 1, "shelve", "2:low", until(60));
    assert_eq!(
        ask(&mut core, "b", 2, "out_of_service", "2:low", serde_json::json!({"work_order": "WO-9"})),
        [("low", "out_of_service", 2)]
    );
    assert_eq!(ask(&mut core, "c", 3, "suppress", "2:low", none()), []);
    assert_eq!(ask(&mut core, "d", 4, "shelve", "2:low", until(70)), []);
    assert_eq!(ask(&mut core, "e", 5, "unshelve", "2:low", none()), []);
    assert_eq!(told(&act(&mut core, EntryKind::Tick, &tick(80))), [], "the shelf's time went with the shelf");
    assert_eq!(ask(&mut core, "f", 90, "return_to_service", "2:low", none()), [("low", "in_service", 90)]);
    assert!(core.sensors[1].alarms.get(Rule::Low).is_normal());
}

#[test]
fn out_of_service_for_a_time_ends_by_itself() {
    let mut core = core();
    ask(&mut core, "a", 1, "out_of_service", "1:stale", until(30));
    assert_eq!(told(&act(&mut core, EntryKind::Tick, &tick(30))), [("stale", "in_service", 30)]);
}

#[test]
fn a_command_says_who_and_why_and_comes_once() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    let asked = command("one", 9, "assign", "2:high", serde_json::json!({"assignee": "Ada"}));
    let effects = act(&mut core, EntryKind::Command, &asked);
    let [event] = effects.events.as_slice() else { panic!("{:?}", effects.events) };
    assert_eq!((&*event.actor, &*event.reason, event.transition), ("user:7", "because", "assigned"));
    assert_eq!(event.message, "GasDetection Sensor value in Alpha, high: assigned to Ada");
    let fields: serde_json::Value = serde_json::from_str(&event.explanation_json).unwrap();
    assert_eq!((&fields["command_id"], &fields["assignee"]), (&"one".into(), &"Ada".into()));
    let before = snapshot::save(&core);
    assert!(core.apply(EntryKind::Command, &asked).unwrap().events.is_empty());
    assert_eq!(snapshot::save(&core), before);
    assert_eq!(core.sensors[1].alarms.get(Rule::High).assignee.as_deref(), Some("Ada"));
    assert_eq!(
        ask(&mut core, "two", 10, "assign", "2:high", serde_json::json!({"assignee": ""})),
        [("high", "assigned", 10)]
    );
    assert_eq!(core.sensors[1].alarms.get(Rule::High).assignee, None);
    assert_eq!(ask(&mut core, "three", 11, "comment", "2:high", none()), [("high", "commented", 11)]);
    assert_eq!(ask(&mut core, "four", 12, "acknowledge", "2:high", none()), [("high", "acknowledged", 12)]);
    assert_eq!(ask(&mut core, "five", 13, "acknowledge", "2:high", none()), []);
}

#[test]
fn a_verdict_is_about_an_activation_and_moves_nothing() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    let alarm = core.sensors[1].alarms.get(Rule::High).clone();
    let said = serde_json::json!({"verdict": "false", "about_event_id": 7});
    let effects = act(&mut core, EntryKind::Command, &command("one", 9, "verdict", "2:high", said));
    let [event] = effects.events.as_slice() else { panic!("{:?}", effects.events) };
    assert_eq!((&*event.actor, &*event.reason, event.transition), ("user:7", "because", "verdict"));
    assert_eq!(event.message, "GasDetection Sensor value in Alpha, high: false alarm, as somebody says");
    let fields: serde_json::Value = serde_json::from_str(&event.explanation_json).unwrap();
    assert_eq!((&fields["verdict"], &fields["about_event_id"]), (&"false".into(), &7.into()));
    assert_eq!(core.sensors[1].alarms.get(Rule::High), &alarm);
    for (said, reason) in [
        (serde_json::json!({"verdict": "maybe", "about_event_id": 7}), "verdict is one of true, false, expected"),
        (serde_json::json!({"about_event_id": 7}), "verdict is one of true, false, expected"),
        (serde_json::json!({"verdict": "true"}), "verdict needs about_event_id"),
        (serde_json::json!({"verdict": "true", "about_event_id": 0}), "verdict needs about_event_id"),
    ] {
        let refused = core.apply(EntryKind::Command, &command("two", 10, "verdict", "2:high", said)).unwrap_err();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn commands_are_remembered_and_the_oldest_forgotten() {
    let mut known = Known::default();
    (0..1_024).for_each(|number| known.add(&format!("id{number}")));
    assert!(known.has("id0") && known.has("id1023"));
    known.add("one more");
    assert!(!known.has("id0") && known.has("id1") && known.has("one more"));
}

#[test]
fn the_facility_has_an_alarm_to_command_too() {
    let mut core = core();
    assert_eq!(
        ask(&mut core, "a", 1, "shelve", "facility:facility_anomaly", until(9)),
        [("facility_anomaly", "shelved", 1)]
    );
    let over = act(&mut core, EntryKind::Tick, &tick(9));
    assert_eq!(told(&over), [("facility_anomaly", "unshelved", 9)]);
    assert_eq!(over.events[0].alarm_key(), "facility:facility_anomaly");
}

#[test]
fn a_late_violation_of_a_shelved_alarm_alerts_nobody() {
    let mut core = core();
    apply(&mut core, &[("g", 100, "15")]);
    ask(&mut core, "a", 100, "shelve", "2:high", until(500));
    assert_eq!(told(&apply(&mut core, &[("g", 50, "25")])), [("high", "late_exceedance", 50)]);
}

#[test]
fn what_is_no_command_is_said_clearly_and_changes_nothing() {
    let mut core = core();
    let before = snapshot::save(&core);
    let edit = |field: &str, value: serde_json::Value| {
        let mut command: serde_json::Value =
            serde_json::from_slice(&command("a", 1, "shelve", "2:high", until(60))).unwrap();
        command[field] = value;
        command.to_string().into_bytes()
    };
    let day = START_US + 86_400 * S;
    for (payload, says) in [
        (edit("command_id", "".into()), "command_id"),
        (edit("command_id", "a".repeat(65).into()), "command_id"),
        (edit("command_id", "a b".into()), "command_id"),
        (edit("at_us", (-1).into()), "at_us"),
        (edit("actor", " ".into()), "actor"),
        (edit("actor", "a\u{7}".into()), "actor"),
        (edit("actor", "a".repeat(257).into()), "actor of 257 bytes; 256 are the most"),
        (edit("reason", " ".into()), "shelve needs a reason"),
        (edit("reason", "a".repeat(2_001).into()), "reason of 2001 bytes"),
        (edit("until_us", serde_json::Value::Null), "shelve needs until_us"),
        (edit("until_us", (START_US + S).into()), "is not after at_us"),
        (edit("until_us", day.into()), "28800 are the most"),
        (edit("command", "dance".into()), "unknown command \"dance\""),
        (edit("command", "assign".into()), "needs an assignee"),
        (edit("alarm_key", "3:high".into()), "no alarm here has the key \"3:high\""),
        (edit("alarm_key", "02:high".into()), "no alarm can have the key"),
        (edit("alarm_key", "2:unheard".into()), "no alarm can have the key"),
        (edit("alarm_key", "2:facility_anomaly".into()), "no alarm can have the key"),
        (edit("alarm_key", "facility:high".into()), "no alarm can have the key"),
        (edit("alarm_key", "high".into()), "no alarm can have the key"),
        (b"{}".to_vec(), "command"),
    ] {
        let error = core.apply(EntryKind::Command, &payload).unwrap_err();
        assert!(error.0.contains(says), "{} should say {says}", error.0);
        assert_eq!(snapshot::save(&core), before, "{says}");
    }
    for good in [
        edit("command_id", "a".repeat(64).into()),
        edit("actor", "a".repeat(256).into()),
        edit("reason", "a".repeat(2_000).into()),
        edit("until_us", (START_US + S + 28_800 * S).into()),
    ] {
        assert_eq!(core.clone().apply(EntryKind::Command, &good).unwrap().events.len(), 1);
    }
}

#[test]
fn a_replay_trusts_what_was_allowed_then() {
    let settings = Settings { shelve_s_max: 10.0, ..Settings::default() };
    let mut strict = snapshot::load(FACILITY, &snapshot::save(&core()), settings).unwrap();
    let long = command("a", 1, "shelve", "2:high", until(60));
    assert!(strict.apply(EntryKind::Command, &long).is_err());
    strict.replay(EntryKind::Command, &long).unwrap();
    assert_eq!(strict.sensors[1].alarms.get(Rule::High).shown_as(), "shelved");
}

#[test]
fn a_sensor_out_of_use_keeps_what_people_did_to_its_alarms() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    ask(&mut core, "a", 1, "shelve", "2:high", until(60));
    let effects = act(&mut core, EntryKind::Config, &config(2, &[sensor("g", 2, "GasDetection", "Inactive")]));
    assert_eq!(told(&effects), [("high", "returned", 0)]);
    assert_eq!(told(&act(&mut core, EntryKind::Tick, &tick(60))), [("high", "unshelved", 60)]);
    assert_eq!(core.sensors[1].alarms.get(Rule::High).shown_as(), "returned_unacknowledged");
}
