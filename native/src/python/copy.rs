//! The decoder of binary COPY as Python feeds it; its rows leave by Arrow's C data interface, without a copy.

use std::sync::Mutex;

use arrow_array::ffi::{to_ffi, FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::ArrowError;
use numpy::PyReadonlyArray1;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use super::errors::{guarded, locked};
use crate::copy;
use crate::copy_wire::CopyWire;

create_exception!(native._native, CopyFault, PyValueError, "Bytes that are not the COPY that was announced.");

impl From<copy::CopyFault> for PyErr {
    fn from(fault: copy::CopyFault) -> Self {
        CopyFault::new_err(fault.to_string())
    }
}

#[pyclass(frozen, module = "native._native")]
struct CopyDecoder(Mutex<CopyWire>);

#[pymethods]
impl CopyDecoder {
    #[new]
    fn new(columns: Vec<(String, String)>) -> PyResult<Self> {
        let columns = columns.into_iter().map(|(name, kind)| {
            let found = copy::Kind::ALL.into_iter().find(|(known, _)| *known == kind);
            let names = copy::Kind::ALL.map(|(known, _)| known).join(", ");
            let (_, kind) = found.ok_or_else(|| PyValueError::new_err(format!("{kind:?} is none of {names}")))?;
            Ok((name, kind))
        });
        let decoder = copy::CopyDecoder::new(&columns.collect::<PyResult<Vec<_>>>()?);
        Ok(Self(Mutex::new(CopyWire::new(decoder))))
    }

    fn sift<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let others = guarded(py, || Ok(locked(&self.0)?.sift(data)))??;
        Ok(PyBytes::new(py, &others))
    }

    #[getter]
    fn rows(&self) -> PyResult<usize> {
        Ok(locked(&self.0)?.decoder.rows())
    }

    #[getter]
    fn is_ended(&self) -> PyResult<bool> {
        Ok(locked(&self.0)?.is_ended())
    }

    fn take(&self, py: Python<'_>) -> PyResult<CopiedRows> {
        Ok(CopiedRows(guarded(py, || Ok(locked(&self.0)?.decoder.take()))??))
    }
}

/// Puts readings in order, under their sensors' ids.
#[pyclass(frozen, module = "native._native")]
struct SensorPlaces(copy::Places);

#[pymethods]
impl SensorPlaces {
    #[new]
    fn new(numbers: PyReadonlyArray1<'_, i32>, facility_ids: Vec<String>, sensor_ids: Vec<String>) -> PyResult<Self> {
        Ok(Self(copy::Places::new(numbers.as_slice()?, &facility_ids, &sensor_ids)?))
    }

    fn in_order(&self, py: Python<'_>, rows: &CopiedRows) -> PyResult<CopiedRows> {
        Ok(CopiedRows(guarded(py, || Ok(self.0.in_order(&rows.0)))??))
    }
}

/// Rows for whoever takes Arrow: polars, DuckDB, pandas.
#[pyclass(frozen, module = "native._native")]
struct CopiedRows(RecordBatch);

#[pymethods]
impl CopiedRows {
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        drop(requested_schema); // a wish that a producer need not fulfil
        let whole = StructArray::from(self.0.clone());
        let (array, schema): (FFI_ArrowArray, FFI_ArrowSchema) = to_ffi(&whole.to_data()).map_err(refused)?;
        Ok((
            PyCapsule::new_with_value(py, schema, c"arrow_schema")?,
            PyCapsule::new_with_value(py, array, c"arrow_array")?,
        ))
    }
}

fn refused(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CopyFault", module.py().get_type::<CopyFault>())?;
    module.add_class::<CopyDecoder>()?;
    module.add_class::<SensorPlaces>()?;
    module.add_class::<CopiedRows>()
}
