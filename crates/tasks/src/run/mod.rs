//! A run over a ledger: workers claim, do and finish its tasks until none is left.
//!
//! Everything that a worker knows is in the ledger: runs end, die, and are started again, on any number of
//! hosts, and share it.

mod programs;
mod stop;
mod supervisor;
mod worker;

pub use programs::{Launch, Programs};
pub use stop::{Level, Stop};

use crate::ledger::{Claim, End, Expired, Job, Ledger, Owner, OwnerId, Reason, State, TaskData, Watch};
use h5part_base::error::Result;
use std::time::Duration;

/// What is done for a task.
pub trait Tasks: Sync {
    /// Does it, and says how it ended. A panic is a failure of the task. When `stop` says
    /// [`Level::End`], it should soon return [`End::Released`].
    fn run(&self, claim: &Claim, stop: &Stop) -> End;

    /// It ended well, but its rows are not there: the place to note why. Called before others may claim it again.
    fn note_failure(&self, claim: &Claim, why: &h5part_base::error::ErrorKind) {
        let _ = (claim, why);
    }

    /// Called a few times a second while tasks run.
    fn tick(&self, stop: &Stop) {
        let _ = stop;
    }
}

impl<F: Fn(&Claim) -> End + Sync> Tasks for F {
    fn run(&self, claim: &Claim, _stop: &Stop) -> End {
        self(claim)
    }
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Workers, each a thread.
    pub workers: usize,
    /// Tasks that a worker claims at once.
    pub block: u64,
    /// A task that failed rests for so long.
    pub retry_delay: Duration,
    /// An owner on another host whose beat stands still for so long is dead.
    pub stale_after: Duration,
    /// Whether workers that find nothing to claim stay while others, anywhere, work on tasks that may come back.
    pub linger: bool,
    /// Time between two beats.
    pub beat: Duration,
    /// Processors that each worker, and what it starts, is kept on; none: those of this process.
    pub cores: Vec<Vec<usize>>,
    /// Whether a SLURM job is gone; `None`: that cannot be told here.
    pub job_is_gone: fn(&Job) -> Option<bool>,
}

impl Default for RunOptions {
    /// One worker that lingers, one task at a time, a rest of 1 s, a beat every 10 s that others miss after 300 s.
    fn default() -> Self {
        Self {
            workers: 1,
            block: 1,
            retry_delay: Duration::from_secs(1),
            stale_after: Duration::from_secs(300),
            linger: true,
            beat: Duration::from_secs(10),
            cores: Vec::new(),
            job_is_gone: |_| None,
        }
    }
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A task begins.
    Begins(&'a Claim),
    /// It ended so, and is in this state now.
    Ended(&'a Claim, End, State),
    /// It ended well, and its rows are not in the store; told before [`Event::Ended`].
    NotCommitted(&'a Claim, &'a h5part_base::error::ErrorKind, State),
    /// It was taken from us: what we did for it was refused.
    Lost(&'a Claim, &'a h5part_base::error::Error),
    /// A dead owner's task.
    Expired(&'a Expired),
    /// Its owner had died, and its rows are there: it is done.
    Completed(&'a Claim),
    /// Something that people should know.
    Warning(String),
    /// Some time has passed.
    Tick,
}

/// Told of everything; called from all threads.
pub trait Observer: Sync {
    /// What happened.
    fn event(&self, event: &Event<'_>);
}

impl Observer for () {
    fn event(&self, _event: &Event<'_>) {}
}

/// What this run did; what is left is in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Tasks that ended well.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Tasks that were given back.
    pub released: u64,
    /// Tasks that others had taken over.
    pub lost: u64,
}

/// What a run works on.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// Its tasks.
    pub ledger: &'a Ledger,
    /// Their rows: a task is done when they are there.
    pub rows: Option<&'a dyn TaskData>,
    /// Told of what happens.
    pub observer: &'a dyn Observer,
    /// Asks for an end.
    pub stop: &'a Stop,
}

impl RunContext<'_> {
    /// A task begins for its owner: notes whether its rows are empty.
    fn begin(&self, claim: &Claim) -> Result<()> {
        self.rows.map_or(Ok(()), |rows| rows.begin(claim))
    }

    /// Tells that a task is done; without its rows, it failed.
    fn done(&self, claim: &Claim, tasks: &dyn Tasks) -> Result<(End, State)> {
        let Some(rows) = self.rows else {
            return Ok((End::Done, self.ledger.finish(claim, End::Done)?));
        };
        match rows.done(claim) {
            Err(e) if matches!(e.kind_of(), Some(crate::ErrorKind::NotCommitted { .. })) => {
                let end = End::Failed(Reason::NoData);
                tasks.note_failure(claim, e.kind());
                let state = self.ledger.finish(claim, end)?;
                self.observer.event(&Event::NotCommitted(claim, e.kind(), state));
                Ok((end, state))
            }
            other => Ok((End::Done, other?)),
        }
    }
}

/// Takes tasks from dead owners, and tells of each; one whose rows are there is done all the same.
///
/// **Concurrency.** As [`Ledger::reap`].
///
/// # Errors
/// As [`Ledger::reap`] and [`TaskData::settle`].
pub fn reap(ledger: &Ledger, rows: Option<&dyn TaskData>, watch: &mut Watch, observer: &dyn Observer) -> Result<()> {
    for expired in ledger.reap(watch)? {
        observer.event(&Event::Expired(&expired));
        if let Some(rows) = rows
            && rows.settle(expired.claim.place)?
        {
            observer.event(&Event::Completed(&expired.claim));
        }
    }
    Ok(())
}

/// Runs tasks until none is left, or an end is asked for.
///
/// **Concurrency.** Beside any number of other runs of the same ledger, here and on other hosts. Returns when
/// no task waits or runs anywhere; without [`RunOptions::linger`], when none waits. When the process dies, its tasks go back as soon as another run sees
/// that.
///
/// # Errors
/// What keeps the ledger or the store from being used; tasks that run then come to their end first.
pub fn run(context: &RunContext<'_>, options: &RunOptions, tasks: &dyn Tasks) -> Result<Summary> {
    let owner: OwnerId = context.ledger.register(&Owner::this_process())?;
    let summary = worker::run_all(context, options, tasks, owner);
    // After an error it may still hold tasks, though nothing of ours runs any more.
    let left = if summary.is_ok() { context.ledger.leave(owner) } else { context.ledger.give_up(owner) };
    let summary = summary?;
    left?;
    Ok(summary)
}
