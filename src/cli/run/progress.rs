//! What people see of a run: a bar on a terminal, and a line for what goes wrong.

use super::super::output::{TaskBar, say};
use h5part::Result;
use h5part::ledger::{Claim, End, Ledger, Reason, State, Tally};
use h5part_base::error::At;
use h5part_base::sync;
use h5part_tasks::budget::MemoryWatch;
use h5part_tasks::run::{Event, Observer};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Tasks are counted anew this often, and not more often than so many times as long as it takes.
const COUNT: Duration = Duration::from_millis(500);
const SHARE: u32 = 50;

pub struct Progress<'a> {
    ledger: &'a Ledger,
    quiet: bool,
    /// How far the run is, is not said by its workers.
    counts: bool,
    state: Mutex<Counted>,
}

struct Counted {
    bar: TaskBar,
    due: Instant,
    /// Of tasks whose rows are not there, what is missing: told with how the task ended.
    missing: HashMap<u64, String>,
    /// Attempts that failed, by reason. The first of each is told; the others are counted.
    failed: BTreeMap<String, u64>,
}

impl<'a> Progress<'a> {
    pub fn new(ledger: &'a Ledger, quiet: bool) -> Self {
        Self::made(ledger, quiet, !quiet)
    }

    /// For a worker of a run, which tells for all of them how far they are.
    pub fn of_worker(ledger: &'a Ledger, quiet: bool) -> Self {
        Self::made(ledger, quiet, false)
    }

    fn made(ledger: &'a Ledger, quiet: bool, counts: bool) -> Self {
        let bar = TaskBar::new(ledger.len(), !counts);
        Self { ledger, quiet, counts, state: Mutex::new(Counted::new(bar)) }
    }

    /// The run has ended.
    pub fn end(self) {
        let Counted { bar, failed, .. } = sync::into_inner(self.state);
        bar.clear();
        for (reason, count) in failed.into_iter().filter(|(_, count)| *count > 1 && !self.quiet) {
            say(format_args!("{count} attempts failed for one reason: {reason}"));
        }
    }

    /// Something to be seen with the counts from now on.
    pub fn note(&self, text: String) {
        sync::lock(&self.state).bar.note(text);
    }

    /// From now on, until what is returned goes away, warns when the memory runs short.
    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        let say = self.voice();
        let warn = move |text: &str| say(&format!("warning: {text}"));
        MemoryWatch::start(Arc::new(warn)).map_err(h5part::ErrorKind::Io).at("watch the memory of", self.ledger.path())
    }

    /// Says lines, from any thread.
    pub fn voice(&self) -> impl Fn(&str) + Send + Sync + use<> {
        sync::lock(&self.state).bar.voice()
    }

    fn say(&self, text: &str) {
        sync::lock(&self.state).bar.say(text);
    }

    fn count(&self) {
        let mut state = sync::lock(&self.state);
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

impl Counted {
    fn new(bar: TaskBar) -> Self {
        Self { bar, due: Instant::now(), missing: HashMap::new(), failed: BTreeMap::new() }
    }

    /// Says the first failure of each reason, and counts the others.
    fn tell_failure(&mut self, claim: &Claim, reason: Reason, state: State, quiet: bool) {
        let name = claim.name.escape_debug();
        let (kind, text) = match self.missing.remove(&claim.place) {
            // Rows differ from task to task, columns do not.
            Some(missing) => (format!("{reason}"), missing),
            None => (format!("{reason}"), format!("failed: {reason}")),
        };
        let count = self.failed.entry(kind).or_default();
        *count += 1;
        if *count > 1 && state != State::Failed {
            return;
        }
        match state {
            State::Failed => self.bar.say(&format!("'{name}' {text}; it is not retried")),
            _ if quiet => {}
            _ => self.bar.say(&format!("'{name}' {text}; it is retried")),
        }
    }
}

impl Observer for Progress<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Tick if self.counts => self.count(),
            Event::Ended(claim, End::Failed(reason), state) => {
                let mut counted = sync::lock(&self.state);
                counted.tell_failure(claim, *reason, *state, self.quiet);
            }
            Event::NotCommitted(claim, kind, _) => {
                let mut counted = sync::lock(&self.state);
                counted.missing.insert(claim.place, format!("exited with 0, but {kind}"));
            }
            Event::Lost(_, error) => self.say(&error.to_string()),
            Event::Expired(expired) if !self.quiet => {
                let (name, owner) = (expired.claim.name.escape_debug(), &expired.owner);
                self.say(&format!(
                    "'{name}' was taken from {owner}: {}; it is {}",
                    expired.reason,
                    expired.state.word()
                ));
            }
            Event::Completed(claim) if !self.quiet => {
                self.say(&format!("'{}' is done all the same: its rows are there", claim.name.escape_debug()));
            }
            Event::Warning(text) => self.say(text),
            _ => {}
        }
    }
}
