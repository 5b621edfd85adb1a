//! From a configuration to a pool.

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

/// Opens a pool for the works of `registry`. Numbers that the configuration leaves out are chosen so that
/// cores and memory suffice; those that it gives are obeyed. A warning on standard error says where they
/// are too large, and, for as long as the pool is open, when 80 % of the memory are used.
///
/// # Errors
/// [`crate::ErrorKind::Oversubscribed`]; [`crate::ErrorKind::NotServing`]; the system starts no threads or processes.
pub fn open(config: &PoolConfig, registry: &Registry) -> Result<Arc<dyn Pool>> {
    let warn: Warn = Arc::new(|text: &str| {
        let _ = writeln!(std::io::stderr(), "h5part: warning: {text}");
    });
    open_with(config, registry, &warn)
}

/// [`open`], with warnings that go elsewhere.
///
/// # Errors
/// As [`open`].
pub fn open_with(config: &PoolConfig, registry: &Registry, warn: &Warn) -> Result<Arc<dyn Pool>> {
    let (config, warnings) = resolve(config, &Machine::probe()).map_err(|kind| kind.at("open", "the pool"))?;
    for text in &warnings {
        warn(text);
    }
    let pool = open_resolved(&config, registry)?;
    // One watch a run of the program: that of the process that the user started.
    if processes::is_worker() {
        return Ok(pool);
    }
    let watch =
        MemoryWatch::start(Arc::clone(warn)).map_err(|e| ErrorKind::Io(e).at("watch the memory of", "the pool"))?;
    Ok(Arc::new(Watched { pool, _watch: watch }))
}

/// Makes worker processes possible: to be called first in `main`, by a program that opens a pool of
/// processes. Such a pool starts the same program again. In the program that the user started this returns at
/// once; in a worker it runs tasks, and does not return.
///
/// Standard output of a worker goes to standard error, and its standard input is empty: the pool's
/// messages take the pipes. Descriptors that it inherited are closed.
pub fn serve(registry: &Registry) {
    processes::serve(registry, open_resolved);
}

/// Puts a number of workers at both levels of a configuration; returns what is to be warned of.
///
/// # Errors
/// [`crate::ErrorKind::Oversubscribed`]: workers within workers, more than there are cores, and not told to
/// oversubscribe. [`ErrorKind::BadRequest`]: more than two levels.
pub fn resolve(config: &PoolConfig, machine: &Machine) -> Result<(PoolConfig, Vec<String>), ErrorKind> {
    let mut config = config.clone();
    let workers = |config: &PoolConfig| match config.mode {
        Mode::Serial => Some(1),
        _ => config.kwargs.max_workers,
    };
    let inner = config.inner();
    if inner.kwargs.inner.is_some() {
        return Err(ErrorKind::BadRequest("pools have two levels at most".to_owned()));
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

/// Opens a pool whose numbers are settled: those of an inner one were settled with the outer one's.
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
                       another mode, or run programs by 'h5part run --mode slurm'";
            return Err(ErrorKind::BadRequest(why.to_owned()).at("open", "the pool"));
        }
    })
}

/// A pool, and an eye on the memory for as long as it is open.
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
