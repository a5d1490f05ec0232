//! Fewer points that draw the same line: which rows of a series a chart needs.
//!
//! `minmax` keeps of each equal span of time its smallest and its largest value, so that no peak is lost. `lttb`, the
//! largest triangle three buckets (Steinarsson, "Downsampling Time Series for Visual Representation", 2013), keeps of
//! each equal number of rows the one that bends the line most. Both keep the first row and the last, leave out values
//! that are not finite, and of equals take the earliest.

use crate::config::PayloadError;

/// The first, the last, and a smallest and a largest between them.
pub const POINTS_MIN: usize = 4;

/// Rows in their order; at most `points_max` of them. Times must not go back.
pub fn minmax(at_us: &[i64], values: &[f64], points_max: usize) -> Result<Vec<i64>, PayloadError> {
    let points = usable(at_us, values, points_max)?;
    let Some((first, inner, last)) = ends(&points).filter(|_| points.len() > points_max) else {
        return Ok(rows_of(&points));
    };
    let buckets = ((points_max - 2) / 2) as u128;
    let width_us = u128::from(last.at_us.abs_diff(first.at_us)) + 1;
    let bucket_of = |point: &Point| u128::from(point.at_us.abs_diff(first.at_us)) * buckets / width_us;
    let mut found = vec![first.row];
    for bucket in inner.chunk_by(|one, next| bucket_of(one) == bucket_of(next)) {
        let Some((mut low, mut high)) = bucket.first().map(|point| (point, point)) else { continue };
        for point in bucket {
            low = if point.value < low.value { point } else { low };
            high = if point.value > high.value { point } else { high };
        }
        found.push(low.row.min(high.row));
        if low.row != high.row {
            found.push(low.row.max(high.row));
        }
    }
    found.push(last.row);
    Ok(found)
}

/// Rows in their order; at most `points_max` of them. Times must not go back.
pub fn lttb(at_us: &[i64], values: &[f64], points_max: usize) -> Result<Vec<i64>, PayloadError> {
    let points = usable(at_us, values, points_max)?;
    let Some((first, inner, last)) = ends(&points).filter(|_| points.len() > points_max) else {
        return Ok(rows_of(&points));
    };
    // in parts of the whole, so that no area overflows
    let width_us = last.at_us.abs_diff(first.at_us).max(1) as f64;
    let largest = points.iter().map(|point| point.value.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let place = |point: &Point| (point.at_us.abs_diff(first.at_us) as f64 / width_us, point.value / largest);

    let buckets = points_max - 2;
    let start_of = |bucket: usize| (bucket as u128 * inner.len() as u128 / buckets as u128) as usize;
    let bucket_at = |bucket: usize| inner.get(start_of(bucket)..start_of(bucket + 1)).unwrap_or_default();
    let mut found = vec![first.row];
    let mut left = place(first);
    for bucket in 0..buckets {
        let right = if bucket + 1 < buckets { middle(bucket_at(bucket + 1).iter().map(place)) } else { place(last) };
        let mut best = (-1.0, left, first.row);
        for point in bucket_at(bucket) {
            let (x, y) = place(point);
            let area = ((left.0 - right.0) * (y - left.1) - (left.0 - x) * (right.1 - left.1)).abs();
            if area > best.0 {
                best = (area, (x, y), point.row);
            }
        }
        left = best.1;
        found.push(best.2);
    }
    found.push(last.row);
    Ok(found)
}

#[derive(Debug, Clone, Copy)]
struct Point {
    row: i64,
    at_us: i64,
    value: f64,
}

fn usable(at_us: &[i64], values: &[f64], points_max: usize) -> Result<Vec<Point>, PayloadError> {
    let wrong = |text: String| Err(PayloadError(format!("downsample: {text}")));
    if at_us.len() != values.len() {
        return wrong(format!("columns differ in length: {} times, {} values", at_us.len(), values.len()));
    }
    if points_max < POINTS_MIN {
        return wrong(format!("{points_max} points are too few; at least {POINTS_MIN}"));
    }
    if let Some(row) = at_us.windows(2).position(|pair| matches!(pair, [one, next] if next < one)) {
        return wrong(format!("the time of row {} is before the one before it", row + 1));
    }
    let rows = (0..).zip(at_us).zip(values).filter(|(_, value)| value.is_finite());
    Ok(rows.map(|((row, at_us), value)| Point { row, at_us: *at_us, value: *value }).collect())
}

fn ends(points: &[Point]) -> Option<(&Point, &[Point], &Point)> {
    let (first, others) = points.split_first()?;
    let (last, inner) = others.split_last()?;
    Some((first, inner, last))
}

fn rows_of(points: &[Point]) -> Vec<i64> {
    points.iter().map(|point| point.row).collect()
}

fn middle(places: impl ExactSizeIterator<Item = (f64, f64)>) -> (f64, f64) {
    let count = places.len() as f64;
    let (x, y) = places.fold((0.0, 0.0), |sum, place| (sum.0 + place.0, sum.1 + place.1));
    (x / count, y / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(rows: usize) -> Vec<i64> {
        (0..rows as i64).map(|row| row * 1_000_000).collect()
    }

    #[test]
    fn of_each_span_the_smallest_and_the_largest_in_their_order() {
        let values = [1.0, 5.0, 2.0, -3.0, 4.0, 4.0, 9.0, 0.0, 1.0, 1.0];
        assert_eq!(minmax(&seconds(10), &values, 6).unwrap(), [0, 1, 3, 6, 7, 9]);
        assert_eq!(minmax(&seconds(10), &values, 4).unwrap(), [0, 3, 6, 9]);
        assert_eq!(minmax(&seconds(10), &values, 10).unwrap().len(), 10);
        assert_eq!(minmax(&seconds(100), &[7.0; 100], 6).unwrap(), [0, 1, 50, 99], "of equals the earliest, and once");
    }

    #[test]
    fn a_bend_is_kept_and_a_straight_line_is_not() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        values[37] = 90.0;
        let found = lttb(&seconds(100), &values, 10).unwrap();
        assert!(found.contains(&37) && found.len() == 10, "{found:?}");
    }

    #[test]
    fn values_as_large_as_they_come_have_areas_too() {
        let values: Vec<f64> = (0..50).map(|row| if row == 20 { f64::MAX } else { -f64::MAX }).collect();
        assert!(lttb(&seconds(50), &values, 5).unwrap().contains(&20));
        let tiny: Vec<f64> = (0..50).map(|row| if row == 20 { 5e-324 } else { 0.0 }).collect();
        assert_eq!(lttb(&seconds(50), &tiny, 5).unwrap().len(), 5);
    }

    #[test]
    fn what_cannot_be_chosen_from_is_refused() {
        for choose in [minmax, lttb] {
            for (times, values, points_max, said) in [
                (vec![0, 1], vec![1.0], 4, "differ in length"),
                (vec![0, 1], vec![1.0, 2.0], 3, "at least 4"),
                (vec![0, 2, 1], vec![1.0; 3], 4, "row 2"),
            ] {
                assert!(choose(&times, &values, points_max).unwrap_err().0.contains(said), "{said}");
            }
            assert!(choose(&[], &[], 4).unwrap().is_empty());
            assert!(choose(&[1, 2], &[f64::NAN; 2], 4).unwrap().is_empty());
        }
    }
}
