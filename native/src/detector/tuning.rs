//! What people may set of a sensor's score.

use crate::instant::DAY_S;

/// One false alarm in this time is what a sensor may cost.
const BUDGET_S: f64 = 20.0 * DAY_S;
const WARMING_READINGS: u64 = 300;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Seconds in which one false alarm is accepted.
    pub budget_s: f64,
    /// Readings a sensor must have given before its score has a say.
    pub warming_readings: u64,
    /// Whether a score may raise an alarm, alone or in the facility; readings are scored and learned in any case.
    pub is_on: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { budget_s: BUDGET_S, warming_readings: WARMING_READINGS, is_on: true }
    }
}
