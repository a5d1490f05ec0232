//! The Python face: conversion only. One file for each thing that it shows; `errors` has what all of them need.

mod alarms;
mod batches;
mod copy;
mod core;
mod decode;
mod downsample;
mod effects;
mod errors;
mod facility_score;
mod limits;
mod printable;
mod rules;
mod series;
mod times;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    limits::register(module)?;
    rules::register(module)?;
    printable::register(module)?;
    times::register(module)?;
    decode::register(module)?;
    batches::register(module)?;
    core::register(module)?;
    effects::register(module)?;
    alarms::register(module)?;
    facility_score::register(module)?;
    series::register(module)?;
    downsample::register(module)?;
    copy::register(module)
}
