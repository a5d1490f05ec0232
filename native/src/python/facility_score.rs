//! What is said of a facility as a whole.

use std::collections::HashMap;

use pyo3::prelude::*;

use crate::facility_score::block::STATISTIC_NAMES;
use crate::facility_score::{self, Contributor};
use crate::sensor::Sensor;

/// What the facility as a whole said of its last tick.
#[pyclass(frozen, get_all, module = "native._native")]
pub struct FacilityScore {
    tracked_at_us: i64,
    score: f32,
    threshold: f32,
    alarming: bool,
    statistics: HashMap<&'static str, f32>,
    channels: u32,
    stale: u32,
    tick_s: f64,
    contributors: Vec<(String, f32)>,
}

impl FacilityScore {
    pub fn of(score: &facility_score::FacilityScore, sensors: &[Sensor]) -> Self {
        let named = |one: &Contributor| Some((sensors.get(one.place as usize)?.id.to_string(), one.share));
        Self {
            tracked_at_us: score.at_us,
            score: score.decades,
            threshold: score.threshold,
            alarming: score.alarming,
            statistics: STATISTIC_NAMES.into_iter().zip(score.statistics).collect(),
            channels: score.members,
            stale: score.stale,
            tick_s: score.tick_s,
            contributors: score.contributors.iter().filter_map(named).collect(),
        }
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FacilityScore>()
}
