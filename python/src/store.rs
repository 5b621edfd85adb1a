//! The store.

use crate::columns::{Described, Named, NewColumns, attribute, attribute_value, described, named};
use crate::convert::{json, seconds};
use crate::errors::{OrRaise, interrupted, keep};
use crate::fork::with_threads;
use crate::gate::Gate;
use crate::reader::Reader;
use crate::writer::Writer;
use h5part::merge::{Attributes, MergeOptions};
use h5part::publish::{Packing, Publishing};
use h5part::verify::Verify;
use h5part::{Adopt, Adoption, Result, Shared, StoreOptions, Table};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often progress is told, at most.
const TELL: Duration = Duration::from_millis(100);

/// An HDF5 file: see `h5part.Store`. It holds nothing open.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Store {
    store: h5part::Store,
}

pub fn options(
    timeout: f64,
    trust_locks: bool,
    shared: Option<&str>,
    on_wait: Option<Py<PyAny>>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<StoreOptions> {
    let timeout = seconds("timeout", timeout)?;
    let mut options = StoreOptions::new().timeout(timeout).trust_locks(trust_locks).interrupt(interrupted);
    let by_environment = std::env::var("H5PART_SHARED").ok().filter(|kind| !kind.is_empty());
    if let Some(kind) = shared.or(by_environment.as_deref()) {
        options = options.shared(how_shared(kind)?);
    }
    if let Some(tell) = on_wait {
        options = options.on_wait(move |wait| {
            Python::attach(|py| told(py, tell.call1(py, (wait.what, wait.holder, wait.waited.as_secs_f64()))));
        });
    }
    if let Some(tell) = on_progress {
        let last = Mutex::new(None::<Instant>);
        options = options.on_progress(move |done, total| {
            let Ok(mut last) = last.try_lock() else { return };
            if done < total && last.is_some_and(|last| last.elapsed() < TELL) {
                return;
            }
            *last = Some(Instant::now());
            drop(last);
            Python::attach(|py| told(py, tell.call1(py, (done, total))));
        });
    }
    Ok(options)
}

fn how_shared(kind: &str) -> PyResult<Shared> {
    match kind {
        "nfs" => Ok(Shared::Nfs),
        other => Err(PyValueError::new_err(format!("shared must be 'nfs' or None, not '{other}'"))),
    }
}

fn told(py: Python<'_>, outcome: PyResult<Py<PyAny>>) {
    if let Err(raised) = outcome {
        keep(py, raised);
    }
}

impl Store {
    /// Works without the GIL.
    fn run<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&h5part::Store) -> Result<R> + Send) -> PyResult<R> {
        py.detach(|| with_threads(|| work(&self.store))).or_raise(py)
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path, timeout=300.0, trust_locks=false, shared=None, on_wait=None, on_progress=None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        timeout: f64,
        trust_locks: bool,
        shared: Option<&str>,
        on_wait: Option<Py<PyAny>>,
        on_progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let options = options(timeout, trust_locks, shared, on_wait, on_progress)?;
        Ok(Self { store: py.detach(|| options.open(path)).or_raise(py)? })
    }

    /// Creates a table, and the file where there is none.
    #[staticmethod]
    #[pyo3(signature = (path, name, rows, columns, options, exist_ok, timeout=300.0, trust_locks=false, shared=None, on_wait=None, on_progress=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn create(
        py: Python<'_>,
        path: PathBuf,
        name: &str,
        rows: u64,
        columns: Vec<Described>,
        options: &Bound<'_, PyDict>,
        exist_ok: bool,
        timeout: f64,
        trust_locks: bool,
        shared: Option<&str>,
        on_wait: Option<Py<PyAny>>,
        on_progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let table = NewColumns::parse(py, columns, options)?.describe(Table::new(name, rows));
        let options = self::options(timeout, trust_locks, shared, on_wait, on_progress)?;
        let made = py.detach(|| {
            with_threads(|| if exist_ok { options.require(path, table) } else { options.create(path, table) })
        });
        Ok(Self { store: made.or_raise(py)? })
    }

    fn path(&self) -> PathBuf {
        self.store.path().to_owned()
    }

    /// All tables of the file, as dictionaries.
    fn tables<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let tables = self.run(py, h5part::Store::tables)?;
        tables.iter().map(|table| described(py, table)).collect()
    }

    fn create_table(
        &self,
        py: Python<'_>,
        name: &str,
        rows: u64,
        columns: Vec<Described>,
        options: &Bound<'_, PyDict>,
        exist_ok: bool,
    ) -> PyResult<()> {
        let table = NewColumns::parse(py, columns, options)?.describe(Table::new(name, rows));
        self.run(py, |store| if exist_ok { store.require_table(table) } else { store.create_table(table) })
    }

    fn writer(&self, py: Python<'_>, table: &str) -> PyResult<Writer> {
        Ok(Writer::new(self.run(py, |store| store.writer(table))?, self.store.clone(), table))
    }

    fn reader(&self, py: Python<'_>, table: &str) -> PyResult<Reader> {
        Ok(Reader::new(self.run(py, |store| store.reader(table))?))
    }

    /// `timeout`: in seconds; `None`: that of the store.
    fn gate(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Gate> {
        let timeout = timeout.map(|timeout| seconds("timeout", timeout)).transpose()?;
        Ok(Gate::new(self.run(py, |store| store.gate(timeout))?))
    }

    /// Counts of cells, as JSON.
    fn status(&self, py: Python<'_>, table: &str, parts: usize) -> PyResult<String> {
        json(&self.run(py, |store| store.coverage(table, parts))?)
    }

    /// Bytes of the numbers (u64) of the rows that are still to be computed.
    fn missing<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.run(py, |store| {
            let rows = store.missing(table)?;
            Ok(rows.iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn extend(&self, py: Python<'_>, table: &str, rows: u64) -> PyResult<u64> {
        self.run(py, |store| store.extend(table, rows))
    }

    fn add_columns(
        &self,
        py: Python<'_>,
        table: &str,
        columns: Vec<Described>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let columns = NewColumns::parse(py, columns, options)?;
        self.run(py, |store| store.add_columns(table, |new| columns.describe(new)))
    }

    fn dimensions<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Named<'py>> {
        Ok(named(py, self.run(py, |store| store.dimensions(table))?))
    }

    fn attribute<'py>(&self, py: Python<'py>, table: &str, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.run(py, |store| store.attribute(table, name))?;
        found.map(|found| attribute_value(py, &found)).transpose()
    }

    fn attribute_names(&self, py: Python<'_>, table: &str) -> PyResult<Vec<String>> {
        self.run(py, |store| store.attribute_names(table))
    }

    fn set_attribute(&self, py: Python<'_>, table: &str, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = attribute(value)?;
        self.run(py, |store| store.set_attribute(table, name, value))
    }

    /// What was decided, as JSON. `committed`: `None` (by evidence), `"all"`, `"nonfill"` or `(column, value)`.
    #[pyo3(signature = (table, columns, committed, guard, guard_complete, again, dry_run))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn adopt(
        &self,
        py: Python<'_>,
        table: &str,
        columns: Option<Vec<String>>,
        committed: Option<&Bound<'_, PyAny>>,
        guard: Option<(String, String)>,
        guard_complete: Option<String>,
        again: bool,
        dry_run: bool,
    ) -> PyResult<String> {
        let committed = match committed {
            None => Adopt::default(),
            Some(which) => adopt(which)?,
        };
        let attributes = Vec::new();
        let how = Adoption { columns, committed, guard, guard_complete, attributes, again, dry_run };
        json(&self.run(py, |store| store.adopt(table, &how))?)
    }

    fn verify(&self, py: Python<'_>, repair: bool, accept_foreign: bool, accept_loss: bool) -> PyResult<String> {
        json(
            &self
                .run(py, |store| store.verify(&Verify { repair, accept_foreign, accept_loss, ..Verify::default() }))?,
        )
    }

    fn recover(&self, py: Python<'_>) -> PyResult<String> {
        json(&self.run(py, h5part::Store::recover)?)
    }

    /// `packing`: `("gzip", level)`, `("zstd", level)` or `("plain", 0)`.
    fn publish(
        &self,
        py: Python<'_>,
        out: PathBuf,
        packing: (String, u8),
        only_complete: bool,
        accept_foreign: bool,
    ) -> PyResult<String> {
        let packing = match (packing.0.as_str(), packing.1) {
            ("gzip", level) => Packing::Gzip { level, shuffle: true },
            ("zstd", level) => Packing::Zstd { level },
            ("plain", _) => Packing::Plain,
            (other, _) => return Err(PyValueError::new_err(format!("no such packing: {other}"))),
        };
        json(&self.run(py, |store| store.publish(out, Publishing { packing, only_complete, accept_foreign }))?)
    }

    /// Merges into a file that may not exist.
    #[staticmethod]
    fn merge_into(
        py: Python<'_>,
        out: PathBuf,
        inputs: Vec<PathBuf>,
        tables: Option<Vec<String>>,
        concat: bool,
        keep_first_attrs: bool,
    ) -> PyResult<(String, bool)> {
        let how = merge_options(tables, concat, keep_first_attrs);
        let merged = py.detach(|| with_threads(|| h5part::merge::merge(out, inputs, &how))).or_raise(py)?;
        Ok((json(&merged)?, merged.is_complete()))
    }

    fn merge(
        &self,
        py: Python<'_>,
        inputs: Vec<PathBuf>,
        tables: Option<Vec<String>>,
        concat: bool,
        keep_first_attrs: bool,
    ) -> PyResult<(String, bool)> {
        let how = merge_options(tables, concat, keep_first_attrs);
        let merged = self.run(py, |store| store.merge(inputs, &how))?;
        Ok((json(&merged)?, merged.is_complete()))
    }
}

fn merge_options(tables: Option<Vec<String>>, concat: bool, keep_first_attrs: bool) -> MergeOptions {
    let attributes = if keep_first_attrs { Attributes::First } else { Attributes::Same };
    MergeOptions { tables, concat, attributes, ..MergeOptions::default() }
}

fn adopt(which: &Bound<'_, PyAny>) -> PyResult<Adopt> {
    if let Ok((column, value)) = which.extract::<(String, String)>() {
        return Ok(Adopt::Where { column, value });
    }
    match which.extract::<String>()?.as_str() {
        "all" => Ok(Adopt::All),
        "nonfill" => Ok(Adopt::NonFill),
        other => Err(PyValueError::new_err(format!("committed is 'all', 'nonfill' or a pair, not '{other}'"))),
    }
}
