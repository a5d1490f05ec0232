//! The alarm rules of a sensor as they would hold, for whoever sets or shows them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::groups::Definitions;
use crate::instant::US_PER_S;
use crate::rule_set::{RuleSets, Spec};
use crate::rules;
use crate::wanted::Wanted;

#[pyfunction]
#[pyo3(signature = (sensor_type, wanted_json="{}"))]
fn rules_in_force<'py>(py: Python<'py>, sensor_type: &str, wanted_json: &str) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let Some(type_index) = rules::find(sensor_type) else {
        return Err(PyValueError::new_err(format!("unknown type {sensor_type:?}; known are {}", rules::names())));
    };
    let wanted: Wanted = serde_json::from_str(wanted_json).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let set = RuleSets::default().get(type_index, &wanted).map_err(PyValueError::new_err)?;
    set.specs().iter().map(|spec| as_dict(py, spec, &set.unit)).collect()
}

#[pyfunction]
fn check_groups(groups_json: &str) -> PyResult<()> {
    Definitions::read(groups_json).map(|_| ()).map_err(PyValueError::new_err)
}

fn as_dict<'py>(py: Python<'py>, spec: &Spec, unit: &str) -> PyResult<Bound<'py, PyDict>> {
    let seconds = |us: i64| us as f64 / US_PER_S as f64;
    let texts = spec.texts.as_deref().cloned().unwrap_or_default();
    let dict = PyDict::new(py);
    dict.set_item("rule", spec.rule.name())?;
    dict.set_item("limit", spec.limit)?;
    dict.set_item("unit", unit)?;
    dict.set_item("priority", spec.priority.name())?;
    dict.set_item("deadband", spec.deadband)?;
    dict.set_item("on_delay_s", seconds(spec.delays.on_us))?;
    dict.set_item("off_delay_s", seconds(spec.delays.off_us))?;
    dict.set_item("latched", spec.latched)?;
    dict.set_item("re_alarm_s", spec.re_alarm_us.map(seconds))?;
    dict.set_item("window_s", (spec.window_us > 0).then(|| seconds(spec.window_us)))?;
    dict.set_item("source", &*spec.source)?;
    dict.set_item("message", texts.message)?;
    dict.set_item("consequence", texts.consequence)?;
    dict.set_item("response", texts.response)?;
    Ok(dict)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(check_groups, module)?)?;
    module.add_function(wrap_pyfunction!(rules_in_force, module)?)
}
