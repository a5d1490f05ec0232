//! Batches as Python makes them and looks into them.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::errors::guarded;
use crate::batch::{self, Batch, BatchBuilder, SensorName};
use crate::number::Datum;

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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_batch, module)?)?;
    module.add_function(wrap_pyfunction!(batch_rows, module)?)?;
    module.add_function(wrap_pyfunction!(batch_info, module)?)
}
