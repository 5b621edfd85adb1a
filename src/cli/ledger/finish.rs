//! `h5part ledger done`, `fail`, `release`, `beat`

use super::super::exit::Exit;
use super::super::output::{json, say};
use super::Which;
use h5part::Result;
use h5part::ledger::StoreTasks;
use h5part::ledger::{Claim, End, Ledger, Reason, TaskFence, TaskState};
use h5part_base::error::At;
use h5part_base::lock::Fence;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// A claimed task.
#[derive(Debug, clap::Args)]
struct Claimed {
    #[command(flatten)]
    which: Which,
    /// Name of the task.
    name: String,
    /// Fence of the claim.
    #[arg(long, value_name = "F")]
    fence: u64,
    /// Print the task's new state as JSON.
    #[arg(long)]
    json: bool,
}

/// Report a claimed task as done. If the ledger knows the store, the task's rows must be there.
#[derive(Debug, clap::Args)]
pub struct DoneArgs {
    #[command(flatten)]
    task: Claimed,
    /// Path of the store, if it was moved.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// Report a claimed task as failed. It is retried until it has failed too many times.
#[derive(Debug, clap::Args)]
pub struct FailArgs {
    #[command(flatten)]
    task: Claimed,
    /// Exit code of the program.
    #[arg(long, value_name = "N")]
    exit_code: Option<u8>,
}

/// Give a claimed task back; this does not count as a failure.
#[derive(Debug, clap::Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    task: Claimed,
}

/// Send a heartbeat for a claimed task, to workers that cannot see its owner.
///
/// Workers on other hosts requeue a task when its owner has sent no heartbeat for 300 s (see --stale-after).
#[derive(Debug, clap::Args)]
pub struct BeatArgs {
    #[command(flatten)]
    task: Claimed,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    name: &'a str,
    state: &'static str,
}

impl Claimed {
    fn open(&self) -> Result<(Ledger, Claim)> {
        let ledger = self.which.open()?;
        let claim = ledger.claim_named(&self.name, self.fence)?;
        Ok((ledger, claim))
    }

    fn tell(&self, state: TaskState) -> Result<Exit> {
        if self.json {
            json(&Told { name: &self.name, state: state.word() })?;
        } else if state == TaskState::Failed {
            say(format_args!("'{}' has failed too often and stays failed", self.name));
        }
        Ok(Exit::Success)
    }

    fn end(&self, end: End) -> Result<Exit> {
        let (ledger, claim) = self.open()?;
        self.tell(ledger.finish(&claim, end)?)
    }
}

impl DoneArgs {
    pub fn run(&self) -> Result<Exit> {
        let (ledger, claim) = self.task.open()?;
        let state = match &ledger.header().store {
            Some(_) => StoreTasks::open(&ledger, self.store.as_deref())?.done(&claim)?,
            None => ledger.finish(&claim, End::Done)?,
        };
        self.task.tell(state)
    }
}

impl FailArgs {
    pub fn run(&self) -> Result<Exit> {
        self.task.end(End::Failed(self.exit_code.map_or(Reason::None, Reason::Exit)))
    }
}

impl ReleaseArgs {
    pub fn run(&self) -> Result<Exit> {
        self.task.end(End::Released)
    }
}

impl BeatArgs {
    pub fn run(&self) -> Result<Exit> {
        let (ledger, claim) = self.task.open()?;
        let ledger = Arc::new(ledger);
        TaskFence::new(Arc::clone(&ledger), claim.clone()).check().at("beat in", &self.task.which.ledger)?;
        ledger.beat(claim.owner)?;
        self.task.tell(TaskState::Running)
    }
}
