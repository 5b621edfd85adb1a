//! What people see of a run of trials: the lines of multiplanet, and a bar on a terminal.

use super::super::run::progress::Progress;
use h5part::Result;
use h5part::ledger::{End, Ledger, Reason};
use h5part_tasks::budget::MemoryWatch;
use h5part_tasks::run::{Event, Observer};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

pub struct Output<'a> {
    progress: Progress<'a>,
    folder: PathBuf,
    verbose: bool,
}

/// Writes a line to standard output, where somebody still reads it: a closed pipe ends no run.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl<'a> Output<'a> {
    pub fn new(ledger: &'a Ledger, folder: &Path, quiet: bool, verbose: bool) -> Self {
        // Without a terminal only what goes wrong is said: standard output has the lines of multiplanet.
        let counts = std::io::stderr().is_terminal() && !verbose;
        let progress = if counts { Progress::new } else { Progress::of_worker }(ledger, quiet);
        Self { progress, folder: folder.to_owned(), verbose }
    }

    /// For one worker beside others.
    pub fn of_worker(ledger: &'a Ledger, folder: &Path, quiet: bool, verbose: bool) -> Self {
        Self { progress: Progress::of_worker(ledger, quiet), folder: folder.to_owned(), verbose }
    }

    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        self.progress.watch_memory()
    }

    /// So many workers begin.
    pub fn workers(&self, count: usize) {
        (0..count).for_each(|_| self.print(format_args!("Starting worker")));
    }

    /// The run has ended.
    pub fn end(self) {
        self.progress.end();
    }

    fn print(&self, text: std::fmt::Arguments<'_>) {
        if self.verbose {
            print(&text.to_string());
        }
    }
}

impl Observer for Output<'_> {
    fn event(&self, event: &Event<'_>) {
        let path = |name: &str| self.folder.join(name);
        match event {
            Event::Begins(claim) => self.print(format_args!("Processing: {}", path(&claim.name).display())),
            Event::Ended(claim, End::Done, _) => self.print(format_args!("{} completed", path(&claim.name).display())),
            Event::Ended(claim, End::Failed(reason), _) => {
                // As Python has it: a signal is a negative code.
                let code = match reason {
                    Reason::Exit(code) => Some(i32::from(*code)),
                    Reason::Signal(signal) => Some(-i32::from(*signal)),
                    _ => None,
                };
                if let Some(code) = code {
                    let path = path(&claim.name);
                    self.print(format_args!("{} failed with return code {code}", path.display()));
                }
            }
            _ => {}
        }
        self.progress.event(event);
    }
}
