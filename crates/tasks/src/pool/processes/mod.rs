//! Worker processes of this host: the program itself, started again.
//!
//! For each worker there is a thread here that starts it, sends it orders, receives its reports, and replaces it when
//! it dies. Workers are never forked: a forked process would share what the HDF5 library has open.

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

/// Runs jobs in worker processes. If one dies for any reason, this is noticed at once: its job is lost, the others are
/// not affected, and another worker replaces it. Workers end with the process that started them, even if that is
/// killed.
#[derive(Debug)]
pub struct Processes {
    shared: Arc<Shared>,
    registry: Registry,
    workers: usize,
    slots: Mutex<Vec<JoinHandle<()>>>,
}

impl Processes {
    /// A pool of `workers` processes, each pinned to its list of processors if there are lists. From the configuration
    /// it uses the memory limit, the results in flight and the inner pool. Workers start at once, and this does not
    /// wait for them.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotServing`]: this program has not called [`super::serve`], so its workers would not call it
    /// either.
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
