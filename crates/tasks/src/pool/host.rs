//! Runs one job in this thread, whatever the pool.

use super::config::PoolConfig;
use super::open::open_resolved;
use super::work::{Registry, TaskError};
use super::{EventKind, Job, Payload, Pool};
use h5part_base::error::Result;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a worker has for all its jobs.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) registry: Registry,
    pub(super) inner: InnerPools,
}

/// Where results of a job go; false: nobody wants them any more.
pub(super) type Sink<'a> = dyn FnMut(u64, Payload) -> bool + 'a;

/// A job while it runs.
pub(super) struct Task<'a> {
    pub(super) job: &'a Job,
    pub(super) inner: &'a InnerPools,
    cancelled: &'a AtomicBool,
    parts: &'a mut u64,
    sink: &'a mut Sink<'a>,
    pool: &'a mut Option<Arc<dyn Pool>>,
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("job", self.job).field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(registry: &Registry, inner: PoolConfig) -> Self {
        let inner = InnerPools { config: inner, registry: registry.clone(), idle: Mutex::default() };
        Self { registry: registry.clone(), inner }
    }

    /// Runs a job to its end; a panic is caught, after the hook has told it with its backtrace.
    pub(super) fn run(&self, job: &Job, cancelled: &AtomicBool, sink: &mut Sink<'_>) -> EventKind {
        let Some(work) = self.registry.get(&job.work) else {
            return EventKind::Failed(TaskError::Failed(format!("no work '{}' is registered", job.work)));
        };
        let (mut parts, mut pool) = (0, None);
        let run = || {
            let mut sink = |part, value| sink(part, value);
            let (parts, sink, pool) = (&mut parts, &mut sink, &mut pool);
            work.run_any(&mut Task { job, inner: &self.inner, cancelled, parts, sink, pool })
        };
        let ended = catch_unwind(AssertUnwindSafe(run));
        // Where the task panicked its pool may still be at work for it, and is not used again.
        match (pool, &ended) {
            (Some(pool), Ok(_)) => self.inner.give_back(pool),
            (Some(pool), Err(_)) => pool.shut_down(),
            (None, _) => {}
        }
        match ended {
            Ok(Ok(())) => EventKind::Done { parts },
            Ok(Err(error)) => EventKind::Failed(error),
            Err(panic) => EventKind::Failed(TaskError::Panicked(text_of(panic.as_ref()))),
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}

impl Task<'_> {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn give(&mut self, bytes: Vec<u8>) -> Result<(), TaskError> {
        if self.is_cancelled() || !(self.sink)(*self.parts, bytes.into()) {
            return Err(TaskError::Cancelled);
        }
        *self.parts += 1;
        Ok(())
    }

    pub(super) fn inner_pool(&mut self) -> Result<Arc<dyn Pool>> {
        if let Some(pool) = self.pool {
            return Ok(Arc::clone(pool));
        }
        let pool = self.inner.take()?;
        Ok(Arc::clone(self.pool.insert(pool)))
    }
}

/// Pools within tasks: as many as tasks that use one run at once, made when first needed.
pub(super) struct InnerPools {
    config: PoolConfig,
    registry: Registry,
    idle: Mutex<Vec<Arc<dyn Pool>>>,
}

impl InnerPools {
    pub(super) fn config(&self) -> &PoolConfig {
        &self.config
    }

    fn take(&self) -> Result<Arc<dyn Pool>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open_resolved(&self.config, &self.registry), Ok)
    }

    fn give_back(&self, pool: Arc<dyn Pool>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
    }
}

impl fmt::Debug for InnerPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
