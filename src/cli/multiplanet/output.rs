//! Output of a run of trials: the lines of multiplanet, and a bar on a terminal.

use super::super::run::ending::Ending;
use super::super::run::progress::{Progress, Watching};
use super::super::run::told::{Failed, Told};
use h5part::Result;
use h5part::ledger::{End, Reason};
use h5part_tasks::budget::MemoryWatch;
use h5part_tasks::run::{Event, Observer, Stop};
use h5part_vplanet::multiplanet::Folders;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Output<'a> {
    progress: Progress<'a>,
    folder: PathBuf,
    verbose: bool,
}

/// Writes a line to standard output. If the pipe is closed, the run goes on.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl<'a> Output<'a> {
    pub fn new(watching: Watching<'a>, folders: &Folders, verbose: bool) -> Self {
        Self { progress: Progress::new(watching), folder: folders.0.clone(), verbose }
    }

    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        self.progress.watch_memory()
    }

    /// Asks for an end.
    pub fn stop(&self) -> &Arc<Stop> {
        self.progress.stop()
    }

    /// Reports that this many workers begin.
    pub fn workers(&self, count: usize) {
        if self.verbose {
            starting(count);
        }
    }

    /// Call this when the run has ended.
    pub fn end(self) -> Ending {
        self.progress.end()
    }
}

/// Prints that this many workers start, in the words of multiplanet.
pub fn starting(count: usize) {
    (0..count).for_each(|_| print("Starting worker"));
}

/// The line of multiplanet for an event, if it has one.
fn line_of(folder: &Path, name: &str, what: What) -> String {
    let path = folder.join(name);
    match what {
        What::Begins => format!("Processing: {}", path.display()),
        What::Completed => format!("{} completed", path.display()),
        What::Failed(code) => format!("{} failed with return code {code}", path.display()),
    }
}

#[derive(Clone, Copy)]
enum What {
    Begins,
    Completed,
    /// The exit code as in Python, where a signal is a negative code.
    Failed(i32),
}

/// Prints the line for an event that a worker process reports.
pub fn print_told(folder: &Path, told: &Told) {
    let (attempt, what) = match told {
        Told::Begun(attempt) => (attempt, What::Begins),
        Told::Done { attempt, .. } => (attempt, What::Completed),
        Told::Failed(Failed { attempt, code: Some(code), .. }) => (attempt, What::Failed(*code)),
        _ => return,
    };
    print(&line_of(folder, &attempt.task, what));
}

impl Observer for Output<'_> {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Begins(claim) => Some((claim, What::Begins)),
            Event::Ended(claim, End::Done, _) => Some((claim, What::Completed)),
            Event::Ended(claim, End::Failed(Reason::Exit(code)), _) => Some((claim, What::Failed(i32::from(*code)))),
            Event::Ended(claim, End::Failed(Reason::Signal(signal)), _) => {
                Some((claim, What::Failed(-i32::from(*signal))))
            }
            _ => None,
        };
        if let Some((claim, what)) = line.filter(|_| self.verbose) {
            print(&line_of(&self.folder, &claim.name, what));
        }
        self.progress.event(event);
    }
}
