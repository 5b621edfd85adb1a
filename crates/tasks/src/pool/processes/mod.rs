//! Worker processes of this host: the program itself, started again.
//!
//! Each worker has a thread here that starts it, tells it what to do, hears what comes of it, and starts
//! another in its place when it dies. Never forked: a forked process would share what the HDF5 library
//! has open.

mod serve;
mod slot;
mod wire;
mod worker;

pub(super) use serve::serve;

use super::board::Board;
use super::config::PoolConfig;
use super::work::Registry;
use super::{Event, Job, Pool, RunId};
use h5part_base::error::{ErrorKind, Kind, Result};
use h5part_base::sync;
use slot::{Shared, Slot};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use wire::Hello;

/// Whether this process is a worker of a pool.
pub(super) fn is_worker() -> bool {
    serve::is_worker()
}

/// Runs jobs in worker processes. One that dies, however it dies, is noticed at once; its job is lost,
/// the others know nothing of it, and another worker takes its place. Workers end with the process that
/// started them, also when that is killed.
#[derive(Debug)]
pub struct Processes {
    shared: Arc<Shared>,
    registry: Registry,
    workers: usize,
    slots: Mutex<Vec<JoinHandle<()>>>,
}

impl Processes {
    /// A pool of `workers` processes, each kept on the processors of its list, where there are lists. Of
    /// the configuration, memory limit, results in flight and inner pool count. They start at once; this does
    /// not wait for them.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotServing`]: this program has not called [`super::serve`], and neither would its workers.
    pub(super) fn new(
        registry: &Registry,
        config: &PoolConfig,
        workers: usize,
        cores: Vec<Vec<usize>>,
    ) -> Result<Self> {
        if !serve::is_called() {
            return Err(crate::ErrorKind::NotServing.at("start worker processes of", "the pool"));
        }
        let workers = workers.max(1);
        let hello = Hello { inner: config.inner(), memory_limit: config.kwargs.memory_limit, cores: vec![] };
        let shared = Arc::new(Shared { board: Board::new(workers, config.kwargs.parts()), hello });
        let mut slots = Vec::with_capacity(workers);
        let mut cores = cores.into_iter();
        for number in 0..workers {
            let slot = Slot::new(Arc::clone(&shared), cores.next().unwrap_or_default());
            let thread = std::thread::Builder::new().name(format!("slot {number}")).spawn(move || slot.run());
            match thread {
                Ok(thread) => slots.push(thread),
                Err(e) => {
                    shared.board.close();
                    return Err(ErrorKind::Io(e).at("start worker processes of", "the pool"));
                }
            }
        }
        Ok(Self { shared, registry: registry.clone(), workers, slots: Mutex::new(slots) })
    }
}

impl Pool for Processes {
    fn workers(&self) -> usize {
        self.workers
    }

    fn knows(&self, work: &str) -> bool {
        self.registry.knows(work)
    }

    fn submit(&self, job: Job) -> Result<()> {
        self.shared.board.submit(job)
    }

    fn next(&self, run: RunId) -> Option<Event> {
        self.shared.board.next(run, &|| false)
    }

    fn cancel(&self, run: RunId) {
        self.shared.board.cancel(run);
    }

    fn shut_down(&self) {
        self.shared.board.close();
        let slots = std::mem::take(&mut *sync::lock(&self.slots));
        for slot in slots {
            let _ = slot.join();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.shut_down();
    }
}
