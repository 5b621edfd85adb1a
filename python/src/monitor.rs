//! What work costs: see `h5part.monitor`.

use crate::convert::lock;
use crate::errors::OrRaise;
use h5part::monitor::{Monitor, Record, Whose};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Measures from when it is made until it is stopped, in the thread that made it.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Clock {
    clock: h5part::monitor::Clock,
    stopped: Mutex<Option<Record>>,
}

#[pymethods]
impl Clock {
    #[new]
    fn new(whole_process: bool) -> Self {
        let whose = if whole_process { Whose::Process } else { Whose::Thread };
        Self { clock: h5part::monitor::Clock::start(whose), stopped: Mutex::new(None) }
    }

    /// Seconds of wall time, and bytes by which the peak of memory rose.
    fn stop(&self) -> (f64, u64) {
        let record = self.clock.record();
        let measured = (record.wall_s, record.memory_rise_bytes);
        *lock(&self.stopped) = Some(record);
        measured
    }
}

/// This process' file in a folder of measurements.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Measurements {
    monitor: Monitor,
}

#[pymethods]
impl Measurements {
    #[new]
    fn new(py: Python<'_>, folder: PathBuf, worker: Option<String>) -> PyResult<Self> {
        let opened = match worker {
            Some(worker) => Monitor::open_as(folder, &worker),
            None => Monitor::open(folder),
        };
        Ok(Self { monitor: opened.or_raise(py)? })
    }

    /// Appends what a clock that was stopped has measured.
    #[pyo3(signature = (clock, operation, *, task, whole, attempt, failed, counts, bytes, received, weight, sent))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn append(
        &self,
        py: Python<'_>,
        clock: &Clock,
        operation: String,
        task: Option<u64>,
        whole: bool,
        attempt: u32,
        failed: bool,
        counts: u64,
        bytes: u64,
        received: u64,
        weight: Option<f64>,
        sent: BTreeMap<String, u64>,
    ) -> PyResult<()> {
        let measured = lock(&clock.stopped).take();
        let measured = measured.ok_or_else(|| PyValueError::new_err("the clock runs, or was told of already"))?;
        let weight = weight.filter(|weight| weight.is_finite() && *weight >= 0.0);
        let record =
            Record { operation, task, whole, attempt, failed, counts, bytes, received, weight, sent, ..measured };
        py.detach(|| self.monitor.record(record)).or_raise(py)
    }
}

/// Peak of this process's resident memory since its program started, in bytes.
#[pyfunction]
pub fn own_peak() -> u64 {
    h5part::monitor::own_peak()
}
