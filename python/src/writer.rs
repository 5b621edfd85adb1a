//! Committing.

use crate::columns::described;
use crate::convert::{durability, json, lock};
use crate::errors::{OrRaise, exception};
use crate::handle::Handle;
use crate::ledger::Claim;
use crate::rows::rows;
use crate::values::{Given, given, plain};
use h5part::{Error, ErrorKind, Fence, Item, Rows, Store, TableInfo, Values};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex};

/// Commits rows of one table: see `h5part.Writer`.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Writer {
    handle: Handle<h5part::Writer>,
    store: Store,
    name: String,
    /// The table as it was when a column was last looked up that is not in it.
    info: Mutex<Arc<TableInfo>>,
}

impl Writer {
    pub fn new(writer: h5part::Writer, store: Store, name: &str) -> Self {
        let info = Mutex::new(Arc::new(writer.table()));
        Self { handle: Handle::new("writer", writer), store, name: name.to_owned(), info }
    }

    fn table(&self) -> Arc<TableInfo> {
        Arc::clone(&lock(&self.info))
    }

    fn given(&self, py: Python<'_>, rows: &Rows, values: &Bound<'_, PyDict>) -> PyResult<Vec<(String, Given)>> {
        let info = self.table();
        if let Some(given) = given(&info, rows.len(), values)? {
            return Ok(given);
        }
        // A column may have been added since. If there is none, the commit says so.
        let info = py.detach(|| self.store.reader(&self.name).map(|reader| Arc::new(reader.table()))).or_raise(py)?;
        *lock(&self.info) = Arc::clone(&info);
        if let Some(given) = given(&info, rows.len(), values)? {
            return Ok(given);
        }
        let known = |name: &&String| !info.columns.iter().any(|column| column.name == **name);
        let names = values.keys().extract::<Vec<String>>()?;
        let column = names.iter().find(known).cloned().unwrap_or_default();
        let what = Item::Column { table: self.name.clone(), column };
        let known = info.columns.iter().map(|column| column.name.clone()).collect();
        Err(exception(py, &ErrorKind::NotFound { what, known }.at("commit to", self.store.path())))
    }
}

fn all(given: &[(String, Given)]) -> Result<Vec<(&str, Values<'_>)>, ErrorKind> {
    given.iter().map(|(name, given)| Ok((name.as_str(), given.values()?))).collect()
}

#[pymethods]
impl Writer {
    /// Whether this process opened it.
    fn is_ours(&self) -> bool {
        self.handle.is_ours()
    }

    /// Commits values, if all columns of `expected` still hold what it says. Returns rows and bytes written.
    #[pyo3(signature = (selection, values, expected=None))]
    fn commit(
        &self,
        py: Python<'_>,
        selection: &Bound<'_, PyAny>,
        values: &Bound<'_, PyDict>,
        expected: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<(u64, u64)> {
        let rows = rows(selection)?;
        let set = self.given(py, &rows, values)?;
        let expected = expected.map(|values| self.given(py, &rows, values)).transpose()?.unwrap_or_default();
        let (set, expected) = (all(&set).or_raise(py)?, all(&expected).or_raise(py)?);
        let commit = self.handle.with(py, move |writer| {
            let commit = writer.commit(&rows);
            let commit = set.into_iter().fold(commit, |commit, (name, values)| commit.set(name, values));
            expected.into_iter().fold(commit, |commit, (name, values)| commit.expect(name, values)).run()
        })?;
        commit.map(|commit| (commit.rows, commit.bytes)).or_raise(py)
    }

    /// Commits one row of arrays that can be taken as they are. `None`: they cannot, or another process has opened this.
    fn commit_row(&self, py: Python<'_>, row: u64, values: &Bound<'_, PyDict>) -> PyResult<Option<u64>> {
        let info = self.table();
        let Some(given) = plain(&info, values).filter(|_| self.handle.is_ours()) else { return Ok(None) };
        let set = given.iter().map(|(name, given)| Ok((*name, given.values()?))).collect::<Result<Vec<_>, ErrorKind>>();
        let (set, rows) = (set.or_raise(py)?, Rows::one(row));
        let commit = self.handle.with(py, move |writer| {
            set.into_iter().fold(writer.commit(&rows), |commit, (name, values)| commit.set(name, values)).run()
        })?;
        commit.map(|commit| Some(commit.rows)).or_raise(py)
    }

    /// Makes rows "not there" again.
    fn reset(&self, py: Python<'_>, selection: &Bound<'_, PyAny>) -> PyResult<u64> {
        let rows = rows(selection)?;
        self.handle.with(py, |writer| writer.reset(&rows))?.map(|commit| commit.rows).or_raise(py)
    }

    /// Puts back what dead writers left. Returns JSON.
    fn recover(&self, py: Python<'_>) -> PyResult<String> {
        json(&self.handle.with(py, h5part::Writer::recover)?.or_raise(py)?)
    }

    /// `"power"` or `"process"`.
    fn set_durability(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let durability = durability(name)?;
        self.handle.with(py, |writer| writer.set_durability(durability))
    }

    /// Lets commits write only while the task is held by this claim.
    #[pyo3(signature = (claim=None))]
    fn set_fence(&self, py: Python<'_>, claim: Option<&Claim>) -> PyResult<()> {
        let fence = claim.map(|claim| Arc::new(claim.as_fence()) as Arc<dyn Fence>);
        self.handle.with(py, |writer| writer.set_fence(fence))
    }

    /// Whether commits may overwrite values of other programs.
    fn set_accept_foreign(&self, py: Python<'_>, accept: bool) -> PyResult<()> {
        self.handle.with(py, |writer| writer.set_accept_foreign(accept))
    }

    /// The table when it was last looked at.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let info = self.handle.with(py, |writer| writer.table())?;
        described(py, &info)
    }

    /// Whether an earlier write failed.
    fn is_poisoned(&self, py: Python<'_>) -> PyResult<bool> {
        self.handle.with(py, |writer| writer.is_poisoned())
    }

    /// Lets go of the gate now.
    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.with(py, h5part::Writer::pause)
    }

    /// Commits what the group holds, sharing locks and syncs. Returns for each commit its rows, or an exception.
    fn commit_group<'py>(&self, py: Python<'py>, group: &Group) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let waiting = std::mem::take(&mut *lock(&group.0));
        let outcomes = self.handle.with(py, |writer| {
            let mut group = writer.group();
            let added: Vec<Result<(), Error>> = waiting
                .iter()
                .map(|(rows, values)| {
                    let commit = group.commit(rows);
                    let commit = values.iter().fold(commit, |commit, (name, values)| commit.set(name, values.clone()));
                    commit.add()
                })
                .collect();
            let mut finished = group.finish().into_iter();
            let outcome = |added: Result<(), Error>| added.and_then(|()| finished.next().unwrap_or_else(lost));
            added.into_iter().map(outcome).collect::<Vec<_>>()
        })?;
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(commit) => Ok(commit.rows.into_pyobject(py)?.into_any()),
                Err(error) => Ok(exception(py, &error).into_value(py).into_bound(py).into_any()),
            })
            .collect()
    }

    /// Keeps a commit for [`Writer::commit_group`]. Values are copied.
    fn add(
        &self,
        py: Python<'_>,
        group: &Group,
        selection: &Bound<'_, PyAny>,
        values: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let rows = rows(selection)?;
        let given = self.given(py, &rows, values)?;
        let values = all(&given).or_raise(py)?.into_iter().map(|(name, values)| (name.to_owned(), values.into_owned()));
        lock(&group.0).push((rows, values.collect()));
        Ok(())
    }

    /// Lets go of everything.
    fn close(&self, py: Python<'_>) {
        drop(self.handle.close(py));
    }
}

fn lost() -> Result<h5part::Commit, Error> {
    Err(ErrorKind::GroupFailed("it has no outcome".to_owned()).into())
}

/// Commits that wait to be made together.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug, Default)]
#[expect(clippy::type_complexity, reason = "rows, and values by the names of their columns")]
pub struct Group(Mutex<Vec<(Rows, Vec<(String, Values<'static>)>)>>);

#[pymethods]
impl Group {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __len__(&self) -> usize {
        lock(&self.0).len()
    }

    /// Forgets all commits.
    fn clear(&self) {
        lock(&self.0).clear();
    }
}
