//! What one step wants done.

use std::collections::HashSet;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::alarms::CoreEvent;
use super::errors::guarded;
use crate::batch::{self, Batch};
use crate::effects::Effects as CoreEffects;
use crate::entry::EntryKind;

/// sensor_id, sensor_no, tracked_at_us, frame.
pub type Frame<'py> = (String, i32, i64, Bound<'py, PyBytes>);

#[pyclass(frozen, module = "native._native")]
pub struct Effects {
    effects: CoreEffects,
    events: Py<PyList>,
    /// What these are the effects of.
    kind: EntryKind,
    payload: Vec<u8>,
}

impl Effects {
    pub fn of(py: Python<'_>, mut effects: CoreEffects, kind: EntryKind, payload: Vec<u8>) -> PyResult<Self> {
        let events = std::mem::take(&mut effects.events).into_iter().map(|event| Py::new(py, CoreEvent::from(event)));
        let events = PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)?.unbind();
        Ok(Self { effects, events, kind, payload })
    }
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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Effects>()
}
