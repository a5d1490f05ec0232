//! Errors of the core on their way to Python: in one place, a panic never crosses, the GIL is released.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard};

use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::config::PayloadError as BadPayload;
use crate::snapshot::SnapshotError;
use crate::wire::WireError;

create_exception!(
    native._native,
    PayloadError,
    PyValueError,
    "A payload that cannot be applied; the core is unchanged."
);
create_exception!(native._native, SnapshotVersionError, PyValueError, "A snapshot written by another core version.");
create_exception!(
    native._native,
    SnapshotCorruptError,
    PyValueError,
    "Bytes that are not a snapshot of this facility."
);
create_exception!(native._native, NativeBug, PyRuntimeError, "A panic of ours, caught; drop the object and reload.");

/// Every failure of the core, on its way to Python.
pub enum Failure {
    Payload(BadPayload),
    Snapshot(SnapshotError),
    Bug(String),
}

impl From<BadPayload> for Failure {
    fn from(error: BadPayload) -> Self {
        Self::Payload(error)
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Payload(BadPayload(format!("batch: {error}")))
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Payload(error) => PayloadError::new_err(error.0),
            Failure::Snapshot(SnapshotError::Version(text)) => SnapshotVersionError::new_err(text),
            Failure::Snapshot(SnapshotError::Corrupt(text)) => SnapshotCorruptError::new_err(text),
            Failure::Bug(text) => NativeBug::new_err(text),
        }
    }
}

/// Run pure Rust without the GIL; a panic in it becomes a `NativeBug`.
pub fn guarded<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    Ok(outcome.unwrap_or_else(|panic| Err(Failure::Bug(panic_text(panic.as_ref()))))?)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

pub fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Failure> {
    mutex.lock().map_err(|_| Failure::Bug("an earlier panic left this object half changed; reload it".into()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("PayloadError", py.get_type::<PayloadError>())?;
    module.add("SnapshotVersionError", py.get_type::<SnapshotVersionError>())?;
    module.add("SnapshotCorruptError", py.get_type::<SnapshotCorruptError>())?;
    module.add("NativeBug", py.get_type::<NativeBug>())
}
