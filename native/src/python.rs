//! The Python face: conversion only. Errors become exceptions in one place, a panic never crosses, the GIL is released.

mod series;
mod times;

use std::collections::{HashMap, HashSet};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard};

use numpy::{IntoPyArray, PyArray1};
use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::alarm::Alarm;
use crate::batch::{self, Batch, BatchBuilder, SensorName};
use crate::config::{us_of, PayloadError as BadPayload, Settings};
use crate::core::{Core, CORE_VERSION};
use crate::decode;
use crate::detection::Detection;
use crate::detector::Reason;
use crate::effects::Effects as CoreEffects;
use crate::entry::EntryKind;
use crate::facility_score::block::STATISTIC_NAMES;
use crate::facility_score::{self, Contributor};
use crate::frame::frame;
use crate::journal::{alarm_key, Event, Rule, ToldAlarm};
use crate::number::Datum;
use crate::rules::{self, Priority};
use crate::sensor::Sensor;
use crate::series::VIEW_NAMES;
use crate::snapshot::{self, SnapshotError};
use crate::wire::WireError;

create_exception!(
    native._native,
    PayloadError,
    PyValueError,
    "A payload that cannot be applied; the core is unchanged."
);
create_exception!(native._native, SnapshotVersionError, PyValueError, "A snapshot written by another core version.");
create_exception!(
    native._native,
    SnapshotCorruptError,
    PyValueError,
    "Bytes that are not a snapshot of this facility."
);
create_exception!(native._native, NativeBug, PyRuntimeError, "A panic of ours, caught; drop the object and reload.");

/// Every failure of the core, on its way to Python.
enum Failure {
    Payload(BadPayload),
    Snapshot(SnapshotError),
    Bug(String),
}

impl From<BadPayload> for Failure {
    fn from(error: BadPayload) -> Self {
        Self::Payload(error)
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Payload(BadPayload(format!("batch: {error}")))
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Payload(error) => PayloadError::new_err(error.0),
            Failure::Snapshot(SnapshotError::Version(text)) => SnapshotVersionError::new_err(text),
            Failure::Snapshot(SnapshotError::Corrupt(text)) => SnapshotCorruptError::new_err(text),
            Failure::Bug(text) => NativeBug::new_err(text),
        }
    }
}

/// Run pure Rust without the GIL; a panic in it becomes a `NativeBug`.
fn guarded<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    Ok(outcome.unwrap_or_else(|panic| Err(Failure::Bug(panic_text(panic.as_ref()))))?)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Failure> {
    mutex.lock().map_err(|_| Failure::Bug("an earlier panic left this object half changed; reload it".into()))
}

#[pyclass(frozen, get_all, module = "native._native")]
struct Refusal {
    message: u32,
    row: Option<u32>,
    reason: &'static str,
    detail: String,
    facility_id: String,
    sensor_id: String,
    body: String,
}

#[pymethods]
impl Refusal {
    fn __repr__(&self) -> String {
        format!(
            "Refusal(message={}, row={:?}, reason={:?}, detail={:?})",
            self.message, self.row, self.reason, self.detail
        )
    }
}

#[pyclass(frozen, module = "native._native")]
struct Decoded {
    facilities: Vec<decode::FacilityBatch>,
    refused: Py<PyList>,
}

impl Decoded {
    fn facility(&self, index: usize) -> PyResult<&decode::FacilityBatch> {
        let count = self.facilities.len();
        self.facilities.get(index).ok_or_else(|| PyIndexError::new_err(format!("facility {index} of {count}")))
    }
}

#[pymethods]
impl Decoded {
    #[getter]
    fn facility_ids(&self) -> Vec<&str> {
        self.facilities.iter().map(|facility| facility.builder.facility_id()).collect()
    }

    #[getter]
    fn refused(&self, py: Python<'_>) -> Py<PyList> {
        self.refused.clone_ref(py)
    }

    fn batch<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.facility(i)?.builder.encode()))
    }

    fn rows(&self, i: usize) -> PyResult<u64> {
        Ok(self.facility(i)?.builder.rows())
    }

    fn messages<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyArray1<u32>>> {
        Ok(self.facility(i)?.messages.clone().into_pyarray(py))
    }
}

#[pyfunction(name = "decode")]
fn decode_bodies(
    py: Python<'_>,
    bodies: Vec<Bound<'_, PyBytes>>,
    received_at_us: i64,
    future_s_max: f64,
) -> PyResult<Decoded> {
    let views: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
    let decoded = guarded(py, || Ok(decode::decode(views.iter().copied(), received_at_us, us_of(future_s_max))))?;
    let refused = decoded.refused.into_iter().map(|refusal| {
        Py::new(
            py,
            Refusal {
                message: refusal.message,
                row: refusal.row,
                reason: refusal.reason,
                detail: refusal.detail,
                facility_id: refusal.facility_id,
                sensor_id: refusal.sensor_id,
                body: refusal.body,
            },
        )
    });
    let refused = refused.collect::<PyResult<Vec<_>>>()?;
    Ok(Decoded { facilities: decoded.facilities, refused: PyList::new(py, refused)?.unbind() })
}

#[pyfunction]
fn encode_batch<'py>(
    py: Python<'py>,
    facility_id: &str,
    rows: Vec<(String, i64, String)>,
    received_at_us: i64,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = guarded(py, || {
        let mut builder = BatchBuilder::new(facility_id, received_at_us);
        for (sensor_id, tracked_at_us, text) in &rows {
            builder.push(sensor_id, *tracked_at_us, Datum::of(text));
        }
        Ok(builder.encode())
    })?;
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
fn batch_rows<'py>(py: Python<'py>, batch: &[u8]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let batch = guarded(py, || Ok(Batch::read(batch)?))?;
    let rows = batch.rows.iter().map(|row| {
        let dict = PyDict::new(py);
        dict.set_item("facility_id", batch.facility_id)?;
        match batch.sensor_name(row.sensor) {
            SensorName::Id(id) => dict.set_item("sensor_id", id)?,
            SensorName::Number(number) => dict.set_item("sensor_id", format!("#{number}"))?,
        }
        dict.set_item("tracked_at_us", row.tracked_at_us)?;
        dict.set_item("data", row.datum.text())?;
        Ok(dict)
    });
    rows.collect()
}

#[pyfunction]
fn batch_info<'a>(py: Python<'_>, batch: &'a [u8]) -> PyResult<(&'a str, u64, i64)> {
    guarded(py, || Ok(batch::info(batch)?))
}

#[pyfunction]
fn detection_defaults<'py>(py: Python<'py>, sensor_type: &str) -> PyResult<Bound<'py, PyDict>> {
    let Some(type_index) = rules::find(sensor_type) else {
        return Err(PyValueError::new_err(format!("unknown type {sensor_type:?}; known are {}", rules::names())));
    };
    let default = Detection::of_type(type_index);
    let dict = PyDict::new(py);
    dict.set_item("budget_days", default.budget_days())?;
    dict.set_item("warming_readings", default.tuning.warming_readings)?;
    dict.set_item("physical_low", default.physical.0)?;
    dict.set_item("physical_high", default.physical.1)?;
    dict.set_item("is_on", default.tuning.is_on)?;
    Ok(dict)
}

#[pyclass(frozen, get_all, module = "native._native")]
struct CoreEvent {
    alarm_key: String,
    sensor_no: Option<i32>,
    sensor_id: String,
    rule: &'static str,
    transition: &'static str,
    event_time_us: i64,
    rule_version: i64,
    priority: &'static str,
    alert_type: &'static str,
    value: Option<f64>,
    limit: Option<f64>,
    score: Option<f64>,
    message: String,
    explanation_json: String,
    late: bool,
    only_if_stored: Option<(i32, i64)>,
    actor: &'static str,
    reason: &'static str,
}

impl From<Event> for CoreEvent {
    fn from(event: Event) -> Self {
        Self {
            alarm_key: event.alarm_key(),
            sensor_no: event.sensor_no,
            sensor_id: event.sensor_id,
            rule: event.rule.name(),
            transition: event.transition,
            event_time_us: event.event_time_us,
            rule_version: event.rule_version,
            priority: event.priority.name(),
            alert_type: event.rule.alert_type(),
            value: event.value,
            limit: event.limit,
            score: event.score,
            message: event.message,
            explanation_json: event.explanation_json,
            late: event.late,
            only_if_stored: event.only_if_stored,
            actor: "system",
            reason: event.reason,
        }
    }
}

#[pymethods]
impl CoreEvent {
    fn __repr__(&self) -> String {
        format!("CoreEvent({:?}, {:?}, event_time_us={})", self.alarm_key, self.transition, self.event_time_us)
    }
}

#[pyclass(frozen, get_all, module = "native._native")]
struct LatestValue {
    sensor_id: String,
    sensor_no: i32,
    tracked_at_us: i64,
    data: String,
    score: Option<f32>,
    flags: u16,
}

#[pyclass(frozen, get_all, module = "native._native")]
struct AlarmState {
    alarm_key: String,
    sensor_no: Option<i32>,
    sensor_id: Option<String>,
    rule: &'static str,
    active: bool,
    acknowledged: bool,
    suppression: &'static str,
    latched: bool,
    priority: &'static str,
    since_us: i64,
    state: &'static str,
}

impl AlarmState {
    /// None: it is normal. Without a sensor it is the facility's.
    fn of(sensor: Option<&Sensor>, rule: Rule, alarm: &Alarm, priority: Priority) -> Option<Self> {
        let sensor_no = sensor.map(|sensor| sensor.no);
        (!alarm.is_normal()).then(|| Self {
            alarm_key: alarm_key(sensor_no, rule.name()),
            sensor_no,
            sensor_id: sensor.map(|sensor| sensor.id.to_string()),
            rule: rule.name(),
            active: alarm.active,
            acknowledged: alarm.acknowledged,
            suppression: alarm.suppression.name(),
            latched: alarm.latched,
            priority: priority.name(),
            since_us: alarm.since_us,
            state: alarm.shown_as(),
        })
    }
}

/// What the facility as a whole said of its last tick.
#[pyclass(frozen, get_all, module = "native._native")]
struct FacilityScore {
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
    fn of(score: &facility_score::FacilityScore, sensors: &[Sensor]) -> Self {
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

/// sensor_id, sensor_no, tracked_at_us, frame.
type Frame<'py> = (String, i32, i64, Bound<'py, PyBytes>);

#[pyclass(frozen, module = "native._native")]
struct Effects {
    effects: CoreEffects,
    events: Py<PyList>,
    /// What these are the effects of.
    kind: EntryKind,
    payload: Vec<u8>,
}

#[pymethods]
impl Effects {
    #[getter]
    fn rows(&self) -> u64 {
        self.effects.counts.rows
    }

    #[getter]
    fn copy_rows<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.effects.copy_rows)
    }

    #[getter]
    fn log_payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let numbers = &self.effects.sensor_numbers;
        let bytes = match self.kind {
            EntryKind::Batch => guarded(py, || Ok(batch::with_numbers(&self.payload, numbers)?))?,
            _ => self.payload.clone(),
        };
        Ok(PyBytes::new(py, &bytes))
    }

    #[getter]
    fn dirty_minutes(&self) -> Vec<i64> {
        self.effects.dirty_minutes.clone()
    }

    #[getter]
    fn events(&self, py: Python<'_>) -> Py<PyList> {
        self.events.clone_ref(py)
    }

    #[getter]
    fn unknown(&self) -> Vec<(&str, i64, &str)> {
        self.effects.unknown.iter().map(|(id, at, text)| (id.as_str(), *at, text.as_str())).collect()
    }

    #[getter]
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = &self.effects.counts;
        let dict = PyDict::new(py);
        for (name, count) in [
            ("rows", counts.rows),
            ("late", counts.late),
            ("duplicate", counts.duplicate),
            ("conflict", counts.conflict),
            ("text", counts.text),
            ("bad", counts.bad),
            ("unknown", counts.unknown),
        ] {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }

    #[pyo3(signature = (not_stored=None, sensor_ids=None))]
    fn live<'py>(
        &self,
        py: Python<'py>,
        not_stored: Option<&Bound<'py, PyAny>>,
        sensor_ids: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<Frame<'py>>> {
        if self.kind != EntryKind::Batch {
            return Ok(Vec::new());
        }
        let batch = guarded(py, || Ok(Batch::read(&self.payload)?))?;
        let hidden = not_stored.map(read_keys).transpose()?.unwrap_or_default();
        let wanted = wanted_sensors(&batch, sensor_ids)?;
        let frames = guarded(py, || Ok(self.effects.frames(&batch, &hidden, wanted.as_deref())))?;
        let frames = frames.into_iter().map(|(sensor, sensor_no, at_us, frame)| {
            (batch.sensor_id(sensor).to_owned(), sensor_no, at_us, PyBytes::new(py, &frame))
        });
        Ok(frames.collect())
    }
}

fn read_keys(items: &Bound<'_, PyAny>) -> PyResult<HashSet<(i32, i64)>> {
    items.try_iter()?.map(|item| item?.extract()).collect()
}

/// For each sensor of the batch whether somebody wants it; none: everybody wants everything.
fn wanted_sensors(batch: &Batch<'_>, sensor_ids: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<bool>>> {
    let Some(sensor_ids) = sensor_ids else { return Ok(None) };
    (0..batch.sensor_count())
        .map(|index| sensor_ids.contains(batch.sensor_id(index as u32)))
        .collect::<PyResult<Vec<_>>>()
        .map(Some)
}

#[pyclass(frozen, module = "native._native")]
struct FacilityCore {
    core: Mutex<Core>,
}

#[pymethods]
impl FacilityCore {
    #[classattr]
    const CORE_VERSION: u32 = CORE_VERSION;

    #[new]
    fn new(facility_id: &str, settings_json: &str) -> PyResult<Self> {
        let settings = Settings::read(settings_json).map_err(Failure::from)?;
        Ok(Self { core: Mutex::new(Core::new(facility_id, settings)) })
    }

    fn apply(&self, py: Python<'_>, kind: &str, payload: &[u8]) -> PyResult<Effects> {
        let kind = EntryKind::read(kind).map_err(Failure::from)?;
        let (mut effects, payload) = guarded(py, || {
            let effects = locked(&self.core)?.apply(kind, payload)?;
            Ok((effects, payload.to_vec()))
        })?;
        let events = std::mem::take(&mut effects.events).into_iter().map(|event| Py::new(py, CoreEvent::from(event)));
        let events = PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)?.unbind();
        Ok(Effects { effects, events, kind, payload })
    }

    fn replay(&self, py: Python<'_>, kind: &str, payload: &[u8]) -> PyResult<()> {
        let kind = EntryKind::read(kind).map_err(Failure::from)?;
        guarded(py, || Ok(locked(&self.core)?.replay(kind, payload)?))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = guarded(py, || Ok(snapshot::save(&*locked(&self.core)?)))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn recall(&self, py: Python<'_>, alarms: Vec<(Option<i32>, String, bool, bool, i64)>) -> PyResult<Vec<String>> {
        let told = alarms.into_iter().map(|(sensor_no, rule, active, acknowledged, since_us)| ToldAlarm {
            sensor_no,
            rule,
            active,
            acknowledged,
            since_us,
        });
        let told: Vec<ToldAlarm> = told.collect();
        guarded(py, || Ok(locked(&self.core)?.recall(&told)))
    }

    #[staticmethod]
    fn restore(py: Python<'_>, facility_id: &str, state: &[u8], settings_json: &str) -> PyResult<Self> {
        let settings = Settings::read(settings_json).map_err(Failure::from)?;
        let core = guarded(py, || Ok(snapshot::load(facility_id, state, settings)?))?;
        Ok(Self { core: Mutex::new(core) })
    }

    fn latest(&self, py: Python<'_>) -> PyResult<Vec<LatestValue>> {
        guarded(py, || {
            let core = locked(&self.core)?;
            let latest = core.sensors.iter().filter_map(|sensor| {
                let newest = sensor.newest.as_ref()?;
                Some(LatestValue {
                    sensor_id: sensor.id.to_string(),
                    sensor_no: sensor.no,
                    tracked_at_us: newest.tracked_at_us,
                    data: newest.data.datum().text(),
                    score: newest.score,
                    flags: newest.flags,
                })
            });
            Ok(latest.collect())
        })
    }

    #[pyo3(signature = (sensor_ids=None))]
    fn latest_frames<'py>(&self, py: Python<'py>, sensor_ids: Option<&Bound<'py, PyAny>>) -> PyResult<Vec<Frame<'py>>> {
        let frames = guarded(py, || {
            let core = locked(&self.core)?;
            let frames = core.sensors.iter().filter_map(|sensor| {
                let newest = sensor.newest.as_ref()?;
                let at_us = newest.tracked_at_us;
                let frame = frame(&sensor.id, &core.facility_id, at_us, &newest.data.datum());
                Some((sensor.id.to_string(), sensor.no, at_us, frame))
            });
            Ok(frames.collect::<Vec<_>>())
        })?;
        let mut wanted = Vec::with_capacity(frames.len());
        for (sensor_id, sensor_no, at_us, frame) in frames {
            if sensor_ids.map_or(Ok(true), |ids| ids.contains(&sensor_id))? {
                wanted.push((sensor_id, sensor_no, at_us, PyBytes::new(py, &frame)));
            }
        }
        Ok(wanted)
    }

    fn sensor_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        guarded(py, || Ok(locked(&self.core)?.sensors.iter().map(|sensor| sensor.id.to_string()).collect()))
    }

    fn facility_score(&self, py: Python<'_>) -> PyResult<Option<FacilityScore>> {
        guarded(py, || {
            let core = locked(&self.core)?;
            Ok(core.facility_scorer.latest.as_ref().map(|score| FacilityScore::of(score, &core.sensors)))
        })
    }

    fn state_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        guarded(py, || Ok(locked(&self.core)?.state_bytes()))
    }

    fn alarms(&self, py: Python<'_>) -> PyResult<Vec<AlarmState>> {
        guarded(py, || {
            let core = locked(&self.core)?;
            let of_sensors = core.sensors.iter().flat_map(|sensor| {
                sensor.alarms().map(|(rule, alarm, priority)| AlarmState::of(Some(sensor), rule, alarm, priority))
            });
            let of_facility =
                AlarmState::of(None, facility_score::RULE, &core.facility_scorer.alarm, facility_score::PRIORITY);
            Ok(of_sensors.chain([of_facility]).flatten().collect())
        })
    }
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("CORE_VERSION", CORE_VERSION)?;
    module.add("PayloadError", py.get_type::<PayloadError>())?;
    module.add("SnapshotVersionError", py.get_type::<SnapshotVersionError>())?;
    module.add("SnapshotCorruptError", py.get_type::<SnapshotCorruptError>())?;
    module.add("NativeBug", py.get_type::<NativeBug>())?;
    module.add_class::<Refusal>()?;
    module.add_class::<Decoded>()?;
    module.add_class::<CoreEvent>()?;
    module.add_class::<LatestValue>()?;
    module.add_class::<AlarmState>()?;
    module.add_class::<FacilityScore>()?;
    module.add_class::<Effects>()?;
    module.add_class::<FacilityCore>()?;
    module.add("VIEW_NAMES", PyTuple::new(py, VIEW_NAMES)?)?;
    module.add("REASON_NAMES", PyTuple::new(py, Reason::ALL.map(Reason::name))?)?;
    module.add_class::<series::SeriesScores>()?;
    module.add_class::<series::SeriesScorer>()?;
    module.add_function(wrap_pyfunction!(series::score_series, module)?)?;
    module.add_function(wrap_pyfunction!(series::score_facility, module)?)?;
    module.add_function(wrap_pyfunction!(decode_bodies, module)?)?;
    module.add_function(wrap_pyfunction!(encode_batch, module)?)?;
    module.add_function(wrap_pyfunction!(batch_rows, module)?)?;
    module.add_function(wrap_pyfunction!(batch_info, module)?)?;
    module.add_function(wrap_pyfunction!(detection_defaults, module)?)?;
    times::register(module)
}
