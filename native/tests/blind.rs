//! What a sensor may do so that nobody would be told: wrong stamps, readings in any order, the past, silence of all.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::effects::Effects;
use _native::entry::EntryKind;
use _native::flag;
use _native::journal::Event;
use _native::snapshot;
use proptest::prelude::*;
use small_facility::{batch, config, core, sensor, tick, told, tuples, FACILITY, S, START_US};

const HOUR: i64 = 3_600;

/// A step, also by a core that begins anew with a snapshot and by one that replays.
fn step(core: &mut Core, kind: EntryKind, payload: &[u8]) -> Effects {
    let mut again = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
    let mut replayed = again.clone();
    let effects = core.apply(kind, payload).unwrap();
    assert_eq!(again.apply(kind, payload).unwrap().events, effects.events);
    replayed.replay(kind, payload).unwrap();
    let state = snapshot::save(core);
    assert!(snapshot::save(&again) == state && snapshot::save(&replayed) == state);
    effects
}

/// Readings of `g` one by one, each with its stamp and when it came, and a tick with each.
fn live<T: AsRef<str>>(core: &mut Core, readings: impl IntoIterator<Item = (i64, i64, T)>) -> Vec<Event> {
    let mut events = Vec::new();
    for (stamp_s, received_s, text) in readings {
        events.extend(step(core, EntryKind::Batch, &batch(&[("g", stamp_s, text)], received_s)).events);
        events.extend(step(core, EntryKind::Tick, &tick(received_s)).events.into_iter().filter(is_of_gas));
    }
    events
}

fn is_of_gas(event: &Event) -> bool {
    event.sensor_no == Some(2)
}

fn transitions(events: &[Event]) -> Vec<(&'static str, &'static str, i64)> {
    events.iter().map(|event| (event.rule.name(), event.transition, (event.event_time_us - START_US) / S)).collect()
}

#[test]
fn a_clock_an_hour_back_is_told_once_and_its_limits_speak() {
    let mut core = core();
    assert_eq!(live(&mut core, (4_000..4_100).step_by(4).map(|at| (at, at + 1, "15"))), []);
    let back = (4_100..4_140).step_by(4).map(|at| (at - HOUR, at + 1, "15"));
    let told = live(&mut core, back);
    assert_eq!(transitions(&told), [("clock", "activated", 4_133)], "after two of its intervals");
    assert_eq!(told[0].message, "GasDetection Sensor in Alpha is stamped 1 h behind: it is judged as it arrives");
    // what follows is one excursion, although each reading is an hour late
    let excursion = (4_140..6_000).step_by(4).map(|at| (at - HOUR, at + 1, "80"));
    let told = live(&mut core, excursion);
    assert_eq!(transitions(&told), [("high", "activated", 4_141)]);
    let calm = live(&mut core, (6_000..6_020).step_by(4).map(|at| (at - HOUR, at + 1, "15")));
    assert_eq!(transitions(&calm), [("high", "returned", 6_001)]);
    let stored = step(&mut core, EntryKind::Batch, &batch(&[("g", 6_020 - HOUR, "15")], 6_021));
    let row = &tuples(&stored.copy_rows)[0];
    assert_eq!(
        (row.tracked_at_us, row.flags & (flag::CLOCK | flag::LATE)),
        (START_US + (6_020 - HOUR) * S, flag::CLOCK)
    );
    let right = live(&mut core, (6_024..6_100).step_by(4).map(|at| (at, at + 1, "15")));
    assert_eq!(transitions(&right), [("clock", "returned", 6_024)]);
    let explained: serde_json::Value = serde_json::from_str(&right[0].explanation_json).unwrap();
    assert_eq!(explained["first_stamp"], "2026-01-01T00:08:20");
    assert_eq!(explained["right_again"], "2026-01-01T01:40:24");
}

#[test]
fn a_clock_that_repeats_the_stamps_of_before_is_found_too() {
    let mut core = core();
    let text = |at: i64| format!("{}", 12 + at / 4 % 7);
    live(&mut core, (4_000..4_200).step_by(4).map(|at| (at, at + 1, text(at))));
    let told = live(&mut core, (4_200..4_300).step_by(4).map(|at| (at - 100, at + 1, text(at))));
    assert_eq!(transitions(&told), [("clock", "activated", 4_233)]);
}

#[test]
fn late_data_is_judged_as_late_data() {
    let mut core = core();
    live(&mut core, (4_000..4_100).step_by(4).map(|at| (at, at + 1, "15")));
    // stragglers among right ones, and a redelivery of everything
    let stragglers = (4_100..4_300).step_by(4).flat_map(|at| [(at, at + 1, "15"), (at - 55, at + 2, "15")]);
    assert_eq!(live(&mut core, stragglers), []);
    let again = (4_000..4_100).step_by(4).map(|at| (at, 4_301 + (at - 4_000) / 50, "15"));
    assert_eq!(live(&mut core, again), []);
    // a backlog that comes after the first live reading
    live(&mut core, [(9_000, 9_001, "15")]);
    let backlog = (4_400..8_600).step_by(4).map(|at| (at, 9_001 + (at - 4_400) / 100, "80"));
    let told = live(&mut core, backlog);
    assert!(told.iter().all(|event| event.transition == "past_excursion"), "{:?}", transitions(&told));
}

#[test]
fn one_stamp_ahead_costs_one_alert_and_no_silence() {
    let mut core = core();
    live(&mut core, (0..100).step_by(4).map(|at| (at, at + 1, "15")));
    let mut told = live(&mut core, [(390, 101, "80")]);
    told.extend(live(&mut core, (104..500).step_by(4).map(|at| (at, at + 1, "80"))));
    assert_eq!(transitions(&told), [("high", "activated", 390)]);
    // the same once more is no news
    assert_eq!(live(&mut core, [(390, 501, "80")]), []);
    let told = live(&mut core, (504..600).step_by(4).map(|at| (at, at + 1, "15")));
    assert_eq!(transitions(&told), [("high", "returned", 504)]);
    // and one that is alone with its value
    let mut told = live(&mut core, [(890, 601, "80")]);
    told.extend(live(&mut core, (604..1_000).step_by(4).map(|at| (at, at + 1, "15"))));
    assert_eq!(transitions(&told), [("high", "activated", 890), ("high", "returned", 604)]);
}

#[test]
fn a_late_beginning_is_told_with_the_rest() {
    let mut core = core();
    let told = told(
        &core
            .apply(
                EntryKind::Batch,
                &batch(&[("t", 100, "22"), ("t", 95, "80"), ("t", 101, "80"), ("t", 102, "80")], 102),
            )
            .unwrap(),
    );
    let alerts: Vec<_> = told.iter().filter(|event| event.1 == "activated").collect();
    assert_eq!(alerts, [&("high", "activated", 95)]);
}

#[test]
fn a_day_of_the_past_is_one_line() {
    let mut core = core();
    live(&mut core, [(0, 0, "15")]);
    // every quarter of an hour an excursion of two minutes, delivered in order, an hour a batch
    let text = |at: i64| if at % 900 < 120 { "25" } else { "15" };
    let mut events = Vec::new();
    for hour in 0..24 {
        let rows: Vec<_> = (1..=240).map(|row| hour * HOUR + row * 15).map(|at| ("g", at, text(at))).collect();
        let effects = step(&mut core, EntryKind::Batch, &batch(&rows, 25 * HOUR + hour / 4));
        events.extend(effects.events);
    }
    let told = transitions(&events);
    assert!(told.iter().all(|event| event.1 == "past_excursion"), "{told:?}");
    assert_eq!(told.len(), 24);
    let explained: serde_json::Value = serde_json::from_str(&events[0].explanation_json).unwrap();
    assert_eq!((&explained["excursions"], &explained["first"]), (&4.into(), &"2026-01-01T00:00:15".into()));
    assert_eq!(explained["last"], "2026-01-01T00:47:00");
}

#[test]
fn what_stands_after_the_past_was_delivered_is_told_with_its_time() {
    let rows: Vec<_> =
        (1..=240).map(|row| row * 15).map(|at| ("g", at, if at > 3_000 { "25" } else { "15" })).collect();
    let mut core = core();
    let delivered = step(&mut core, EntryKind::Batch, &batch(&rows, 10 * HOUR));
    assert_eq!(told(&delivered), []);
    let mut later = core.clone();
    let present = step(&mut core, EntryKind::Batch, &batch(&[("g", 10 * HOUR, "26")], 10 * HOUR + 1));
    assert_eq!(told(&present), [("high", "activated", 3_015)]);
    // nothing more comes: it is told after some time all the same
    let ticks = (0..=60).step_by(10).flat_map(|at| told(&step(&mut later, EntryKind::Tick, &tick(10 * HOUR + at))));
    assert_eq!(ticks.filter(|event| event.0 == "high").collect::<Vec<_>>(), [("high", "activated", 3_015)]);
}

fn hub() -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    let sensors: Vec<_> = (1..=50).map(|no| sensor(&format!("s{no}"), no, "GasDetection", "Active")).collect();
    core.apply(EntryKind::Config, &config(1, &sensors)).unwrap();
    core
}

fn say(core: &mut Core, numbers: impl IntoIterator<Item = i32>, at_s: i64) -> Effects {
    let names: Vec<String> = numbers.into_iter().map(|no| format!("s{no}")).collect();
    let rows: Vec<_> = names.iter().map(|name| (name.as_str(), at_s, "15")).collect();
    step(core, EntryKind::Batch, &batch(&rows, at_s))
}

fn ticks(core: &mut Core, seconds: std::ops::Range<i64>) -> Vec<Event> {
    seconds.step_by(10).flat_map(|at| step(core, EntryKind::Tick, &tick(at)).events).collect()
}

fn count(events: &[Event], rule: &str, transition: &str) -> usize {
    events.iter().filter(|event| event.rule.name() == rule && event.transition == transition).count()
}

#[test]
fn a_silent_facility_is_one_message_and_the_journal_has_them_all() {
    let mut core = hub();
    // not all of them speak at the same moment
    ticks(&mut core, 0..10);
    say(&mut core, 1..=25, 10);
    ticks(&mut core, 10..30);
    say(&mut core, 26..=50, 29);
    let events = ticks(&mut core, 30..400);
    assert_eq!(count(&events, "silent", "activated"), 1);
    assert_eq!((count(&events, "stale", "activated"), count(&events, "stale", "activated_silently")), (0, 50));
    let first = events.iter().find(|event| event.rule.name() == "silent").unwrap();
    assert_eq!(first.message, "Alpha: nothing from 50 of 50 sensors since 2026-01-01T00:00:29");
    assert_eq!((first.alarm_key().as_str(), first.priority.name()), ("facility:silent", "high"));
    // forty come back; the ten that do not are told one by one
    let back = say(&mut core, 1..=40, 400).events;
    assert_eq!(count(&back, "stale", "returned"), 40);
    let events = ticks(&mut core, 400..410);
    assert_eq!((count(&events, "silent", "returned"), count(&events, "stale", "activated")), (1, 0));
    let mut later = Vec::new();
    for at_s in (410..600).step_by(10) {
        say(&mut core, 1..=40, at_s);
        later.extend(ticks(&mut core, at_s..at_s + 10));
    }
    assert_eq!(count(&later, "stale", "activated"), 10);
    assert_eq!(later.iter().filter(|event| event.rule.name() == "stale").count(), 10);
}

#[test]
fn four_of_five_are_the_facility_and_three_are_not() {
    for (silent, messages) in [(4, (1, 0)), (3, (0, 3))] {
        let mut core = Core::new(FACILITY, Settings::default());
        let sensors: Vec<_> = (1..=5).map(|no| sensor(&format!("s{no}"), no, "GasDetection", "Active")).collect();
        core.apply(EntryKind::Config, &config(1, &sensors)).unwrap();
        let mut events = Vec::new();
        for at_s in (0..300).step_by(10) {
            say(&mut core, silent + 1..=5, at_s);
            events.extend(ticks(&mut core, at_s..at_s + 10));
        }
        assert_eq!((count(&events, "silent", "activated"), count(&events, "stale", "activated")), messages, "{silent}");
    }
    let mut core = core();
    let events = ticks(&mut core, 0..300);
    assert_eq!(
        (count(&events, "silent", "activated"), count(&events, "stale", "activated")),
        (0, 2),
        "too few to be one"
    );
}

proptest! {
    #![proptest_config(small_facility::cases(256))]

    #[test]
    fn whatever_the_order_and_the_batches_each_excursion_is_told_once(
        order in Just((0..60i64).collect::<Vec<_>>()).prop_shuffle(),
        bad in prop::collection::vec(any::<bool>(), 60),
        cuts in prop::collection::vec(1..9usize, 60),
    ) {
        let mut core = core();
        let mut events = Vec::new();
        let mut rest = order.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let rows: Vec<_> = now.iter().map(|at| ("g", *at, if bad[*at as usize] { "80" } else { "15" })).collect();
            events.extend(core.apply(EntryKind::Batch, &batch(&rows, 62)).unwrap().events);
        }
        // each run of bad seconds, by the second after its end
        let end = |at: i64| (at..60).find(|at| !bad[*at as usize]).unwrap_or(60);
        let mut expected: Vec<i64> = (0..60).filter(|at| bad[*at as usize]).map(end).collect();
        expected.dedup();
        let mut told: Vec<i64> = transitions(&events).iter().filter(|event| event.1 == "activated").map(|event| end(event.2)).collect();
        told.sort_unstable();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn whatever_a_clock_does_a_leak_is_told_and_nobody_is_called_silent(
        life in prop::collection::vec((0..9usize, 15..50i64), 0..5),
        last in 0..9usize,
    ) {
        // right, hours behind, a little behind, ahead, and the year 1970
        let offsets = [0, -HOUR, -2 * HOUR, -100, -20, 4, 60, 290, -START_US / S];
        let mut core = core();
        let mut at = 10 * HOUR;
        let mut send = |core: &mut Core, offset: i64, readings: i64, text: &str| {
            let mut events = Vec::new();
            for _ in 0..readings {
                at += 4;
                let payload = batch(&[("g", at + offsets[offset as usize], text)], at + 1);
                events.extend(core.apply(EntryKind::Batch, &payload).unwrap().events);
                let before = snapshot::save(core);
                core.apply(EntryKind::Batch, &payload).unwrap();
                prop_assert_eq!(before, snapshot::save(core), "delivered again");
                *core = snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap();
                events.extend(core.apply(EntryKind::Tick, &tick(at + 1)).unwrap().events.into_iter().filter(is_of_gas));
            }
            Ok(events)
        };
        send(&mut core, 0, 5, "15")?;
        for (offset, readings) in &life {
            let events = send(&mut core, *offset as i64, *readings, "15")?;
            prop_assert!(events.iter().all(|event| event.rule.name() == "clock"), "{:?}", transitions(&events));
        }
        let events = send(&mut core, last as i64, 40, "80")?;
        prop_assert!(events.iter().all(|event| event.rule.name() != "stale"), "{:?}", transitions(&events));
        // stamps that fall between those of a clock that was wrong before are told as they come, until it is found out
        let most = if life.is_empty() { 1 } else { 9 };
        prop_assert!((1..=most).contains(&count(&events, "high", "activated")), "{:?}", transitions(&events));
    }
}
