//! Limits and defaults that the core holds, for whoever asks before it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::detection::Detection;
use crate::journal;
use crate::limits;
use crate::rules;

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

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ID_BYTES_MAX", limits::ID_BYTES_MAX)?;
    module.add("DATA_BYTES_MAX", limits::DATA_BYTES_MAX)?;
    module.add("JSON_DEPTH_MAX", limits::JSON_DEPTH_MAX)?;
    module.add("INTERVAL_S_MAX", limits::INTERVAL_S_MAX)?;
    module.add("SETTING_MAX", limits::SETTING_MAX)?;
    module.add("BUDGET_DAYS_MAX", limits::BUDGET_DAYS_MAX)?;
    module.add("PHYSICAL_MAX", limits::PHYSICAL_MAX)?;
    module.add("TRANSITION_NAMES", PyTuple::new(module.py(), journal::TRANSITIONS)?)?;
    module.add("PRIORITY_NAMES", PyTuple::new(module.py(), rules::Priority::ALL.map(rules::Priority::name))?)?;
    module.add_function(wrap_pyfunction!(detection_defaults, module)?)
}
