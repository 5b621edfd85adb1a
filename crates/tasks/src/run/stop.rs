//! How a run is asked to end, ever more urgently.

use h5part_base::sync;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How much a run is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It goes on.
    #[default]
    Run,
    /// No more claims; tasks that run come to their end.
    Drain,
    /// Tasks that run are ended and given back.
    End,
}

/// Shared by all that take part in a run.
#[derive(Debug, Default)]
pub struct Stop {
    level: Mutex<Level>,
    raised: Condvar,
}

impl Stop {
    /// Nobody asks for an end yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for an end; never takes back what was asked.
    pub fn raise(&self, level: Level) {
        let mut now = self.lock();
        *now = level.max(*now);
        self.raised.notify_all();
    }

    /// How much it is to end now.
    #[must_use]
    pub fn level(&self) -> Level {
        *self.lock()
    }

    /// Waits so long, or until more of an end is asked for than `level`.
    pub fn wait(&self, level: Level, time: Duration) {
        let waits = |now: &mut Level| *now <= level;
        // Whether the time is over or the level was raised is seen by whoever looks next.
        drop(self.raised.wait_timeout_while(self.lock(), time, waits));
    }

    fn lock(&self) -> MutexGuard<'_, Level> {
        sync::lock(&self.level)
    }
}
