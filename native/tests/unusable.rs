//! Sensors that send something all the time and tell nothing by it: they are stale as the silent ones are.

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
        assert_eq!(transitions(&told), [("stale", "activated")], "{text:?}");
        let since = "GasDetection Sensor in Alpha: no usable value since 2026-01-01T00:00:04, last received";
        assert_eq!(told[0].message, format!("{since} '{text}'"));
        let explained: serde_json::Value = serde_json::from_str(&told[0].explanation_json).unwrap();
        assert_eq!(explained["last_usable_at"], "2026-01-01T00:00:04");
        assert_eq!(explained["last_received"], format!("'{text}'"));
        let back = send(&mut core, "15", 400..408);
        assert_eq!(transitions(&back), [("stale", "returned")]);
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
            assert_eq!(transitions(&send(&mut facility_of(kind), text, 0..400)), [("stale", "activated")], "{kind}");
        }
    }
}

#[test]
fn of_a_number_that_nothing_measures_one_rule_speaks() {
    assert_eq!(
        transitions(&send(&mut facility_of("FlameDetection"), "-1e13", 0..400)),
        [("stale", "activated")],
        "it has no low limit"
    );
    assert_eq!(transitions(&send(&mut facility_of("GasDetection"), "1e300", 0..400)), [("high", "activated")]);
    assert_eq!(transitions(&send(&mut facility_of("GasDetection"), "-1e300", 0..400)), [("low", "activated")]);
    let mut narrow = sensor("g", 2, "GasDetection", "Active");
    narrow["detection"] = serde_json::json!({"physical_low": 12.0, "physical_high": 18.0});
    for (text, expected) in [("12", vec![]), ("11.9", vec![("stale", "activated")])] {
        let mut core = facility_of("GasDetection");
        core.apply(EntryKind::Config, &config(3, std::slice::from_ref(&narrow))).unwrap();
        assert_eq!(transitions(&send(&mut core, text, 0..400)), expected, "{text}");
    }
}

#[test]
fn text_ends_no_silence_and_maintenance_claims_no_value() {
    let mut core = facility_of("GasDetection");
    for at_s in (0..=100).step_by(10) {
        core.apply(EntryKind::Tick, &tick(at_s)).unwrap();
    }
    assert!(core.sensors[1].alarms.get(Rule::Stale).active);
    assert_eq!(send(&mut core, "Bad", 104..400), []);
    let maintenance = config(3, &[sensor("g", 2, "GasDetection", "Maintenance")]);
    let ended = core.apply(EntryKind::Config, &maintenance).unwrap().events;
    assert_eq!(transitions(&ended), [("stale", "returned")]);
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
