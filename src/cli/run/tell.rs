//! What people see of a run: a bar on a terminal, and a line for what goes wrong.

use super::super::output::TaskBar;
use h5part::Result;
use h5part::error::At;
use h5part::executor::budget::MemoryWatch;
use h5part::executor::ledgered::{Event, Observer};
use h5part::ledger::{End, Ledger, State, Tally};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tasks are counted anew this often, and not more often than so many times as long as it takes.
const COUNT: Duration = Duration::from_millis(500);
const SHARE: u32 = 50;

pub struct Teller<'a> {
    ledger: &'a Ledger,
    quiet: bool,
    /// How far the run is, is not said by its workers.
    counts: bool,
    state: Mutex<Counted>,
}

struct Counted {
    bar: TaskBar,
    due: Instant,
}

impl<'a> Teller<'a> {
    pub fn new(ledger: &'a Ledger, quiet: bool) -> Self {
        Self::made(ledger, quiet, !quiet)
    }

    /// For a worker of a run, which tells for all of them how far they are.
    pub fn of_worker(ledger: &'a Ledger, quiet: bool) -> Self {
        Self::made(ledger, quiet, false)
    }

    fn made(ledger: &'a Ledger, quiet: bool, counts: bool) -> Self {
        let bar = TaskBar::new(ledger.len(), !counts);
        Self { ledger, quiet, counts, state: Mutex::new(Counted { bar, due: Instant::now() }) }
    }

    /// The run has ended.
    pub fn end(self) {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).bar.clear();
    }

    /// Something to be seen with the counts from now on.
    pub fn note(&self, text: String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bar.note(text);
    }

    /// From now on, until what is returned goes away, warns when the memory runs short.
    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        let say = self.voice();
        let warn = move |text: &str| say(&format!("warning: {text}"));
        MemoryWatch::start(Arc::new(warn)).map_err(h5part::ErrorKind::Io).at("watch the memory of", self.ledger.path())
    }

    /// Says lines, from any thread.
    pub fn voice(&self) -> impl Fn(&str) + Send + Sync + use<> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bar.voice()
    }

    fn say(&self, text: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bar.say(text);
    }

    fn count(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        if start < state.due {
            return;
        }
        // A ledger that cannot be read is told by the workers.
        if let Ok(Tally { done, failed, running, .. }) = self.ledger.tally() {
            state.bar.set(done, failed, running);
        }
        state.due = Instant::now() + COUNT.max(start.elapsed() * SHARE);
    }
}

impl Observer for Teller<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Tick if self.counts => self.count(),
            Event::Ended(claim, End::Failed(reason), state) => {
                let name = claim.name.escape_debug();
                match state {
                    State::Failed => self.say(&format!("'{name}' failed for the last time: {reason}")),
                    _ if self.quiet => {}
                    _ => self.say(&format!("'{name}' failed: {reason}; it is tried again")),
                }
            }
            Event::Lost(_, error) => self.say(&error.to_string()),
            Event::Lapsed(lapsed) if !self.quiet => {
                let (name, owner) = (lapsed.claim.name.escape_debug(), &lapsed.owner);
                self.say(&format!("'{name}' was taken from {owner}: {}; it is {}", lapsed.reason, lapsed.state.word()));
            }
            Event::Settled(claim) if !self.quiet => {
                self.say(&format!("'{}' is done all the same: its rows are there", claim.name.escape_debug()));
            }
            Event::Warning(text) => self.say(text),
            _ => {}
        }
    }
}
