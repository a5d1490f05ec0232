//! The anomaly score on simulated sensors: few alarms on plain signals, alarms on planted faults, finite on anything.

mod chance;
mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::detector::Tuning;
use _native::entry::EntryKind;
use _native::snapshot;
use chance::Chance;
use proptest::prelude::*;
use small_facility::{cases, config, sensor, FACILITY, S, START_US};

const INTERVAL_S: i64 = 15;
const DAY: i64 = 86_400 / INTERVAL_S;

fn one_sensor(kind: &str) -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    core.apply(EntryKind::Config, &config(1, &[sensor("s", 1, kind, "Active")])).unwrap();
    core
}

/// Feed a signal at 15 s; returns the reading numbers at which an anomaly was told.
fn anomalies(count: i64, mut signal: impl FnMut(i64) -> f64) -> Vec<i64> {
    let mut core = one_sensor("CompressorStatus"); // a type without limits
    let mut told = Vec::new();
    for chunk in 0..count.div_euclid(480) {
        let rows: Vec<(&str, i64, String)> = (chunk * 480..(chunk + 1) * 480)
            .map(|step| ("s", step * INTERVAL_S, format!("{:.2}", signal(step))))
            .collect();
        // of the present: what began and ended in the past is no alert
        let effects = core.apply(EntryKind::Batch, &small_facility::batch(&rows, chunk * 480 * INTERVAL_S)).unwrap();
        let activations = effects.events.iter().filter(|event| event.transition == "activated");
        told.extend(activations.map(|event| (event.event_time_us - START_US) / S / INTERVAL_S));
    }
    told
}

fn daily(step: i64) -> f64 {
    (step as f64 / DAY as f64 * std::f64::consts::TAU).sin()
}

type Signal = Box<dyn FnMut(i64) -> f64>;

fn plain(kind: usize, seed: u64) -> Signal {
    let mut chance = Chance(seed);
    let (mut wandering, mut mode) = (0.0, 0.0);
    match kind {
        0 => Box::new(move |step| 22.5 + 1.5 * daily(step) + 0.2 * chance.normal()),
        1 => Box::new(move |_| 100.0 + 20.0 * chance.uniform()),
        2 => Box::new(move |step| {
            wandering = 0.95 * wandering + 0.3 * chance.normal();
            500.0 + 30.0 * daily(step) + 10.0 * wandering
        }),
        3 => Box::new(move |step| {
            // another mode of operation about four times a day
            if chance.uniform() < 4.0 / DAY as f64 {
                mode = f64::from((chance.uniform() * 3.0) as u8);
            }
            250.0 + 15.0 * mode + 5.0 * daily(step) + 2.0 * chance.normal()
        }),
        4 => Box::new(move |_| -5.0 * (1.0 - chance.uniform()).ln()), // heavy to one side
        _ => Box::new(move |_| f64::from(u8::from(chance.uniform() < 0.01))),
    }
}

#[test]
fn plain_signals_raise_few_alarms() {
    let days = 10;
    // the budget is five in a hundred sensor-days; of four hundred changes of mode a seventh may be called a fault
    for (kind, most) in [(0, 10), (1, 10), (2, 10), (3, 60), (4, 60), (5, 0)] {
        let total: usize = (0..10).map(|seed| anomalies(days * DAY, plain(kind, seed)).len()).sum();
        println!("kind {kind}: {total} alarms in {} sensor-days", days * 10);
        assert!(total <= most, "kind {kind}: {total} alarms in {} sensor-days", days * 10);
    }
}

#[test]
fn spikes_and_steps_are_told() {
    let at = 3 * DAY + 100;
    let mut found = [0; 3];
    for seed in 0..20 {
        for (fault, found) in found.iter_mut().enumerate() {
            let mut base = plain(0, seed);
            let told = anomalies(4 * DAY, move |step| {
                let value = base(step);
                match fault {
                    0 if step == at => value + 4.0,                       // a spike of twenty times the noise
                    1 if step >= at => value - 4.0,                       // a step: a leak
                    2 if step >= at => value + 0.02 * (step - at) as f64, // drifting out, a tenth of the noise a reading
                    _ => value,
                }
            });
            *found += usize::from(told.iter().any(|step| (at..at + 240).contains(step)));
        }
    }
    println!("{found:?}");
    assert!(found[0] >= 18 && found[1] >= 18, "{found:?} of 20");
}

#[test]
fn the_score_warms_up_before_it_speaks() {
    let mut core = one_sensor("Noise");
    let rows: Vec<(&str, i64, String)> =
        (0..400).map(|step| ("s", step * INTERVAL_S, format!("{}", 70.0 + (step % 7) as f64))).collect();
    core.apply(EntryKind::Batch, &small_facility::batch(&rows[..200], 0)).unwrap();
    let newest = core.sensors[0].newest.clone().unwrap();
    assert_eq!((newest.score, newest.flags & 64), (None, 64));
    core.apply(EntryKind::Batch, &small_facility::batch(&rows[200..], 0)).unwrap();
    let newest = core.sensors[0].newest.clone().unwrap();
    assert_eq!((newest.score, newest.flags & 64), (Some(0.0), 0));
}

#[test]
fn what_was_unusual_in_a_day_that_is_delivered_late_is_one_line_and_what_is_still_is_told() {
    let rows = |stands: bool| {
        let mut chance = Chance(4);
        let value = move |step: i64| match step {
            4_000..4_020 => 40.0,
            DAY.. if stands => 40.0,
            _ => 5.0 + 0.2 * chance.normal(),
        };
        (0..DAY + 40).map(|step| ("s", step * INTERVAL_S)).zip((0..DAY + 40).map(value)).collect::<Vec<_>>()
    };
    for stands in [false, true] {
        let rows: Vec<_> = rows(stands).into_iter().map(|((id, at_s), value)| (id, at_s, value.to_string())).collect();
        let mut core = one_sensor("CompressorStatus");
        let received_s = 2 * DAY * INTERVAL_S;
        let day = core.apply(EntryKind::Batch, &small_facility::batch(&rows, received_s)).unwrap();
        let told = small_facility::told(&day);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].0, told[0].1, told[0].2 / INTERVAL_S), ("anomaly", "past_excursion", 4_000));
        let ticks = (0..=60).step_by(10).flat_map(|wait_s| {
            let effects = core.apply(EntryKind::Tick, &small_facility::tick(received_s + wait_s)).unwrap();
            small_facility::told(&effects)
        });
        let told: Vec<_> = ticks.filter(|told| told.0 == "anomaly").map(|told| (told.1, told.2 / INTERVAL_S)).collect();
        assert_eq!(told, if stands { vec![("activated", DAY)] } else { vec![] });
    }
}

#[test]
fn a_limit_that_speaks_is_not_spoken_over() {
    let mut chance = Chance(3);
    let mut core = one_sensor("Temperature");
    let rows: Vec<(&str, i64, String)> = (0..2000)
        .map(|step| {
            ("s", step * INTERVAL_S, (22.5 + 0.1 * chance.normal() + if step == 1900 { 10.0 } else { 0.0 }).to_string())
        })
        .collect();
    let effects = core.apply(EntryKind::Batch, &small_facility::batch(&rows, 0)).unwrap();
    assert_eq!(small_facility::told(&effects)[0], ("high", "activated", 1900 * INTERVAL_S));
    assert!(!small_facility::told(&effects).contains(&("anomaly", "activated", 1900 * INTERVAL_S)));
    assert!(effects.events[0].score.unwrap() > 6.0, "its score is told beside it");
}

#[test]
fn a_signal_that_stands_still_is_not_scored() {
    let told = anomalies(DAY, |step| if step == 4000 { 9.0 } else { 5.0 });
    assert!(told.is_empty());
}

#[test]
fn a_new_level_is_accepted_in_bounded_time() {
    let mut chance = Chance(5);
    let mut core = one_sensor("CompressorStatus");
    let rows: Vec<(&str, i64, String)> = (0..6000)
        .map(|step| ("s", step * INTERVAL_S, (if step < 3000 { 10.0 } else { 1e6 } + chance.normal()).to_string()))
        .collect();
    let effects = core.apply(EntryKind::Batch, &small_facility::batch(&rows, 0)).unwrap();
    let told = small_facility::told(&effects);
    let step = told.iter().position(|told| (told.1, told.2) == ("activated", 3000 * INTERVAL_S)).unwrap();
    assert_eq!(told[step + 1].1, "returned");
    assert!(told[step + 1].2 < 4000 * INTERVAL_S, "{told:?}");
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn scores_are_finite_for_any_numbers(numbers in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0f64, Just(0.0)], 1..40), gaps in prop::collection::vec(1..100_000_000i64, 1..40)) {
        let mut core = one_sensor("CompressorStatus");
        let mut rows = Vec::new();
        let mut at = 0;
        for step in 0..800usize {
            at += gaps[step % gaps.len()] % 1000 + 1;
            rows.push(("s", at, numbers[(step * 7) % numbers.len()].to_string()));
        }
        core.apply(EntryKind::Batch, &small_facility::batch(&rows, 0)).unwrap();
        let state = snapshot::save(&core);
        let again = snapshot::load(FACILITY, &state, Settings::default()).unwrap();
        prop_assert_eq!(snapshot::save(&again), state);
        let score = core.sensors[0].newest.as_ref().unwrap().score;
        prop_assert!(score.is_none_or(|score| score.is_finite() && score >= 0.0));
        let probe = core.sensors[0].scorer.peek(1.0, &Tuning::default());
        prop_assert!(probe.is_none_or(|score| score.is_finite() && score >= 0.0));
    }
}
