//! Symmetric matrices as packed lower triangles, row after row: a new channel appends a row. Sums have a fixed order.

const LANES: usize = 8;

/// Row `index`, its diagonal element last.
pub fn row(triangle: &[f32], index: usize) -> &[f32] {
    let start = index * (index + 1) / 2;
    triangle.get(start..start + index + 1).unwrap_or(&[])
}

/// Eight running sums, added up at the end: the compiler may use wide registers and never another order.
#[inline]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (left_parts, right_parts) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = left_parts.remainder().iter().zip(right_parts.remainder());
    let tail: f32 = rest.map(|(one, other)| one * other).sum();
    for (ones, others) in left_parts.zip(right_parts) {
        for ((sum, one), other) in sums.iter_mut().zip(ones).zip(others) {
            *sum += one * other;
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// Cholesky factor of the members' covariance, shrunk towards its diagonal; the diagonal holds reciprocals. Who is no
/// member stands alone with variance one.
pub fn factor(covariance: &[f32], members: &[bool], shrinkage: f32) -> Vec<f32> {
    let mut found = Vec::with_capacity(covariance.len());
    let ridge = shrinkage * mean_variance(covariance, members).max(1e-6);
    let mut line: Vec<f32> = Vec::with_capacity(members.len());
    for (index, is_member) in members.iter().enumerate() {
        line.clear();
        for (value, other) in row(covariance, index).iter().zip(members).take(index) {
            let Some((diagonal, before)) = row(&found, line.len()).split_last() else { return found };
            let value = if *is_member && *other { value * (1.0 - shrinkage) } else { 0.0 };
            line.push((value - dot(&line, before)) * diagonal);
        }
        let variance = row(covariance, index).last().copied().unwrap_or(1.0);
        let pivot = if *is_member { variance + ridge - dot(&line, &line) } else { 1.0 };
        line.push(1.0 / pivot.max(ridge / 2.0).sqrt());
        found.extend_from_slice(&line);
    }
    found
}

fn mean_variance(covariance: &[f32], members: &[bool]) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0f32);
    for (index, _) in members.iter().enumerate().filter(|(_, is_member)| **is_member) {
        sum += row(covariance, index).last().copied().unwrap_or(0.0);
        count += 1.0;
    }
    sum / count.max(1.0)
}

/// Solve L y = x in place.
pub fn solve_lower(factor: &[f32], vector: &mut [f32]) {
    for index in 0..vector.len() {
        let (before, rest) = vector.split_at_mut(index);
        let (Some(value), Some((diagonal, line))) = (rest.first_mut(), row(factor, index).split_last()) else { return };
        *value = (*value - dot(line, before)) * diagonal;
    }
}

/// Solve L' x = y in place.
pub fn solve_upper(factor: &[f32], vector: &mut [f32]) {
    for index in (0..vector.len()).rev() {
        let (before, rest) = vector.split_at_mut(index);
        let (Some(value), Some((diagonal, line))) = (rest.first_mut(), row(factor, index).split_last()) else { return };
        *value *= diagonal;
        for (earlier, weight) in before.iter_mut().zip(line) {
            *earlier -= weight * *value;
        }
    }
}

/// Diagonal of the inverse of what was factored.
pub fn inverse_diagonal(factor: &[f32], size: usize) -> Vec<f32> {
    let mut column = vec![0.0f32; size];
    let mut found = Vec::with_capacity(size);
    for index in 0..size {
        column.fill(0.0);
        column.iter_mut().skip(index).take(1).for_each(|one| *one = 1.0);
        solve_lower(factor, &mut column);
        found.push(dot(&column, &column));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three channels: the first two move together.
    const COVARIANCE: [f32; 6] = [1.0, 0.9, 1.0, 0.0, 0.0, 4.0];

    fn distance(members: &[bool], mut vector: Vec<f32>) -> f32 {
        let factor = factor(&COVARIANCE, members, 0.0);
        solve_lower(&factor, &mut vector);
        dot(&vector, &vector)
    }

    #[test]
    fn a_distance_counts_what_breaks_the_pattern() {
        let everybody = [true; 3];
        let close = |found: f32, wanted: f32| assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
        close(distance(&everybody, vec![1.0, 1.0, 0.0]), 2.0 / 1.9);
        close(distance(&everybody, vec![1.0, -1.0, 0.0]), 20.0);
        close(distance(&everybody, vec![0.0, 0.0, 2.0]), 1.0);
        close(distance(&[true, false, true], vec![1.0, 0.0, 2.0]), 2.0);
    }

    #[test]
    fn the_inverse_says_how_well_others_foretell() {
        let found = inverse_diagonal(&factor(&COVARIANCE, &[true; 3], 0.0), 3);
        for (found, wanted) in found.iter().zip([1.0 / 0.19, 1.0 / 0.19, 0.25]) {
            assert!((found - wanted).abs() < 1e-2 * wanted, "{found} {wanted}");
        }
    }

    #[test]
    fn contributions_add_up_to_the_distance() {
        let factor = factor(&COVARIANCE, &[true; 3], 0.1);
        let vector = [1.0, -1.0, 3.0];
        let mut solved = vector;
        solve_lower(&factor, &mut solved);
        let distance = dot(&solved, &solved);
        solve_upper(&factor, &mut solved);
        assert!((dot(&vector, &solved) - distance).abs() < 1e-3 * distance);
    }

    #[test]
    fn a_covariance_that_is_none_gives_finite_factors() {
        for covariance in [[0.0; 6], [1.0, 5.0, 1.0, -5.0, 5.0, 1.0], [64.0, -64.0, 64.0, 64.0, 64.0, 0.0]] {
            let factor = factor(&covariance, &[true; 3], 0.1);
            assert!(factor.iter().all(|value| value.is_finite()), "{factor:?}");
        }
    }
}
