//! A facility's core as its owner sees it: what it tells, what it stores, and what must not change its state.

mod small_facility;

use _native::batch::with_numbers;
use _native::config::Settings;
use _native::core::Core;
use _native::effects::Effects;
use _native::entry::EntryKind;
use _native::flag;
use _native::journal::{Event, ToldAlarm};
use _native::rule::Rule;
use _native::snapshot;
use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use small_facility::{apply, batch, config, core, sensor, tick, told, tuples, FACILITY, S, START_US};

fn flags_of(effects: &Effects) -> Vec<u16> {
    tuples(&effects.copy_rows).iter().map(|tuple| tuple.flags & !flag::WARMING).collect()
}

#[test]
fn the_first_reading_outside_alerts_with_the_contracts_words() {
    let effects = apply(&mut core(), &[("t", 0, "25.0"), ("t", 15, "25.01"), ("t", 30, "26")]);
    assert_eq!(told(&effects), [("high", "activated", 15)]);
    let event = &effects.events[0];
    assert_eq!(event.message, "Problem detected: Temperature Sensor value in Alpha is above maximum threshold (25.0)");
    assert_eq!((event.value, event.limit, event.sensor_no, event.rule_version), (Some(25.01), Some(25.0), Some(1), 1));
    assert_eq!(
        (event.alarm_key().as_str(), event.priority.name(), event.rule.alert_type()),
        ("1:high", "medium", "Anomaly")
    );
    let low = apply(&mut core(), &[("g", 0, "9.99")]);
    assert_eq!(
        low.events[0].message,
        "Problem detected: GasDetection Sensor value in Alpha is below minimum threshold (10.0)"
    );
    assert_eq!(low.events[0].priority.name(), "high");
}

#[test]
fn an_excursion_ends_below_the_deadband_and_after_the_off_delay() {
    let readings = [
        ("t", 0, "26"),
        ("t", 15, "24.96"),
        ("t", 30, "24.95"),
        ("t", 75, "24.96"),
        ("t", 90, "24"),
        ("t", 149, "24"),
        ("t", 150, "24"),
    ];
    let effects = apply(&mut core(), &readings);
    assert_eq!(told(&effects), [("high", "activated", 0), ("high", "returned", 150)]);
}

#[test]
fn bad_and_missing_readings_return_nothing() {
    let mut core = core();
    let effects =
        apply(&mut core, &[("g", 0, "25"), ("g", 15, "NaN"), ("g", 30, "fault"), ("g", 45, "-1e9"), ("g", 60, "")]);
    // far below what is physical is no measurement: no low alarm, and no end of the high one
    assert_eq!(told(&effects), [("high", "activated", 0), ("out_of_physical_range", "activated", 45)]);
    assert_eq!(
        flags_of(&effects),
        [
            flag::ABOVE_HIGH,
            flag::TEXT | flag::NON_FINITE,
            flag::TEXT,
            flag::BELOW_LOW | flag::OUT_OF_PHYSICAL_RANGE,
            flag::TEXT
        ]
    );
    assert_eq!(effects.counts.bad, 2);
}

#[test]
fn what_is_stored_gives_the_text_back() {
    let texts = [
        "24.61", "24.60", "20", "5.0", "+21", "1e1", "007", " 22 ", "NaN", "offen", "", "1e300", "5e-324", "-0",
        "0.00001",
    ];
    let rows: Vec<_> = texts.iter().enumerate().map(|(at, text)| ("t", at as i64, *text)).collect();
    let effects = apply(&mut core(), &rows);
    for (tuple, text) in tuples(&effects.copy_rows).iter().zip(texts) {
        let shown = tuple.text.clone().unwrap_or_else(|| _native::number::repr(tuple.value.unwrap()));
        assert_eq!(shown, text);
        assert!(tuple.value.is_none_or(f64::is_finite));
        assert_eq!(tuple.value.is_none(), tuple.flags & flag::TEXT != 0, "{text}");
    }
    assert_eq!(tuples(&effects.copy_rows)[0].text, None);
    assert_eq!(effects.dirty_minutes, [START_US]);
}

#[test]
fn rows_of_unknown_sensors_are_handed_back() {
    let effects = apply(&mut core(), &[("x", 0, "1.50"), ("t", 1, "22.5")]);
    assert_eq!(effects.unknown, [("x".to_owned(), START_US, "1.50".to_owned())]);
    assert_eq!((effects.counts.rows, effects.counts.unknown), (1, 1));
    assert_eq!(effects.news, [None, Some(1)]);
}

#[test]
fn a_young_late_violation_is_told_once_and_leaves_the_present_alone() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "15"), ("g", 290, "15")]);
    let effects =
        core.apply(EntryKind::Batch, &batch(&[("g", 100, "21"), ("g", 115, "22"), ("g", 120, "15")], 300)).unwrap();
    assert_eq!(told(&effects), [("high", "activated", 100), ("high", "late_exceedance", 115)]);
    assert!(effects.events.iter().all(|event| event.late));
    assert_eq!(effects.events[0].only_if_stored, Some((2, START_US + 100 * S)));
    assert_eq!(flags_of(&effects), [flag::LATE | flag::ABOVE_HIGH, flag::LATE | flag::ABOVE_HIGH, flag::LATE]);
    assert_eq!(effects.counts.late, 3);
    let gas = &core.sensors[1];
    assert!(!gas.alarms.get(Rule::High).active && gas.newest.as_ref().unwrap().tracked_at_us == START_US + 290 * S);
}

#[test]
fn the_same_violation_twice_in_one_batch_is_told_once() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "15")]);
    let effects = apply(&mut core, &[("g", 100, "21"), ("g", 110, "15"), ("g", 100, "21"), ("g", 100, "21")]);
    assert_eq!(told(&effects), [("high", "activated", 100), ("high", "returned", 110)]);
    assert_eq!(told(&apply(&mut core, &[("g", 90, "22"), ("g", 90, "22")])).len(), 1);
}

#[test]
fn a_late_reading_is_scored_against_the_present_and_not_learned() {
    let mut core = core();
    let rows: Vec<_> = (0..400).map(|at| ("t", 1000 + at, format!("{}", 22.0 + (at % 9) as f64 / 10.0))).collect();
    core.apply(EntryKind::Batch, &batch(&rows, 1500)).unwrap();
    let before = snapshot::save(&core);
    let late = core.apply(EntryKind::Batch, &batch(&[("t", 900, "24.9"), ("t", 901, "22.4")], 1500)).unwrap();
    let scores: Vec<_> = tuples(&late.copy_rows).iter().map(|tuple| tuple.score.unwrap()).collect();
    assert!(scores[0] > 5.0 && scores[1] < scores[0] / 2.0, "{scores:?}");
    assert_eq!(snapshot::save(&core), before);
}

#[test]
fn an_old_late_violation_is_a_journal_entry_only() {
    let mut core = core();
    apply(&mut core, &[("g", 1000, "15")]);
    let effects = core.apply(EntryKind::Batch, &batch(&[("g", 0, "21")], 300)).unwrap();
    assert_eq!(told(&effects), [("high", "past_excursion", 0)]);
    assert!(effects.events[0].late && effects.events[0].only_if_stored == Some((2, START_US)));
}

#[test]
fn a_late_violation_inside_a_known_excursion_is_no_news() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "15"), ("g", 10, "25"), ("g", 40, "25"), ("g", 100, "15"), ("g", 200, "15")]);
    let effects = core.apply(EntryKind::Batch, &batch(&[("g", 20, "26")], 200)).unwrap();
    assert_eq!(told(&effects), [("high", "late_exceedance", 20)]);
}

#[test]
fn the_same_time_again_changes_no_state() {
    let mut core = core();
    apply(&mut core, &[("t", 0, "22.5")]);
    let before = snapshot::save(&core);
    apply(&mut core, &[("t", 0, "22.5"), ("t", 0, "22.50")]);
    assert_eq!(snapshot::save(&core), before);
    let effects = apply(&mut core, &[("t", 0, "22.5"), ("t", 0, "99"), ("t", 0, "22.50")]);
    assert_eq!(core.sensors[0].newest.as_ref().unwrap().data.datum().text(), "22.5");
    assert!(!core.sensors[0].alarms.get(Rule::High).active);
    assert_eq!((effects.counts.duplicate, effects.counts.conflict, effects.counts.rows), (1, 2, 3));
    assert!(effects.events.is_empty());
    assert_eq!(effects.news, [None, None, None]);
}

#[test]
fn silence_is_told_once_and_our_own_absence_is_not_silence() {
    let mut core = core();
    let mut events = Vec::new();
    let mut at =
        |core: &mut Core, seconds: i64| events.extend(told(&core.apply(EntryKind::Tick, &tick(seconds)).unwrap()));
    at(&mut core, 0);
    apply(&mut core, &[("t", 5, "22.5")]);
    for seconds in (10..=70).step_by(10) {
        at(&mut core, seconds);
    }
    at(&mut core, 3_670); // an hour without ticks: we were down, at most 20 s of it count
    assert_eq!(told(&core.apply(EntryKind::Tick, &tick(3_671)).unwrap()), [], "90 and 91 s of 75 were not heard");
}

#[test]
fn a_silent_sensor_is_stale_until_it_speaks() {
    let mut core = core();
    let ticks = |core: &mut Core, range: std::ops::RangeInclusive<i64>| -> Vec<_> {
        range.step_by(10).flat_map(|seconds| told(&core.apply(EntryKind::Tick, &tick(seconds)).unwrap())).collect()
    };
    assert_eq!(ticks(&mut core, 0..=70), []);
    apply(&mut core, &[("t", 70, "22.5")]);
    assert_eq!(
        ticks(&mut core, 80..=140),
        [("stale", "activated", 80)],
        "five intervals of 15 s; the other one spoke at 70"
    );
    assert_eq!(
        ticks(&mut core, 150..=300),
        [("stale", "activated", 150)],
        "now it is silent as well, each is told once"
    );
    assert_eq!(told(&apply(&mut core, &[("g", 310, "15")])), [("stale", "returned", 310)]);
    assert_eq!(
        told(&apply(&mut core, &[("t", 100, "22")])),
        [("stale", "returned", 150)],
        "never before the alarm began"
    );
}

#[test]
fn late_readings_and_duplicates_are_not_heard() {
    let mut core = core();
    apply(&mut core, &[("t", 100, "22.5"), ("g", 100, "15")]);
    for seconds in (0..=80).step_by(10) {
        core.apply(EntryKind::Tick, &tick(seconds)).unwrap();
        apply(&mut core, &[("t", 50, "22.5"), ("t", 100, "22.5")]);
    }
    assert!(core.sensors[0].alarms.get(Rule::Stale).active);
}

#[test]
fn an_inactive_sensor_stores_and_says_nothing() {
    let mut core = core();
    apply(&mut core, &[("g", 0, "25")]);
    let mut change: serde_json::Value =
        serde_json::from_slice(&config(2, &[sensor("g", 2, "GasDetection", "Inactive")])).unwrap();
    change["at_us"] = (START_US + 7 * S).into();
    let effects = core.apply(EntryKind::Config, change.to_string().as_bytes()).unwrap();
    assert_eq!(told(&effects), [("high", "returned", 7)]);
    assert_eq!(effects.events[0].reason, "the sensor was deactivated");
    let effects = apply(&mut core, &[("g", 10, "99"), ("g", 5, "99")]);
    assert_eq!((effects.counts.rows, effects.events.len()), (2, 0));
    for seconds in (0..=300).step_by(10) {
        let told = told(&core.apply(EntryKind::Tick, &tick(seconds)).unwrap());
        assert!(told.iter().all(|event| event.0 == "stale") && told.len() <= 1);
    }
    assert!(!core.sensors[1].alarms.get(Rule::Stale).active);
    core.apply(EntryKind::Config, &config(3, &[sensor("g", 2, "GasDetection", "Active")])).unwrap();
    assert_eq!(told(&apply(&mut core, &[("g", 20, "25")])), [("high", "activated", 20)]);
}

#[test]
fn a_sensor_back_in_use_has_its_whole_silence_before_it() {
    let mut core = core();
    core.apply(EntryKind::Config, &config(2, &[sensor("g", 2, "GasDetection", "Inactive")])).unwrap();
    for seconds in (0..=300).step_by(10) {
        core.apply(EntryKind::Tick, &tick(seconds)).unwrap();
    }
    core.apply(EntryKind::Config, &config(3, &[sensor("g", 2, "GasDetection", "Active")])).unwrap();
    assert_eq!(told(&core.apply(EntryKind::Tick, &tick(310)).unwrap()), []);
}

#[test]
fn payloads_that_cannot_be_applied_change_nothing() {
    let mut core = core();
    let before = snapshot::save(&core);
    let two = [sensor("n", 9, "Flow", "Active"), sensor("t", 77, "Temperature", "Active")];
    let mut wrong_type = sensor("n", 9, "Flow", "Active");
    wrong_type["type"] = "Unheard".into();
    let mut wrong_interval = sensor("n", 9, "Flow", "Active");
    wrong_interval["expected_interval_s"] = (-1).into();
    let mut foreign = _native::batch::BatchBuilder::new("elsewhere", 0);
    foreign.push("t", START_US, _native::number::Datum::of("1"));
    for (kind, payload) in [
        (EntryKind::Config, config(2, &two)),
        (EntryKind::Config, config(2, &[sensor("n", 1, "Flow", "Active")])),
        (EntryKind::Config, config(2, &[sensor("n", 8, "Flow", "Active"), sensor("m", 8, "Flow", "Active")])),
        (EntryKind::Config, config(2, &[sensor("n", 8, "Flow", "Active"), sensor("n", 9, "Flow", "Active")])),
        (EntryKind::Batch, with_numbers(&batch(&[("t", 0, "1")], 0), &[Some(99)]).unwrap()),
        (EntryKind::Config, config(2, &[wrong_type])),
        (EntryKind::Config, config(2, &[wrong_interval])),
        (EntryKind::Config, b"{}".to_vec()),
        (EntryKind::Config, b"{\"version\": 2, \"at_us\": -1}".to_vec()),
        (EntryKind::Tick, b"{\"watermark_us\": 9223372036854775807}".to_vec()),
        (EntryKind::Batch, batch(&[("t", 0, "1"), ("t", 9_000_000_000, "1")], 0)),
        (EntryKind::Batch, batch(&[("t", -START_US / S - 1, "1")], 0)),
        (EntryKind::Tick, b"[]".to_vec()),
        (EntryKind::Command, b"{\"op\":\"dance\"}".to_vec()),
        (EntryKind::Batch, b"GIB".to_vec()),
        (EntryKind::Batch, foreign.encode()),
    ] {
        assert!(core.apply(kind, &payload).is_err(), "{kind:?}");
        assert!(core.replay(kind, &payload).is_err(), "{kind:?}");
        assert_eq!(snapshot::save(&core), before);
    }
}

#[test]
fn damaged_and_foreign_snapshots_are_refused() {
    let core = core();
    let state = snapshot::save(&core);
    assert!(snapshot::load("elsewhere", &state, Settings::default()).is_err());
    for position in 0..state.len() {
        let mut damaged = state.clone();
        damaged[position] ^= 0x41;
        assert!(snapshot::load(FACILITY, &damaged, Settings::default()).is_err(), "byte {position}");
    }
    for length in 0..state.len() {
        assert!(snapshot::load(FACILITY, &state[..length], Settings::default()).is_err());
    }
    let mut other_version = state[..state.len() - 4].to_vec();
    other_version[3] = 99;
    other_version.extend(crc32fast::hash(&other_version).to_le_bytes());
    assert!(matches!(
        snapshot::load(FACILITY, &other_version, Settings::default()),
        Err(snapshot::SnapshotError::Version(_))
    ));
}

/// The same constant stands in the Python tests: the same bits from an unoptimised build and from the wheel, on every
/// machine. Who changes it on purpose changes what a core makes of its history and needs a new CORE_VERSION.
#[test]
fn a_known_history_gives_known_bits() {
    let mut core = core();
    let mut chance = 0u64;
    let mut copied = crc32fast::Hasher::new();
    for number in 0..200i64 {
        let mut rows = Vec::new();
        for step in 0..20 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = (chance >> 33) as i64;
            let sensor = ["t", "g"][(draw % 2) as usize];
            let hundredths =
                if sensor == "t" { 2100 } else { 1300 } + draw % 300 + if draw % 997 == 0 { 900 } else { 0 };
            let seconds = (number * 20 + step) * 15 + draw % 40;
            rows.push((sensor, seconds, format!("{}.{:02}", hundredths / 100, hundredths % 100)));
        }
        copied.update(&core.apply(EntryKind::Batch, &batch(&rows, number * 300 + 300)).unwrap().copy_rows);
        core.apply(EntryKind::Tick, &tick(number * 300)).unwrap();
    }
    assert!(core.sensors.iter().all(|sensor| sensor.newest.as_ref().unwrap().score.is_some()));
    let state = snapshot::save(&core);
    let hashed = crc32fast::hash(&state[..state.len() - 4]); // with its own crc every state would hash alike
    assert_eq!((hashed, copied.finalize()), (2_227_889_473, 485_343_442));
}

type Reading = (&'static str, i64, String);

fn reading() -> impl Strategy<Value = Reading> {
    let sensor = prop_oneof![5 => Just("t"), 4 => Just("g"), 1 => Just("unheard")];
    let text = prop_oneof![
        6 => (180..280i64).prop_map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
        2 => (50..260i64).prop_map(|tenths| (tenths as f64 / 10.0).to_string()),
        1 => any::<f64>().prop_map(|value| value.to_string()),
        1 => prop_oneof![Just("NaN"), Just("open"), Just(""), Just("1e300"), Just("-1e308"), Just("5e-324"), Just("1e999")].prop_map(str::to_owned),
    ];
    (sensor, 0..1500i64, text)
}

/// Mostly forward in time, with disorder: readings sorted in runs.
fn readings(count: usize) -> impl Strategy<Value = Vec<Reading>> {
    (prop::collection::vec(reading(), 1..count), any::<bool>()).prop_map(|(mut readings, in_order)| {
        if in_order {
            readings.sort_by_key(|reading| reading.1);
        } else {
            readings.chunks_mut(7).for_each(|run| run.sort_by_key(|reading| reading.1));
        }
        readings
    })
}

/// A step of a facility's life, as kind and payload.
fn step() -> impl Strategy<Value = (EntryKind, Vec<u8>)> {
    prop_oneof![
        6 => (readings(12), 1500..1900i64).prop_map(|(rows, received)| (EntryKind::Batch, batch(&rows, received))),
        3 => (0..2000i64).prop_map(|seconds| (EntryKind::Tick, tick(seconds))),
        1 => (2..9i64, prop_oneof![Just("Active"), Just("Inactive"), Just("Maintenance")])
            .prop_map(|(version, status)| (EntryKind::Config, config(version, &[sensor("g", 2, "GasDetection", status), sensor("unheard", 3, "Flow", "Active")]))),
    ]
}

/// Seconds to wait, perhaps a change of status, and a batch that is full of violations, lateness and equal times.
fn crowded_step() -> impl Strategy<Value = (i64, Option<&'static str>, Vec<Reading>)> {
    let row = (0..40i64, prop_oneof![2 => Just("15"), 2 => Just("25"), 1 => Just("5"), 1 => Just("x")]);
    let rows = (0..30i64, prop::collection::vec(row, 1..14))
        .prop_map(|(base, rows)| rows.into_iter().map(|(at, text)| ("g", 5 * (base + at), text.to_owned())).collect());
    let status = prop_oneof![6 => Just(None), 1 => Just(Some("Inactive")), 2 => Just(Some("Active"))];
    (0..30i64, status, rows)
}

proptest! {
    #![proptest_config(small_facility::cases(512))]

    #[test]
    fn a_batch_is_its_readings_one_by_one(rows in readings(60), cut in 0usize..60) {
        let (mut at_once, mut single, mut in_two) = (core(), core(), core());
        let whole = at_once.apply(EntryKind::Batch, &batch(&rows, 1600)).unwrap();
        let mut copy_rows = Vec::new();
        let mut events = Vec::new();
        let mut stored = HashSet::new();
        for row in &rows {
            let effects = single.apply(EntryKind::Batch, &batch(std::slice::from_ref(row), 1600)).unwrap();
            // A later step's event of a reading that is stored already is dropped by the database.
            events.extend(
                effects.events.into_iter().filter(|event| event.only_if_stored.is_none_or(|key| !stored.contains(&key))),
            );
            stored.extend(tuples(&effects.copy_rows).iter().map(|tuple| (tuple.sensor_no, tuple.tracked_at_us)));
            copy_rows.extend(effects.copy_rows);
        }
        for part in [&rows[..cut.min(rows.len())], &rows[cut.min(rows.len())..]] {
            in_two.apply(EntryKind::Batch, &batch(part, 1600)).unwrap();
        }
        prop_assert_eq!(&whole.copy_rows, &copy_rows);
        let of_the_present = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| event.transition != "past_excursion").cloned().collect()
        };
        prop_assert_eq!(of_the_present(&whole.events), of_the_present(&events));
        let passed = |events: &[Event]| -> BTreeSet<String> {
            events.iter().filter(|event| event.transition == "past_excursion").map(Event::alarm_key).collect()
        };
        prop_assert_eq!(passed(&whole.events), passed(&events));
        prop_assert_eq!(snapshot::save(&at_once), snapshot::save(&single));
        prop_assert_eq!(snapshot::save(&at_once), snapshot::save(&in_two));
    }

    #[test]
    fn a_redelivery_changes_no_state(steps in prop::collection::vec(crowded_step(), 1..10), again in 0usize..10, later in 0..400i64) {
        let mut core = core();
        let mut now = 0;
        let mut batches = Vec::new();
        for (wait, status, rows) in &steps {
            now += wait;
            core.apply(EntryKind::Tick, &tick(now)).unwrap();
            if let Some(status) = status {
                core.apply(EntryKind::Config, &config(now, &[sensor("g", 2, "GasDetection", status)])).unwrap();
            }
            core.apply(EntryKind::Batch, &batch(rows, 350 + now)).unwrap();
            batches.push((rows, 350 + now));
        }
        // while a clock is wrong, what came before cannot be told from what comes now
        prop_assume!(!core.sensors[1].alarms.get(Rule::Clock).active);
        let mut spared = core.clone();
        let (rows, received) = &batches[again % batches.len()];
        let effects = core.apply(EntryKind::Batch, &batch(rows, received + later)).unwrap();
        // nor where it is the last one that it takes to find that out
        prop_assume!(!core.sensors[1].alarms.get(Rule::Clock).active);
        // that a clock may be wrong is forgotten with the next reading that is stamped right
        let next = batch(&[("g", 5_000, "15")], 5_000);
        prop_assert_eq!(spared.apply(EntryKind::Batch, &next).unwrap().events, core.apply(EntryKind::Batch, &next).unwrap().events);
        prop_assert_eq!(snapshot::save(&core), snapshot::save(&spared));
        prop_assert!(effects.events.iter().all(|event| event.late && event.only_if_stored.is_some()));
    }

    #[test]
    fn a_replay_leaves_the_state_of_the_first_time(steps in prop::collection::vec(step(), 1..20)) {
        let (mut applied, mut replayed, mut from_log) = (core(), core(), core());
        for (kind, payload) in &steps {
            let effects = applied.apply(*kind, payload).unwrap();
            replayed.replay(*kind, payload).unwrap();
            let logged = match kind {
                EntryKind::Batch => with_numbers(payload, &effects.sensor_numbers).unwrap(),
                _ => payload.clone(),
            };
            from_log.replay(*kind, &logged).unwrap();
        }
        prop_assert_eq!(snapshot::save(&applied), snapshot::save(&replayed));
        prop_assert_eq!(snapshot::save(&applied), snapshot::save(&from_log));
    }

    #[test]
    fn a_snapshot_at_any_point_changes_nothing(steps in prop::collection::vec(step(), 1..16), cut in 0usize..16) {
        let mut whole = core();
        let mut resumed = core();
        for (index, (kind, payload)) in steps.iter().enumerate() {
            if index == cut % steps.len() {
                let state = snapshot::save(&resumed);
                resumed = snapshot::load(FACILITY, &state, Settings::default()).unwrap();
                prop_assert_eq!(snapshot::save(&resumed), state);
            }
            let (one, other) = (whole.apply(*kind, payload).unwrap(), resumed.apply(*kind, payload).unwrap());
            prop_assert_eq!(one.copy_rows, other.copy_rows);
            prop_assert_eq!(one.events, other.events);
        }
        prop_assert_eq!(snapshot::save(&whole), snapshot::save(&resumed));
    }

    #[test]
    fn a_snapshot_of_nonsense_with_a_right_crc_is_an_answer(steps in prop::collection::vec(step(), 1..6), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), after in step()) {
        let mut core = core();
        for (kind, payload) in &steps {
            core.replay(*kind, payload).unwrap();
        }
        let mut state = snapshot::save(&core);
        state.truncate(state.len() - 4);
        for (position, byte) in flips {
            let position = position.index(state.len());
            state[position] = byte;
        }
        state.extend(crc32fast::hash(&state).to_le_bytes());
        if let Ok(mut core) = snapshot::load(FACILITY, &state, Settings::default()) {
            prop_assert_eq!(snapshot::save(&core).len() > 4, true);
            let _ = core.apply(after.0, &after.1);
        }
    }

    #[test]
    fn journal_keys_are_unique(steps in prop::collection::vec(step(), 1..24)) {
        let mut core = core();
        let mut seen = std::collections::BTreeSet::new();
        for (kind, payload) in &steps {
            for event in core.apply(*kind, payload).unwrap().events.iter().filter(|event| !event.late) {
                prop_assert!(seen.insert((event.alarm_key(), event.transition, event.event_time_us, event.rule_version)), "{:?}", event);
            }
        }
    }

    #[test]
    fn a_core_that_knows_only_what_was_told_goes_on_from_there(steps in prop::collection::vec(step(), 2..24), cut in 1usize..24) {
        let mut core = core();
        let mut journal = std::collections::BTreeMap::new();
        for (index, (kind, payload)) in steps.iter().enumerate() {
            if index == cut % steps.len() {
                core = small_facility::core();
                for (_, config) in steps.iter().take(index).filter(|(kind, _)| *kind == EntryKind::Config) {
                    core.replay(EntryKind::Config, config).unwrap();
                }
                let told: Vec<ToldAlarm> = journal.values().cloned().collect();
                prop_assert_eq!(core.recall(&told), Vec::<String>::new());
            }
            for event in core.apply(*kind, payload).unwrap().events.iter().filter(|event| !event.late) {
                let active = event.transition.starts_with("activated");
                let told = ToldAlarm {
                    sensor_no: event.sensor_no,
                    rule: event.rule.name().to_owned(),
                    active,
                    acknowledged: false,
                    since_us: event.event_time_us,
                };
                let was = journal.insert(event.alarm_key(), told).is_some_and(|told| told.active);
                prop_assert_ne!(was, active, "{:?}", event);
            }
        }
    }

    #[test]
    fn activations_and_returns_take_turns(steps in prop::collection::vec(step(), 1..24)) {
        let mut core = core();
        let mut active = std::collections::BTreeMap::new();
        for (kind, payload) in &steps {
            for event in core.apply(*kind, payload).unwrap().events.iter().filter(|event| !event.late) {
                let is_active = event.transition.starts_with("activated");
                let was = active.insert(event.alarm_key(), is_active).unwrap_or(false);
                prop_assert_ne!(was, is_active, "{:?}", event);
                prop_assert!(event.score.is_none_or(f64::is_finite));
            }
        }
    }
}
