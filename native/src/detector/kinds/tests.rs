use super::*;
use proptest::prelude::*;

const S: i64 = 1_000_000;

/// Ten-second readings; the kind after them.
fn kind_of(signal: impl Iterator<Item = f64>) -> SignalKind {
    let mut kinds = Kinds::default();
    for (index, value) in signal.enumerate() {
        kinds.see(&reading(index as i64 * 10 * S, value, false));
    }
    kinds.kind()
}

fn reading(at_us: i64, value: f64, after_gap: bool) -> Observed {
    let (elapsed_s, interval_s, budget_s) = (10.0, 10.0, 20.0 * DAY_S);
    Observed { at_us, value, elapsed_s, interval_s, after_gap, is_strange_gap: after_gap, budget_s }
}

fn noise(index: u32) -> f64 {
    f64::from(index.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24)
}

fn meter(index: u32) -> f64 {
    f64::from(index * 3 + index * 7 % 3)
}

#[test]
fn kinds_are_found_in_probation() {
    assert_eq!(kind_of((0..299).map(|_| 7.0)), SignalKind::Unknown);
    assert_eq!(kind_of((0..300).map(|_| 7.0)), SignalKind::Constant);
    assert_eq!(kind_of((0..300).map(|index| f64::from(index / 40 % 2))), SignalKind::Levels);
    assert_eq!(kind_of((0..300).map(meter)), SignalKind::Counter);
    assert_eq!(kind_of((0..300).map(noise)), SignalKind::Continuous);
}

#[test]
fn in_doubt_a_signal_is_continuous() {
    let coarse_tank = |index| f64::from(50 + index / 40) / 10.0;
    assert_eq!(kind_of((0..300).map(coarse_tank)), SignalKind::Continuous);
    assert_eq!(kind_of((0..300).map(|index| 20.0 + f64::from(index / 40 % 2) * 0.1)), SignalKind::Continuous);
    assert_eq!(kind_of((0..300).map(|index| f64::from(index % 2))), SignalKind::Continuous);
    assert_eq!(kind_of((0..300).map(|index| 20.0 + f64::from(index) / 7.0)), SignalKind::Continuous);
    assert_eq!(kind_of((0..300).map(|index| f64::from(index * 60))), SignalKind::Continuous, "a filled-in ramp");
}

#[test]
fn the_kind_is_checked_again() {
    let then = |after: fn(u32) -> f64| (0..300).map(noise).chain((0..2_999).map(after));
    assert_eq!(kind_of(then(|index| f64::from(index / 40 % 2))), SignalKind::Levels);
    assert_eq!(kind_of(then(meter)), SignalKind::Continuous, "it has fallen");
    assert_eq!(kind_of((0..300).map(|index| f64::from(index / 9)).chain((40..3_000).map(meter))), SignalKind::Counter);
    assert_eq!(kind_of(then(|_| 0.5)), SignalKind::Continuous, "what froze is not constant by that");
    assert_eq!(kind_of((0..300).map(|_| 7.0).chain((0..20).map(noise))), SignalKind::Continuous);
    assert_eq!(
        kind_of((0..300).map(meter).chain((0..50).rev().map(|index| 890.0 + f64::from(index) / 7.0))),
        SignalKind::Continuous
    );
}

fn any_value() -> impl Strategy<Value = f64> {
    let levels = prop::sample::select(vec![0.0, 1.0, 2.0, 100.0, -1e30, 1e30, 5e-324]);
    prop_oneof![levels, -5.0..5.0f64, -1e30..1e30f64]
}

proptest! {
    #![proptest_config(crate::seeded::cases(128))]

    #[test]
    fn what_is_said_is_finite_and_a_snapshot_changes_nothing(
        stretches in prop::collection::vec((any_value(), any_value(), 1usize..400, 0usize..4), 1..8),
        cut in 0usize..1_000,
    ) {
        let (mut whole, mut at_us) = (Kinds::default(), 0i64);
        let mut resumed = whole.clone();
        for (index, (value, step, length, way)) in stretches.into_iter().enumerate() {
            for reading_no in 0..length {
                at_us = at_us.saturating_add(if way == 3 { i64::MAX / 4 } else { 10 * S });
                let value = match way {
                    0 => value,
                    1 => value + step * (reading_no % 2) as f64,
                    _ => value + step * reading_no as f64,
                };
                let reading = reading(at_us, value.clamp(-1e30, 1e30), way == 3);
                let found = whole.see(&reading);
                prop_assert!(found.feed.is_none_or(|fed| fed.abs() <= 1e30));
                prop_assert!(found.say.is_none_or(|say| (0.0..=SAY_MAX).contains(&say.share)));
                prop_assert_eq!(resumed.see(&reading), found);
                if index * 400 + reading_no == cut {
                    let mut bytes = Vec::new();
                    resumed.save(&mut bytes);
                    let mut reader = Reader::new(&bytes);
                    resumed = Kinds::load(&mut reader).unwrap();
                    prop_assert!(reader.is_empty());
                }
            }
        }
        prop_assert_eq!(whole, resumed);
    }

    #[test]
    fn any_bytes_are_kinds_or_an_error(bytes: Vec<u8>) {
        let _ = Kinds::load(&mut Reader::new(&bytes));
    }
}
