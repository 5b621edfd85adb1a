//! A run of trials as a ledger, with the checkpoint text of the Python tools beside it, kept in step.
//!
//! The ledger is the truth. The text is for the tools that know nothing of it: they can show how far a run is,
//! and finish it; what they change in the text is taken over when the next run of ours begins.

mod begin;
mod text;

pub use begin::{Opened, Trials};
pub use text::TextFile;

use h5part_base::error::{At, Result};
use h5part_tasks::ledger::{Ledger, Mark, Owner, Renewed, State, Watch};
use std::ffi::OsString;
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

    /// Those of a folder of trials, beside it: `MP` has `.MP`, and with the ending `_BPL` it has `.MP_BPL`.
    #[must_use]
    pub fn of_folder(folder: &Path, ending: &str) -> Self {
        let mut name = OsString::from(".");
        name.push(folder.file_name().unwrap_or_default());
        name.push(ending);
        Self::of_text(&folder.with_file_name(name))
    }

    /// Who works on the trials, if anybody does.
    ///
    /// # Errors
    /// As reading the ledger.
    pub fn in_use(&self, watch: &mut Watch) -> Result<Option<Owner>> {
        if !self.ledger.exists() {
            return Ok(None);
        }
        let ledger = Ledger::open(&self.ledger)?;
        ledger.reap(watch)?;
        match ledger.renew(|_| Ok(None))? {
            Renewed::InUse(owner) => Ok(Some(owner)),
            Renewed::Kept | Renewed::Replaced => Ok(None),
        }
    }

    /// Forgets the run, of trials that are no more.
    ///
    /// **Concurrency.** Nobody may work on the trials. A kill leaves a part, which the next run takes for its own or,
    /// without the text, for none.
    ///
    /// # Errors
    /// As removing files.
    pub fn forget(&self) -> Result<()> {
        for path in [self.text.clone(), self.ledger.clone(), sidecar(&self.ledger)] {
            let removed = match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(_) => Ok(()),
            };
            removed.at("remove", &path)?;
        }
        Ok(())
    }

    /// How far a run is, as far as ledger and text say: what either of them calls done is done.
    ///
    /// # Errors
    /// [`h5part_base::error::ErrorKind::NotFound`]: no run has begun. As reading them.
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

/// What belongs to a ledger.
fn sidecar(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// How the text says it. What failed for good is for the Python tools to be tried again.
fn mark(state: State) -> Mark {
    match state {
        State::Waiting | State::Failed => Mark::Waiting,
        State::Running => Mark::Running,
        State::Done => Mark::Done,
    }
}
