//! What people see while trials are archived.

use super::super::output::TaskBar;
use h5part::Error;
use h5part_base::sync;
use h5part_tasks::run::{Event, Observer};
use h5part_vplanet::bigplanet::{Kept, Watcher};
use std::sync::Mutex;

pub struct Show {
    state: Mutex<State>,
    verbose: bool,
}

struct State {
    bar: TaskBar,
    done: u64,
    failed: u64,
}

impl Show {
    pub fn new(trials: u64, quiet: bool, verbose: bool) -> Self {
        Self { state: Mutex::new(State { bar: TaskBar::new(trials, quiet), done: 0, failed: 0 }), verbose }
    }

    /// One more is done.
    pub fn count(&self) {
        let mut state = sync::lock(&self.state);
        state.done += 1;
        let (done, failed) = (state.done, state.failed);
        state.bar.set(done, failed, 0);
    }

    /// All have ended.
    pub fn end(self) {
        sync::into_inner(self.state).bar.clear();
    }

    fn say(&self, text: &str) {
        sync::lock(&self.state).bar.say(text);
    }
}

impl Observer for Show {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Lost(_, error) => self.say(&error.to_string()),
            Event::Expired(expired) => {
                self.say(&format!("'{}' was taken from {}: {}", expired.claim.name, expired.owner, expired.reason));
            }
            Event::Warning(text) => self.say(text),
            _ => {}
        }
    }
}

impl Watcher for Show {
    fn ended(&self, trial: &str, outcome: Result<Kept, &Error>) {
        match outcome {
            Ok(kept) => {
                self.count();
                let what = match kept {
                    Kept::Added => "archived",
                    Kept::Same => "in the archive already",
                    Kept::Replaced => "archived anew: it was there, other than its files say",
                };
                if self.verbose || kept == Kept::Replaced {
                    self.say(&format!("'{trial}': {what}"));
                }
            }
            Err(error) => {
                sync::lock(&self.state).failed += 1;
                self.say(&format!("'{trial}' was not archived: {error}"));
            }
        }
    }
}
