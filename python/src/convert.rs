//! Small conversions that several modules share.

use h5part::Durability;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a call did, as JSON: Python makes a dictionary of it.
pub fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|e| PyValueError::new_err(e.to_string()))
}

/// `"power"` or `"process"`.
pub fn durability(name: &str) -> PyResult<Durability> {
    match name {
        "power" => Ok(Durability::Power),
        "process" => Ok(Durability::Process),
        other => Err(PyValueError::new_err(format!("durability is 'power' or 'process', not '{other}'"))),
    }
}

/// A time in seconds; `what` names the argument.
pub fn seconds(what: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|e| PyValueError::new_err(format!("{what}: {e}")))
}

/// What the locks of this crate protect cannot be left half-done by a panic.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
