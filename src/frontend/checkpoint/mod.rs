//! A run of trials as a ledger, with the checkpoint text of the Python tools beside it, kept in step.
//!
//! The ledger is the truth. The text is for the tools that know nothing of it: they can show how far a run is,
//! and finish it; what they change in the text is taken over when the next run of ours begins.

mod begin;
mod text;

pub use begin::{Opened, Trials};
pub use text::TextFile;

use crate::error::Result;
use crate::ledger::{Ledger, Mark, State};
use std::path::{Path, PathBuf};

/// Where the two are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The text.
    pub text: PathBuf,
    /// The ledger.
    pub ledger: PathBuf,
}

impl Files {
    /// Those beside a text: `.MP` and `.MP.ledger`.
    #[must_use]
    pub fn of_text(text: &Path) -> Self {
        let mut ledger = text.as_os_str().to_owned();
        ledger.push(".ledger");
        Self { text: text.to_owned(), ledger: ledger.into() }
    }

    /// How far a run is, as far as ledger and text say: what either of them calls done is done.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSuchFile`]: no run has begun. As reading them.
    pub fn progress(&self) -> Result<Progress> {
        begin::progress(self)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Trials that are done.
    pub completed: u64,
    /// Trials that run.
    pub in_progress: u64,
    /// Trials that wait, those that failed among them.
    pub remaining: u64,
}

/// A ledger of trials with its text.
///
/// **Concurrency.** Any number of processes may have the same trials open: the ledger shares them out. The text is
/// replaced as a whole; it follows the ledger by about a second, and what a process that ends has done is in it.
#[derive(Debug)]
pub struct Checkpointed {
    ledger: Ledger,
    text: TextFile,
    files: Files,
    trials: Trials,
}

impl Checkpointed {
    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &TextFile {
        &self.text
    }

    /// Writes the text if a second has passed and something has changed.
    ///
    /// # Errors
    /// As reading the ledger and writing the text.
    pub fn follow(&self) -> Result<()> {
        self.text.follow(&self.ledger)
    }

    /// Writes the text: to be called at the end. A loss of power leaves what it says.
    ///
    /// # Errors
    /// As reading and syncing the ledger, and writing the text.
    pub fn settle(&self) -> Result<()> {
        self.ledger.sync()?;
        self.text.settle(&self.ledger)
    }
}

/// How the text says it. What failed for good is for the Python tools to be tried again.
fn mark(state: State) -> Mark {
    match state {
        State::Waiting | State::Failed => Mark::Waiting,
        State::Running => Mark::Running,
        State::Done => Mark::Done,
    }
}
