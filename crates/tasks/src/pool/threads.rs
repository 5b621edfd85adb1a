//! Threads of this process.

use super::board::Board;
use super::config::PoolConfig;
use super::host::{Host, OpenPool};
use super::work::Registry;
use super::{Event, EventKind, Job, Pool, RunId};
use crate::budget::pin;
use h5part_base::error::{ErrorKind, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// Runs jobs in the threads of a rayon pool of its own; a task's own rayon calls run in it, too. A panic in a task
/// fails only that task. A task that ends the whole process ends everything: for such tasks use [`super::Processes`].
#[derive(Debug)]
pub struct Threads {
    shared: Arc<Shared>,
    threads: ThreadPool,
}

#[derive(Debug)]
struct Shared {
    board: Board,
    host: Host,
}

impl Shared {
    /// Runs a waiting job, if there is one. If a run was cancelled, its jobs were removed.
    fn run_one(&self) -> bool {
        let Some(taken) = self.board.try_take() else { return false };
        let mut sink = |part, value| self.board.part(&taken, EventKind::Partial { part, value });
        let end = self.host.run(&taken.job, &taken.stop, &mut sink);
        self.board.end(&taken, end);
        true
    }
}

impl Threads {
    /// A pool of `workers` threads, each pinned to its list of cores if there are lists. `parts`: most results of a run
    /// that may wait to be taken.
    ///
    /// # Errors
    /// The system cannot start another thread ([`ErrorKind::Io`]).
    pub(super) fn new(
        registry: &Registry,
        workers: usize,
        parts: usize,
        cores: Vec<Vec<usize>>,
        inner: PoolConfig,
        open: OpenPool,
    ) -> Result<Self> {
        let workers = workers.max(1);
        let pin = move |number: usize| {
            if let Some(cores) = cores.get(number) {
                // If this fails, tasks run without pinning.
                let _ = pin::keep_on(cores);
            }
        };
        let threads = ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|number| format!("worker {number}"))
            .start_handler(pin)
            .build()
            .map_err(|e| ErrorKind::Io(std::io::Error::other(e)).at("start threads of", "the pool"))?;
        let shared = Shared { board: Board::new(workers, parts), host: Host::new(registry, inner, open) };
        Ok(Self { shared: Arc::new(shared), threads })
    }
}

impl Pool for Threads {
    fn workers(&self) -> usize {
        self.threads.current_num_threads()
    }

    fn knows(&self, work: &str) -> bool {
        self.shared.host.registry.knows(work)
    }

    fn submit(&self, job: Job) -> Result<()> {
        self.shared.board.submit(job)?;
        let shared = Arc::clone(&self.shared);
        self.threads.spawn_fifo(move || {
            shared.run_one();
        });
        Ok(())
    }

    fn next(&self, run: RunId) -> Option<Event> {
        // A task that waits for its own tasks in the same pool would block a thread that they need.
        let help = || self.threads.current_thread_index().is_some() && self.shared.run_one();
        self.shared.board.next(run, &help)
    }

    fn cancel(&self, run: RunId) {
        self.shared.board.cancel(run);
    }

    fn shut_down(&self) {
        self.shared.board.close();
        self.shared.board.settle();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.board.close();
    }
}
