//! Archives all trials of an ensemble. They are tasks of a ledger, and each ends when its group is in the archive.

use super::archive::{Archiver, Kept};
use super::changed::changed_ns;
use crate::checkpoint::Checkpointed;
use h5part_base::error::Error;
use h5part_base::error::{ErrorKind, Result};
use h5part_base::sync;
use h5part_tasks::ledger::{Claim, End, Reason, TaskState};
use h5part_tasks::run::{self, Event, Level, Observer, RunContext, RunOptions, Stop, Tasks};
use std::path::Path;
use std::sync::Mutex;

/// Receives the end of each trial. It is called from all threads.
pub trait Watcher: Observer {
    /// A trial has ended.
    fn ended(&self, trial: &str, outcome: Result<Kept, &Error>);
}

/// Archives the waiting trials with this many workers, until none is left or an end is asked for. A trial that cannot
/// be gathered fails without delaying others. Returns the trials that failed here, and why.
///
/// **Concurrency.** Beside other runs of the same trials, with which it shares them, and beside [`Archiver::archive`]
/// by others. If the process dies, the next run does the rest.
///
/// # Errors
/// Errors in using the ledger, the text or the archive.
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
    let context = RunContext { ledger: run.ledger(), rows: None, observer: &following, stop };
    let ended = run::run(&context, &RunOptions { workers, ..RunOptions::default() }, &work);
    let settled = run.settle();
    if let Some(error) = sync::into_inner(work.broken) {
        return Err(error);
    }
    ended.and(settled)?;
    Ok(sync::into_inner(work.failed))
}

/// Requeues trials that count as done but are not in the archive, because it was removed or is another one.
fn lost_wait_again(run: &Checkpointed, archiver: &Archiver) -> Result<()> {
    let lost: Vec<u64> = archiver.missing(run.ledger())?.into_iter().map(|(place, _)| place).collect();
    run.ledger().requeue(&lost, |task| task.state == TaskState::Done).map(|_| ())
}

struct Work<'a> {
    archiver: &'a Archiver,
    folder: &'a Path,
    watcher: &'a dyn Watcher,
    failed: Mutex<Vec<(String, Error)>>,
    /// Why the archive cannot be used, if so.
    broken: Mutex<Option<Error>>,
}

impl Tasks for Work<'_> {
    fn run(&self, claim: &Claim, stop: &Stop) -> End {
        let folder = self.folder.join(&claim.name);
        let before = changed_ns(&folder).ok();
        let unchanged = |kept| {
            // Once the trial is done, changes are found by comparing times.
            let text = "its files were changed meanwhile: start again when its program has ended";
            let same = before == changed_ns(&folder).ok();
            if same { Ok(kept) } else { Err(ErrorKind::BadRequest(text.to_owned()).at("archive", &folder)) }
        };
        match self.archiver.archive(&folder).and_then(unchanged) {
            Ok(kept) => {
                self.watcher.ended(&claim.name, Ok(kept));
                End::Done
            }
            // The error would be the same for all trials.
            Err(e) if e.path() == self.archiver.store().path() => {
                *sync::lock(&self.broken) = Some(e);
                stop.raise(Level::Drain);
                End::Released
            }
            Err(e) => {
                self.watcher.ended(&claim.name, Err(&e));
                sync::lock(&self.failed).push((claim.name.clone(), e));
                End::Failed(Reason::NoData)
            }
        }
    }
}

/// Keeps the text up to date.
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
