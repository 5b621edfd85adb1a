//! `h5part ledger requeue`, `cancel`

use super::super::common::{request, seconds};
use super::super::exit::Exit;
use super::super::output::{json, line};
use super::{Which, reap};
use h5part::Result;
use h5part::ledger::StoreTasks;
use h5part::ledger::{Changed, Ledger, TaskState};
use serde::Serialize;

/// Requeue tasks: those of dead workers, those that failed, or some by name.
#[derive(Debug, clap::Args)]
pub struct RequeueArgs {
    #[command(flatten)]
    which: Which,
    /// Tasks to requeue, whatever their state. The worker of a running task can no longer write for it.
    #[arg(value_name = "NAME", required_unless_present_any = ["stale", "failed"], conflicts_with_all = ["stale", "failed"])]
    names: Vec<String>,
    /// Requeue tasks of dead workers: their process has ended, or SLURM no longer knows their job.
    #[arg(long)]
    stale: bool,
    /// Requeue tasks that failed for good or were cancelled.
    #[arg(long)]
    failed: bool,
    /// With --stale: watch for this many seconds, and treat workers on other hosts without a heartbeat as dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds, requires = "stale")]
    stale_after: f64,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
}

/// Cancel tasks: waiting ones are never started, running ones are stopped by their worker.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    #[command(flatten)]
    which: Which,
    /// Tasks to cancel.
    #[arg(value_name = "NAME", required_unless_present_any = ["waiting", "all"], conflicts_with_all = ["waiting", "all"])]
    names: Vec<String>,
    /// Cancel all waiting tasks.
    #[arg(long)]
    waiting: bool,
    /// Cancel all waiting and running tasks.
    #[arg(long)]
    all: bool,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Requeued {
    /// Tasks that were requeued.
    requeued: u64,
    /// Tasks of dead workers that have failed too often as a result.
    failed: u64,
    /// Tasks of dead workers whose rows are committed, so they are done.
    done: u64,
}

fn places(ledger: &Ledger, names: &[String]) -> Result<Vec<u64>> {
    names.iter().map(|name| ledger.find(name)).collect()
}

fn places_in(ledger: &Ledger, states: &[TaskState]) -> Result<Vec<u64>> {
    let mut places = Vec::new();
    ledger.each(|place, task| {
        places.extend(task.filter(|task| states.contains(&task.state)).map(|_| place));
        Ok(())
    })?;
    Ok(places)
}

impl RequeueArgs {
    pub fn run(&self) -> Result<Exit> {
        let ledger = self.which.open()?;
        let mut done = Requeued::default();
        if self.stale {
            self.requeue_stale(&ledger, &mut done)?;
        }
        if self.failed {
            let places = places_in(&ledger, &[TaskState::Failed])?;
            done.requeued += ledger.requeue(&places, |task| task.state == TaskState::Failed)?.changed;
        }
        done.requeued += ledger.requeue(&places(&ledger, &self.names)?, |_| true)?.changed;
        if self.json {
            json(&done)?;
        } else {
            line(format!("{} tasks were requeued", done.requeued))?;
            if done.failed > 0 {
                line(format!("{} tasks of dead workers have failed too often and stay failed", done.failed))?;
            }
            if done.done > 0 {
                line(format!("{} tasks of dead workers are done: their rows are committed", done.done))?;
            }
        }
        Ok(Exit::Success)
    }

    fn requeue_stale(&self, ledger: &Ledger, done: &mut Requeued) -> Result<()> {
        let rows = ledger.header().store.is_some().then(|| StoreTasks::open(ledger, None)).transpose()?;
        reap(ledger, self.stale_after, |expired| {
            match &rows {
                Some(rows) if rows.settle(expired.claim.place)? => done.done += 1,
                _ if expired.state == TaskState::Failed => done.failed += 1,
                _ => done.requeued += 1,
            }
            Ok(())
        })
    }
}

impl CancelArgs {
    pub fn run(&self) -> Result<Exit> {
        let ledger = self.which.open()?;
        let places = match (self.all, self.waiting) {
            (true, _) => places_in(&ledger, &[TaskState::Waiting, TaskState::Running])?,
            (false, true) => places_in(&ledger, &[TaskState::Waiting])?,
            (false, false) => places(&ledger, &self.names)?,
        };
        let Changed { changed, unchanged } = ledger.cancel(&places)?;
        if self.json {
            json(&Changed { changed, unchanged })?;
        } else {
            line(format!("{changed} tasks are cancelled"))?;
        }
        if !self.names.is_empty() && unchanged > 0 {
            return Err(request(
                "cancel tasks of",
                ledger.path(),
                format!("{unchanged} of the tasks named have ended already"),
            ));
        }
        Ok(Exit::Success)
    }
}
