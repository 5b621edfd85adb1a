//! Runs one trial.

use crate::bigplanet::Archiver;
use crate::checkpoint::Checkpointed;
use h5part_base::error::{ErrorKind, Item, Result};
use h5part_tasks::ledger::{Claim, End, Ledger, Reason};
use h5part_tasks::program::{Home, Homes};
use h5part_tasks::run::{Event, Launch, Observer, Programs, Stop, Tasks};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The file in the trial's folder that a program's output is appended to, errors first.
const LOG: &str = "vplanet_log";

/// Runs programs in the folders of their trials.
#[derive(Clone, Debug)]
pub struct Folders(pub PathBuf);

impl Homes for Folders {
    fn of(&self, _ledger: &Ledger, _index: u32, name: &str) -> Home {
        let folder = self.0.join(name);
        Home { log: folder.join(LOG), folder: Some(folder), apart: true }
    }
}

/// What a run of trials works with.
#[derive(Clone, Copy)]
pub struct TrialContext<'a> {
    /// Its ledger and text.
    pub run: &'a Checkpointed,
    /// The folder of the trials.
    pub folder: &'a Path,
    /// The archive of the trials, if they are archived.
    pub archive: Option<&'a Archiver>,
    /// Receives events.
    pub observer: &'a dyn Observer,
}

/// Runs trials: the program, then the archive.
///
/// **Concurrency.** Beside any number of others, in this process and in others: the ledger distributes the trials.
/// After a kill, a trial that was running is requeued. A trial that was archived without being recorded is found in the
/// archive.
pub struct Runner<'a> {
    context: TrialContext<'a>,
    programs: Programs<'a>,
    /// Set once a failure to write the text was reported.
    told: AtomicBool,
}

impl<'a> Runner<'a> {
    /// A runner of these trials with this program.
    ///
    /// # Errors
    /// As [`Programs::new`].
    pub fn new(context: TrialContext<'a>, launch: Launch) -> Result<Self> {
        let programs = Programs::new(context.run.ledger(), launch, context.observer)?;
        Ok(Self { context, programs, told: AtomicBool::new(false) })
    }

    fn warn(&self, error: &h5part_base::error::Error) {
        self.context.observer.event(&Event::Warning(error.to_string()));
    }

    fn archive(&self, folder: &Path) -> End {
        match self.context.archive.map_or(Ok(()), |archive| archive.archive(folder).map(|_| ())) {
            Ok(()) => End::Done,
            Err(e) => {
                self.warn(&e);
                End::Failed(Reason::NotKept)
            }
        }
    }
}

impl Tasks for Runner<'_> {
    fn run(&self, claim: &Claim, stop: &Stop) -> End {
        let folder = self.context.folder.join(&claim.name);
        if !folder.is_dir() {
            self.warn(&ErrorKind::not_found(Item::File).at("run trial", &folder));
            return End::Failed(Reason::NotStarted);
        }
        match self.programs.run(claim, stop) {
            End::Done => self.archive(&folder),
            other => other,
        }
    }

    fn tick(&self, stop: &Stop) {
        self.programs.tick(stop);
        if let Err(e) = self.context.run.follow()
            && !self.told.swap(true, Ordering::Relaxed)
        {
            self.warn(&e);
        }
    }
}
