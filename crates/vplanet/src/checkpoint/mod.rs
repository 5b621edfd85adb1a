//! A run of trials as a ledger. The checkpoint text of the Python tools is kept up to date beside it.
//!
//! The ledger decides. The text is for tools that do not know the ledger: they can show the progress of a run, and
//! finish it. What they change in the text is adopted when our next run begins.

mod begin;
mod text;

pub use begin::{Opened, Trials};
pub use text::TextFile;

use h5part_base::error::{At, Result};
use h5part_tasks::ledger::{Ledger, Mark, Owner, Renewed, TaskState, Watch};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Paths of the text and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The text.
    pub text: PathBuf,
    /// The ledger.
    pub ledger: PathBuf,
}

impl Files {
    /// The files for a text: `.MP` and `.MP.ledger`.
    #[must_use]
    pub fn of_text(text: &Path) -> Self {
        let mut ledger = text.as_os_str().to_owned();
        ledger.push(".ledger");
        Self { text: text.to_owned(), ledger: ledger.into() }
    }

    /// The files beside a folder of trials: for `MP` the text is `.MP`, and with the ending `_BPL` it is `.MP_BPL`.
    #[must_use]
    pub fn of_folder(folder: &Path, ending: &str) -> Self {
        let mut name = OsString::from(".");
        name.push(folder.file_name().unwrap_or_default());
        name.push(ending);
        Self::of_text(&folder.with_file_name(name))
    }

    /// Who works on the trials, if anyone.
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

    /// Removes the files of a run whose trials no longer exist.
    ///
    /// **Concurrency.** Nobody may work on the trials. A kill leaves some of the files. The next run continues with
    /// them or, without the text, ignores them.
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

    /// Progress of a run, according to ledger and text. A trial is done if either of them says so.
    ///
    /// # Errors
    /// [`h5part_base::error::ErrorKind::NotFound`]: no run has begun. As reading them.
    pub fn progress(&self) -> Result<Progress> {
        begin::progress(self)
    }
}

/// Progress of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Trials that are done.
    pub completed: u64,
    /// Trials that run.
    pub in_progress: u64,
    /// Trials that wait, including those that failed.
    pub remaining: u64,
}

/// A ledger of trials with its text.
///
/// **Concurrency.** Any number of processes may have the same trials open: the ledger distributes them. The text is
/// replaced as a whole. It follows the ledger with a delay of about a second, and contains everything that a process
/// has done when it ends.
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

    /// Writes the text. Call this at the end; the text then survives a loss of power.
    ///
    /// # Errors
    /// As reading and syncing the ledger, and writing the text.
    pub fn settle(&self) -> Result<()> {
        self.ledger.sync()?;
        self.text.settle(&self.ledger)
    }
}

/// The folder that belongs to a ledger.
fn sidecar(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// The state in the text. The Python tools shall retry what failed finally.
fn mark(state: TaskState) -> Mark {
    match state {
        TaskState::Waiting | TaskState::Failed => Mark::Waiting,
        TaskState::Running => Mark::Running,
        TaskState::Done => Mark::Done,
    }
}
