//! Job arrays of SLURM: see `h5part.slurm`.

use crate::errors::exception;
use h5part::ErrorKind;
use h5part::run::ErrorKind as TasksErrorKind;
use h5part::run::slurm::{self, Array, Shard};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};

/// An `h5part.slurm.Array`, by its attributes.
#[derive(FromPyObject)]
pub struct Described {
    name: String,
    throttle: Option<u64>,
    partition: Option<String>,
    time: Option<String>,
    dependency: Option<String>,
    cpus: Option<usize>,
    extra: Vec<String>,
    folder: PathBuf,
    logs: PathBuf,
    worker: Vec<OsString>,
    #[pyo3(from_py_with = items)]
    environment: Vec<(String, OsString)>,
}

fn items(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, OsString)>> {
    mapping.call_method0("items")?.try_iter()?.map(|item| item?.extract()).collect()
}

impl Described {
    fn array(self) -> Result<Array, ErrorKind> {
        let Self { name, throttle, partition, time, dependency, cpus, extra, folder, logs, worker, environment } = self;
        let (folder, logs) = (absolute(folder)?, absolute(logs)?);
        Ok(Array { name, throttle, partition, time, dependency, cpus, extra, folder, logs, worker, environment })
    }
}

/// The job script of an array of `size` elements.
#[pyfunction]
pub fn slurm_script(py: Python<'_>, array: Described, size: u64) -> PyResult<Bound<'_, PyBytes>> {
    let script = array.array().and_then(|array| array.script(size));
    script.map(|script| PyBytes::new(py, &script)).map_err(|kind| raised(py, kind, WRITE))
}

/// Submits an array of `size` elements: number and elements of each job.
#[pyfunction]
pub fn slurm_submit(py: Python<'_>, array: Described, size: u64) -> PyResult<Vec<(String, u64)>> {
    let submitted = py.detach(|| array.array().and_then(|array| slurm::submit_shards(&array, size)));
    let submitted = submitted.map_err(|kind| raised(py, kind, WRITE))?;
    Ok(submitted.into_iter().map(|job| (job.id, job.elements)).collect())
}

/// Index and number of shards, by these variables, or by those of this process.
#[pyfunction]
pub fn slurm_shard(
    py: Python<'_>,
    count: Option<u64>,
    variables: Option<HashMap<String, String>>,
) -> PyResult<(u64, u64)> {
    let shard = match variables {
        Some(variables) => Shard::told(count, |name| variables.get(name).cloned()),
        None => Shard::of_job(count),
    };
    shard.map(|shard| (shard.index, shard.count)).map_err(|kind| raised(py, kind, "tell the shard of"))
}

#[pyfunction]
pub fn slurm_is_worker() -> bool {
    slurm::is_worker()
}

#[pyfunction]
pub fn slurm_cancel(py: Python<'_>, ids: Vec<String>) -> PyResult<()> {
    py.detach(|| slurm::cancel(&ids)).map_err(|kind| raised(py, kind, "cancel"))
}

#[pyfunction]
pub fn slurm_parts(size: u64, most: u64) -> Vec<u64> {
    slurm::parts(size, most)
}

#[pyfunction]
pub fn slurm_minutes(text: &str) -> Option<u64> {
    slurm::minutes(text)
}

const WRITE: &str = "write the job script of";

/// What SLURM says is an `h5part.slurm.SlurmError`; what is wrong with the request, or with a file, is told as
/// everywhere.
fn raised(py: Python<'_>, kind: ErrorKind, operation: &'static str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let text = match kind.of() {
        Some(TasksErrorKind::NoSlurm(program)) => format!("cannot run {program}: SLURM is not installed here"),
        Some(TasksErrorKind::Slurm { program, message }) => format!("cannot run {program}: {message}"),
        Some(error @ TasksErrorKind::NoShard(_)) => error.to_string(),
        _ => return exception(py, &kind.at(operation, Path::new("the array"))),
    };
    let class =
        CLASS.get_or_try_init(py, || Ok::<_, PyErr>(py.import("h5part.slurm")?.getattr("SlurmError")?.unbind()));
    class.and_then(|class| class.call1(py, (text,))).map_or_else(|e| e, |error| PyErr::from_value(error.into_bound(py)))
}
