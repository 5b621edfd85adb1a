//! Ledgers: tasks, each claimed by one worker at a time.

use crate::convert::{json, seconds};
use crate::errors::OrRaise;
use crate::handle::Handle;
use h5part::ledger::{
    self, ClaimOptions, Claimed, End, Expired, NameList, NewLedger, Owner, OwnerId, Reason, StoreTasks, TaskFence,
    TaskState, Watch,
};
use h5part::{Fence, Result};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Makes a ledger of named tasks, or of blocks of rows.
#[pyfunction]
#[pyo3(signature = (path, names, rows, block, max_attempts, store=None, columns=None))]
#[expect(clippy::too_many_arguments, reason = "they have names in Python")]
pub fn create_ledger(
    py: Python<'_>,
    path: PathBuf,
    names: Option<Vec<String>>,
    rows: u64,
    block: u64,
    max_attempts: u16,
    store: Option<(PathBuf, String)>,
    columns: Option<Vec<String>>,
) -> PyResult<()> {
    let make = || {
        let mut new = match names {
            Some(names) => NewLedger::of_names(NameList::try_from(names.as_slice())?),
            None => NewLedger::of_rows(rows, block),
        };
        if let Some((file, table)) = store {
            let store = h5part::Store::open(file)?;
            let mut target = ledger::store_ref(&store, &table)?;
            target.columns = columns.unwrap_or_default();
            new.rows = if new.names.is_some() { store.reader(&table)?.rows() } else { new.rows };
            new.rows_per_task = block;
            new.store = Some(target);
        }
        new.max_attempts = max_attempts;
        new.create(path)
    };
    py.detach(make).or_raise(py)
}

/// An open ledger: see `h5part.Ledger`.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Ledger(Handle<Opened>);

#[derive(Debug)]
struct Opened {
    ledger: Arc<ledger::Ledger>,
    owner: Option<OwnerId>,
    watch: Watch,
}

/// A task that was claimed.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Claim {
    claim: ledger::Claim,
    ledger: Arc<ledger::Ledger>,
}

#[pymethods]
impl Claim {
    #[getter]
    fn name(&self) -> &str {
        &self.claim.name
    }

    #[getter]
    fn index(&self) -> u32 {
        self.claim.index
    }

    /// First row, and the row after the last.
    #[getter]
    fn rows(&self) -> Option<(u64, u64)> {
        self.claim.rows.as_ref().map(|rows| (rows.start, rows.end))
    }

    #[getter]
    fn fence(&self) -> u64 {
        self.claim.fence
    }

    #[getter]
    fn attempts(&self) -> u16 {
        self.claim.attempts
    }

    /// Raises `h5part.Fenced` if the task has another owner now.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.as_fence().check()).or_raise(py)
    }
}

impl Claim {
    pub fn as_fence(&self) -> TaskFence {
        TaskFence::new(Arc::clone(&self.ledger), self.claim.clone())
    }
}

impl Opened {
    fn owner(&mut self) -> Result<OwnerId> {
        if let Some(owner) = self.owner {
            return Ok(owner);
        }
        let owner = self.ledger.register(&Owner::this_process())?;
        Ok(*self.owner.insert(owner))
    }

    fn reap(&mut self) -> Result<Vec<Expired>> {
        let expired = self.ledger.reap(&mut self.watch)?;
        if !expired.is_empty() && self.ledger.header().store.is_some() {
            let tasks = StoreTasks::open(&self.ledger, None)?;
            for one in &expired {
                tasks.settle(one.claim.place)?;
            }
        }
        Ok(expired)
    }

    fn claim(&mut self, count: u64, delay: Duration) -> Result<Claimed> {
        let owner = self.owner()?;
        match self.ledger.claim(owner, &ClaimOptions { count, delay })? {
            // What dead workers had may come back at once.
            Claimed::Nothing { .. } if !self.reap()?.is_empty() => {
                self.ledger.claim(owner, &ClaimOptions { count, delay })
            }
            claimed => Ok(claimed),
        }
    }

    fn places(&self, names: Option<&[String]>, states: &[TaskState]) -> Result<Vec<u64>> {
        if let Some(names) = names {
            return names.iter().map(|name| self.ledger.find(name)).collect();
        }
        let mut places = Vec::new();
        self.ledger.each(|place, task| {
            places.extend(task.filter(|task| states.contains(&task.state)).map(|_| place));
            Ok(())
        })?;
        Ok(places)
    }
}

#[pymethods]
impl Ledger {
    #[new]
    #[pyo3(signature = (path, read_only=false, stale_after=300.0))]
    fn new(py: Python<'_>, path: PathBuf, read_only: bool, stale_after: f64) -> PyResult<Self> {
        let stale = seconds("stale_after", stale_after)?;
        let open = || if read_only { ledger::Ledger::open_to_read(path) } else { ledger::Ledger::open(path) };
        let opened = py.detach(open).or_raise(py)?;
        let watch = Watch::new(stale, h5part::run::slurm::job_is_gone);
        Ok(Self(Handle::new("ledger", Opened { ledger: Arc::new(opened), owner: None, watch })))
    }

    fn is_ours(&self) -> bool {
        self.0.is_ours()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |opened| usize::try_from(opened.ledger.len()).unwrap_or(usize::MAX))
    }

    /// Claims up to `count` tasks for this process. Returns them, and how many rest and run elsewhere.
    fn claim(&self, py: Python<'_>, count: u64, retry_delay: f64) -> PyResult<(Vec<Claim>, u64, u64)> {
        let delay = seconds("retry_delay", retry_delay)?;
        let (claimed, ledger) = self
            .0
            .with(py, |opened| opened.claim(count, delay).map(|claimed| (claimed, Arc::clone(&opened.ledger))))?
            .or_raise(py)?;
        Ok(match claimed {
            Claimed::Nothing { resting, running } => (Vec::new(), resting, running),
            Claimed::Tasks(claims) => {
                let claims = claims.into_iter().map(|claim| Claim { claim, ledger: Arc::clone(&ledger) });
                (claims.collect(), 0, 0)
            }
        })
    }

    /// Says that a task is done. If the ledger knows the store, its rows must be there.
    fn done(&self, py: Python<'_>, claim: &Claim) -> PyResult<String> {
        let state = self.0.with(py, |opened| match &opened.ledger.header().store {
            Some(_) => StoreTasks::open(&opened.ledger, None)?.done(&claim.claim),
            None => opened.ledger.finish(&claim.claim, End::Done),
        })?;
        Ok(state.or_raise(py)?.word().to_owned())
    }

    /// Says that a task failed, with the exit code of its program if it had one.
    #[pyo3(signature = (claim, exit_code=None))]
    fn fail(&self, py: Python<'_>, claim: &Claim, exit_code: Option<u8>) -> PyResult<String> {
        let end = End::Failed(exit_code.map_or(Reason::None, Reason::Exit));
        let state = self.0.with(py, |opened| opened.ledger.finish(&claim.claim, end))?;
        Ok(state.or_raise(py)?.word().to_owned())
    }

    /// Gives a task back.
    fn release(&self, py: Python<'_>, claim: &Claim) -> PyResult<String> {
        let state = self.0.with(py, |opened| opened.ledger.finish(&claim.claim, End::Released))?;
        Ok(state.or_raise(py)?.word().to_owned())
    }

    /// Shows workers on other hosts that this one lives.
    fn beat(&self, py: Python<'_>) -> PyResult<()> {
        let beaten = self.0.with(py, |opened| opened.owner.map_or(Ok(()), |owner| opened.ledger.beat(owner)))?;
        beaten.or_raise(py)
    }

    /// Counts of tasks, as JSON.
    fn tally(&self, py: Python<'_>) -> PyResult<String> {
        json(&self.0.with(py, |opened| opened.ledger.tally())?.or_raise(py)?)
    }

    /// All tasks, as JSON lines.
    fn list(&self, py: Python<'_>) -> PyResult<String> {
        let lines = self.0.with(py, |opened| {
            let mut lines = Vec::new();
            opened.ledger.each(|place, task| {
                if let Some(task) = task {
                    lines.push(serde_json::to_string(&opened.ledger.listed(place, task)?).unwrap_or_default());
                }
                Ok(())
            })?;
            Ok::<_, h5part::Error>(lines)
        })?;
        Ok(lines.or_raise(py)?.join("\n"))
    }

    /// Makes failed tasks, or those named, wait again. Returns how many.
    fn requeue(&self, py: Python<'_>, names: Option<Vec<String>>) -> PyResult<u64> {
        let changed = self.0.with(py, |opened| {
            let places = opened.places(names.as_deref(), &[TaskState::Failed])?;
            let all = names.is_some();
            opened.ledger.requeue(&places, |task| all || task.state == TaskState::Failed)
        })?;
        Ok(changed.or_raise(py)?.changed)
    }

    /// Cancels waiting and running tasks, or those named. Returns how many.
    fn cancel(&self, py: Python<'_>, names: Option<Vec<String>>) -> PyResult<u64> {
        let changed = self.0.with(py, |opened| {
            let places = opened.places(names.as_deref(), &[TaskState::Waiting, TaskState::Running])?;
            opened.ledger.cancel(&places)
        })?;
        Ok(changed.or_raise(py)?.changed)
    }

    /// Takes tasks from workers that have died. Returns their names.
    fn reap(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let expired = self.0.with(py, Opened::reap)?;
        Ok(expired.or_raise(py)?.into_iter().map(|one| one.claim.name).collect())
    }

    /// Syncs the ledger.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.0.with(py, |opened| opened.ledger.sync())?.or_raise(py)
    }

    /// Gives back what this process still holds.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(opened) = self.0.close(py) else { return Ok(()) };
        let Some(owner) = opened.owner else { return Ok(()) };
        py.detach(|| opened.ledger.leave(owner)).or_raise(py)
    }
}
