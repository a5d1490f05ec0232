//! The course of a signal as far as the views keep it: what the words of an alarm are chosen by.

/// Scales at which shapes are looked at: a block has four times the readings of the scale before.
pub const SCALES: usize = 3;
/// Bands whose liveliness is looked at.
pub const BANDS: usize = 3;
/// Blocks in a shape.
pub const BLOCKS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Course {
    /// The usual interval.
    pub interval_s: f64,
    pub spread: f64,
    /// Means over about 4, 16, 64 and 512 readings.
    pub means: [f64; 4],
    /// Mean difference between neighbours, now and as it has been.
    pub step: f64,
    pub step_long: f64,
    /// What this hour of the day has been.
    pub of_day: Option<f64>,
    /// How often the last shape crosses its own mean, at each scale.
    pub swings: [u32; SCALES],
    /// How many times as lively as usual it is, over about 8, 32 and 128 readings.
    pub unrest: [f32; BANDS],
}

/// How often a window crosses its own mean.
pub fn swings(window: &[f32]) -> u32 {
    let mean = window.iter().sum::<f32>() / window.len() as f32;
    let pairs = window.iter().zip(window.iter().skip(1));
    pairs.filter(|(left, right)| (**left > mean) != (**right > mean)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::swings;

    #[test]
    fn a_window_crosses_its_mean() {
        assert_eq!(swings(&[1.0, 2.0, 3.0, 4.0]), 1);
        assert_eq!(swings(&[1.0, -1.0, 1.0, -1.0]), 3);
        assert_eq!(swings(&[5.0; 16]), 0);
    }
}
