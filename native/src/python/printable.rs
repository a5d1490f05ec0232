//! What may be shown of a text, and whether it is text at all.

use pyo3::prelude::*;

use crate::printable;

#[pyfunction]
fn first_control(text: &str) -> Option<char> {
    printable::first_control(text)
}

#[pyfunction]
fn escape_controls(text: &str) -> String {
    printable::escaped(text)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(first_control, module)?)?;
    module.add_function(wrap_pyfunction!(escape_controls, module)?)
}
