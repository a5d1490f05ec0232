//! The one reader of times, and the span that it accepts.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::instant::{self, TimeFault};

create_exception!(native._native, TimeRefused, PyValueError, "A text that is no moment, or none that is accepted.");
create_exception!(native._native, TimeOutOfRange, TimeRefused, "A moment outside the years that are accepted.");

impl From<TimeFault> for PyErr {
    fn from(fault: TimeFault) -> Self {
        if fault.is_out_of_range() {
            TimeOutOfRange::new_err(fault.to_string())
        } else {
            TimeRefused::new_err(fault.to_string())
        }
    }
}

#[pyfunction]
pub fn parse_time(text: &str) -> PyResult<i64> {
    Ok(instant::parse(text).and_then(instant::accepted)?)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("TimeRefused", py.get_type::<TimeRefused>())?;
    module.add("TimeOutOfRange", py.get_type::<TimeOutOfRange>())?;
    module.add_function(wrap_pyfunction!(parse_time, module)?)?;
    module.add("TIME_US_FIRST", instant::FIRST_US)?;
    module.add("TIME_US_END", instant::END_US)
}
