//! Trials and their archive.

use super::trial::TrialContext;
use h5part_base::error::{At, Result};
use h5part_base::storage::{Disk, Storage};
use h5part_tasks::ledger::State;
use h5part_tasks::run::Event;
use rayon::prelude::*;
use std::io;
use std::path::{Path, PathBuf};

/// Archives of one path that were set aside, at most.
const MOST: u32 = 10_000;

/// What became of trials that were done and not archived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// They are archived now.
    pub archived: u64,
    /// They could not be, and wait again.
    pub waiting: u64,
}

/// Archives trials that are done and are not in the archive, from what they made; those of which that fails wait
/// again. As many threads as there are cores take part.
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
    ledger.requeue(&failed, |task| task.state == State::Done)?;
    let waiting = failed.len() as u64;
    Ok(CaughtUp { archived: missing.len() as u64 - waiting, waiting })
}

/// Gives an archive another name, `FILE.old-N`: its trials are about to be run anew. `None`: there is none.
///
/// **Concurrency.** Nobody may write to it. A kill leaves it under the one name or the other.
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
