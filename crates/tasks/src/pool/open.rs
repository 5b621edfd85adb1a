//! Opens a pool from a configuration.

use super::config::PoolConfig;
use super::processes::{self, Processes};
use super::serial::Serial;
use super::threads::Threads;
use super::work::Registry;
use super::{Event, Job, Pool, RunId};
use crate::budget::{Budget, Machine, MemoryWatch, Need, Warn, pin};
use crate::pool::mode::Mode;
use h5part_base::error::{ErrorKind, Result};
use std::io::Write;
use std::sync::Arc;

/// Opens a pool for the works of `registry`. Numbers that the configuration does not give are chosen so that cores and
/// memory suffice; given numbers are obeyed. A warning on standard error says if they are too large. Another one
/// appears whenever 80 % of the memory is used while the pool is open.
///
/// # Errors
/// [`crate::ErrorKind::Oversubscribed`]; [`crate::ErrorKind::NotServing`]; an error if no threads or processes can be
/// started.
pub fn open(config: &PoolConfig, registry: &Registry) -> Result<Arc<dyn Pool>> {
    let warn: Warn = Arc::new(|text: &str| {
        let _ = writeln!(std::io::stderr(), "h5part: warning: {text}");
    });
    open_with(config, registry, &warn)
}

/// As [`open`], with another receiver of warnings.
///
/// # Errors
/// As [`open`].
pub fn open_with(config: &PoolConfig, registry: &Registry, warn: &Warn) -> Result<Arc<dyn Pool>> {
    let (config, warnings) = resolve(config, &Machine::probe()).map_err(|kind| kind.at("open", "the pool"))?;
    for text in &warnings {
        warn(text);
    }
    let pool = open_resolved(&config, registry)?;
    // Only the process that the user started watches the memory.
    if processes::is_worker() {
        return Ok(pool);
    }
    let watch =
        MemoryWatch::start(Arc::clone(warn)).map_err(|e| ErrorKind::Io(e).at("watch the memory of", "the pool"))?;
    Ok(Arc::new(Watched { pool, _watch: watch }))
}

/// Makes worker processes possible. A program that opens a pool of processes must call it first in `main`, since such a
/// pool starts the same program again. In the program that the user started it returns at once. In a worker it runs
/// tasks, and does not return.
///
/// A worker's standard output goes to standard error, and its standard input is empty, since the pool's messages use
/// the pipes. Descriptors that it inherited are closed.
pub fn serve(registry: &Registry) {
    processes::serve(registry, open_resolved);
}

/// Sets the numbers of workers at both levels of a configuration. Returns warnings.
///
/// # Errors
/// [`crate::ErrorKind::Oversubscribed`]: nested workers exceed the cores, without `oversubscribe`.
/// [`ErrorKind::BadRequest`]: more than two levels.
pub fn resolve(config: &PoolConfig, machine: &Machine) -> Result<(PoolConfig, Vec<String>), ErrorKind> {
    let mut config = config.clone();
    let workers = |config: &PoolConfig| match config.mode {
        Mode::Serial => Some(1),
        _ => config.kwargs.max_workers,
    };
    let inner = config.inner();
    if inner.kwargs.inner.is_some() {
        return Err(ErrorKind::BadRequest("pools can have at most two levels".to_owned()));
    }
    let need = Need {
        workers: workers(&config),
        threads: workers(&inner),
        memory_per_worker: config.kwargs.memory_per_worker,
        oversubscribe: config.kwargs.oversubscribe,
        ..Need::default()
    };
    let budget = Budget::plan(machine, &need)?;
    config.kwargs.max_workers = Some(budget.workers);
    let mut inner = inner;
    inner.kwargs.max_workers = Some(budget.threads);
    config.kwargs.inner = Some(Box::new(inner));
    Ok((config, budget.warnings))
}

/// Opens a pool with settled numbers. Those of an inner pool were settled with those of the outer one.
pub(super) fn open_resolved(config: &PoolConfig, registry: &Registry) -> Result<Arc<dyn Pool>> {
    let kwargs = &config.kwargs;
    let workers = kwargs.max_workers.unwrap_or(1).max(1);
    let inner = config.inner();
    let cores = || {
        if kwargs.pin {
            pin::shares(&pin::allowed(), workers, inner.kwargs.max_workers.unwrap_or(1))
        } else {
            Vec::new()
        }
    };
    Ok(match config.mode {
        Mode::Serial => Arc::new(Serial::new(registry, inner, open_resolved)),
        Mode::Threads => Arc::new(Threads::new(registry, workers, kwargs.parts(), cores(), inner, open_resolved)?),
        Mode::Processes => Arc::new(Processes::new(registry, config, workers, cores())?),
        Mode::Slurm => {
            let why = "the tasks of a registry do not run in SLURM jobs yet: start the program in the job with \
                       another mode, or run a program for each task of a ledger in a job array";
            return Err(ErrorKind::BadRequest(why.to_owned()).at("open", "the pool"));
        }
    })
}

/// A pool with a watch on the memory while it is open.
#[derive(Debug)]
struct Watched {
    pool: Arc<dyn Pool>,
    _watch: MemoryWatch,
}

impl Pool for Watched {
    fn workers(&self) -> usize {
        self.pool.workers()
    }

    fn knows(&self, work: &str) -> bool {
        self.pool.knows(work)
    }

    fn submit(&self, job: Job) -> Result<()> {
        self.pool.submit(job)
    }

    fn next(&self, run: RunId) -> Option<Event> {
        self.pool.next(run)
    }

    fn cancel(&self, run: RunId) {
        self.pool.cancel(run);
    }

    fn shut_down(&self) {
        self.pool.shut_down();
    }
}
