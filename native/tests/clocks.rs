//! Clocks that step irregularly: told as what they are, with limits that go by arrival, and never as silence.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::journal::Event;
use _native::snapshot;
use proptest::prelude::*;
use serde_json::json;
use small_facility::{batch, config, core, sensor, tick, FACILITY, S, START_US};

const HOUR: i64 = 3_600;
const INTERVAL_S: i64 = 15;

/// A gas detector that is read every quarter of a minute, and ticks.
struct Detector {
    core: Core,
    at_s: i64,
    events: Vec<Event>,
}

impl Detector {
    /// It has been right for some time.
    fn right(readings: i64) -> Self {
        let mut detector = Self { core: core(), at_s: 10 * HOUR, events: Vec::new() };
        detector.read(readings, |_| 0, "15");
        assert!(detector.events.is_empty());
        detector
    }

    fn apply(&mut self, kind: EntryKind, payload: &[u8]) {
        let mut again = snapshot::load(FACILITY, &snapshot::save(&self.core), Settings::default()).unwrap();
        let effects = self.core.apply(kind, payload).unwrap();
        again.replay(kind, payload).unwrap();
        assert!(snapshot::save(&self.core) == snapshot::save(&again), "a replay, from a snapshot");
        self.events.extend(effects.events.into_iter().filter(|event| event.sensor_no == Some(2)));
    }

    /// A reading that claims to be of this second; the same message once more changes nothing.
    fn stamped(&mut self, stamp_s: i64, text: &str) {
        let payload = batch(&[("g", stamp_s, text)], self.at_s);
        self.apply(EntryKind::Batch, &payload);
        let state = snapshot::save(&self.core);
        self.core.replay(EntryKind::Batch, &payload).unwrap();
        assert!(snapshot::save(&self.core) == state, "delivered again");
        self.apply(EntryKind::Tick, &tick(self.at_s));
    }

    /// So many readings whose stamps differ from their arrival by this.
    fn read(&mut self, readings: i64, offset_s: impl Fn(i64) -> i64, text: &str) {
        for number in 0..readings {
            self.at_s += INTERVAL_S;
            self.stamped(self.at_s + offset_s(number), text);
        }
    }

    fn told(&mut self) -> Vec<(&'static str, &'static str, i64)> {
        let tell = |event: Event| (event.rule.name(), event.transition, (event.event_time_us - START_US) / S);
        std::mem::take(&mut self.events).into_iter().map(tell).collect()
    }
}

type Kind = (&'static str, fn(i64) -> i64);

/// Anything between 0 and 1 hour, the same in every run.
fn anyhow(number: i64) -> i64 {
    (number + 1) * (number + 2) * 7_919 % HOUR
}

const KINDS: [Kind; 11] = [
    ("shrinks", |number| 10 * number - HOUR),
    ("shrinks by another each time", |number| [0, 10, 200, 230, 500][number as usize % 5] + 40 * number - 2 * HOUR),
    ("grows", |number| -10 * number - HOUR),
    ("grows fast", |number| -100 * number - 400),
    ("alternates", |number| if number % 2 == 0 { -HOUR } else { -HOUR / 2 }),
    ("jumps back and forth", |number| if number % 7 < 3 { -HOUR } else { -2 * HOUR }),
    ("trembles", |number| anyhow(number) % 60 - HOUR),
    ("trembles after it was steady", |number| if number < 6 { -HOUR } else { anyhow(number) % 60 - HOUR }),
    ("has two times after it had one", |number| if number < 6 || number % 2 == 0 { -HOUR } else { -HOUR / 2 }),
    ("anything within an hour", |number| -anyhow(number) - 300),
    ("anything since 1970", |number| -(START_US / S) + anyhow(number) * 1_000),
];

#[test]
fn an_irregular_clock_is_told_and_an_excursion_is_one_row_as_it_arrives() {
    for (name, offset_s) in KINDS {
        let mut detector = Detector::right(60);
        let begun_s = detector.at_s + INTERVAL_S;
        detector.read(20, offset_s, "15");
        let told = detector.told();
        assert_eq!(told.iter().map(|told| (told.0, told.1)).collect::<Vec<_>>(), [("clock", "activated")], "{name}");
        assert!(told[0].2 - begun_s <= 5 * INTERVAL_S, "{name}: {told:?}");
        let later = |number: i64| offset_s(number + 20);
        let high_s = detector.at_s + INTERVAL_S;
        detector.read(30, later, "80");
        let over_s = detector.at_s + INTERVAL_S;
        detector.read(30, |number| later(number + 30), "15");
        assert_eq!(detector.told(), [("high", "activated", high_s), ("high", "returned", over_s)], "{name}");
        detector.read(30, |_| 0, "15");
        let told = detector.told();
        assert_eq!(told.iter().map(|told| (told.0, told.1)).collect::<Vec<_>>(), [("clock", "returned")], "{name}");
    }
}

#[test]
fn people_read_that_it_is_irregular_and_by_how_much() {
    let mut detector = Detector::right(60);
    detector.read(20, KINDS[4].1, "15");
    let event = detector.events.remove(0);
    assert_eq!(
        event.message,
        "GasDetection Sensor in Alpha is stamped irregularly, now 30 min behind: it is judged as it arrives"
    );
    let explained: serde_json::Value = serde_json::from_str(&event.explanation_json).unwrap();
    assert_eq!((&explained["erratic"], &explained["rule"]), (&json!(true), &json!("clock")));
}

#[test]
fn what_arrives_together_is_judged_in_the_order_of_its_stamps() {
    let mut detector = Detector::right(60);
    detector.read(20, KINDS[4].1, "15");
    detector.told();
    detector.at_s += 3 * INTERVAL_S;
    let base_s = detector.at_s - 2 * HOUR;
    let rows = [("g", base_s, "15"), ("g", base_s + 40, "15"), ("g", base_s + 20, "80")];
    let payload = batch(&rows, detector.at_s);
    detector.apply(EntryKind::Batch, &payload);
    assert_eq!(detector.told(), [("high", "activated", detector.at_s)]);
    let state = snapshot::save(&detector.core);
    detector.core.replay(EntryKind::Batch, &payload).unwrap();
    assert!(snapshot::save(&detector.core) == state);
}

/// A sensor that is dead, and what comes of its past: in any order, ten times as fast as it was measured or one by one.
#[test]
fn what_is_delivered_of_the_past_keeps_nobody_alive_and_convicts_no_clock() {
    for (every_s, at_once) in [(1, 1), (60, 1), (60, 40)] {
        let mut detector = Detector::right(60);
        for number in 0..(300 / every_s) {
            detector.at_s += every_s;
            let begun_s = 5 * HOUR + anyhow(number * 57); // a delivery is in its own order, and they are in none
            let rows: Vec<_> = (0..at_once).map(|row| ("g", begun_s + INTERVAL_S * row, "15")).collect();
            let payload = small_facility::batch(&rows, detector.at_s);
            detector.apply(EntryKind::Batch, &payload);
            detector.apply(EntryKind::Tick, &tick(detector.at_s));
        }
        let told = detector.told();
        assert_eq!(
            told.iter().map(|told| (told.0, told.1)).collect::<Vec<_>>(),
            [("stale", "activated")],
            "{every_s} {at_once}"
        );
    }
}

/// A hub that sends its newest reading again and again measures nothing. Whose stamp never was right has a clock that
/// stands still: that is told, its value is judged as it arrives, and from then on it says the same again.
#[test]
fn the_newest_again_and_again_is_silence_and_a_clock_that_stands_still_is_told_and_judged() {
    for (behind_s, text, expected) in [
        (0, "15", vec![("stale", "activated")]),
        (0, "16", vec![("clock", "activated"), ("stale", "activated")]),
        (1, "16", vec![("clock", "activated"), ("stale", "activated")]),
        (40 * INTERVAL_S, "15", vec![("clock", "activated"), ("stale", "activated")]),
        (40 * INTERVAL_S, "80", vec![("clock", "activated"), ("high", "activated"), ("stale", "activated")]),
        (9 * HOUR, "80", vec![("clock", "activated"), ("high", "activated"), ("stale", "activated")]),
    ] {
        let mut detector = Detector::right(60);
        let stamp_s = detector.at_s - behind_s;
        (0..60).for_each(|_| {
            detector.at_s += INTERVAL_S;
            detector.stamped(stamp_s, text);
        });
        let mut told: Vec<_> = detector.told().iter().map(|told| (told.0, told.1)).collect();
        told.retain(|(_, transition)| *transition != "past_excursion");
        assert_eq!(told, expected, "{behind_s} {text}");
    }
}

#[test]
fn gas_is_told_within_five_readings_also_under_a_stamp_that_stands_still() {
    for behind_s in [0, 600, 9 * HOUR] {
        let mut detector = Detector::right(60);
        let stamp_s = detector.at_s - behind_s;
        let say = |detector: &mut Detector, text: &str| {
            (0..40).for_each(|_| {
                detector.at_s += INTERVAL_S;
                detector.stamped(stamp_s, text);
            });
            let told = detector.told();
            told.into_iter().find(|told| told.0 == "high").map(|told| (told.1, told.2))
        };
        assert_eq!(say(&mut detector, "15"), None);
        let begun_s = detector.at_s;
        let (transition, at_s) = say(&mut detector, "80").unwrap();
        assert!(transition == "activated" && at_s <= begun_s + 6 * INTERVAL_S, "{behind_s}: {at_s} {begun_s}");
        assert_eq!(say(&mut detector, "15").map(|told| told.0), Some("returned"), "{behind_s}");
    }
}

#[test]
fn a_hub_whose_clock_is_irregular_is_not_silent() {
    let mut core = Core::new(FACILITY, Settings::default());
    let names: Vec<String> = (1..=6).map(|no| format!("s{no}")).collect();
    let sensors: Vec<_> = (1..).zip(&names).map(|(no, name)| sensor(name, no, "GasDetection", "Active")).collect();
    core.apply(EntryKind::Config, &config(1, &sensors)).unwrap();
    let mut told = Vec::new();
    for number in 0..60 {
        let at_s = 10 * HOUR + INTERVAL_S * number;
        let stamp_s = if number < 20 { at_s } else { at_s - 2 * HOUR + anyhow(number) };
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), stamp_s, "15")).collect();
        told.extend(core.apply(EntryKind::Batch, &batch(&rows, at_s)).unwrap().events);
        told.extend(core.apply(EntryKind::Tick, &tick(at_s)).unwrap().events);
    }
    assert!(told.iter().all(|event| event.rule.name() == "clock"), "{:?}", told.first());
    assert_eq!(told.len(), 6);
}

/// What a reading claims: so long after its arrival, what the one before it claimed, or one moment for ever.
#[derive(Debug, Clone)]
enum Claim {
    After(i64),
    Same,
    Fixed,
}

fn claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        2 => Just(Claim::After(0)),
        4 => (-2 * HOUR..290).prop_map(Claim::After),
        4 => (-400..290i64).prop_map(Claim::After),
        1 => (-START_US / S..0).prop_map(|offset_s| Claim::After(offset_s / 2)),
        1 => Just(Claim::Same),
        1 => Just(Claim::Fixed),
    ]
}

proptest! {
    #![proptest_config(small_facility::cases(128))]

    #[test]
    fn who_is_heard_at_its_interval_is_never_silent_whatever_its_stamps(
        right in 0..60i64,
        life in prop::collection::vec((1..12usize, claim(), -1..2i64, prop_oneof![4 => Just("15"), 1 => Just("80")]), 1..40),
    ) {
        let mut detector = Detector { core: core(), at_s: 10 * HOUR, events: Vec::new() };
        detector.apply(EntryKind::Tick, &tick(detector.at_s));
        detector.read(right, |_| 0, "15");
        let (mut stamp_s, begun_s) = (detector.at_s, detector.at_s);
        for (times, claim, early_s, text) in life {
            for number in 0..times as i64 {
                detector.at_s += INTERVAL_S;
                stamp_s = match claim {
                    // another each time
                    Claim::After(offset_s) => detector.at_s + (offset_s - number * 37 % 101).min(290),
                    Claim::Same => stamp_s,
                    Claim::Fixed => begun_s,
                };
                detector.at_s += early_s;
                // the very same once more would be no reading
                detector.stamped(stamp_s, &format!("{text}.{}", detector.at_s / INTERVAL_S % 7));
                detector.at_s -= early_s;
            }
        }
        let silent = detector.events.iter().find(|event| event.rule.name() == "stale");
        prop_assert!(silent.is_none(), "{silent:?}");
    }
}
