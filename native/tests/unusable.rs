//! Sensors that send something all the time and tell nothing by it: people are told as they are of the silent ones.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::journal::Event;
use _native::rule::Rule;
use _native::snapshot;
use small_facility::{apply, batch, config, core, sensor, tick, FACILITY};

/// A sensor of this type numbered 2, as the only one in use.
fn facility_of(kind: &str) -> Core {
    let mut core = core();
    let sensors = [sensor("t", 1, "Temperature", "Inactive"), sensor("g", 2, kind, "Active")];
    core.apply(EntryKind::Config, &config(2, &sensors)).unwrap();
    core
}

/// The same text every four seconds, and ticks; each step also by a core that begins anew with a snapshot.
fn send(core: &mut Core, text: &str, seconds: std::ops::Range<i64>) -> Vec<Event> {
    let mut told = Vec::new();
    for at_s in seconds.step_by(4) {
        let steps = [(EntryKind::Batch, batch(&[("g", at_s, text)], at_s)), (EntryKind::Tick, tick(at_s))];
        for (kind, payload) in steps {
            let mut again = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
            let mut replayed = again.clone();
            let events = core.apply(kind, &payload).unwrap().events;
            assert_eq!(again.apply(kind, &payload).unwrap().events, events);
            replayed.replay(kind, &payload).unwrap();
            let state = snapshot::save(core);
            assert!(snapshot::save(&again) == state && snapshot::save(&replayed) == state);
            told.extend(events);
        }
    }
    told
}

fn transitions(events: &[Event]) -> Vec<(&'static str, &'static str)> {
    events.iter().map(|event| (event.rule.name(), event.transition)).collect()
}

const NO_NUMBERS: [&str; 12] =
    ["Bad", "NaN", "", "35,0", "35 ppm", "1e999", "-inf", "true", "ON", "null", "[35]", "I/O Timeout"];

#[test]
fn text_keeps_no_detector_from_being_stale_and_the_alert_shows_it() {
    for text in NO_NUMBERS {
        let mut core = facility_of("GasDetection");
        assert_eq!(send(&mut core, "15", 0..8), []);
        let told = send(&mut core, text, 8..400);
        assert_eq!(transitions(&told), [("bad_value", "activated")], "{text:?}");
        let since = "GasDetection Sensor in Alpha: no usable value since 2026-01-01T00:00:04, last received";
        assert!(told[0].message.starts_with(&format!("{since} '{text}'")), "{}", told[0].message);
        assert_eq!((told[0].priority.name(), told[0].rule.alert_type()), ("high", "System"), "as loud as its limits");
        let explained: serde_json::Value = serde_json::from_str(&told[0].explanation_json).unwrap();
        assert_eq!(explained["last_usable_at"], "2026-01-01T00:00:04");
        assert_eq!(explained["last_received"], serde_json::json!([format!("'{text}'")]));
        let back = send(&mut core, "15", 400..408);
        assert_eq!(transitions(&back), [("bad_value", "returned")]);
        assert_eq!(back[0].message, "GasDetection Sensor in Alpha gives usable values again");
        assert_eq!(back[0].reason, "a usable value arrived");
    }
}

#[test]
fn it_comes_when_silence_would_be_told() {
    let (mut unusable, mut silent) = (facility_of("GasDetection"), facility_of("GasDetection"));
    let texts = send(&mut unusable, "Bad", 0..200);
    let ticks = (0..200).step_by(4).flat_map(|at_s| silent.apply(EntryKind::Tick, &tick(at_s)).unwrap().events);
    let silence: Vec<Event> = ticks.collect();
    assert_eq!(texts[0].event_time_us, silence[0].event_time_us);
    assert_eq!(texts[0].message, "GasDetection Sensor in Alpha: no usable value so far, last received 'Bad'");
    assert_eq!(silence[0].message, "No reading from GasDetection Sensor in Alpha for more than 75 s");
}

#[test]
fn words_are_readings_of_the_types_that_have_them_and_of_no_other() {
    for kind in ["ValveStatus", "PumpStatus", "CompressorStatus"] {
        assert_eq!(send(&mut facility_of(kind), "Bad", 0..400), [], "{kind}");
    }
    for kind in ["FlameDetection", "LeakDetection", "Temperature"] {
        for text in ["true", "on", "false"] {
            assert_eq!(
                transitions(&send(&mut facility_of(kind), text, 0..400)),
                [("bad_value", "activated")],
                "{kind}"
            );
        }
    }
}

#[test]
fn of_a_number_that_nothing_measures_one_rule_speaks() {
    let outside = [("out_of_physical_range", "activated")];
    for (kind, text) in [("FlameDetection", "-1e13"), ("GasDetection", "1e300"), ("GasDetection", "-1e300")] {
        assert_eq!(transitions(&send(&mut facility_of(kind), text, 0..400)), outside, "{kind} {text}");
    }
    let mut narrow = sensor("g", 2, "GasDetection", "Active");
    narrow["detection"] = serde_json::json!({"physical_low": 12.0, "physical_high": 18.0});
    for (text, expected) in [("12", &[][..]), ("11.9", &outside), ("18", &[]), ("18.1", &outside)] {
        let mut core = facility_of("GasDetection");
        core.apply(EntryKind::Config, &config(3, std::slice::from_ref(&narrow))).unwrap();
        assert_eq!(transitions(&send(&mut core, text, 0..400)), expected, "{text}");
    }
}

#[test]
fn text_after_silence_is_told_at_once_and_maintenance_claims_no_value() {
    let mut core = facility_of("GasDetection");
    for at_s in (0..=100).step_by(10) {
        core.apply(EntryKind::Tick, &tick(at_s)).unwrap();
    }
    assert!(core.sensors[1].alarms.get(Rule::Stale).active);
    let told = send(&mut core, "Bad", 104..400);
    assert_eq!(transitions(&told), [("stale", "returned"), ("bad_value", "activated")], "at once: nobody is untold");
    assert_eq!(
        (told[0].event_time_us, &*told[0].reason),
        (told[1].event_time_us, "a reading arrived that cannot be used")
    );
    let maintenance = config(3, &[sensor("g", 2, "GasDetection", "Maintenance")]);
    let ended = core.apply(EntryKind::Config, &maintenance).unwrap().events;
    assert_eq!(transitions(&ended), [("bad_value", "returned")]);
    assert_eq!(ended[0].message, "GasDetection Sensor value in Alpha: the sensor is under maintenance or faulty");
}

#[test]
fn what_was_received_is_shown_short_and_without_controls() {
    for (text, shown) in [
        ("\u{1b}[2J\u{202e}ok\n", r"'\x1b[2J\u202eok\x0a'".to_owned()),
        (&"x".repeat(32), format!("'{}'", "x".repeat(32))),
        (&"é".repeat(33), format!("'{}…'", "é".repeat(32))),
    ] {
        let told = send(&mut facility_of("GasDetection"), text, 0..100);
        assert!(told[0].message.ends_with(&format!("last received {shown}")), "{}", told[0].message);
    }
}

#[test]
fn a_facility_counts_who_gives_nothing_usable_as_it_counts_the_silent() {
    let stale_of = |others: Option<&str>| {
        let mut core = core();
        let sensors = [3, 4].map(|no| sensor(&format!("n{no}"), no, "Noise", "Active"));
        core.apply(EntryKind::Config, &config(2, &sensors)).unwrap();
        for round in 0..3_000i64 {
            let value = format!("{:.2}", 15.0 + libm::sin(round as f64) + (round % 7) as f64 / 10.0);
            let noise = format!("{:.2}", 70.0 + libm::cos(round as f64) + (round % 5) as f64 / 10.0);
            let mut rows =
                vec![("g", 15 * round, value.as_str()), ("n3", 15 * round, &noise), ("n4", 15 * round, &noise)];
            let temperature = if round < 2_900 { Some("22.5") } else { others };
            rows.extend(temperature.map(|text| ("t", 15 * round, text)));
            apply(&mut core, &rows);
        }
        core.facility_scorer.latest.unwrap().stale
    };
    assert_eq!((stale_of(Some("22.5")), stale_of(None), stale_of(Some("Bad"))), (0, 1, 1));
}

#[test]
fn silence_after_text_has_been_told_and_both_are_told_once() {
    let mut core = facility_of("GasDetection");
    send(&mut core, "15", 0..8);
    let mut told = transitions(&send(&mut core, "Bad", 8..200));
    for at_s in (200..600).step_by(4) {
        told.extend(transitions(&core.apply(EntryKind::Tick, &tick(at_s)).unwrap().events));
    }
    assert_eq!(told, [("bad_value", "activated")]);
    // silence after a word that was not told yet
    let mut core = facility_of("GasDetection");
    send(&mut core, "15", 0..8);
    let mut told = transitions(&send(&mut core, "Bad", 8..12));
    for at_s in (12..600).step_by(4) {
        told.extend(transitions(&core.apply(EntryKind::Tick, &tick(at_s)).unwrap().events));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn the_last_different_texts_are_shown_with_what_to_set() {
    let mut core = facility_of("GasDetection");
    send(&mut core, "15", 0..4);
    for (at_s, text) in ["Bad", "35,0", "Bad", "I/O Timeout", "36,5", "36,5"].iter().enumerate() {
        apply(&mut core, &[("g", 4 + 4 * at_s as i64, *text)]);
    }
    let told = send(&mut core, "36,5", 28..200);
    let expected = "no usable value since 2026-01-01T00:00:00, last received '35,0', 'I/O Timeout', '36,5' \
                    (looks like a decimal comma: set number_format)";
    assert_eq!(told[0].message, format!("GasDetection Sensor in Alpha: {expected}"));
    let explained: serde_json::Value = serde_json::from_str(&told[0].explanation_json).unwrap();
    assert_eq!(
        (&explained["quality"], &explained["quality_reason"]),
        (&"bad".into(), &"BadDataEncodingInvalid".into())
    );
}

#[test]
fn a_sensor_may_spell_its_numbers_otherwise() {
    let set = |format: &str, unit: Option<&str>| {
        let mut core = facility_of("GasDetection");
        let mut changed = sensor("g", 2, "GasDetection", "Active");
        changed["number_format"] = format.into();
        changed["unit"] = unit.into();
        core.apply(EntryKind::Config, &config(3, &[changed])).unwrap();
        core
    };
    let told = send(&mut set("comma", Some("ppm")), "35,5 ppm", 0..400);
    assert_eq!(transitions(&told), [("high", "activated")]);
    assert_eq!(told[0].value, Some(35.5));
    assert_eq!(transitions(&send(&mut set("point", None), "35,5", 0..400)), [("bad_value", "activated")]);
    let mut wrong = sensor("g", 2, "GasDetection", "Active");
    wrong["number_format"] = "dot".into();
    assert!(core().apply(EntryKind::Config, &config(3, &[wrong.clone()])).is_err());
    wrong["number_format"] = "comma".into();
    wrong["unit"] = "5ppm".into();
    assert!(core().apply(EntryKind::Config, &config(3, &[wrong])).is_err());
}
