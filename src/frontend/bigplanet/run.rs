//! Archiving all trials of an ensemble: tasks of a ledger, each ends when its group is in the archive.

use super::archive::{Archiver, Kept};
use crate::Error;
use crate::error::{ErrorKind, Result};
use crate::executor::ledgered::{self, Event, Level, Observer, Site, Stop, Tasks, Terms};
use crate::frontend::checkpoint::Checkpointed;
use crate::ledger::{Claim, End, Reason, State};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Told of trials as they end; called from all threads.
pub trait Watcher: Observer {
    /// What became of a trial.
    fn ended(&self, trial: &str, outcome: Result<Kept, &Error>);
}

/// Archives the trials that wait, with so many workers, until none is left or an end is asked for. A trial that
/// cannot be gathered fails, and others never wait for it. Returns those that failed here, and why.
///
/// **Concurrency.** Beside other runs of the same trials, with which it shares them, and beside
/// [`Archiver::archive`] by others. When the process dies, what it had not finished is done by the next run.
///
/// # Errors
/// What keeps ledger, text or archive from being used.
pub fn archive_all(
    run: &Checkpointed,
    archiver: &Archiver,
    folder: &Path,
    workers: usize,
    watcher: &dyn Watcher,
    stop: &Stop,
) -> Result<Vec<(String, Error)>> {
    lost_wait_again(run, archiver)?;
    let work = Work { archiver, folder, watcher, failed: Mutex::default(), broken: Mutex::default() };
    let following = Following { run, watcher };
    let site = Site { ledger: run.ledger(), rows: None, observer: &following, stop };
    let ended = ledgered::run(&site, &Terms { workers, ..Terms::default() }, &work);
    let settled = run.settle();
    if let Some(error) = work.broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    ended.and(settled)?;
    Ok(work.failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Trials that count as done and are not in the archive: it was removed, or is another one.
fn lost_wait_again(run: &Checkpointed, archiver: &Archiver) -> Result<()> {
    let there: HashSet<String> = archiver.trials()?.into_iter().collect();
    let mut lost = Vec::new();
    run.ledger().each(|place, task| {
        if let Some(task) = task.filter(|task| task.state == State::Done)
            && !there.contains(&run.ledger().listed(place, task)?.name)
        {
            lost.push(place);
        }
        Ok(())
    })?;
    run.ledger().requeue(&lost, |task| task.state == State::Done).map(|_| ())
}

struct Work<'a> {
    archiver: &'a Archiver,
    folder: &'a Path,
    watcher: &'a dyn Watcher,
    failed: Mutex<Vec<(String, Error)>>,
    /// Why the archive cannot be used.
    broken: Mutex<Option<Error>>,
}

impl Tasks for Work<'_> {
    fn run(&self, claim: &Claim, stop: &Stop) -> End {
        match self.archiver.archive(&self.folder.join(&claim.name)) {
            Ok(kept) => {
                self.watcher.ended(&claim.name, Ok(kept));
                End::Done
            }
            // It would be the same for all trials.
            Err(e) if e.path() == self.archiver.store().path() => {
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                stop.raise(Level::Drain);
                End::Released
            }
            Err(e) => {
                self.watcher.ended(&claim.name, Err(&e));
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push((claim.name.clone(), e));
                End::Failed(Reason::NoData)
            }
        }
    }
}

/// Keeps the text in step.
struct Following<'a> {
    run: &'a Checkpointed,
    watcher: &'a dyn Watcher,
}

impl Observer for Following<'_> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Tick)
            && let Err(e) = self.run.follow()
        {
            self.watcher.event(&Event::Warning(e.to_string()));
        }
        self.watcher.event(event);
    }
}

/// Makes the archive anew from raw data: it is built beside, and takes the name when it has all trials. `told` is
/// called for each.
///
/// **Concurrency**, what is **atomic** and what **survives**: see
/// [`Store::replace_with_bundles`](crate::store::Store::replace_with_bundles).
///
/// # Errors
/// The old archive stays as it is then: [`ErrorKind::NoRawData`]: it has trials that would be lost; the first trial
/// that cannot be gathered; those of [`Store::replace_with_bundles`](crate::store::Store::replace_with_bundles).
pub fn rebuild(archiver: &Archiver, folder: &Path, trials: &[String], told: &(dyn Fn() + Sync)) -> Result<()> {
    // Of a file that cannot be opened at all nothing can be lost.
    let mut lost = archiver.trials().unwrap_or_default();
    lost.retain(|name| trials.binary_search(name).is_err());
    if !lost.is_empty() {
        let kind = ErrorKind::NoRawData { folder: folder.to_owned(), trials: lost };
        return Err(kind.at("make anew", archiver.store().path()));
    }
    archiver.store().replace_with_bundles(|add| {
        trials.par_iter().try_for_each(|name| {
            let bundle = archiver.gatherer().gather(&folder.join(name))?.into_bundle();
            add(name, &bundle)?;
            told();
            Ok(())
        })
    })
}
