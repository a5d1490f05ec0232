//! Series as numpy columns: read where they lie, scored without the GIL, given back without a copy.

use std::sync::Mutex;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::alarms::CoreEvent;
use super::errors::{guarded, locked, Failure};
use crate::detector::{Reason, VIEWS, VIEW_NAMES};
use crate::journal::Event;
use crate::series::{Member, Scores, Twin};

#[pyclass(frozen, get_all, module = "native._native")]
pub struct SeriesScores {
    score: Py<PyArray1<f32>>,
    threshold: Py<PyArray1<f32>>,
    expected: Py<PyArray1<f64>>,
    band: Py<PyArray1<f64>>,
    flags: Py<PyArray1<i16>>,
    alarming: Py<PyArray1<bool>>,
    shares: Py<PyArray2<f32>>,
    reason: Py<PyArray1<i8>>,
    events: Py<PyList>,
    facility_score: Py<PyArray1<f32>>,
    facility_threshold: Py<PyArray1<f32>>,
    facility_alarming: Py<PyArray1<bool>>,
    contributors: Py<PyList>,
    silent: Vec<(usize, usize)>,
}

fn as_list(py: Python<'_>, events: Vec<(usize, Event)>) -> PyResult<Py<PyList>> {
    let events = events.into_iter().map(|(row, event)| Ok((row, Py::new(py, CoreEvent::from(event))?)));
    Ok(PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)?.unbind())
}

impl SeriesScores {
    fn of(py: Python<'_>, scores: Scores) -> PyResult<Self> {
        let rows = scores.score.len();
        let events = as_list(py, scores.events)?;
        let contributors = scores
            .contributors
            .into_iter()
            .map(|(row, found)| (row, found.into_iter().map(|one| (one.place, one.share)).collect::<Vec<_>>()));
        Ok(Self {
            score: scores.score.into_pyarray(py).unbind(),
            threshold: scores.threshold.into_pyarray(py).unbind(),
            expected: scores.expected.into_pyarray(py).unbind(),
            band: scores.band.into_pyarray(py).unbind(),
            flags: scores.flags.into_pyarray(py).unbind(),
            alarming: scores.alarming.into_pyarray(py).unbind(),
            shares: scores.shares.into_pyarray(py).reshape([rows, VIEWS])?.unbind(),
            reason: scores.reason.into_pyarray(py).unbind(),
            events,
            facility_score: scores.facility_score.into_pyarray(py).unbind(),
            facility_threshold: scores.facility_threshold.into_pyarray(py).unbind(),
            facility_alarming: scores.facility_alarming.into_pyarray(py).unbind(),
            contributors: PyList::new(py, contributors)?.unbind(),
            silent: scores.silent,
        })
    }
}

#[pymethods]
impl SeriesScores {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.score.bind(py).len()
    }
}

#[pyclass(frozen, module = "native._native")]
pub struct SeriesScorer {
    twin: Mutex<Twin>,
}

#[pymethods]
impl SeriesScorer {
    #[new]
    #[pyo3(signature = (intervals, tuning_json=Set::default(), types=None, rules_json=Set::default()), text_signature = "(intervals, tuning_json='{}', types=None, rules_json='{}')")]
    fn new(
        intervals: Vec<f64>,
        tuning_json: Set,
        types: Option<Vec<Option<String>>>,
        rules_json: Set,
    ) -> PyResult<Self> {
        Ok(Self { twin: Mutex::new(twin_of(&intervals, &tuning_json, types, &rules_json)?) })
    }

    fn score(
        &self,
        py: Python<'_>,
        sensor: PyReadonlyArray1<'_, i32>,
        at_us: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<SeriesScores> {
        let (sensor, at_us, values) = (sensor.as_slice()?, at_us.as_slice()?, values.as_slice()?);
        let scores = guarded(py, || Ok(locked(&self.twin)?.score(Some(sensor), at_us, values)?))?;
        SeriesScores::of(py, scores)
    }

    fn unscored(
        &self,
        py: Python<'_>,
        sensor: PyReadonlyArray1<'_, i32>,
        at_us: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray1<'_, f64>,
    ) -> PyResult<Py<PyList>> {
        let (sensor, at_us, values) = (sensor.as_slice()?, at_us.as_slice()?, values.as_slice()?);
        as_list(py, guarded(py, || Ok(locked(&self.twin)?.unscored(sensor, at_us, values)?))?)
    }
}

/// What is set of detection or of alarm rules: for all sensors, or for each.
#[derive(FromPyObject)]
pub enum Set {
    All(String),
    Each(Vec<String>),
}

impl Default for Set {
    fn default() -> Self {
        Self::All("{}".into())
    }
}

impl Set {
    fn each(&self, sensors: usize) -> Vec<&str> {
        match self {
            Self::All(json) => vec![json; sensors],
            Self::Each(jsons) => jsons.iter().map(String::as_str).collect(),
        }
    }
}

fn twin_of(intervals: &[f64], tunings: &Set, types: Option<Vec<Option<String>>>, rules: &Set) -> PyResult<Twin> {
    let types = types.unwrap_or_else(|| vec![None; intervals.len()]);
    let (tunings, rules) = (tunings.each(intervals.len()), rules.each(intervals.len()));
    if [types.len(), tunings.len(), rules.len()] != [intervals.len(); 3] {
        return Err(PyValueError::new_err(format!(
            "{} intervals, {} types, {} tunings and {} rules: one of each for a sensor",
            intervals.len(),
            types.len(),
            tunings.len(),
            rules.len()
        )));
    }
    let set = tunings.into_iter().zip(rules);
    let members =
        intervals.iter().zip(&types).zip(set).map(|((interval_s, sensor_type), (tuning_json, rules_json))| Member {
            expected_interval_s: *interval_s,
            sensor_type: sensor_type.as_deref(),
            tuning_json,
            rules_json,
        });
    Ok(Twin::new(&members.collect::<Vec<_>>()).map_err(Failure::from)?)
}

#[pyfunction]
#[pyo3(signature = (at_us, values, expected_interval_s, tuning_json="{}", sensor_type=None))]
pub fn score_series(
    py: Python<'_>,
    at_us: PyReadonlyArray1<'_, i64>,
    values: PyReadonlyArray1<'_, f64>,
    expected_interval_s: f64,
    tuning_json: &str,
    sensor_type: Option<String>,
) -> PyResult<SeriesScores> {
    let (at_us, values) = (at_us.as_slice()?, values.as_slice()?);
    let mut twin =
        twin_of(&[expected_interval_s], &Set::All(tuning_json.into()), Some(vec![sensor_type]), &Set::default())?;
    SeriesScores::of(py, guarded(py, || Ok(twin.score(None, at_us, values)?))?)
}

#[pyfunction]
#[pyo3(signature = (sensor, at_us, values, intervals, tuning_json=Set::default(), types=None), text_signature = "(sensor, at_us, values, intervals, tuning_json='{}', types=None)")]
pub fn score_facility(
    py: Python<'_>,
    sensor: PyReadonlyArray1<'_, i32>,
    at_us: PyReadonlyArray1<'_, i64>,
    values: PyReadonlyArray1<'_, f64>,
    intervals: Vec<f64>,
    tuning_json: Set,
    types: Option<Vec<Option<String>>>,
) -> PyResult<SeriesScores> {
    SeriesScorer::new(intervals, tuning_json, types, Set::default())?.score(py, sensor, at_us, values)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("VIEW_NAMES", PyTuple::new(py, VIEW_NAMES)?)?;
    module.add("REASON_NAMES", PyTuple::new(py, Reason::ALL.map(Reason::name))?)?;
    module.add_class::<SeriesScores>()?;
    module.add_class::<SeriesScorer>()?;
    module.add_function(wrap_pyfunction!(score_series, module)?)?;
    module.add_function(wrap_pyfunction!(score_facility, module)?)
}
