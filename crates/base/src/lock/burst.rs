//! Bursts: commits in close succession that share one entry into the gate.
//!
//! An entry costs half a dozen system calls and a read of the file's metadata. A burst ends after a few milliseconds, or
//! when no commit follows soon. A thread ends it, so that a writer that computes holds no lock.

use super::{Shared, SharedGate};
use crate::sync;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No commit counts as slower than this.
const SLOWEST: Duration = Duration::from_secs(2);

/// How long bursts last.
#[derive(Debug)]
struct Pace {
    /// A burst that is older than this ends before the next commit, so that structural changes get their turn.
    longest: Duration,
    /// A burst ends after this long without a commit.
    idle: Duration,
    /// Commits that are closer together than this form a burst.
    close: Duration,
    /// A burst may be as long as this many commits, and a pause in it as long as one, however slow they are.
    commits: u32,
}

const LOCAL: Pace = Pace {
    longest: Duration::from_millis(5),
    idle: Duration::from_millis(1),
    close: Duration::from_micros(200),
    commits: 0,
};
/// An entry costs some thirty calls to the server, and a commit ten. How long they take depends on the network.
const NFS: Pace = Pace {
    longest: Duration::from_millis(500),
    idle: Duration::from_millis(50),
    close: Duration::from_millis(50),
    commits: 16,
};

impl Pace {
    /// A limit, for commits that take this long.
    fn stretched(&self, limit: Duration, commits: u32, each: Duration) -> Duration {
        limit.max(each * commits.min(self.commits))
    }
}

/// Keeps a [`SharedGate`] between commits that follow one another closely.
#[derive(Debug)]
pub struct Burst {
    shared: Arc<State>,
    pace: &'static Pace,
    watch: Option<JoinHandle<()>>,
    last_end: Option<Instant>,
    /// How long the last commit took.
    last: Duration,
}

#[derive(Debug, Default)]
struct State {
    state: Mutex<Held>,
    armed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    gate: Option<SharedGate>,
    entered: Option<Instant>,
    used: Option<Instant>,
    /// It ends after this long without a commit.
    idle: Duration,
    finished: bool,
    closing: bool,
}

/// The gate during one commit. The burst does not end while this lives. If it is dropped without [`InBurst::finish`],
/// as after an error, the burst ends.
#[derive(Debug)]
pub struct InBurst<'a> {
    state: MutexGuard<'a, Held>,
    close: bool,
    armed: &'a Condvar,
    start: Instant,
    pace: &'static Pace,
    last_end: &'a mut Option<Instant>,
    last: &'a mut Duration,
}

impl Burst {
    /// A burst that has not entered the gate.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        let pace = match shared {
            Shared::Local => &LOCAL,
            Shared::Nfs => &NFS,
        };
        Self { shared: Arc::default(), pace, watch: None, last_end: None, last: Duration::ZERO }
    }

    /// Begins a commit. If [`InBurst::entered`] is false, the caller enters the gate, with all the checks of an entry,
    /// and hands it over with [`InBurst::keep`].
    pub fn begin(&mut self) -> InBurst<'_> {
        let start = Instant::now();
        let close = self.last_end.is_some_and(|end| start - end < self.pace.stretched(self.pace.close, 1, self.last));
        if close && self.watch.is_none() {
            self.watch = self.shared.watch();
        }
        let mut state = self.shared.lock();
        let longest = self.pace.stretched(self.pace.longest, self.pace.commits, self.last);
        if state.entered.is_some_and(|entered| start - entered > longest) {
            state.gate = None;
        }
        InBurst {
            state,
            close: close && self.watch.is_some(),
            armed: &self.shared.armed,
            start,
            pace: self.pace,
            last_end: &mut self.last_end,
            last: &mut self.last,
        }
    }

    /// Leaves the gate now.
    pub fn end(&mut self) {
        self.shared.lock().gate = None;
    }
}

impl InBurst<'_> {
    /// Whether the burst is in the gate already.
    #[must_use]
    pub fn entered(&self) -> bool {
        self.state.gate.is_some()
    }

    /// Whether another program may have written to the file at some time.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.state.gate.as_ref().is_none_or(SharedGate::is_suspect)
    }

    /// Takes over a gate that was just entered.
    pub fn keep(&mut self, gate: SharedGate) {
        self.state.gate = Some(gate);
        self.state.entered = Some(Instant::now());
    }

    /// Ends the commit, and says when. If commits follow one another closely, the gate stays entered for a moment, else
    /// it is left now.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn finish(mut self) -> Instant {
        let end = Instant::now();
        *self.last_end = Some(end);
        // What it waited for the gate does not count, nor does a long wait for rows.
        let begun = self.state.entered.map_or(self.start, |entered| entered.max(self.start));
        *self.last = (end - begun).min(SLOWEST);
        self.state.used = Some(end);
        self.state.idle = self.pace.stretched(self.pace.idle, 1, *self.last);
        if self.close {
            self.armed.notify_one();
        } else {
            self.state.gate = None;
        }
        self.state.finished = true;
        end
    }
}

impl Drop for InBurst<'_> {
    fn drop(&mut self) {
        if !std::mem::take(&mut self.state.finished) {
            self.state.gate = None;
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Held> {
        sync::lock(&self.state)
    }

    /// The thread that ends idle bursts. If it cannot be started, every burst ends with its commit.
    fn watch(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let shared = Arc::clone(self);
        std::thread::Builder::new().name("h5part-gate".to_owned()).spawn(move || shared.end_idle_bursts()).ok()
    }

    fn end_idle_bursts(&self) {
        let mut state = self.lock();
        while !state.closing {
            if state.gate.is_none() {
                state = sync::wait(&self.armed, state);
                continue;
            }
            let idle = state.idle;
            drop(state);
            std::thread::sleep(idle);
            state = self.lock();
            if state.used.is_none_or(|used| used.elapsed() >= state.idle) {
                state.gate = None;
            }
        }
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closing = true;
            state.gate = None;
        }
        self.shared.armed.notify_one();
        if let Some(watch) = self.watch.take() {
            // The thread only sleeps and unlocks: a panic in it needs no report.
            let _ = watch.join();
        }
    }
}
