//! Bodies to batches, and what was refused.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::errors::guarded;
use crate::config::us_of;
use crate::decode;

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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Refusal>()?;
    module.add_class::<Decoded>()?;
    module.add_function(wrap_pyfunction!(decode_bodies, module)?)
}
