//! Asks a run to end, with increasing urgency.

use h5part_base::sync;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How urgently a run must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It goes on.
    #[default]
    Run,
    /// No more claims. Running tasks are completed.
    Drain,
    /// Running tasks are ended and released.
    End,
}

/// Shared by all parts of a run.
#[derive(Debug, Default)]
pub struct Stop {
    level: Mutex<Level>,
    raised: Condvar,
}

impl Stop {
    /// Nobody has asked for an end yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an end. A request is never taken back.
    pub fn raise(&self, level: Level) {
        let mut now = self.lock();
        *now = level.max(*now);
        self.raised.notify_all();
    }

    /// The current level.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.lock()
    }

    /// Waits for this long, or until the level is higher than `level`.
    pub fn wait(&self, level: Level, time: Duration) {
        let waits = |now: &mut Level| *now <= level;
        // The caller checks the level again, so the result of the wait does not matter.
        drop(self.raised.wait_timeout_while(self.lock(), time, waits));
    }

    fn lock(&self) -> MutexGuard<'_, Level> {
        sync::lock(&self.level)
    }
}
