//! Runs one job in this thread, for every kind of pool.

use super::config::PoolConfig;
use super::inner::InnerPools;
use super::task::{Sink, Task, TaskError};
use super::work::Registry;
use super::{EventKind, Job, Pool};
use h5part_base::error::Result;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Opens a pool with settled numbers for the works of a registry. A task that wants a pool of its own needs it. It is
/// passed in from the module that knows all kinds of pools.
pub(super) type OpenPool = fn(&PoolConfig, &Registry) -> Result<Arc<dyn Pool>>;

/// What a worker keeps for all its jobs.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) registry: Registry,
    pub(super) inner: InnerPools,
}

impl Host {
    pub(super) fn new(registry: &Registry, inner: PoolConfig, open: OpenPool) -> Self {
        let works = registry.clone();
        let inner = InnerPools::new(inner, Box::new(move |config| open(config, &works)));
        Self { registry: registry.clone(), inner }
    }

    /// Runs a job to its end. A panic is caught, after the panic hook has printed it with its backtrace.
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
        // If the task panicked, its pool may still be working for it, so it is not reused.
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
