//! A run over a ledger: workers claim, run and finish its tasks until none is left.
//!
//! Everything that a worker knows is in the ledger. So runs can end, die and be started again, on any number of hosts,
//! and share the ledger.

mod programs;
mod stop;
mod supervisor;
mod worker;

pub use programs::{Launch, Programs};
pub use stop::{Level, Stop};

use crate::ledger::{Claim, End, Expired, Ledger, Owner, OwnerId, Reason, SlurmJob, TaskData, TaskState, Watch};
use h5part_base::error::Result;
use std::time::Duration;

/// How to run tasks.
pub trait Tasks: Sync {
    /// Runs a task, and returns how it ended. A panic counts as a failure. When `stop` says [`Level::End`], it should
    /// soon return [`End::Released`].
    fn run(&self, claim: &Claim, stop: &Stop) -> End;

    /// Called if a task ended well but its rows are not committed, so that the reason can be recorded. It is called
    /// before others may claim the task again.
    fn note_failure(&self, claim: &Claim, why: &h5part_base::error::ErrorKind) {
        let _ = (claim, why);
    }

    /// Called a few times per second while tasks run.
    fn tick(&self, stop: &Stop) {
        let _ = stop;
    }
}

impl<F: Fn(&Claim) -> End + Sync> Tasks for F {
    fn run(&self, claim: &Claim, _stop: &Stop) -> End {
        self(claim)
    }
}

/// Options of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Number of workers, each a thread.
    pub workers: usize,
    /// Tasks per claim.
    pub block: u64,
    /// How long a failed task rests before it is retried.
    pub retry_delay: Duration,
    /// Treat an owner on another host as dead after this long without a heartbeat.
    pub stale_after: Duration,
    /// Whether workers that find nothing to claim stay while any worker, anywhere, runs tasks that may wait again.
    pub linger: bool,
    /// Interval between heartbeats.
    pub beat: Duration,
    /// Processors to pin each worker to, along with what it starts. Empty: no pinning.
    pub cores: Vec<Vec<usize>>,
    /// Whether a SLURM job is gone. `None`: unknown.
    pub job_is_gone: fn(&SlurmJob) -> Option<bool>,
}

impl Default for RunOptions {
    /// One worker that lingers, one task per claim, 1 s of rest after a failure, a heartbeat every 10 s, and death
    /// after 300 s without one.
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

/// An event in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A task begins.
    Begins(&'a Claim),
    /// It ended in this way, and is in this state now.
    Ended(&'a Claim, End, TaskState),
    /// It ended well, but its rows are not in the store. This comes before [`Event::Ended`].
    NotCommitted(&'a Claim, &'a h5part_base::error::ErrorKind, TaskState),
    /// It was taken from us, and our result was refused.
    Lost(&'a Claim, &'a h5part_base::error::Error),
    /// A task of a dead owner was taken back.
    Expired(&'a Expired),
    /// Its owner had died, but its rows are committed, so it is done.
    Completed(&'a Claim),
    /// A warning for people.
    Warning(String),
    /// Sent from time to time.
    Tick,
}

/// Receives all events. It is called from all threads.
pub trait Observer: Sync {
    /// What happened.
    fn event(&self, event: &Event<'_>);
}

impl Observer for () {
    fn event(&self, _event: &Event<'_>) {}
}

/// What this run did. The ledger knows what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RunSummary {
    /// Tasks that succeeded.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Tasks that were released.
    pub released: u64,
    /// Tasks that others had taken over.
    pub lost: u64,
}

/// What a run works with.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// Its tasks.
    pub ledger: &'a Ledger,
    /// The results: a task is done when they exist.
    pub rows: Option<&'a dyn TaskData>,
    /// Receives events.
    pub observer: &'a dyn Observer,
    /// Tells when to end.
    pub stop: &'a Stop,
}

impl RunContext<'_> {
    /// Begins a task: records whether its rows are empty.
    fn begin(&self, claim: &Claim) -> Result<()> {
        self.rows.map_or(Ok(()), |rows| rows.begin(claim))
    }

    /// Records that a task is done. If its rows are not committed, it has failed.
    fn done(&self, claim: &Claim, tasks: &dyn Tasks) -> Result<(End, TaskState)> {
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

/// Takes tasks from dead owners, and reports each. A task whose rows are committed counts as done.
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

/// Runs tasks until none is left, or until asked to end.
///
/// **Concurrency.** Beside any number of other runs of the same ledger, here and on other hosts. Returns when no task
/// waits or runs anywhere; without [`RunOptions::linger`], when none waits. If the process dies, its tasks are requeued
/// as soon as another run notices.
///
/// # Errors
/// Errors in using the ledger or the store. Running tasks end before it returns.
pub fn run(context: &RunContext<'_>, options: &RunOptions, tasks: &dyn Tasks) -> Result<RunSummary> {
    let owner: OwnerId = context.ledger.register(&Owner::this_process())?;
    let summary = worker::run_all(context, options, tasks, owner);
    // After an error it may still hold tasks, although none of them runs any more.
    let left = if summary.is_ok() { context.ledger.leave(owner) } else { context.ledger.give_up(owner) };
    let summary = summary?;
    left?;
    Ok(summary)
}
