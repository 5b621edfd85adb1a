//! Shows the progress of archiving.

use super::super::run::ending::Ending;
use super::super::run::progress::{Progress, Watching};
use super::super::task_bar::{Counts, TaskBar};
use h5part::Error;
use h5part::ledger::Ledger;
use h5part_base::sync;
use h5part_tasks::program::{Home, Homes};
use h5part_tasks::run::{Event, Observer};
use h5part_vplanet::bigplanet::{Kept, Watcher};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// The archiver itself reads the trials, so there are no logs.
#[derive(Clone, Copy, Debug)]
pub struct NoLogs;

impl Homes for NoLogs {
    fn of(&self, _ledger: &Ledger, _index: u32, _name: &str) -> Home {
        Home { folder: None, log: PathBuf::new(), apart: false }
    }
}

/// A progress bar while an archive is rebuilt beside the old one.
pub struct Rebuilding(Mutex<(TaskBar, u64)>);

impl Rebuilding {
    pub fn new(trials: u64, quiet: bool) -> Self {
        Self(Mutex::new((TaskBar::new(trials, quiet), 0)))
    }

    /// Counts one more trial.
    pub fn count(&self) {
        let (bar, done) = &mut *sync::lock(&self.0);
        *done += 1;
        bar.set(Counts { done: *done, ..Counts::default() });
    }

    pub fn end(self) {
        sync::into_inner(self.0).0.clear();
    }
}

pub struct Show<'a> {
    progress: Progress<'a>,
    why: Mutex<HashMap<String, String>>,
    verbose: bool,
}

impl<'a> Show<'a> {
    pub fn new(watching: Watching<'a>, verbose: bool) -> Self {
        Self { progress: Progress::new(watching), why: Mutex::default(), verbose }
    }

    /// Call this when all trials have ended. Also returns, by name, why trials could not be archived.
    pub fn end(self) -> (Ending, HashMap<String, String>) {
        (self.progress.end(), sync::into_inner(self.why))
    }
}

impl Observer for Show<'_> {
    fn event(&self, event: &Event<'_>) {
        self.progress.event(event);
    }
}

impl Watcher for Show<'_> {
    fn ended(&self, trial: &str, outcome: Result<Kept, &Error>) {
        match outcome {
            Ok(kept) => {
                let what = match kept {
                    Kept::Added => "archived",
                    Kept::Same => "in the archive already",
                    Kept::Replaced => "archived again: it existed, but its files say something else",
                };
                if self.verbose || kept == Kept::Replaced {
                    self.progress.event(&Event::Warning(format!("'{trial}': {what}")));
                }
            }
            Err(error) => {
                let cause = error.kind().to_string();
                sync::lock(&self.why).insert(trial.to_owned(), cause.clone());
                self.progress.explain(trial, cause, format!("was not archived: {error}"));
            }
        }
    }
}
