//! Whatever the series: few enough rows, in order, the ends and the extremes among them, and the same each time.

use _native::downsample::{lttb, minmax, POINTS_MIN};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -50.0..50.0,
        2 => Just(7.0),
        1 => any::<f64>(),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::MAX), Just(f64::MIN)],
    ]
}

fn series() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let gap_us = prop_oneof![8 => Just(15_000_000i64), 1 => Just(0i64), 1 => 0..i64::MAX / 1000];
    prop::collection::vec((gap_us, value()), 0..400).prop_map(|rows| {
        let mut at_us = -4_000_000_000_000_000i64;
        rows.into_iter()
            .map(|(gap_us, value)| {
                at_us = at_us.saturating_add(gap_us);
                (at_us, value)
            })
            .unzip()
    })
}

fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

proptest! {
    #[test]
    fn few_rows_draw_the_line((at_us, values) in series(), points_max in POINTS_MIN..150) {
        let usable: Vec<i64> = (0..).zip(&values).filter(|(_, value)| value.is_finite()).map(|(row, _)| row).collect();
        for choose in [minmax, lttb] {
            let found = choose(&at_us, &values, points_max).unwrap();
            prop_assert!(found.len() <= points_max);
            prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
            prop_assert!(found.iter().all(|row| values[*row as usize].is_finite()));
            prop_assert_eq!(found.first(), usable.first());
            prop_assert_eq!(found.last(), usable.last());
            prop_assert_eq!(choose(&at_us, &values, points_max).unwrap(), found);
        }
        let kept = minmax(&at_us, &values, points_max).unwrap();
        let of = |rows: &[i64]| extremes(rows.iter().map(|row| values[*row as usize]));
        prop_assert_eq!(of(&kept), of(&usable));
    }

    #[test]
    fn lttb_gives_as_many_as_it_may((at_us, values) in series(), points_max in POINTS_MIN..150) {
        let usable = values.iter().filter(|value| value.is_finite()).count();
        prop_assert_eq!(lttb(&at_us, &values, points_max).unwrap().len(), usable.min(points_max));
    }
}
