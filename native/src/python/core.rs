//! A facility's core.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::alarms::AlarmState;
use super::effects::{Effects, Frame};
use super::errors::{guarded, locked, Failure};
use super::facility_score::FacilityScore;
use crate::config::{Settings, Status};
use crate::core::{Core, CORE_VERSION};
use crate::entry::EntryKind;
use crate::facility_score;
use crate::frame::frame;
use crate::journal::ToldAlarm;
use crate::rule::Rule;
use crate::rules;
use crate::silence;
use crate::snapshot;

/// Id, number, type, expected seconds between readings, status.
type KnownSensor = (String, i32, &'static str, f64, String);

#[pyclass(frozen, get_all, module = "native._native")]
struct LatestValue {
    sensor_id: String,
    sensor_no: i32,
    tracked_at_us: i64,
    data: String,
    score: Option<f32>,
    flags: u16,
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
        let (effects, payload) = guarded(py, || {
            let effects = locked(&self.core)?.apply(kind, payload)?;
            Ok((effects, payload.to_vec()))
        })?;
        Effects::of(py, effects, kind, payload)
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
        guarded(py, || {
            Ok(locked(&self.core)?
                .sensors
                .iter()
                .filter(|sensor| sensor.status != Status::Retired)
                .map(|sensor| sensor.id.to_string())
                .collect())
        })
    }

    fn known_sensors(&self, py: Python<'_>) -> PyResult<Vec<KnownSensor>> {
        guarded(py, || {
            let core = locked(&self.core)?;
            let known = core.sensors.iter().filter(|sensor| sensor.status != Status::Retired);
            let told = known.map(|sensor| {
                let status = format!("{:?}", sensor.status);
                (
                    sensor.id.to_string(),
                    sensor.no,
                    rules::get(sensor.type_index).name,
                    sensor.expected_interval_s,
                    status,
                )
            });
            Ok(told.collect())
        })
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
                sensor
                    .alarms
                    .iter_told()
                    .map(|(rule, alarm)| AlarmState::of(Some(sensor), rule, &alarm, sensor.priority(rule)))
            });
            let of_groups = core.groups.iter().flat_map(|group| {
                group.alarms.iter().map(|(rule, alarm)| {
                    AlarmState::by_number((Some(group.definition.no), None), rule, alarm, group.priority(rule))
                })
            });
            let of_facility =
                AlarmState::of(None, facility_score::RULE, &core.facility_scorer.alarm, facility_score::PRIORITY);
            let silence = AlarmState::of(None, Rule::Silent, &core.silence.alarm, silence::PRIORITY);
            Ok(of_sensors.chain(of_groups).chain([of_facility, silence]).flatten().collect())
        })
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CORE_VERSION", CORE_VERSION)?;
    module.add_class::<LatestValue>()?;
    module.add_class::<FacilityCore>()
}
