//! Finds trials that count as archived although their files have changed since.

use crate::checkpoint::Files;
use h5part_base::error::Result;
use h5part_tasks::ledger::{Ledger, TaskState};
use rayon::prelude::*;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Requeues trials that are done but whose folders have changed since, because they were run again. Call this before a
/// run begins, since that may recreate the ledger with new times.
///
/// **Concurrency.** Beside anything.
///
/// # Errors
/// As reading and changing the ledger.
pub fn changed_wait_again(files: &Files, folder: &Path) -> Result<()> {
    if !files.ledger.exists() {
        return Ok(());
    }
    let (ledger, mut done) = (Ledger::open(&files.ledger)?, Vec::new());
    ledger.each(|place, task| {
        if let Some(task) = task.filter(|task| task.state == TaskState::Done) {
            done.push((place, task.since_ms, ledger.listed(place, task)?.name));
        }
        Ok(())
    })?;
    let is_changed = |(_, since_ms, name): &&(u64, u64, String)| {
        // A missing folder is reported elsewhere.
        changed_ns(&folder.join(name)).is_ok_and(|at| at / 1_000_000 >= i128::from(*since_ms))
    };
    let changed: Vec<u64> = done.par_iter().filter(is_changed).map(|(place, ..)| *place).collect();
    ledger.requeue(&changed, |task| task.state == TaskState::Done).map(|_| ())
}

/// When something in a trial's folder last changed, in nanoseconds. This is the change time of the file system, which
/// copying cannot set back.
///
/// # Errors
/// As reading the folder.
pub(super) fn changed_ns(folder: &Path) -> io::Result<i128> {
    let of =
        |metadata: &std::fs::Metadata| i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    let mut newest = of(&folder.metadata()?);
    for entry in folder.read_dir()? {
        let path = entry?.path();
        // The target of a link counts, if it exists, and so do the files of the seasons.
        let Ok(metadata) = path.metadata() else { continue };
        newest = newest.max(if metadata.is_dir() { changed_ns(&path)? } else { of(&metadata) });
    }
    Ok(newest)
}
