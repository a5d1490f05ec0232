//! What every view must keep, and what the scorer as a whole must; a new view is in by being in `views!`.

use super::gap::GAP_INTERVALS;
use super::signal::{Seen, Signal};
use super::tail::Tail;
use super::view::{Look, View};
use super::views::{check_every, Contract};
use super::{Score, Scorer, Tuning};
use crate::limits::VALUE_MAX;
use crate::wire::Reader;
use proptest::prelude::*;

const INTERVAL_S: f64 = 10.0;

/// Readings as views see them: (value, intervals since the one before).
fn seen(readings: &[(f64, f64)]) -> Vec<Seen> {
    let mut signal = Signal::begin(readings[0].0);
    let mut at_us = 0;
    let see = |(value, pace): &(f64, f64)| {
        at_us += (pace * INTERVAL_S * 1e6) as i64;
        let gap = (*pace > GAP_INTERVALS).then_some(*pace);
        let seen = signal.see(at_us, *value, pace.clamp(0.25, GAP_INTERVALS), gap, INTERVAL_S);
        signal.learn(*value, &seen);
        seen
    };
    readings.iter().map(see).collect()
}

fn saved<V: View>(view: &V) -> Vec<u8> {
    let mut bytes = Vec::new();
    view.save(&mut bytes);
    bytes
}

struct ResidualsAreFiniteAndNotNegative<'a>(&'a [Seen]);

impl Contract for ResidualsAreFiniteAndNotNegative<'_> {
    fn check<V: View>(&self, name: &str) {
        let mut view = V::default();
        for (index, seen) in self.0.iter().enumerate() {
            if let Look::Residual(residual) = view.look(seen, 1.0) {
                assert!(residual.is_finite() && residual >= 0.0, "{name}: {residual} at {index}");
            }
        }
    }
}

struct ASnapshotChangesNothing<'a> {
    readings: &'a [Seen],
    cut: usize,
}

impl Contract for ASnapshotChangesNothing<'_> {
    fn check<V: View>(&self, name: &str) {
        let (mut whole, mut resumed) = (V::default(), V::default());
        for (index, seen) in self.readings.iter().enumerate() {
            if index == self.cut % self.readings.len() {
                let bytes = saved(&resumed);
                let mut reader = Reader::new(&bytes);
                resumed = V::load(&mut reader).unwrap();
                assert!(reader.is_empty() && saved(&resumed) == bytes, "{name}");
            }
            assert_eq!(whole.look(seen, 1.0), resumed.look(seen, 1.0), "{name} at {index}");
        }
        assert_eq!(saved(&whole), saved(&resumed), "{name}");
    }
}

struct AFaultStandsOut<'a> {
    usual: &'a [Seen],
    fault: &'a [Seen],
}

impl Contract for AFaultStandsOut<'_> {
    fn check<V: View>(&self, name: &str) {
        let mut view = V::default();
        let mut largest = |readings: &[Seen]| {
            readings.iter().fold(0.0f32, |most, seen| match view.look(seen, 1.0) {
                Look::Residual(residual) => most.max(residual),
                Look::Rest | Look::Hold => most,
            })
        };
        largest(&self.usual[..4_000]);
        let (before, after) = (largest(&self.usual[4_000..]), largest(self.fault));
        assert!(after > 1.5 * before, "{name}: {before} before, {after} after");
    }
}

#[test]
fn every_view_sees_a_step() {
    let value = |step: usize| (step * 7_919 % 101) as f64 / 50.0 + if step >= 8_000 { 12.0 } else { 0.0 };
    let readings: Vec<_> = (0..9_100).map(|step| (value(step), 1.0)).collect();
    let seen = seen(&readings);
    check_every(&AFaultStandsOut { usual: &seen[..8_000], fault: &seen[8_000..] });
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-VALUE_MAX..VALUE_MAX),
        -5.0..5.0f64,
        Just(0.0),
        Just(f64::MIN_POSITIVE / 2.0),
        Just(1e30),
        Just(-1e30),
        Just(1e-300)
    ]
}

fn any_pace() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..10.0f64, Just(1.0), Just(1e6)]
}

/// Patterns that have broken detectors before, and values that are no measurement.
fn hostile(kind: usize, step: usize) -> f64 {
    let sign = if step.is_multiple_of(2) { 1.0 } else { -1.0 };
    match kind {
        0 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1.0][step % 5],
        1 => 5e-324 * step as f64,
        2 => 7.0,
        3 => sign * 1e30,
        4 => step as f64 * 1e27,
        5 => (step / 700) as f64 * sign * 1e-20,
        6 => {
            if step < 900 {
                1e-30 * sign
            } else {
                1e30 * sign
            }
        }
        _ => {
            if step.is_multiple_of(500) {
                1e30
            } else {
                sign
            }
        }
    }
}

fn feed(scorer: &mut Scorer, readings: &[(i64, f64)]) -> Vec<Score> {
    readings.iter().map(|(at_us, value)| scorer.observe(*at_us, *value, INTERVAL_S, &Tuning::default())).collect()
}

#[test]
fn the_score_is_finite_whatever_comes() {
    for kind in 0..8 {
        let mut scorer = Scorer::default();
        // every seventh reading is a duplicate, every eleventh comes from the past, every 997th after a long silence
        let mut at_us = 0;
        let readings: Vec<_> = (0..6_000)
            .map(|step: usize| {
                at_us += if step.is_multiple_of(997) { 1i64 << 40 } else { 10_000_000 };
                let lag = if step.is_multiple_of(7) {
                    10_000_000
                } else if step.is_multiple_of(11) {
                    1 << 41
                } else {
                    0
                };
                (at_us - lag, hostile(kind, step))
            })
            .collect();
        for (score, (_, value)) in feed(&mut scorer, &readings).into_iter().zip(readings) {
            let numbers = [score.threshold, score.expected, score.band, score.decades.unwrap_or(0.0)];
            assert!(numbers.iter().all(|number| number.is_finite()), "kind {kind}: {value} gives {score:?}");
            assert!(score.decades.is_none_or(|decades| decades >= 0.0), "kind {kind}: {score:?}");
        }
        assert!(scorer.peek(1.0, &Tuning::default()).is_none_or(f64::is_finite), "kind {kind}");
    }
}

#[test]
fn the_state_stays_within_its_memory() {
    let mut scorer = Scorer::default();
    assert!(scorer.bytes() <= 256, "a sensor that gave nothing");
    feed(
        &mut scorer,
        &(0..50_000i64).map(|step| (step * 10_000_000, (step * step % 1_009) as f64)).collect::<Vec<_>>(),
    );
    assert!(scorer.bytes() <= 4_096, "{} bytes", scorer.bytes());
}

proptest! {
    #![proptest_config(crate::seeded::cases(128))]

    #[test]
    fn views_keep_the_contract(
        readings in prop::collection::vec((any_value(), any_pace()), 1..300),
        cut in 0usize..300,
    ) {
        let seen = seen(&readings);
        check_every(&ResidualsAreFiniteAndNotNegative(&seen));
        check_every(&ASnapshotChangesNothing { readings: &seen, cut });
    }

    #[test]
    fn a_snapshot_of_the_whole_changes_nothing(
        readings in prop::collection::vec((0..40i64, any_value()), 1..700),
        cut in 0usize..700,
    ) {
        let mut at_us = 0;
        let readings: Vec<_> = readings.into_iter().map(|(later, value)| {
            at_us += later * 2_500_000;
            (at_us, value)
        }).collect();
        let (head, tail) = readings.split_at(cut.min(readings.len()));
        let mut whole = Scorer::default();
        feed(&mut whole, head);
        let mut bytes = Vec::new();
        whole.save(&mut bytes);
        let mut reader = Reader::new(&bytes);
        let mut resumed = Scorer::load(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        prop_assert_eq!(feed(&mut whole, tail), feed(&mut resumed, tail));
        prop_assert_eq!(whole, resumed);
    }

    #[test]
    fn surprise_grows_with_the_residual(
        learned in prop::collection::vec(0.0..1e6f32, 80..200),
        one in 0.0..1e9f32,
        other in 0.0..1e9f32,
    ) {
        let mut tail = Tail::default();
        for residual in &learned {
            tail.learn(*residual, 2_000.0);
        }
        let (small, large) = (one.min(other), one.max(other));
        prop_assert!(tail.surprise(small) <= tail.surprise(large));
        prop_assert!(tail.surprise(large).is_finite());
    }
}
