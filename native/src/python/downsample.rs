//! Fewer points of a series, from numpy columns.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use super::errors::guarded;
use crate::config::PayloadError;
use crate::downsample;

type Times<'py> = PyReadonlyArray1<'py, i64>;
type Values<'py> = PyReadonlyArray1<'py, f64>;
type Rows<'py> = Bound<'py, PyArray1<i64>>;

#[pyfunction]
fn downsample_minmax<'py>(py: Python<'py>, at_us: Times, values: Values, points_max: usize) -> PyResult<Rows<'py>> {
    chosen(py, &at_us, &values, |at_us, values| downsample::minmax(at_us, values, points_max))
}

#[pyfunction]
fn downsample_lttb<'py>(py: Python<'py>, at_us: Times, values: Values, points_max: usize) -> PyResult<Rows<'py>> {
    chosen(py, &at_us, &values, |at_us, values| downsample::lttb(at_us, values, points_max))
}

fn chosen<'py>(
    py: Python<'py>,
    at_us: &Times,
    values: &Values,
    choose: impl FnOnce(&[i64], &[f64]) -> Result<Vec<i64>, PayloadError> + Send,
) -> PyResult<Rows<'py>> {
    let (at_us, values) = (at_us.as_slice()?, values.as_slice()?);
    Ok(guarded(py, || Ok(choose(at_us, values)?))?.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("POINTS_MIN", downsample::POINTS_MIN)?;
    module.add_function(wrap_pyfunction!(downsample_minmax, module)?)?;
    module.add_function(wrap_pyfunction!(downsample_lttb, module)?)
}
