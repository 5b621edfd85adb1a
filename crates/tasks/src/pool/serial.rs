//! Runs tasks one after another in the caller's own thread. For debugging.

use super::board::Board;
use super::config::PoolConfig;
use super::host::{Host, OpenPool};
use super::work::Registry;
use super::{Event, EventKind, Job, Pool, RunId};
use h5part_base::error::Result;

/// Runs jobs in the thread that asks for events, while it asks. So breakpoints work, and a panic shows its backtrace.
/// Results of a job wait until it ends, however many they are.
#[derive(Debug)]
pub struct Serial {
    board: Board,
    host: Host,
}

impl Serial {
    /// A pool that uses the calling thread.
    pub(super) fn new(registry: &Registry, inner: PoolConfig, open: OpenPool) -> Self {
        Self { board: Board::new(1, usize::MAX), host: Host::new(registry, inner, open) }
    }

    fn run_one(&self) -> bool {
        let Some(taken) = self.board.try_take() else { return false };
        let mut sink = |part, value| self.board.part_at_once(&taken, EventKind::Partial { part, value });
        let end = self.host.run(&taken.job, &taken.stop, &mut sink);
        self.board.end(&taken, end);
        true
    }
}

impl Pool for Serial {
    fn workers(&self) -> usize {
        1
    }

    fn knows(&self, work: &str) -> bool {
        self.host.registry.knows(work)
    }

    fn submit(&self, job: Job) -> Result<()> {
        self.board.submit(job)
    }

    fn next(&self, run: RunId) -> Option<Event> {
        self.board.next(run, &|| self.run_one())
    }

    fn cancel(&self, run: RunId) {
        self.board.cancel(run);
    }

    fn shut_down(&self) {
        self.board.close();
        self.board.settle();
    }
}
