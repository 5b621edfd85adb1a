//! `h5part ledger reconcile`

use super::super::common::{LockArgs, seconds};
use super::super::exit::Exit;
use super::super::output::{json, line};
use super::{open, reap, watch};
use h5part::Result;
use h5part::ledger::StoreTasks;
use std::path::PathBuf;
use std::time::Duration;

/// Bring a ledger and its store into agreement after a crash or a restore.
///
/// Marks tasks of dead workers as done if their rows are there, and requeues tasks marked as done whose rows
/// are not there. Leaves running tasks of living workers alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ledger.
    ledger: PathBuf,
    /// Path of the store, if it was moved.
    file: Option<PathBuf>,
    /// The table, if the ledger was made without a store.
    #[arg(long, value_name = "TABLE", requires = "file")]
    table: Option<String>,
    /// Watch for this many seconds first, and treat workers on other hosts without a heartbeat as dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    stale_after: f64,
    /// Print what was done as JSON: done, requeued, lapsed, running, `not_there`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let ledger = open(&self.ledger, self.lock.timeout)?;
        let rows = match (&self.file, &self.table) {
            (Some(file), Some(table)) => StoreTasks::open_as(&ledger, &self.lock.open(file)?, table)?,
            (file, _) => StoreTasks::open(&ledger, file.as_deref())?,
        };
        let mut lapsed = 0;
        reap(&ledger, self.stale_after, |_| {
            lapsed += 1;
            Ok(())
        })?;
        let mut report = rows.reconcile(&mut watch(Duration::MAX))?;
        report.lapsed += lapsed;
        if self.json {
            json(&report)?;
            return Ok(Exit::Success);
        }
        line(format!("{} tasks are done: their rows are committed", report.done))?;
        line(format!(
            "{} tasks were requeued: they were recorded as done, but their rows are not committed",
            report.requeued
        ))?;
        for name in &report.not_there {
            line(format!("  {name}"))?;
        }
        line(format!("{} tasks were taken from dead workers, {} are being worked on", report.lapsed, report.running))?;
        Ok(Exit::Success)
    }
}
