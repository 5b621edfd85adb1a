//! Archives the trials of a run.

use super::trial::TrialContext;
use h5part_base::error::{At, Result};
use h5part_base::storage::{Disk, Storage};
use h5part_tasks::ledger::TaskState;
use h5part_tasks::run::Event;
use rayon::prelude::*;
use std::io;
use std::path::{Path, PathBuf};

/// Most archives of one path that can be set aside.
const MOST: u32 = 10_000;

/// What happened to trials that were done but not archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Trials that are archived now.
    pub archived: u64,
    /// Trials that could not be archived, and were requeued.
    pub waiting: u64,
}

/// Archives trials that are done but not in the archive, from their files. Trials that cannot be archived are requeued.
/// It uses as many threads as there are cores.
///
/// **Concurrency.** As [`Archiver::archive`](crate::bigplanet::Archiver::archive).
///
/// # Errors
/// As reading the archive, and reading and changing the ledger.
pub fn catch_up(context: &TrialContext<'_>) -> Result<CaughtUp> {
    let Some(archive) = context.archive else { return Ok(CaughtUp::default()) };
    let ledger = context.run.ledger();
    let missing = archive.missing(ledger)?;
    let failed = |(place, name): &(u64, String)| match archive.archive(&context.folder.join(name)) {
        Ok(_) => None,
        Err(e) => {
            context.observer.event(&Event::Warning(format!("{e}; '{}' is run again", name.escape_debug())));
            Some(*place)
        }
    };
    let failed: Vec<u64> = missing.par_iter().filter_map(failed).collect();
    ledger.requeue(&failed, |task| task.state == TaskState::Done)?;
    let waiting = failed.len() as u64;
    Ok(CaughtUp { archived: missing.len() as u64 - waiting, waiting })
}

/// Renames an archive to `FILE.old-N`, since its trials are about to be run again. `None`: there is no archive.
///
/// **Concurrency.** Nobody may write to it. A kill leaves it under one name or the other.
///
/// # Errors
/// As rename(2).
pub fn set_aside(archive: &Path) -> Result<Option<PathBuf>> {
    const ASIDE: &str = "set aside the archive";
    if archive.symlink_metadata().is_err() {
        return Ok(None);
    }
    for number in 1..=MOST {
        let aside = archive.with_added_extension(format!("old-{number}"));
        match Disk.rename_new(archive, &aside) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.map(|()| Some(aside)).at(ASIDE, archive),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists)).at(ASIDE, archive)
}
